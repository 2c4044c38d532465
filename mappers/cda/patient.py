"""recordTarget → Patient. Several ids whose meaning is their root's; empty ids are common; an age is never a birth date."""

from __future__ import annotations

from typing import Any

from connectors.xml import Element
from mappers.base import CannotMap, Change, Resource
from mappers.cda.codes import (
    CN,
    EHR_ROOT,
    GENDER,
    GENDER_WORDS,
    HEALTH_CARD_ROOT,
    ID_CARD_ROOT,
    INSURANCE_ROOT,
    MARITAL,
    MARITAL_WORDS,
    NOT_A_PATIENT,
    NUMBER_ROOTS,
    PATIENT_ROOTS,
    SSN_ROOT,
    VISIT_NUMBERS,
)
from mappers.cda.document import Document
from mappers.cda.reader import Id, attribute, child, children, ids, local, text_of
from mappers.datatypes import fhir_date, id_birth_date, identifiers_from_id_number, valid_id_number
from mappers.identity_keys import local_system
from profiles.names import ETHNIC_GROUP, GENDER_CN, HEALTH_CARD, ID_CARD, IDENTIFIER_TYPE, SOURCE_GENDER

MARITAL_STATUS = "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus"
NULL_FLAVOR = "http://terminology.hl7.org/CodeSystem/v3-NullFlavor"
ADDRESS_ORDER = ("country", "state", "city", "county", "township", "streetName", "streetAddressLine", "houseNumber")
CONTACT_CLASSES = frozenset({"ECON", "CON", "NOK", "GUARD"})


def _patient_number(document: Document, found: list[Id]) -> tuple[str, Id] | None:
    """The namespace and the number that identify the patient at this facility."""
    own_roots = (*filter(None, (document.record.hints.get("patient_root"),)), *PATIENT_ROOTS)
    for root in own_roots:
        for number in found:
            if number.root == root and number.extension:
                return document.facility, number
    for root, _ in NUMBER_ROOTS.items():
        for number in found:
            if number.root == root and number.extension:
                return f"{document.facility}:{root}", number
    others = [number for number in found if number.root not in NOT_A_PATIENT and not number.root.startswith(f"{CN}.1.")]
    others.sort(key=lambda number: number.root == SSN_ROOT)  # a national number last: it may be shared or left over
    return (f"{document.facility}:{others[0].root}", others[0]) if others else None


def _identifier(document: Document, number: Id, own: Id | None) -> list[dict[str, Any]]:
    if number == own and number.root not in NUMBER_ROOTS and number.root.startswith((CN, "1.2.156.112635")):
        system, kind = local_system(document.facility, "patient"), "MR"
    elif own and own.root in PATIENT_ROOTS and number.root in VISIT_NUMBERS:
        return []  # where the patient has a number, an out- or inpatient number is the visit's
    elif number.root in NUMBER_ROOTS:
        system, kind = local_system(document.facility, NUMBER_ROOTS[number.root]), "MR"
    elif number.root == HEALTH_CARD_ROOT:
        system, kind = HEALTH_CARD, "HC"
    elif number.root in (EHR_ROOT, INSURANCE_ROOT):
        system, kind = document.uri(number.root), ""
    elif number.root in NOT_A_PATIENT or number.root.startswith((f"{CN}.1.", "1.2.156.112635")):
        return []
    else:
        system, kind = document.uri(number.root), "SS" if number.root == SSN_ROOT else "MR"
    value = number.extension or "urn:oid:" + number.root
    coded = {"type": {"coding": [{"system": IDENTIFIER_TYPE, "code": kind}]}} if kind else {}
    return [{**coded, "system": system if number.extension else "urn:ietf:rfc:3986", "value": value}]


def state_patient(document: Document) -> None:
    role = child(document.root, "recordTarget", "patientRole")
    person = child(role, "patient")
    found = ids(role)
    cards = [number.extension for number in (*ids(person), *found) if number.root == ID_CARD_ROOT and number.extension]
    own = _patient_number(document, found)
    card = next((valid for text in cards if (valid := valid_id_number(text))), "")
    if own:
        document.patient_key = (own[0], own[1].extension or own[1].root)
    elif card:
        document.patient_key = (f"{document.facility}:{ID_CARD}", card)
        document.note("missing", "patientRole/id", "no local number; the ID card number identifies the patient")
    else:
        raise CannotMap("recordTarget/patientRole: no id that identifies the patient, and no valid ID card number")
    identifiers = [entry for number in dict.fromkeys(found) for entry in _identifier(document, number, own and own[1])]
    for text in dict.fromkeys(cards):
        identifiers += identifiers_from_id_number(text, facility=document.facility, where="patient/id", issues=document.issues)
    patient: Resource = {"resourceType": "Patient", "id": document.patient_id, "identifier": identifiers}
    patient |= _name(child(person, "name")) | _gender(document, child(person, "administrativeGenderCode"))
    patient |= _birth(document, attribute(child(person, "birthTime"), "value"), card)
    patient |= _telecom(role) | _address(child(role, "addr"))
    patient |= _marital(document, child(person, "maritalStatusCode")) | _contacts(document.root) | _languages(person)
    patient["managingOrganization"] = document.organization
    _ethnic_group(document, patient, child(person, "ethnicGroupCode"))
    document.patient_resource = patient
    document.changes.append(Change(patient, "fill"))


def _marital(document: Document, element: Element | None) -> dict[str, Any]:
    """Two digits are GB/T 2261.2; a single one may be anything, so then the name says."""
    code, name = attribute(element, "code"), attribute(element, "displayName")
    known = MARITAL.get(code) or (code if code in ("S", "M", "W", "D") else "") or MARITAL_WORDS.get(name, "")
    if not known:
        if code or name:
            document.note("unmapped-code", "maritalStatusCode", system=attribute(element, "codeSystem"), value=code[:32])
        return {}
    system = NULL_FLAVOR if known == "UNK" else MARITAL_STATUS
    return {"maritalStatus": {"coding": [{"system": system, "code": known}], **({"text": name} if name else {})}}


def _ethnic_group(document: Document, patient: Resource, element: Element | None) -> None:
    code, name = attribute(element, "code"), attribute(element, "displayName")
    system = attribute(element, "codeSystem")
    if code and system.startswith(CN):
        stated = {"system": document.uri(system), "code": code, **({"display": name} if name else {})}
        concept = {"coding": [stated], "text": name or code}
        patient.setdefault("extension", []).append({"url": ETHNIC_GROUP, "valueCodeableConcept": concept})
        document.use("Patient.extension", element)


def _contacts(root: Element) -> dict[str, Any]:
    """Whom to call: participants that are the patient's contact."""
    found = []
    participants = [child(e, "associatedEntity") for e in children(root, "participant") if is_contact(e)]
    guardians = children(child(root, "recordTarget", "patientRole", "patient"), "guardian")
    for entity in (*participants, *guardians):
        name = human_name(child(entity, "associatedPerson", "name")) or human_name(child(entity, "guardianPerson", "name"))
        relationship = attribute(child(entity, "code"), "displayName")
        contact = ({"name": name} if name else {}) | _telecom(entity)
        if contact:
            found.append(contact | ({"relationship": [{"text": relationship}]} if relationship else {}))
    return {"contact": found} if found else {}


def _languages(person: Element | None) -> dict[str, Any]:
    """languageCommunication → communication; a document's zh-CN is BCP 47 already."""
    codes = [attribute(child(e, "languageCode"), "code") for e in children(person, "languageCommunication")]
    found = [{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": code}]}} for code in dict.fromkeys(codes) if code]
    return {"communication": found} if found else {}


def is_contact(participant: Element) -> bool:
    kind = attribute(child(participant, "associatedEntity"), "classCode")
    return kind in CONTACT_CLASSES or attribute(participant, "typeCode") == "NOT"


def human_name(element: Element | None) -> dict[str, Any] | None:
    """The whole name as text; its parts only where the document has them apart."""
    if element is None:
        return None
    given = [text for part in children(element, "given") if (text := text_of(part))]
    family = text_of(child(element, "family"))
    text = " ".join((*given, family)).strip() if given or family else text_of(element)
    if not text:
        return None
    parts = ({"family": family} if family else {}) | ({"given": given} if given else {})
    return {"text": text, **parts}


def _name(element: Element | None) -> dict[str, Any]:
    name = human_name(element)
    return {"name": [{"use": "official", **name}]} if name else {}


def _gender(document: Document, element: Element | None) -> dict[str, Any]:
    code, display = attribute(element, "code"), attribute(element, "displayName")
    gender = GENDER.get(code) or GENDER_WORDS.get(display)
    if code and not gender:
        document.note("unmapped-code", "administrativeGenderCode", system=attribute(element, "codeSystem"), value=code[:32])
    if GENDER.get(code) and display in GENDER_WORDS and GENDER_WORDS[display] != GENDER[code]:
        document.note("conflict", "administrativeGenderCode", "code and name contradict each other; neither is taken")
        gender = None
    result: dict[str, Any] = {"gender": gender} if gender else {}
    if code in {"0", "1", "2", "9"}:
        result["extension"] = [{"url": SOURCE_GENDER, "valueCoding": {"system": GENDER_CN, "code": code}}]
    return result


def _birth(document: Document, stated: str, card: str) -> dict[str, str]:
    born = fhir_date(stated) if stated else None
    if stated and not born:
        document.note("invalid-value", "patient/birthTime", "not a date")
    if born and card and len(born) == 10 and born != id_birth_date(card):
        document.note("conflict", "patient/birthTime", "differs from the date in the ID card number")
    return {"birthDate": born} if born else {}


def _telecom(role: Element | None) -> dict[str, Any]:
    found = []
    for telecom in children(role, "telecom"):
        value = attribute(telecom, "value")
        scheme, _, rest = value.partition(":")
        if value and not attribute(telecom, "nullFlavor"):
            system = {"mailto": "email", "tel": "phone", "fax": "fax"}.get(scheme.lower(), "phone")
            found.append({"system": system, "value": rest if scheme.lower() in ("mailto", "tel", "fax") else value})
    return {"telecom": found} if found else {}


def _address(element: Element | None) -> dict[str, Any]:
    if element is None:
        return {}
    parts = [(local(part), text) for part in element if local(part) != "postalCode" and (text := text_of(part))]
    if any("一" <= c <= "鿿" for _, text in parts for c in text):  # written from the house up, read from the province down
        parts.sort(key=lambda part: ADDRESS_ORDER.index(part[0]) if part[0] in ADDRESS_ORDER else len(ADDRESS_ORDER))
        joined = "".join(text for _, text in parts)
    else:
        joined = ", ".join(text for _, text in parts)
    text = joined or text_of(element)
    return {"address": [{"text": text}]} if text else {}
