"""OBX-5 by OBX-2 → Observation.value[x], component; never a made-up number.

https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-segment-obx-to-observation.html; HL7 v2.5.1 table 0125
"""

# ruff: noqa: ARG001 - all readers have one signature: the table calls them alike

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from mappers.datatypes import (
    COMPARATOR,
    decimal_of,
    fhir_datetime,
    parse_quantity,
    quantity,
    read_moment,
    read_number,
    with_its_unit,
)
from mappers.hl7v2.draft import Draft
from mappers.hl7v2.message import Segment
from mappers.hl7v2.segment import NULL
from mappers.hl7v2.types import codeable_concept, human_name, staff
from profiles.names import OBSERVATION_INTERPRETATION

Value = dict[str, Any]
"""One value[x] element with its name: {"valueQuantity": {...}}; empty when nothing is stated."""

# Whole qualitative results → v3-ObservationInterpretation; the text stays. 1+, 2+, 见报告 stay strings.
QUALITATIVE = {
    "阴性": ("NEG", "Negative"),
    "阴性(-)": ("NEG", "Negative"),
    "阴性（-）": ("NEG", "Negative"),
    "(-)": ("NEG", "Negative"),
    "-": ("NEG", "Negative"),
    "－": ("NEG", "Negative"),
    "NEGATIVE": ("NEG", "Negative"),
    "阳性": ("POS", "Positive"),
    "阳性(+)": ("POS", "Positive"),
    "阳性（+）": ("POS", "Positive"),
    "(+)": ("POS", "Positive"),
    "+": ("POS", "Positive"),
    "POSITIVE": ("POS", "Positive"),
    "未检出": ("ND", "Not detected"),
    "检出": ("DET", "Detected"),
    "弱阳性": ("WR", "Weakly reactive"),
    "弱阳性(±)": ("WR", "Weakly reactive"),
}

SIGNS = frozenset("-－+")  # of something that is measured: no number, but neither positive nor negative for certain
_SPLIT_UNIT = re.compile(r"[x×*]?\s*10")


def unit_of(draft: Draft, obx: Segment) -> str:
    """OBX-6 as text; a `10^9/L` whose caret was not escaped is put together again."""
    parts = obx.components(6)
    if len(parts) > 1 and _SPLIT_UNIT.fullmatch(parts[0].strip()) and re.match(r"\d{1,2}(/|$)", parts[1]):
        draft.note("invalid-value", f"{obx.where}-6", "unescaped ^ in a unit: read as a power of ten", "information")
        return f"{parts[0].strip()}^{parts[1].strip()}"
    return parts[0].strip() if parts and parts[0].strip() else (parts[1].strip() if len(parts) > 1 else "")


def text_value(text: str) -> Value:
    """A string, coded when it is one of the usual qualitative words."""
    text = text.strip()
    if not text:
        return {}
    if found := QUALITATIVE.get(text.replace(" ", "").upper()):
        coding = {"system": OBSERVATION_INTERPRETATION, "code": found[0], "display": found[1]}
        return {"valueCodeableConcept": {"coding": [coding], "text": text}}
    return {"valueString": text}


def _numeric(draft: Draft, obx: Segment, repetition: int, unit: str) -> Value:
    text = obx.text(5, repetition).strip()
    if measured := parse_quantity(text, unit) or with_its_unit(text, unit):
        return {"valueQuantity": measured}
    if text:
        draft.note("invalid-value", f"{obx.where}-5", "OBX-2 says NM, the value is not a number: kept as text", "information")
    return {"valueString": text} if text in SIGNS else text_value(text)


def _string(draft: Draft, obx: Segment, repetition: int, unit: str) -> Value:
    """ST is what many LIS send for everything: a number with a unit or a range is a quantity all the same."""
    text = obx.text(5, repetition)
    number = read_number(text)
    if number and (unit or obx.has(7)):
        return {"valueQuantity": quantity(number.value, unit, number.comparator)}
    if measured := with_its_unit(text, unit):
        return {"valueQuantity": measured}
    return {"valueString": text.strip()} if unit and text.strip() in SIGNS else text_value(text)


def _text(draft: Draft, obx: Segment, repetition: int, unit: str) -> Value:
    text = obx.text(5, repetition)
    return {"valueString": text} if text.strip() else {}


def _structured(draft: Draft, obx: Segment, repetition: int, unit: str) -> Value:
    """SN: comparator ^ number ^ separator ^ number."""
    comparator, first, separator, second = (obx.value(5, place, 1, repetition) for place in range(1, 5))
    low, high = decimal_of(first), decimal_of(second)
    if low is not None and not separator and comparator in COMPARATOR:
        return {"valueQuantity": quantity(low, unit, COMPARATOR[comparator])}
    if low is not None and high is not None and separator == "-" and not comparator:
        return {"valueRange": {"low": quantity(low, unit), "high": quantity(high, unit)}}
    if low is not None and high is not None and separator in {":", "/"} and not comparator:
        return {"valueRatio": {"numerator": quantity(low), "denominator": quantity(high)}}
    return text_value(f"{comparator}{first}{separator}{second}")


def _coded(draft: Draft, obx: Segment, repetition: int, unit: str) -> Value:
    found = codeable_concept(draft, obx, 5, "result", repetition)
    if found and "coding" not in found:
        return text_value(found["text"])
    if found and found["coding"][0]["system"] == draft.local("result") and not obx.value(5, 3, 1, repetition):
        return text_value(found["text"])  # one component, no code system: a word rather than a code
    return {"valueCodeableConcept": found} if found else {}


def _moment(draft: Draft, obx: Segment, repetition: int, unit: str) -> Value:
    text = obx.value(5, 1, 1, repetition)
    when = fhir_datetime(text, draft.zone)
    if text and when is None:
        draft.note("invalid-value", f"{obx.where}-5", "not a date: kept as text")
        return {"valueString": text}
    return {"valueDateTime": when} if when else {}


def _time(draft: Draft, obx: Segment, repetition: int, unit: str) -> Value:
    text = obx.value(5, 1, 1, repetition)
    if match := re.fullmatch(r"([01]\d|2[0-3]):?([0-5]\d):?([0-5]\d)?.*", text):
        return {"valueTime": f"{match[1]}:{match[2]}:{match[3] or '00'}"}
    return text_value(text)


def _period(draft: Draft, obx: Segment, repetition: int, unit: str) -> Value:
    edges = {"start": obx.value(5, 1, 1, repetition), "end": obx.value(5, 2, 1, repetition)}
    period = {edge: when for edge, text in edges.items() if (when := fhir_datetime(text, draft.zone))}
    if period.get("start") and period.get("end"):
        first, last = (read_moment(text) for text in edges.values())
        if first and last and first.parts > last.parts:
            draft.note("invalid-value", f"{obx.where}-5", "the period ends before it begins: kept as text")
            return {"valueString": f"{edges['start']} - {edges['end']}"}
    return {"valuePeriod": period} if period else text_value(obx.text(5, repetition))


def _person(draft: Draft, obx: Segment, repetition: int, unit: str) -> Value:
    found = staff(draft, obx, 5, repetition)
    return {"valueString": found["display"]} if found else {}


def _name(draft: Draft, obx: Segment, repetition: int, unit: str) -> Value:
    found = human_name(draft, obx, 5, repetition)
    return {"valueString": found["text"]} if found else {}


# HL7 table 0125 → how a repetition of OBX-5 is read; any other type is kept as text
READERS: dict[str, Callable[[Draft, Segment, int, str], Value]] = {
    "NM": _numeric,
    "SN": _structured,
    "ST": _string,
    "": _string,
    "TX": _text,
    "FT": _text,
    "CE": _coded,
    "CWE": _coded,
    "CF": _coded,
    "CNE": _coded,
    "IS": _coded,
    "ID": _coded,
    "DT": _moment,
    "TS": _moment,
    "DTM": _moment,
    "TM": _time,
    "DR": _period,
    "XCN": _person,
    "XPN": _name,
}
TEXT_KINDS = {"TX", "FT"}


# The ~ of `1.2~1.5cm` or `3mm~5mm` was not escaped; that before `2、` or `2.` begins a line
_ENDS_IN_NUMBER = re.compile(r"\d\s?(?:[cmn]?m|[mμu]?[lL]|[mk]?g|%|℃|°)?\s*$")
_BEGINS_WITH_NUMBER = re.compile(r"\s*\d+(?:\.\d+)?(?![\d.、)）:：])")


def text_lines(draft: Draft, obx: Segment) -> list[str]:
    """The repetitions of a text; one that was cut between two numbers is put together again."""
    lines: list[str] = []
    for number in range(1, max(obx.count(5), 1) + 1):
        text = obx.text(5, number)
        if lines and "~" in obx[5] and _ENDS_IN_NUMBER.search(lines[-1]) and _BEGINS_WITH_NUMBER.match(text):
            draft.note("invalid-value", f"{obx.where}-5", "unescaped ~ between two numbers: read as a range", "information")
            lines[-1] += f"~{text}"
        else:
            lines.append(text)
    return lines


def read_values(draft: Draft, obx: Segment, unit: str) -> list[Value]:
    """The value of every repetition of OBX-5 that states one."""
    stated = obx[5].strip()
    if not stated or stated == NULL:
        return []
    kind = obx.value(2).upper()
    reader = READERS.get(kind)
    if reader is None:
        draft.note(
            "unmapped-code", f"{obx.where}-2", "not in HL7 table 0125: kept as text", system="HL7 table 0125", value=kind[:16]
        )
        reader = _text
    if (repeats := obx.count(5)) == 1:
        value = reader(draft, obx, 1, unit)
        return [value] if value else []
    if kind in {"ST", ""} and len(lines := text_lines(draft, obx)) < repeats:
        return [{"valueString": text} for text in lines if text.strip()]
    found = [value for n in range(1, repeats + 1) if (value := reader(draft, obx, n, unit))]
    if kind in TEXT_KINDS and len(found) > 1:
        return [{"valueString": "\n".join(value["valueString"] for value in found)}]
    return found
