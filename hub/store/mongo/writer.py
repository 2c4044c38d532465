"""Threads that do the writes: each in a transaction of its own, majority-committed and journaled before it is acknowledged.

Independent writes go side by side; two that touch the same document conflict, and one of them is done again from its beginning.
A commit whose answer was lost is asked for again: it is numbered, so the server does it once. Nothing else is left to the
driver's retries. https://www.mongodb.com/docs/manual/core/transactions-in-applications/
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from typing import TypeVar

from pymongo import ReadPreference
from pymongo.client_session import ClientSession
from pymongo.errors import ConnectionFailure, DuplicateKeyError, OperationFailure, PyMongoError, ServerSelectionTimeoutError
from pymongo.read_concern import ReadConcern

from hub.errors import Unavailable
from hub.store.mongo.database import MAJORITY, HubDatabase
from hub.store.mongo.reading import SNAPSHOT_LOST, troubles

log = logging.getLogger(__name__)
T = TypeVar("T")

THREADS = 8
SLOTS = 64
PATIENCE = 60.0  # seconds of conflicts or elections until a write is given up
FIRST_PAUSE, LONGEST_PAUSE = 0.002, 0.25
TRANSIENT, UNKNOWN = "TransientTransactionError", "UnknownTransactionCommitResult"


class Again(Exception):
    """Do the work anew, with a newer snapshot: somebody else was quicker, or the collection of `missing` must be made first."""

    def __init__(self, why: str, *, missing: str = "") -> None:
        super().__init__(why)
        self.missing = missing


class Writer:
    def __init__(self, database: HubDatabase, *, patience: float = PATIENCE) -> None:
        self._database = database
        self._patience = patience
        self._closed = False
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="store-writer")
        self._slots = threading.local()
        self._numbers = count(random.randrange(SLOTS))  # noqa: S311 - only spreads counters of several processes

    def submit(self, work: Callable[[ClientSession, int], T]) -> Future[T]:
        """`work` gets the session, and a number that few others have at the same time."""
        if self._closed:
            raise Unavailable("the store is closed")
        return self._pool.submit(self._done, work)

    def close(self) -> None:
        self._closed = True
        self._pool.shutdown(wait=True)

    def _done(self, work: Callable[[ClientSession, int], T]) -> T:
        end = time.monotonic() + self._patience
        pause = FIRST_PAUSE
        while True:
            try:
                return self._attempt(work, end)
            except Again as conflict:
                if time.monotonic() > end:
                    raise Unavailable("the write came into conflict with others again and again; try later") from conflict
                if conflict.missing:  # not before the transaction is over: what it looked at stays locked until then
                    with troubles():
                        self._database.make_type(conflict.missing)
                    continue
            time.sleep(random.uniform(0, pause))  # noqa: S311 - spreads those in conflict
            pause = min(pause * 2, LONGEST_PAUSE)

    def _attempt(self, work: Callable[[ClientSession, int], T], end: float) -> T:
        with troubles(), self._database.client.start_session() as session:
            session.start_transaction(ReadConcern("snapshot"), MAJORITY, ReadPreference.PRIMARY)
            try:
                result = work(session, self._slot())
            except BaseException as error:
                with suppress(PyMongoError):
                    session.abort_transaction()
                if isinstance(error, PyMongoError) and _transient(error):
                    raise Again(type(error).__name__) from error
                raise
            self._commit(session, end)
            return result

    def _commit(self, session: ClientSession, end: float) -> None:
        while True:
            try:
                session.commit_transaction()
            except PyMongoError as error:
                if error.has_error_label(UNKNOWN) and time.monotonic() < end:
                    log.warning("the answer to a commit was lost (%s); it is asked for again", type(error).__name__)
                    time.sleep(FIRST_PAUSE)
                    continue
                if _transient(error):
                    raise Again(type(error).__name__) from error
                raise
            return

    def _slot(self) -> int:
        known: int | None = getattr(self._slots, "number", None)
        if known is None:
            known = self._slots.number = next(self._numbers) % SLOTS
        return known


def _transient(error: PyMongoError) -> bool:
    """A resource that another transaction created meanwhile shows as a duplicate: done anew, the work sees it."""
    if isinstance(error, ServerSelectionTimeoutError):
        return False  # nobody was there for as long as an election may take
    lost = isinstance(error, OperationFailure) and error.code in SNAPSHOT_LOST
    return lost or error.has_error_label(TRANSIENT) or isinstance(error, DuplicateKeyError | ConnectionFailure)
