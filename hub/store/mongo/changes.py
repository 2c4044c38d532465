"""History of one resource, of a type or of everything: the newest change first, within what the reader may see.

A version's place in this order is (when it was made, its resource, its number) and never changes, so pages neither lose nor
repeat one while others write. Current versions lie in their type's collection, former ones in the history, both indexed by time:
the page is merged from two sorted streams a type, each read only as far as it is needed.
https://hl7.org/fhir/R4/http.html#history
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from hub.store import positions
from hub.store.mongo.database import HISTORY
from hub.store.mongo.documents import Document, history_id, place_of, version_of
from hub.store.mongo.reading import Reading, of_type
from hub.store.mongo.versions import WHOLE
from hub.store.mongo.visibility import Visibility
from hub.store.port import HistoryPage, Key, Version

BATCH = 100
_NEWEST_FIRST = [("lu", -1), ("o", -1)]


class Place(NamedTuple):
    updated: int
    place: int
    version: int


Placed = tuple[Place, Version]


@dataclass(frozen=True, slots=True)
class Asked:
    """Which changes; as ResourceStore.changes."""

    type: str = ""
    id: str = ""
    since: int | None = None
    at: tuple[int, int] | None = None


def page(reading: Reading, asked: Asked, visibility: Visibility, *, count: int, after: str | None) -> HistoryPage:
    place = Place(*positions.decode(after, len(Place._fields), int)) if after is not None else None
    types = [asked.type] if asked.type else reading.database.types()
    streams = [
        stream
        for kind in types
        if visibility.of_type(kind) is not None
        for stream in (_current(reading, visibility, asked, kind, place), _former(reading, visibility, asked, kind, place))
    ]
    found = list(islice(heapq.merge(*streams, key=lambda placed: placed[0], reverse=True), count + 1))
    here = found[:count]
    more = len(found) > count
    return HistoryPage(
        versions=tuple(version for _, version in here),
        next=positions.encode(here[-1][0]) if more and here else None,
        total=len(here) if after is None and not more else None,
    )


def _current(reading: Reading, visibility: Visibility, asked: Asked, kind: str, place: Place | None) -> Iterator[Placed]:
    wanted = _times(asked, place) + ([{"_id": asked.id}] if asked.id else [])
    rows = reading.find(of_type(kind), {"$and": wanted} if wanted else {}, fields=WHOLE, sort=[("lu", -1)])
    for batch in _batches(_in_order(_behind(rows, place))):
        for row in visibility.kept(kind, batch):
            yield _place(row), version_of(kind, row)


def _former(reading: Reading, visibility: Visibility, asked: Asked, kind: str, place: Place | None) -> Iterator[Placed]:
    wanted: list[Document] = [{"T": kind}, *_times(asked, place)]
    if asked.id:
        key = Key(kind, asked.id)
        wanted.append({"_id": {"$gte": history_id(key, 0), "$lt": history_id(key, 10**10 - 1)}})
    if asked.at is not None:
        wanted.append({"end": {"$gt": asked.at[0]}})
    rows = reading.find(HISTORY, {"$and": wanted}, sort=[*_NEWEST_FIRST, ("v", -1)])
    for batch in _batches(_behind(rows, place)):
        seen = visibility.kept(kind, batch)
        now = _newest_seen(reading, visibility, kind, {row["i"] for row in seen})
        for row in seen:
            if row["i"] in now:
                yield _place(row), version_of(kind, row)


def _newest_seen(reading: Reading, visibility: Visibility, kind: str, ids: set[str]) -> set[str]:
    """Those whose newest version may be seen."""
    if visibility.everything or not ids:
        return ids
    rows = list(reading.find(of_type(kind), {"_id": {"$in": sorted(ids)}}, fields=("f", "p")))
    return {row["_id"] for row in visibility.kept(kind, rows)}


def _times(asked: Asked, place: Place | None) -> list[Document]:
    found: list[Document] = []
    if asked.since is not None:
        found.append({"lu": {"$gte": asked.since}})
    if asked.at is not None:
        found.append({"lu": {"$lt": asked.at[1]}})
    if place is not None:
        found.append({"lu": {"$lte": place.updated}})
    return found


def _behind(rows: Iterable[Document], place: Place | None) -> Iterator[Document]:
    return (row for row in rows if place is None or _place(row) < place)


def _in_order(rows: Iterable[Document]) -> Iterator[Document]:
    """By time, as they come; those of one instant by their places, a deletion's too, which no index holds."""
    instant: list[Document] = []
    for row in rows:
        if instant and row["lu"] != instant[0]["lu"]:
            yield from sorted(instant, key=_place, reverse=True)
            instant.clear()
        instant.append(row)
    yield from sorted(instant, key=_place, reverse=True)


def _batches(rows: Iterator[Document]) -> Iterator[list[Document]]:
    while batch := list(islice(rows, BATCH)):
        yield batch


def _place(row: dict[str, Any]) -> Place:
    return Place(row["lu"], place_of(row), row["v"])
