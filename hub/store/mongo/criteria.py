"""Conditions of a query → a filter of one type's collection.

What another resource decides (a chain, `_has`) is asked first and becomes a set of ids; what only a body decides is asked of the
bodies that the indexes leave over. Every hop is narrowed by the reader's scope. https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from hub.fhir_json import load
from hub.search.folding import fold_code
from hub.search.query import (
    AllOf,
    AnyOf,
    Chain,
    Condition,
    Criterion,
    DateValue,
    Has,
    Not,
    SearchQuery,
    TokenValue,
)
from hub.store.indexer import Indexer
from hub.store.mongo.documents import Document, main_date, paired, plain
from hub.store.mongo.reading import Reading, of_type
from hub.store.mongo.values import INTERVALS, STARTS, value_query
from hub.store.mongo.visibility import Visibility
from hub.store.port import TooCostly

LIVE: Document = {"o": {"$gt": 0}}
NOTHING: Document = {"_id": {"$in": []}}
EVERYTHING: Document = {}
MOST_IDS = 50_000  # that one hop may find
BATCH = 500


@dataclass(slots=True)
class Filter:
    """All of `wanted` hold of every match; `bodies` are the criteria that must still be asked of its body."""

    indexer: Indexer
    wanted: list[Document]
    bodies: list[Criterion] = field(default_factory=list)

    @property
    def query(self) -> Document:
        return {"$and": self.wanted} if self.wanted else {}

    def passes(self, body: bytes) -> bool:
        if not self.bodies:
            return True
        resource = load(body)
        return all(self.indexer.body_fulfils(resource, criterion) for criterion in self.bodies)


class Compiler:
    """For one resource type, one reader, and within one reading."""

    def __init__(
        self, reading: Reading, indexer: Indexer, visibility: Visibility, resource_type: str, hidden: Document = EVERYTHING
    ) -> None:
        """`hidden`: what is true of all that is not left out of every answer."""
        self._reading = reading
        self._indexer = indexer
        self._visibility = visibility
        self._type = resource_type
        self._hidden = hidden

    def filter(self, conditions: Iterable[Condition]) -> Filter:
        """Of visible, undeleted resources that fulfil all conditions."""
        visible = self._visibility.of_type(self._type)
        found = Filter(self._indexer, [LIVE, NOTHING if visible is None else visible, self._hidden])
        for condition in _flat(conditions):
            if isinstance(condition, Criterion) and self._indexer.needs_body(condition) and condition.modifier != "not":
                found.bodies.append(condition)
                narrowed = self._indexer.candidates(self._type, condition)
                found.wanted += [self.query(narrowed)] if narrowed is not None else []
            else:
                found.wanted += [self.query(condition), *self._starts(condition)]
        found.wanted = [NOTHING] if NOTHING in found.wanted else [each for each in found.wanted if each]
        return found

    def _starts(self, condition: Condition) -> Iterator[Document]:
        """What a criterion on the type's main date says of `sd`, where every resource has one such date, a day long at most."""
        if not isinstance(condition, Criterion) or condition.code != main_date(self._type) or len(condition.values) != 1:
            return
        value = condition.values[0]
        starts = STARTS.get(value.prefix) if isinstance(value, DateValue) else None
        if isinstance(value, DateValue) and starts and self._reading.one_short_date_each(self._type):
            yield {"sd": starts(value)}

    def query(self, condition: Condition) -> Document:
        """Exactly the matches among all resources of the type."""
        match condition:
            case Criterion():
                return self._criterion(condition)
            case AllOf(conditions):
                return _all([self.query(each) for each in conditions])
            case AnyOf(conditions):
                return _any([self.query(each) for each in conditions])
            case Not(inner):
                return _not(self.query(inner))
            case Chain(code, target, inner):
                return self._chain(code, target, inner)
            case Has(source, code, inner):
                return self._has(source, code, inner)

    def ids(self, conditions: Sequence[Condition]) -> list[str]:
        """Of all visible matches. Raise TooCostly for too many."""
        return _capped((document["_id"] for document in self.documents(conditions)), "_id")

    def documents(self, conditions: Sequence[Condition], *fields: str) -> Iterator[Document]:
        """All visible matches, in no order."""
        asked = self.filter(conditions)
        if asked.wanted == [NOTHING]:
            return
        wanted = ("f", "p", *fields, *(("body",) if asked.bodies else ()))
        rows = iter(self._reading.find(of_type(self._type), asked.query, fields=wanted))
        while batch := list(islice(rows, BATCH)):
            for document in batch if self._visibility.exact else self._visibility.kept(self._type, batch):
                if asked.passes(document.get("body", b"")):
                    yield document

    def _criterion(self, criterion: Criterion) -> Document:
        if criterion.missing is not None:
            return self._missing(criterion)
        if self._indexer.needs_body(criterion):
            found = self._by_body(criterion)
        elif criterion.code == "_id":
            found = {"_id": {"$in": [value.code for value in criterion.values if isinstance(value, TokenValue)]}}
        elif criterion.code == "_lastUpdated":
            found = _any([_updated(value) for value in criterion.values if isinstance(value, DateValue)])
        else:
            found = _alternatives(criterion)
        return _not(found) if criterion.modifier == "not" else found

    def _by_body(self, criterion: Criterion) -> Document:
        """Deep in a condition: the ids of those that fulfil it."""
        positive = replace(criterion, modifier="") if criterion.modifier == "not" else criterion
        return {"_id": {"$in": self.ids([positive])}}

    def _missing(self, criterion: Criterion) -> Document:
        if criterion.code in ("_id", "_lastUpdated"):
            return NOTHING if criterion.missing else {}
        there: Document = {"k": criterion.code}
        return _not(there) if criterion.missing else there

    def _of(self, resource_type: str) -> Compiler:
        return Compiler(self._reading, self._indexer, self._visibility, resource_type, self._hidden)

    def _chain(self, code: str, target: str, inner: Condition) -> Document:
        ids = self._of(target).ids([inner])
        if not ids:
            return NOTHING
        return {"t": {"$in": [plain(code, id) for id in ids]}, "u": {"$in": [paired(code, target, id) for id in ids]}}

    def _has(self, source: str, code: str, inner: Condition) -> Document:
        start = paired(code, self._type, "")
        refers_at_all = Criterion(code, "reference", (), missing=False)
        refers = self._of(source).documents([inner, refers_at_all], "u")
        ids = (each.removeprefix(start) for document in refers for each in document.get("u", ()) if each.startswith(start))
        return {"_id": {"$in": _capped(ids, code)}}


def _flat(conditions: Iterable[Condition]) -> Iterator[Condition]:
    for condition in conditions:
        if isinstance(condition, AllOf):
            yield from _flat(condition.conditions)
        else:
            yield condition


def _capped(ids: Iterable[str], what: str) -> list[str]:
    found: dict[str, None] = {}
    for id in ids:
        found[id] = None
        if len(found) > MOST_IDS:
            raise TooCostly(f"the condition on {what} alone finds more than {MOST_IDS} resources; narrow it")
    return list(found)


def _alternatives(criterion: Criterion) -> Document:
    """Tokens and references without a modifier are looked up together, so that the index still gives them in order."""
    found = [value_query(criterion, value) for value in criterion.values]
    if len(found) > 1 and all(set(each) <= {"t", "u"} and isinstance(each["t"], str) for each in found):
        free = [each["t"] for each in found if "u" not in each]
        bound = [each["u"] for each in found if "u" in each]
        together: Document = {"t": {"$in": [each["t"] for each in found]}}
        if not bound:
            return together
        return {**together, **({"$or": [{"t": {"$in": free}}, {"u": {"$in": bound}}]} if free else {"u": {"$in": bound}})}
    return _any(found)


def _updated(value: DateValue) -> Document:
    """An instant is an interval of one millisecond."""
    return _of_instant(INTERVALS[value.prefix](value))


def _of_instant(bounds: Document) -> Document:
    """h is l + 1, both whole numbers: h > x is l >= x, h <= x is l < x."""
    like = {"$gt": "$gte", "$lte": "$lt"}
    parts: list[Document] = []
    for name, bound in bounds.items():
        if name == "$or":
            parts.append({"$or": [_of_instant(each) for each in bound]})
        elif name == "l":
            parts.append({"lu": bound})
        else:
            parts.append({"lu": {like[operator]: limit for operator, limit in bound.items()}})
    return _all(parts)


def _all(queries: Sequence[Document]) -> Document:
    if NOTHING in queries:
        return NOTHING
    told = [query for query in queries if query]
    return {"$and": told} if len(told) > 1 else told[0] if told else {}


def _any(queries: Sequence[Document]) -> Document:
    told = [query for query in queries if query != NOTHING]
    if {} in told:
        return {}
    return {"$or": told} if len(told) > 1 else told[0] if told else NOTHING


def _not(query: Document) -> Document:
    if not query:
        return NOTHING
    return {} if query == NOTHING else {"$nor": [query]}


def hidden_query(query: SearchQuery) -> Document:
    """What is left out of every answer, whatever the criteria."""
    tags = [paired("_tag", system, fold_code(code)) for system, code in query.hidden_tags]
    return {"u": {"$nin": tags}} if tags else {}
