"""From an asked code and a person to an answer: find the item, gather the person's results through the door, judge them.

A code may be the orderer's own (`urn:hub:TWP:item|钾`, or bare `钾`), LOINC, or the catalogue's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo

from hub.errors import Invalid
from hub.recognition.candidates import Blobs
from hub.recognition.gather import gather
from hub.recognition.model import Answer, Candidate, Order
from hub.recognition.rules import evaluate, unmapped
from hub.recognition.times import zone_of
from hub.records.reader import Reader
from hub.settings import County
from mappers.identity_keys import local_system
from profiles.catalogue import Catalogue, ConceptMaps, Evidence, Item
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
    catalogue: Catalogue
    evidence: Evidence
    concept_maps: ConceptMaps
    blobs: Blobs
    unmapped: Counter[str] = field(default_factory=Counter)  # by code system: how often an asked code had no item
    _sources: dict[Code, list[Code]] = field(init=False)  # code → what ConceptMaps translate to it

    def __post_init__(self) -> None:
        self._sources = {}
        for source, targets in self.concept_maps.items():
            for target in targets:
                self._sources.setdefault((target["system"], target["code"]), []).append(source)

    @property
    def zone(self) -> tzinfo:
        return zone_of(self.county.zone)

    async def answers(self, reader: Reader, question: Question, now: datetime) -> tuple[Answer, ...]:
        """One answer per asked code. Raise Invalid for an unknown context or orderer."""
        self.check(question)
        asked = [self.item_of(code, question.orderer) for code in question.codes]
        items = {item.code: item for _, item in asked if item is not None}
        found = await gather(reader, [(item, self.codes_of(item)) for item in items.values()], self.blobs) if items else {}
        return tuple(self._answer(stated, item, found, question, now) for stated, item in asked)

    def _answer(
        self, stated: tuple[str, str], item: Item | None, found: Mapping[str, list[Candidate]], question: Question, now: datetime
    ) -> Answer:
        if item is None:
            self.unmapped[stated[0] or local_system(question.orderer, "item")] += 1
            return unmapped(stated, context=question.context, orderer=question.orderer, catalogue=self.catalogue)
        order = Order(item, question.context, question.orderer, self.county, self.catalogue, self.evidence, now)
        return evaluate(order, found[item.code], stated)

    def check(self, question: Question) -> None:
        contexts = self.catalogue.catalogue.contexts
        if not question.codes:
            raise Invalid("code is missing: name at least one item to be ordered")
        if question.context not in contexts:
            raise Invalid(f"context must be one of {', '.join(contexts)}")
        if self.county.facilities and self.county.facility(question.orderer) is None:
            raise Invalid("orderer must be Organization/ and the code of a facility of this county")

    def item_of(self, asked: str, orderer: str) -> tuple[Code, Item | None]:
        """Step 1: `[system|]code` → item, by ConceptMap, LOINC or the catalogue's own code."""
        system, bar, code = asked.rpartition("|")
        systems = (system,) if bar else (local_system(orderer, "item"), LOINC, CATALOGUE_SYSTEM)
        for one in systems:
            item = self._direct(one, code)
            if item is not None:
                return (one, code), item
        return (system, code), None

    def _direct(self, system: str, code: str) -> Item | None:
        if system == CATALOGUE_SYSTEM:
            return self.catalogue.item(code)
        direct = self.catalogue.matching(system, code)
        if direct is not None:
            return direct
        targets = (self.catalogue.matching(t["system"], t["code"]) for t in self.concept_maps.get((system, code), ()))
        return next((item for item in targets if item is not None), None)

    def codes_of(self, item: Item) -> tuple[Code, ...]:
        """Every code that a stored result of this item may carry: the catalogue's and each facility's own."""
        own = [(match.system, match.code) for match in item.match]
        return tuple(dict.fromkeys([*own, *(source for code in own for source in self._sources.get(code, ()))]))
