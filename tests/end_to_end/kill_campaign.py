"""kill -9 of the hub at random moments while a county sends: what was acknowledged has one effect, nothing has half of one.

    python -m tests.end_to_end.kill_campaign --kills 1000 --seed 7 [--doors mllp sql files dicom]

What is killed is `yitong serve`; `--command` names another. It is given --data and --config. Afterwards every record is looked at,
and all of them are given, shuffled, to a hub that nobody kills: both must have come to the same resources.
"""

from __future__ import annotations

import argparse
import os
import random
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw

from hub.app import Hub, open_hub
from hub.fhir_json import load
from hub.ingest.journal import Entry
from hub.ingest.run import IntakeService
from hub.search.query import SearchQuery
from hub.settings import County, load_county
from hub.store.port import EVERYTHING, Key, ResourceStore, Version
from tests.end_to_end.senders import START_SECONDS, Documents, Hospital, Imaging, Laboratory, Sender, county

CHILD = f"{shlex.quote(sys.executable)} -m hub serve --port 0"
DRAIN_SECONDS = 600.0
DOORS = ("mllp", "sql", "files", "dicom")
NOT_COMPARED = frozenset({"AuditEvent", "Provenance", "Task"})
"""The first two name the moment and the record's number; a doubt about who is who arises in an order, and waits for a person."""
OUTCOMES = "SELECT count(*) FROM outcome"
LOOKS = 4  # every so many kills somebody looks at what is on disk before the hub starts again


@dataclass
class Campaign:
    kills: int
    seed: int
    doors: tuple[str, ...] = DOORS
    command: str = CHILD
    longest: float = 1.0  # seconds a hub lives once it answers or stores
    facts: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)  # what must not be
    _done: int = 0  # records with an outcome at the last look

    def run(self) -> Campaign:
        folder = Path(tempfile.mkdtemp(prefix="kill-campaign-"))
        try:
            senders = senders_of(folder, self.doors, self.seed)
            for sender in senders:
                sender.start()
            self._kill_again_and_again(folder, senders)
            for sender in senders:
                sender.stop()
            self._check(folder, senders)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return self

    def _kill_again_and_again(self, folder: Path, senders: Sequence[Sender]) -> None:
        chance = random.Random(self.seed)
        config = folder / "county.toml"
        config.write_text(county(senders), "utf-8")
        data = folder / "data"
        data.mkdir()
        for number in range(1, self.kills + 1):
            hub = subprocess.Popen(
                [*shlex.split(self.command), "--data", str(data), "--config", str(config)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            moment = chance.choices(("starting", "answering", "storing"), (1, 4, 5))[0]
            if moment == "starting":
                time.sleep(chance.uniform(0, 1.5))  # while it starts, recovers, binds
            else:
                reached = (
                    chance.choice(senders).next_is_delivered() if moment == "answering" else _more_is_stored(data / "store.sqlite")
                )
                if not reached:
                    os.killpg(hub.pid, signal.SIGKILL)
                    raise RuntimeError(f"kill {number}: nothing within {START_SECONDS} s; exit {hub.poll()}")
                time.sleep(chance.uniform(0, self.longest))
            self.facts[f"killed while {moment}"] += 1
            os.kill(hub.pid, signal.SIGKILL)
            hub.wait()
            self.facts["kills"] += 1
            if number % LOOKS == 0:
                self._look(data)

    def _look(self, data: Path) -> None:
        """Did the kill hit anything? A campaign that interrupts nothing proves nothing."""
        done = _count(data / "store.sqlite", OUTCOMES)
        waiting = _count(data / "journal.sqlite", "SELECT count(*) FROM record") - done
        self.facts["looks"] += 1
        self.facts["looks with records under way"] += waiting > 0
        self.facts["records under way when looked"] += max(waiting, 0)
        self.facts["looks with more records done"] += done > self._done
        self._done = done

    def _check(self, folder: Path, senders: Sequence[Sender]) -> None:
        data = folder / "data"
        settings = load_county(folder / "county.toml")
        service, hub = _opened(data, settings)
        service.start()
        wanted = {(sender.name, key) for sender in senders for key in sender.delivered}
        kept = self._drained(service, wanted)
        self.facts["sent"] = sum(sender.sent for sender in senders)
        for sender in senders:
            self.facts[f"delivered by {sender.name}"] = len(sender.delivered)
        self.facts["records kept"] = len(kept)
        self.facts["repeats"] = sum(entry.duplicates for entry in kept)
        there = {name_of(entry) for entry in kept}
        for source, key in sorted(wanted):
            self._must((source, key) in there, f"{source}: {key} was delivered and is not in the journal")
        self._one_effect_each(hub.store, len(kept))
        self._as_if_nobody_had_killed(folder, settings, hub.store, kept)
        service.stop()
        hub.close()
        for name in ("journal.sqlite", "store.sqlite"):
            with apsw.Connection(str(data / name)) as connection:
                answer = connection.pragma("integrity_check")
                self._must(answer == "ok", f"{name}: integrity_check: {answer}")
            connection.close()

    def _drained(self, service: IntakeService, wanted: set[tuple[str, str]]) -> list[Entry]:
        """All that is kept, once what a channel still had to fetch is there too and everything has its outcome."""
        end = time.monotonic() + DRAIN_SECONDS
        while True:
            service.pipeline.wait_until_idle(DRAIN_SECONDS)
            kept = [service.journal.loaded(entry) for entry in service.journal.after(0, 10_000_000)]
            if wanted <= {name_of(entry) for entry in kept} or time.monotonic() > end:
                return kept
            time.sleep(0.5)

    def _one_effect_each(self, store: ResourceStore, kept: int) -> None:
        outcomes = store.outcomes(limit=10_000_000)
        self.facts["outcomes"] = len(outcomes)
        self._must([o.seq for o in outcomes] == list(range(1, kept + 1)), "not one outcome a record")
        self.facts["audit events"] = len(_all(store, "AuditEvent"))
        self._must(self.facts["audit events"] == kept, "not one audit event a record")
        for outcome in outcomes:
            self._must(outcome.state == "done", f"record {outcome.seq} is {outcome.state}: {outcome.reason}")
            self._must(outcome.attempts == 1, f"record {outcome.seq} was done {outcome.attempts} times")
            missing = [r for r in outcome.resources if not store.read_many([Key(*r.split("/"))])]
            self._must(not missing, f"record {outcome.seq}: {len(missing)} of its resources are not there")
        for name in ("DiagnosticReport", "Observation", "ImagingStudy"):
            found = _all(store, name)
            self.facts[name] = len(found)
            for version in found.values():
                self._must(version.version == 1, f"{name} in version {version.version}")

    def _as_if_nobody_had_killed(self, folder: Path, settings: County, store: ResourceStore, kept: list[Entry]) -> None:
        """The same records in another order, without a kill between them, come to the same resources."""
        records = [entry.record for entry in kept]
        random.Random(self.seed).shuffle(records)
        quiet, beside = _opened(folder / "quiet", settings)
        quiet.pipeline.start()
        for start in range(0, len(records), 200):
            quiet.journal(*records[start : start + 200])
        self._must(quiet.pipeline.wait_until_idle(DRAIN_SECONDS), "the quiet hub did not finish")
        ours, theirs = newest(store), newest(beside.store)
        self.facts["resources compared"] = len(theirs)
        for name in sorted(ours.keys() | theirs.keys()):
            self._must(ours.get(name) == theirs.get(name), f"{name} is not as in a hub that nobody killed")
        quiet.stop()
        beside.close()

    def _must(self, holds: bool, otherwise: str) -> None:
        self.facts["checks"] += 1
        if not holds:
            self.broken.append(otherwise)

    def table(self) -> str:
        lines = [f"{name:32} {value:>8}" for name, value in self.facts.items()]
        verdict = [f"{'broken promises':32} {len(self.broken):>8}", *(f"  {line}" for line in self.broken[:20])]
        return "\n".join([f"seed {self.seed}", *lines, *verdict])


def senders_of(folder: Path, doors: Sequence[str], seed: int) -> list[Sender]:
    with socket.create_server(("127.0.0.1", 0)) as mllp, socket.create_server(("127.0.0.1", 0)) as dicom:
        ports = mllp.getsockname()[1], dicom.getsockname()[1]
    every = {
        "mllp": lambda: Laboratory(ports[0], seed),
        "sql": lambda: Hospital(folder, seed),
        "files": lambda: Documents(folder, seed),
        "dicom": lambda: Imaging(ports[1], seed),
    }
    return [every[door]() for door in doors]


def _opened(data: Path, settings: County) -> tuple[IntakeService, Hub]:
    hub = open_hub(data, settings)
    return IntakeService(data, settings, hub.store, hub.blobs), hub


def name_of(entry: Entry) -> tuple[str, str]:
    """Its channel and key; of a file without the hash of its content."""
    return entry.record.source, entry.record.key.partition("#")[0]


def newest(store: ResourceStore) -> dict[str, Any]:
    """Type/id → what it says now, but for when it was written and as which record."""
    found: dict[str, Any] = {}
    after: str | None = None
    while True:
        page = store.changes(EVERYTHING, count=1000, after=after)
        for version in page.versions:
            name = f"{version.type}/{version.id}"
            if name not in found and version.type not in NOT_COMPARED:
                found[name] = {key: value for key, value in load(version.body).items() if key != "meta"}
        if page.next is None:
            return found
        after = page.next


def _all(store: ResourceStore, kind: str) -> dict[str, Version]:
    found: dict[str, Version] = {}
    query = SearchQuery(kind, count=1000)
    while True:
        page = store.search(query, EVERYTHING)
        found |= {version.id: version for version in page.matches}
        if page.next is None:
            return found
        query = SearchQuery(kind, count=1000, after=page.next)


def _count(path: Path, sql: str) -> int:
    if not path.exists():
        return 0
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        return int(connection.execute(sql).get)
    except (apsw.SQLError, apsw.BusyError):  # killed before the tables were made; or being opened just now
        return 0
    finally:
        connection.close()


def _more_is_stored(path: Path) -> bool:
    """True as soon as the pipeline has given another record its effect."""
    before, until = _count(path, OUTCOMES), time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if _count(path, OUTCOMES) > before:
            return True
        time.sleep(0.02)
    return False


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--kills", type=int, default=200)
    options.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    options.add_argument("--doors", nargs="+", choices=DOORS, default=DOORS, help="by which records come")
    options.add_argument("--command", default=CHILD)
    options.add_argument("--longest", type=float, default=1.0)
    given = options.parse_args()
    started = time.monotonic()
    campaign = Campaign(given.kills, given.seed, tuple(given.doors), given.command, given.longest).run()
    print(campaign.table())
    print(f"{'seconds':32} {time.monotonic() - started:>8.0f}")
    sys.exit(bool(campaign.broken))


if __name__ == "__main__":
    main()
