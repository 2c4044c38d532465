"""The one writing thread: jobs wait in a queue, those that wait together share one synced commit.

Each job runs in a savepoint of its own, so an exception undoes only that job; nobody hears of success before COMMIT returned.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, NamedTuple, Protocol, TypeVar

import apsw

from hub.errors import Unavailable
from hub.store.sqlite.schema import BUSY_MS, WAL_BYTES

T = TypeVar("T")
Job = Callable[[], Any]

GROUP_JOBS = 256
GROUP_SECONDS = 0.05  # a group that has run this long commits, however many still wait
IDLE_SECONDS = 0.5  # after this much quiet the log is folded into the file
PAGE_BYTES = 4096
HUGE_LOG = 8  # times what the log may hold before it is folded
HUGE_LOG_WAIT_MS = 1_000

log = logging.getLogger(__name__)


class _Waiting(NamedTuple):
    job: Job
    future: Future[Any]


class _Finished(NamedTuple):
    future: Future[Any]
    result: Any
    error: BaseException | None


class Remembering(Protocol):
    """What is kept in memory beside the open transaction, and follows its fate."""

    def begin_job(self) -> None: ...

    def undo_job(self) -> None: ...

    def flush(self) -> None:
        """Write what was put off: the group is about to commit."""

    def undo_group(self) -> None: ...


class _GroupLost(Exception):
    """SQLite rolled back the whole transaction, not only one job's part."""


class Writer:
    """Owns the writing connection. Past `log_bytes` the log is folded."""

    def __init__(self, connection: apsw.Connection, memory: Remembering, log_bytes: int = WAL_BYTES) -> None:
        self._connection = connection
        self._memory = memory
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._closing = threading.Lock()
        self._closed = False
        self._broken = ""
        self._log_pages = 0
        self._log_limit = log_bytes // PAGE_BYTES
        self._fold_at = self._log_limit
        connection.set_wal_hook(self._log_grew)
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def submit(self, job: Callable[[], T]) -> Future[T]:
        if threading.current_thread() is self._thread:
            raise RuntimeError("a write inside a write would wait for itself")
        future: Future[T] = Future()
        with self._closing:
            if self._closed:
                raise Unavailable("the store is closed")
            self._queue.put(_Waiting(job, future))
        return future

    def close(self) -> None:
        """Finish what was submitted, then fold the log into the file."""
        with self._closing:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                waiting = self._queue.get(timeout=IDLE_SECONDS if self._log_pages else None)
            except queue.Empty:
                self._fold(apsw.SQLITE_CHECKPOINT_TRUNCATE)
                continue
            if waiting is None:
                self._fold(apsw.SQLITE_CHECKPOINT_TRUNCATE)
                return
            self._commit_group(waiting)
            if self._log_pages > self._fold_at:
                self._fold(apsw.SQLITE_CHECKPOINT_RESTART)

    def _commit_group(self, first: _Waiting) -> None:
        finished: list[_Finished] = []
        try:
            self._begin()
            self._run_group(first, finished)
            self._memory.flush()
            self._connection.execute("COMMIT")
        except BaseException as error:
            self._undo(error)
            if not finished and first.future.set_running_or_notify_cancel():  # not even begun
                finished.append(_Finished(first.future, None, None))
            for done in finished:
                done.future.set_exception(done.error or self._failure(error))
            return
        for done in finished:
            if done.error is not None:
                done.future.set_exception(done.error)
            else:
                done.future.set_result(done.result)

    def _begin(self) -> None:
        if self._broken:
            raise Unavailable(self._broken)
        self._connection.execute("BEGIN IMMEDIATE")

    def _run_group(self, first: _Waiting, finished: list[_Finished]) -> None:
        end = time.monotonic() + GROUP_SECONDS
        waiting: _Waiting | None = first
        while waiting is not None:
            if waiting.future.set_running_or_notify_cancel():
                finished.append(self._run_job(waiting))
                if _disk_failed(finished[-1].error) or not self._connection.in_transaction:
                    raise _GroupLost from finished[-1].error
            if len(finished) >= GROUP_JOBS or time.monotonic() >= end:
                return
            try:
                waiting = self._queue.get_nowait()
            except queue.Empty:
                return
            if waiting is None:
                self._queue.put(None)  # closing: the loop sees it after this commit

    def _run_job(self, waiting: _Waiting) -> _Finished:
        connection = self._connection
        connection.execute("SAVEPOINT job")
        self._memory.begin_job()
        try:
            result = waiting.job()
        except BaseException as error:
            self._memory.undo_job()
            if connection.in_transaction:
                connection.execute("ROLLBACK TO job")
                connection.execute("RELEASE job")
            return _Finished(waiting.future, None, self._failure(error) if _no_room(error) else error)
        connection.execute("RELEASE job")
        return _Finished(waiting.future, result, None)

    def _undo(self, error: BaseException) -> None:
        self._memory.undo_group()
        if _disk_failed(error) or _disk_failed(error.__cause__):
            # After a failed sync nobody knows what is on the disk; only a restart, which reads the log anew, can tell.
            self._broken = "the disk failed while writing; nothing is acknowledged until the hub is restarted"
        log.error("a group of writes was not committed: %s", type(error).__name__)
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _failure(self, error: BaseException) -> BaseException:
        if _no_room(error):
            return Unavailable("the disk is full; nothing was written")
        return error if isinstance(error, Unavailable) else Unavailable(self._broken or "the write was not committed; try again")

    def _log_grew(self, connection: apsw.Connection, name: str, pages: int) -> int:  # noqa: ARG002
        self._log_pages = pages
        return apsw.SQLITE_OK

    def _fold(self, mode: int) -> None:
        """Move the log into the file as far as readers allow, without waiting for them; only a huge log is worth a wait."""
        huge = self._log_pages > HUGE_LOG * self._log_limit
        self._connection.set_busy_timeout(HUGE_LOG_WAIT_MS if huge else 0)
        try:
            self._connection.wal_checkpoint(mode=mode)
            self._fold_at = self._log_limit
        except apsw.BusyError:
            self._fold_at = self._log_pages + self._log_limit // 4  # a reader is in the way: not again at every commit
        except apsw.Error as error:
            log.warning("checkpoint failed: %s", type(error).__name__)
        finally:
            self._connection.set_busy_timeout(BUSY_MS)
        self._log_pages = 0


def _no_room(error: BaseException | None) -> bool:
    """Nothing of it is written. The log's index that finds no room to grow says so as an I/O error (SQLite, "IOERR_SHMSIZE")."""
    return isinstance(error, apsw.FullError) or getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_SHMSIZE


def _disk_failed(error: BaseException | None) -> bool:
    return isinstance(error, apsw.IOError) and not _no_room(error)
