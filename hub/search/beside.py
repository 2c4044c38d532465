"""One search over two places: what is stored, and what lies beside it in memory. One order, one total, pages that lose nothing.

https://hl7.org/fhir/R4/search.html#sort: missing values last in either direction. Without a sort the stored ones come first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cmp_to_key
from heapq import merge
from typing import Any, NamedTuple

import msgspec

from hub import fhir_json
from hub.search.entries import Date, Number, Quantity, Reference, String, Token, Uri, Value
from hub.search.match import Indexed
from hub.search.query import SearchQuery, Sort
from hub.store.port import SearchPage, Version

Stored = Callable[[SearchQuery], SearchPage | None]


class Beside(NamedTuple):
    """A resource in memory, as a store would keep and index it."""

    indexed: Indexed
    version: Version


class Place(msgspec.Struct, array_like=True):
    """How many of those beside were given, and where the store goes on."""

    beside: int = 0
    after: str = ""  # "" from its beginning
    ended: bool = False  # the store has no more


_place_of = msgspec.json.Decoder(Place)


def page_of(query: SearchQuery, stored: Stored, beside: Sequence[Beside]) -> SearchPage | None:
    """One page of both. `beside`: all that fulfil the query; `stored` answers for the store, or gives up with None."""
    place = _place_of.decode(query.after) if query.after else Place()
    if not query.count:
        counted = stored(query)
        return replace(counted, total=(counted.total or 0) + len(beside)) if counted is not None else None
    asked = replace(query, after=place.after or None)
    page = stored(asked) if not place.ended or query.total == "accurate" else SearchPage(())
    if page is None:
        return None
    waiting = () if place.ended else page.matches
    order = _order(query)
    ours = sorted(beside, key=lambda each: order(each.indexed, False))[place.beside :]
    kept = ((order(_indexed(version, query), True), True, version) for version in waiting)
    rows = list(merge(kept, ((order(one, False), False, version) for one, version in ours), key=lambda row: row[0]))[: query.count]
    given = [version for *_, version in rows]
    taken = sum(of_store for _, of_store, _ in rows)
    return _cut(query, asked, stored, page, place, given, taken, len(beside))


def _cut(
    query: SearchQuery,
    asked: SearchQuery,
    stored: Stored,
    page: SearchPage,
    place: Place,
    given: Sequence[Version],
    taken: int,
    beside: int,
) -> SearchPage | None:
    """The page with what was given of it, and the place behind that."""
    total = None if page.total is None else page.total + beside
    whole = taken == len(page.matches)
    if not place.ended and not whole and taken:
        shorter = stored(replace(asked, count=taken, total="none"))
        if shorter is None:
            return None
        page = shorter
    following = Place(place.beside + len(given) - taken, place.after, place.ended)
    if taken or (whole and not place.ended):
        following.after, following.ended = page.next or "", page.next is None
    more = not following.ended or following.beside < beside
    included = page.included if taken else ()
    after = msgspec.json.encode(following).decode() if more else None
    if query.after is None and after is None:
        total = len(given)
    return replace(page, matches=tuple(given), included=included, next=after, total=total)


def _indexed(version: Version, query: SearchQuery) -> Indexed:
    """What it is sorted by; nothing, where nothing was asked."""
    if not query.sort:
        return Indexed(version.type, version.id, version.updated, {}, ())
    return Indexed.of(fhir_json.load(version.body), version.id, version.updated)


def _order(query: SearchQuery) -> Callable[[Indexed, bool], Any]:
    """Indexed, whether it is stored → a key. Of equals the stored one first."""

    def key(one: Indexed, stored: bool) -> Any:
        return [by_key(_sorted_by(one, sort)) for sort, by_key in keys] + [0 if stored else 1]

    keys = [(sort, cmp_to_key(_descending if sort.descending else _ascending)) for sort in query.sort]
    return key


def _sorted_by(one: Indexed, sort: Sort) -> Any:
    if sort.code in ("_id", "_lastUpdated"):
        return one.id if sort.code == "_id" else one.updated
    keys = [_key(value) for value in one.values(sort.code)]
    return (max(keys) if sort.descending else min(keys)) if keys else None


def _key(value: Value) -> Any:
    match value:
        case Token(key, _) | Reference(_, key) | String(key, _) | Date(key, _) | Number(key, _, _) | Uri(key):
            return key
        case Quantity(key, _, _, _, _):
            return key


def _ascending(a: Any, b: Any) -> int:
    if a is None or b is None:
        return (a is None) - (b is None)
    return bool(a > b) - bool(a < b)


def _descending(a: Any, b: Any) -> int:
    return _ascending(a, b) if a is None or b is None else _ascending(b, a)
