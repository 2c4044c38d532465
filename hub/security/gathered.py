"""Reads by id of a store that is a server's way off: those that come while others are under way become one question.

A question costs hardly more for ten resources than for one. Each begins after all that it answers were asked.
"""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary

from hub.store.port import Key, ResourceStore, Version

UNDERWAY = 2  # questions at a time
TOGETHER = 100  # resources of one

_Waiter = tuple[Key, "asyncio.Future[Version | None]"]


class Gathered:
    """For every event loop by itself."""

    def __init__(self, store: ResourceStore) -> None:
        self._store = store
        self._queues: WeakKeyDictionary[asyncio.AbstractEventLoop, _Queue] = WeakKeyDictionary()

    async def version(self, key: Key) -> Version | None:
        """The current version; None if it never was, or was deleted."""
        loop = asyncio.get_running_loop()
        queue = self._queues.get(loop)
        if queue is None:
            queue = self._queues[loop] = _Queue(self._store)
        waiter: asyncio.Future[Version | None] = loop.create_future()
        queue.add((key, waiter))
        return await waiter


class _Queue:
    def __init__(self, store: ResourceStore) -> None:
        self._store = store
        self._waiting: list[_Waiter] = []
        self._asking = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, waiter: _Waiter) -> None:
        self._waiting.append(waiter)
        if self._asking < UNDERWAY:
            self._asking += 1
            task = asyncio.create_task(self._ask())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _ask(self) -> None:
        try:
            await self._ask_all()
        finally:
            self._asking -= 1  # with the last look at who waits: a task that is over, but still in `_tasks`, takes nobody up

    async def _ask_all(self) -> None:
        while waiting := self._waiting[:TOGETHER]:
            del self._waiting[:TOGETHER]
            try:
                versions = await asyncio.to_thread(self._store.read_many, list(dict.fromkeys(key for key, _ in waiting)))
            except Exception as error:  # each of them raises it
                for _, waiter in waiting:
                    if not waiter.done():
                        waiter.set_exception(error)
                continue
            found = {Key(version.type, version.id): version for version in versions}
            for key, waiter in waiting:
                if not waiter.done():  # its client hung up
                    waiter.set_result(found.get(key))
