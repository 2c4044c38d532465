"""HL7 v2 PV1-7 … PV1-52, PV2-13, ROL, PRT → Encounter.participant; PD1-4, ROL → Patient.generalPractitioner.

https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-segment-rol-to-encounter.html
"""

from __future__ import annotations

import re
from typing import Any

from mappers.hl7v2.draft import Draft
from mappers.hl7v2.message import Segment
from mappers.hl7v2.types import people, staff

# PV1 field → v3-ParticipationType
PARTICIPANTS = {7: "ATND", 8: "REF", 9: "CON", 17: "ADM", 52: "PART"}
# HL7 tables 0443 (ROL-3) and 0912 (PRT-4) → v3-ParticipationType
ROLES = {
    "AD": "ADM",
    "AT": "ATND",
    "CP": "CON",
    "RP": "REF",
    "RT": "REFT",
    "PP": "PPRF",
    "EP": "ENT",
}
FAMILY_DOCTORS = {"FHCP", "PP"}  # of table 0443: whose patient it is, beyond this visit
TAKEN_BACK = {"DE", "D"}  # HL7 tables 0287, 0206; X is: no change
DOCTOR = re.compile("(?:医生|医师|大夫|主任)$")


def participant(role: str, person: dict[str, Any] | None, period: dict[str, Any] | None = None) -> dict[str, Any]:
    """Without a person it says: nobody has this role."""
    system = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
    entry: dict[str, Any] = {"type": [{"coding": [{"system": system, "code": role}]}]}
    if period:
        entry["period"] = period
    if person:
        entry["individual"] = person
    return entry


def participants(draft: Draft, pv1: Segment) -> list[dict[str, Any]]:
    found = []
    for field, role in PARTICIPANTS.items():
        found += [participant(role, person) for person in people(draft, pv1, field)]
        if draft.mode == "patch" and pv1.deleted(field):
            found.append(participant(role, None))
    if not pv1.has(7) and (attending := _shifted_doctor(draft, pv1)):
        found.insert(0, participant("ATND", attending))
    if pv2 := draft.message.first("PV2"):
        found += [participant("REF", person) for person in people(draft, pv2, 13)]
    unique: list[dict[str, Any]] = []
    for entry in [*found, *_from_roles(draft)]:
        if entry not in unique:
            unique.append(entry)
    return unique


def holds_a_doctor(pv1: Segment, field: int) -> bool:
    """Whether a place holds a person by name: some sources shift PV1-7 to PV1-6."""
    return DOCTOR.search(pv1.value(field, 2)) is not None


def _shifted_doctor(draft: Draft, pv1: Segment) -> dict[str, Any] | None:
    if not holds_a_doctor(pv1, 6):
        return None
    draft.note("moved", f"{pv1.where}-6", "the attending doctor stands where PV1-6 is; PV1-7 is empty", "information")
    return staff(draft, pv1, 6)


def _from_roles(draft: Draft) -> list[dict[str, Any]]:
    """ROL and PRT that stand behind PV1: of the visit."""
    found = []
    for segment, behind in _roles(draft):
        if behind in {"PID", "PD1"} or segment.value(2).upper() in TAKEN_BACK:
            continue
        code = segment.value(_ROLE[segment.name])
        role = draft.translate(ROLES, code, f"{segment.where}-{_ROLE[segment.name]}", "HL7 table 0443")
        period = {edge: when for edge, field in _EDGES[segment.name] if (when := draft.datetime(segment, field))}
        found += [participant(role, person, period) for person in people(draft, segment, _PERSON[segment.name])] if role else []
    return found


# Where ROL and PRT hold the role, the person, and since and until when
_ROLE = {"ROL": 3, "PRT": 4}
_PERSON = {"ROL": 4, "PRT": 5}
_EDGES = {"ROL": (("start", 5), ("end", 6)), "PRT": (("start", 11), ("end", 12))}
_SPEAKS_OF = {"PID", "PD1", "PV1", "PV2", "PR1", "IN1", "ORC", "OBR", "OBX"}


def _roles(draft: Draft) -> list[tuple[Segment, str]]:
    """Each ROL or PRT of patient and visit with the segment it follows."""
    found, behind = [], ""
    for segment in draft.message:
        if segment.name in _SPEAKS_OF:
            behind = segment.name
        elif segment.name in _ROLE and behind in {"PID", "PD1", "PV1", "PV2"}:
            found.append((segment, behind))
    return found


def general_practitioners(draft: Draft) -> list[dict[str, Any]]:
    """PD1-4, PD1-3 and the family doctors among the ROL behind PID."""
    found = []
    if pd1 := draft.message.first("PD1"):
        found += [{"type": "Practitioner", **person} for person in people(draft, pd1, 4)]
        if name := pd1.value(3):
            practice: dict[str, Any] = {"type": "Organization"}
            if number := pd1.value(3, 10) or pd1.value(3, 3):
                practice["identifier"] = {"system": draft.local("practice"), "value": number}
            found.append({**practice, "display": name})
    for segment, behind in _roles(draft):
        doctor = behind in {"PID", "PD1"} and segment.value(_ROLE[segment.name]) in FAMILY_DOCTORS
        if doctor and segment.value(2).upper() not in TAKEN_BACK:
            found += [{"type": "Practitioner", **person} for person in people(draft, segment, _PERSON[segment.name])]
    return found
