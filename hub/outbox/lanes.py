"""What a destination is to be sent next, and what follows from how that went: decided on the store, without any network.

| Answer | What follows |
|---|---|
| acknowledged | sent; the next |
| none in time, not reachable, refuses us | again at growing distances; nothing overtakes it; set aside after `give_up_hours` |
| failed at it (AE, 5xx, out of resources) | the same, but set aside after `most_attempts` answers |
| will never take it (AR, 4xx, cannot be said there) | set aside at once; the next |
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from hub.outbox.letters import Letter, State, forget_old, put_letter, put_object
from hub.outbox.parcels import Parcel, parcel_of
from hub.security.access import Access
from hub.security.audit import audit_event
from hub.security.reads import Reads
from hub.security.trail import save_event
from hub.settings import Destination
from hub.store.blobs import BlobStore
from hub.store.port import Key, ResourceStore, Transaction
from hub.subscriptions.outbox import (
    Event,
    Progress,
    Registration,
    Standing,
    events_in,
    progress_in,
    prune,
    put_progress,
    registration_in,
)
from mappers.identity_keys import resource_id

HOUR, DAY_SECONDS = 3_600_000, 86_400.0
JITTER = 0.25
CONTROL_ID = 20  # characters that MSH-10 holds


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one call went. `problem` names codes and kinds, nobody's data and no address."""

    kind: Literal["acknowledged", "unreachable", "failed", "refused", "nothing"]
    problem: str = ""
    wait: float = 0.0  # seconds, as the receiver asks
    left_out: str = ""  # elements that could not be said there
    objects: tuple[str, ...] = ()  # blobs that the destination has now, also where the rest of the call failed


@dataclass(frozen=True, slots=True)
class Consignment:
    """One call."""

    lane: str
    number: int
    event: Event
    control_id: str
    reader: Access
    parcel: Parcel | None  # None: the destination may not be told any more


def control_id_of(lane: str, event: Event) -> str:
    """The same for every attempt at the same version of a record, so that a receiver knows it again."""
    return resource_id("MSH-10", lane, event.type, event.id, str(event.version))[:CONTROL_ID].upper()


class DestinationLanes:
    """`reads`: what an access may see now."""

    def __init__(
        self,
        store: ResourceStore,
        blobs: BlobStore,
        destinations: Mapping[str, Destination],
        clock: Callable[[], int],
        reads: Callable[[Access], Reads],
    ) -> None:
        """`destinations` by the id of their registration."""
        self._store = store
        self._blobs = blobs
        self._destinations = destinations
        self._clock = clock
        self._reads = reads

    def due(self, standing: Standing) -> bool:
        registration, progress = standing.registration, standing.progress
        if registration.id not in self._destinations or registration.state != "active":
            return False
        return standing.number > progress.done and progress.next <= self._clock()

    def next(self, id: str) -> Consignment | None:
        registration = registration_in(self._store, id)
        if registration is None or registration.state != "active":
            return None
        progress = progress_in(self._store, id)
        if progress.next > self._clock():
            return None
        waiting = events_in(self._store, id, after=progress.done, limit=1)
        if not waiting:
            return None
        return self._consignment(registration, waiting[0].number, waiting[0].event)

    def _consignment(self, registration: Registration, number: int, event: Event) -> Consignment:
        owner = registration.owner
        parcel = parcel_of(event, self._reads(owner), self._blobs, owner.facility)
        return Consignment(registration.id, number, event, control_id_of(registration.id, event), owner, parcel)

    def settle(self, attempt: Consignment, outcome: Verdict) -> None:
        self._store.write(lambda transaction: self._settle(transaction, attempt, outcome)).result()

    def _settle(self, transaction: Transaction, attempt: Consignment, verdict: Verdict) -> None:
        former = progress_in(transaction, attempt.lane)
        if former.done >= attempt.number:
            return  # discarded meanwhile
        for sha256 in verdict.objects:
            put_object(transaction, attempt.lane, sha256)
        now = self._clock()
        state = self._state(attempt.lane, verdict, former, now)
        if state is None:
            put_progress(transaction, attempt.lane, self._later(attempt.lane, former, verdict, now))
            return
        letter = Letter(attempt.event, state, attempt.control_id, verdict.problem, former.failures + 1, now, verdict.left_out)
        conclude(transaction, attempt.lane, attempt.number, letter, former)
        if state == "sent":
            self._audit(transaction, attempt, now)

    def _state(self, lane: str, verdict: Verdict, former: Progress, now: int) -> State | None:
        """What becomes of it; None: it is tried again."""
        policy = self._destinations[lane]
        if verdict.kind == "acknowledged":
            return "sent"
        if verdict.kind == "nothing":
            return "skipped"
        spent = now - (former.since or now) >= policy.give_up_hours * HOUR
        many = verdict.kind == "failed" and former.failures + 1 >= policy.most_attempts
        return "dead" if verdict.kind == "refused" or spent or many else None

    def _later(self, lane: str, former: Progress, verdict: Verdict, now: int) -> Progress:
        policy = self._destinations[lane]
        seconds = min(policy.longest_retry_seconds, policy.first_retry_seconds * 2.0 ** min(former.failures, 40))
        seconds *= 1 - JITTER + 2 * JITTER * random.random()  # noqa: S311 - spreads calls, guards nothing
        wait = int(1000 * max(seconds, min(verdict.wait, DAY_SECONDS)))
        since = former.since or now
        return msgspec.structs.replace(former, failures=former.failures + 1, since=since, next=now + wait, problem=verdict.problem)

    def _audit(self, transaction: Transaction, attempt: Consignment, now: int) -> None:
        """What left the hub, whose it was, and to which system."""
        event = audit_event(
            attempt.reader,
            action="R",
            interaction="operation",
            key=Key(attempt.event.type, attempt.event.id),
            patients=attempt.parcel.patients if attempt.parcel is not None else (),
            now=now,
        )
        save_event(transaction, event, attempt.reader.facility, now)


def conclude(transaction: Transaction, lane: str, number: int, letter: Letter, former: Progress) -> None:
    """It is over with this one: the lane goes on."""
    put_letter(transaction, lane, number, letter)
    forget_old(transaction, lane, number)
    sent = letter.at if letter.state == "sent" else former.sent
    put_progress(transaction, lane, Progress(done=number, sent=sent))
    prune(transaction, lane, former=former.done, done=number)
