"""The journal's file: SQLite in WAL mode, synced at every commit, one writing thread that groups commits.

WAL with synchronous=NORMAL loses acknowledged rows in a power cut; FULL does not. The price, one sync a commit, is shared by all
that wait at the same moment. When a commit or its sync fails, nobody of that group gets an acknowledgement and the transaction is
rolled back; the sync itself is never tried again on the same pages, the next group writes them anew.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import apsw

from connectors.base import JournalUnavailable

log = logging.getLogger(__name__)

T = TypeVar("T")
Work = Callable[[apsw.Connection], Any]

MAX_GROUP = 256
PROBE_SECONDS = 1.0  # while nothing can be written and nobody asks: is there room again?
BUSY_MS = 5_000
SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE IF NOT EXISTS record (
    seq INTEGER PRIMARY KEY,            -- no gaps: a number rolled back is given again
    source TEXT NOT NULL, facility TEXT NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL,
    sha256 TEXT NOT NULL, size INTEGER NOT NULL,
    content BLOB,                       -- NULL: kept as the blob named sha256
    received TEXT NOT NULL, changed TEXT, hints TEXT NOT NULL,
    duplicates INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS record_key ON record(source, key);
CREATE TABLE IF NOT EXISTS source (
    source TEXT PRIMARY KEY, received INTEGER NOT NULL, duplicates INTEGER NOT NULL, last TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS checkpoint (source TEXT PRIMARY KEY, cursor TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS replay_request (
    id INTEGER PRIMARY KEY, filter TEXT NOT NULL, requested TEXT NOT NULL,
    position INTEGER NOT NULL DEFAULT 0, replayed INTEGER NOT NULL DEFAULT 0, finished TEXT);
"""


class JournalFile:
    """One writer, any number of readers; several processes may hold the same file."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "journal.sqlite"
        new = not self._path.exists()
        self._writer = self._open()
        self._prepare(new)
        self._reader = self._open()
        self._reader.pragma("query_only", True)
        self._reading = threading.Lock()
        self._queue: SimpleQueue[tuple[Work, Future[Any]] | None] = SimpleQueue()
        self._closed = False
        self.problem = ""  # why nothing is taken in, "" while all is well
        self._thread = threading.Thread(target=self._serve, name="journal-writer", daemon=True)
        self._thread.start()

    def write(self, work: Callable[[apsw.Connection], T]) -> T:
        """Run `work` in the next group; return after its commit is synced. Raise JournalUnavailable if it was not."""
        done: Future[T] = Future()
        if self._closed:
            raise JournalUnavailable("the journal is closed")
        self._queue.put((work, done))
        return done.result()

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._reading:
            return list(self._reader.execute(sql, values))

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        self._thread.join()
        with self._reading:
            self._reader.close()
        self._writer.close()

    def _open(self) -> apsw.Connection:
        connection = apsw.Connection(str(self._path))
        connection.setbusytimeout(BUSY_MS)
        return connection

    def _prepare(self, new: bool) -> None:
        self._writer.pragma("journal_mode", "wal")
        self._writer.pragma("synchronous", "full")
        version = int(self._writer.pragma("user_version"))
        if version > SCHEMA_VERSION:
            raise JournalUnavailable(
                f"the journal has layout {version}, this program knows {SCHEMA_VERSION}: use the newer program"
            )
        if version < SCHEMA_VERSION:
            self._writer.execute(f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT")
        if new:
            sync_folder(self._path.parent)

    def _serve(self) -> None:
        while (first := self._next()) is not None:
            group = [first]
            last = False
            with suppress(Empty):
                while len(group) < MAX_GROUP:
                    item = self._queue.get_nowait()
                    if item is None:
                        last = True
                        break
                    group.append(item)
            self._commit(group)
            if last:
                break

    def _next(self) -> tuple[Work, Future[Any]] | None:
        while True:
            try:
                return self._queue.get(timeout=PROBE_SECONDS if self.problem else None)
            except Empty:
                self._commit([(_written_at_all, Future())])

    def refuse(self, problem: str) -> JournalUnavailable:
        """What to raise; the state says it too, until something can be written again."""
        if not self.problem:
            log.error("journal: takes nothing in, senders are told so: %s", problem)
        self.problem = problem
        return JournalUnavailable(problem)

    def _commit(self, group: list[tuple[Work, Future[Any]]]) -> None:
        results: list[tuple[Future[Any], Any]] = []
        failed: list[tuple[Future[Any], Exception]] = []
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            for work, done in group:
                self._writer.execute("SAVEPOINT one")
                try:
                    results.append((done, work(self._writer)))
                except apsw.Error:
                    raise  # disk or file: the whole group goes back
                except Exception as error:
                    self._writer.execute("ROLLBACK TO one")
                    failed.append((done, error))
                self._writer.execute("RELEASE one")
            self._writer.execute("COMMIT")
        except apsw.Error as error:
            with suppress(apsw.Error):
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
            self.refuse(f"the journal cannot be written: {_cause(error)}")
            for _, done in group:
                done.set_exception(JournalUnavailable(self.problem))
            return
        if self.problem:
            log.warning("journal: goes on after: %s", self.problem)
            self.problem = ""
        for done, result in results:
            done.set_result(result)
        for done, problem in failed:
            done.set_exception(problem)


def _written_at_all(connection: apsw.Connection) -> None:
    connection.pragma("user_version", SCHEMA_VERSION)  # dirties a page although it changes nothing


def _cause(error: apsw.Error) -> str:
    return "the disk is full" if isinstance(error, apsw.FullError) else type(error).__name__


def sync_folder(folder: Path) -> None:
    """A new file's name is durable only when its folder is synced."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
