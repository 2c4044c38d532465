"""HL7 v2 DG1 → Condition and Encounter.diagnosis; PR1 → Procedure; PDA → Observation (cause of death).

https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-segment-dg1-to-condition.html and -pr1-to-procedure.html
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from mappers.base import Resource
from mappers.datatypes import instant
from mappers.hl7v2.draft import Draft
from mappers.hl7v2.message import Segment
from mappers.hl7v2.types import codeable_concept, concept_by_method, number_identifier, people, positive, staff, terminology
from mappers.identity_keys import resource_id
from profiles.names import LOINC

# HL7 table 0052 (DG1-6), and the words that some sources write → diagnosis-role, condition-ver-status
DIAGNOSIS_USE = {"A": "AD", "W": "AD", "F": "DD", "ADMITTING": "AD", "WORKING": "AD", "FINAL": "DD"}
VERIFICATION = {"A": "provisional", "W": "provisional", "F": "confirmed"}
DELETED = "D"  # HL7 table 0206: this segment takes back what was said


def _subject_key(draft: Draft) -> tuple[str, ...]:
    return draft.visit_key or draft.patient_key


def _name(code: dict[str, Any]) -> str:
    return str(code["coding"][0]["code"] if "coding" in code else code["text"])


def state_conditions(draft: Draft) -> list[dict[str, Any]]:
    """DG1 → Conditions; → the entries of Encounter.diagnosis."""
    diagnoses = []
    for dg1 in draft.message.segments("DG1"):
        code = concept_by_method(draft, dg1, 3, 2, "diagnosis")
        description = dg1.value(4)
        nameless = code is None or ("coding" in code and code["text"] == code["coding"][0]["code"])
        if description and nameless:  # 2.3 had the name here, not in DG1-3
            code = {**(code or {}), "text": description}
        if code is None:
            draft.note("missing", f"{dg1.where}-3", "a diagnosis without code and text")
            continue
        condition = _condition(draft, dg1, code)
        draft.state(condition)
        if dg1.value(21) == DELETED:
            continue
        entry: dict[str, Any] = {"condition": {"reference": f"Condition/{condition['id']}"}}
        if use := DIAGNOSIS_USE.get(dg1.value(6).upper()):
            entry["use"] = terminology("diagnosis-role", use)
        if rank := positive(dg1.value(15)):
            entry["rank"] = rank
        diagnoses.append(entry)
    return diagnoses


def _condition(draft: Draft, dg1: Segment, code: dict[str, Any]) -> Resource:
    number = dg1.value(20)
    key = (draft.facility, *_subject_key(draft), _name(code))
    verification = "entered-in-error" if dg1.value(21) == DELETED else VERIFICATION.get(dg1.value(6).upper()[:1])
    stated = {
        "identifier": [number_identifier(draft, number, "diagnosis")] if number else None,
        "category": [terminology("condition-category", "encounter-diagnosis")] if draft.encounter else None,
        "code": code,
        "subject": draft.patient,
        "verificationStatus": terminology("condition-ver-status", verification) if verification else None,
        "encounter": draft.encounter,
        "recordedDate": draft.datetime(dg1, 5),
        "asserter": staff(draft, dg1, 16),
    }
    condition: Resource = {"resourceType": "Condition", "id": resource_id("Condition", *key)}
    return condition | {element: value for element, value in stated.items() if value}


PERFORMERS = {8: "anesthesiologist", 11: "surgeon", 12: "practitioner"}


def state_procedures(draft: Draft, stated_at: datetime | None) -> None:
    """PR1 → Procedure. A time before the statement's own says that it is done; without one nothing says whether it is."""
    for pr1 in draft.message.segments("PR1"):
        code = concept_by_method(draft, pr1, 3, 2, "procedure") or ({"text": pr1.value(4)} if pr1.value(4) else None)
        if code is None:
            draft.note("missing", f"{pr1.where}-3", "a procedure without code and text")
            continue
        performers = [
            {"function": {"text": role}, "actor": person}
            for field, role in PERFORMERS.items()
            for person in people(draft, pr1, field)
        ]
        key = (draft.facility, *_subject_key(draft), pr1.value(19) or _name(code), "" if pr1.value(19) else pr1.value(5))
        stated = {
            "status": _procedure_status(draft, pr1, stated_at),
            "category": codeable_concept(draft, pr1, 6, "procedure-type"),
            "code": code,
            "subject": draft.patient,
            "encounter": draft.encounter,
            **_performed(draft, pr1),
            "performer": performers,
            "reasonCode": [reason] if (reason := codeable_concept(draft, pr1, 15, "diagnosis")) else None,
        }
        procedure: Resource = {"resourceType": "Procedure", "id": resource_id("Procedure", *(part for part in key if part))}
        draft.state(procedure | {element: value for element, value in stated.items() if value})


def _procedure_status(draft: Draft, pr1: Segment, stated_at: datetime | None) -> str:
    if pr1.value(20) == DELETED:
        return "entered-in-error"
    when = instant(pr1.value(5), draft.zone) if pr1.value(5) else None
    return "completed" if when and stated_at and when <= stated_at else "unknown"


def _performed(draft: Draft, pr1: Segment) -> dict[str, Any]:
    """PR1-5, and with the minutes of PR1-7 its end."""
    when = draft.datetime(pr1, 5)
    if not when:
        return {}
    minutes = pr1.value(7)
    if "T" in when and minutes.isdecimal() and 0 < int(minutes) < 10_000:
        end = datetime.fromisoformat(when) + timedelta(minutes=int(minutes))
        return {"performedPeriod": {"start": when, "end": end.isoformat(timespec="auto")}}
    return {"performedDateTime": when}


def state_cause_of_death(draft: Draft) -> None:
    """PDA-1 → Observation: what the certificate names."""
    pda = draft.message.first("PDA")
    causes = (
        [cause for n in range(1, pda.count(1) + 1) if (cause := codeable_concept(draft, pda, 1, "diagnosis", n))] if pda else []
    )
    for number, cause in enumerate(causes, 1):
        coding = [{"system": LOINC, "code": "69453-9", "display": "Cause of death [US Standard Certificate of Death]"}]
        observation: Resource = {
            "resourceType": "Observation",
            "id": resource_id("Observation", *draft.patient_key, "cause-of-death", str(number)),
            "status": "final",
            "code": {"coding": coding, "text": "Cause of death"},
            "subject": draft.patient,
            "valueCodeableConcept": cause,
        }
        if draft.encounter:
            observation["encounter"] = draft.encounter
        draft.state(observation)
