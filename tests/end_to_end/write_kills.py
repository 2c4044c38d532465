"""kill -9 of the intake at each of its write and sync calls: strace ends the process at the n-th call that touches a file.

    python -m tests.end_to_end.write_kills [--every 1]

One life takes in a fixed list of records, one after the other; each acknowledgement is noted outside. At the chosen call it dies.
The next life opens what is on disk, the sender sends again what was not acknowledged and all that came after, and the end must be
that of a life which nobody disturbed: the same resources in the same versions, each record with one outcome. https://strace.io

A process of its own, for a life is forked: it must not be done where other threads hold locks.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from connectors.base import SourceRecord
from hub.fhir_json import load
from hub.ingest.run import IntakeService
from hub.settings import Channel, County, Facility
from hub.store.blobs import BlobStore
from hub.store.port import EVERYTHING
from hub.store.sqlite import SqliteStore
from tests.hub.ingest.messages import oru

RECORDS = 50
LIFE_SECONDS = 120.0
LONG = 80_000  # bytes of a note that goes to the blobs
COUNTY = County(
    facility=(Facility(code="CTY", name="示范县人民医院"),),
    channel=(Channel(name="cty-lis", connector="hl7v2_mllp", facility="CTY", options={"port": 0}),),
)
PR_SET_PTRACER = 0x59616D61
NOT_COMPARED = frozenset({"AuditEvent"})  # of a replayed record there may be one more
VOLATILE = ("meta", "recorded")


class Place(NamedTuple):
    """Calls that may be a life's last: those of `calls` on the files `paths`; without paths, wherever they go."""

    name: str
    calls: str
    paths: tuple[str, ...] = ()


DATABASE_CALLS = "pwrite64,fdatasync,fsync,ftruncate"
PLACES = (
    Place("journal", DATABASE_CALLS, ("journal.sqlite", "journal.sqlite-wal")),
    Place("store", DATABASE_CALLS, ("store.sqlite", "store.sqlite-wal")),
    Place("originals", "rename,renameat,renameat2,link,linkat,unlink"),
)


def records() -> list[SourceRecord]:
    """Reports of twelve patients; every tenth carries a document too long for a row of the journal."""
    made = []
    for number in range(1, RECORDS + 1):
        content = oru(number, patient=f"P{number % 12}", value=f"{number / 10:.2f}")
        if not number % 10:
            content += b"NTE|1||" + (b"%08d " % number) * (LONG // 9) + b"\r"
        made.append(SourceRecord("cty-lis", "CTY", "hl7v2", f"M{number}", content, datetime(2024, 5, 1, 8, tzinfo=UTC)))
    return made


# -- one life


def live(folder: Path, told: int) -> None:
    """Take in every record and tell of each acknowledgement; end when all have their outcome."""
    service, store = _opened(folder)
    service.pipeline.start()
    for number, record in enumerate(records()):
        service.journal(record)
        os.write(told, b"%d\n" % number)
    assert service.pipeline.wait_until_idle(LIFE_SECONDS)
    service.stop()
    store.close()


def _opened(folder: Path) -> tuple[IntakeService, SqliteStore]:
    data = folder / "data"
    store = SqliteStore(data)
    return IntakeService(data, COUNTY, store, BlobStore(data / "blobs")), store


class Forked(NamedTuple):
    """A life that waits to be let go."""

    process: int
    told: int  # to read its acknowledgements from
    go: int  # to write a byte into, and it begins


def _forked(folder: Path) -> Forked:
    reading, told = os.pipe()
    waiting, go = os.pipe()
    process = os.fork()
    if process:
        os.close(told)
        os.close(waiting)
        return Forked(process, reading, go)
    code = 1
    try:
        os.close(reading)
        ctypes.CDLL(None).prctl(PR_SET_PTRACER, ctypes.c_ulong(-1), 0, 0, 0)  # where only a parent may trace
        os.read(waiting, 1)
        live(folder, told)
        code = 0
    finally:
        os._exit(code)
    raise AssertionError


def _traced(process: int, folder: Path, place: Place, *more: str) -> subprocess.Popen[bytes]:
    command = ["strace", "-f", "-qq", "-o", str(folder / "trace"), "-e", f"trace={place.calls}", "-e", "signal=none"]
    for path in place.paths:
        command += ["-P", str(folder / "data" / path)]
    tracer = subprocess.Popen([*command, *more, "-p", str(process)], stderr=subprocess.PIPE)
    status = Path(f"/proc/{process}/status")
    end = time.monotonic() + 30
    while not re.search(r"TracerPid:\s*[1-9]", status.read_text()):
        assert tracer.poll() is None, tracer.stderr.read() if tracer.stderr else ""
        assert time.monotonic() < end
        time.sleep(0.005)
    return tracer


def _lived(life: Forked, tracer: subprocess.Popen[bytes]) -> tuple[int, int]:
    """Let it go: (how many acknowledgements it told of, its exit status)."""
    os.write(life.go, b"!")
    os.close(life.go)
    told = b""
    while piece := os.read(life.told, 65_536):
        told += piece
    os.close(life.told)
    _, status = os.waitpid(life.process, 0)
    tracer.wait(30)
    return told.count(b"\n"), status


# -- the campaign


@dataclass
class Campaign:
    every: int = 1  # only each n-th call is a life's last
    start: int = 1
    facts: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)

    def run(self) -> Campaign:
        with _folder() as folder:
            reference = self._undisturbed(folder)
        for place in PLACES:
            for call in range(self.start, self._calls(place) + 1, self.every):
                self._die_at(place, call, reference)
        return self

    def _undisturbed(self, folder: Path) -> dict[str, Any]:
        service, store = _opened(folder)
        service.pipeline.start()
        service.journal(*records())
        assert service.pipeline.wait_until_idle(LIFE_SECONDS)
        seen = state(service, store)
        service.stop()
        store.close()
        return seen

    def _calls(self, place: Place) -> int:
        """How many such calls an undisturbed life makes in its busiest thread: strace counts each thread's."""
        with _folder() as folder:
            life = _forked(folder)
            told, status = _lived(life, _traced(life.process, folder, place))
            assert (told, status) == (RECORDS, 0)
            threads = Counter(line.split(None, 1)[0] for line in (folder / "trace").read_text().splitlines() if "(" in line)
            self.facts[f"calls at the {place.name}"] = sum(threads.values())
            return max(threads.values(), default=0)

    def _die_at(self, place: Place, call: int, reference: dict[str, Any]) -> None:
        with _folder() as folder:
            life = _forked(folder)
            injected = ("-e", f"inject={place.calls}:signal=KILL:when={call}")
            told, status = _lived(life, _traced(life.process, folder, place, *injected))
            self.facts["lives"] += 1
            self.facts[f"killed at the {place.name}"] += os.WIFSIGNALED(status)
            self.facts["acknowledged before the kill"] += told
            self.broken += [f"{place.name}, call {call}: {fault}" for fault in self._after(folder, told, reference)]

    def _after(self, folder: Path, told: int, reference: dict[str, Any]) -> Iterator[str]:
        service, store = _opened(folder)
        try:
            kept = service.journal.newest()
            if kept < told:
                yield f"{told} acknowledged, {kept} kept"
            service.pipeline.start()
            service.journal(*records()[told:])
            if not service.pipeline.wait_until_idle(LIFE_SECONDS):
                yield "not every record came to an outcome"
            seen = state(service, store)
            for name in sorted(reference.keys() | seen.keys()):
                if reference.get(name) != seen.get(name):
                    yield f"{name} differs from the undisturbed life's"
        finally:
            service.stop()
            store.close()

    def table(self) -> str:
        lines = [f"{name:34} {number:>8,}" for name, number in self.facts.items()]
        return "\n".join([*lines, f"{'broken promises':34} {len(self.broken):>8,}", *self.broken[:20]])


def state(service: IntakeService, store: SqliteStore) -> dict[str, Any]:
    """What a client could tell: every version of every resource, and each record's outcome."""
    found: dict[str, Any] = {}
    after: str | None = None
    while True:
        page = store.changes(EVERYTHING, count=500, after=after)
        for version in page.versions:
            if version.type not in NOT_COMPARED:
                body = load(version.body)
                found[f"{version.type}/{version.id}/{version.version}"] = {k: v for k, v in body.items() if k not in VOLATILE}
        if page.next is None:
            break
        after = page.next
    for outcome in store.outcomes(limit=10_000):
        found[f"record {outcome.seq}"] = (outcome.state, tuple(sorted(outcome.resources)))
    found["records"] = service.journal.newest()
    return found


class _folder:
    """A new folder, gone afterwards with what it held."""

    def __enter__(self) -> Path:
        self._path = Path(tempfile.mkdtemp(prefix="write-kills-"))
        return self._path

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._path, ignore_errors=True)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--every", type=int, default=1, help="die only at each n-th call")
    options.add_argument("--start", type=int, default=1, help="the first call to die at")
    given = options.parse_args()
    began = time.monotonic()
    campaign = Campaign(given.every, given.start).run()
    sys.stdout.write(f"{campaign.table()}\n{'seconds':34} {time.monotonic() - began:>8,.0f}\n")
    return 1 if campaign.broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
