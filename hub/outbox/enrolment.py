"""[[destination]] of county.toml → a registration, by which writers know what waits for it.

A destination that is taken out of the file gets nothing more; what waits for it is kept, and goes out when it comes back.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from hub.errors import HubError, Invalid
from hub.outbox.letters import lane_of
from hub.security.access import Access
from hub.security.reads import Reads
from hub.settings import County, Destination
from hub.store.port import ResourceStore, Transaction
from hub.subscriptions.criteria import triggers_of
from hub.subscriptions.meaning import meaning_of
from hub.subscriptions.outbox import (
    Registration,
    meaning_in,
    put_meaning,
    put_registration,
    registration_in,
    registrations_in,
)
from profiles.names import FACILITY_TAG


def access_of(destination: Destination) -> Access:
    """In whose name it is sent: a system of that facility, which gets what it may see there."""
    facility = "" if destination.facility == "*" else destination.facility
    return Access(name=f"destination {destination.name}", role="system", facility=facility)


def registration_of(destination: Destination) -> Registration:
    return Registration(
        id=lane_of(destination.name),
        state="active",
        owner=access_of(destination),
        channel="destination",
        criteria="",
        filters=tuple(_narrowed(text, destination) for text in destination.criteria),
    )


def _narrowed(criteria: str, destination: Destination) -> str:
    """With `of` and `ordered_by` as search parameters."""
    kind, _, query = criteria.strip().partition("?")
    conditions = [query] if query else []
    if destination.of:
        conditions.append(f"_tag={_tags(destination.of)}")
    if destination.ordered_by:
        conditions.append(f"based-on:ServiceRequest._tag={_tags(destination.ordered_by)}")
    return f"{kind}?{'&'.join(conditions)}"


def _tags(facilities: tuple[str, ...]) -> str:
    return ",".join(f"{FACILITY_TAG}|{code}" for code in facilities)


def check_criteria(county: County) -> None:
    """Raise Invalid naming the destination whose criteria say nothing that the hub can decide."""
    for destination in county.destinations:
        try:
            triggers_of(registration_of(destination), 0)
        except HubError as error:
            raise Invalid(f"destination {destination.name}: criteria: {error.message}") from None


def enrol(store: ResourceStore, county: County, reads: Callable[[Access], Reads]) -> None:
    """Make the registrations those of the file, and work out what value sets and lists in them stand for now."""
    wanted = {each.id: each for each in map(registration_of, county.destinations)}
    meanings = {id: meaning_of(triggers_of(each, 0), reads(each.owner)) for id, each in wanted.items()}
    present = {each.id: each for each in registrations_in(store) if each.channel == "destination"}
    settled = all(present.get(id) == each and meaning_in(store, id) == meanings[id] for id, each in wanted.items())
    if settled and all(each.state == "off" for id, each in present.items() if id not in wanted):
        return

    def work(transaction: Transaction) -> None:
        for id, each in wanted.items():
            if registration_in(transaction, id) != each:
                put_registration(transaction, each)
            put_meaning(transaction, id, meanings[id])
        for id, each in present.items():
            if id not in wanted:
                put_registration(transaction, msgspec.structs.replace(each, state="off"))

    store.write(work).result()
