"""What contradicts itself, was refused over the wire or harms its mapper: kept, shown to a person, and its neighbours go on."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from connectors.base import SourceRecord
from connectors.hl7v2_mllp.client import MllpClient
from connectors.hl7v2_mllp.config import MllpConfig
from connectors.hl7v2_mllp.framing import frame
from connectors.hl7v2_mllp.listener import MllpListener
from hub.fhir_json import load
from hub.ingest.pool import MapperPool
from hub.ingest.replay import Filter
from hub.search.query import SearchQuery
from hub.store.port import EVERYTHING
from tests.connectors.test_mllp import NOW, msa, read_blocks
from tests.hub.ingest.messages import oru, wait_until
from tests.hub.ingest.test_pipeline import House, poison
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
def test_a_poison_message_is_set_aside_within_three_tries_and_costs_its_neighbours_nothing(tmp_path: Path, harm: str) -> None:
    house = House(tmp_path)
    house.mapper = MapperPool({}, tmp_path / "blobs", seconds=1.0, memory=1 << 28, modules=("tests.hub.ingest.poison",))
    pipeline = house.pipeline()
    with laboratory(house, {"M2": harm.encode()}) as sender:
        assert sender.deliver(oru(1)).accepted
        pipeline.start()
        assert all(sender.deliver(oru(number)).accepted for number in range(2, 13))
    assert pipeline.wait_until_idle(60)
    pipeline.stop()
    (dead,) = house.store.outcomes(state="dead")
    assert dead.seq == 2
    assert dead.attempts <= 3
    assert len(house.all("DiagnosticReport")) == 11
    house.close()


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[House]:
    """A mapper may compute for ten minutes."""
    house = House(tmp_path)
    house.mapper = MapperPool({}, tmp_path / "blobs", seconds=600.0, modules=("tests.hub.ingest.poison",))
    yield house
    house.close()


def test_neighbours_are_acknowledged_and_mapped_while_mappers_loop(slow: House) -> None:
    first, second = slow.folder / "first", slow.folder / "second"
    first.touch()
    second.touch()
    pipeline = slow.pipeline()
    pipeline.start()
    with laboratory(slow, {"M2": held("a", first), "M5": held("b", second)}) as sender:
        assert all(sender.deliver(oru(number)).accepted for number in range(1, 13))
        assert wait_until(lambda: pipeline.lag == 2)
        assert sender.deliver(oru(13)).accepted
        assert wait_until(lambda: slow.store.outcome(13) and pipeline.lag == 2)
    assert len(slow.all("DiagnosticReport")) == 11
    assert [slow.store.outcome(seq) for seq in (2, 5)] == [None, None]
    assert not pipeline.idle()
    first.unlink()
    assert wait_until(lambda: slow.store.outcome(2))
    second.unlink()
    assert pipeline.wait_until_idle(60)
    assert {resource["id"] for resource in slow.all("Basic")} == {"a", "b"}
    assert [outcome.attempts for outcome in slow.store.outcomes()] == [1] * 13


def test_after_a_stop_only_what_was_set_aside_is_mapped_again(slow: House) -> None:
    """And a replay is done when its last record is; new ones pass it."""
    gate = slow.folder / "gate"
    gate.touch()
    quick = [poison(b"quick %d" % number) for number in range(3, 80)]
    slow.journal(poison(b"quick 1"), poison(held("a", gate)), *quick)
    pipeline = slow.pipeline()
    pipeline.start()
    assert wait_until(lambda: pipeline.lag == 1)
    pipeline.stop()
    slow.mapper = MapperPool({}, slow.folder / "blobs", seconds=600.0, modules=("tests.hub.ingest.poison",))
    pipeline = slow.pipeline()
    assert pipeline.position == 1
    pipeline.start()
    gate.unlink()
    assert pipeline.wait_until_idle(60)
    assert {outcome.attempts for outcome in slow.store.outcomes()} == {1}
    gate.touch()
    number = slow.replays.request(Filter())
    assert wait_until(lambda: slow.store.outcome(60).attempts == 2)
    slow.journal(poison(b"quick 80"))
    assert wait_until(lambda: slow.store.outcome(80))
    assert (slow.replays.status(number).finished, slow.store.outcome(2).attempts) == ("", 1)
    gate.unlink()
    assert pipeline.wait_until_idle(60)
    assert slow.replays.status(number).finished
    assert [slow.store.outcome(seq).attempts for seq in (2, 79, 80)] == [2, 2, 1]


def held(name: str, gate: Path) -> bytes:
    """Its mapper computes as long as the file is there."""
    return f"while {name} {gate}".encode()


@contextmanager
def laboratory(house: House, poisons: Mapping[str, bytes]) -> Iterator[MllpClient]:
    """Sends to a listener; the messages with these control ids become what their mapper cannot bear."""

    def intake(*records: SourceRecord) -> tuple[int, ...]:
        return house.journal(
            *(replace(each, kind="poison", content=poisons[each.key]) if each.key in poisons else each for each in records)
        )

    listener = MllpListener(MllpConfig(port=0), intake, source="cty-lis", facility="CTY", hints={}, clock=lambda: NOW)
    listener.start()
    try:
        with MllpClient("127.0.0.1", listener.port, timeout=60) as sender:
            yield sender
    finally:
        listener.stop()
