"""Telephones and addresses → whether they tell a household, and so a person.

A village doctor's telephone is typed for whoever has none; in a home for the elderly a hundred people share a house. Namesakes
of one birthday among them are two persons. So what more people have than live in one house is given up, as a set of blocks is
(hub.identity.blocks): it counts as if it were not stated, for everybody, and those who stated it are settled anew.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

from hub.identity import normalise
from hub.identity.blocks import FULL, GIVEN_UP, Shelves, Writable, digest
from hub.identity.facts import Facts

log = logging.getLogger(__name__)

SHELF = "identity-household"
MOST_NAMES = 15  # different ones, as they are read: a large family, with its newborns and slips
MOST = 100  # Patients, whatever their names
KINDS = (("phone", "phones"), ("address", "addresses"))  # a village group is meant to be many households, and weighs as such


class Place(NamedTuple):
    kind: str
    value: str  # folded

    @property
    def key(self) -> str:
        return digest(self.kind, self.value)


def places_of(facts: Facts) -> list[Place]:
    phones, houses = sorted(facts.phones), sorted(filter(normalise.names_house, facts.addresses))
    return [*(Place("phone", value) for value in phones), *(Place("address", value) for value in houses)]


def reading_of(facts: Facts) -> str:
    """A name as it counts here: homophones are one."""
    return digest(facts.latin[0] if facts.latin else facts.name)


def too_many(readings: Iterable[str], patients: int) -> bool:
    return patients > MOST or len(set(readings)) > MOST_NAMES


class Households:
    """As one transaction, or one look, sees them."""

    def __init__(self, shelves: Shelves) -> None:
        self._shelves = shelves
        self._given_up: dict[Place, bool] = {}

    def telling(self, facts: Facts) -> Facts:
        """Without the telephones and addresses that tell nobody from anybody."""
        phones, addresses = (
            frozenset(value for value in getattr(facts, field) if not self._tells_nothing(Place(kind, value)))
            for kind, field in KINDS
        )
        if (phones, addresses) == (facts.phones, facts.addresses):
            return facts
        return replace(facts, phones=phones, addresses=addresses)

    def _tells_nothing(self, place: Place) -> bool:
        if place not in self._given_up:
            self._given_up[place] = self._shelves.item(SHELF, place.key) == FULL
        return self._given_up[place]


def enter(transaction: Writable, facts: Facts, states: Callable[[str, Place], bool]) -> list[str]:
    """Note who states its telephones and addresses. The ids of those who stated one that is given up now: they are settled anew.

    `states`: whether a Patient, as it is now, still states it; asked only where there are too many.
    """
    displaced: list[str] = []
    for place in places_of(facts):
        kept = transaction.item(SHELF, place.key)
        if kept == FULL:
            continue
        inside = dict(_lines(kept))
        if inside.get(facts.id) == (reading := reading_of(facts)):
            continue
        inside[facts.id] = reading
        if too_many(inside.values(), len(inside)):
            inside = {id: named for id, named in inside.items() if id == facts.id or states(id, place)}
        if not too_many(inside.values(), len(inside)):
            transaction.put_item(SHELF, place.key, "\n".join(f"{id} {named}" for id, named in inside.items()).encode())
            continue
        transaction.put_item(SHELF, place.key, FULL)
        transaction.put_item(GIVEN_UP, f"{place.kind}|{place.key}", b"1")
        log.warning("identity: too many Patients have one %s: it says nothing of a household any more", place.kind)
        displaced += inside
    return [id for id in dict.fromkeys(displaced) if id != facts.id]


def _lines(kept: bytes | None) -> Iterator[tuple[str, str]]:
    for line in kept.decode().split("\n") if kept else ():
        id, _, named = line.partition(" ")
        yield id, named
