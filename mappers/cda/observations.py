"""Entries coded by a data element of `tables/data_elements.toml` → Observations.

Systolic and diastolic pressure of one organizer, or next to each other, are one Observation. What an entry leaves open — its
time — is the document's: its author wrote down what was measured then. A result below a procedure is part of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from connectors.xml import Element
from mappers.base import Resource
from mappers.cda.catalogue import Measure, Pair, folded, measures, measures_by_label, pairs
from mappers.cda.codes import DATA_ELEMENTS
from mappers.cda.document import Document, coding
from mappers.cda.entries import Section, Statement
from mappers.cda.reader import attribute, child
from mappers.cda.values import measured, value_of
from mappers.datatypes import parse_quantity
from profiles.names import LOINC, OBSERVATION_CATEGORY

SYSTOLIC, DIASTOLIC = "DE04.10.174", "DE04.10.176"
PRESSURE = {
    "coding": [{"system": LOINC, "code": "85354-9", "display": "Blood pressure panel with all children optional"}],
    "text": "血压",
}
# Apgar by the minute that the interval's name states
APGAR = {
    "1": ("9272-6", "1 minute Apgar Score"),
    "5": ("9274-2", "5 minute Apgar Score"),
    "10": ("9271-8", "10 minute Apgar Score"),
}

Found = tuple[Statement, Element | None]  # with the procedure it stands in


def state_observations(document: Document) -> None:
    for section in document.sections:
        flat = list(_flat(section))
        _state_pairs(document, flat)
        _state_pressures(document, flat)
        for found, within in flat:
            measure = _measure(found)
            if measure is not None and found.element not in document.used and found.says_something:
                _state(document, found, within, measure)


def _flat(section: Section) -> Iterator[Found]:
    def walk(found: Statement, within: Element | None) -> Iterator[Found]:
        yield found, within
        inside = found.element if found.what == "procedure" else within
        for inner in found.children:
            yield from walk(inner, inside)

    for statement in section.statements:
        yield from walk(statement, None)


def _measure(found: Statement) -> Measure | None:
    """By data element; by its label where the entry has no code of the catalogue."""
    if found.what != "observation" or found.negated:
        return None
    if found.code:
        measure = measures().get(found.code)
        meant = measures_by_label().get(folded(found.label)) if measure is not None and measure.label else None
        return meant or measure
    return measures_by_label().get(folded(found.label)) if found.label else None


def observation_code(found: Statement, measure: Measure | None) -> dict[str, Any]:
    codings = []
    if measure is not None and measure.loinc:
        loinc, display = measure.loinc
        codings.append({"system": LOINC, "code": loinc, "display": display})
    stated = attribute(child(found.element, "code"), "code").strip()
    name = found.label or (measure.name if measure else "")
    if found.code:
        codings.append({"system": f"urn:oid:{DATA_ELEMENTS}", "code": stated, **({"display": name} if name else {})})
    return {**({"coding": codings} if codings else {}), "text": name or stated}


def observation(document: Document, found: Statement, within: Element | None, code: dict[str, Any], category: str) -> Resource:
    """An Observation of this document without its value."""
    when = document.time(found.when) or document.time(document.observed_at or document.recorded_at)
    name = found.code or folded(found.label) or code["text"]
    resource: Resource = {
        "resourceType": "Observation",
        "id": document.id("Observation", name, found.when or "-", document.nth("Observation", name, found.when)),
        "status": "final",
        "category": [coding(OBSERVATION_CATEGORY, category)],
        "code": code,
        "subject": document.patient,
        "performer": [document.organization],
        **({"effectiveDateTime": when} if when else {}),
    }
    procedure = document.procedures.get(within) if within is not None else None
    if procedure is None and category == "procedure" and len(document.procedures) == 1:
        procedure = next(iter(document.procedures.values()))  # an operation's record speaks of one
    if procedure is not None:
        resource["partOf"] = [{"reference": f"Procedure/{procedure['id']}"}]
    return document.of_document(resource)


def _state(document: Document, found: Statement, within: Element | None, measure: Measure) -> None:
    value = value_of(document, found, measure)
    if not value:
        return
    if not found.code:
        document.note("moved", found.label, "an entry without a data element's code; read by its label", severity="information")
    resource = observation(document, found, within, observation_code(found, measure), measure.category) | value
    if measure.about:
        resource["focus"] = [{"type": "Patient", "display": measure.about}]
    document.use(f"Observation.{next(iter(value))}", found.element)
    document.add(resource, at=found.element)


# ---------------------------------------------------------------- blood pressure


def _state_pressures(document: Document, flat: list[Found]) -> None:
    """A systolic and the diastolic after it, of the same organizer or side by side."""
    waiting: Found | None = None
    for found, within in flat:
        measure = _measure(found)
        if measure is None or not found.says_something or found.element in document.used:
            continue
        if measure.code == SYSTOLIC:
            waiting = (found, within)
        elif measure.code == DIASTOLIC and waiting is not None:
            _state_pressure(document, waiting, found)
            waiting = None


def _state_pressure(document: Document, systolic: Found, diastolic: Statement) -> None:
    upper, within = systolic
    parts = [(upper, measures()[SYSTOLIC]), (diastolic, measures()[DIASTOLIC])]
    values = [value_of(document, found, measure) for found, measure in parts]
    if not all("valueQuantity" in value for value in values) or (upper.when and diastolic.when and upper.when != diastolic.when):
        return  # then each stands for itself
    resource = observation(document, upper, within, PRESSURE, "vital-signs")
    resource["component"] = [
        {"code": observation_code(found, measure), **value} for (found, measure), value in zip(parts, values, strict=True)
    ]
    document.use("Observation.component", upper.element, diastolic.element)
    document.add(resource, at=upper.element)


# ---------------------------------------------------------------- an item's name and its result


def _state_pairs(document: Document, flat: list[Found]) -> None:
    for code, pair in pairs().items():
        named = [(found, within) for found, within in flat if found.code == code and found.says_something]
        if not named:
            continue
        if pair.beside:
            results = [found for found, _ in flat if found.code == pair.result and found.says_something]
            if len(results) != len(named):
                document.note("conflict", code, f"{len(named)} items, {len(results)} results: they cannot be paired")
                continue
            matched = list(zip(named, results, strict=True))
        else:
            matched = [(one, result) for one in named if (result := _below(one[0], pair.result)) is not None]
        for (item, within), result in matched:
            _state_pair(document, item, within, result, pair)


def _amount_or_words(result: Statement) -> dict[str, Any]:
    """ "1450ml" is an amount; anything that is not a number with a known unit stays words."""
    amount = measured(result)
    return {"valueQuantity": amount} if amount and "code" in amount else {"valueString": result.value}


def _below(found: Statement, code: str) -> Statement | None:
    return next(
        (inner for child_ in found.children for inner in child_.walk() if inner.code == code and inner.says_something), None
    )


def _state_pair(document: Document, item: Statement, within: Element | None, result: Statement, pair: Pair) -> None:
    name = item.display or item.value or item.coded
    code: dict[str, Any] = {"text": f"Apgar评分 {name}" if pair.apgar else name}
    minute = next(
        (loinc for minute, loinc in APGAR.items() if pair.apgar and name.startswith((f"{minute}分", f"{minute}min"))), None
    )
    if minute:
        code["coding"] = [{"system": LOINC, "code": minute[0], "display": minute[1]}]
    resource = observation(document, item, within, code, pair.category)
    amount = parse_quantity(result.value, result.unit)
    if pair.apgar and amount is not None:
        resource["valueInteger"] = int(amount["value"])
    elif result.coded or result.kind == "PQ":
        resource |= value_of(document, result)
    else:
        resource |= _amount_or_words(result)
    if pair.about:
        resource["focus"] = [{"type": "Patient", "display": pair.about}]
    document.use("Observation.code", item.element)
    document.use("Observation.value", result.element)
    document.add(resource, at=item.element)
