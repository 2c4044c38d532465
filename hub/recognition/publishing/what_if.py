"""A catalogue or evidence that is not published yet, over the orders of a past period: what would be answered otherwise.

Each order is judged twice at its own moment, by what holds today and as if the draft were published: only what the draft changes
differs. A job, for a county has thousands of orders a month; it writes nothing, so after a kill it begins anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date
from typing import TYPE_CHECKING, Any

from hub.jobs import Job, Run, patiently, submit
from hub.recognition.gather import gathered
from hub.recognition.held import Held
from hub.recognition.model import Answer, Candidate, Judged, Order
from hub.recognition.publishing.drafts import draft_in
from hub.recognition.publishing.past_orders import PastOrder, how_many, past_orders
from hub.recognition.rules import evaluate
from hub.recognition.service import RecognitionService
from hub.records.reader import Reader
from hub.security.access import PIPELINE
from hub.security.reads import Reads
from hub.store.port import Transaction
from profiles.catalogue import Catalogue, Item

if TYPE_CHECKING:
    from hub.app import Hub

KIND = "recognition-what-if"
MOST = 50_000  # orders of one run


@dataclass(slots=True)
class Count:
    """Of one step, item or facility, or of all."""

    orders: int = 0
    before: int = 0  # recognisable by what holds today
    after: int = 0
    newly: int = 0
    no_longer: int = 0
    fen: int = 0  # price of what is newly recognisable, less that of what no longer is

    def add(self, before: bool, after: bool, price: int) -> None:
        self.orders += 1
        self.before += before
        self.after += after
        self.newly += after and not before
        self.no_longer += before and not after
        self.fen += price * (after - before)

    @property
    def told(self) -> list[int]:
        return [self.orders, self.before, self.after, self.newly, self.no_longer, self.fen]


@dataclass(slots=True)
class Sums:
    total: Count = field(default_factory=Count)
    steps: dict[str, Count] = field(default_factory=dict)  # only what changed, by the step that decides
    items: dict[str, Count] = field(default_factory=dict)
    facilities: dict[str, Count] = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)  # item → Chinese and English

    def add(self, orderer: str, item: Item, before: bool, after: bool, step: str) -> None:
        parts = [self.total, self.items.setdefault(item.code, Count()), self.facilities.setdefault(orderer, Count())]
        if before != after:
            parts.append(self.steps.setdefault(step, Count()))
        for part in parts:
            part.add(before, after, item.price)
        self.names[item.code] = [item.display, item.display_en]

    def told(self) -> dict[str, Any]:
        """As JSON: the most changed first."""
        by = {"steps": self.steps, "items": self.items, "facilities": self.facilities}
        order = {name: sorted(counts, key=lambda key: -(counts[key].newly + counts[key].no_longer)) for name, counts in by.items()}
        tables = {name: [[key, *by[name][key].told] for key in keys] for name, keys in order.items()}
        return {"total": self.total.told, "names": self.names, **tables}


def submit_what_if(transaction: Transaction, draft: str, first: date, last: date, now: int) -> Job:
    """`now` in UTC ms."""
    return submit(transaction, KIND, now, arguments={"draft": draft, "first": first.isoformat(), "last": last.isoformat()})


class WhatIf:
    def __init__(self, hub: Hub, service: RecognitionService) -> None:
        self._hub, self._service = hub, service

    def serve(self) -> None:
        self._hub.jobs.serve(KIND, patiently(self._work))

    def _work(self, run: Run) -> dict[str, Any]:
        asked = run.job.arguments
        first, last = (date.fromisoformat(asked[name]) for name in ("first", "last"))
        held = self._service.facts.look()
        after = held.instead(draft_in(self._hub.store, asked["draft"]).facts)
        reads, sums = self._hub.door.reads(PIPELINE), Sums()
        run.save(position="", done=0, total=min(MOST, how_many(reads, first, last, self._service.zone)))
        known: set[tuple[str, str, str, date]] = set()  # what was asked as a prompt: placed, it is the same order
        looked = 0
        for page in past_orders(reads, first, last, self._service.zone):
            for order in page[: MOST - looked]:
                self._add(sums, reads, order, held, after, known)
            looked += len(page)
            run.save(position="", done=min(looked, MOST))
            if looked >= MOST:
                break
        return {**sums.told(), "first": asked["first"], "last": asked["last"], "cut": looked >= MOST}

    def _add(
        self, sums: Sums, reads: Reads, order: PastOrder, held: Held, after: Held, known: set[tuple[str, str, str, date]]
    ) -> None:
        catalogues = held.catalogue_of(order.orderer), after.catalogue_of(order.orderer)
        old, new = (self._items(catalogue, order) for catalogue in catalogues)
        person = self._hub.store.person_of(order.patient)
        for code in dict.fromkeys((*old, *new)):
            key = (order.orderer, person, code, order.day)
            if order.prompted:
                known.add(key)
            elif key in known:
                continue
            before_answer, after_answer = self._answers(reads, order, (old.get(code), new.get(code)), (held, after))
            was, will = _recognised(before_answer), _recognised(after_answer)
            step = _deciding(before_answer, after_answer) if was != will else ""
            sums.add(order.orderer, new.get(code) or old[code], was, will, step)

    def _items(self, catalogue: Catalogue, order: PastOrder) -> dict[str, Item]:
        """What the order stands for, by the first of its codes that means anything."""
        every = (self._service.items_in(catalogue, code, order.orderer)[1] for code in order.codes)
        return {item.code: item for item in next((items for items in every if items), ())}

    def _answers(
        self, reads: Reads, order: PastOrder, items: tuple[Item | None, Item | None], facts: tuple[Held, Held]
    ) -> list[Answer | None]:
        reader = Reader(self._hub.door, PIPELINE, order.patient)
        found: list[list[Candidate]] = []
        for item in items:
            if item is None:
                found.append([])
            elif found and items[0] is not None and _sought(items[0]) == _sought(item):
                found.append(found[0])
            else:
                codes = self._service.codes_of(item)
                found.append(gathered(reads, reader, [(item, codes)], self._service.blobs)[item.code])
        return [
            evaluate(self._order(order, item, held), candidates) if item is not None else None
            for item, held, candidates in zip(items, facts, found, strict=True)
        ]

    def _order(self, order: PastOrder, item: Item, held: Held) -> Order:
        catalogue = held.catalogue_of(order.orderer)
        at = order.at.astimezone(UTC)
        return Order(item, order.context, order.orderer, self._hub.county, catalogue, held.evidence, at)


def _sought(item: Item) -> tuple[object, ...]:
    """What decides which results are candidates at all."""
    return item.category, item.match, item.modality, item.body_part


def _recognised(answer: Answer | None) -> bool:
    return answer is not None and answer.verdict == "recognisable"


def _deciding(before: Answer | None, after: Answer | None) -> str:
    """The rule at which the one that does not recognise stops, of the result that the other one recognises."""
    good, bad = (before, after) if _recognised(before) else (after, before)
    if bad is None:
        return "mapping"
    reference = good.best.candidate.reference if good is not None and good.best is not None else ""
    judged = next((each for each in bad.candidates if each.candidate.reference == reference), None)
    return next((step.rule for step in _failures(judged)), "mapping")


def _failures(judged: Judged | None) -> Iterator[Any]:
    return iter(judged.failures if judged is not None else ())
