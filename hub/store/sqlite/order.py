"""Sort keys, and the position after the last match from which the next page starts.

Missing values come last in either direction; the newest created first breaks ties (the oldest first under an ascending key, so
that an index can be walked one way). https://hl7.org/fhir/R4/search.html#sort
"""

# ruff: noqa: S608 - every text joined into SQL here is our own; values are bound
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hub.search.query import ParameterType, Sort
from hub.store.sqlite.criteria import Row
from hub.store.sqlite.frame import Frame
from hub.store.sqlite.names import facts_of

# Parameter type → the column that sorts, where the table can be reached by rid.
COLUMN: dict[ParameterType, str] = {
    "date": "low",
    "string": "folded",
    "number": "value",
    "quantity": "value",
    "reference": "id",
}
# … and where it cannot: the value is taken from the resource itself.
COLUMN_BY_VALUE: dict[ParameterType, str] = {"token": "code", "uri": "value"}


@dataclass(frozen=True, slots=True)
class SortKey:
    expression: str  # SQL over r; NULL where the resource has no value
    descending: bool
    param: int | None = None  # None: a column of `resource`
    table: str = ""  # the index table that can be walked in this order
    column: str = ""
    code: str = ""
    single: bool = False  # no resource has two entries

    @property
    def direction(self) -> str:
        return "DESC" if self.descending else "ASC"


def sort_key(row: Row, sort: Sort) -> SortKey:
    if sort.code == "_id":
        return SortKey("r.id", sort.descending, column="id")
    if sort.code == "_lastUpdated":
        return SortKey("r.updated", sort.descending, column="updated")
    param = row.parameter(sort.code)
    if param is None or sort.type not in COLUMN | COLUMN_BY_VALUE:
        return SortKey("NULL", sort.descending)
    best = "max" if sort.descending else "min"
    if sort.type in COLUMN:
        column = COLUMN[sort.type]
        by_rid = f"{sort.type} INDEXED BY {sort.type}_of WHERE rid = r.rid AND param = {param}"
        expression = f"(SELECT {best}({column}) FROM {by_rid})"
    else:
        column = COLUMN_BY_VALUE[sort.type]
        code = row.frame.bind(sort.code)
        expression = f"sort_value((SELECT body FROM body WHERE rid = r.rid), {code}, '{best}')"
    single = not facts_of(row.frame.connection, param).repeats
    return SortKey(expression, sort.descending, param, sort.type, column, sort.code, single)


# -- behind a position: the sort values of the last match, and its rid


def newest_first(keys: Sequence[SortKey]) -> bool:
    return not keys or keys[0].descending


def behind(frame: Frame, keys: Sequence[SortKey], position: Sequence[Any]) -> str:
    """SQL over k0, k1 …, rid: strictly behind the position in the order."""
    alternatives: list[str] = []
    equal: list[str] = []
    for number, (key, value) in enumerate(zip(keys, position, strict=False)):
        bound = frame.bind(value)
        if value is not None:
            further = "<" if key.descending else ">"
            alternatives.append(" AND ".join([*equal, f"(k{number} {further} {bound} OR k{number} IS NULL)"]))
        equal.append(f"k{number} IS {bound}")
    further = "<" if newest_first(keys) else ">"
    alternatives.append(" AND ".join([*equal, f"rid {further} {frame.bind(position[-1])}"]))
    return " OR ".join(f"({text})" for text in alternatives)


def order_by(keys: Sequence[SortKey], *, walked: bool = False) -> str:
    """On a walk the first key is never NULL, and saying nothing of NULLs lets SQLite use the index."""
    terms = [f"k{number} {key.direction}{'' if walked and not number else ' NULLS LAST'}" for number, key in enumerate(keys)]
    return ", ".join([*terms, f"rid {'DESC' if newest_first(keys) else 'ASC'}"])


def names(keys: Sequence[SortKey]) -> str:
    return "".join(f", k{number}" for number in range(len(keys)))
