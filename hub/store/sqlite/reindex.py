"""Build index entries anew from the stored resources, as after a change of what is extracted.

`reindex` builds all of them in one transaction: readers see the former entries until it is committed, and a stop half way changes
nothing. `reindex_some` and `forget` work in pieces, between which others write.
"""

# ruff: noqa: S608 - every text joined into SQL here is our own; values are bound
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import apsw

from hub.fhir_json import load
from hub.store.indexer import Indexer
from hub.store.port import Reindexed
from hub.store.sqlite import rows
from hub.store.sqlite.names import NewNames

CHUNK = 500
Progress = Callable[[int, int], None]  # done, of how many


def reindex(connection: apsw.Connection, indexer: Indexer, names: NewNames, progress: Progress) -> int:
    """Return how many resources were read."""
    total = int(connection.execute("SELECT count(*) FROM body").get)
    for table in rows.COLUMNS:
        connection.execute(f"DELETE FROM {table}")
    connection.execute("UPDATE parameter SET repeats = 0, widest = 0")
    names.forget()
    done = 0
    for chunk in _chunks(connection):
        for rid, body in chunk:
            _index(connection, indexer, names, rid, body)
        done += len(chunk)
        progress(done, total)
    return done


def _chunks(connection: apsw.Connection) -> Iterator[list[Any]]:
    """Rows of (rid, body)."""
    select = "SELECT rid, body FROM body WHERE rid > ? ORDER BY rid LIMIT ?"
    chunk: list[Any] = connection.execute(select, (0, CHUNK)).fetchall()
    while chunk:
        yield chunk
        chunk = connection.execute(select, (chunk[-1][0], CHUNK)).fetchall()


def _index(connection: apsw.Connection, indexer: Indexer, names: NewNames, rid: int, body: bytes) -> None:
    resource = load(body)
    found = rows.rows_of(connection, names, resource["resourceType"], indexer.extract(resource))
    rows.replace(connection, rid, rows.reached(connection, rid) - found, found)
    update = "UPDATE resource SET patient = ?, present = ? WHERE rid = ?"
    connection.execute(update, (indexer.compartment_of(resource), rows.present(found), rid))


def reindex_some(connection: apsw.Connection, indexer: Indexer, names: NewNames, type: str, after: str, limit: int) -> Reindexed:
    """Rows that are missing are added, and those of dates, strings, numbers and references that are left over go.

    One more resource than asked tells whether there is a next piece.
    """
    number = names.word(connection, type)
    select = """SELECT resource.rid, body FROM resource JOIN body USING (rid)
    WHERE type = ? AND deleted = 0 AND resource.rid > ? ORDER BY resource.rid LIMIT ?"""
    chunk: list[Any] = connection.execute(select, (number, int(after or 0), limit + 1)).fetchall()
    for rid, body in chunk[:limit]:
        _index(connection, indexer, names, rid, body)
    return Reindexed(str(chunk[limit - 1][0]) if len(chunk) > limit else None, len(chunk[:limit]))


def forget(connection: apsw.Connection, type: str, code: str, limit: int) -> bool:
    """`present` keeps the parameter's number until the resource is indexed anew; nothing asks for it meanwhile."""
    select = "SELECT id FROM parameter WHERE type = (SELECT id FROM word WHERE text = ?) AND (code = ? OR code GLOB ? || ':*')"
    for (parameter,) in connection.execute(select, (type, code, code)).fetchall():
        for table, names in rows.COLUMNS.items():
            key = f"({', '.join((*names, 'rid'))})"
            some = f"SELECT {key[1:-1]} FROM {table} WHERE param = ? LIMIT ?"
            connection.execute(f"DELETE FROM {table} WHERE {key} IN ({some})", (parameter, limit))
            if connection.changes() >= limit:
                return True
    return False
