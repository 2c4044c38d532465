"""`[[example]]` blocks beside declared tables: a row in, what must come out; run by `yitong map test FILE`.

    [[example]]
    table = "ms_brda"
    says = "a woman whose birthday is known to the month"      # optional
    row = { BRID = 7, BRXM = "李雷", BRXB = "2", CSNY = "1988-03" }
    deleted = false                                             # optional: as if its deletion flag were set
    expect = { "Patient.name[0].text" = "李雷", "Patient.gender" = "female", "Patient.address" = "" }
    count = { Patient = 1 }                                     # optional: how many of a type, and no others
    issues = []                                                 # optional: exactly these, "unmapped-code ms_brda.BRXB"
    error = "needs brid"                                        # instead of expect: the row cannot be mapped, for this reason

A path begins with the resource type; `Observation[1]` is the second one. "" means that there is no such element.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from connectors.base import SourceRecord
from mappers.base import CannotMap, Mapped, MappingContext
from mappers.rows.engine import map_row
from mappers.rows.tables import BadTable, load_tables

STEP = re.compile(r"([A-Za-z]+)(?:\[(\d{1,3})\])?")
NOTHING = object()
_decimals: msgspec.json.Encoder = msgspec.json.Encoder(decimal_format="number")


class Example(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    table: str
    says: str = ""
    row: Mapping[str, Any]
    facility: str = "EXAMPLE"
    zone: str = "+08:00"
    deleted: bool = False
    expect: Mapping[str, Any] = Field(default_factory=dict)
    count: Mapping[str, int] | None = None
    issues: tuple[str, ...] | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class ExampleResult:
    number: int  # of the [[example]] in its file, from 1
    table: str
    says: str
    problems: tuple[str, ...]  # what came out otherwise; none: passed. They quote the example's own values

    @property
    def passed(self) -> bool:
        return not self.problems


def run_table_tests(path: Path) -> tuple[ExampleResult, ...]:
    """Every [[example]] of a file of declared tables, in order. Raise BadTable when the file itself cannot be used."""
    tables = load_tables(path)
    return tuple(_result(number, example, tables) for number, example in enumerate(_examples(path, tables), 1))


def _examples(path: Path, tables: Mapping[str, Any]) -> Iterator[Example]:
    blocks = tables.get("example", ())
    if not isinstance(blocks, list):
        raise BadTable(f"{path}: example: write [[example]], with two brackets")
    for number, block in enumerate(blocks, 1):
        try:
            yield Example.model_validate(block)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise BadTable(f"{path}: example {number}: {where}: {first['msg']}") from None


def _result(number: int, example: Example, tables: Mapping[str, Any]) -> ExampleResult:
    content = _decimals.encode({name: _cell(value) for name, value in example.row.items()})
    hints = {"deleted": "1"} if example.deleted else {}
    at = datetime(2000, 1, 1, tzinfo=UTC)
    record = SourceRecord("example", example.facility, f"row/{example.table}", str(number), content, at, hints=hints)
    try:
        problems = list(_differences(example, map_row(record, MappingContext(zone=example.zone, tables=tables))))
        if example.error:
            problems.insert(0, f"it should fail with {example.error!r}, and it was mapped")
    except CannotMap as error:
        told = example.error and example.error in str(error)
        problems = [] if told else [f"it cannot be mapped: {error}"]
    return ExampleResult(number, example.table, example.says, tuple(problems))


def _cell(value: Any) -> Any:
    return value.isoformat() if isinstance(value, (date, time)) else value


def _differences(example: Example, mapped: Mapped) -> Iterator[str]:
    for path, wanted in example.expect.items():
        found = value_at(mapped.resources, path)
        if wanted == "" and found is NOTHING:
            continue
        if found is NOTHING:
            yield f"{path}: nothing is there; expected {wanted!r}"
        elif not _same(found, wanted):
            yield f"{path}: {_shown(found)}; expected {wanted!r}"
    if example.count is not None:
        types = [resource["resourceType"] for resource in mapped.resources]
        made = {name: types.count(name) for name in types}
        if made != dict(example.count):
            yield f"it makes {made}; expected {dict(example.count)}"
    if example.issues is not None:
        issues = [f"{issue.code} {issue.where}" for issue in mapped.issues]
        if sorted(issues) != sorted(example.issues):
            yield f"its issues are {issues}; expected {list(example.issues)}"


def value_at(resources: Sequence[Mapping[str, Any]], path: str) -> Any:
    """ "Patient.name[0].text" among a row's resources; NOTHING where there is no such element."""
    steps = [STEP.fullmatch(step) for step in path.split(".")]
    if steps[0] is None or None in steps:
        return NOTHING
    own = [resource for resource in resources if resource["resourceType"] == steps[0][1]]
    place: Any = _at(own, int(steps[0][2] or 0))
    for step in steps[1:]:
        assert step is not None  # noqa: S101  a path with a strange step ended above
        place = place.get(step[1], NOTHING) if isinstance(place, Mapping) else NOTHING
        if step[2] is not None:
            place = _at(place, int(step[2]))
    return place


def _at(items: Any, position: int) -> Any:
    return items[position] if isinstance(items, list) and position < len(items) else NOTHING


def _same(found: Any, wanted: Any) -> bool:
    """A table or list in an example states what must be there; other elements may be there too."""
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(name in found and _same(found[name], value) for name, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(found, list) and len(found) == len(wanted) and all(map(_same, found, wanted))
    if isinstance(wanted, bool) or isinstance(found, bool):
        return found is wanted
    if isinstance(wanted, (int, Decimal)) and isinstance(found, (int, Decimal)):
        return Decimal(found) == Decimal(wanted)
    return bool(found == _cell(wanted))


def _shown(value: Any) -> str:
    return f"{value}" if isinstance(value, Decimal) else repr(value)
