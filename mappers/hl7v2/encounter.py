"""HL7 v2 PV1 → Encounter, DG1 → Condition, AL1 → AllergyIntolerance.

https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-segment-pv1-to-encounter.html
"""

from __future__ import annotations

from typing import Any

from mappers.base import Resource
from mappers.hl7v2.draft import Draft
from mappers.hl7v2.message import Segment
from mappers.hl7v2.types import codeable_concept, namespace, number_identifier, people, read_cx
from mappers.identity_keys import resource_id
from profiles.names import ACT_CODE

# HL7 table 0004 → v3-ActCode
ENCOUNTER_CLASS = {"E": "EMER", "I": "IMP", "O": "AMB", "P": "PRENC"}
CLASS_DISPLAY = {"EMER": "emergency", "IMP": "inpatient encounter", "AMB": "ambulatory", "PRENC": "pre-admission"}

# Trigger → Encounter.status. A trigger that is not here (A08, A31, ORU) does not say: only a shell starts with SHELL_STATUS.
STATUS_BY_TRIGGER = {
    "A01": "in-progress",
    "A02": "in-progress",
    "A03": "finished",
    "A04": "in-progress",
    "A05": "planned",
    "A06": "in-progress",
    "A07": "in-progress",
    "A11": "cancelled",
    "A12": "in-progress",
    "A13": "in-progress",
}
SHELL_STATUS = "unknown"

# PV1 field → v3-ParticipationType
PARTICIPANTS = {7: "ATND", 8: "REF", 9: "CON", 17: "ADM"}

DIAGNOSIS_USE = {"A": "AD", "W": "AD", "F": "DD"}  # HL7 table 0052 → diagnosis-role
VERIFICATION = {"A": "provisional", "W": "provisional", "F": "confirmed"}


def _class(draft: Draft, pv1: Segment) -> dict[str, Any]:
    code = pv1.value(2)
    targets = draft.context.translate(draft.local("patient-class"), code)
    mapped = targets[0]["code"] if targets else ENCOUNTER_CLASS.get(code.upper())
    if mapped:
        return {"system": ACT_CODE, "code": mapped, "display": CLASS_DISPLAY.get(mapped, mapped)}
    if not code:
        return {"system": "http://terminology.hl7.org/CodeSystem/v3-NullFlavor", "code": "UNK"}
    draft.note("unmapped-code", f"{pv1.where}-2", system=draft.local("patient-class"), value=code[:64])
    return {"system": draft.local("patient-class"), "code": code}


def visit_key(draft: Draft, pv1: Segment) -> tuple[str, ...]:
    """PV1-19; else patient and admission time, which a later message of the same visit repeats. () when there is neither."""
    number = read_cx(pv1, 19)
    if number.value:
        return namespace(draft, number.authority), number.value
    if admitted := pv1.value(44):
        return (*draft.patient_key, admitted)
    return ()


def _location(draft: Draft, pv1: Segment) -> list[dict[str, Any]]:
    ward, room, bed = (pv1.value(3, place) for place in (1, 2, 3))
    name = " ".join(part for part in (ward, room, bed) if part)
    if not name:
        return []
    return [{"location": {"identifier": {"system": draft.local("location"), "value": name}, "display": name}}]


def _adt_trigger(draft: Draft) -> str:
    return draft.trigger if draft.mode == "patch" else ""


def _period(draft: Draft, pv1: Segment) -> dict[str, str | None]:
    """What the message says of either edge: an A03 need not repeat PV1-44. A null stands for an end that is no more."""
    said = {"start": draft.datetime(pv1, 44), "end": draft.datetime(pv1, 45)}
    period: dict[str, str | None] = {edge: value for edge, value in said.items() if value}
    if _adt_trigger(draft) == "A13" or (draft.mode == "patch" and pv1.deleted(45)):  # a discharge taken back
        period["end"] = None
    return period


def encounter_from_pv1(draft: Draft, pv1: Segment, key: tuple[str, ...]) -> Resource:
    """What the PV1 states of the visit, without a status that the trigger does not say."""
    encounter: Resource = {"resourceType": "Encounter", "id": resource_id("Encounter", *key)}
    if number := pv1.value(19):
        encounter["identifier"] = [number_identifier(draft, number, "visit", "VN", key[0])]
    if status := STATUS_BY_TRIGGER.get(_adt_trigger(draft)):
        encounter["status"] = status
    encounter["class"] = _class(draft, pv1)
    encounter["subject"] = draft.patient
    participants = [
        {
            "type": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": role}]}],
            "individual": person,
        }
        for field, role in PARTICIPANTS.items()
        for person in people(draft, pv1, field)
    ]
    stated = {"participant": participants, "period": _period(draft, pv1), "location": _location(draft, pv1)}
    encounter |= {element: value for element, value in stated.items() if value}
    if service := codeable_concept(draft, pv1, 10, "service"):
        encounter["serviceType"] = service
    if disposition := codeable_concept(draft, pv1, 36, "discharge-disposition"):
        encounter["hospitalization"] = {"dischargeDisposition": disposition}
    encounter["serviceProvider"] = draft.organization
    return encounter


def state_encounter(draft: Draft) -> None:
    """Add the visit if the message has one. A shell by `fill` gives it a status until a message states one."""
    pv1 = draft.message.first("PV1")
    if pv1 is None or not any(pv1.has(number) for number in range(2, len(pv1) + 1)) or pv1.value(2) == "N":
        return
    key = visit_key(draft, pv1)
    if not key:
        draft.note("missing", f"{pv1.where}-19", "neither a visit number nor an admission time: no Encounter")
        return
    if not pv1.value(19):
        draft.note("missing", f"{pv1.where}-19", "no visit number; patient and admission time identify the visit", "information")
    encounter = encounter_from_pv1(draft, pv1, key)
    draft.visit_key = key
    draft.encounter = {"reference": f"Encounter/{encounter['id']}"}
    diagnoses = state_conditions(draft) if draft.mode == "patch" else []
    if diagnoses:
        encounter["diagnosis"] = diagnoses
    if draft.mode == "patch" and "status" not in encounter:
        ended = bool(encounter.get("period", {}).get("end"))
        shell = {**encounter, "status": "finished" if ended else "in-progress"}
        draft.state(shell, "fill")
    elif "status" not in encounter:
        encounter["status"] = SHELL_STATUS
    draft.state(encounter, draft.mode)


def state_conditions(draft: Draft) -> list[dict[str, Any]]:
    """DG1 → Conditions; → the entries of Encounter.diagnosis."""
    diagnoses = []
    for dg1 in draft.message.segments("DG1"):
        code = codeable_concept(draft, dg1, 3, "diagnosis")
        description = dg1.value(4)
        if code is None and description:
            code = {"text": description}
        if code is None:
            draft.note("missing", f"{dg1.where}-3", "a diagnosis without code and text")
            continue
        name = code["coding"][0]["code"] if "coding" in code else code["text"]
        condition: Resource = {
            "resourceType": "Condition",
            "id": resource_id("Condition", draft.facility, *(draft.visit_key or draft.patient_key), name),
            "category": [_category("condition-category", "encounter-diagnosis")],
            "code": code,
            "subject": draft.patient,
        }
        kind = dg1.value(6).upper()
        if kind in VERIFICATION:
            condition["verificationStatus"] = _category("condition-ver-status", VERIFICATION[kind])
        if draft.encounter:
            condition["encounter"] = draft.encounter
        if when := draft.datetime(dg1, 5):
            condition["recordedDate"] = when
        draft.state(condition)
        entry: dict[str, Any] = {"condition": {"reference": f"Condition/{condition['id']}"}}
        if kind in DIAGNOSIS_USE:
            entry["use"] = _category("diagnosis-role", DIAGNOSIS_USE[kind])
        if (rank := dg1.value(15)).isdecimal() and int(rank) > 0:
            entry["rank"] = int(rank)
        diagnoses.append(entry)
    return diagnoses


def _category(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": f"http://terminology.hl7.org/CodeSystem/{system}", "code": code}]}


# HL7 table 0127 → AllergyIntolerance.category; table 0128 → criticality
ALLERGY_CATEGORY = {
    "DA": "medication",
    "FA": "food",
    "EA": "environment",
    "AA": "environment",
    "PA": "environment",
    "LA": "environment",
}
CRITICALITY = {"SV": "high", "MO": "low", "MI": "low", "U": "unable-to-assess"}


def state_allergies(draft: Draft) -> None:
    """AL1 → AllergyIntolerance, one a patient and substance."""
    for al1 in draft.message.segments("AL1"):
        code = codeable_concept(draft, al1, 3, "allergen")
        if code is None:
            draft.note("missing", f"{al1.where}-3", "an allergy without a substance")
            continue
        name = code["coding"][0]["code"] if "coding" in code else code["text"]
        allergy: Resource = {
            "resourceType": "AllergyIntolerance",
            "id": resource_id("AllergyIntolerance", *draft.patient_key, name),
            "clinicalStatus": _category("allergyintolerance-clinical", "active"),
        }
        kind = al1.value(2).upper()
        if kind in ALLERGY_CATEGORY:
            allergy["category"] = [ALLERGY_CATEGORY[kind]]
        if criticality := CRITICALITY.get(al1.value(4).upper()):
            allergy["criticality"] = criticality
        allergy |= {"code": code, "patient": draft.patient}
        if when := draft.datetime(al1, 6):
            allergy["onsetDateTime"] = when
        reactions = [text for n in range(1, al1.count(5) + 1) if (text := al1.value(5, 1, 1, n))]
        if reactions:
            allergy["reaction"] = [{"manifestation": [{"text": text} for text in reactions]}]
        draft.state(allergy)
