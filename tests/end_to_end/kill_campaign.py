"""kill -9 of the hub at random moments while a laboratory sends: each acknowledged message has one effect, none half of one.

    python -m tests.end_to_end.kill_campaign --kills 200 --seed 7

What is killed is `yitong serve`; `--command` names another. It is given --data and --config, and listens for MLLP on the
port that the configuration states.
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
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import apsw

from connectors.base import SourceUnavailable
from connectors.hl7v2_mllp.client import MllpClient
from hub.clock import utc_ms
from hub.fhir_json import load
from hub.ingest.journal import Journal
from hub.ingest.mapping import MapperPool
from hub.ingest.pipeline import Pipeline
from hub.search.query import SearchQuery
from hub.settings import County
from hub.store.blobs import BlobStore
from hub.store.port import EVERYTHING, Key, Version
from hub.store.sqlite import SqliteStore
from tests.hub.ingest.messages import oru

CHILD = f"{shlex.quote(sys.executable)} -m hub serve --port 0"
START_SECONDS = 60
OUTCOMES = "SELECT count(*) FROM outcome"
ITEMS = 5
PAUSE = 0.02  # seconds between two reports: the pipeline works while the laboratory sends
LOOKS = 4  # every so many kills somebody looks at what is on disk before the hub starts again


@dataclass
class Campaign:
    kills: int
    seed: int
    command: str = CHILD
    longest: float = 1.0  # seconds a hub lives once it answers or stores
    facts: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)  # what must not be
    _done: int = 0  # records with an outcome at the last look

    def run(self) -> Campaign:
        folder = Path(tempfile.mkdtemp(prefix="kill-campaign-"))
        try:
            with socket.create_server(("127.0.0.1", 0)) as held:
                port = held.getsockname()[1]
            laboratory = Laboratory(port, self.seed)
            laboratory.start()
            self._kill_again_and_again(folder, port, laboratory)
            laboratory.stop()
            self._check(folder, laboratory)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return self

    def _kill_again_and_again(self, folder: Path, port: int, laboratory: Laboratory) -> None:
        chance = random.Random(self.seed)
        config = folder / "county.toml"
        config.write_text(
            f'[[facility]]\ncode = "CTY"\nname = "示范县人民医院"\n'
            f'[[channel]]\nname = "cty-lis"\nconnector = "hl7v2_mllp"\nfacility = "CTY"\nport = {port}\n',
            "utf-8",
        )
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
                reached = laboratory.answer_comes() if moment == "answering" else _more_is_stored(data / "store.sqlite")
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

    def _check(self, folder: Path, laboratory: Laboratory) -> None:
        data = folder / "data"
        blobs = BlobStore(data / "blobs")
        journal, store = Journal(data, blobs), SqliteStore(data)
        pipeline = Pipeline(journal, store, MapperPool({}, data / "blobs"), county=County(), clock=utc_ms)
        while pipeline.run_once():
            pass
        journaled = {entry.record.key: entry for entry in journal.after(0, 1_000_000)}
        self.facts["sent"] = laboratory.sent
        self.facts["acknowledged"] = len(laboratory.acknowledged)
        self.facts["journaled"] = len(journaled)
        self.facts["repeats"] = sum(entry.duplicates for entry in journaled.values())
        self._acknowledged_are_kept(laboratory, set(journaled))
        self._one_effect_each(store, len(journal.after(0, 1_000_000)))
        pipeline.stop()
        journal.close()
        store.close()
        for name in ("journal.sqlite", "store.sqlite"):
            with apsw.Connection(str(data / name)) as connection:
                answer = connection.pragma("integrity_check")
                self._must(answer == "ok", f"{name}: integrity_check: {answer}")
            connection.close()

    def _acknowledged_are_kept(self, laboratory: Laboratory, keys: set[str]) -> None:
        for number in laboratory.acknowledged:
            self._must(f"M{number}" in keys, f"message {number} was acknowledged and is not in the journal")

    def _one_effect_each(self, store: SqliteStore, journaled: int) -> None:
        outcomes = store.outcomes(limit=10_000_000)
        self.facts["outcomes"] = len(outcomes)
        self._must([o.seq for o in outcomes] == list(range(1, journaled + 1)), "not one outcome a journal record")
        reports, observations = _all(store, "DiagnosticReport"), _all(store, "Observation")
        self.facts["reports"], self.facts["observations"] = len(reports), len(observations)
        self.facts["audit events"] = len(_all(store, "AuditEvent"))
        self._must(self.facts["audit events"] == journaled, "not one audit event a record")
        self._must(len(reports) == journaled, "not one report a record")
        claimed: Counter[str] = Counter()
        for outcome in outcomes:
            self._must(outcome.state == "done", f"record {outcome.seq} is {outcome.state}: {outcome.reason}")
            self._must(outcome.attempts == 1, f"record {outcome.seq} was done {outcome.attempts} times")
            missing = [r for r in outcome.resources if not store.read_many([Key(*r.split("/"))])]
            self._must(not missing, f"record {outcome.seq}: {len(missing)} of its resources are not there")
        for report in reports.values():
            results = [result["reference"].removeprefix("Observation/") for result in load(report.body).get("result", ())]
            claimed.update(results)
            self._must(len(results) == ITEMS, f"a report with {len(results)} results")
            self._must(all(result in observations for result in results), "a report without its observations")
        self._must(set(claimed) == set(observations), "observations without a report")
        self._must(all(count == 1 for count in claimed.values()), "an observation of two reports")
        for version in (*reports.values(), *observations.values()):
            self._must(version.version == 1, f"{version.type} in version {version.version}")

    def _must(self, holds: bool, otherwise: str) -> None:
        self.facts["checks"] += 1
        if not holds:
            self.broken.append(otherwise)

    def table(self) -> str:
        lines = [f"{name:32} {value:>8}" for name, value in self.facts.items()]
        verdict = [f"{'broken promises':32} {len(self.broken):>8}", *(f"  {line}" for line in self.broken[:20])]
        return "\n".join([f"seed {self.seed}", *lines, *verdict])


class Laboratory(threading.Thread):
    """Sends report after report, each until it is acknowledged, and now and then one again."""

    def __init__(self, port: int, seed: int) -> None:
        super().__init__(name="laboratory", daemon=True)
        self.sent = 0
        self.answers = 0
        self.acknowledged: set[int] = set()
        self._chance = random.Random(seed + 1)
        self._client = MllpClient("127.0.0.1", port, timeout=20)
        self._answered = threading.Condition()
        self._ended = threading.Event()

    def run(self) -> None:
        number = 0
        while not self._ended.is_set():
            number += 1
            while not self._ended.is_set() and not self._delivered(number):
                self._ended.wait(0.02)
            self._ended.wait(PAUSE)
            if self._chance.random() < 0.05:
                self._delivered(self._chance.randint(1, number))

    def _delivered(self, number: int) -> bool:
        try:
            answer = self._client.send(oru(number, items=ITEMS, patient=f"P{number % 50}"))
        except SourceUnavailable:
            return False
        self.sent += 1
        if b"MSA|AA|" not in answer:
            return False
        self.acknowledged.add(number)
        with self._answered:
            self.answers += 1
            self._answered.notify_all()
        return True

    def answer_comes(self) -> bool:
        with self._answered:
            before = self.answers
            return self._answered.wait_for(lambda: self.answers > before, START_SECONDS)

    def stop(self) -> None:
        self._ended.set()
        self.join(30)
        self._client.close()


def _all(store: SqliteStore, kind: str) -> dict[str, Version]:
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
    options.add_argument("--command", default=CHILD)
    options.add_argument("--longest", type=float, default=1.0)
    given = options.parse_args()
    started = time.monotonic()
    campaign = Campaign(given.kills, given.seed, given.command, given.longest).run()
    print(campaign.table())
    print(f"{'seconds':32} {time.monotonic() - started:>8.0f}")
    sys.exit(bool(campaign.broken))


if __name__ == "__main__":
    main()
