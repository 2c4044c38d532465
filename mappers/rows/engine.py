"""A row of a declared view → FHIR resources, by the declared table of its kind.

`row/v_patient` is mapped by table `v_patient`: the context's own, else the standard one. No column is lost silently: the ledger
counts those that were used and those that nothing maps.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec

from connectors.base import SourceRecord
from mappers.base import CannotMap, Change, Issue, Mapped, MappingContext, Resource
from mappers.identity_keys import resource_id
from mappers.rows.convert import CONVERSIONS, Row, plain
from mappers.rows.tables import BadTable, Element, Make, RowTable, When, tables_of

_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(float_hook=Decimal)
STEP = re.compile(r"([A-Za-z]+)(?:\[(\d+|\+)\])?")

Tree = dict[str | int, Any]
"""A resource under way: a list is a dict by position, so that rules may come in any order."""


def map_row(record: SourceRecord, context: MappingContext) -> Mapped:
    """Raise CannotMap: no such table, no JSON, or a key column without a value."""
    view = record.kind.removeprefix("row/")
    try:
        tables = tables_of(context.tables)
    except BadTable as error:
        raise CannotMap(str(error)) from None
    table = tables.tables.get(view.lower())
    if table is None:
        raise CannotMap(f"no table is declared for {record.kind}")
    cells = _cells(record.content, table.rename)
    facility = record.facility or next((cells[name] for name in table.facility if cells.get(name)), "")
    if not facility:
        raise CannotMap(f"{view}: neither the channel nor the row states a facility")
    row = Row(view, facility, cells, context, tables.maps)
    deleted = record.hints.get("deleted") == "1"
    changes = tuple(change for make in table.make if (change := _change(row, make, deleted=deleted)))
    if not changes:
        missing = "; ".join(issue.detail for issue in row.issues if issue.code == "missing")
        raise CannotMap(f"{view}: nothing can be made of the row{': ' + missing if missing else ''}")
    ledger = _ledger(row, table)
    return Mapped(changes, tuple(row.issues), changed_at=record.changed_at, ledger=ledger)


def _cells(content: bytes, rename: Mapping[str, str]) -> dict[str, str]:
    try:
        row = _decoder.decode(content)
    except msgspec.DecodeError:
        raise CannotMap("the row is not JSON") from None
    if not isinstance(row, dict):
        raise CannotMap("the row is not a JSON object")
    return {rename.get(name.lower(), name.lower()): plain(value) for name, value in row.items()}


def _change(row: Row, make: Make, *, deleted: bool) -> Change | None:
    if make.when and not _holds(row, make.when):
        return None
    key = tuple(row.first(columns) for columns in make.key)
    if not all(key) and make.optional:
        return None
    if not all(key):
        names = ", ".join("/".join(columns) for columns, value in zip(make.key, key, strict=True) if not value)
        row.note("missing", make.key[key.index("")], f"{make.resource} needs {names}")
        return None
    tree: Tree = {}
    for element in make.elements:
        _apply(row, element, tree)
    resource: Resource = {"resourceType": make.resource, "id": _id(row, make, key), **_finished(tree)}
    if deleted:
        _delete(row, make, resource)
    if lacking := [name for name in make.needs if name not in resource]:
        row.issues.append(Issue("missing", row.view, f"{make.resource} needs {', '.join(lacking)}", severity="error"))
        return None
    return Change(resource, make.mode)


def _id(row: Row, make: Make, key: tuple[str, ...]) -> str:
    return resource_id(make.resource, row.facility, *key, *((make.suffix,) if make.suffix else ()))


def _delete(row: Row, make: Make, resource: Resource) -> None:
    """The row is flagged as deleted: the table says which elements tell so."""
    if not make.deleted:
        row.issues.append(
            Issue("unsupported", row.view, f"a deleted row; the table does not say what becomes of its {make.resource}")
        )
    for name, value in make.deleted.items():
        if value == "":
            resource.pop(name, None)
        else:
            resource[name] = value


def _holds(row: Row, when: When) -> bool:
    text = row.first(when.column)
    return (
        (when.filled is None or when.filled == bool(text))
        and (when.in_ is None or text in when.in_)
        and (when.not_in is None or text not in when.not_in)
    )


def _apply(row: Row, element: Element, tree: Tree) -> None:
    if element.when and not _holds(row, element.when):
        return
    if element.fixed is not None:
        _put(tree, element.to, copy.deepcopy(element.fixed))
        return
    text = row.first(element.column)
    if not (text or element.columns or element.default or element.as_ == "facility" or row.first(element.text)):
        return
    value = CONVERSIONS[element.as_].convert(row, element, text)
    if value not in (None, "", {}, []):
        _put(tree, element.to, value)


@lru_cache(maxsize=1024)
def _steps(path: str) -> tuple[tuple[str, str], ...]:
    return tuple(STEP.findall(path))


def _put(tree: Tree, path: str, value: Any) -> None:
    """Set an element where it is not set yet; `[+]` adds to its list."""
    *outer, last = _steps(path)
    place = tree
    for name, index in outer:
        place = place.setdefault(name, {})
        if index:
            place = place.setdefault(_position(place, index), {})
    name, index = last
    if not index:
        place.setdefault(name, value)
        return
    items = place.setdefault(name, {})
    for item in value if isinstance(value, list) else [value]:
        items.setdefault(_position(items, index), item)


def _position(items: Tree, index: str) -> int:
    return int(index) if index != "+" else max((i for i in items if isinstance(i, int)), default=-1) + 1


def _finished(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(isinstance(key, int) for key in value):
        return [_finished(value[key]) for key in sorted(value)]
    return {key: _finished(item) for key, item in value.items()}


def _ledger(row: Row, table: RowTable) -> dict[str, int]:
    ledger = {"mapped": 0, "kept": 0, "unmapped": 0}
    for name, text in row.cells.items():
        if not text:
            continue
        if name in table.reads:
            ledger["mapped"] += 1
        elif name in table.ignore:
            ledger["kept"] += 1
        else:
            ledger["unmapped"] += 1
            row.issues.append(Issue("not-mapped", f"{row.view}.{name}", "a column that no rule reads", severity="information"))
    return ledger
