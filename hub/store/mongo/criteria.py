"""Conditions of a query → a filter of one type's collection.

What another resource decides (a chain, `_has`) is asked first and becomes a set of ids. Where that would be too large a set, and
where only a body decides, it is asked of the resources that the indexes leave over. Every hop is narrowed by the reader's scope.
https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
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
from hub.store.mongo.alternatives import EVERYTHING, NOTHING, all_query, alternatives, any_query, not_query, updated
from hub.store.mongo.documents import Document, body_of, main_date, paired, plain
from hub.store.mongo.reading import Reading, of_type
from hub.store.mongo.values import STARTS
from hub.store.mongo.visibility import Visibility

LIVE: Document = {"o": {"$gt": 0}}
LEAD_TO_FEW = frozenset({"_id", "patient", "subject"})
MOST_IDS = 20_000  # of one hop that become part of a query
BATCH = 500


class TooMany(Exception):
    """A hop leads to more resources than a query should name."""


@dataclass(slots=True)
class Filter:
    """All of `wanted` hold of every match; the others must still be asked of what was found: `bodies` of each body, `others` of
    a batch of resources together."""

    compiler: Compiler
    wanted: list[Document]
    bodies: list[Criterion] = field(default_factory=list)
    others: list[Condition] = field(default_factory=list)

    @property
    def query(self) -> Document:
        return {"$and": self.wanted} if self.wanted else {}

    @property
    def exact(self) -> bool:
        return not self.bodies and not self.others

    def kept(self, documents: Sequence[Document]) -> list[Document]:
        """Those that fulfil all; with their bodies, if any of those is asked."""
        found = [document for document in documents if self._passes(document)]
        for condition in self.others:
            fulfilled = self.compiler.among(condition, [document["_id"] for document in found])
            found = [document for document in found if document["_id"] in fulfilled]
        return found

    def _passes(self, document: Document) -> bool:
        indexer, body = self.compiler.indexer, body_of(document)
        if not all(indexer.may_fulfil(body, criterion) for criterion in self.bodies):
            return False
        resource = load(body) if self.bodies else {}
        return all(indexer.body_fulfils(resource, criterion) for criterion in self.bodies)


class Compiler:
    """For one resource type, one reader, and within one reading."""

    def __init__(
        self,
        reading: Reading,
        indexer: Indexer,
        visibility: Visibility,
        resource_type: str,
        hidden: Document = EVERYTHING,
        *,
        most_ids: int = MOST_IDS,
        resolved: dict[tuple[str, Condition], list[str] | None] | None = None,
    ) -> None:
        """`hidden`: what is true of all that is not left out of every answer. `resolved`: hops → ids, None for too many."""
        self._resolved = {} if resolved is None else resolved
        self._reading = reading
        self._most_ids = most_ids
        self.indexer = indexer
        self._visibility = visibility
        self._type = resource_type
        self._hidden = hidden

    def filter(self, conditions: Iterable[Condition]) -> Filter:
        """Of visible, undeleted resources that fulfil all conditions."""
        visible = self._visibility.of_type(self._type)
        found = Filter(self, [LIVE, NOTHING if visible is None else visible, self._hidden])
        asked = list(_flat(conditions))
        few = any(map(_leads_to_few, asked))
        for condition in asked:
            if isinstance(condition, Criterion) and self.indexer.needs_body(condition) and condition.modifier != "not":
                found.bodies.append(condition)
                narrowed = self.indexer.candidates(self._type, condition)
                found.wanted += [self.query(narrowed)] if narrowed is not None else []
            else:
                self._add(found, condition)
                found.wanted += () if few else self._starts(condition)
        found.wanted = [NOTHING] if NOTHING in found.wanted else [each for each in found.wanted if each]
        return found

    def _add(self, found: Filter, condition: Condition) -> None:
        try:
            found.wanted.append(self.query(condition))
        except TooMany:
            found.others.append(condition)
            if isinstance(condition, Chain):
                found.wanted.append({"k": condition.code})

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
                return all_query([self.query(each) for each in conditions])
            case AnyOf(conditions):
                return any_query([self.query(each) for each in conditions])
            case Not(inner):
                return not_query(self.query(inner))
            case Chain(code, target, inner):
                return self._chain(code, target, inner)
            case Has(source, code, inner):
                return self._has(source, code, inner)

    def ids(self, conditions: Sequence[Condition]) -> list[str]:
        """Of all visible matches. Raise TooMany."""
        return self._capped(document["_id"] for document in self.documents(conditions))

    def _capped(self, ids: Iterable[str]) -> list[str]:
        found: dict[str, None] = {}
        for id in ids:
            found[id] = None
            if len(found) > self._most_ids:
                raise TooMany
        return list(found)

    def documents(self, conditions: Sequence[Condition], *fields: str, among: Document = EVERYTHING) -> Iterator[Document]:
        """All visible matches among some, in no order."""
        asked = self.filter(conditions)
        if asked.wanted == [NOTHING]:
            return
        asked.wanted += [among] if among else []
        wanted = ("f", "p", *fields, *(("body",) if asked.bodies else ()))
        rows = iter(self._reading.find(of_type(self._type), asked.query, fields=wanted))
        while batch := list(islice(rows, BATCH)):
            yield from asked.kept(batch if self._visibility.exact else self._visibility.kept(self._type, batch))

    # -- asked of resources that were found
    def among(self, condition: Condition, ids: Collection[str]) -> set[str]:
        """Those of these visible resources that fulfil the condition: a hop is made from them, not from its other end."""
        if not ids:
            return set()
        match condition:
            case Criterion(modifier="not", missing=None):
                return set(ids) - self.among(replace(condition, modifier=""), ids)
            case Criterion():
                return {document["_id"] for document in self.documents([condition], among={"_id": {"$in": list(ids)}})}
            case AllOf(conditions):
                return set(ids).intersection(*(self.among(each, ids) for each in conditions))
            case AnyOf(conditions):
                return set[str]().union(*(self.among(each, ids) for each in conditions))
            case Not(inner):
                return set(ids) - self.among(inner, ids)
            case Chain(code, target, inner):
                return self._chain_among(code, target, inner, ids)
            case Has(source, code, inner):
                return self._has_among(source, code, inner, ids)

    def _chain_among(self, code: str, target: str, inner: Condition, ids: Collection[str]) -> set[str]:
        start = paired(code, target, "")
        referring: dict[str, set[str]] = {}
        for document in self._reading.find(of_type(self._type), {"_id": {"$in": list(ids)}}, fields=("u",)):
            for id in _referred(document, start):
                referring.setdefault(id, set()).add(document["_id"])
        if not referring:
            return set()
        found = self._of(target).documents([inner], among={"_id": {"$in": list(referring)}})
        return set[str]().union(*(referring[document["_id"]] for document in found))

    def _has_among(self, source: str, code: str, inner: Condition, ids: Collection[str]) -> set[str]:
        start = paired(code, self._type, "")
        refers = {"t": {"$in": [plain(code, id) for id in ids]}, "u": {"$in": [start + id for id in ids]}}
        left, found = set(ids), set[str]()
        for document in self._of(source).documents([inner], "u", among=refers):
            now = left.intersection(_referred(document, start))
            found |= now
            left -= now
            if not left:
                break
        return found

    # -- as a part of the query
    def _criterion(self, criterion: Criterion) -> Document:
        if criterion.missing is not None:
            return self._missing(criterion)
        if self.indexer.needs_body(criterion):
            found = self._by_body(criterion)
        elif criterion.code == "_id":
            found = {"_id": {"$in": [value.code for value in criterion.values if isinstance(value, TokenValue)]}}
        elif criterion.code == "_lastUpdated":
            found = any_query([updated(value) for value in criterion.values if isinstance(value, DateValue)])
        else:
            found = alternatives(criterion)
        return not_query(found) if criterion.modifier == "not" else found

    def _by_body(self, criterion: Criterion) -> Document:
        """Deep in a condition: the ids of those that fulfil it."""
        positive = replace(criterion, modifier="") if criterion.modifier == "not" else criterion
        return {"_id": {"$in": self.ids([positive])}}

    def _missing(self, criterion: Criterion) -> Document:
        if criterion.code in ("_id", "_lastUpdated"):
            return NOTHING if criterion.missing else {}
        there: Document = {"k": criterion.code}
        return not_query(there) if criterion.missing else there

    def _of(self, resource_type: str) -> Compiler:
        return Compiler(
            self._reading,
            self.indexer,
            self._visibility,
            resource_type,
            self._hidden,
            most_ids=self._most_ids,
            resolved=self._resolved,
        )

    def _chain(self, code: str, target: str, inner: Condition) -> Document:
        ids = self._once((target, inner), lambda: self._of(target).ids([inner]))
        if not ids:
            return NOTHING
        return {"t": {"$in": [plain(code, id) for id in ids]}, "u": {"$in": [paired(code, target, id) for id in ids]}}

    def _has(self, source: str, code: str, inner: Condition) -> Document:
        start = paired(code, self._type, "")
        refers_at_all = Criterion(code, "reference", (), missing=False)

        def resolve() -> list[str]:
            refers = self._of(source).documents([inner, refers_at_all], "u")
            return self._capped(id for document in refers for id in _referred(document, start))

        return {"_id": {"$in": self._once((self._type, Has(source, code, inner)), resolve)}}

    def _once(self, what: tuple[str, Condition], resolve: Callable[[], list[str]]) -> list[str]:
        """However often it is asked. Raise TooMany."""
        if what not in self._resolved:
            try:
                self._resolved[what] = resolve()
            except TooMany:
                self._resolved[what] = None
        ids = self._resolved[what]
        if ids is None:
            raise TooMany
        return ids


def _referred(document: Document, start: str) -> Iterator[str]:
    """Ids of what it refers to by one parameter, in one type."""
    return (each.removeprefix(start) for each in document.get("u", ()) if each.startswith(start))


def _leads_to_few(condition: Condition) -> bool:
    """To the records of some patients, or to those named: further bounds would cost more than they save."""
    match condition:
        case Criterion(code, missing=None, modifier=modifier):
            return code in LEAD_TO_FEW and modifier != "not"
        case _:
            return False


def _flat(conditions: Iterable[Condition]) -> Iterator[Condition]:
    for condition in conditions:
        if isinstance(condition, AllOf):
            yield from _flat(condition.conditions)
        else:
            yield condition


def hidden_query(query: SearchQuery) -> Document:
    """What is left out of every answer, whatever the criteria."""
    tags = [paired("_tag", system, fold_code(code)) for system, code in query.hidden_tags]
    return {"u": {"$nin": tags}} if tags else {}
