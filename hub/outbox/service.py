"""The outbox of a hub: a lane for each destination, delivered in order, beside one another, by one hub of several."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress

from hub.errors import NotFound
from hub.outbox.enrolment import check_criteria, enrol
from hub.outbox.lanes import Consignment, DestinationLanes, Verdict
from hub.outbox.letters import lane_of
from hub.outbox.senders import Sender, sender_of
from hub.security.access import Access
from hub.security.reads import Reads
from hub.settings import County
from hub.store.blobs import BlobStore
from hub.store.port import ResourceStore
from hub.subscriptions.deliver import Deliverer

LEASE = "outbox"


class Outbox:
    def __init__(
        self,
        store: ResourceStore,
        blobs: BlobStore,
        county: County,
        clock: Callable[[], int],
        reads: Callable[[Access], Reads],
    ) -> None:
        """Raise Invalid naming the destination of which something is wrong."""
        check_criteria(county)
        self._store = store
        self._county = county
        self._reads = reads
        self._senders: dict[str, Sender] = {lane_of(each.name): sender_of(each, store, blobs) for each in county.destinations}
        destinations = {lane_of(each.name): each for each in county.destinations}
        self._deliverer = Deliverer(
            store,
            DestinationLanes(store, blobs, destinations, clock, reads),
            self._sent,
            name=LEASE,
            at_once=max(1, len(destinations)),  # one that does not answer holds nobody else up
            takeover_seconds=county.store.takeover_seconds,
        )
        self._started = False

    def start(self) -> None:
        enrol(self._store, self._county, self._reads)
        if self._senders:
            self._started = True
            self._deliverer.start()

    def close(self) -> None:
        if self._started:
            self._deliverer.close()
        for sender in self._senders.values():
            sender.close()

    def check(self, name: str) -> None:
        """Whether anything could be sent there now. Raise SourceDenied or SourceUnavailable saying why not, NotFound."""
        sender = self._senders.get(lane_of(name))
        if sender is None:
            raise NotFound(f"no destination {name} in county.toml")
        sender.check()

    async def _sent(self, consignment: Consignment) -> Verdict:
        with suppress(asyncio.CancelledError):
            return await _beside(lambda: _verdict(self._senders[consignment.lane], consignment))
        return Verdict("unreachable", "the hub stopped")


def _verdict(sender: Sender, consignment: Consignment) -> Verdict:
    if consignment.parcel is None:
        return Verdict("nothing", "the destination's facility may not see it")
    try:
        return sender.send(consignment, consignment.parcel)
    except Exception as error:  # a fault of ours must not end the lane; its text may hold what was sent
        return Verdict("failed", type(error).__name__)


async def _beside(work: Callable[[], Verdict]) -> Verdict:
    """On a thread of its own, which ends with the process: a pool's few could all wait for peers that do not answer."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Verdict] = loop.create_future()

    def told(verdict: Verdict) -> None:
        if not future.done():
            future.set_result(verdict)

    def run() -> None:
        verdict = work()
        with suppress(RuntimeError):  # the loop has ended meanwhile; the call is repeated after the next start
            loop.call_soon_threadsafe(told, verdict)

    threading.Thread(target=run, name="outbox-call", daemon=True).start()
    return await future
