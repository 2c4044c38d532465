"""Many resources whose index entries were found elsewhere → rows, with a few statements for all of them.

`prepare` runs in whatever process found the entries; there a type, a system or a parameter is still its text. Numbers are
given here. Rows of an index table are inserted in its order, so that neighbours share a page.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import apsw

from hub.search.entries import Date, Entry, Number, Quantity, Reference, String, Token, Uri
from hub.store.content import drafted
from hub.store.port import Key, Prepared, Saved
from hub.store.sqlite import rows
from hub.store.sqlite.names import NewNames
from hub.store.sqlite.rows import Row

Values = tuple[Any, ...]
Portable = tuple[dict[str, list[Values]], list[str], dict[str, int]]  # rows by table, codes that repeat, code → widest interval

_ROW: dict[type, Callable[[str, Any], tuple[str, Values]]] = {
    Token: lambda code, value: ("token", (code, value.code, value.system)),
    Reference: lambda code, value: ("reference", (code, value.id, value.type)),
    String: lambda code, value: ("string", (code, value.folded, value.exact)),
    Date: lambda code, value: ("date", (code, value.low, value.high)),
    Number: lambda code, value: ("number", (code, *value)),
    Quantity: lambda code, value: ("quantity", (code, *value)),
    Uri: lambda code, value: ("uri", (code, value.value)),
}
Number_ = Callable[[str], int]
_NUMBERED: dict[str, Callable[[Values, Number_], Values]] = {
    "token": lambda row, word: (row[1], word(row[2])),
    "reference": lambda row, word: (row[1], word(row[2])),
    "quantity": lambda row, word: (*row[1:4], word(row[4]), word(row[5])),
}


def prepare(resource_type: str, entries: Iterable[Entry]) -> Portable:  # noqa: ARG001 - as the port has it
    """Each row once."""
    tables: dict[str, dict[Values, None]] = {}
    once: set[str] = set()
    twice: dict[str, None] = {}
    widest: dict[str, int] = {}
    for code, value in entries:
        table, row = _ROW[type(value)](code, value)
        tables.setdefault(table, {})[row] = None
        if code in once:
            twice[code] = None
        once.add(code)
        if type(value) is Date:
            widest[code] = max(widest.get(code, 0), value.high - value.low)
    return {table: list(found) for table, found in tables.items()}, list(twice), widest


class Numbering:
    """Gives parameters and words their numbers, within one transaction."""

    def __init__(self, connection: apsw.Connection, names: NewNames) -> None:
        self._connection = connection
        self._names = names

    def rows(self, resource_type: str, portable: Portable) -> dict[str, list[Values]]:
        """By table, without the rid; what `Facts` says is made true for them as well."""
        tables, twice, widest = portable
        number = self._parameter(resource_type)
        found = {}
        for table, listed in tables.items():
            change = _NUMBERED.get(table)
            if change is None:
                found[table] = [(number(row[0]), *row[1:]) for row in listed]
            else:
                found[table] = [(number(row[0]), *change(row, self._word)) for row in listed]
        for code in twice:
            self._names.learn(self._connection, number(code), 1, 0)
        for code, width in widest.items():
            self._names.learn(self._connection, number(code), 0, width)
        return found

    def _parameter(self, resource_type: str) -> Callable[[str], int]:
        known = self._names.parameters_of(resource_type)
        return lambda code: known.get(code) or self._names.parameter_number(self._connection, resource_type, code)

    def _word(self, text: str) -> int:
        return self._names.known_words.get(text) or self._names.number(self._connection, text)


def as_rows(tables: dict[str, list[Values]]) -> set[Row]:
    return {(table, values) for table, listed in tables.items() for values in listed}


def insert_new(connection: apsw.Connection, names: NewNames, new: Sequence[Prepared], now: int) -> list[Saved]:
    """Resources whose ids nobody has used."""
    numbering = Numbering(connection, names)
    first = int(connection.execute("SELECT max(rid) FROM resource").get or 0) + 1
    heads, bodies, saved = [], [], []
    index: dict[str, list[Values]] = defaultdict(list)
    for rid, each in enumerate(new, first):
        version, tables = drafted(each).first(now), numbering.rows(each.type, each.index)
        for table, listed in tables.items():
            index[table] += [(*values, rid) for values in listed]
        number = names.number(connection, each.type)
        heads.append((rid, number, each.id, 1, now, 0, each.method, each.facility, each.patient, _present(tables)))
        bodies.append((rid, version.body))
        saved.append(Saved(version, created=True, changed=True))
    rows.insert_many(connection, "INSERT INTO resource", heads)
    rows.insert_many(connection, "INSERT INTO body", bodies)
    for table, bindings in index.items():
        bindings.sort()
        rows.insert_many(connection, f"INSERT OR IGNORE INTO {table} ({', '.join(rows.COLUMNS[table])}, rid)", bindings)
    return saved


def _present(tables: dict[str, list[Values]]) -> str:
    numbers = sorted({values[0] for listed in tables.values() for values in listed})
    return f",{','.join(map(str, numbers))}," if numbers else ""


HEADS = """SELECT r.id, r.rid, r.version, r.updated, r.deleted, r.method, r.facility, r.patient FROM json_each(?2) j
CROSS JOIN resource r ON r.type = (SELECT id FROM word WHERE text = ?1) AND r.id = j.value"""
NEWEST = """SELECT r.id, r.version, r.updated, r.deleted, coalesce(b.body, x''), r.method, r.facility, r.patient
FROM json_each(?2) j
CROSS JOIN resource r ON r.type = (SELECT id FROM word WHERE text = ?1) AND r.id = j.value LEFT JOIN body b ON b.rid = r.rid"""


def by_type(keys: Iterable[Key]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for kind, id in keys:
        found[kind].append(id)
    return found
