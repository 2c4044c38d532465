"""A pool of reading connections, each used by one thread at a time, and the limit on what one search may take."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from hub.errors import Unavailable
from hub.search.reading import NARROW_IT
from hub.store.port import TooCostly
from hub.store.sqlite.schema import connect

STEPS_BETWEEN_LOOKS = 20_000  # of SQLite's virtual machine: below a millisecond of work

Prepare = Callable[[apsw.Connection], Any]


class Readers:
    """The connection used last is lent first: its cache is warm. Within a snapshot its thread is lent the same again."""

    def __init__(self, path: Path, prepare: Prepare) -> None:
        self._path = path
        self._prepare = prepare
        self._idle: deque[apsw.Connection] = deque()
        self._lock = threading.Lock()
        self._closed = False
        self._here = threading.local()  # the connection of the snapshot that this thread is in

    @contextmanager
    def borrow(self) -> Iterator[apsw.Connection]:
        held: apsw.Connection | None = getattr(self._here, "connection", None)
        if held is not None:
            yield held
            return
        connection = self._take()
        try:
            yield connection
        finally:
            self._give_back(connection)

    @contextmanager
    def snapshot(self) -> Iterator[apsw.Connection]:
        """Every statement of this thread inside sees the same state. To begin one costs a tenth of a search."""
        with self.borrow() as connection:
            if getattr(self._here, "connection", None) is not None:
                yield connection
                return
            connection.execute("BEGIN")
            self._here.connection = connection
            try:
                yield connection
            finally:
                self._here.connection = None
                connection.execute("ROLLBACK")

    def close(self) -> None:
        with self._lock:
            self._closed = True
            idle = list(self._idle)
            self._idle.clear()
        for connection in idle:
            connection.close()

    def _take(self) -> apsw.Connection:
        if self._closed:
            raise Unavailable("the store is closed")
        try:
            return self._idle.pop()
        except IndexError:
            connection = connect(self._path, writing=False)
            self._prepare(connection)
            return connection

    def _give_back(self, connection: apsw.Connection) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(connection)
                return
        connection.close()


@contextmanager
def limited(
    connection: apsw.Connection, seconds: float, *, cpu: float = math.inf, steps: int = STEPS_BETWEEN_LOOKS
) -> Iterator[None]:
    """Raise TooCostly when the statements inside run longer than this, or compute longer than `cpu` seconds."""
    end, computed = time.monotonic() + seconds, time.thread_time() + cpu
    connection.set_progress_handler(lambda: time.monotonic() > end or time.thread_time() > computed, steps)
    try:
        yield
    except apsw.InterruptError:
        raise TooCostly(f"the search was stopped after {seconds:g} s: {NARROW_IT}") from None
    finally:
        connection.set_progress_handler(None)
