"""encompassingEncounter → Encounter. Wards, rooms and beds are nested inside out and mostly without numbers: names count."""

from __future__ import annotations

from typing import Any

from connectors.xml import Element
from mappers.base import Change, Resource
from mappers.cda.codes import (
    ADMIT_SOURCE,
    BED_ROOT,
    CN,
    DEPARTMENT_ROOT,
    NOT_A_VISIT,
    NUMBER_ROOTS,
    PATIENT_CLASS,
    PATIENT_ROOTS,
    ROOM_ROOT,
    VISIT_ROOTS,
    WARD_ROOT,
)
from mappers.cda.document import Document
from mappers.cda.reader import attribute, below, child, ids, text_of
from mappers.identity_keys import local_system, resource_id
from profiles.names import ACT_CODE, IDENTIFIER_TYPE

ADMIT_SOURCE_SYSTEM = "http://terminology.hl7.org/CodeSystem/admit-source"
ADMISSION_WAYS = f"{CN}.2.3.1.270"
NESTING = ("bed", "room", "department", "ward", "hospital")  # the standard's order, from the inside


def _class_of_type(document: Document) -> str | None:
    return (document.kind.encounter_class if document.kind else "") or None


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
        inpatient = _class_of_type(document) == "IMP"
        order = (f"{CN}.1.12", f"{CN}.1.11") if inpatient else (f"{CN}.1.11", f"{CN}.1.12")
        for root in order:
            for number in role_ids:
                if number.root == root and number.extension:
                    return document.facility, number.extension
    return None


def _class(document: Document, encounter: Element | None) -> dict[str, str]:
    kind = next(below(document.root, "patienttypeCode"), None)
    code = child(encounter, "code")
    of_type = _class_of_type(document)
    stated = [attribute(kind, "code"), attribute(kind, "displayName")]
    if of_type != "IMP" and attribute(code, "codeSystem") != ADMISSION_WAYS:  # how someone was admitted is not what the visit is
        stated.append(attribute(code, "displayName"))
    known = next((PATIENT_CLASS[text] for text in stated if text in PATIENT_CLASS), None) or of_type
    if known is None and _is_inpatient(document, encounter):
        known = "IMP"
    if known is None and attribute(code, "code") in ("AMB", "EMER", "IMP"):
        known = attribute(code, "code")
    if known is None:
        return {"system": "http://terminology.hl7.org/CodeSystem/v3-NullFlavor", "code": "UNK"}
    return {"system": ACT_CODE, "code": known}


def _is_inpatient(document: Document, encounter: Element | None) -> bool:
    """Only an inpatient number is there; an outpatient number may be an emergency's."""
    numbers = [*ids(encounter), *ids(child(document.root, "recordTarget", "patientRole"))]
    roots = {number.root for number in numbers if number.extension}
    return f"{CN}.1.12" in roots and not roots & {f"{CN}.1.11", f"{CN}.1.10"}


def _places(encounter: Element | None) -> dict[str, str]:
    """Names of department, ward, room and bed by the root of their id; they are nested inside out."""
    places: dict[str, str] = {}
    nested = list(below(encounter, "wholeOrganization"))
    by_root = {BED_ROOT: "bed", ROOM_ROOT: "room", DEPARTMENT_ROOT: "department", WARD_ROOT: "ward"}
    for depth, organization in enumerate((*nested, *below(encounter, "serviceProviderOrganization"))):
        root = attribute(child(organization, "id"), "root")
        name = text_of(child(organization, "name")) or attribute(child(organization, "id"), "extension")
        kind = by_root.get(root)
        if kind is None and len(nested) == len(NESTING) and depth < len(NESTING) and not root.startswith(CN):
            kind = NESTING[depth]  # a vendor's own roots in the standard's five levels
        if kind and name:
            places.setdefault(kind, name)
    return places


def state_encounter(document: Document) -> None:
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
        encounter["period"] = document.period(start, end)
    if end:
        encounter["status"] = "finished"
    places = _places(element)
    if department := places.get("department"):
        encounter["serviceType"] = {"text": department}
    if where := " ".join(places[name] for name in ("ward", "room", "bed") if name in places):
        encounter["location"] = [{"location": {"display": where}}]
    if source := _admit_source(element):
        encounter["hospitalization"] = {"admitSource": source}
    document.encounter = encounter
    document.changes.append(Change(encounter, "fill"))


def _admit_source(element: Element | None) -> dict[str, Any] | None:
    """入院途径, only under its own value set: an insurer's code of the same digits means the opposite."""
    code = child(element, "code")
    known = ADMIT_SOURCE.get(attribute(code, "code")) if attribute(code, "codeSystem") == ADMISSION_WAYS else None
    name = attribute(code, "displayName")
    if known is None:
        return None
    return {"coding": [{"system": ADMIT_SOURCE_SYSTEM, "code": known}], **({"text": name} if name else {})}
