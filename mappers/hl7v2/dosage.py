"""HL7 v2 TQ or TQ1, RXR and the amounts of RXO, RXE, RXG → Dosage.

HL7 v2.5.1 chapters 4 (TQ1, table 0335) and 4A; https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-segment-rxr-to-medicationrequest.html
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import fields as fields_of
from decimal import Decimal
from typing import Any

from mappers.datatypes import decimal_of, fold_unit, quantity
from mappers.hl7v2.draft import Draft
from mappers.hl7v2.message import Segment
from mappers.hl7v2.types import codeable_concept, coding_system, concept
from profiles.names import UCUM

TIMING_ABBREVIATION = "http://terminology.hl7.org/CodeSystem/v3-GTSAbbreviation"

# HL7 table 0335, CV06.00.228 and what HIS write → (frequency, period, unit of the period)
REPEATS: dict[str, tuple[int, int, str]] = {
    **dict.fromkeys(("QD", "Q1D", "Q24H", "每日一次", "一日一次", "每天一次", "1/日"), (1, 1, "d")),
    **dict.fromkeys(("BID", "每日两次", "每日二次", "一日两次", "一日二次", "每天两次", "2/日"), (2, 1, "d")),
    **dict.fromkeys(("TID", "每日三次", "一日三次", "每天三次", "3/日"), (3, 1, "d")),
    **dict.fromkeys(("QID", "每日四次", "一日四次", "每天四次", "4/日"), (4, 1, "d")),
    **dict.fromkeys(("QOD", "隔日一次"), (1, 2, "d")),
    **dict.fromkeys(("QW", "Q1W", "每周一次"), (1, 1, "wk")),
    **dict.fromkeys(("BIW", "每周两次"), (2, 1, "wk")),
    "TIW": (3, 1, "wk"),
}
ABBREVIATIONS = {"QD", "BID", "TID", "QID", "QOD", "Q4H", "Q6H", "AM", "PM"}
# → Timing.repeat.when, with one dose at it
EVENTS = {**dict.fromkeys(("QHS", "QN", "HS", "每晚一次", "睡前"), "HS"), **dict.fromkeys(("QAM", "QM", "每晨一次"), "MORN")}
ONCE = {"ONCE", "ST", "STAT", "立即", "一次"}
AS_NEEDED = {"PRN", "SOS", "必要时"}
_EVERY = re.compile(r"Q(?P<number>\d{1,3})(?P<unit>[SMHDWL])")
_UNIT_OF_PERIOD = {"S": "s", "M": "min", "H": "h", "D": "d", "W": "wk", "L": "mo"}
_LASTING = re.compile(r"(?P<unit>[SMHDWLX])(?P<number>\d{1,4})")
_DURATION_UNITS = {
    "s": "s",
    "min": "min",
    "h": "h",
    "d": "d",
    "wk": "wk",
    **dict.fromkeys(("day", "days", "日", "天"), "d"),
    "周": "wk",
}


@dataclass(frozen=True, slots=True)
class When:
    """One TQ1, or one repetition of a TQ field (ORC-7, RXE-1), read to the same parts."""

    pattern: dict[str, Any] | None
    code: str
    duration: tuple[Decimal, str] | None
    start: str | None
    end: str | None
    condition: str
    text: str
    occurrences: int | None


def when_of_tq1(draft: Draft, tq1: Segment) -> When:
    pattern = _pattern_of_tq1(draft, tq1)
    lasting = decimal_of(tq1.value(6))
    unit = _DURATION_UNITS.get(tq1.value(6, 2).lower()) or _DURATION_UNITS.get(tq1.value(6, 2, 2).lower())
    return When(
        pattern,
        tq1.value(3),
        (lasting, unit) if lasting and unit else None,
        draft.datetime(tq1, 7),
        draft.datetime(tq1, 8),
        tq1.value(10, 2) or tq1.value(10),
        tq1.value(11),
        _positive(tq1.value(14)),
    )


def _pattern_of_tq1(draft: Draft, tq1: Segment) -> dict[str, Any] | None:
    """RPT.1 is a CWE of subcomponents; a source may write it as components."""
    code, display, name = (tq1.value(3, 1, place) for place in (1, 2, 3))
    return coded(draft, code, display or tq1.value(3, 2), name, "timing")


def when_of_tq(draft: Draft, segment: Segment, field: int, repetition: int = 1) -> When | None:
    """TQ: quantity ^ interval ^ duration ^ start ^ end ^ priority ^ condition ^ text."""
    if not segment.has(field) or segment.deleted(field):
        return None
    interval, lasting = segment.value(field, 2, 1, repetition), segment.value(field, 3, 1, repetition).upper()
    found = _LASTING.fullmatch(lasting)
    counted = found is not None and found["unit"] == "X"
    start, end = (draft.datetime(segment, field, place) if repetition == 1 else None for place in (4, 5))
    return When(
        coded(draft, interval, "", "", "timing"),
        interval,
        (Decimal(found["number"]), _UNIT_OF_PERIOD[found["unit"]]) if found and not counted else None,
        start,
        end,
        segment.value(field, 7, 1, repetition),
        segment.value(field, 8, 1, repetition),
        int(found["number"]) if found and counted else None,
    )


def coded(draft: Draft, code: str, display: str, name: str, kind: str) -> dict[str, Any] | None:
    """A code with its name, of a table or of the facility's own, with the translations of the ConceptMaps."""
    if not code and not display:
        return None
    entry = {"system": coding_system(draft, name, kind), "code": " ".join(code.split())}
    return concept(draft, [entry | ({"display": display} if display else {})] if code else [], display or code)


def _positive(text: str) -> int | None:
    return int(text) if text.isdecimal() and 0 < int(text) < 100_000 else None


def _repeat(when: When) -> dict[str, Any]:
    code = when.code.upper()
    repeat: dict[str, Any] = {}
    if when.duration and not (when.start and when.end and when.end > when.start):  # both edges say more
        value, unit = when.duration
        repeat["boundsDuration"] = {"value": value, "unit": unit, "system": UCUM, "code": unit}
    elif when.start or when.end:
        edges = (("start", when.start), ("end", when.end if not when.start or not when.end or when.end > when.start else None))
        repeat["boundsPeriod"] = {edge: at for edge, at in edges if at}
    if when.occurrences:
        repeat["count"] = when.occurrences
    elif code in ONCE:
        repeat["count"] = 1
    if code in EVENTS:
        repeat["when"] = [EVENTS[code]]
    elif code in REPEATS:
        frequency, period, unit = REPEATS[code]
        repeat |= {"frequency": frequency, "period": period, "periodUnit": unit}
    elif (every := _EVERY.fullmatch(code)) and int(every["number"]):
        repeat |= {"frequency": 1, "period": int(every["number"]), "periodUnit": _UNIT_OF_PERIOD[every["unit"]]}
    return repeat


def timing_of(when: When) -> dict[str, Any]:
    timing: dict[str, Any] = {}
    if repeat := _repeat(when):
        timing["repeat"] = repeat
    if when.pattern:
        pattern = when.pattern
        code = when.code.upper()
        if code in ABBREVIATIONS:
            pattern = {**pattern, "coding": [*pattern.get("coding", []), {"system": TIMING_ABBREVIATION, "code": code}]}
        timing["code"] = pattern
    return timing


def whens_of(draft: Draft, timing: Sequence[Segment], *fields: tuple[Segment | None, int]) -> list[When]:
    """TQ1; without one the TQ fields, RXE-1 before ORC-7: what one leaves out of a single time the other may say."""
    found = [when_of_tq1(draft, tq1) for tq1 in timing]
    for segment, field in () if found else fields:
        if segment is None:
            continue
        read = [when_of_tq(draft, segment, field, n) for n in range(1, segment.count(field) + 1)]
        whens = [when for when in read if when and (timing_of(when) or when.text)]
        if len(found) == len(whens) == 1:
            found = [_joined(found[0], whens[0])]
        found = found or whens
    return found


def _joined(first: When, second: When) -> When:
    names = (name.name for name in fields_of(When))
    return When(**{name: getattr(first, name) or getattr(second, name) for name in names})


@dataclass(frozen=True, slots=True)
class Amounts:
    """Which fields of a drug segment hold the dose and its rate."""

    low: int
    high: int
    unit: int
    rate: int = 0
    rate_unit: int = 0
    per: int = 0


def unit_text(segment: Segment, field: int) -> str:
    """The unit as the source shows it: mg^milligram, TAB^锭; a code that UCUM knows wins over its name."""
    code, name = segment.value(field), segment.value(field, 2)
    return code if code and (fold_unit(code)[1] or not name) else name


def dose_and_rate(draft: Draft, segment: Segment, amounts: Amounts) -> dict[str, Any]:
    unit = unit_text(segment, amounts.unit)
    low, high = decimal_of(segment.value(amounts.low)), decimal_of(segment.value(amounts.high)) if amounts.high else None
    found: dict[str, Any] = {}
    if low is not None and high is not None and high > low:
        found["doseRange"] = {"low": quantity(low, unit), "high": quantity(high, unit)}
    elif low is not None:
        found["doseQuantity"] = quantity(low, unit)
    elif stated := segment.value(amounts.low):
        draft.refuse(segment, amounts.low)
        draft.note("invalid-value", f"{segment.where}-{amounts.low}", f"not a number: {len(stated)} characters")
    rate = decimal_of(segment.value(amounts.rate)) if amounts.rate else None
    if rate is not None:
        per = segment.value(amounts.per)
        text = unit_text(segment, amounts.rate_unit)
        found["rateQuantity"] = quantity(rate, f"{text}/{_hour(per)}" if per and "/" not in text else text)
    return found


def _hour(per: str) -> str:
    """RXE-22: H1 is an hour, M30 half of one; what is neither stays as written."""
    found = re.fullmatch(r"(?P<unit>[SMHDWL])(?P<number>\d{1,3})", per.upper())
    if found is None:
        return per
    unit = _UNIT_OF_PERIOD[found["unit"]]
    return unit if found["number"] == "1" else f"{found['number']}{unit}"


def route_of(draft: Draft, routes: Sequence[Segment]) -> dict[str, Any]:
    """Route, site and method of the first RXR. RXE may repeat that of RXO; another one is a choice that R4 has no place for."""
    found: dict[str, Any] = {}
    for rxr in routes:
        if found and str(rxr) != str(routes[0]):
            continue
        parts = (("route", 1, "route"), ("site", 2, "body-site"), ("method", 4, "administration-method"))
        found |= {element: value for element, field, kind in parts if (value := codeable_concept(draft, rxr, field, kind))}
    return found


def dosages(
    draft: Draft, segment: Segment, amounts: Amounts | None, whens: Sequence[When], routes: Sequence[Segment], texts: Sequence[str]
) -> list[dict[str, Any]]:
    """Dosage, one a time; the instructions and the route are those of all."""
    shared = route_of(draft, routes)
    if amounts and (amount := dose_and_rate(draft, segment, amounts)):
        shared["doseAndRate"] = [amount]
    found: list[dict[str, Any]] = []
    times: Sequence[When | None] = whens or (None,)
    for when in times:
        dosage = dict(shared)
        said = [text for text in (*texts, when.text if when else "", when.condition if when else "") if text]
        if said:
            dosage["text"] = "; ".join(dict.fromkeys(said))
        if when and (timing := timing_of(when)):
            dosage["timing"] = timing
        if when and when.code.upper() in AS_NEEDED:
            dosage["asNeededBoolean"] = True
        if dosage:
            found.append(dosage)
    if len(found) > 1:
        found = [{"sequence": place, **dosage} for place, dosage in enumerate(found, 1)]
    return found
