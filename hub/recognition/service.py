"""From an asked code and a person to an answer: find the item, gather the person's results through the door, judge them.

A code may be the orderer's own (`urn:hub:TWP:item|钾`, or bare `钾`), LOINC, or the catalogue's.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo

from hub.errors import Invalid
from hub.recognition.candidates import Blobs
from hub.recognition.gather import gather
from hub.recognition.held import FactsOfCounty, Held
from hub.recognition.model import Answer, Order
from hub.recognition.rules import evaluate, unmapped
from hub.recognition.times import zone_of
from hub.records.reader import Reader
from hub.settings import County
from mappers.identity_keys import local_system
from profiles.catalogue import Catalogue, ConceptMaps, Item
from profiles.names import LOINC

CATALOGUE_SYSTEM = "urn:hub:catalogue:item"

Code = tuple[str, str]  # system, code


@dataclass(frozen=True, slots=True)
class Question:
    codes: tuple[str, ...]
    context: str
    orderer: str  # facility code


@dataclass(slots=True)
class RecognitionService:
    """Holds the county's facts; every question brings the caller's own Reader."""

    county: County
    facts: FactsOfCounty
    concept_maps: ConceptMaps
    blobs: Blobs
    unmapped: Counter[str] = field(default_factory=Counter)  # by orderer: how often an asked code had no item
    _sources: dict[Code, list[Code]] = field(init=False)  # code → what ConceptMaps translate to it

    def __post_init__(self) -> None:
        self._sources = {}
        for source, targets in self.concept_maps.items():
            for target in targets:
                self._sources.setdefault((target["system"], target["code"]), []).append(source)

    @property
    def zone(self) -> tzinfo:
        return zone_of(self.county.zone)

    @property
    def catalogue(self) -> Catalogue:
        """By which most facilities order, as last looked at: for pages that name items."""
        return self.facts.held.usual

    async def look(self) -> Held:
        """What holds now; it has to be waited for where the store is a server."""
        return await asyncio.to_thread(self.facts.look) if self.facts.waits else self.facts.look()

    async def answers(self, reader: Reader, question: Question, now: datetime) -> tuple[Answer, ...]:
        """One answer per asked code. Raise Invalid for an unknown context or orderer."""
        held = await self.look()
        self.check(question)
        catalogue = held.catalogue_of(question.orderer)
        asked = [self.item_in(catalogue, code, question.orderer) for code in question.codes]
        items = {item.code: item for _, item in asked if item is not None}
        found = await gather(reader, [(item, self.codes_of(item)) for item in items.values()], self.blobs) if items else {}

        def answer(stated: Code, item: Item | None) -> Answer:
            if item is None:
                self.unmapped[question.orderer] += 1
                return unmapped(stated, context=question.context, orderer=question.orderer, catalogue=catalogue)
            order = Order(item, question.context, question.orderer, self.county, catalogue, held.evidence, now)
            return evaluate(order, found[item.code], stated)

        return tuple(answer(stated, item) for stated, item in asked)

    def check(self, question: Question) -> None:
        contexts = self.facts.held.catalogue_of(question.orderer).catalogue.contexts
        if not question.codes:
            raise Invalid("code is missing: name at least one item to be ordered")
        if question.context not in contexts:
            raise Invalid(f"context must be one of {', '.join(contexts)}")
        if self.county.facilities and self.county.facility(question.orderer) is None:
            raise Invalid("orderer must be Organization/ and the code of a facility of this county")

    def item_of(self, asked: str, orderer: str) -> tuple[Code, Item | None]:
        """In the orderer's catalogue, as last looked at."""
        return self.item_in(self.facts.held.catalogue_of(orderer), asked, orderer)

    def items_of(self, asked: str, orderer: str) -> tuple[Item, ...]:
        """Every item that the code of an order stands for: a profile (肝功能) has several."""
        return self.items_in(self.facts.held.catalogue_of(orderer), asked, orderer)[1]

    def item_in(self, catalogue: Catalogue, asked: str, orderer: str) -> tuple[Code, Item | None]:
        """Step 1: `[system|]code` → item, by ConceptMap, LOINC or the catalogue's own code."""
        stated, items = self.items_in(catalogue, asked, orderer)
        return stated, items[0] if items else None

    def items_in(self, catalogue: Catalogue, asked: str, orderer: str) -> tuple[Code, tuple[Item, ...]]:
        """The code as it was understood, and every item that it stands for there."""
        system, bar, code = asked.rpartition("|")
        systems = (system,) if bar else (local_system(orderer, "item"), LOINC, CATALOGUE_SYSTEM)
        for one in systems:
            items = self._named(catalogue, one, code)
            if items:
                return (one, code), items
        return (system, code), ()

    def _named(self, catalogue: Catalogue, system: str, code: str) -> tuple[Item, ...]:
        direct = catalogue.item(code) if system == CATALOGUE_SYSTEM else catalogue.matching(system, code)
        if direct is not None:
            return (direct,)
        found = (item for target in self.concept_maps.get((system, code), ()) for item in self._meant(catalogue, target))
        return tuple({item.code: item for item in found}.values())

    def _meant(self, catalogue: Catalogue, target: Mapping[str, str]) -> Iterator[Item]:
        """The item of a code that a map leads to; of a panel's code (LOINC 58410-2) the items that it consists of."""
        code = (target["system"], target["code"])
        direct = catalogue.matching(*code)
        parts = [] if direct is not None else [(each["system"], each["code"]) for each in self.concept_maps.get(code, ())]
        for item in (direct, *(catalogue.matching(*part) for part in parts)):
            if item is not None:
                yield item

    def codes_of(self, item: Item) -> tuple[Code, ...]:
        """Every code that a stored result of this item may carry: the catalogue's and each facility's own.

        What stands for several items is a profile: it is ordered by that code, and no result of one item carries it.
        """
        own = [(match.system, match.code) for match in item.match]
        sources = (source for code in own for source in self._sources.get(code, ()))
        return tuple(dict.fromkeys([*own, *(source for source in sources if len(self._named(self.catalogue, *source)) <= 1)]))
