"""Connections shared out evenly among fronts that wait at one socket.

Left to itself, the front that wakes first takes all that stand in the queue and keeps them as long as their clients stay: one of
two fronts had 11 of 16. So a front takes one at a time, and leaves it for a moment to others that have fewer.
"""

from __future__ import annotations

import asyncio
import logging
import mmap
import os
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any

log = logging.getLogger(__name__)

PATIENCE = 0.002  # seconds for which a connection is left to others
FULL_SECONDS = 0.5  # without a descriptor to spare, nothing is taken for so long
BACKLOG = 2048
_COUNT = struct.Struct("=I")
ABSENT = 0xFFFFFFFF


class Counts:
    """How many connections each front has, in memory that all of them share."""

    def __init__(self, descriptor: int, fronts: int) -> None:
        self.descriptor = descriptor
        self._fronts = fronts
        self._memory = mmap.mmap(descriptor, fronts * _COUNT.size)

    @classmethod
    def of(cls, fronts: int) -> Counts:
        descriptor = os.memfd_create("yitong-fronts")
        os.ftruncate(descriptor, fronts * _COUNT.size)
        counts = cls(descriptor, fronts)
        for front in range(fronts):
            counts.state(front, ABSENT)
        return counts

    def state(self, front: int, connections: int) -> None:
        _COUNT.pack_into(self._memory, front * _COUNT.size, connections)

    def least(self) -> int:
        """Of any front that is there; ABSENT where none is."""
        counts: list[int] = [count for (count,) in _COUNT.iter_unpack(self._memory[:])]
        return min(counts)


class Connections(set[Any]):
    """Those of this front; the others are told how many."""

    def __init__(self, counts: Counts, front: int) -> None:
        super().__init__()
        self._counts = counts
        self._front = front
        self._coming = 0
        self._tell()

    def coming(self, by: int) -> None:
        """One was taken from the queue, or has become one of the set."""
        self._coming += by
        self._tell()

    def add(self, connection: Any) -> None:
        super().add(connection)
        self._tell()

    def discard(self, connection: Any) -> None:
        super().discard(connection)
        self._tell()

    def leave(self) -> None:
        """This front takes no more."""
        self._counts.state(self._front, ABSENT)

    @property
    def enough(self) -> bool:
        """Another front has fewer."""
        return len(self) + self._coming > self._counts.least()

    def _tell(self) -> None:
        self._counts.state(self._front, len(self) + self._coming)


class Acceptor:
    """Takes connections from `listener`, one at a time, until it is closed."""

    def __init__(self, listener: socket.socket, protocol: Callable[[], asyncio.Protocol], connections: Connections) -> None:
        self._listener = listener
        self._protocol = protocol
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        listener.setblocking(False)
        listener.listen(BACKLOG)
        self._wait()

    def close(self) -> None:
        self._loop.remove_reader(self._listener)
        if self._timer is not None:
            self._timer.cancel()
        self._connections.leave()

    def _wait(self) -> None:
        self._timer = None
        self._loop.add_reader(self._listener, self._ready)

    def _ready(self) -> None:
        if self._connections.enough:
            self._pause(PATIENCE, self._take_what_is_left)
        else:
            self._take()

    def _pause(self, seconds: float, then: Callable[[], None]) -> None:
        self._loop.remove_reader(self._listener)
        self._timer = self._loop.call_later(seconds, then)

    def _take_what_is_left(self) -> None:
        self._wait()
        self._take()

    def _take(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another front was quicker, or the client gave up
        except OSError as error:
            log.error("no connection can be taken: %s", error.strerror)  # noqa: TRY400
            self._pause(FULL_SECONDS, self._wait)
            return
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connections.coming(1)
        task = self._loop.create_task(self._begin(connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _begin(self, connection: socket.socket) -> None:
        try:
            with suppress(OSError):  # hung up already
                await self._loop.connect_accepted_socket(self._protocol, connection)
        finally:
            self._connections.coming(-1)
