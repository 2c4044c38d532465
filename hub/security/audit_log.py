"""Audit events on their way to the store: lines of a file, synced to disk together before the answers they stand for go out.

Every process appends to a file of its own, so that no read waits for the store's one writer. A line is the CRC-32 of what follows
in hexadecimal, a blank, and the JSON of [id, facility, AuditEvent]. A process holds a lock on its file while it lives: a file
without one is finished. What a crash left half written was never acknowledged and ends the file.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

import msgspec

from hub.errors import Unavailable
from hub.store.port import Resource

FILE_BYTES = 64 << 20  # a longer file is finished and the next one begun
_encode = msgspec.json.Encoder().encode
_Waiter = tuple[asyncio.AbstractEventLoop, "asyncio.Future[None]"]


class Line(NamedTuple):
    id: str
    facility: str
    event: Resource


class AuditLog:
    """Appends, from any event loop of this process; one thread writes and syncs what came while it was busy."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._lock = threading.Lock()
        self._lines: list[bytes] = []
        self._waiters: list[_Waiter] = []
        self._wake: SimpleQueue[bool] = SimpleQueue()
        self._file = -1
        self._size = 0
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="audit-log", daemon=True)
        self._thread.start()

    async def append(self, line: Line) -> None:
        """Return once the line is synced. Raise Unavailable if it could not be: no audit, no answer."""
        loop = asyncio.get_running_loop()
        synced: asyncio.Future[None] = loop.create_future()
        written = _encode(line)
        with self._lock:
            if self._closed:
                raise Unavailable("the audit log is closed")
            first = not self._lines
            self._lines.append(b"%08x %b\n" % (zlib.crc32(written), written))
            self._waiters.append((loop, synced))
        if first:
            self._wake.put(True)
        await synced

    def close(self) -> None:
        """Finish what was appended."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._wake.put(False)
        self._thread.join()
        self._finish_file()

    # -- the thread
    def _serve(self) -> None:
        more = True
        while more:
            more = self._wake.get()
            with self._lock:
                lines, self._lines = self._lines, []
                waiters, self._waiters = self._waiters, []
            if lines:
                self._keep(b"".join(lines), waiters)

    def _keep(self, lines: bytes, waiters: list[_Waiter]) -> None:
        problem = None
        try:
            self._write(lines)
        except OSError as error:
            problem = Unavailable(f"the audit log cannot be written: {error.strerror}")
            self._finish_file()  # what the failed write left behind ends that file
        by_loop: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
        for loop, waiter in waiters:
            by_loop.setdefault(loop, []).append(waiter)
        for loop, waiting in by_loop.items():
            with suppress(RuntimeError):  # a loop that was closed waits for nothing
                loop.call_soon_threadsafe(_release, waiting, problem)

    def _write(self, lines: bytes) -> None:
        if self._file < 0:
            self._begin_file()
        left = memoryview(lines)
        while left:
            left = left[os.write(self._file, left) :]
        os.fdatasync(self._file)
        self._size += len(lines)
        if self._size > FILE_BYTES:
            self._finish_file()

    def _begin_file(self) -> None:
        path = self._folder / f"{time.time_ns() // 1_000_000:014d}-{os.getpid()}-{secrets.token_hex(4)}.log"
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            _sync_folder(self._folder)
        except OSError:
            os.close(file)
            raise
        self._file, self._size = file, 0

    def _finish_file(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _release(waiting: list[asyncio.Future[None]], problem: Unavailable | None) -> None:
    for waiter in waiting:
        if waiter.done():
            continue  # its client hung up
        if problem is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(problem)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# -- reading, by the one process that brings the lines into the store


def files(folder: Path) -> list[Path]:
    """The oldest first."""
    return sorted(folder.glob("*.log"))


def finished(path: Path) -> bool:
    """No living process appends to it."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def read(path: Path, offset: int, limit: int) -> Iterator[tuple[int, Line]]:
    """Up to `limit` whole lines from `offset`, each with the offset behind it; a broken line is the end."""
    with path.open("rb") as file:
        file.seek(offset)
        for _ in range(limit):
            line = file.readline()
            checksum, _, written = line.rstrip(b"\n").partition(b" ")
            if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(written):
                return
            offset += len(line)
            fields: list[Any] = msgspec.json.decode(written)
            yield offset, Line(*fields)
