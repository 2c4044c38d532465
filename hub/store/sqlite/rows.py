"""Index entries → rows of the index tables; an update writes only what differs."""

# ruff: noqa: S608 - every text joined into SQL here is our own; values are bound
from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import apsw

from hub.search.entries import Date, Entry, Number, Quantity, Reference, String, Token, Uri
from hub.search.match import middle
from hub.store.sqlite.names import NewNames


class Row(NamedTuple):
    """`values` without the rid, in the order of the table's columns."""

    table: str
    values: tuple[Any, ...]


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
    Token: lambda param, value, word: Row("token", (param, value.code, word(value.system))),
    Reference: lambda param, value, word: Row("reference", (param, value.id, word(value.type))),
    String: lambda param, value, _: Row("string", (param, value.folded, value.exact)),
    Date: lambda param, value, _: Row("date", (param, value.low, value.high)),
    Number: lambda param, value, _: Row("number", (param, middle(*value), *value)),
    Quantity: lambda param, value, word: Row(
        "quantity", (param, middle(value.low, value.high), value.low, value.high, word(value.system), word(value.code))
    ),
    Uri: lambda param, value, _: Row("uri", (param, value.value)),
}


def rows_of(connection: apsw.Connection, names: NewNames, resource_type: str, entries: Iterable[Entry]) -> set[Row]:
    def word(text: str) -> int:
        return names.number(connection, text)

    return {_ROW[type(value)](names.parameter_number(connection, resource_type, code), value, word) for code, value in entries}


def learn(connection: apsw.Connection, names: NewNames, rows: Iterable[Row]) -> None:
    """Keep what `Facts` says of the parameters true for these rows as well."""
    seen: dict[int, list[int]] = {}  # parameter → entries, longest interval
    for table, values in rows:
        of_parameter = seen.setdefault(values[0], [0, 0])
        of_parameter[0] += 1
        if table == "date":
            of_parameter[1] = max(of_parameter[1], values[2] - values[1])
    for parameter, (entries, widest) in seen.items():
        names.learn(connection, parameter, int(entries > 1), widest)


def present(rows: Iterable[Row]) -> str:
    """',3,17,': the parameters that have an entry."""
    numbers = sorted({row.values[0] for row in rows})
    return f",{','.join(map(str, numbers))}," if numbers else ""


def replace(connection: apsw.Connection, rid: int, old: set[Row], new: set[Row]) -> None:
    _run(connection, _DELETE, rid, old - new)
    _run(connection, _INSERT, rid, new - old)


def _run(connection: apsw.Connection, statements: dict[str, str], rid: int, rows: set[Row]) -> None:
    by_table: dict[str, list[tuple[Any, ...]]] = {}
    for table, values in rows:
        by_table.setdefault(table, []).append((*values, rid))
    for table, bindings in by_table.items():
        connection.executemany(statements[table], bindings)
