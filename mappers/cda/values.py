"""Values of WS/T 500 entries → FHIR data types. What a type does not allow stays text; a code whose name is another's is told."""

from __future__ import annotations

import re
from typing import Any

from mappers.cda.catalogue import Measure, value_names
from mappers.cda.codes import CN, mended_root
from mappers.cda.document import Document
from mappers.cda.entries import Statement
from mappers.datatypes import fold_unit, parse_quantity, quantity, read_number
from mappers.identity_keys import local_system

YES = frozenset({"true", "1", "t", "y", "是", "有", "阳性"})
NO = frozenset({"false", "0", "f", "n", "否", "无", "阴性"})
_WITH_UNIT = re.compile(r"([<>=≤≥]{0,2}\s*[+-]?\d+(?:\.\d+)?)\s*([^\d\s.].*)", re.ASCII)
CODED = frozenset({"CD", "CE", "CV", "CO"})
NUMBERS = frozenset({"PQ", "REAL", "INT"})
# Blood groups: value set below CN by data element, and what its codes are there. Many sources have codes of their own.
BLOOD_GROUPS = {
    "DE04.50.001": ("2.3.1.85", {"1": "A", "2": "B", "3": "O", "4": "AB", "5": "不详"}),
    "DE04.50.010": ("2.3.1.250", {"1": "阴性", "2": "阳性", "3": "不详"}),
}
ICD_10, ICD_10_CODE = f"{CN}.2.3.3.11", re.compile(r"[A-Z]\d")


def boolean(text: str) -> bool | None:
    known = text.strip().lower()
    return True if known in YES else False if known in NO else None


def named(document: Document, found: Statement) -> str:
    """The name of a coded value: as stated, else as its value set has it."""
    known = value_names().get(mended_root(found.system).removeprefix(f"{CN}."), {})
    own = known.get(found.coded, "")
    other = next((code for code, name in known.items() if name == found.display and code != found.coded), None)
    if found.display and own and other is not None:
        document.note("conflict", found.code or found.label, "the code and its name are of two different values", value=found.coded)
    return found.display or own


def system_of(document: Document, found: Statement) -> str:
    """The system that an entry names; a code that cannot be of ICD-10 is the facility's own, as 2 for 二级手术."""
    if found.system.startswith(ICD_10) and not ICD_10_CODE.match(found.coded):
        document.note("conflict", found.code or found.label, "not a code of ICD-10, which it names", value=found.coded)
        return local_system(document.facility, "code")
    return document.uri(found.system)


def concept(document: Document, found: Statement) -> dict[str, Any] | None:
    """A coded value with its translations, or its words."""
    if not found.coded:
        return {"text": found.display or found.value} if found.says_something else None
    system, name = system_of(document, found), named(document, found)
    own = {"system": system, "code": found.coded, **({"display": name} if name else {})}
    translated = [dict(more) for more in document.context.translate(system, found.coded)]
    return {"coding": [own, *translated], "text": name or found.coded}


def measured(found: Statement, unit: str = "", units: tuple[str, ...] = ()) -> dict[str, Any] | None:
    """A quantity. `unit`: the one that the catalogue fixes, taken where none is stated or a known spelling of it is."""
    text, stated = found.value, found.unit
    if not stated and (match := _WITH_UNIT.fullmatch(text)):
        text, stated = match[1], match[2]
    number = read_number(text)
    if number is None:
        return None
    if not stated or (stated in units and unit):
        return quantity(number.value, stated or unit, number.comparator) | _coded_unit(unit, stated)
    return quantity(number.value, stated, number.comparator)


def _coded_unit(unit: str, stated: str) -> dict[str, str]:
    code = fold_unit(unit)[1] or (unit if unit and unit.isascii() else None)
    if stated == "两" or code is None:
        return {}
    return {"system": "http://unitsofmeasure.org", "code": code}


def value_of(document: Document, found: Statement, measure: Measure | None = None) -> dict[str, Any]:
    """Observation.value[x] of a statement; {} where it has none that may be taken."""
    if measure is not None and measure.by_name:
        return _by_name(document, found)
    if found.kind == "BL" or (found.code and measure is not None and measure.name.endswith("标志")):
        answer = boolean(found.value or found.coded)
        return {"valueBoolean": answer} if answer is not None else _text(document, found)
    if found.coded and (found.kind in CODED or not found.value):
        stated = concept(document, found)
        return {"valueCodeableConcept": stated} if stated else {}
    if found.kind == "TS":
        time = document.time(found.value)
        return {"valueDateTime": time} if time else _text(document, found)
    if found.kind in NUMBERS or (measure is not None and measure.unit):
        amount = measured(found, measure.unit if measure else "", measure.units if measure else ())
        if amount is None:
            return _text(document, found)
        if measure is not None and measure.unit and amount.get("code") not in (fold_unit(measure.unit)[1], measure.unit):
            document.note("conflict", found.code or found.label, "the unit is not the one that the catalogue fixes for it")
        return {"valueQuantity": amount}
    return {"valueString": found.value} if found.value else {}


def _text(document: Document, found: Statement) -> dict[str, Any]:
    if found.value:
        document.note("invalid-value", found.code or found.label, f"not of its type {found.kind or '?'}; kept as text")
        return {"valueString": found.value}
    return {}


def _by_name(document: Document, found: Statement) -> dict[str, Any]:
    """Blood groups: code tables differ from source to source, so the name counts and a bare code says nothing."""
    name = found.display or ("" if found.value.isdigit() else found.value)
    if not name:
        document.note(
            "unmapped-code", found.code, "a blood group by its code alone; left out", system=found.system, value=found.coded
        )
        return {}
    stated: dict[str, Any] = {"text": name}
    if found.coded and _is_blood_group(found, name):
        stated["coding"] = [{"system": document.uri(found.system), "code": found.coded, "display": name}]
    elif found.coded:
        told = "the code and its name are of two different values; the name counts"
        document.note("conflict", found.code or found.label, told, value=found.coded)
    return {"valueCodeableConcept": stated}


def _is_blood_group(found: Statement, name: str) -> bool:
    """Whether the code says, in the value set that it names, what its name says: else it may say another blood group."""
    value_set, codes = BLOOD_GROUPS.get(found.code, ("", {}))
    stated = mended_root(found.system)
    if stated not in {f"{CN}.{own}" for own, _ in BLOOD_GROUPS.values()}:
        return True  # of a table of the facility's own
    return stated == f"{CN}.{value_set}" and codes.get(found.coded) == name.removesuffix("型").removeprefix("Rh").strip("() ")


def money(found: Statement) -> dict[str, Any] | None:
    """MO, in yuan unless it says otherwise."""
    amount = parse_quantity(found.value)
    if amount is None or "comparator" in amount:
        return None
    currency = found.unit if re.fullmatch(r"[A-Z]{3}", found.unit) else "CNY"
    return {"value": amount["value"], "currency": currency}
