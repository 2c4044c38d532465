"""What every reader of the file set may ask, in the process that writes and in one beside it.

A read takes a connection of its own from the pool and never waits for the writer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from hub.search.query import SearchQuery
from hub.store.indexer import Indexer
from hub.store.port import HistoryPage, Key, Outcome, Scope, SearchPage, SourceTally, TooCostly, UnmappedCode, Version
from hub.store.sqlite import changes, checking, items, outcomes, people, versions
from hub.store.sqlite.copying import Progress, copy_database, untold
from hub.store.sqlite.functions import register
from hub.store.sqlite.names import Names
from hub.store.sqlite.prepared import prepare
from hub.store.sqlite.readers import Readers, limited
from hub.store.sqlite.search import Search, Thresholds
from hub.store.visible import one_person, place_of, shown

STATEMENT_SECONDS = 10.0
BRIEF_CPU, BRIEF_SECONDS = 0.004, 0.025  # on a busy machine time passes that the search did not take
BRIEF_STEPS = 500  # of SQLite's virtual machine: a few rows that must be read from a disk


class SqliteReads:
    """The reading half of the port over `path`, which exists and has the schema of this program."""

    shared = False
    prepare = staticmethod(prepare)

    def __init__(self, path: Path, *, indexer: Indexer, statement_seconds: float, thresholds: Thresholds) -> None:
        self._indexer = indexer
        self._limit = statement_seconds
        self._thresholds = thresholds
        self._names = Names()
        self._readers = Readers(path, lambda connection: register(connection, indexer))

    # -- reading
    def moment(self) -> AbstractContextManager[object]:
        return self._readers.snapshot()

    def read(self, key: Key) -> Version:
        with self._readers.borrow() as connection:
            return versions.read(connection, key)

    def vread(self, key: Key, version: int) -> Version:
        with self._readers.snapshot() as connection:
            return versions.vread(connection, key, version)

    def history(self, key: Key, *, count: int, before: int | None = None) -> list[Version]:
        with self._readers.snapshot() as connection:
            return versions.history(connection, key, count=count, before=before)

    def changes(
        self,
        scope: Scope,
        *,
        type: str = "",
        id: str = "",
        count: int,
        since: int | None = None,
        at: tuple[int, int] | None = None,
        after: str | None = None,
    ) -> HistoryPage:
        asked = changes.Asked(scope, type, id, since, at)
        with self._readers.snapshot() as connection, limited(connection, self._limit):
            return changes.page(connection, self._names, asked, count=count, after=after)

    def item(self, shelf: str, key: str) -> bytes | None:
        with self._readers.borrow() as connection:
            return items.read(connection, shelf, key)

    def items(self, shelf: str, *, prefix: str = "", after: str = "", limit: int = 1000) -> list[tuple[str, bytes]]:
        with self._readers.borrow() as connection:
            return items.listed(connection, shelf, prefix=prefix, after=after, limit=limit)

    def read_many(self, keys: Iterable[Key]) -> list[Version]:
        with self._readers.snapshot() as connection:
            return versions.read_many(connection, keys)

    def types(self) -> frozenset[str]:
        with self._readers.snapshot() as connection:
            return versions.types(connection)

    def search(self, query: SearchQuery, scope: Scope) -> SearchPage:
        with self._readers.snapshot() as connection, limited(connection, self._limit):
            return Search(connection, self._names, self._indexer, query, scope, self._thresholds).page()

    def search_briefly(self, query: SearchQuery, scope: Scope) -> SearchPage | None:
        try:
            with self._readers.snapshot() as connection, limited(connection, BRIEF_SECONDS, cpu=BRIEF_CPU, steps=BRIEF_STEPS):
                return Search(connection, self._names, self._indexer, query, scope, self._thresholds).page()
        except TooCostly:
            return None

    def visible(self, versions: Sequence[Version], scope: Scope) -> list[Version]:
        def opened(patients: set[str]) -> set[str]:
            with self._readers.snapshot() as connection:
                return {patient for patient in patients if people.opened(connection, scope, patient)}

        return shown(versions, place_of, scope, opened)

    # -- side tables
    def person_of(self, patient: str) -> str:
        with self._readers.borrow() as connection:
            return people.person_of(connection, patient)

    def patients_of(self, person: str) -> tuple[str, ...]:
        with self._readers.borrow() as connection:
            return people.patients_of(connection, person)

    def one_person(self, patient: str) -> tuple[str, ...]:
        with self._readers.snapshot() as connection:
            person = people.person_of(connection, patient)
            return one_person(patient, person, people.patients_of(connection, person))

    def treats(self, facility: str, patient: str, now: int) -> bool:
        with self._readers.borrow() as connection:
            return people.treats(connection, facility, patient, now)

    def outcome(self, seq: int) -> Outcome | None:
        with self._readers.borrow() as connection:
            return outcomes.read(connection, seq)

    def outcomes(
        self, *, state: str = "", source: str = "", after: int = 0, before: int = 0, limit: int = 1000, newest: bool = False
    ) -> list[Outcome]:
        with self._readers.borrow() as connection:
            return outcomes.listed(connection, state=state, source=source, after=after, before=before, limit=limit, newest=newest)

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
    def backup(self, target: Path, progress: Progress = untold) -> None:
        """Copy the committed state to `target` while others read and write; the file is there whole or not at all."""
        with self._readers.snapshot() as connection:
            connection.execute("SELECT count(*) FROM meta").fetchall()  # the snapshot begins with the first read
            copy_database(connection, target, progress)

    def check(self) -> list[str]:
        """What is wrong with the file; empty when all is well."""
        with self._readers.snapshot() as connection:
            return checking.check_file(connection)

    def check_index(
        self, *, sample: int | None = None, progress: Progress = untold, seed: int | None = None
    ) -> tuple[int, list[str]]:
        """Extract resources again, all or a random sample, and compare with the index: how many, and what is wrong."""
        with self._readers.snapshot() as connection:
            return checking.check_index(connection, self._indexer, sample=sample, progress=progress, seed=seed)
