"""What a new catalogue or table of evidence changes against the one that it takes the place of, row by row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from hub.recognition.publishing.library import Facts
from hub.settings import County
from profiles.catalogue import Catalogue, Evidence, Table

Change = Literal["added", "removed", "changed"]


@dataclass(frozen=True, slots=True)
class Difference:
    """`name`: of the row, for a person. `fields`: (name, before, after) of a changed one."""

    change: Change
    name: str
    fields: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Doubt:
    """What may be a slip of the pen, and may be meant. `kind`: facility | item | code; `value`: what is not known, or is twice."""

    kind: Literal["facility", "item", "code"]
    value: str
    rows: int


def differences(before: Facts | None, after: Facts) -> list[Difference]:
    """In the order of `after`, then what is removed."""
    old, new = _named(before) if before is not None else {}, _named(after)
    found = [difference for name, row in new.items() if (difference := _of_row(name, old.get(name), row)) is not None]
    return [*found, *(Difference("removed", name) for name in old if name not in new)]


def _named(facts: Facts) -> Mapping[str, Table]:
    if isinstance(facts, Catalogue):
        return {f"{item.code} {item.display}": item for item in facts.items}
    return {" · ".join((row.organization, row.item, row.scope, row.scheme, row.round)): row for row in facts.rows}


def _of_row(name: str, before: Table | None, after: Table) -> Difference | None:
    if before is None:
        return Difference("added", name)
    old, new = before.model_dump(mode="json"), after.model_dump(mode="json")
    fields = tuple((name, _told(name, old[name]), _told(name, new[name])) for name in new if old[name] != new[name])
    return Difference("changed", name, fields) if fields else None


def _told(name: str, value: object) -> str:
    """As the workbook says it."""
    if name == "price" and isinstance(value, int):
        return f"{value / 100:.2f}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {each}" for key, each in value.items())
    if isinstance(value, list):
        return ", ".join("|".join(map(str, each.values())) if isinstance(each, Mapping) else str(each) for each in value)
    return str(value)


def doubts(facts: Facts, county: County, catalogues: Iterable[Catalogue]) -> list[Doubt]:
    """Facilities that the county does not know, items of no catalogue, and codes of two items."""
    if isinstance(facts, Evidence):
        known = {item.code for catalogue in catalogues for item in catalogue.items}
        places = {facility.code for facility in county.facilities}
        return [
            *_counted("facility", [row.organization for row in facts.rows if places and row.organization not in places]),
            *_counted("item", [row.item for row in facts.rows if row.item not in known]),
        ]
    codes = [f"{match.system}|{match.code}" for item in facts.items for match in set(item.match)]
    return [doubt for doubt in _counted("code", codes) if doubt.rows > 1]


def _counted(kind: Literal["facility", "item", "code"], values: list[str]) -> list[Doubt]:
    return [Doubt(kind, value, values.count(value)) for value in dict.fromkeys(values)]
