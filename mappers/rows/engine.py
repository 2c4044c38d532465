"""A row of a declared view → FHIR resources, by the declared table of its kind.

`row/v_patient` is mapped by table `v_patient`: the context's own, else the standard one. No column is lost silently: the ledger
counts those that were used and those that nothing maps.
"""

from __future__ import annotations

import copy
import re
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec

from connectors.base import SourceRecord
from mappers.base import CannotMap, Change, Issue, Line, Mapped, MappingContext, Resource
from mappers.identity_keys import resource_id
from mappers.rows.convert import CONVERSIONS, Row, plain
from mappers.rows.tables import BadTable, Element, Make, RowTable, When, tables_of

_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(float_hook=Decimal)
STEP = re.compile(r"([A-Za-z]+)(?:\[(\d+|\+)\])?")

Tree = dict[str | int, Any]
"""A resource under way: a list is a dict by position, so that rules may come in any order."""


def map_row(record: SourceRecord, context: MappingContext) -> Mapped:
    """Raise CannotMap: no such table, no JSON, a key column without a value, or a row its file already shows to be broken."""
    if problem := record.hints.get("problem"):
        raise CannotMap(problem)
    view = record.kind.removeprefix("row/")
    try:
        tables = tables_of(context.tables)
    except BadTable as error:
        raise CannotMap(str(error)) from None
    table = tables.tables.get(view.lower())
    if table is None:
        raise CannotMap(f"no table is declared for {record.kind}")
    values = _values(record.content)
    ours = {name: table.rename.get(name.lower(), name.lower()) for name in values}
    cells = {ours[name]: plain(value) for name, value in values.items()}
    facility = record.facility or next((cells[name] for name in table.facility if cells.get(name)), "")
    if not facility:
        raise CannotMap(f"{view}: neither the channel nor the row states a facility")
    row = Row(view, facility, cells, context, tables.maps, theirs={own: name for name, own in ours.items()})
    if not record.facility:
        row.used = dict.fromkeys(row.filled(table.facility)[:1], "meta.tag")
    deleted = record.hints.get("deleted") == "1"
    changes = changes_of(row, table, deleted=deleted)
    if not changes:
        missing = "; ".join(issue.detail for issue in row.issues if issue.code == "missing")
        raise CannotMap(f"{view}: nothing can be made of the row{': ' + missing if missing else ''}")
    lines = _lines(row, table)
    ledger = {state: sum(line.state == state for line in lines) for state in ("mapped", "kept", "unmapped")}
    told = lines if context.explain else ()
    return Mapped(changes, tuple(row.issues), changed_at=record.changed_at, ledger=ledger, lines=told)


def changes_of(row: Row, table: RowTable, *, deleted: bool = False) -> tuple[Change, ...]:
    """What the blocks of a table make of a row; of a segment of HL7 v2 too, whose fields are the columns."""
    return tuple(change for make in table.make if (change := _change(row, make, deleted=deleted)))


def _values(content: bytes) -> dict[str, Any]:
    try:
        row = _decoder.decode(content)
    except msgspec.DecodeError:
        raise CannotMap("the row is not JSON") from None
    if not isinstance(row, dict):
        raise CannotMap("the row is not a JSON object")
    return row


def _change(row: Row, make: Make, *, deleted: bool) -> Change | None:
    if not _holds(row, make.when):
        return None
    key = tuple(row.first(columns) for columns in make.key)
    if not all(key) and make.optional:
        return None
    if not all(key):
        names = ", ".join("/".join(columns) for columns, value in zip(make.key, key, strict=True) if not value)
        row.note("missing", make.key[key.index("")], f"{make.resource} needs {names}")
        return None
    tree: Tree = {}
    used = {name: "id" for columns in make.key for name in row.filled(columns)[:1]}
    used = {**_decided(row, make.when, ""), **used}
    for element in make.elements:
        if _apply(row, element, tree):
            used = {**_decided(row, element.when, element.to), **used, **dict.fromkeys(_read(row, element), element.to)}
    resource: Resource = {"resourceType": make.resource, "id": _id(row, make, key), **_finished(tree)}
    if deleted:
        _delete(row, make, resource)
    if lacking := [name for name in make.needs if name not in resource]:
        row.issues.append(Issue("missing", row.view, f"{make.resource} needs {', '.join(lacking)}", severity="error"))
        return None
    for names, to in used.items():
        for name in names.split("+"):
            row.used.setdefault(name, f"{make.resource}.{to}".rstrip("."))
    return Change(resource, make.mode)


def _read(row: Row, element: Element) -> tuple[str, ...]:
    """The columns whose cells an element was made of."""
    alternatives = (element.column, element.text, element.unit)
    return (*(name for columns in alternatives for name in row.filled(columns)[:1]), *row.filled(element.columns))


def _decided(row: Row, conditions: tuple[When, ...], to: str) -> dict[str, str]:
    return {name: to for when in conditions for name in row.filled(when.column)[:1]}


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


def _holds(row: Row, conditions: tuple[When, ...]) -> bool:
    for when in conditions:
        text = row.first(when.column)
        if when.filled is not None and when.filled != bool(text):
            return False
        if (when.in_ is not None and text not in when.in_) or (when.not_in is not None and text in when.not_in):
            return False
    return True


def _apply(row: Row, element: Element, tree: Tree) -> bool:
    """True when the element got its value from this rule."""
    if not _holds(row, element.when):
        return False
    if element.fixed is not None:
        return _put(tree, element.to, copy.deepcopy(element.fixed))
    text = row.first(element.column)
    if element.columns and not text:
        text = element.separator.join(row.cells[name] for name in row.filled(element.columns))
    if not (text or element.default or element.as_ == "facility" or row.first(element.text)):
        return False
    parts = re.split(f"[{re.escape(element.split)}]", text) if element.split else [text]
    put = [_put_one(row, element, tree, part.strip()) for part in parts if part.strip() or not element.split]
    return any(put)


def _put_one(row: Row, element: Element, tree: Tree, text: str) -> bool:
    value = CONVERSIONS[element.as_].convert(row, element, text)
    return value not in (None, "", {}, []) and _put(tree, element.to, value)


@lru_cache(maxsize=1024)
def _steps(path: str) -> tuple[tuple[str, str], ...]:
    return tuple(STEP.findall(path))


def _put(tree: Tree, path: str, value: Any) -> bool:
    """Set an element where it is not set yet; `[+]` adds to its list. False: an earlier rule says something else."""
    *outer, (name, index) = _steps(path)
    place = tree
    for step, position in outer:
        place = place.setdefault(step, {})
        if position and isinstance(place, dict):
            place = place.setdefault(_position(place, position), {})
        if not isinstance(place, dict):
            return False
    if not index:
        return bool(place.setdefault(name, value) == value)
    items = place.setdefault(name, {})
    put = [items.setdefault(_position(items, index), item) is item for item in (value if isinstance(value, list) else [value])]
    return any(put)


def _position(items: Tree, index: str) -> int:
    return int(index) if index != "+" else max((i for i in items if isinstance(i, int)), default=-1) + 1


def _finished(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(isinstance(key, int) for key in value):
        return [_finished(value[key]) for key in sorted(value)]
    return {key: _finished(item) for key, item in value.items()}


def _lines(row: Row, table: RowTable) -> tuple[Line, ...]:
    """What became of each filled column, in the row's own order."""
    return tuple(_line(row, table, name) for name, text in row.cells.items() if text)


def _line(row: Row, table: RowTable, name: str) -> Line:
    where = row.where(name)
    if name in row.used:
        return Line(where, "mapped", row.used[name])
    if name in table.ignore or name in table.reads:  # read, and not taken: another column went first, or an issue says why
        return Line(where, "kept")
    row.issues.append(Issue("not-mapped", where, "a column that no rule reads", severity="information"))
    return Line(where, "unmapped")
