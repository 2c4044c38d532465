"""HL7 V3 data types of C-CDA entries → FHIR data types. https://hl7.org/fhir/us/ccda/ ; https://hl7.org/fhir/R4/datatypes.html"""

from __future__ import annotations

from typing import Any

from connectors.xml import Element
from mappers.cda.document import Document
from mappers.cda.reader import XSI_TYPE, attribute, child, children, id_of, text_of
from mappers.datatypes import parse_quantity, quantity
from profiles.names import OBSERVATION_INTERPRETATION

INTERPRETATIONS = frozenset(
    ["N", "A", "AA", "H", "HH", "L", "LL", "U", "D", "B", "W", "R", "S", "I", "POS", "NEG", "IND", "DET", "ND", "HX", "LX"]
)
# NullFlavor → data-absent-reason
ABSENT = {
    **{"UNK": "unknown", "NI": "unknown", "NA": "not-applicable", "NAV": "temp-unknown"},
    **{"ASKU": "asked-unknown", "NASK": "not-asked", "MSK": "masked", "PINF": "positive-infinity", "NINF": "negative-infinity"},
}
NOTHING = frozenset({"NI", "NA", "UNK", "ASKU", "NASK", "NAV", "OTH", "MSK"})


def pointed_at(document: Document, element: Element | None) -> str:
    """Own words, or those of the narrative that a reference names by ID."""
    text = text_of(element)
    reference = attribute(child(element, "reference"), "value")
    if text or not reference.startswith("#"):
        return text
    return text_of(document.anchor(reference[1:]))


def _coding(document: Document, element: Element) -> dict[str, str] | None:
    code, system = attribute(element, "code"), attribute(element, "codeSystem")
    if not code or not system or attribute(element, "nullFlavor"):
        return None
    display = attribute(element, "displayName")
    return {"system": document.uri(system), "code": code, **({"display": display} if display else {})}


def codeable(document: Document, element: Element | None) -> dict[str, Any] | None:
    """CD or CE with its translations; its original text, else its display name, as text."""
    if element is None:
        return None
    found = [own for e in (element, *children(element, "translation")) if (own := _coding(document, e))]
    for own in list(found):
        found += [dict(more) for more in document.context.translate(own["system"], own["code"])]
    text = pointed_at(document, child(element, "originalText")) or attribute(element, "displayName")
    text = text or next((own["display"] for own in found if "display" in own), "")
    result: dict[str, Any] = {**({"coding": found} if found else {}), **({"text": text} if text else {})}
    return result or None


def amount(element: Element | None) -> dict[str, Any] | None:
    """PQ; its unit is UCUM, and 1 is none."""
    if element is None or attribute(element, "nullFlavor"):
        return None
    unit = attribute(element, "unit")
    return parse_quantity(attribute(element, "value"), "" if unit == "1" else unit)


def interval(element: Element | None) -> dict[str, Any]:
    """IVL_PQ → low and high as far as stated."""
    found = {name: amount(child(element, name)) for name in ("low", "high")}
    low, high = found["low"], found["high"]
    if low and high and low["value"] > high["value"]:
        return {}
    return {name: value for name, value in found.items() if value}


def value_x(document: Document, element: Element | None) -> dict[str, Any]:
    """Observation.value[x]; {} for what has none."""
    if element is None or attribute(element, "nullFlavor") in NOTHING:
        return {}
    kind = attribute(element, XSI_TYPE).rpartition(":")[2]
    if kind in ("CD", "CE", "CO", "CV", "CS"):
        stated = codeable(document, element)
        return {"valueCodeableConcept": stated} if stated else {}
    if kind in ("PQ", "REAL"):
        found = amount(element)
        return {"valueQuantity": found} if found else _words(document, element)
    if kind == "IVL_PQ":
        return _interval_value(element)
    if kind in ("RTO", "RTO_PQ_PQ"):
        return _ratio(document, element)
    if kind == "INT":
        text = attribute(element, "value")
        return {"valueInteger": int(text)} if text.removeprefix("-").isdecimal() and len(text) < 10 else {}
    if kind == "BL":
        return {"valueBoolean": attribute(element, "value") == "true"} if attribute(element, "value") else {}
    if kind == "TS":
        when = document.time(attribute(element, "value"))
        return {"valueDateTime": when} if when else {}
    return _words(document, element)


def _interval_value(element: Element) -> dict[str, Any]:
    """A range, or a limit: an edge that is not inclusive is less than it, or more."""
    edges = interval(element)
    if len(edges) == 2:
        return {"valueRange": edges}
    for name, sign in (("low", ">"), ("high", "<")):
        if name in edges:
            known, beyond = edges[name], attribute(child(element, name), "inclusive") == "false"
            return {"valueQuantity": quantity(known["value"], known.get("unit", ""), sign if beyond else f"{sign}=")}
    return {}


def _ratio(document: Document, element: Element) -> dict[str, Any]:
    """A titre, 1:160."""
    parts = {name: amount(child(element, name)) for name in ("numerator", "denominator")}
    return {"valueRatio": parts} if all(parts.values()) else _words(document, element)


def absent(element: Element | None) -> dict[str, Any]:
    """Why a value is not there, as its nullFlavor has it; {} where it is not said."""
    reason = ABSENT.get(attribute(element, "nullFlavor"))
    system = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
    return {"dataAbsentReason": {"coding": [{"system": system, "code": reason}]}} if reason else {}


def _words(document: Document, element: Element) -> dict[str, Any]:
    text = pointed_at(document, element) or attribute(element, "value")
    return {"valueString": text} if text else {}


def times(document: Document, element: Element | None) -> tuple[str | None, str | None]:
    """Start and end of effectiveTime; a point in time is a start."""
    time = next((e for e in children(element, "effectiveTime") if attribute(e, XSI_TYPE) not in ("PIVL_TS", "EIVL_TS")), None)
    start = attribute(child(time, "low"), "value") or attribute(child(time, "center"), "value") or attribute(time, "value")
    return document.time(start), document.time(attribute(child(time, "high"), "value"))


def interpretations(element: Element) -> list[dict[str, Any]]:
    codes = [attribute(e, "code") for e in children(element, "interpretationCode")]
    return [{"coding": [{"system": OBSERVATION_INTERPRETATION, "code": code}]} for code in codes if code in INTERPRETATIONS]


def reference_ranges(document: Document, element: Element) -> list[dict[str, Any]]:
    found = []
    for reference in children(element, "referenceRange"):
        observed = child(reference, "observationRange")
        text = pointed_at(document, child(observed, "text"))
        stated = {**interval(child(observed, "value")), **({"text": text} if text else {})}
        if stated:
            found.append(stated)
    return found


def entry_id(document: Document, resource_type: str, element: Element) -> str:
    """By the entry's own id; entries copied with their id stay apart by their order."""
    own = id_of(child(element, "id"))
    name = own.text if own else "-"
    return document.id(resource_type, name, document.nth(resource_type, name))


def negated(element: Element) -> bool:
    return attribute(element, "negationInd") == "true"
