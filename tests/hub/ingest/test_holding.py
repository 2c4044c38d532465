"""What contradicts itself, was refused over the wire or harms its mapper: kept, shown to a person, and its neighbours go on."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from connectors.base import SourceRecord
from connectors.hl7v2_mllp.client import MllpClient
from connectors.hl7v2_mllp.config import MllpConfig
from connectors.hl7v2_mllp.framing import frame
from connectors.hl7v2_mllp.listener import MllpListener
from hub.fhir_json import load
from hub.ingest.mapping import MapperPool
from hub.ingest.replay import Filter
from hub.search.query import SearchQuery
from hub.store.port import EVERYTHING
from tests.connectors.test_mllp import NOW, msa, read_blocks
from tests.hub.ingest.messages import oru
from tests.hub.ingest.test_pipeline import House
from tests.hub.ingest.test_run import LISTENER, Intake, intake

assert intake  # a fixture


def values(house: Intake) -> list[str]:
    found = house.store.search(SearchQuery("Observation"), EVERYTHING).matches
    return sorted({str(load(version.body)["valueQuantity"]["value"]) for version in found})


def test_another_body_under_a_control_id_waits_for_a_person(intake):
    service = intake.open(LISTENER.format(port=0))
    service.start()
    first, other = oru(1, value="4.10"), oru(1, value="9.90", time="20240501090000")
    with MllpClient("127.0.0.1", service.connector("cty-lis").port) as laboratory:
        assert [laboratory.deliver(content).code for content in (first, first, other, other, first, oru(2, value="5.00"))] == [
            "AA"
        ] * 6
    assert service.pipeline.wait_until_idle(60)
    assert values(intake) == ["4.10", "5.00"]
    (dead,) = intake.store.outcomes(state="dead")
    assert (dead.seq, dead.reason) == (2, "conflict: record 1 has the same control id and another body")
    service.replays.request(Filter(state="dead"))  # whoever does all the dead again has not looked at this one
    assert service.pipeline.wait_until_idle(60)
    assert [outcome.seq for outcome in intake.store.outcomes(state="dead")] == [2]
    service.replays.request(Filter(seqs=(2,)))
    assert service.pipeline.wait_until_idle(60)
    assert (values(intake), intake.store.outcomes(state="dead")) == (["5.00", "9.90"], [])
    service.replays.request(Filter())
    assert service.pipeline.wait_until_idle(60)
    assert (values(intake), intake.store.outcomes(state="dead")) == (["5.00", "9.90"], [])


def test_each_application_numbers_its_own_messages(intake):
    service = intake.open(LISTENER.format(port=0))
    service.start()
    contents = [oru(1), oru(2).replace(b"|LIS|", b"|POCT|"), oru(3).replace(b"ORU^R01", b"ORM^O01")]
    with MllpClient("127.0.0.1", service.connector("cty-lis").port) as engine:
        for number, content in enumerate(contents, 1):
            assert engine.deliver(content.replace(b"|M%d|" % number, b"|1|")).accepted
    assert service.pipeline.wait_until_idle(60)
    assert intake.store.outcomes(state="dead") == []


def test_a_source_that_counts_anew_says_so(intake):
    service = intake.open(LISTENER.format(port=0) + "control_id_days = 0\n")
    service.start()
    with MllpClient("127.0.0.1", service.connector("cty-lis").port) as analyzer:
        contents = [oru(number).replace(b"|M%d|" % number, b"|1|") for number in (1, 2, 3)]
        assert [analyzer.deliver(content).code for content in contents] == ["AA"] * 3
    assert service.pipeline.wait_until_idle(60)
    assert intake.store.outcomes(state="dead") == []


REFUSED = {
    "no MSH segment": (b"PID|1||7||", "AR"),
    "MSH-10 is empty": (oru(7).replace(b"|M7|", b"||"), "AR"),
    "not decodable by MSH-18, UTF-8 or GB18030": (oru(8) + b"NTE|1||\xff\xfe\xff\r", "AR"),
    "the block was interrupted": (oru(9)[:200], "AE"),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_was_refused_is_a_dead_letter_with_its_bytes(intake, reason):
    content, code = REFUSED[reason]
    service = intake.open(LISTENER.format(port=0))
    service.start()
    with socket.create_connection(("127.0.0.1", service.connector("cty-lis").port), timeout=60) as laboratory:
        laboratory.sendall(frame(content) if code == "AR" else b"\x0b" + content)
        laboratory.shutdown(socket.SHUT_WR)
        assert msa(read_blocks(laboratory, 1)[0])[0] == code
    assert service.pipeline.wait_until_idle(60)
    (dead,) = intake.store.outcomes(state="dead")
    assert dead.reason == reason
    assert service.journal.read(dead.seq).record.content == content
    assert values(intake) == []


@pytest.mark.parametrize("harm", ["loop", "eat", "die", "raise"])
def test_neighbours_are_acknowledged_while_a_mapper_is_at_a_poison_message(tmp_path: Path, harm: str) -> None:
    house = House(tmp_path)
    house.mapper = MapperPool({}, tmp_path / "blobs", seconds=1.0, memory=1 << 28, modules=("tests.hub.ingest.poison",))

    def intake(*records: SourceRecord) -> tuple[int, ...]:
        return house.journal(*(poisoned(record, harm) for record in records))

    listener = MllpListener(MllpConfig(port=0), intake, source="cty-lis", facility="CTY", hints={}, clock=lambda: NOW)
    listener.start()
    pipeline = house.pipeline()
    with MllpClient("127.0.0.1", listener.port, timeout=60) as laboratory:
        assert laboratory.deliver(oru(1)).accepted
        assert laboratory.deliver(oru(2)).accepted  # the poison
        pipeline.start()
        for number in range(3, 13):
            assert laboratory.deliver(oru(number)).accepted
            if harm == "loop" and number == 3:
                assert house.store.outcome(2) is None  # its mapper is still at it
    listener.stop()
    assert pipeline.wait_until_idle(60)
    pipeline.stop()
    (dead,) = house.store.outcomes(state="dead")
    assert dead.seq == 2
    assert dead.attempts <= 3
    assert len(house.all("DiagnosticReport")) == 11
    house.close()


def poisoned(record: SourceRecord, harm: str) -> SourceRecord:
    """The second message as one that its mapper cannot bear."""
    return replace(record, kind="poison", content=harm.encode()) if record.key == "M2" else record
