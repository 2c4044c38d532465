"""From the outbox to the endpoints: in order within a subscription, beside one another across them, until each is acknowledged.

The destinations of county.toml are delivered to by another of these (hub.outbox.service): what differs is given in.

One process of a store delivers (hub.store.lease). An event counts as delivered when its endpoint has answered 2xx and that is
committed, so a crash in between repeats it: receivers know it again by its number. A failing endpoint is asked again at growing
distances for days; then the status becomes error, what waits is kept, and a Subscription put anew as requested goes on there.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Generic, Protocol, TypeVar

from hub.errors import HubError
from hub.security.egress import Egress, NotAllowedOut
from hub.store.lease import Lease
from hub.store.port import ResourceStore, Transaction
from hub.subscriptions.attempts import Attempt, Outcome, failed, outcome_of
from hub.subscriptions.outbox import Standing, generation_in, orphans_in, registration_in, standings_in, sweep
from hub.subscriptions.signal import Bell

log = logging.getLogger(__name__)

SUBSCRIPTIONS = "subscriptions"
Call = TypeVar("Call")
Result = TypeVar("Result")
Told_contra = TypeVar("Told_contra", contravariant=True)
SECONDS = 30.0  # for one call, unless the subscription says how long
STOP_SECONDS = 5.0
SWEEP_EVERY, SWEEP_AGAIN = 60.0, 1.0


class Lanes(Protocol[Call, Told_contra]):
    """What is due of each registration, decided on the store; calls of one are made one after the other."""

    def due(self, standing: Standing) -> bool:
        """Whether `next` has something to do."""

    def next(self, id: str) -> Call | None:
        """None when nothing is due now."""

    def settle(self, attempt: Call, outcome: Told_contra) -> None: ...


class Deliverer(Generic[Call, Result]):
    """Runs on a thread of its own, with an event loop of its own."""

    def __init__(
        self,
        store: ResourceStore,
        lanes: Lanes[Call, Result],
        send: Callable[[Call], Awaitable[Result]],
        *,
        name: str,
        at_once: int,
        takeover_seconds: float,
    ) -> None:
        """`send` never raises but CancelledError; `name` is the lease's."""
        self._store = store
        self._lanes = lanes
        self._send = send
        self._name = name
        self._at_once = at_once
        self._lease = Lease(store, name, seconds=takeover_seconds)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._bell: Bell | None = None
        self._working: dict[str, asyncio.Task[None]] = {}
        self._problem = ""
        self._sweep_at = 0.0

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """What is on its way is given a moment; the rest stays in the outbox."""
        self._closing.set()
        if self._bell is not None:
            self._bell.ring()
        if self._thread.is_alive():
            self._thread.join()
        self._lease.release()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._bell = bell = Bell()
        free = asyncio.Semaphore(self._at_once)
        while not self._closing.is_set():
            try:
                if await asyncio.to_thread(self._lease.acquire):
                    await self._look(free)
                self._problem = ""
            except HubError as error:
                self._say(error.message)
            except Exception as error:  # a fault of ours must not end all deliveries
                self._say(type(error).__name__)
            await bell.wait()
        await self._end()

    def _say(self, problem: str) -> None:
        """Once, until it changes."""
        if problem != self._problem:
            log.warning("%s wait: %s", self._name, problem)
        self._problem = problem

    async def _end(self) -> None:
        working = list(self._working.values())
        if working:
            _, left = await asyncio.wait(working, timeout=STOP_SECONDS)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def _look(self, free: asyncio.Semaphore) -> None:
        """Start what is due and not under way."""
        for id in await asyncio.to_thread(self._due):
            if id not in self._working:
                self._working[id] = task = asyncio.create_task(self._work(id, free))
                task.add_done_callback(partial(self._ended, id))

    def _ended(self, id: str, _: asyncio.Task[None]) -> None:
        del self._working[id]

    def _due(self) -> list[str]:
        if time.monotonic() >= self._sweep_at:
            self._sweep()
        if generation_in(self._store) is None:
            return []
        return [standing.registration.id for standing in standings_in(self._store) if self._lanes.due(standing)]

    def _sweep(self) -> None:
        """What is left of Subscriptions that were deleted, some of it at a time."""
        more = [self._store.write(partial(_swept, id=id)).result() for id in orphans_in(self._store)]
        self._sweep_at = time.monotonic() + (SWEEP_AGAIN if any(more) else SWEEP_EVERY)

    async def _work(self, id: str, free: asyncio.Semaphore) -> None:
        """One subscription, until nothing of it is due."""
        try:
            async with free:
                while not self._closing.is_set() and self._lease.held:
                    attempt = await asyncio.to_thread(self._lanes.next, id)
                    if attempt is None:
                        return
                    outcome = await self._send(attempt)
                    await asyncio.to_thread(self._lanes.settle, attempt, outcome)
        except HubError as error:
            self._say(error.message)


def by_http(egress: Egress) -> Callable[[Attempt], Awaitable[Outcome]]:
    """How subscriptions are told. No address and no answer's text leaves this function."""

    async def sent(attempt: Attempt) -> Outcome:
        if attempt.nothing:
            return Outcome(ok=True)
        seconds = attempt.seconds or SECONDS
        with suppress(asyncio.CancelledError):
            try:
                return outcome_of(await egress.post(attempt.endpoint, attempt.headers, attempt.body, seconds=seconds))
            except NotAllowedOut as error:
                return failed(error.message)
            except Exception as error:  # whatever the network, its certificates or its names came to
                return failed(type(error).__name__)
        return failed("the hub stopped")

    return sent


def _swept(transaction: Transaction, id: str) -> bool:
    """Unless it has come back meanwhile; True if there is more."""
    return registration_in(transaction, id) is None and sweep(transaction, id)
