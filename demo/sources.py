"""The county's systems at work: each a thread that speaks its real protocol to the hub over loopback."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from connectors.dicom.sender import send
from connectors.hl7v2_mllp.client import MllpClient
from demo.emr import documents
from demo.his import HospitalDatabase
from demo.lis import LaboratorySystem, Message
from demo.pacs import Study, studies
from demo.people import FACILITIES, Person
from demo.story import Visit

LOOPBACK = "127.0.0.1"
REGISTERED = timedelta(days=90)  # everybody was registered before the first visit


@dataclass(slots=True)
class Feed:
    """One system's sending: how much there is, how much was acknowledged, and why it stopped if it did."""

    source: str  # the channel's name
    protocol: str
    total: int
    acknowledged: int = 0
    error: str = ""
    thread: threading.Thread | None = field(default=None, repr=False)


def fill_databases(
    databases: Mapping[str, HospitalDatabase], people: Sequence[Person], visits: Sequence[Visit], now: datetime
) -> None:
    """What the hospital systems hold before the hub looks for the first time.

    Their rows were changed when the story says. Written while the hub polls, they would appear behind its watermark.
    """
    for database in databases.values():
        database.register(people, now - REGISTERED)
        database.record(visits)


def start_feeds(
    people: Sequence[Person],
    visits: Sequence[Visit],
    *,
    databases: Mapping[str, HospitalDatabase],
    drops: Mapping[str, Path],
    ports: Mapping[str, int],
    now: datetime,
    seed: int,
) -> list[Feed]:
    """Start every system; each feed counts as it goes."""
    registered = now - REGISTERED
    feeds = [_laboratory(f, people, visits, ports[f"mllp_{f.lower()}"], registered) for f in FACILITIES]
    feeds.append(_imaging(studies(visits, seed), ports["dicom"]))
    feeds += [Feed(f"{f.lower()}-his", "SQL views (SQLite)", databases[f].rows) for f in FACILITIES]  # polled, not sent
    feeds += [_documents(f, folder, visits) for f, folder in drops.items()]
    return feeds


def _start(feed: Feed, work: Callable[[], None]) -> Feed:
    def run() -> None:
        try:
            work()
        except Exception as error:  # the demo shows it and stops
            feed.error = f"{type(error).__name__}: {error}"

    feed.thread = threading.Thread(target=run, name=feed.source, daemon=True)
    feed.thread.start()
    return feed


def _laboratory(facility: str, people: Iterable[Person], visits: Iterable[Visit], port: int, registered: datetime) -> Feed:
    system = LaboratorySystem(facility)
    messages: list[Message] = [*system.registrations(people, registered), *system.orders_and_results(visits)]
    feed = Feed(f"{facility.lower()}-lis", f"HL7 v2 {system.version}, {system.charset.upper()}, MLLP", len(messages))

    def work() -> None:
        with MllpClient(LOOPBACK, port) as client:
            for message in messages:
                answer = client.send(message.content)
                if b"MSA|AA" not in answer:
                    raise RuntimeError(f"message {message.control_id} was not accepted")
                feed.acknowledged += 1

    return _start(feed, work)


def _imaging(every: Sequence[Study], port: int) -> Feed:
    feed = Feed("county-pacs", "DICOM C-STORE", sum(len(s.instances) for s in every))

    def work() -> None:
        for study in every:
            statuses = send(LOOPBACK, port, study.instances, study.calling_ae)
            if any(statuses):
                raise RuntimeError(f"C-STORE was refused with {max(statuses):#06x}")
            feed.acknowledged += len(statuses)

    return _start(feed, work)


def _documents(facility: str, folder: Path, visits: Iterable[Visit]) -> Feed:
    written = list(documents(facility, visits))
    feed = Feed(f"{facility.lower()}-emr", "WS/T 500 CDA, files", len(written))

    def work() -> None:
        for name, content in written:
            part = folder / f".{name}.part"
            part.write_bytes(content)
            part.rename(folder / name)  # atomic: the hub never sees half a file

    return _start(feed, work)
