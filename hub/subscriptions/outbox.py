"""The durable outbox: what was subscribed, which events happened, and how far each subscription was delivered.

A destination of county.toml (hub.outbox) is registered here too, under a name that no resource's id can be.

Shelves: registrations by Subscription id, and what their criteria stand for; events by id and number, which grows by one from 1
within a subscription; the last number given; and the progress of delivery. What writers change (number, event) and what the
deliverer changes (progress) lie apart, so neither waits for the other on a store that several processes share.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeVar

import msgspec

from hub.security.access import Access
from hub.store.port import ResourceStore, Transaction

REGISTRATIONS = "subscription"
MEANINGS = "subscription-meaning"
GENERATION = "subscription-generation"
NUMBERS = "subscription-number"
EVENTS = "subscription-event"
PROGRESS = "subscription-progress"
SHELVES_OF_ONE = (REGISTRATIONS, MEANINGS, NUMBERS, PROGRESS)

KEPT_EVENTS = 1000  # delivered ones, for $events
DIGITS = 12

State = Literal["requested", "active", "error", "off"]
Change = Literal["create", "update", "delete"]
Source = ResourceStore | Transaction
S = TypeVar("S", bound=msgspec.Struct)


class Registration(msgspec.Struct, frozen=True):
    """A Subscription as the hub works by it: with the secret headers, which the resource does not hold."""

    id: str
    state: State
    owner: Access  # who wrote it last: events are what this token may see
    channel: Literal["rest-hook", "websocket", "destination"]
    criteria: str  # Observation?code=…; of a topic "", see `filters`
    topic: str = ""
    filters: tuple[str, ...] = ()  # of a destination its criteria, any of which may hold
    endpoint: str = ""
    mime: Literal["", "application/fhir+json", "application/fhir+xml"] = ""
    content: Literal["", "empty", "id-only", "full-resource"] = ""  # "" for R4's own
    headers: tuple[tuple[str, str], ...] = ()
    heartbeat: int = 0  # seconds; 0: none
    timeout: int = 0  # seconds; 0: the hub's own
    most: int = 1  # events of one notification
    end: int = 0  # UTC ms; 0: none

    @property
    def live(self) -> bool:
        return self.state != "off"


class Event(msgspec.Struct, frozen=True):
    type: str
    id: str
    version: int
    change: Change
    at: int  # UTC ms


class Progress(msgspec.Struct, frozen=True):
    done: int = 0  # the last number delivered
    failures: int = 0  # since the last success
    since: int = 0  # of the first of them, UTC ms
    next: int = 0  # not before this
    problem: str = ""  # of the last: what kind, never an address
    sent: int = 0  # when something was last delivered


class Numbered(msgspec.Struct, frozen=True):
    number: int
    event: Event


# -- registrations


def registration_in(source: Source, id: str) -> Registration | None:
    return _decoded(source.item(REGISTRATIONS, id), Registration)


def registrations_in(source: Source) -> Iterator[Registration]:
    after = ""
    while page := source.items(REGISTRATIONS, after=after):
        yield from (msgspec.json.decode(value, type=Registration) for _, value in page)
        after = page[-1][0]


def put_registration(transaction: Transaction, registration: Registration) -> None:
    transaction.put_item(REGISTRATIONS, registration.id, msgspec.json.encode(registration))
    new_generation(transaction)


def remove_registration(transaction: Transaction, id: str) -> None:
    """Its events are swept later (`sweep`)."""
    transaction.put_item(REGISTRATIONS, id, None)
    transaction.put_item(MEANINGS, id, None)
    new_generation(transaction)


def meaning_in(source: Source, id: str) -> dict[str, Any]:
    """Question → answer (hub.subscriptions.meaning); nothing for criteria that stand for themselves."""
    found = source.item(MEANINGS, id)
    return msgspec.json.decode(found, type=dict[str, Any]) if found is not None else {}


def put_meaning(transaction: Transaction, id: str, known: Mapping[str, Any]) -> None:
    transaction.put_item(MEANINGS, id, msgspec.json.encode(known) if known else None)
    new_generation(transaction)


def new_generation(transaction: Transaction) -> None:
    """A name for the registrations as they now are, never given again; none where nobody waits for anything."""
    anyone = any(registration.live for registration in registrations_in(transaction))
    transaction.put_item(GENERATION, "", secrets.token_bytes(12) if anyone else None)


def generation_in(source: Source) -> bytes | None:
    return source.item(GENERATION, "")


def shelf_in(source: Source, shelf: str) -> dict[str, bytes]:
    """All of it, in few questions."""
    found: dict[str, bytes] = {}
    after = ""
    while page := source.items(shelf, after=after):
        found.update(page)
        after = page[-1][0]
    return found


# -- events


def enqueue(transaction: Transaction, id: str, event: Event) -> int:
    number = number_in(transaction, id) + 1
    transaction.put_item(NUMBERS, id, str(number).encode())
    transaction.put_item(EVENTS, _name(id, number), msgspec.json.encode(event))
    return number


def number_in(source: Source, id: str) -> int:
    """How many events there have been."""
    return int(source.item(NUMBERS, id) or 0)


def events_in(source: Source, id: str, *, after: int, limit: int) -> list[Numbered]:
    """Those with higher numbers than `after`, in their order."""
    found = source.items(EVENTS, prefix=f"{id}|", after=_name(id, after), limit=limit)
    return [Numbered(int(key[-DIGITS:]), msgspec.json.decode(value, type=Event)) for key, value in found]


def _name(id: str, number: int) -> str:
    return f"{id}|{number:0{DIGITS}}"


# -- progress


def progress_in(source: Source, id: str) -> Progress:
    return _decoded(source.item(PROGRESS, id), Progress) or Progress()


class Standing(msgspec.Struct, frozen=True):
    """How far a subscription is."""

    registration: Registration
    number: int
    progress: Progress


def standings_in(source: Source) -> Iterator[Standing]:
    """Of every Subscription."""
    numbers, progress = shelf_in(source, NUMBERS), shelf_in(source, PROGRESS)
    for registration in registrations_in(source):
        number = int(numbers.get(registration.id, 0))
        yield Standing(registration, number, _decoded(progress.get(registration.id), Progress) or Progress())


def orphans_in(source: Source) -> set[str]:
    """Ids of Subscriptions that were deleted and have left something."""
    left = {*shelf_in(source, NUMBERS), *shelf_in(source, PROGRESS)}
    return left - set(shelf_in(source, REGISTRATIONS)) if left else set()


def put_progress(transaction: Transaction, id: str, progress: Progress) -> None:
    transaction.put_item(PROGRESS, id, msgspec.json.encode(progress))


def prune(transaction: Transaction, id: str, *, former: int, done: int) -> None:
    """Of what was delivered, the last ones stay."""
    for number in range(max(1, former - KEPT_EVENTS + 1), done - KEPT_EVENTS + 1):
        transaction.put_item(EVENTS, _name(id, number), None)


def skip(transaction: Transaction, id: str) -> None:
    """Whatever waits is not delivered any more."""
    put_progress(transaction, id, Progress(done=number_in(transaction, id)))


def sweep(transaction: Transaction, id: str, limit: int = 500) -> bool:
    """Remove what is left of a Subscription that was deleted; True if there is more."""
    found = transaction.items(EVENTS, prefix=f"{id}|", limit=limit)
    for key, _ in found:
        transaction.put_item(EVENTS, key, None)
    if len(found) == limit:
        return True
    for shelf in SHELVES_OF_ONE:
        transaction.put_item(shelf, id, None)
    return False


def _decoded(value: bytes | None, kind: type[S]) -> S | None:
    return msgspec.json.decode(value, type=kind) if value is not None else None
