"""Reads that belong together: in a transaction, or of one state of the database, and within one limit of time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

import pymongo
from pymongo.client_session import ClientSession
from pymongo.errors import ConnectionFailure, ExecutionTimeout, OperationFailure, PyMongoError

from hub.errors import HubError, Unavailable
from hub.search.reading import NARROW_IT
from hub.store.mongo.database import PREFIX, HubDatabase
from hub.store.mongo.documents import Document
from hub.store.port import TooCostly

T = TypeVar("T")
Sort = Sequence[tuple[str, int]]

SNAPSHOT_LOST = frozenset({239, 246})  # SnapshotTooOld, SnapshotUnavailable: a collection was just made
SNAPSHOT_TRIES = 20
ON_THE_WAY = 2.0  # seconds that an answer may take beyond what the server was given to find it
REFUSALS = {
    13: "the store's account may not do what a hub does: it needs readWrite on the database",
    18: "the store's server does not accept the name and the password",
}
TOO_LARGE = frozenset({292, 10334, 16819, 16820})  # memory limits of a sort; a query or answer past 16 MB


class Reading:
    """One caller's reads; `seconds` is what all of them together may take, None: as long as it takes."""

    def __init__(self, database: HubDatabase, session: ClientSession | None = None, seconds: float | None = None) -> None:
        self.database = database
        self._session = session
        self._seconds = seconds
        self._short_dates: dict[str, bool] = {}
        self._end = None if seconds is None else time.monotonic() + seconds

    def one(self, collection: str, wanted: Mapping[str, Any], fields: Sequence[str] | None = None) -> Document | None:
        return self.database.beside(collection).find_one(
            wanted, projection=fields, session=self._session, **self._limit("max_time_ms")
        )

    def find(
        self,
        collection: str,
        wanted: Mapping[str, Any],
        *,
        fields: Sequence[str] | None = None,
        sort: Sort | None = None,
        limit: int = 0,
    ) -> Iterator[Document]:
        return self.database.beside(collection).find(
            wanted, projection=fields, sort=sort, limit=limit, session=self._session, **self._limit("max_time_ms")
        )

    def aggregate(self, collection: str, pipeline: Sequence[Mapping[str, Any]]) -> Iterator[Document]:
        return self.database.beside(collection).aggregate(
            pipeline, self._session, None, None, allowDiskUse=False, **self._limit("maxTimeMS")
        )

    def count(self, collection: str, wanted: Mapping[str, Any], *, limit: int = 0) -> int:
        options: dict[str, Any] = {"limit": limit} if limit else {}
        options |= self._limit("maxTimeMS")
        return self.database.beside(collection).count_documents(wanted, session=self._session, **options)

    def one_short_date_each(self, resource_type: str) -> bool:
        """No resource of the type has several main dates, or one that is longer than a day: its `sd` says all."""
        known = self._short_dates.get(resource_type)
        if known is None:
            known = self._short_dates[resource_type] = self.one(of_type(resource_type), {"sm": True}, ("_id",)) is None
        return known

    def too_costly(self) -> TooCostly:
        return TooCostly(f"the search was stopped after {self._seconds or 0:g} s: {NARROW_IT}")

    def _limit(self, name: str) -> dict[str, int]:
        if self._end is None:
            return {}
        left = self._end - time.monotonic()
        if left <= 0:
            raise self.too_costly()
        return {name: max(1, int(left * 1000))}


def of_type(resource_type: str) -> str:
    """The name of its collection."""
    return PREFIX + resource_type


def now(database: HubDatabase, work: Callable[[Reading], T], *, seconds: float) -> T:
    """One question: its answer is the newest acknowledged state."""
    with troubles(), database.reach.asking(), pymongo.timeout(seconds + ON_THE_WAY):
        return work(Reading(database))


def at_once(database: HubDatabase, work: Callable[[Reading], T], *, seconds: float | None = None) -> T:
    """Every read in `work` sees the same, newest state. Raise TooCostly past `seconds`."""
    for _ in range(SNAPSHOT_TRIES):
        try:
            with (
                troubles(),
                database.reach.asking(),
                _answered_within(seconds),
                database.client.start_session(snapshot=True) as session,
            ):
                return work(Reading(database, session, seconds))
        except SnapshotLost:
            time.sleep(0.01)
    raise Unavailable("the store's collections are changing; try again")


def _answered_within(seconds: float | None) -> AbstractContextManager[None]:
    return nullcontext() if seconds is None else pymongo.timeout(seconds + ON_THE_WAY)


class SnapshotLost(HubError):
    """The state that was being read cannot be read any more: read the newest one."""


@contextmanager
def troubles() -> Iterator[None]:
    """A server's errors as ours; never with what was asked."""
    try:
        yield
    except ExecutionTimeout as error:
        raise TooCostly(f"the search took longer than it may: {NARROW_IT}") from error
    except ConnectionFailure as error:
        raise Unavailable("the store's server does not answer; try again") from error
    except OperationFailure as error:
        if error.code in SNAPSHOT_LOST:
            raise SnapshotLost("a snapshot is gone") from error
        if error.code in TOO_LARGE:
            raise TooCostly(f"the search holds more than it may: {NARROW_IT}") from error
        raise Unavailable(REFUSALS.get(error.code or 0, f"the store's server refused: code {error.code}")) from error
    except PyMongoError as error:
        raise Unavailable(f"the store failed: {type(error).__name__}") from error
