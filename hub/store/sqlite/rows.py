"""Index entries → rows of the index tables; an update writes only what differs."""

# ruff: noqa: S608 - every text joined into SQL here is our own; values are bound
from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import apsw

from hub.search.entries import Date, Entry, Number, Quantity, Reference, String, Token, Uri
from hub.search.match import middle
from hub.store.sqlite.names import NewNames

Row = tuple[str, tuple[Any, ...]]  # table, and its values without the rid in the order of COLUMNS

# table → its columns except rid
COLUMNS: dict[str, tuple[str, ...]] = {
    "token": ("param", "code", "system"),
    "reference": ("param", "id", "type"),
    "string": ("param", "folded", "exact"),
    "date": ("param", "low", "high"),
    "number": ("param", "value", "low", "high"),
    "quantity": ("param", "value", "low", "high", "system", "code"),
    "uri": ("param", "value"),
}
_INSERT = {
    table: f"INSERT OR IGNORE INTO {table} ({', '.join(names)}, rid) VALUES ({', '.join('?' * (len(names) + 1))})"
    for table, names in COLUMNS.items()
}
_DELETE = {
    table: f"DELETE FROM {table} WHERE {' AND '.join(f'{name} = ?' for name in names)} AND rid = ?"
    for table, names in COLUMNS.items()
}

Word = Callable[[str], int]
_ROW: dict[type, Callable[[int, Any, Word], Row]] = {
    Token: lambda param, value, word: ("token", (param, value.code, word(value.system))),
    Reference: lambda param, value, word: ("reference", (param, value.id, word(value.type))),
    String: lambda param, value, _: ("string", (param, value.folded, value.exact)),
    Date: lambda param, value, _: ("date", (param, value.low, value.high)),
    Number: lambda param, value, _: ("number", (param, middle(*value), *value)),
    Quantity: lambda param, value, word: (
        "quantity",
        (param, middle(value.low, value.high), value.low, value.high, word(value.system), word(value.code)),
    ),
    Uri: lambda param, value, _: ("uri", (param, value.value)),
}


def rows_of(connection: apsw.Connection, names: NewNames, resource_type: str, entries: Iterable[Entry]) -> set[Row]:
    """Each row once; what `Facts` says of the parameters is made true for these rows as well."""
    known, parameters = names.known_words, names.parameters_of(resource_type)
    found: set[Row] = set()
    once: set[int] = set()
    twice: set[int] = set()

    def word(text: str) -> int:
        return known.get(text) or names.number(connection, text)

    for code, value in entries:
        param = parameters.get(code) or names.parameter_number(connection, resource_type, code)
        found.add(_ROW[type(value)](param, value, word))
        (twice if param in once else once).add(param)
        if type(value) is Date:
            names.learn(connection, param, 0, value.high - value.low)
    for param in twice:
        names.learn(connection, param, 1, 0)
    return found


def present(rows: Iterable[Row]) -> str:
    """',3,17,': the parameters that have an entry."""
    numbers = sorted({values[0] for _, values in rows})
    return f",{','.join(map(str, numbers))}," if numbers else ""


def replace(connection: apsw.Connection, rid: int, old: set[Row], new: set[Row]) -> None:
    if old:
        _run(connection, _DELETE, rid, old - new)
    _run(connection, _INSERT, rid, new - old)


def _run(connection: apsw.Connection, statements: dict[str, str], rid: int, rows: set[Row]) -> None:
    by_table: dict[str, list[tuple[Any, ...]]] = {}
    for table, values in rows:
        by_table.setdefault(table, []).append((*values, rid))
    for table, bindings in by_table.items():
        connection.executemany(statements[table], bindings)
