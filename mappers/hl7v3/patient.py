"""patient (PRPA_IN201311UV02, 201314UV02, 201304UV02, and within visits and orders) → Patient.

A registration and an update state elements (patch); a visit or an order mentions them (fill).
"""

from __future__ import annotations

from typing import Any

from connectors.xml import Element, attribute, child, children
from mappers.base import CannotMap, Resource
from mappers.datatypes import identifiers_from_id_number
from mappers.hl7v3.reader import EHR, HEALTH_CARD, ID_CARD, INSURANCE, PATIENT, Message, items, patient_reference, subject_of
from mappers.identity_keys import resource_id
from profiles.names import ETHNIC_GROUP, GENDER_CN, SOURCE_GENDER
from profiles.names import HEALTH_CARD as HEALTH_CARD_SYSTEM

IDENTIFIER_TYPE = "http://terminology.hl7.org/CodeSystem/v2-0203"
GENDER = {"0": "unknown", "1": "male", "2": "female", "9": "unknown", "M": "male", "F": "female"}  # GB/T 2261.1, and HL7's
MARITAL = {"10": "S", "20": "M", "21": "M", "22": "M", "23": "M", "30": "W", "40": "D"}  # GB/T 2261.2 → v3-MaritalStatus
MARITAL_STATUS = "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus"
KINDS = {EHR: "health-record", INSURANCE: "insurance"}  # numbers of a person that are not the facility's patient number
# ADXP part types: the whole as text, then the parts that an Address has
ADDRESS = {"STA": "state", "CTY": "city", "CNT": "district", "ZIP": "postalCode"}
LINES = ("STB", "STR", "BNR")


def map_registration(message: Message) -> None:
    """A registration or an update is of one patient, the answer to a query of as many as there are."""
    found = 0
    for subject in children(child(message.root, "controlActProcess"), "subject"):
        for kind in ("registrationRequest", "registrationEvent"):
            patient = child(subject, kind, "subject1", "patient")
            if patient is not None:
                state_patient(message, patient, "patch")
                found += 1
    if not found:
        raise CannotMap("the message has no registration of a patient")


def map_merge(message: Message) -> None:
    """subject1 survives, replacementOf is merged into it: inactive, replaced by the survivor."""
    event = subject_of(message, "registrationEvent")
    survivor = state_patient(message, child(event, "subject1", "patient"), "patch")
    prior = child(event, "replacementOf", "priorRegistration", "subject1", "priorRegisteredRole")
    number = message.numbers(prior, to="Patient.link").get(PATIENT, "")
    if not number:
        raise CannotMap("the message names no patient to merge")
    merged = patient_reference(message, number)
    if merged == survivor:
        raise CannotMap("a patient is not merged with itself")
    link = {"other": merged, "type": "replaces"}
    message.state({"resourceType": "Patient", "id": _id(survivor), "link": [link]}, "patch")
    link = {"other": survivor, "type": "replaced-by"}
    message.state({"resourceType": "Patient", "id": _id(merged), "active": False, "link": [link]}, "patch")
    shell = {"resourceType": "Patient", "id": _id(merged), "identifier": [_own(message, number)]}
    message.state({**shell, "managingOrganization": message.organization}, "fill")


def _id(reference: dict[str, str]) -> str:
    return reference["reference"].removeprefix("Patient/")


def state_patient(message: Message, role: Element | None, mode: str) -> dict[str, str]:
    """→ reference. Raise CannotMap where no number names the patient."""
    number = message.numbers(role, to="Patient.identifier").get(PATIENT, "")
    if not number:
        raise CannotMap(f"no patient number: patient/id has no item of root {PATIENT}")
    person = child(role, "patientPerson")
    patient: Resource = {"resourceType": "Patient", "id": resource_id("Patient", message.facility, number)}
    patient["identifier"] = [_own(message, number), *_others(message, person)]
    if name := message.name(person, to="Patient.name"):
        patient["name"] = [{"use": "official", "text": name}]
    if phones := [text for each in items(child(person, "telecom")) if (text := message.value(each, to="Patient.telecom"))]:
        patient["telecom"] = [{"system": "phone", "value": text.removeprefix("tel:")} for text in phones]
    _gender(message, person, patient)
    group = message.code(child(person, "ethnicGroupCode", "item"), to="Patient.extension")
    if group is not None and "coding" in group:
        patient.setdefault("extension", []).append({"url": ETHNIC_GROUP, "valueCodeableConcept": group})
    if born := message.date(person, "birthTime", to="Patient.birthDate"):
        patient["birthDate"] = born
    if homes := [made for each in items(child(person, "addr")) if (made := _address(message, each))]:
        patient["address"] = homes
    if status := _marital(message, person):
        patient["maritalStatus"] = status
    if contacts := [made for each in children(person, "personalRelationship") if (made := _contact(message, each))]:
        patient["contact"] = contacts
    patient["managingOrganization"] = message.organization
    message.state(patient, mode)
    return {"reference": f"Patient/{patient['id']}"}


def _own(message: Message, number: str) -> dict[str, Any]:
    kind = {"coding": [{"system": IDENTIFIER_TYPE, "code": "MR"}]}
    return {"type": kind, "system": message.local("patient"), "value": number}


def _others(message: Message, person: Element | None) -> list[dict[str, Any]]:
    numbers = message.numbers(person, to="Patient.identifier")
    for other in children(person, "asOtherIDs"):
        numbers |= message.numbers(other, to="Patient.identifier")
    found = identifiers_from_id_number(
        numbers.get(ID_CARD, ""), facility=message.facility, where="patientPerson/id", issues=message.issues
    )
    if card := numbers.get(HEALTH_CARD):
        found.append({"system": HEALTH_CARD_SYSTEM, "value": card})
    return found + [{"system": message.local(KINDS[root]), "value": number} for root, number in numbers.items() if root in KINDS]


def _gender(message: Message, person: Element | None, patient: Resource) -> None:
    element = child(person, "administrativeGenderCode")
    concept = message.code(element, to="Patient.gender")
    code = attribute(element, "code")
    if concept is None or not code:
        return
    gender = GENDER.get(code.upper())
    if gender:
        patient["gender"] = gender
    else:
        message.note("unmapped-code", "administrativeGenderCode", "not in GB/T 2261.1", system=GENDER_CN, value=code[:16])
    patient["extension"] = [{"url": SOURCE_GENDER, "valueCoding": {"system": GENDER_CN, "code": code}}]


def _marital(message: Message, person: Element | None) -> dict[str, Any] | None:
    concept = message.code(person, "maritalStatusCode", to="Patient.maritalStatus")
    code = MARITAL.get(attribute(child(person, "maritalStatusCode"), "code"))
    if concept is not None and code is not None:
        concept["coding"] = [*concept.get("coding", ()), {"system": MARITAL_STATUS, "code": code}]
    return concept


def _address(message: Message, item: Element) -> dict[str, Any] | None:
    stated = {attribute(part, "type") or "AL": message.value(part, to="Patient.address") for part in children(item, "part")}
    stated = {name: text for name, text in stated.items() if text}
    whole = next((stated[name] for name in ("SAL", "AL") if name in stated), "")
    text = whole or "".join(stated.get(name, "") for name in ("STA", "CTY", "CNT", *LINES))
    if not text:
        return None
    made: dict[str, Any] = {"use": "home", "text": text}
    made |= {ADDRESS[name]: value for name, value in stated.items() if name in ADDRESS}
    if lines := ["".join(stated[name] for name in LINES if name in stated)] if any(name in stated for name in LINES) else []:
        made["line"] = lines
    return made


def _contact(message: Message, relation: Element) -> dict[str, Any] | None:
    name = message.name(relation, "relationshipHolder1", to="Patient.contact")
    phones = [text for each in items(child(relation, "telecom")) if (text := message.value(each, to="Patient.contact"))]
    if not name and not phones:
        return None
    contact: dict[str, Any] = {"name": {"text": name}} if name else {}
    if concept := message.code(relation, "code", to="Patient.contact"):
        contact["relationship"] = [concept]
    return {**contact, **({"telecom": [{"system": "phone", "value": each} for each in phones]} if phones else {})}
