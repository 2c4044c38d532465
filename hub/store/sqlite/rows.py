"""Index entries → rows of the index tables; an update writes only what differs."""

# ruff: noqa: S608 - every text joined into SQL here is our own; values are bound
from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import chain
from typing import Any

import apsw

from hub.search.entries import Date, Entry, Number, Quantity, Reference, String, Token, Uri
from hub.store.sqlite.names import NewNames

FEW_ROWS, MOST_ROWS = 12, 64  # of one INSERT: as many as there are, and then so many at most
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
REACHED_BY_RID = ("string", "date", "number", "quantity", "reference")
_REACH = {table: f"SELECT {', '.join(COLUMNS[table])} FROM {table} INDEXED BY {table}_of WHERE rid = ?" for table in REACHED_BY_RID}
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
    Number: lambda param, value, _: ("number", (param, *value)),
    Quantity: lambda param, value, word: (
        "quantity",
        (param, *value[:3], word(value.system), word(value.code)),
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
        for table, bindings in _by_table([(rid, old - new)]).items():
            connection.executemany(_DELETE[table], bindings)
    insert(connection, [(rid, new - old)])


def reached(connection: apsw.Connection, rid: int) -> set[Row]:
    """The rows of a resource that can be found by it: tokens and URIs cannot."""
    return {(table, tuple(row)) for table, select in _REACH.items() for row in connection.execute(select, (rid,))}


def insert(connection: apsw.Connection, new: Iterable[tuple[int, Iterable[Row]]]) -> None:
    """Index rows that are not there yet, of one or many resources."""
    for table, bindings in _by_table(new).items():
        insert_many(connection, f"INSERT OR IGNORE INTO {table} ({', '.join(COLUMNS[table])}, rid)", bindings)


def insert_many(connection: apsw.Connection, insert: str, bindings: Sequence[tuple[Any, ...]]) -> None:
    """Many rows by few statements: each one gives up Python's lock, and waits for it again behind whoever computes."""
    done = 0
    while done < len(bindings):
        left = len(bindings) - done
        count = left if left <= FEW_ROWS else min(1 << left.bit_length() - 1, MOST_ROWS)
        values = tuple(chain.from_iterable(bindings[done : done + count]))
        connection.execute(_statement(insert, len(bindings[0]), count), values)
        done += count


@cache
def _statement(insert: str, width: int, count: int) -> str:
    """Few different `count`s, so that these statements stay prepared: small ones, and powers of two."""
    row = f"({', '.join('?' * width)})"
    return f"{insert} VALUES {', '.join([row] * count)}"


def _by_table(found: Iterable[tuple[int, Iterable[Row]]]) -> dict[str, list[tuple[Any, ...]]]:
    by_table: dict[str, list[tuple[Any, ...]]] = {}
    for rid, rows in found:
        for table, values in rows:
            by_table.setdefault(table, []).append((*values, rid))
    return by_table
