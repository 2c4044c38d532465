"""A search by looking at every resource: slow, and simple enough to be believed."""

from __future__ import annotations

from functools import cmp_to_key
from typing import Any

from hub.search.entries import Date, Number, Quantity, Reference, String, Token, Uri, Value
from hub.search.extract import composite_matches, extract
from hub.search.folding import fold
from hub.search.match import date_matches, matches, middle
from hub.search.parameters import registry
from hub.search.query import CompositeValue, Criterion, DateValue, SearchQuery, Sort
from hub.store.port import Version


class Kept:
    """One stored resource; `order` is when it was created."""

    def __init__(self, order: int, version: Version, resource: dict[str, Any]) -> None:
        self.order = order
        self.version = version
        self.resource = resource
        self.entries = extract(resource)

    def values(self, code: str) -> list[Value]:
        return [entry.value for entry in self.entries if entry.parameter == code]


class Library(list[Kept]):
    """All of them; short to print."""

    def __repr__(self) -> str:
        return f"<{len(self)} resources>"


def expected(kept: Library, query: SearchQuery) -> list[str]:
    """Ids in the order promised."""
    found = [one for one in kept if one.version.type == query.type and all(fulfils(one, c) for c in query.criteria)]
    ascending = bool(query.sort) and not query.sort[0].descending
    found.sort(key=lambda one: one.order, reverse=not ascending)
    for sort in reversed(query.sort):
        found.sort(key=cmp_to_key(lambda a, b, sort=sort: _compare(_key(a, sort), _key(b, sort), sort.descending)))
    return [one.version.id for one in found]


def fulfils(one: Kept, criterion: Criterion) -> bool:
    if criterion.missing is not None:
        return bool(one.values(criterion.code)) != criterion.missing
    fulfilled = any(_one_value(one, criterion, value) for value in criterion.values)
    return not fulfilled if criterion.modifier == "not" else fulfilled


def _one_value(one: Kept, criterion: Criterion, asked: Any) -> bool:
    if criterion.code == "_id":
        return one.version.id == asked.code
    if criterion.code == "_lastUpdated":
        assert isinstance(asked, DateValue)
        return date_matches(one.version.updated, one.version.updated + 1, asked)
    if isinstance(asked, CompositeValue):
        return composite_matches(one.resource, registry().get(one.version.type, criterion.code), asked)
    return any(_entry(value, criterion.modifier, asked) for value in one.values(criterion.code))


def _entry(value: Value, modifier: str, asked: Any) -> bool:
    match modifier, value:
        case "exact", String(_, exact):
            return exact == asked.text
        case "contains", String(folded, _):
            return fold(asked.text) in folded
        case "below", Uri(text):
            return text == asked.value or text.startswith(asked.value.rstrip("/") + "/")
        case "above", Uri(text):
            return text == asked.value or asked.value.startswith(text.rstrip("/") + "/")
    return matches(value, asked)


def _key(one: Kept, sort: Sort) -> Any:
    if sort.code in ("_id", "_lastUpdated"):
        return one.version.id if sort.code == "_id" else one.version.updated
    keys = [_sorted_by(value) for value in one.values(sort.code)]
    return (max(keys) if sort.descending else min(keys)) if keys else None


def _sorted_by(value: Value) -> Any:
    match value:
        case Token(code, _):
            return code
        case Reference(_, identity):
            return identity
        case String(folded, _):
            return folded
        case Date(low, _):
            return low
        case Number(low, high):
            return middle(low, high)
        case Quantity(low, high, _, _):
            return middle(low, high)
        case Uri(text):
            return text


def _compare(a: Any, b: Any, descending: bool) -> int:
    if a is None or b is None:
        return (a is None) - (b is None)
    return ((a > b) - (a < b)) * (-1 if descending else 1)
