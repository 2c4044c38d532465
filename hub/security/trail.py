"""AuditEvents of reads, gathered while the writer is busy and synced to disk together before their answers go out."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

from hub.security.audit import event_id
from hub.store.port import Resource, ResourceStore, Transaction


@dataclass(slots=True)
class _Batch:
    events: list[tuple[Resource, str]] = field(default_factory=list)
    done: Future[None] = field(default_factory=Future)
    waiters: dict[asyncio.AbstractEventLoop, asyncio.Future[None]] = field(default_factory=dict)


class AuditTrail:
    """Safe to use from any thread and event loop."""

    def __init__(self, store: ResourceStore, clock: Callable[[], int]) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.RLock()  # a write that fails at once finishes its batch while it is being opened
        self._open: _Batch | None = None

    async def leave(self, event: Resource, facility: str) -> None:
        """Return once the event is synced to disk: no audit, no answer."""
        loop = asyncio.get_running_loop()
        with self._lock:
            batch = self._add(event, facility)
            waiter = batch.waiters.get(loop)
            if waiter is None:
                waiter = batch.waiters[loop] = asyncio.wrap_future(batch.done, loop=loop)
        await asyncio.shield(waiter)  # one reader that hangs up must not fail the others

    def _add(self, event: Resource, facility: str) -> _Batch:
        batch = self._open
        if batch is None:
            opened = batch = _Batch()
            written = self._store.write(lambda transaction: self._write(opened, transaction))
            self._open = opened
            written.add_done_callback(lambda future: self._finish(opened, future))
        batch.events.append((event, facility))
        return batch

    def _write(self, batch: _Batch, transaction: Transaction) -> None:
        """Runs in the writer: what arrived until now goes into this commit, what comes later opens the next batch."""
        with self._lock:
            if self._open is batch:
                self._open = None
        for event, facility in batch.events:
            save_event(transaction, event, facility, self._clock())

    def _finish(self, batch: _Batch, written: Future[None]) -> None:
        """Let everyone who waits know; a batch that the writer never reached takes no further events."""
        with self._lock:
            if self._open is batch:
                self._open = None
        error = written.exception()
        if error is None:
            batch.done.set_result(None)
        else:
            batch.done.set_exception(error)


def save_event(transaction: Transaction, event: Resource, facility: str, now: int) -> None:
    transaction.save(event, id=event_id(now), facility=facility, method="POST")
