"""encounterEvent (PRPA_IN400001UV add, 400002 update, 400003 discharge) → Encounter, and its diagnoses → Condition."""

from __future__ import annotations

from typing import Any

from connectors.xml import Element, attribute, child
from mappers.base import CannotMap, Resource
from mappers.hl7v3.patient import state_patient
from mappers.hl7v3.reader import (
    BED,
    DEPARTMENT,
    INPATIENT,
    OUTPATIENT,
    ROOM,
    VISIT,
    WARD,
    Message,
    below,
    items,
    subject_of,
)
from mappers.identity_keys import resource_id
from profiles.names import ACT_CODE

CLASS = {"1": "AMB", "2": "EMER", "3": "IMP", "9": "AMB"}  # 患者类型代码 → v3-ActCode
NUMBERS = {VISIT: "visit", INPATIENT: "inpatient", OUTPATIENT: "outpatient"}  # in order of what they tell
PARTS = {DEPARTMENT: "department", WARD: "ward", ROOM: "room", BED: "bed"}
PHYSICAL = "http://terminology.hl7.org/CodeSystem/location-physical-type"
DISCHARGED = ("PRPA_IN400003", "DischargeInfoAdd")
IDENTIFIER_TYPE = "http://terminology.hl7.org/CodeSystem/v2-0203"
PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
CATEGORY = "http://terminology.hl7.org/CodeSystem/condition-category"


def map_visit(message: Message) -> None:
    state_visit(message, subject_of(message, "encounterEvent"), ended=_discharges(message))


def _discharges(message: Message) -> bool:
    interaction = attribute(child(message.root, "interactionId"), "extension").strip()
    return interaction.startswith(DISCHARGED) or message.record.kind.endswith(DISCHARGED)


def state_visit(message: Message, event: Element | None, *, ended: bool) -> None:
    patient = state_patient(message, child(event, "subject", "patient"), "fill")
    numbers = message.numbers(event, to="Encounter.identifier")
    number = next((numbers[root] for root in NUMBERS if numbers.get(root)), "")
    if not number:
        raise CannotMap("the visit has no number")
    encounter: Resource = {"resourceType": "Encounter", "id": resource_id("Encounter", message.facility, number)}
    encounter["identifier"] = [_identifier(message, root, numbers[root]) for root in NUMBERS if numbers.get(root)]
    encounter["status"] = "finished" if ended else "in-progress"
    encounter["class"] = _class(message, event)
    encounter["subject"] = patient
    period = {
        name: when for name, end in (("start", "low"), ("end", "high"))
        if (when := message.datetime(event, "effectiveTime", end, to="Encounter.period"))
    }  # fmt: skip
    if period:
        encounter["period"] = period
        if "end" in period:
            encounter["status"] = "finished"
    if reasons := [
        text
        for each in items(child(event, "reasonCode"))
        if (text := message.value(each, "originalText", to="Encounter.reasonCode"))
    ]:
        encounter["reasonCode"] = [{"text": text} for text in reasons]
    if doctor := message.staff(child(event, "admitter", "assignedPerson"), to="Encounter.participant"):
        encounter["participant"] = [{"type": [{"coding": [{"system": PARTICIPATION, "code": "ADM"}]}], "individual": doctor}]
    _place(message, event, encounter)
    encounter["serviceProvider"] = message.organization
    reference = {"reference": f"Encounter/{encounter['id']}"}
    if diagnoses := _diagnoses(message, event, patient, reference, number):
        encounter["diagnosis"] = [{"condition": {"reference": f"Condition/{id}"}} for id in diagnoses]
    message.state(encounter, "patch")


def mentioned(message: Message, event: Element | None) -> tuple[dict[str, str], dict[str, Any] | None]:
    """Of a visit that a request names: → references to the patient and to the visit.

    By the number of an out- or inpatient alone the visit is not certain: then the reference holds the number and no more.
    """
    patient = state_patient(message, child(event, "subject", "patient"), "fill")
    numbers = message.numbers(event, to="Encounter.identifier")
    message.code(event, "code", to="Encounter.class")
    if number := numbers.get(VISIT):
        return patient, {"reference": f"Encounter/{resource_id('Encounter', message.facility, number)}"}
    root = next((each for each in NUMBERS if numbers.get(each)), "")
    return patient, {"type": "Encounter", "identifier": _identifier(message, root, numbers[root])} if root else None


def _identifier(message: Message, root: str, number: str) -> dict[str, Any]:
    kind = {"type": {"coding": [{"system": IDENTIFIER_TYPE, "code": "VN"}]}} if root == VISIT else {}
    return {**kind, "system": message.local(NUMBERS[root]), "value": number}


def _class(message: Message, event: Element | None) -> dict[str, Any]:
    element = child(event, "code")
    message.code(element, to="Encounter.class")
    code = CLASS.get(attribute(element, "code"))
    if code is None:
        message.note("unmapped-code", "encounterEvent/code", "no class of a visit", value=attribute(element, "code")[:16])
        return {"system": "http://terminology.hl7.org/CodeSystem/v3-NullFlavor", "code": "UNK"}
    return {"system": ACT_CODE, "code": code}


def _place(message: Message, event: Element | None, encounter: Resource) -> None:
    """Department, ward, room, bed by their names; empty ids are common, so no Location is made of them."""
    found: dict[str, str] = {}
    for place in below(child(event, "location"), "id"):
        for item in items(place):
            kind = PARTS.get(attribute(item, "root"))
            if kind:
                parent = place.getparent()
                name = message.name(parent, to="Encounter.location") or attribute(item, "extension")
                message.used[item] = "Encounter.location"
                found.setdefault(kind, name)
    if department := found.pop("department", ""):
        encounter["serviceType"] = {"text": department}
    if text := " ".join(found[kind] for kind in ("ward", "room", "bed") if found.get(kind)):
        status = "completed" if encounter["status"] == "finished" else "active"
        encounter["location"] = [{"location": {"display": text}, "status": status}]


def _diagnoses(message: Message, event: Element | None, patient: dict[str, str], visit: dict[str, str], number: str) -> list[str]:
    """→ the ids of the Conditions."""
    found: list[str] = []
    for dx in below(event, "observationDx"):
        concept = message.code(dx, "value", to="Condition.code")
        if concept is None:
            continue
        key = attribute(child(dx, "value"), "code") or concept["text"]
        condition: Resource = {
            "resourceType": "Condition",
            "id": resource_id("Condition", message.facility, number, key),
            "category": [{"coding": [{"system": CATEGORY, "code": "encounter-diagnosis"}]}],
            "code": concept,
            "subject": patient,
            "encounter": visit,
        }
        if when := message.datetime(dx, "effectiveTime", "any", to="Condition.recordedDate"):
            condition["recordedDate"] = when
        if doctor := message.staff(child(dx, "author", "assignedEntity"), to="Condition.asserter"):
            condition["asserter"] = doctor
        message.state(condition)
        found.append(condition["id"])
    return list(dict.fromkeys(found))
