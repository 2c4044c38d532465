"""Whoever delivers is woken by whoever enqueues, in the same process; others look once a second.

It rings inside the transaction, for nothing runs after a commit: a listener looks several times, at growing distances.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from weakref import WeakSet

LOOKS = (0.005, 0.03, 0.15)  # seconds after the bell; a commit takes some milliseconds
EVERY = 1.0


class Bell:
    """Of one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._rung = asyncio.Event()
        self._look = len(LOOKS)
        with _LOCK:
            _BELLS.add(self)

    def ring(self) -> None:
        """From any thread."""
        with suppress(RuntimeError):  # its loop has ended
            self._loop.call_soon_threadsafe(self._rung.set)

    async def wait(self) -> None:
        """Until there may be something to do."""
        seconds = LOOKS[self._look] if self._look < len(LOOKS) else EVERY
        self._look += 1
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._rung.wait()
        if self._rung.is_set():
            self._rung.clear()
            self._look = 0


_BELLS: WeakSet[Bell] = WeakSet()
_LOCK = threading.Lock()


def ring() -> None:
    with _LOCK:
        bells = list(_BELLS)
    for bell in bells:
        bell.ring()
