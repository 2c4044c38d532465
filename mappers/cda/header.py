"""The CDA header → who, where, when and which document: Patient, Encounter and what Composition and DocumentReference share.

Handbook 5.2: a patientRole has several ids whose meaning is their root's; empty ids are common; age is never a birth date.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any

from connectors.base import SourceRecord
from mappers.base import CannotMap, Change, Issue, MappingContext, Resource
from mappers.cda.codes import (
    BED_ROOT,
    CN,
    DEPARTMENT_ROOT,
    DOCUMENT_CLASS,
    DOCUMENT_NAMES,
    EHR_ROOT,
    GENDER,
    GENDER_WORDS,
    HEALTH_CARD_ROOT,
    ID_CARD_ROOT,
    INSURANCE_ROOT,
    NOT_A_PATIENT,
    NOT_A_VISIT,
    NUMBER_ROOTS,
    PATIENT_CLASS,
    PATIENT_ROOTS,
    ROOM_ROOT,
    SSN_ROOT,
    TEMPLATE_ROOT,
    VISIT_NUMBERS,
    VISIT_ROOTS,
    WARD_ROOT,
    system_uri,
)
from mappers.cda.reader import Element, Id, attribute, below, child, children, id_of, ids, local, text_of
from mappers.datatypes import fhir_date, fhir_datetime, id_birth_date, identifiers_from_id_number, instant, valid_id_number
from mappers.identity_keys import local_system, organization_id, resource_id
from profiles.names import ACT_CODE, GENDER_CN, HEALTH_CARD, ID_CARD, IDENTIFIER_TYPE, SOURCE_GENDER


@dataclass(slots=True)
class Document:
    """One document on its way to FHIR."""

    root: Element
    record: SourceRecord
    context: MappingContext
    facility: str
    issues: list[Issue] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    code: str = ""  # C00nn; "" for a document of another family
    key: tuple[str, ...] = ()
    patient_key: tuple[str, str] = ("", "")  # namespace and number
    encounter: Resource | None = None
    entries: dict[Element, list[dict[str, str]]] = field(default_factory=dict)  # section → the resources its entries became
    used: set[Element] = field(default_factory=set)  # observations that became part of a resource

    @property
    def patient_id(self) -> str:
        return resource_id("Patient", *self.patient_key)

    @property
    def patient(self) -> dict[str, str]:
        return {"reference": f"Patient/{self.patient_id}"}

    @property
    def organization(self) -> dict[str, str]:
        return {"reference": f"Organization/{organization_id(self.facility)}"}

    @property
    def encounter_reference(self) -> dict[str, str] | None:
        return {"reference": f"Encounter/{self.encounter['id']}"} if self.encounter else None

    @property
    def withdrawn(self) -> bool:
        """One vendor states add, change and delete as version 0, 1 and -1."""
        return attribute(child(self.root, "versionNumber"), "value") == "-1"

    def note(self, code: str, where: str, detail: str = "", **more: str) -> None:
        self.issues.append(Issue(code, where, detail, **more))  # type: ignore[arg-type]

    def link(self, element: Element, resource: Resource) -> None:
        """The resource is an entry of the section that its element stands in."""
        section = next((e for e in element.iterancestors() if local(e) == "section"), None)
        if section is not None:
            reference = {"reference": f"{resource['resourceType']}/{resource['id']}"}
            self.entries.setdefault(section, []).append(reference)

    def time(self, text: str) -> str | None:
        return fhir_datetime(text, self.context.zone) if text else None

    def id(self, resource_type: str, *more: str) -> str:
        """The id of a resource that only this document states."""
        return resource_id(resource_type, self.facility, *self.key, *more)

    def uri(self, root: str) -> str:
        return system_uri(root, self.facility)


def open_document(root: Element, record: SourceRecord, context: MappingContext) -> Document:
    custodian = child(root, "custodian", "assignedCustodian", "representedCustodianOrganization")
    facility = record.facility or next((found.extension for found in ids(custodian) if found.extension), "")
    if not facility:
        raise CannotMap("neither the channel nor the document's custodian states a facility")
    document = Document(root, record, context, facility)
    document.code = _document_code(document)
    _state_patient(document)
    document.key = _document_key(document)
    _state_encounter(document)
    return document


def _document_code(document: Document) -> str:
    """C00nn by code; by template only where no code is stated, for vendors give several types one template."""
    stated = attribute(child(document.root, "code"), "code")
    by_template = ""
    for template in children(document.root, "templateId"):
        number = attribute(template, "root").removeprefix(TEMPLATE_ROOT)
        if number.isdecimal() and f"C{int(number) - 20:04}" in DOCUMENT_NAMES:
            by_template = f"C{int(number) - 20:04}"
    if stated in DOCUMENT_NAMES:
        if by_template and by_template != stated:
            document.note(
                "conflict", "ClinicalDocument/templateId", f"template of {by_template} under code {stated}; the code counts"
            )
        return stated
    if stated or not by_template:
        return ""
    title = text_of(child(document.root, "title")).replace("（", "(").replace("）", ")")
    code = next((code for code, name in DOCUMENT_NAMES.items() if name == title), by_template)
    document.note("missing", "ClinicalDocument/code", f"no document type; read as {code} by its template and title")
    return code


def type_key(document: Document) -> str:
    return document.code or attribute(child(document.root, "code"), "code") or "-"


def _document_key(document: Document) -> tuple[str, ...]:
    """What stays the same through a document's corrections.

    A set is one only within its document type and patient, and only with a root and a version: systems write one setId into
    every document they make. Else the id, which many systems count for each type anew; else the bytes themselves.
    """
    own_set, version = id_of(child(document.root, "setId")), attribute(child(document.root, "versionNumber"), "value")
    if own_set and own_set.root and version.isdecimal() and int(version) > 0:
        return ("set", own_set.text, type_key(document), document.patient_id)
    if own := id_of(child(document.root, "id")):
        return ("id", own.text, type_key(document))
    document.note("missing", "ClinicalDocument/id", "no id: the document is known by its bytes alone", severity="information")
    return ("sha256", sha256(document.record.content).hexdigest())


# ---------------------------------------------------------------- patient


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


def _state_patient(document: Document) -> None:
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
    patient["managingOrganization"] = document.organization
    document.changes.append(Change(patient, "fill"))


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
    parts = [text for part in element if local(part) != "postalCode" and (text := text_of(part))]
    joined = "".join(parts) if any("一" <= c <= "鿿" for part in parts for c in part) else ", ".join(parts)
    text = joined or text_of(element)
    return {"address": [{"text": text}]} if text else {}


# ---------------------------------------------------------------- encounter


def _visit_number(document: Document, encounter: Element | None) -> tuple[str, str] | None:
    """Namespace and number of the visit. Roots that mean a visit join the HIS's own rows."""
    found = [number for number in ids(encounter) if number.root not in NOT_A_VISIT]
    role_ids = ids(child(document.root, "recordTarget", "patientRole"))
    for root in (*filter(None, (document.record.hints.get("visit_root"),)), *VISIT_ROOTS):
        for number in (*found, *role_ids):
            if number.root == root and number.extension:
                return document.facility, number.extension
    for number in found:
        if number.root in NUMBER_ROOTS and number.extension:
            return document.facility, number.extension
    if found:
        number = found[0]
        vendor = number.root.startswith((CN, "1.2.156.112635")) or not number.root
        return (document.facility if vendor else f"{document.facility}:{number.root}"), number.extension or number.root
    if any(number.root in PATIENT_ROOTS for number in role_ids):  # then an out- or inpatient number is the visit's
        inpatient = DOCUMENT_CLASS.get(document.code) == "IMP"
        order = (f"{CN}.1.12", f"{CN}.1.11") if inpatient else (f"{CN}.1.11", f"{CN}.1.12")
        for root in order:
            for number in role_ids:
                if number.root == root and number.extension:
                    return document.facility, number.extension
    return None


def _class(document: Document, encounter: Element | None) -> dict[str, str]:
    kind = next(below(document.root, "patienttypeCode"), None)
    code = child(encounter, "code")
    stated = (attribute(kind, "code"), attribute(kind, "displayName"), attribute(code, "displayName"))
    known = next((PATIENT_CLASS[text] for text in stated if text in PATIENT_CLASS), None) or DOCUMENT_CLASS.get(document.code)
    if known is None and attribute(code, "code") in ("AMB", "EMER", "IMP"):
        known = attribute(code, "code")
    if known is None:
        return {"system": "http://terminology.hl7.org/CodeSystem/v3-NullFlavor", "code": "UNK"}
    return {"system": ACT_CODE, "code": known}


def _places(encounter: Element | None) -> dict[str, str]:
    """Names of department, ward, room and bed by the root of their id; they are nested inside out."""
    places: dict[str, str] = {}
    for organization in (*below(encounter, "wholeOrganization"), *below(encounter, "serviceProviderOrganization")):
        root = attribute(child(organization, "id"), "root")
        name = text_of(child(organization, "name")) or attribute(child(organization, "id"), "extension")
        kind = {BED_ROOT: "bed", ROOM_ROOT: "room", DEPARTMENT_ROOT: "department", WARD_ROOT: "ward"}.get(root)
        if kind and name:
            places.setdefault(kind, name)
    return places


def _state_encounter(document: Document) -> None:
    element = child(document.root, "componentOf", "encompassingEncounter")
    number = _visit_number(document, element)
    if number is None:
        if element is not None:
            document.note(
                "missing", "encompassingEncounter/id", "no visit number: the document names no Encounter", severity="information"
            )
        return
    namespace, value = number
    encounter: Resource = {
        "resourceType": "Encounter",
        "id": resource_id("Encounter", namespace, value),
        "status": "unknown",
        "class": _class(document, element),
        "subject": document.patient,
        "serviceProvider": document.organization,
    }
    if namespace == document.facility:
        kind = {"coding": [{"system": IDENTIFIER_TYPE, "code": "VN"}]}
        encounter["identifier"] = [{"type": kind, "system": local_system(document.facility, "visit"), "value": value}]
    time = child(element, "effectiveTime")
    start = document.time(attribute(child(time, "low"), "value") or attribute(time, "value"))
    end = document.time(attribute(child(time, "high"), "value"))
    if start or end:
        encounter["period"] = {**({"start": start} if start else {}), **({"end": end} if end else {})}
    if end:
        encounter["status"] = "finished"
    places = _places(element)
    if department := places.get("department"):
        encounter["serviceType"] = {"text": department}
    if where := " ".join(places[name] for name in ("ward", "room", "bed") if name in places):
        encounter["location"] = [{"location": {"display": where}}]
    document.encounter = encounter
    document.changes.append(Change(encounter, "fill"))


# ---------------------------------------------------------------- people and times of the document


def person(document: Document, role: Element | None) -> dict[str, Any] | None:
    """An assigned person as a display and a staff number: a CDA header does not make a Practitioner."""
    if role is None:
        return None
    name = human_name(child(role, "assignedPerson", "name"))
    result: dict[str, Any] = {"display": name["text"]} if name else {}
    number = next((number for number in ids(role) if number.extension), None)
    if number:
        system = local_system(document.facility, "staff") if number.root.startswith(CN) else document.uri(number.root)
        result["identifier"] = {"system": system, "value": number.extension}
    device = text_of(child(role, "assignedAuthoringDevice", "softwareName"))
    if not result and device:
        result["display"] = device
    return result or None


def authors(document: Document) -> list[dict[str, Any]]:
    found = [person(document, child(author, "assignedAuthor")) for author in children(document.root, "author")]
    return [author for author in found if author] or [document.organization]


def stated_time(document: Document) -> str:
    """effectiveTime, else the author's time: as the document writes it."""
    effective = attribute(child(document.root, "effectiveTime"), "value")
    return effective or attribute(child(document.root, "author", "time"), "value")


def changed_at(document: Document) -> datetime | None:
    text = stated_time(document)
    return (instant(text, document.context.zone) if text else None) or document.record.changed_at
