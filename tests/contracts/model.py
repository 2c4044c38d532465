"""A search by looking at every resource: slow, and simple enough to be believed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cmp_to_key
from typing import Any

from hub.search.entries import Date, Number, Quantity, Reference, String, Token, Uri, Value
from hub.search.match import Indexed, fulfils
from hub.search.query import Include, SearchQuery, Sort
from hub.store.port import Key, Version


class Kept:
    """One stored resource; `order` is when it was created."""

    def __init__(self, order: int, version: Version, resource: dict[str, Any]) -> None:
        self.order = order
        self.version = version
        self.resource = resource
        self.indexed = Indexed.of(resource, version.id, version.updated)

    @property
    def key(self) -> Key:
        return Key(self.version.type, self.version.id)

    def values(self, code: str) -> list[Value]:
        return list(self.indexed.values(code))


class Library(list[Kept]):
    """All of them, which is a World; short to print."""

    def __init__(self, kept: Iterable[Kept] = ()) -> None:
        super().__init__(kept)
        self._by_key = {one.key: one for one in self}

    def __repr__(self) -> str:
        return f"<{len(self)} resources>"

    def get(self, type: str, id: str) -> Indexed | None:
        found = self._by_key.get(Key(type, id))
        return found.indexed if found is not None else None

    def referring(self, type: str, code: str, to: Indexed) -> Iterator[Indexed]:
        target = Reference(to.type, to.id)
        return (one.indexed for one in self if one.version.type == type and target in one.values(code))

    def visible(self, sees: Callable[[Version], bool]) -> Library:
        return Library(one for one in self if sees(one.version))

    def at(self, key: Key) -> Kept | None:
        return self._by_key.get(key)


def expected(kept: Library, query: SearchQuery) -> list[str]:
    """Ids in the order promised."""
    found = [one for one in kept if one.version.type == query.type and all(fulfils(one.indexed, c, kept) for c in query.criteria)]
    ascending = bool(query.sort) and not query.sort[0].descending
    found.sort(key=lambda one: one.order, reverse=not ascending)
    for sort in reversed(query.sort):
        found.sort(key=cmp_to_key(lambda a, b, sort=sort: _compare(_key(a, sort), _key(b, sort), sort.descending)))
    return [one.version.id for one in found]


def included(kept: Library, query: SearchQuery, matches: Sequence[Key]) -> set[Key]:
    """What stands beside these matches: :iterate starts again from what it brought."""
    seen, reached = set(matches), set(matches)
    includes = query.includes
    while reached:
        brought = {key for include in includes for key in _brought(kept, include, reached)}
        reached = brought - seen
        seen |= reached
        includes = tuple(include for include in includes if include.iterate)
    return seen - set(matches)


def _brought(kept: Library, include: Include, start: set[Key]) -> Iterator[Key]:
    for one in kept:
        if include.source_type in ("*", one.version.type) and (include.reverse or one.key in start):
            for target in _references(one, include):
                if include.reverse and target in start:
                    yield one.key
                elif not include.reverse and kept.at(target) is not None:
                    yield target


def _references(one: Kept, include: Include) -> Iterator[Key]:
    for code, value in one.indexed.entries:
        if isinstance(value, Reference) and value.type and include.code in ("*", code) and include.target_type in ("", value.type):
            yield Key(value.type, value.id)


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
        case Number(value, _, _) | Quantity(value, _, _, _, _):
            return value
        case Uri(text):
            return text


def _compare(a: Any, b: Any, descending: bool) -> int:
    if a is None or b is None:
        return (a is None) - (b is None)
    return (bool(a > b) - bool(a < b)) * (-1 if descending else 1)
