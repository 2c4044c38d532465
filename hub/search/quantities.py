"""Quantities are compared through UCUM's base units: 5.4 mmol/L finds 5400 umol/L. https://hl7.org/fhir/R4/search.html#quantity"""

from __future__ import annotations

from hub.search.compare import matches
from hub.search.entries import Quantity, Value
from hub.search.query import AnyOf, Condition, Criterion, CriterionValue, NumberValue, QuantityValue
from hub.search.units import UCUM, canonical


def quantities(code: str, found: tuple[CriterionValue, ...]) -> Condition:
    """In a UCUM unit: as much as that, in whatever unit it was measured. A unit without a system is also asked as it stands."""
    plain: list[CriterionValue] = []
    converted: list[CriterionValue] = []
    for value in found:
        in_base = _in_base_units(value) if isinstance(value, QuantityValue) else None
        if in_base is not None:
            converted.append(in_base)
        if in_base is None or (isinstance(value, QuantityValue) and value.system is None):
            plain.append(value)
    conditions = []
    if plain:
        conditions.append(Criterion(code, "quantity", tuple(plain)))
    if converted:
        conditions.append(Criterion(f"{code}:canonical", "quantity", tuple(converted)))
    return conditions[0] if len(conditions) == 1 else AnyOf(tuple(conditions))


def part_matches(entry: Value, asked: CriterionValue) -> bool:
    """One part of a composite, whose entries stand as they are in the resource."""
    if matches(entry, asked):
        return True
    if not isinstance(entry, Quantity) or not isinstance(asked, QuantityValue) or entry.system != UCUM:
        return False
    wanted = _in_base_units(asked)
    base = canonical(entry.value, entry.low, entry.high, entry.code) if wanted is not None else None
    return wanted is not None and base is not None and matches(Quantity(*base[:3], UCUM, base[3]), wanted)


def _in_base_units(value: QuantityValue) -> QuantityValue | None:
    if value.code is None or value.system not in (None, UCUM):
        return None
    number = value.number
    base = canonical(number.number, number.low, number.high, value.code)
    return None if base is None else QuantityValue(NumberValue(number.prefix, *base[:3]), None, base[3])
