"""AuditEvents of reads, gathered while the writer is busy and synced to disk together before their answers go out."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

from hub.security.audit import event_id
from hub.store.port import Addition, Resource, ResourceStore, Transaction


@dataclass(slots=True)
class _Batch:
    events: list[tuple[Resource, str]] = field(default_factory=list)
    done: Future[None] = field(default_factory=Future)


class AuditTrail:
    """Safe to use from any thread and event loop: each loop gathers for itself."""

    def __init__(self, store: ResourceStore, clock: Callable[[], int]) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.RLock()  # a write that fails at once finishes its batch while it is being opened
        self._open: dict[asyncio.AbstractEventLoop, tuple[_Batch, asyncio.Future[None]]] = {}

    async def leave(self, event: Resource, facility: str) -> None:
        """Return once the event is synced to disk: no audit, no answer."""
        loop = asyncio.get_running_loop()
        with self._lock:
            opened = self._open.get(loop)
            if opened is None:
                batch = _Batch()
                opened = self._open[loop] = (batch, asyncio.wrap_future(batch.done, loop=loop))
                loop.call_soon(self._submit, loop, batch)  # after the requests that came in the same moment
            batch, waiter = opened
            batch.events.append((event, facility))
        await asyncio.shield(waiter)  # one reader that hangs up must not fail the others

    def _submit(self, loop: asyncio.AbstractEventLoop, batch: _Batch) -> None:
        try:
            written = self._store.write(lambda transaction: self._write(loop, batch, transaction))
        except BaseException as error:
            self._close(loop, batch)
            batch.done.set_exception(error)
            return
        written.add_done_callback(lambda future: self._finish(loop, batch, future))

    def _write(self, loop: asyncio.AbstractEventLoop, batch: _Batch, transaction: Transaction) -> None:
        """Runs in the writer: what arrived until now goes into this commit, what comes later opens the next batch."""
        self._close(loop, batch)
        now = self._clock()
        transaction.add([Addition(event, event_id(now), facility) for event, facility in batch.events])

    def _finish(self, loop: asyncio.AbstractEventLoop, batch: _Batch, written: Future[None]) -> None:
        """Let everyone who waits know; a batch that the writer never reached takes no further events."""
        self._close(loop, batch)
        error = written.exception()
        if error is None:
            batch.done.set_result(None)
        else:
            batch.done.set_exception(error)

    def _close(self, loop: asyncio.AbstractEventLoop, batch: _Batch) -> None:
        with self._lock:
            opened = self._open.get(loop)
            if opened is not None and opened[0] is batch:
                del self._open[loop]


def save_event(transaction: Transaction, event: Resource, facility: str, now: int) -> None:
    transaction.add([Addition(event, event_id(now), facility)])
