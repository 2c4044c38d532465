"""HL7 v2 PRB with its NTE, ROL, OBX → Condition of the problem list.

HL7 v2.5.1 chapter 12; the structure has no published map. A problem that is deleted was entered in error.
"""

from __future__ import annotations

from typing import Any

from mappers.base import CannotMap, Resource
from mappers.hl7v2.codes import shared_concept
from mappers.hl7v2.deletes import PROBLEM, state_patch
from mappers.hl7v2.draft import Draft
from mappers.hl7v2.groups import Group, Result
from mappers.hl7v2.message import Segment
from mappers.hl7v2.observation import note_text, state_observations
from mappers.hl7v2.types import codeable_concept, number_identifier, people
from mappers.identity_keys import resource_id

CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
CATEGORY = "http://terminology.hl7.org/CodeSystem/condition-category"
DELETES = frozenset({"DE", "D"})  # HL7 table 0287 (PRB-1); the event PC3 says the same
# PRB-14 and PRB-13 are tables of the user: the words that are met
LIFE_CYCLE = {
    **dict.fromkeys(("ACTIVE", "A", "活动", "活跃"), "active"),
    **dict.fromkeys(("INACTIVE", "I", "非活动"), "inactive"),
    **dict.fromkeys(("RESOLVED", "R", "CLOSED", "治愈", "已解决"), "resolved"),
    **dict.fromkeys(("RECURRENCE", "复发"), "recurrence"),
    **dict.fromkeys(("REMISSION", "缓解"), "remission"),
}
CONFIRMATION = {
    **dict.fromkeys(("CONFIRMED", "C", "F", "确诊"), "confirmed"),
    **dict.fromkeys(("PROVISIONAL", "P", "SUSPECTED", "疑似", "待查"), "provisional"),
    **dict.fromkeys(("DIFFERENTIAL", "D", "鉴别"), "differential"),
    **dict.fromkeys(("REFUTED", "EXCLUDED", "排除"), "refuted"),
    **dict.fromkeys(("UNCONFIRMED", "U"), "unconfirmed"),
}


def state_problems(draft: Draft) -> None:
    """Raise CannotMap without PRB."""
    problems = _grouped(draft)
    if not problems:
        raise CannotMap("a problem message without PRB")
    for prb, behind in problems:
        _state(draft, prb, behind)


def _grouped(draft: Draft) -> list[tuple[Segment, list[Segment]]]:
    """Each PRB with the NTE, ROL, PRT and OBX behind it; a pathway, a goal or an order begins something else."""
    found: list[tuple[Segment, list[Segment]]] = []
    open_ = False
    for segment in draft.message.all:
        if segment.name == "PRB":
            found.append((segment, []))
            open_ = True
        elif segment.name in {"GOL", "PTH", "ORC"}:
            open_ = False
        elif open_ and segment.name in {"NTE", "ROL", "PRT", "OBX"}:
            found[-1][1].append(segment)
    return found


def _key(draft: Draft, prb: Segment) -> tuple[str, ...]:
    """PRB-4, the instance; else the patient, the problem and when it was established."""
    if number := prb.value(4):
        return (draft.facility, number)
    draft.note("missing", f"{prb.where}-4", "no problem number; patient, problem and onset identify it", "information")
    return (draft.facility, *draft.patient_key, prb.value(3) or prb.value(3, 2) or "-", prb.value(16) or prb.value(7) or "-")


def _state(draft: Draft, prb: Segment, behind: list[Segment]) -> None:
    deleted = prb.value(1).upper() in DELETES or draft.trigger == "PC3"
    key = _key(draft, prb)
    condition: Resource = {"resourceType": "Condition", "id": resource_id("Condition", *key)}
    if number := prb.value(4):
        condition["identifier"] = [number_identifier(draft, number, "problem")]
    resolved = draft.datetime(prb, 9)
    code = shared_concept(draft, prb, 3, "diagnosis")
    if code is None:
        draft.note("missing", f"{prb.where}-3", "a problem without code and name")
    persons = [person for segment in behind for person in _person(draft, segment)]
    stated: dict[str, Any] = {
        "clinicalStatus": None if deleted else _coded(CLINICAL, _clinical(draft, prb, resolved)),
        "verificationStatus": _coded(VERIFICATION, "entered-in-error" if deleted else _verification(draft, prb)),
        "category": [_coded(CATEGORY, "problem-list-item")],
        "code": code,
        "subject": draft.patient,
        "encounter": draft.encounter,
        **_onset(draft, prb),
        "abatementDateTime": resolved,
        "recordedDate": _recorded(draft, prb),
        "asserter": persons[0] if persons else None,
        "severity": codeable_concept(draft, prb, 26, "severity"),
        "note": [{"text": text} for text in (note_text([s for s in behind if s.name == "NTE"]),) if text],
        "evidence": _evidence(draft, behind, key),
    }
    condition |= {element: value for element, value in stated.items() if value}
    if deleted:
        condition["clinicalStatus"] = None  # con-5: what was entered in error has none
    state_patch(draft, condition, (prb, PROBLEM))


def _coded(system: str, code: str | None) -> dict[str, Any] | None:
    return {"coding": [{"system": system, "code": code}]} if code else None


def _clinical(draft: Draft, prb: Segment, resolved: str | None) -> str:
    """PRB-14; a problem that has an end is resolved, any other is on the list because it is active."""
    stated = (prb.value(14) or prb.value(14, 2)).upper()
    mapped = draft.translate(LIFE_CYCLE, stated, f"{prb.where}-14", "problem life cycle") if stated else None
    if resolved and mapped not in {"inactive", "remission"}:
        return "resolved"
    return mapped or "active"


def _verification(draft: Draft, prb: Segment) -> str | None:
    stated = (prb.value(13) or prb.value(13, 2)).upper()
    return draft.translate(CONFIRMATION, stated, f"{prb.where}-13", "problem confirmation") if stated else None


def _recorded(draft: Draft, prb: Segment) -> str | None:
    """PRB-7; the time of the action (PRB-2) is that of recording only where the action adds the problem."""
    established = draft.datetime(prb, 7)
    if established is None and draft.trigger == "PC1" and prb.value(1).upper() == "AD":
        return draft.datetime(prb, 2)
    return established


def _onset(draft: Draft, prb: Segment) -> dict[str, Any]:
    """PRB-16, else the words of PRB-17."""
    if when := draft.datetime(prb, 16):
        return {"onsetDateTime": when}
    return {"onsetString": prb.value(17)} if prb.value(17) else {}


def _person(draft: Draft, segment: Segment) -> list[dict[str, Any]]:
    field = {"ROL": 4, "PRT": 5}.get(segment.name)
    return people(draft, segment, field) if field and segment.value(2).upper() not in DELETES else []


def _evidence(draft: Draft, behind: list[Segment], key: tuple[str, ...]) -> list[dict[str, Any]]:
    group = Group(results=[Result(segment) for segment in behind if segment.name == "OBX"])
    references = state_observations(draft, group, ("problem", *key))
    return [{"detail": references}] if references else []
