"""HL7 v2 OBX (with its NTE) → Observation; documents inside OBX → Binary.

https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-segment-obx-to-observation.html
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mappers.base import Resource
from mappers.datatypes import Mark, fold_unit, recognition_mark, reference_range, split_mark
from mappers.hl7v2.attachments import is_document, state_enclosed
from mappers.hl7v2.draft import Draft
from mappers.hl7v2.groups import Group, Result
from mappers.hl7v2.message import Segment
from mappers.hl7v2.performers import device_of, performers
from mappers.hl7v2.remembered import Wording, remembered, wording_of
from mappers.hl7v2.types import codeable_concept, codings, concept, number_identifier
from mappers.hl7v2.values import TEXT_KINDS, Value, read_values, text_lines, unit_of
from mappers.identity_keys import resource_id
from profiles.names import LOINC, OBSERVATION_CATEGORY, OBSERVATION_INTERPRETATION

# HL7 table 0085 (OBX-11) → Observation.status. Never "final" by default.
OBSERVATION_STATUS = {
    "F": "final",
    "P": "preliminary",
    "C": "corrected",
    "A": "amended",
    "B": "amended",
    "V": "final",
    "U": "final",
    "X": "cancelled",
    "D": "entered-in-error",
    "W": "entered-in-error",
    "I": "registered",
    "O": "registered",
    "R": "preliminary",
    "S": "preliminary",
    "N": "unknown",
}

# HL7 table 0078 and what Chinese LIS print → v3-ObservationInterpretation
INTERPRETATION = {
    **{code: code for code in ("L", "LL", "H", "HH", "N", "A", "AA", "U", "D", "B", "W", "S", "R", "I", "MS", "VS", "POS", "NEG")},
    **{code: code for code in ("IND", "ND", "DET", "RR", "NR", "WR", "HU", "LU", "SDD", "NS", "SYN-R", "SYN-S", "E")},
    "<": "<",
    ">": ">",
    "↑": "H",
    "↓": "L",
    "↑↑": "HH",
    "↓↓": "LL",
    "高": "H",
    "低": "L",
    "偏高": "H",
    "偏低": "L",
    "正常": "N",
    "异常": "A",
    "阳性": "POS",
    "阴性": "NEG",
    "弱阳性": "WR",
    "敏感": "S",
    "中介": "I",
    "耐药": "R",
    "剂量依赖性敏感": "SDD",
    "+": "POS",
    "-": "NEG",
    **dict.fromkeys(("HIGH", "H↑", "↑H", "高↑", "↑高"), "H"),
    **dict.fromkeys(("LOW", "L↓", "↓L", "低↓", "↓低"), "L"),
    **{"NORMAL": "N", "ABNORMAL": "A", "危急高": "HH", "危急低": "LL", "危急": "AA", "危急值": "AA"},
}
INTERPRETATION_DISPLAY = {
    "L": "Low",
    "LL": "Critical low",
    "H": "High",
    "HH": "Critical high",
    "N": "Normal",
    "A": "Abnormal",
    "AA": "Critical abnormal",
    "POS": "Positive",
    "NEG": "Negative",
    "S": "Susceptible",
    "I": "Intermediate",
    "R": "Resistant",
    "<": "Off scale low",
    ">": "Off scale high",
}
UNREADABLE = "\ufffd"  # what a decoder before us put where it could not read
NORMAL_WORDS = {"", '""', "NULL"}

ABSENT = {"X": "not-performed", "I": "temp-unknown", "O": "temp-unknown"}  # OBX-11 of an empty OBX-5 → data-absent-reason


@dataclass(slots=True)
class Report:
    """What the results of one OBR share."""

    key: tuple[str, ...]
    effective: str | None
    issued: str | None
    category: str  # "" when nothing says whose work it was
    specimen: dict[str, Any] | None
    status_code: str  # OBR-25, when an OBX states none
    seen: dict[tuple[str, str], int] = field(default_factory=dict)  # how often a code came with the same OBX-4


@dataclass(frozen=True, slots=True)
class Flags:
    """OBX-8 and OBX-11, wherever the source put them."""

    flags: tuple[str, ...]
    status: str


def flags_of(draft: Draft, obx: Segment) -> Flags:
    """Some sources shift by one: the flag in OBX-9, the status in OBX-10."""
    flags = tuple(flag for n in range(1, obx.count(8) + 1) if (flag := obx.value(8, 1, 1, n))) if obx.has(8) else ()
    status = obx.value(11)
    if not status and obx.value(10) in OBSERVATION_STATUS and (not flags or obx.has(9)):
        draft.note("moved", f"{obx.where}-10", "the status stands where OBX-10 is", "information")
        status = obx.value(10)
    if not flags and obx.value(9) in INTERPRETATION:
        draft.note("moved", f"{obx.where}-9", "the flag stands where OBX-9 is", "information")
        flags = (obx.value(9),)
    return Flags(flags, status)


def status_of(draft: Draft, obx: Segment, code: str, report: Report) -> str:
    if obx.value(31).upper() == "D":  # 2.9: action code
        return "entered-in-error"
    if not code:
        draft.note("missing", f"{obx.where}-11", "no result status", "information")
        return "final" if report.status_code == "F" else "unknown"
    return draft.translate(OBSERVATION_STATUS, code, f"{obx.where}-11", "HL7 table 0085") or "unknown"


def interpretation_of(draft: Draft, obx: Segment, flags: tuple[str, ...]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for flag in flags:
        if flag in NORMAL_WORDS:
            continue
        code = INTERPRETATION.get(flag) or INTERPRETATION.get(flag.upper())
        if code is None:
            draft.note("unmapped-code", f"{obx.where}-8", "not in HL7 table 0078", system="HL7 table 0078", value=flag[:16])
            found.append({"text": _name_of(obx, flag)})
            continue
        coding = {"system": OBSERVATION_INTERPRETATION, "code": code}
        if display := INTERPRETATION_DISPLAY.get(code):
            coding["display"] = display
        entry: dict[str, Any] = {"coding": [coding]}
        found.append({**entry, "text": flag} if flag != code else entry)
    return found


def _name_of(obx: Segment, flag: str) -> str:
    """What the source calls a flag of its own."""
    names = {obx.value(8, 1, 1, n): obx.value(8, 2, 1, n) for n in range(1, obx.count(8) + 1)}
    return names.get(flag) or flag


def item_code(draft: Draft, segment: Segment, number: int) -> tuple[dict[str, Any] | None, Mark | None]:
    """OBX-3 or OBR-4 → CodeableConcept with the name freed from its recognition mark, and the mark."""
    parts = segment.parts(number, 9)
    names = [name for name in (parts[8], parts[1], parts[4], parts[0]) if name and UNREADABLE not in name]
    name, mark = split_mark(next(iter(names), ""))
    coding = codings(draft, segment, number, "item")
    for entry in coding:
        if "display" in entry:
            entry["display"] = split_mark(entry["display"])[0]
    code = concept(draft, coding, name)
    local = next((entry for entry in coding if entry["system"] != LOINC), None)
    if code and local and all(entry["system"] != LOINC for entry in code["coding"]):
        draft.note(
            "unmapped-code",
            f"{segment.where}-{number}",
            "no LOINC code",
            system=local["system"],
            value=local["code"][:64],
            display=name,
        )
    return code, mark


def note_text(notes: list[Segment]) -> str:
    """NTE-3 of several segments and repetitions as one text."""
    return "\n".join(text for nte in notes for n in range(1, nte.count(3) + 1) if (text := nte.text(3, n)).strip())


def observation_key(obx: Segment, item: str, report: Report) -> tuple[str, ...]:
    """Report, code, OBX-4, and how often this code came before: the same for a message that repeats or corrects this one."""
    same = (item, obx.value(4))
    report.seen[same] = report.seen.get(same, 0) + 1
    return (*report.key, item, same[1] or "-", str(report.seen[same]))


def _values(draft: Draft, result: Result, unit: str) -> list[Value]:
    """The values of an OBX; the lines of a narrative are one text, blank lines among them."""
    obx = result.obx
    if not result.more and not (obx.count(5) > 1 and obx.value(2).upper() in TEXT_KINDS):
        return read_values(draft, obx, unit)
    lines = [text for line in (obx, *result.more) for text in text_lines(draft, line)]
    text = "\n".join(lines).strip("\n")
    return [{"valueString": text}] if text.strip() else []


def _put_value(draft: Draft, result: Result, observation: Resource, status_code: str, unit: str) -> None:
    values = _values(draft, result, unit)
    if not values:
        absent = ABSENT.get(status_code, "unknown")
        system = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
        observation["dataAbsentReason"] = {"coding": [{"system": system, "code": absent}]}
    elif len(values) == 1:
        observation |= values[0]
    else:
        observation["component"] = [_component(observation, value) for value in values]


def _component(observation: Resource, value: Value) -> dict[str, Any]:
    return {"code": observation["code"], **value}


@dataclass(frozen=True, slots=True)
class Head:
    """What is measured, and how far the result has come."""

    item: str  # the code as it tells one result from another
    code: dict[str, Any]
    mark: Mark | None
    flags: Flags
    status: str


def _wording(draft: Draft, obx: Segment, report: Report) -> Wording:
    """All but number, sub-identifier, value, times and identifiers of a result, which tell one from another."""
    fields = obx.fields
    ends = (None, *fields[15:18], None, *fields[20:21], None, *fields[23:24], None, *fields[31:32])
    return wording_of(draft, (report.status_code, *fields[2:4], None, *fields[6:14], *ends))


def _head(draft: Draft, obx: Segment, report: Report) -> Head:
    flags = flags_of(draft, obx)
    code, mark = item_code(draft, obx, 3)
    if code is None:
        draft.note("missing", f"{obx.where}-3", "a result without a code")
    item = obx.value(3) or obx.value(3, 2) or obx.value(3, 4) or "-"
    return Head(item, code or {"text": "unnamed"}, mark, flags, status_of(draft, obx, flags.status, report))


def _frame(draft: Draft, obx: Segment, flags: Flags, unit: str, *, measured: bool) -> dict[str, Any]:
    """What stands around the value."""
    if unit and measured and fold_unit(unit)[1] is None:
        draft.note("unmapped-code", f"{obx.where}-6", "unit is not one we fold to UCUM", system="unit", value=unit[:32])
    limits = reference_range(obx.whole(7), unit)
    return {
        "interpretation": interpretation_of(draft, obx, flags.flags),
        "bodySite": codeable_concept(draft, obx, 20, "body-site") if obx.has(20) else None,
        "method": codeable_concept(draft, obx, 17, "method") if obx.has(17) else None,
        "referenceRange": [limits] if limits else None,
    }


def observation_from_obx(draft: Draft, result: Result, report: Report) -> Resource:
    """One result. Never dropped: an empty OBX-5 is a result whose value is absent."""
    obx, people = result.obx, result.people
    wording = _wording(draft, obx, report)
    head = remembered(draft, obx, wording, "head", lambda: _head(draft, obx, report))
    observation: Resource = {
        "resourceType": "Observation",
        "id": resource_id("Observation", *observation_key(obx, head.item, report)),
    }
    if head.mark:
        observation["extension"] = [recognition_mark(head.mark)]
    if number := obx.value(21):
        observation["identifier"] = [number_identifier(draft, number, "result")]
    observation["status"] = head.status
    if report.category:
        observation["category"] = [{"coding": [{"system": OBSERVATION_CATEGORY, "code": report.category}]}]
    observation["code"] = head.code
    observation["subject"] = draft.patient
    if draft.encounter:
        observation["encounter"] = draft.encounter
    if when := draft.datetime(obx, 14) or report.effective:
        observation["effectiveDateTime"] = when
    if report.issued:
        observation["issued"] = report.issued
    observation["performer"] = (
        performers(draft, obx, people)
        if people
        else remembered(draft, obx, wording, "performers", lambda: performers(draft, obx, people))
    )
    unit = remembered(draft, obx, wording, "unit", lambda: unit_of(draft, obx))
    _put_value(draft, result, observation, head.flags.status, unit)
    measured = "valueQuantity" in observation
    part = "frame of a number" if measured else "frame"
    frame = remembered(draft, obx, wording, part, lambda: _frame(draft, obx, head.flags, unit, measured=measured))
    text = note_text(result.notes) if result.notes else ""
    stated = {
        "interpretation": frame["interpretation"],
        "note": [{"text": text}] if text else None,
        "bodySite": frame["bodySite"],
        "method": frame["method"],
        "specimen": report.specimen,
        "device": device_of(draft, obx, people),
        "referenceRange": frame["referenceRange"],
    }
    for element, value in stated.items():
        if value:
            observation[element] = value
    return observation


def state_observations(
    draft: Draft, group: Group, key: tuple[str, ...], specimen: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    """Results that stand below an order, a dose or a charge: what was asked or measured beside it; → references."""
    shared = Report((draft.facility, *key), effective=None, issued=None, category="survey", specimen=specimen, status_code="")
    found: list[dict[str, Any]] = []
    for result in group.results:
        if is_document(result.obx):
            found += state_enclosed(draft, result.obx, (draft.facility, *key))
            continue
        observation = observation_from_obx(draft, result, shared)
        draft.state(observation)
        found.append({"reference": f"Observation/{observation['id']}"})
    return found
