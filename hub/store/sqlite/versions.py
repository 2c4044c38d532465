"""Reading versions: the current one from `resource` and `body`, former ones from `history`."""

# ruff: noqa: S608 - every text joined into SQL here is our own; values are bound
from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import apsw

from hub.errors import Gone, NotFound
from hub.store.port import Key, Version
from hub.store.sqlite.names import Names

_KEY = "r.type = (SELECT id FROM word WHERE text = :type) AND r.id = :id"
_CURRENT = "r.version, r.updated, r.deleted, coalesce(b.body, x''), r.method, r.facility, r.patient"
_FROM = "FROM resource r LEFT JOIN body b ON b.rid = r.rid"
_FORMER = "h.version, h.updated, h.deleted, h.body, h.method, h.facility, h.patient"

CURRENT = f"SELECT {_CURRENT} {_FROM} WHERE {_KEY}"
BY_RIDS = f"""SELECT r.type, r.id, {_CURRENT} FROM json_each(?) j
CROSS JOIN resource r ON r.rid = j.value LEFT JOIN body b ON b.rid = r.rid ORDER BY j.key"""
FORMER = f"SELECT {_FORMER} FROM resource r JOIN history h ON h.rid = r.rid WHERE {_KEY}"


def version_of(key: Key, row: tuple[Any, ...]) -> Version:
    number, updated, deleted, body, method, facility, patient = row
    return Version(key.type, key.id, number, updated, bool(deleted), body, method, facility, patient)


def current(connection: apsw.Connection, key: Key) -> Version | None:
    row = connection.execute(CURRENT, key._asdict()).get
    return version_of(key, row) if row else None


def by_rids(connection: apsw.Connection, names: Names, rids: Sequence[int]) -> tuple[Version, ...]:
    """In the order asked."""
    if not rids:
        return ()
    rows = connection.execute(BY_RIDS, (f"[{','.join(map(str, rids))}]",))
    return tuple(version_of(Key(names.text(connection, kind), identity), tuple(row)) for kind, identity, *row in rows)


def read(connection: apsw.Connection, key: Key) -> Version:
    found = current(connection, key)
    if found is None:
        raise NotFound(f"{key.type}/{key.id} is not here")
    if found.deleted:
        raise Gone(f"{key.type}/{key.id} was deleted")
    return found


def read_many(connection: apsw.Connection, keys: Iterable[Key]) -> list[Version]:
    found = (current(connection, key) for key in keys)
    return [version for version in found if version is not None and not version.deleted]


def vread(connection: apsw.Connection, key: Key, number: int) -> Version:
    found = current(connection, key)
    if found is None or found.version != number:
        row = connection.execute(f"{FORMER} AND h.version = :version", {**key._asdict(), "version": number}).get
        found = version_of(key, row) if row else None
    if found is None:
        raise NotFound(f"{key.type}/{key.id} has no version {number}")
    if found.deleted:
        raise Gone(f"version {number} of {key.type}/{key.id} is its deletion")
    return found


def history(connection: apsw.Connection, key: Key, *, count: int, before: int | None) -> list[Version]:
    newest = current(connection, key)
    if newest is None:
        raise NotFound(f"{key.type}/{key.id} is not here")
    below = newest.version + 1 if before is None else before
    page = [newest] if newest.version < below else []
    bindings = {**key._asdict(), "below": below, "count": max(count - len(page), 0)}
    rows = connection.execute(f"{FORMER} AND h.version < :below ORDER BY h.version DESC LIMIT :count", bindings)
    return [*page, *(version_of(key, row) for row in rows)][:count]


# From one type to the next along the index, instead of over all rows.
_TYPES = """WITH RECURSIVE found(type) AS (
    SELECT min(type) FROM resource
    UNION ALL SELECT (SELECT min(type) FROM resource WHERE type > found.type) FROM found WHERE found.type IS NOT NULL
) SELECT word.text FROM found JOIN word ON word.id = found.type"""


def types(connection: apsw.Connection) -> frozenset[str]:
    """Of which anything was ever written."""
    return frozenset(text for (text,) in connection.execute(_TYPES))
