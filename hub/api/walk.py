"""One answer from several searches: of several types, or of one person's compartment. https://hl7.org/fhir/R4/search.html#all

Type by type, each in its own order; or, sorted by `_lastUpdated`, all in one order. A position names what was given last, so that
pages neither lose nor repeat a row while others write.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence, Set
from dataclasses import replace
from typing import Literal

import msgspec

from hub.search.query import Criterion, DateValue, SearchQuery
from hub.security.reads import Reads
from hub.store.port import SearchPage, Version

LAST_UPDATED = "_lastUpdated"


def _written(reads: Reads, queries: Sequence[SearchQuery]) -> Set[str]:
    """Types of which anything was ever written: most hubs have some twenty of a hundred and fifty. The others are not asked."""
    return reads.written({query.type for query in queries})


def walk(reads: Reads, queries: Sequence[SearchQuery], count: int, position: str | None) -> SearchPage:
    """One page of `queries`, asked one after the other; the position is the query's number and the place in it."""
    written = _written(reads, queries)
    number, after = _place(position)
    waiting = deque((at, query) for at, query in enumerate(queries) if at >= number and query.type in written)
    matches: list[Version] = []
    included: list[Version] = []
    truncated = False
    while waiting and len(matches) < count:
        page = reads.search(replace(waiting[0][1], count=count - len(matches), after=after, total="none"))
        matches += page.matches
        included += page.included
        truncated = truncated or page.truncated_includes
        after = page.next
        if after is None:
            waiting.popleft()
    following = f"{waiting[0][0]}:{after or ''}" if _more(reads, [query for _, query in waiting], after) else None
    total = len(matches) if position is None and following is None else None
    return SearchPage(tuple(matches), _others(matches, included), following, total, truncated)


def _place(position: str | None) -> tuple[int, str | None]:
    number, _, after = (position or "0:").partition(":")
    return int(number), after or None


def _more(reads: Reads, queries: Sequence[SearchQuery], after: str | None) -> bool:
    """No empty last page: is there anything left?"""
    return after is not None or any(reads.search(_bare(query, count=1)).matches for query in queries)


def _bare(query: SearchQuery, **change: int) -> SearchQuery:
    return replace(query, includes=(), total="none", after=None, **change)  # type: ignore[arg-type]


def _others(matches: Sequence[Version], included: Sequence[Version]) -> tuple[Version, ...]:
    """Once each, and none that is a match."""
    given = {(version.type, version.id) for version in matches}
    return tuple({(v.type, v.id): v for v in included if (v.type, v.id) not in given}.values())


def counted(reads: Reads, queries: Sequence[SearchQuery]) -> int:
    """How many they match altogether."""
    written = _written(reads, queries)
    asked = (replace(query, count=0, total="accurate", includes=(), after=None) for query in queries if query.type in written)
    return sum(reads.search(query).total or 0 for query in asked)


# -- in one order


class Place(msgspec.Struct, array_like=True):
    """The last row given: its instant, its type, and where its type goes on."""

    at: int
    type: str
    after: str  # "" if this was the last of its type


_place_of = msgspec.json.Decoder(Place)


def by_last_updated(queries: Sequence[SearchQuery]) -> bool:
    return len(queries) > 1 and all([sort.code for sort in query.sort] == [LAST_UPDATED] for query in queries)


def merged(reads: Reads, queries: Sequence[SearchQuery], count: int, position: str | None) -> SearchPage:
    """`_sort=_lastUpdated` over several types: by instant, then by type, then as the type's own search has them."""
    descending = queries[0].sort[0].descending
    place = _place_of.decode(position) if position else None
    written = _written(reads, queries)
    asked = [_from(query, place, descending=descending) for query in queries if query.type in written]
    pages = [reads.search(replace(query, count=count + 1, includes=(), total="none")) for query in asked]
    order = _order(descending=descending)
    rows = sorted((version for page in pages for version in page.matches), key=order)
    matches = rows[:count]
    following = _following(reads, asked, matches) if len(rows) > count else None
    included, truncated = _included(reads, asked, matches)
    total = len(matches) if position is None and following is None else None
    return SearchPage(tuple(matches), _others(matches, included), following, total, truncated)


def _order(*, descending: bool) -> Callable[[Version], tuple[int, str]]:
    """Python's sort is stable: within a type, rows stay as they came."""
    return lambda version: (-version.updated if descending else version.updated, version.type)


def _from(query: SearchQuery, place: Place | None, *, descending: bool) -> SearchQuery:
    """What comes after the place: of types before it at later instants only, of types after it at its own instant too."""
    if place is None:
        return query
    if query.type == place.type and place.after:
        return replace(query, after=place.after)
    prefixes: tuple[Literal["lt", "gt"], Literal["le", "ge"]] = ("lt", "le") if descending else ("gt", "ge")
    prefix = prefixes[query.type > place.type]
    beyond = Criterion(LAST_UPDATED, "date", (DateValue(prefix, place.at, place.at + 1),))
    return replace(query, criteria=(*query.criteria, beyond))


def _following(reads: Reads, asked: Sequence[SearchQuery], matches: Sequence[Version]) -> str | None:
    last = matches[-1]
    given = sum(version.type == last.type for version in matches)
    query = next(query for query in asked if query.type == last.type)
    after = reads.search(replace(query, count=given, includes=(), total="none")).next
    return msgspec.json.encode(Place(int(last.updated), last.type, after or "")).decode()


def _included(reads: Reads, asked: Sequence[SearchQuery], matches: Sequence[Version]) -> tuple[list[Version], bool]:
    included: list[Version] = []
    truncated = False
    for query in asked:
        given = sum(version.type == query.type for version in matches)
        if query.includes and given:
            page = reads.search(replace(query, count=given, total="none"))
            included += page.included
            truncated = truncated or page.truncated_includes
    return included, truncated
