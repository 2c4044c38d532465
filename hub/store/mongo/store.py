"""The port's ResourceStore over MongoDB. Several processes may open the same database."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

from hub.clock import utc_ms
from hub.search.query import SearchQuery
from hub.store.indexer import Indexer, standard_indexer
from hub.store.mongo import changes, outcomes, people, shelves, versions
from hub.store.mongo.checks import check_server
from hub.store.mongo.criteria import MOST_IDS
from hub.store.mongo.database import HubDatabase, connect
from hub.store.mongo.documents import index_fields
from hub.store.mongo.places import Places
from hub.store.mongo.reading import Reading, at_once, now, troubles
from hub.store.mongo.search import Search
from hub.store.mongo.transaction import MongoTransaction
from hub.store.mongo.visibility import MOST_LISTED, Visibility
from hub.store.mongo.workspace import Workspace
from hub.store.mongo.writer import Writer
from hub.store.port import (
    HistoryPage,
    Key,
    Outcome,
    Scope,
    SearchPage,
    SourceTally,
    Transaction,
    UnmappedCode,
    Version,
)
from hub.store.visible import place_of, shown

T = TypeVar("T")

STATEMENT_SECONDS = 10.0


class MongoStore:
    """A database of a replica set. Raise Unavailable for a server that cannot keep the port's promises."""

    shared = True
    prepare = staticmethod(index_fields)

    def __init__(
        self,
        uri: str,
        name: str,
        *,
        node: str = "",
        clock: Callable[[], int] = utc_ms,
        indexer: Indexer | None = None,
        statement_seconds: float = STATEMENT_SECONDS,
        allow_unsafe: bool = False,
        most_listed: int = MOST_LISTED,
        most_ids: int = MOST_IDS,
        on_close: Callable[[], None] = lambda: None,
    ) -> None:
        """`node`: the name of the journal whose records' outcomes are meant, different for each data folder.

        `most_listed`: see hub.store.mongo.visibility; `most_ids`: hub.store.mongo.criteria.
        """
        self._most_ids = most_ids
        self._on_close = on_close
        self._most_listed = most_listed
        self._node = node
        self._clock = clock
        self._indexer = indexer or standard_indexer()
        self._limit = statement_seconds
        self._closed = False
        client = connect(uri)
        try:
            with troubles():
                self.problem = check_server(client, allow_unsafe=allow_unsafe)
                self.database = HubDatabase(client, name)
                self.database.prepare()
                self._places = Places(self.database.process_number())
        except BaseException:
            client.close()
            raise
        self._client = client
        self._writer = Writer(self.database)

    def write(self, work: Callable[[Transaction], T]) -> Future[T]:
        return self._writer.submit(lambda workspace: work(self._transaction(workspace)))

    def _transaction(self, workspace: Workspace) -> MongoTransaction:
        return MongoTransaction(
            workspace,
            clock=self._clock,
            indexer=self._indexer,
            places=self._places,
            find=self._find,
            node=self._node,
            seconds=self._limit,
        )

    def _find(self, reading: Reading, query: SearchQuery, limit: int, scope: Scope) -> list[Key]:
        return self._searching(reading, query, scope).keys(limit)

    def _searching(self, reading: Reading, query: SearchQuery, scope: Scope) -> Search:
        return Search(reading, self._indexer, query, self._visibility(reading, scope), most_ids=self._most_ids)

    def _visibility(self, reading: Reading, scope: Scope) -> Visibility:
        return Visibility(reading, scope, most_listed=self._most_listed)

    # -- reading
    def moment(self) -> AbstractContextManager[object]:
        return nullcontext()

    def read(self, key: Key) -> Version:
        return self._now(lambda reading: versions.read(reading, key))

    def vread(self, key: Key, version: int) -> Version:
        return self._at_once(lambda reading: versions.vread(reading, key, version))

    def history(self, key: Key, *, count: int, before: int | None = None) -> list[Version]:
        return self._at_once(lambda reading: versions.history(reading, key, count=count, before=before))

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
        asked = changes.Asked(type, id, since, at)
        return self._at_once(
            lambda reading: changes.page(reading, asked, self._visibility(reading, scope), count=count, after=after)
        )

    def item(self, shelf: str, key: str) -> bytes | None:
        return self._now(lambda reading: shelves.read(reading, shelf, key))

    def items(self, shelf: str, *, prefix: str = "", after: str = "", limit: int = 1000) -> list[tuple[str, bytes]]:
        return self._now(lambda reading: shelves.listed(reading, shelf, prefix=prefix, after=after, limit=limit))

    def read_many(self, keys: Iterable[Key]) -> list[Version]:
        asked = list(keys)
        return self._at_once(lambda reading: versions.read_many(reading, asked))

    def types(self) -> frozenset[str]:
        return self._now(lambda reading: reading.database.types())

    def search(self, query: SearchQuery, scope: Scope) -> SearchPage:
        return self._at_once(lambda reading: self._searching(reading, query, scope).page())

    def search_briefly(self, query: SearchQuery, scope: Scope) -> SearchPage | None:  # noqa: ARG002 - the port's signature
        return None  # the way to the server and back is long enough for others to be answered

    def visible(self, versions: Sequence[Version], scope: Scope) -> list[Version]:
        def opened(compartments: set[str]) -> set[str]:
            return self._at_once(lambda reading: people.opened(reading, scope, compartments))

        return shown(versions, place_of, scope, opened)

    # -- side tables
    def person_of(self, patient: str) -> str:
        return self._now(lambda reading: people.person_of(reading, patient))

    def patients_of(self, person: str) -> tuple[str, ...]:
        return self._now(lambda reading: people.patients_of(reading, person))

    def one_person(self, patient: str) -> tuple[str, ...]:
        return self._at_once(lambda reading: people.one_person(reading, patient))

    def treats(self, facility: str, patient: str, now: int) -> bool:
        return self._at_once(lambda reading: people.treats(reading, facility, patient, now))

    def outcome(self, seq: int) -> Outcome | None:
        return self._now(lambda reading: outcomes.read(reading, self._node, seq))

    def outcomes(
        self, *, state: str = "", source: str = "", after: int = 0, before: int = 0, limit: int = 1000, newest: bool = False
    ) -> list[Outcome]:
        return self._now(
            lambda reading: outcomes.listed(
                reading, self._node, state=state, source=source, after=after, before=before, limit=limit, newest=newest
            )
        )

    def tallies(self) -> dict[str, SourceTally]:
        return self._at_once(lambda reading: outcomes.tallies(reading, self._node), limited=False)

    def unmapped(self, limit: int = 50) -> list[UnmappedCode]:
        return self._at_once(lambda reading: outcomes.unmapped(reading, self._node, limit), limited=False)

    def finished_after(self, seq: int) -> int:
        return self._at_once(lambda reading: outcomes.finished_after(reading, self._node, seq), limited=False)

    def close(self) -> None:
        """Finish what was submitted, then let the server go. Closing again does nothing."""
        if self._closed:
            return
        self._closed = True
        self._writer.close()
        self._client.close()
        self._on_close()

    def _now(self, work: Callable[[Reading], T]) -> T:
        return now(self.database, work, seconds=self._limit)

    def _at_once(self, work: Callable[[Reading], T], *, limited: bool = True) -> T:
        return at_once(self.database, work, seconds=self._limit if limited else None)
