"""The order of a search: its sort keys, and how to go on behind a position.

Missing values come last in either direction; the newest created first breaks ties (the oldest first under an ascending key). The
orders that are asked for most are walked along an index: creation, `_lastUpdated`, `_id` and the type's main date. Any other is
computed from the entries of what the criteria leave over. https://hl7.org/fhir/R4/search.html#sort
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from hub.search.query import ParameterType, Sort
from hub.store import positions
from hub.store.mongo.documents import LONG, Document, main_date, plain
from hub.store.mongo.reading import Reading, of_type
from hub.store.mongo.versions import WHOLE

Values = Sequence[Any]


class Found(NamedTuple):
    document: Document
    values: tuple[Any, ...]  # of the sort keys

    @property
    def place(self) -> Values:
        return [*self.values, self.document["o"]]


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the order that one query walks: `field` None is creation alone."""

    wanted: Document
    field: str | None
    descending: bool


FROM_NEWEST = Stretch({}, "sd", True)  # the index has the missing ones last by itself: no second question for a first page


class Order:
    """The order of one query of one type."""

    def __init__(self, reading: Reading, resource_type: str, sorts: Sequence[Sort]) -> None:
        self._reading = reading
        self._type = resource_type
        self._sorts = tuple(sorts)
        self._descending = not sorts or sorts[0].descending
        self._stretches = self._along_an_index()

    def walk(self, query: Document, after: str | None, size: Callable[[], int]) -> Iterator[list[Found]]:
        """Matches in order, in batches of `size()`, from behind the position on."""
        position: Values | None = None if after is None else positions.decode(after, len(self._sorts) + 1)
        if self._stretches is None:
            yield from self._computed(query, position, size)
            return
        if position is None and len(self._stretches) > 1 and self._descending:
            number = size()
            if batch := self._batch(FROM_NEWEST, query, None, number):
                yield batch
            if len(batch) < number:
                return
            position = batch[-1].place
        for stretch in self._stretches:
            if position is not None and not _reaches(stretch, position):
                continue
            for batch in self._walked(stretch, query, position, size):
                yield batch
                position = None
            position = None

    def position(self, found: Found) -> str:
        return positions.encode(found.place)

    # -- along an index
    def _along_an_index(self) -> list[Stretch] | None:
        if not self._sorts:
            return [Stretch({}, None, True)]
        first, *others = self._sorts
        if others:
            return None
        if first.code in STORED_FIELDS:
            return [Stretch({}, STORED_FIELDS[first.code], first.descending)]
        if (
            first.code != main_date(self._type)
            or first.type != "date"
            or not (first.descending or self._reading.one_short_date_each(self._type))
        ):
            return None
        return [Stretch({"sd": {"$gt": -(1 << 62)}}, "sd", first.descending), Stretch({"sd": None}, None, first.descending)]

    def _walked(self, stretch: Stretch, query: Document, position: Values | None, size: Callable[[], int]) -> Iterator[list[Found]]:
        while True:
            number = size()
            batch = self._batch(stretch, query, position, number)
            if batch:
                yield batch
                position = batch[-1].place
            if len(batch) < number:
                return

    def _batch(self, stretch: Stretch, query: Document, position: Values | None, number: int) -> list[Found]:
        direction = -1 if stretch.descending else 1
        keys = [stretch.field, "o"] if stretch.field else ["o"]
        behind = _behind_on_index(stretch, position)
        rows = self._reading.find(
            of_type(self._type),
            {"$and": [part for part in (query, stretch.wanted, *behind) if part] or [{}]},
            fields=(*WHOLE, "sd"),
            sort=[(key, direction) for key in keys],
            limit=number,
        )
        return [Found(row, self._values(stretch, row)) for row in rows]

    def _values(self, stretch: Stretch, row: Document) -> tuple[Any, ...]:
        if not self._sorts:
            return ()
        return (row.get(stretch.field) if stretch.field else None,)

    # -- computed
    def _computed(self, query: Document, position: Values | None, size: Callable[[], int]) -> Iterator[list[Found]]:
        while True:
            number = size()
            heads = list(self._reading.aggregate(of_type(self._type), self._pipeline(query, position, number)))
            ids = [head["_id"] for head in heads]
            rows = {row["_id"]: row for row in self._reading.find(of_type(self._type), {"_id": {"$in": ids}}, fields=WHOLE)}
            batch = [Found(rows[head["_id"]], self._sorted_by(head)) for head in heads]
            if batch:
                yield batch
                position = batch[-1].place
            if len(batch) < number:
                return

    def _sorted_by(self, head: Document) -> tuple[Any, ...]:
        return tuple(head.get(f"k{number}") for number in range(len(self._sorts)))

    def _pipeline(self, query: Document, position: Values | None, limit: int) -> list[Document]:
        keys = {f"k{number}": _expression(sort) for number, sort in enumerate(self._sorts)}
        absent = {f"m{number}": {"$eq": [f"$k{number}", None]} for number in range(len(self._sorts))}
        order: Document = {}
        for number, sort in enumerate(self._sorts):
            order |= {f"m{number}": 1, f"k{number}": -1 if sort.descending else 1}
        behind = [{"$match": self._behind(position)}] if position is not None else []
        return [
            {"$match": query},
            {"$project": {"o": 1, **keys}},
            *behind,
            {"$set": absent},
            {"$sort": {**order, "o": -1 if self._descending else 1}},
            {"$limit": limit},
        ]

    def _behind(self, position: Values) -> Document:
        """Strictly behind the position in the order."""
        alternatives: list[Document] = []
        equal: list[Document] = []
        for number, (sort, value) in enumerate(zip(self._sorts, position, strict=False)):
            key = f"k{number}"
            if value is not None:
                further = {key: {"$lt" if sort.descending else "$gt": value}}
                alternatives.append({"$and": [*equal, {"$or": [further, {key: None}]}]})
            equal.append({key: value})
        alternatives.append({"$and": [*equal, {"o": {"$lt" if self._descending else "$gt": position[-1]}}]})
        return {"$or": alternatives}


def _reaches(stretch: Stretch, position: Values) -> bool:
    """The position lies in this part of the order, or the part lies behind it."""
    return len(position) == 1 or (stretch.field is None) or position[0] is not None


def _behind_on_index(stretch: Stretch, position: Values | None) -> list[Document]:
    """As bounds of the index, and what they leave over to be looked at."""
    if position is None:
        return []
    further, from_here = ("$lt", "$lte") if stretch.descending else ("$gt", "$gte")
    later = {"o": {further: position[-1]}}
    if stretch.field is None:
        return [later] if len(position) == 1 or position[0] is None else []
    value = position[0]
    return [{stretch.field: {from_here: value}}, {"$or": [{stretch.field: {further: value}}, later]}]


# -- a sort key's value, as an expression over the document; null where there is none

STORED_FIELDS = {"_id": "_id", "_lastUpdated": "lu"}


def _of_texts(field: str) -> Callable[[Sort], Document]:
    def texts(sort: Sort) -> Document:
        start = plain(sort.code, "")
        begins = {"$eq": [{"$indexOfBytes": ["$$each", start]}, 0]}
        rest = {"$substrBytes": ["$$each", len(start.encode()), -1]}
        return _best(sort, {"$map": {"input": _filtered(field, begins), "as": "each", "in": rest}})

    return texts


def _of_parts(field: str, part: str, *suffixes: str) -> Callable[[Sort], Document]:
    def parts(sort: Sort) -> Document:
        named = {"$in": ["$$each.p", [sort.code + suffix for suffix in suffixes]]}
        return _best(sort, {"$map": {"input": _filtered(field, named), "as": "each", "in": f"$$each.{part}"}})

    return parts


def _filtered(field: str, condition: Document) -> Document:
    return {"$filter": {"input": {"$ifNull": [f"${field}", []]}, "as": "each", "cond": condition}}


def _best(sort: Sort, values: Document) -> Document:
    return {"$max" if sort.descending else "$min": values}


_BY_TYPE: Mapping[ParameterType, Callable[[Sort], Document]] = {
    "token": _of_texts("t"),
    "reference": _of_texts("t"),
    "uri": _of_texts("t"),
    "string": _of_texts("s"),
    "date": _of_parts("d", "l", "", LONG),
    "number": _of_parts("n", "v", ""),
    "quantity": _of_parts("n", "v", ""),
}


def _expression(sort: Sort) -> Any:
    if sort.code in STORED_FIELDS:
        return f"${STORED_FIELDS[sort.code]}"
    known = _BY_TYPE.get(sort.type)
    return known(sort) if known else {"$literal": None}
