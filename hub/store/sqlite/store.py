"""The port's ResourceStore over SQLite.

A write waits for the one writing thread; a read takes a connection of its own from the pool and never waits for it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

import apsw

from hub.clock import utc_ms
from hub.search.query import SearchQuery
from hub.store.port import EVERYTHING, Key, Outcome, Scope, SearchPage, SourceTally, Transaction, UnmappedCode, Version
from hub.store.sqlite import outcomes, people, versions
from hub.store.sqlite.functions import register
from hub.store.sqlite.indexer import Indexer, standard_indexer
from hub.store.sqlite.lock import WAIT_SECONDS, FolderLock
from hub.store.sqlite.names import Names, NewNames
from hub.store.sqlite.readers import Readers, limited
from hub.store.sqlite.reindex import Progress, reindex
from hub.store.sqlite.schema import connect, prepare
from hub.store.sqlite.search import STANDARD, Search, Thresholds
from hub.store.sqlite.transaction import SqliteTransaction
from hub.store.sqlite.writer import Writer

T = TypeVar("T")

STATEMENT_SECONDS = 10.0


class SqliteStore:
    """`folder`/store.sqlite, owned by this process until `close`. Raise Unavailable if another process has it."""

    def __init__(
        self,
        folder: Path,
        *,
        clock: Callable[[], int] = utc_ms,
        indexer: Indexer | None = None,
        statement_seconds: float = STATEMENT_SECONDS,
        lock_seconds: float = WAIT_SECONDS,
        thresholds: Thresholds = STANDARD,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = FolderLock(folder / "store.lock", wait=lock_seconds)
        self._path = folder / "store.sqlite"
        self._clock = clock
        self._indexer = indexer or standard_indexer()
        self._limit = statement_seconds
        self._thresholds = thresholds
        self._closed = False
        self._names = Names()
        self._new_names = NewNames()
        try:
            self._writing = connect(self._path, writing=True)
            prepare(self._writing)
        except BaseException:
            self._lock.release()
            raise
        register(self._writing, self._indexer)
        self._transaction = SqliteTransaction(
            self._writing, clock=clock, indexer=self._indexer, names=self._new_names, find=self._find
        )
        self._readers = Readers(self._path, lambda connection: register(connection, self._indexer))
        self._writer = Writer(self._writing, rolled_back=self._new_names.forget)

    def write(self, work: Callable[[Transaction], T]) -> Future[T]:
        return self._writer.submit(lambda: work(self._transaction))

    def _find(self, connection: apsw.Connection, query: SearchQuery, limit: int) -> list[Key]:
        with limited(connection, self._limit):
            return Search(connection, self._new_names, self._indexer, query, EVERYTHING, self._thresholds).keys(limit)

    # -- reading
    def read(self, key: Key) -> Version:
        with self._readers.borrow() as connection:
            return versions.read(connection, key)

    def vread(self, key: Key, version: int) -> Version:
        with self._readers.snapshot() as connection:
            return versions.vread(connection, key, version)

    def history(self, key: Key, *, count: int, before: int | None = None) -> list[Version]:
        with self._readers.snapshot() as connection:
            return versions.history(connection, key, count=count, before=before)

    def read_many(self, keys: Iterable[Key]) -> list[Version]:
        with self._readers.snapshot() as connection:
            return versions.read_many(connection, keys)

    def search(self, query: SearchQuery, scope: Scope) -> SearchPage:
        with self._readers.snapshot() as connection, limited(connection, self._limit):
            return Search(connection, self._names, self._indexer, query, scope, self._thresholds).page()

    def visible(self, version: Version, scope: Scope) -> bool:
        if scope.everything:
            return True
        if scope.types is not None and version.type not in scope.types:
            return False
        if not version.patient and version.type in scope.shared_types:
            return True
        if not scope.facility:
            return False
        return version.facility == scope.facility or (
            bool(version.patient) and self.treats(scope.facility, version.patient, scope.now)
        )

    # -- side tables
    def person_of(self, patient: str) -> str:
        with self._readers.borrow() as connection:
            return people.person_of(connection, patient)

    def patients_of(self, person: str) -> tuple[str, ...]:
        with self._readers.borrow() as connection:
            return people.patients_of(connection, person)

    def treats(self, facility: str, patient: str, now: int) -> bool:
        with self._readers.borrow() as connection:
            return people.treats(connection, facility, patient, now)

    def outcome(self, seq: int) -> Outcome | None:
        with self._readers.borrow() as connection:
            return outcomes.read(connection, seq)

    def outcomes(
        self, *, state: str = "", source: str = "", after: int = 0, limit: int = 1000, newest: bool = False
    ) -> list[Outcome]:
        with self._readers.borrow() as connection:
            return outcomes.listed(connection, state=state, source=source, after=after, limit=limit, newest=newest)

    def tallies(self) -> dict[str, SourceTally]:
        with self._readers.borrow() as connection:
            return outcomes.tallies(connection)

    def unmapped(self, limit: int = 50) -> list[UnmappedCode]:
        with self._readers.borrow() as connection:
            return outcomes.unmapped(connection, limit)

    def finished_after(self, seq: int) -> int:
        with self._readers.borrow() as connection:
            return outcomes.finished_after(connection, seq)

    # -- the file
    def backup(self, target: Path) -> None:
        """Copy the committed state to `target` while others read and write; the file is there whole or not at all."""
        unfinished = target.with_name(target.name + ".part")
        unfinished.unlink(missing_ok=True)
        copy = apsw.Connection(str(unfinished))
        with self._readers.snapshot() as connection:
            connection.execute("SELECT count(*) FROM meta").fetchall()  # the snapshot begins with the first read
            with copy.backup("main", connection, "main") as backup:
                while not backup.done:
                    backup.step(4096)
        copy.close()
        _sync(unfinished)
        unfinished.rename(target)
        _sync(target.parent)

    def check(self) -> list[str]:
        """What SQLite finds wrong with the file; empty when all is well."""
        with self._readers.borrow() as connection:
            return [text for (text,) in connection.execute("PRAGMA integrity_check") if text != "ok"]

    def reindex(self, progress: Progress | None = None) -> int:
        """Build every index entry anew; `progress` is told how many of how many are done. Writes wait until it is over."""
        job = self._writer.submit(lambda: reindex(self._writing, self._indexer, self._new_names, progress or _untold))
        return job.result()

    def close(self) -> None:
        """Finish what was submitted, then let the folder go. Closing again does nothing."""
        if self._closed:
            return
        self._closed = True
        self._writer.close()
        self._readers.close()
        self._writing.close()
        self._lock.release()


def _untold(done: int, total: int) -> None:
    pass


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
