"""Observation → OBX-2 to 8, 14 and 19; its components as OBX of their own, told apart by OBX-4.

HL7 v2.5.1 chapter 7.4.2 (OBX), 2.A (data types), HL7 table 0078 (flags).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mappers.base import Issue, Resource
from mappers.hl7v2_out.text import components, first, formatted, repetitions, text, timestamp
from profiles.names import LOINC, OBSERVATION_INTERPRETATION, UCUM

# FHIR's URI of a code system → HL7 table 0396; another facility's or nation's system goes by the last part of its name
CODING_SYSTEMS = {
    LOINC: "LN",
    UCUM: "UCUM",
    "http://snomed.info/sct": "SCT",
    "http://hl7.org/fhir/sid/icd-10": "I10",
    "http://hl7.org/fhir/sid/icd-9-cm": "I9C",
}
LONGEST_ST = 199
Fields = dict[int, str]
Value = tuple[str, str]  # OBX-2 and OBX-5


def code_of(concept: Any) -> str:
    """CodeableConcept → CE or CWE: the source's own code, then another one beside it."""
    if not isinstance(concept, dict):
        return ""
    coding = [each for each in concept.get("coding", ()) if each.get("code")]
    own = sorted(coding, key=lambda each: each.get("system") == LOINC)[:2]
    if not own:
        return components(None, concept.get("text")) if concept.get("text") else ""
    parts: list[object] = []
    for place, each in enumerate(own):
        name = each.get("display") or (concept.get("text") if place == 0 else None)
        parts += [each["code"], name, system_name(each.get("system"))]
    return components(*parts)


def system_name(uri: object) -> str:
    text_of = str(uri or "")
    return CODING_SYSTEMS.get(text_of) or ("L" if text_of.startswith("urn:hub:") else text_of)


def result_fields(result: Resource, issues: list[Issue], *, coded: str) -> Iterator[Fields]:
    """The result itself where it has a value, or says why it has none; then its components. `coded`: CE or CWE."""
    when = timestamp(result.get("effectiveDateTime") or (result.get("effectivePeriod") or {}).get("start"))
    shared = {14: when}
    parts = result.get("component", ())
    own = _value(result, issues, coded)
    if own is not None or not parts:
        yield {**_fields(result, own), **shared}
    for number, part in enumerate(parts, 1):
        yield {**_fields(part, _value(part, issues, coded)), 4: str(number), **shared}


def _fields(stated: Resource, value: Value | None) -> Fields:
    kind, content = value or ("ST", "")
    return {
        2: kind,
        3: code_of(stated.get("code")),
        5: content,
        6: _unit(stated.get("valueQuantity") or (stated.get("valueRange") or {}).get("low") or {}),
        7: _reference_range(first(stated.get("referenceRange"))),
        8: repetitions(_flag(each) for each in stated.get("interpretation", ())),
    }


def _value(stated: Resource, issues: list[Issue], coded: str) -> Value | None:
    name = next((name for name in stated if name.startswith("value")), "")
    if not name:
        return None
    if name == "valueCodeableConcept":
        return coded, code_of(stated[name])
    how = VALUES.get(name)
    if how is None:
        issues.append(Issue("not-mapped", f"Observation.{name}", "OBX-5 has no type for it"))
        return None
    return how(stated[name])


def _quantity(value: Resource) -> Value:
    if value.get("value") is None:
        return "ST", text(value.get("unit", ""))
    if comparator := value.get("comparator"):
        return "SN", components(comparator, value["value"])
    return "NM", text(value["value"])


def _string(value: object) -> Value:
    content = str(value)
    plain = len(content) <= LONGEST_ST and "\n" not in content and "\r" not in content
    return ("ST" if plain else "TX"), formatted(content)


def _range(value: Resource) -> Value:
    low, high = ((value.get(end) or {}).get("value") for end in ("low", "high"))
    if low is None:
        return "SN", components("<=", high)
    return "SN", components(">=", low) if high is None else components(None, low, "-", high)


def _ratio(value: Resource) -> Value:
    upper, lower = (value.get(part) or {} for part in ("numerator", "denominator"))
    return "SN", components(upper.get("comparator"), upper.get("value"), ":", lower.get("value"))


VALUES: Mapping[str, Callable[[Any], Value]] = {
    "valueQuantity": _quantity,
    "valueString": _string,
    "valueInteger": lambda value: ("NM", text(value)),
    "valueBoolean": lambda value: ("ID", "Y" if value else "N"),
    "valueRange": _range,
    "valueRatio": _ratio,
    "valueDateTime": lambda value: ("TS", timestamp(value)),
    "valueTime": lambda value: ("TM", text(str(value).replace(":", ""))),
    "valuePeriod": lambda value: ("DR", components(timestamp(value.get("start")), timestamp(value.get("end")))),
}


def _unit(quantity: Resource) -> str:
    """As the source wrote it; with its code where that is another text."""
    unit, code = quantity.get("unit"), quantity.get("code")
    if code and quantity.get("system") == UCUM:
        return components(unit or code) if unit in (None, code) else components(unit, None, None, code, None, "UCUM")
    return text(unit or code or "")


def _reference_range(stated: Resource) -> str:
    if stated.get("text"):
        return text(stated["text"])
    low, high = ((stated.get(end) or {}).get("value") for end in ("low", "high"))
    if low is not None and high is not None:
        return text(f"{low}-{high}")
    return text(f">={low}" if low is not None else f"<={high}" if high is not None else "")


def _flag(concept: Resource) -> str:
    coding = [each for each in concept.get("coding", ()) if each.get("system") == OBSERVATION_INTERPRETATION]
    return text(first(coding or concept.get("coding", [])).get("code") or concept.get("text", ""))
