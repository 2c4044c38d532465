"""History of one resource, of a type or of everything: the newest change first, within what the reader may see.

A version's place in this order is (when it was made, its resource, its number) and never changes, so pages neither lose nor
repeat one while others write. Current versions lie in `resource`, former ones in `history`, both indexed by type and time: the
page is merged from two sorted streams a type, each read only as far as it is needed. https://hl7.org/fhir/R4/http.html#history
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import apsw

from hub.store import positions
from hub.store.port import HistoryPage, Key, Scope, Version
from hub.store.sqlite.names import Names
from hub.store.sqlite.people import scope_bindings, scope_condition
from hub.store.sqlite.versions import version_of

_CURRENT = """SELECT r.updated, r.rid, r.version FROM resource r INDEXED BY {index}
WHERE r.type = :type AND {where} ORDER BY r.updated DESC, r.rid DESC"""
_FORMER = """SELECT v.updated, v.rid, v.version FROM history v INDEXED BY {index} CROSS JOIN resource r ON r.rid = v.rid
WHERE {of} AND {where} ORDER BY v.updated DESC, v.rid DESC, v.version DESC"""
_SUCCEEDED = """coalesce((SELECT n.updated FROM history n WHERE n.rid = v.rid AND n.version = v.version + 1), r.updated)"""
_ONE = """SELECT t.text, r.id, r.version, r.updated, r.deleted, coalesce(b.body, x''), r.method, r.facility, r.patient
FROM resource r JOIN word t ON t.id = r.type LEFT JOIN body b ON b.rid = r.rid WHERE r.rid = :rid AND r.version = :version
UNION ALL SELECT t.text, r.id, h.version, h.updated, h.deleted, h.body, h.method, h.facility, h.patient
FROM history h CROSS JOIN resource r ON r.rid = h.rid JOIN word t ON t.id = r.type WHERE h.rid = :rid AND h.version = :version"""


class Place(NamedTuple):
    updated: int
    rid: int
    version: int


@dataclass(frozen=True, slots=True)
class Asked:
    """Which changes; as ResourceStore.changes."""

    scope: Scope
    type: str = ""
    id: str = ""
    since: int | None = None
    at: tuple[int, int] | None = None


def page(connection: apsw.Connection, names: Names, asked: Asked, *, count: int, after: str | None) -> HistoryPage:
    place = Place(*positions.decode(after, len(Place._fields), int)) if after is not None else None
    found = list(islice(_merged(connection, names, asked, place), count + 1))
    here = found[:count]
    more = len(found) > count
    return HistoryPage(
        versions=tuple(_version(connection, place) for place in here),
        next=positions.encode(here[-1]) if more and here else None,
        total=len(here) if after is None and not more else None,
    )


def _merged(connection: apsw.Connection, names: Names, asked: Asked, place: Place | None) -> Iterator[Place]:
    types = [asked.type] if asked.type else [text for (text,) in connection.execute(_TYPES)]
    streams = [stream for name in types for stream in _streams(connection, names, asked, name, place)]
    return heapq.merge(*streams, reverse=True)


_TYPES = """WITH RECURSIVE present(type) AS (
    SELECT min(type) FROM resource UNION ALL
    SELECT (SELECT min(type) FROM resource WHERE type > present.type) FROM present WHERE present.type IS NOT NULL
) SELECT text FROM present JOIN word ON word.id = present.type"""


def _streams(
    connection: apsw.Connection, names: Names, asked: Asked, resource_type: str, place: Place | None
) -> Iterator[Iterator[Place]]:
    number = names.word(connection, resource_type)
    visible = scope_condition(asked.scope, resource_type)
    if number is None or visible == "0":
        return
    bindings = _bindings(asked, number, place)
    one = ["r.id = :id"] if asked.id else []
    current = [*one, visible, *_times(asked, place, "r")]
    index = "sqlite_autoindex_resource_1" if asked.id else "resource_updated"
    yield _places(connection, _CURRENT.format(index=index, where=" AND ".join(current)), bindings)
    former = [*one, visible, scope_condition(asked.scope, resource_type, row="v"), *_times(asked, place, "v")]
    former += [f"{_SUCCEEDED} > :at_low"] if asked.at is not None else []
    of = "v.rid = (SELECT rid FROM resource WHERE type = :type AND id = :id)" if asked.id else "v.type = :type"
    index = "sqlite_autoindex_history_1" if asked.id else "history_updated"
    yield _places(connection, _FORMER.format(index=index, of=of, where=" AND ".join(former)), bindings)


def _times(asked: Asked, place: Place | None, row: str) -> list[str]:
    found = []
    if asked.since is not None:
        found.append(f"{row}.updated >= :since")
    if asked.at is not None:
        found.append(f"{row}.updated < :at_high")
    if place is not None:
        found.append(f"{row}.updated <= :updated")
        found.append(f"({row}.updated, {row}.rid, {row}.version) < (:updated, :rid, :version)")
    return found


def _bindings(asked: Asked, number: int, place: Place | None) -> dict[str, Any]:
    low, high = asked.at or (None, None)
    times = {"since": asked.since, "at_low": low, "at_high": high}
    return {"type": number, "id": asked.id, **times, **scope_bindings(asked.scope), **(place._asdict() if place else {})}


def _places(connection: apsw.Connection, select: str, bindings: dict[str, Any]) -> Iterator[Place]:
    return (Place(*row) for row in connection.execute(select, bindings))


def _version(connection: apsw.Connection, place: Place) -> Version:
    bindings = {"rid": place.rid, "version": place.version}
    resource_type, identity, *row = connection.execute(_ONE, bindings).get
    return version_of(Key(resource_type, identity), tuple(row))
