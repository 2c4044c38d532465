"""Every public sample file goes in by the front door: MLLP, or the inbox, of a hub without county.toml."""

from __future__ import annotations

import re
import socket
import time
from collections import Counter
from pathlib import Path

import pytest

from connectors.hl7v2_mllp.framing import FrameReader, frame
from hub.app import open_hub
from hub.cli.serve import with_channels
from hub.ingest.run import IntakeService
from hub.settings import County
from hub.store.port import Outcome
from tests.samples import sample_files

pytestmark = pytest.mark.slow


class RunningIntake:
    """A hub's intake on free ports in a folder of its own."""

    def __init__(self, data: Path) -> None:
        county = with_channels(County(), data, host="127.0.0.1", mllp_port=0, dicom_port=0)
        self.hub = open_hub(data, county)
        self.intake = IntakeService(data, county, self.hub.store, self.hub.blobs, clock=self.hub.clock)
        self.inbox = data / "inbox"

    def __enter__(self) -> RunningIntake:
        self.intake.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.intake.stop()
        self.hub.close()

    @property
    def mllp_port(self) -> int:
        return int(getattr(self.intake.connector("mllp"), "port"))  # noqa: B009

    def outcomes(self, source: str) -> list[Outcome]:
        assert self.intake.pipeline.wait_until_idle(60)
        return self.hub.store.outcomes(source=source, limit=10_000)


@pytest.fixture
def running(tmp_path: Path):
    with RunningIntake(tmp_path / "data") as intake:
        yield intake


PROBE = b"MSH|^~\\&|LIS|CTY|||20260501||MFN^M02|probe|P|2.5||||||UNICODE UTF-8\rMFI|PRA\r"


def _answer(running: RunningIntake, path: Path) -> str:
    """The acknowledgement code; "none" where the message asks for no answer to a success (MSH-15, MSH-16: NE, ER)."""
    content = path.read_bytes()
    with socket.create_connection(("127.0.0.1", running.mllp_port), timeout=60) as connection:
        connection.sendall(frame(content))
        if b"|NE|NE" in content or b"|||ER\n" in content:  # then what is answered first says whether it was
            connection.sendall(frame(PROBE))
        answer = _first_answer(connection)
    found = re.search(rb"MSA.([AC][AER]).([^|\r]*)", answer)
    assert found, f"{path.name} was answered without MSA"
    return "none" if found[2] == b"probe" else found[1].decode()


def _first_answer(connection: socket.socket) -> bytes:
    reader = FrameReader(1 << 20)
    while data := connection.recv(65536):
        if blocks := reader.feed(data):
            return blocks[0]
    raise AssertionError("the listener closed the connection")


def test_every_hl7v2_sample_is_answered_and_ends_mapped_or_dead_with_its_reason(running: RunningIntake):
    files = sample_files("hl7v2", "*.hl7")
    assert len(files) == 79
    answers = Counter(_answer(running, path) for path in files)
    outcomes = running.outcomes("mllp")
    received = running.intake.journal.counts()["mllp"]
    assert received.received == len(outcomes) >= len(files) - received.duplicates
    assert {outcome.state for outcome in outcomes} == {"done", "dead"}
    assert all(outcome.reason for outcome in outcomes if outcome.state == "dead")
    assert [(o.seq, o.kind, dict(o.ledger), list(o.issues)) for o in outcomes if o.state == "done" and not o.resources] == []
    assert sum(outcome.state == "done" for outcome in outcomes) >= 60
    assert answers == {"AA": 53, "CA": 13, "AR": 4, "none": 9}
    assert not [outcome.reason for outcome in outcomes if "Error" in outcome.reason]


def test_every_cda_sample_dropped_into_the_inbox_ends_mapped_or_dead_with_its_reason(running: RunningIntake):
    files = sample_files("cda", "*.xml")
    assert len(files) == 14
    for path in files:
        part = running.inbox / f".{path.name}.part"
        part.write_bytes(path.read_bytes())
        part.rename(running.inbox / path.name)
    until = time.monotonic() + 60
    while running.intake.journal.counts().get("inbox") is None or running.intake.journal.counts()["inbox"].received < len(files):
        assert time.monotonic() < until, "the inbox was not emptied"
        running.intake.journal.wait_for_more(running.intake.journal.last, 0.2)
    outcomes = running.outcomes("inbox")
    assert len(outcomes) == len(files)
    assert all(outcome.reason for outcome in outcomes if outcome.state == "dead")
    assert all(outcome.resources for outcome in outcomes if outcome.state == "done")
    reasons = Counter(outcome.reason for outcome in outcomes if outcome.state == "dead")
    assert reasons == {"neither the channel nor the document's custodian states a facility": 1}
    assert not list(running.inbox.glob("*.xml"))
