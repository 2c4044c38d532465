"""Threads that do the writes: in transactions that are majority-committed and journaled before they are acknowledged.

Works that wait while all threads are busy share a transaction: it costs hardly more than one. Two transactions that touch the same
document conflict, and one of them is done again, its works one by one from their beginning; so is what shared one with a work that
failed too late to be put aside. A commit whose answer was lost is asked for again: it is numbered, so the server does it once.
Nothing else is left to the driver's retries. https://www.mongodb.com/docs/manual/core/transactions-in-applications/
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import count
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from pymongo import ReadPreference
from pymongo.client_session import ClientSession
from pymongo.errors import ConnectionFailure, DuplicateKeyError, OperationFailure, PyMongoError, ServerSelectionTimeoutError
from pymongo.read_concern import ReadConcern

from hub.errors import HubError, Unavailable
from hub.store.mongo.database import MAJORITY, HubDatabase
from hub.store.mongo.reading import SNAPSHOT_LOST, troubles
from hub.store.mongo.workspace import Again, Workspace

log = logging.getLogger(__name__)
T = TypeVar("T")
Work = Callable[[Workspace], T]

THREADS = 2
TOGETHER = 32  # works of one transaction
LARGE = 500  # documents of one transaction after which no work is added to it
SLOTS = 64
PATIENCE = 60.0  # seconds of conflicts or elections until a write is given up
UNLUCKY = 5  # conflicts after which nobody else of this process writes meanwhile
FIRST_PAUSE, LONGEST_PAUSE = 0.002, 0.25
TRANSIENT, UNKNOWN = "TransientTransactionError", "UnknownTransactionCommitResult"


@dataclass(slots=True)
class Task:
    work: Work[Any]
    future: Future[Any] = field(default_factory=Future)
    result: Any = None
    error: BaseException | None = None

    def run(self, workspace: Workspace) -> None:
        """Once more, forgetting a former try."""
        self.result = self.error = None
        self.result = self.work(workspace)

    def tell(self) -> None:
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class Apart(Exception):
    """Nothing of a transaction was committed: its works are to be done one by one."""

    def __init__(self, why: BaseException) -> None:
        super().__init__(type(why).__name__)
        self.missing = why.missing if isinstance(why, Again) else ""


class Writer:
    def __init__(self, database: HubDatabase, *, patience: float = PATIENCE, threads: int = THREADS) -> None:
        self._database = database
        self._patience = patience
        self._closing = threading.Lock()
        self._turn = threading.Lock()  # of a work that lost to quicker ones again and again: while it is held, none begins
        self._closed = False
        self._numbers = count(random.randrange(SLOTS))  # noqa: S311 - only spreads counters of several processes
        self._waiting: SimpleQueue[Task | None] = SimpleQueue()
        self._threads = [threading.Thread(target=self._serve, name=f"store-writer-{n}", daemon=True) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    def submit(self, work: Work[T]) -> Future[T]:
        if threading.current_thread() in self._threads:
            raise RuntimeError("a write inside a write would wait for itself")
        task = Task(work)
        with self._closing:
            if self._closed:
                raise Unavailable("the store is closed")
            self._waiting.put(task)
        return task.future

    def close(self) -> None:
        """When all that was submitted is done."""
        with self._closing:
            self._closed = True
            for _ in self._threads:
                self._waiting.put(None)
        for thread in self._threads:
            thread.join()

    def _serve(self) -> None:
        slot = next(self._numbers) % SLOTS
        while (task := self._waiting.get()) is not None:
            if task.future.set_running_or_notify_cancel():
                self._do(task, slot)

    def _do(self, first: Task, slot: int) -> None:
        tasks = [first]
        try:
            self._together(tasks, slot)
        except Apart as apart:
            if apart.missing:
                with suppress(HubError), troubles():
                    self._database.make_type(apart.missing)
            for task in tasks:
                self._alone(task, slot, look_first=True)
        except BaseException as error:
            for task in tasks:
                task.error = error
        for task in tasks:
            task.tell()

    # -- several works in one transaction
    def _together(self, tasks: list[Task], slot: int) -> None:
        """The first, and those that wait. Raise Apart if it must be undone."""
        self._give_way()
        with troubles(), self._session() as session:
            workspace = Workspace(self._database, session, slot, look_first=False)
            try:
                self._try(tasks[0], workspace)
                while len(tasks) < TOGETHER and workspace.size < LARGE and (task := self._another()) is not None:
                    tasks.append(task)
                    self._try(task, workspace)
                workspace.send()
            except BaseException as error:
                _abort(session)
                if len(tasks) == 1 and not isinstance(error, PyMongoError | Again):
                    raise
                raise Apart(error) from error
            if all(task.error is not None for task in tasks):
                _abort(session)
                return
            try:
                self._commit(session, time.monotonic() + self._patience)
            except Again as conflict:
                raise Apart(conflict) from conflict

    def _try(self, task: Task, workspace: Workspace) -> None:
        try:
            task.run(workspace)
        except (PyMongoError, Again):
            raise
        except BaseException as error:
            if workspace.sent_early:
                raise
            task.error = error
            workspace.put_aside()
        else:
            workspace.keep()

    def _another(self) -> Task | None:
        while True:
            try:
                task = self._waiting.get_nowait()
            except Empty:
                return None
            if task is None:  # the end, which is meant for a thread
                self._waiting.put(None)
                return None
            if task.future.set_running_or_notify_cancel():
                return task

    # -- one work in a transaction of its own
    def _alone(self, task: Task, slot: int, *, look_first: bool) -> None:
        try:
            self._until_done(task, slot, look_first=look_first)
        except BaseException as error:
            task.error = error

    def _until_done(self, task: Task, slot: int, *, look_first: bool) -> None:
        """A large work among many small ones that touch the same document would lose each time: it gets a turn alone."""
        end = time.monotonic() + self._patience
        pause = FIRST_PAUSE
        with ExitStack() as turn:
            for attempt in count(1):
                if attempt < UNLUCKY:
                    self._give_way()
                elif attempt == UNLUCKY:
                    turn.enter_context(self._turn)
                try:
                    return self._attempt(task, slot, end, look_first=look_first)
                except Again as conflict:
                    if time.monotonic() > end:
                        raise Unavailable(
                            "the write came into conflict with others again and again, or holds more than the server's memory"
                            " takes; try later, or less at once"
                        ) from conflict
                    if conflict.missing:  # not before the transaction is over: what it looked at stays locked until then
                        with troubles():
                            self._database.make_type(conflict.missing)
                        continue
                time.sleep(random.uniform(0, pause))  # noqa: S311 - spreads those in conflict
                pause = min(pause * 2, LONGEST_PAUSE)

    def _give_way(self) -> None:
        """To a work that has its turn alone."""
        with self._turn:
            pass

    def _attempt(self, task: Task, slot: int, end: float, *, look_first: bool) -> None:
        with troubles(), self._session() as session:
            workspace = Workspace(self._database, session, slot, look_first=look_first)
            try:
                task.run(workspace)
                workspace.send()
            except BaseException as error:
                _abort(session)
                if isinstance(error, PyMongoError) and _transient(error):
                    raise Again(type(error).__name__) from error
                raise
            self._commit(session, end)

    # -- a transaction
    def _session(self) -> ClientSession:
        session = self._database.client.start_session()
        session.start_transaction(ReadConcern("snapshot"), MAJORITY, ReadPreference.PRIMARY)
        return session

    def _commit(self, session: ClientSession, end: float) -> None:
        while True:
            try:
                session.commit_transaction()
            except PyMongoError as error:
                if error.has_error_label(UNKNOWN):
                    if time.monotonic() > end:  # to do it again might do it twice
                        raise Unavailable("the store's server does not answer: whether the write was kept is not known") from error
                    log.warning("the answer to a commit was lost (%s); it is asked for again", type(error).__name__)
                    time.sleep(FIRST_PAUSE)
                    continue
                if _transient(error):
                    raise Again(type(error).__name__) from error
                raise
            return


def _abort(session: ClientSession) -> None:
    with suppress(PyMongoError):
        session.abort_transaction()


def _transient(error: PyMongoError) -> bool:
    """A resource that another transaction created meanwhile shows as a duplicate: done anew, the work sees it."""
    if isinstance(error, ServerSelectionTimeoutError):
        return False  # nobody was there for as long as an election may take
    lost = isinstance(error, OperationFailure) and error.code in SNAPSHOT_LOST
    return lost or error.has_error_label(TRANSIENT) or isinstance(error, DuplicateKeyError | ConnectionFailure)
