"""Laboratory results over time: a grid of test × collection, and one test's series.

Every value keeps its source's own unit and reference range. Points are joined by a line only within one UCUM unit and one method;
a result without a UCUM quantity is in the table and never in the drawing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from hub.recognition.candidates import mark_scope, value_text
from hub.records.dates import date_of, instant
from hub.records.events import flag_of, out_of_range
from hub.records.reader import Found, any_code, code_text
from hub.search.query import Criterion
from hub.search.units import converted, dimension
from profiles.names import LOINC, UCUM

COLUMNS = 6
USABLE = frozenset({"final", "amended", "corrected", "preliminary"})


@dataclass(frozen=True, slots=True)
class Result:
    id: str
    facility: str
    at: str  # as stated
    name: str  # the source's own word
    loinc: str
    loinc_name: str  # LOINC's own, in English; "" where the result is not mapped
    value: str  # as stated, without the unit
    unit: str  # as stated
    number: Decimal | None  # only of a UCUM quantity without a comparator
    ucum: str
    low: Decimal | None
    high: Decimal | None
    range_text: str
    flag: str  # the source's own: H, L, HH, LL, A …
    mark: str
    method: str
    status: str

    @property
    def out(self) -> bool:
        """By its source's own word."""
        return out_of_range(self.flag)

    @property
    def series(self) -> tuple[str, str]:
        return (self.ucum, self.method)


@dataclass(frozen=True, slots=True)
class Test:
    """One row of the grid. `key` is `system|code`: LOINC where the result is mapped, else the facility's own code."""

    key: str
    results: tuple[Result, ...]  # newest first

    @property
    def name(self) -> str:
        return self.results[0].name

    @property
    def loinc(self) -> str:
        return self.results[0].loinc

    @property
    def loinc_name(self) -> str:
        return self.results[0].loinc_name


@dataclass(frozen=True, slots=True)
class Column:
    at: str
    facility: str


@dataclass(frozen=True, slots=True)
class Grid:
    columns: tuple[Column, ...]  # newest first
    rows: tuple[tuple[Test, tuple[Result | None, ...]], ...]
    more: bool  # older collections exist


@dataclass(frozen=True, slots=True)
class Series:
    """What may be joined by one line: one unit, one method. Oldest first.

    `unit` is the newest result's; `number`, `low` and `high` of the others are in it, `value` and `unit` as stated.
    """

    unit: str
    method: str
    results: tuple[Result, ...]
    converted: tuple[str, ...] = ()  # units from which UCUM converts


def is_laboratory(observation: Mapping[str, Any]) -> bool:
    codes = {str(c.get("code")) for category in observation.get("category", ()) for c in category.get("coding", ())}
    return "laboratory" in codes


def usable(observations: Iterable[Found]) -> list[Found]:
    """Results of a laboratory that hold: neither withdrawn nor only asked for."""
    return [found for found in observations if found.resource.get("status") in USABLE and is_laboratory(found.resource)]


def test_of(observations: Iterable[Found], key: str) -> Test | None:
    """One row of `tests`."""
    group = [found for found in usable(observations) if key_of(found) == key]
    return _test(key, group) if group else None


def criteria_of(key: str) -> tuple[Criterion, ...]:
    """What narrows a search to one row, and perhaps lets others pass; nothing for a test without a code system."""
    system, _, code = key.rpartition("|")
    return (any_code([(system, code)]),) if ":" in system and code else ()


def tests(observations: Iterable[Found], order: Sequence[str]) -> tuple[Test, ...]:
    """Rows as `order` lists their LOINC codes, the others after them by name."""
    groups: dict[str, list[Found]] = {}
    for found in usable(observations):
        groups.setdefault(key_of(found), []).append(found)
    rank = {code: place for place, code in enumerate(order)}
    made = [_test(key, group) for key, group in groups.items()]
    return tuple(sorted(made, key=lambda t: (rank.get(t.loinc, len(rank)), t.name)))


def key_of(found: Found) -> str:
    codings = found.resource.get("code", {}).get("coding", ())
    coding = loinc_of(found.resource) or next((c for c in codings if c.get("code")), {})
    if not coding:
        return f"{found.facility}|{code_text(found.resource.get('code'))}"
    return f"{coding.get('system', '')}|{coding['code']}"


def series_key(found: Found) -> tuple[str, str, str]:
    """What may stand for one another: the same test, in one unit and by one method; `Result.series` at a fraction of its cost."""
    quantity = found.resource.get("valueQuantity")
    ucum = str(quantity.get("code", "")) if isinstance(quantity, Mapping) and quantity.get("system") == UCUM else ""
    return (key_of(found), ucum, code_text(found.resource.get("method")))


def loinc_of(observation: Mapping[str, Any]) -> Mapping[str, Any]:
    """Its LOINC coding; empty where it is not mapped."""
    codings: list[Mapping[str, Any]] = observation.get("code", {}).get("coding", [])
    return next((c for c in codings if c.get("system") == LOINC and c.get("code")), {})


def _test(key: str, group: list[Found]) -> Test:
    results = sorted((result_of(found) for found in group), key=lambda r: (instant(r.at), r.id), reverse=True)
    return Test(key, tuple(results))


def result_of(found: Found) -> Result:
    resource = found.resource
    stated = resource.get("valueQuantity")
    is_quantity = isinstance(stated, Mapping)
    quantity: Mapping[str, Any] = stated if isinstance(stated, Mapping) else {}
    ucum = str(quantity.get("code", "")) if is_quantity and quantity.get("system") == UCUM else ""
    unit = str(quantity.get("unit") or quantity.get("code") or "") if is_quantity else ""
    low, high, text = _range(resource)
    loinc = loinc_of(resource)
    return Result(
        id=found.id,
        facility=found.facility,
        at=date_of(found),
        name=code_text(resource.get("code")),
        loinc=str(loinc.get("code", "")),
        loinc_name=str(loinc.get("display", "")),
        value=f"{quantity.get('comparator', '')}{quantity.get('value', '')}" if is_quantity else _in_words(resource),
        unit=unit,
        number=Decimal(quantity["value"]) if ucum and "value" in quantity and not quantity.get("comparator") else None,
        ucum=ucum,
        low=low,
        high=high,
        range_text=text,
        flag=flag_of(resource),
        mark=mark_scope(resource),
        method=code_text(resource.get("method")),
        status=str(resource.get("status", "")),
    )


def _in_words(observation: Mapping[str, Any]) -> str:
    """A value that is no quantity, or why there is none."""
    return value_text(observation) or code_text(observation.get("dataAbsentReason"))


def _range(resource: Mapping[str, Any]) -> tuple[Decimal | None, Decimal | None, str]:
    stated: Mapping[str, Any] = next(iter(resource.get("referenceRange", ())), {})
    low, high = (stated.get(end, {}).get("value") for end in ("low", "high"))
    text = str(stated.get("text", ""))
    if not text:
        text = (
            f"{low}–{high}"
            if low is not None and high is not None
            else f"≤{high}"
            if high is not None
            else f"≥{low}"
            if low is not None
            else ""
        )
    return (None if low is None else Decimal(low)), (None if high is None else Decimal(high)), text


def grid(observations: Iterable[Found], order: Sequence[str], columns: int = COLUMNS) -> Grid:
    """The newest `columns` collections; a test without a result in them is left out. Rows are in the order of `tests`."""
    collections: dict[Column, list[Found]] = {}
    for found in usable(observations):
        collections.setdefault(Column(date_of(found), found.facility), []).append(found)
    ordered = sorted(collections, key=lambda c: (instant(c.at), c.facility), reverse=True)
    shown = tuple(ordered[:columns])
    rows = tests((found for column in shown for found in collections[column]), order)
    return Grid(shown, tuple((row, tuple(_cell(row, column) for column in shown)) for row in rows), len(ordered) > columns)


def _cell(test: Test, column: Column) -> Result | None:
    return next((r for r in test.results if (r.at, r.facility) == (column.at, column.facility)), None)


def series_of(test: Test) -> tuple[Series, ...]:
    """The drawable results, apart by method, and by unit where UCUM does not convert one into the other."""
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in reversed(test.results):
        if result.number is not None and len(result.at) >= 10:
            groups.setdefault((dimension(result.ucum), result.method), []).append(result)
    return tuple(_series(method, results) for (_, method), results in groups.items())


def _series(method: str, results: Sequence[Result]) -> Series:
    unit = results[-1].ucum
    others = tuple(dict.fromkeys(r.ucum for r in results if r.ucum != unit))
    return Series(unit, method, tuple(_in_unit(result, unit) for result in results), others)


def _in_unit(result: Result, unit: str) -> Result:
    if result.ucum == unit:
        return result
    number, low, high = (None if n is None else converted(n, result.ucum, unit) for n in (result.number, result.low, result.high))
    return replace(result, number=number, low=low, high=high)
