"""Whether the file says the same everywhere: what is stored is searchable, every version is there, nothing is left over.

Each resource looked at is extracted again and compared with its rows in the index tables. Findings name resources, tables and
parameters, never values.
"""

# ruff: noqa: S608 - every text joined into SQL here is our own; values are bound
from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import apsw

from hub.fhir_json import load
from hub.store.indexer import Indexer
from hub.store.sqlite import rows
from hub.store.sqlite.copying import Progress
from hub.store.sqlite.names import NewNames
from hub.store.sqlite.rows import Row

CHUNK = 500
MOST = 100  # findings told
# what must find nothing → how it is told
_VERSIONS = {
    "resources have no content": """SELECT count(*) FROM resource r
        WHERE deleted = 0 AND NOT EXISTS (SELECT 1 FROM body b WHERE b.rid = r.rid)""",
    "contents belong to no resource": """SELECT count(*) FROM body b
        WHERE NOT EXISTS (SELECT 1 FROM resource r WHERE r.rid = b.rid AND r.deleted = 0)""",
    "resources lack a former version": """SELECT count(*) FROM resource r
        WHERE r.version - 1 <> (SELECT count(*) FROM history h WHERE h.rid = r.rid)""",
}
_RESOURCE = """SELECT r.rid, w.text, r.id, r.present, r.patient, b.body FROM body b CROSS JOIN resource r ON r.rid = b.rid
JOIN word w ON w.id = r.type WHERE b.rid {where} ORDER BY b.rid LIMIT {limit}"""


class _Known(NewNames):
    """Numbers that are there; -1 for what is not. Writes nothing."""

    def number(self, connection: apsw.Connection, text: str) -> int:
        known = self.word(connection, text)
        return -1 if known is None else known

    def parameter_number(self, connection: apsw.Connection, resource_type: str, code: str) -> int:
        known = self.parameter(connection, resource_type, code)
        return -1 if known is None else known

    def learn(self, connection: apsw.Connection, parameter: int, repeats: int, widest: int) -> None:
        pass


def check_file(connection: apsw.Connection) -> list[str]:
    """What SQLite finds wrong, and what our own tables lack."""
    found = [f"integrity: {text}" for (text,) in connection.execute("PRAGMA integrity_check") if text != "ok"]
    if found:
        return found
    counts = {what: int(connection.execute(select).get) for what, select in _VERSIONS.items()}
    return [f"{count} {what}" for what, count in counts.items() if count]


def check_index(
    connection: apsw.Connection, indexer: Indexer, *, sample: int | None, progress: Progress, seed: int | None = None
) -> tuple[int, list[str]]:
    """How many resources were looked at, and what was wrong. `sample` None: all of them, and nothing beside them in the index."""
    names = _Known()
    total = int(connection.execute("SELECT count(*) FROM body").get)
    looked, found, expected = 0, list[str](), Counter[str]()
    wanted = total if sample is None else min(sample, total)
    chosen = _all(connection) if sample is None else _some(connection, wanted, random.Random(seed))  # noqa: S311 - no secret
    for rid, resource_type, identity, present, patient, body in chosen:
        resource = load(body)
        index = rows.rows_of(connection, names, resource_type, indexer.extract(resource))
        expected.update(table for table, _ in index)
        wrong = _differences(connection, rid, index)
        wrong += ["its list of parameters"] if present != rows.present(index) else []
        wrong += ["its patient"] if patient != indexer.compartment_of(resource) else []
        found += [f"{resource_type}/{identity}: {what} is not as its content says" for what in wrong]
        looked += 1
        if looked % CHUNK == 0 or looked == wanted:
            progress(looked, wanted)
        if len(found) > MOST:
            return looked, [*found[:MOST], "… and more: `reindex` builds the index anew"]
    if sample is None and not found:
        found = list(_left_over(connection, expected))
    return looked, found


def _differences(connection: apsw.Connection, rid: int, index: set[Row]) -> list[str]:
    by_table, there = _by_table(index), _by_table(rows.reached(connection, rid))
    wrong = []
    for table in rows.COLUMNS:
        expected = by_table.get(table, set())
        if table in rows.REACHED_BY_RID:
            same = there.get(table, set()) == expected
        else:
            key = " AND ".join(f"{name} = ?" for name in rows.COLUMNS[table])
            select = f"SELECT 1 FROM {table} WHERE {key} AND rid = ?"
            same = all(connection.execute(select, (*values, rid)).get for values in expected)
        wrong += [] if same else [f"its index of type {table}"]
    return wrong


def _by_table(found: set[Row]) -> dict[str, set[tuple[Any, ...]]]:
    tables: dict[str, set[tuple[Any, ...]]] = {}
    for table, values in found:
        tables.setdefault(table, set()).add(values)
    return tables


def _left_over(connection: apsw.Connection, expected: Counter[str]) -> Iterator[str]:
    """Each resource's own rows are there, so a table that holds more holds what belongs to none."""
    for table in rows.COLUMNS:
        more = int(connection.execute(f"SELECT count(*) FROM {table}").get) - expected[table]
        if more:
            yield f"the index of type {table} holds {more} entries that belong to nothing"


Stored = tuple[Any, ...]  # rid, type, id, present, patient, body


def _all(connection: apsw.Connection) -> Iterator[Stored]:
    chunk: list[Stored] = []
    last = 0
    while chunk := connection.execute(_RESOURCE.format(where="> ?", limit=CHUNK), (last,)).fetchall():
        yield from chunk
        last = chunk[-1][0]


def _some(connection: apsw.Connection, wanted: int, dice: random.Random) -> Iterator[Stored]:
    """From random places; one may come twice."""
    highest = int(connection.execute("SELECT coalesce(max(rid), 0) FROM body").get)
    for _ in range(wanted):
        select = _RESOURCE.format(where=">= ?", limit=1)
        yield from connection.execute(select, (dice.randint(1, max(highest, 1)),)).fetchall()
