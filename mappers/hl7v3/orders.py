"""observationRequest, procedureRequest (requests) → ServiceRequest; placerGroup (orders) → MedicationRequest, ServiceRequest.

POOR_IN200901UV adds, 200902UV updates. What a request is about its action says: **ExamAppInfo is the laboratory, CheckAppInfo is
imaging**; the interaction is the same for all.
"""

from __future__ import annotations

from typing import Any

from connectors.xml import Element, attribute, child, children, local
from mappers.base import CannotMap, Resource
from mappers.datatypes import decimal_of, fhir_datetime, quantity
from mappers.hl7v3.reader import ORDER, REQUEST, SPECIMEN, Message, below
from mappers.hl7v3.visit import mentioned
from mappers.identity_keys import resource_id

SNOMED = "http://snomed.info/sct"
# The action's name → ServiceRequest.category, SNOMED CT (value set servicerequest-category) and words
CATEGORY = {
    "ExamApp": ("108252007", "Laboratory procedure"),
    "CheckApp": ("363679005", "Imaging"),
    "PathologyApp": ("108252007", "Laboratory procedure"),
    "OperationApp": ("387713003", "Surgical procedure"),
}
STATUS = {"active": "active", "completed": "completed", "aborted": "revoked", "cancelled": "revoked", "suspended": "on-hold"}
PRIORITY = {"R": "routine", "UR": "urgent", "A": "asap", "S": "stat"}
ENDS = {"start": "validTimeLow", "end": "validTimeHigh"}
PLACER = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "PLAC"}]}


def map_request(message: Message) -> None:
    """A request of one or more items, or a group of orders."""
    subject = child(message.root, "controlActProcess", "subject")
    for name in ("observationRequest", "procedureRequest", "actRequest"):
        request = child(subject, name)
        if request is not None:
            _request(message, request)
            return
    group = child(subject, "placerGroup")
    if group is None:
        raise CannotMap("the message has neither a request nor orders")
    _orders(message, group)


def _people(message: Message, holder: Element) -> tuple[dict[str, str], dict[str, Any]]:
    """The patient; the visit and the reasons, as every request of the message has them.

    The visit stands beside the request, under a name that differs by release.
    """
    visit = next((each for name in ("encounter", "encounterEvent") for each in below(holder, name)), None)
    if visit is None:
        raise CannotMap("the request names no visit and no patient")
    patient, encounter = mentioned(message, visit)
    shared: dict[str, Any] = {"encounter": encounter} if encounter else {}
    reasons = [message.code(dx, "value", to="ServiceRequest.reasonCode") for dx in below(visit, "observationDx")]
    if any(reasons):
        shared["reasonCode"] = [each for each in reasons if each]
    return patient, shared


def _shared(message: Message, holder: Element, to: str) -> dict[str, Any]:
    """Who asked, and when."""
    found: dict[str, Any] = {}
    author = child(holder, "author")
    if when := message.datetime(author, "time", to=f"{to}.authoredOn"):
        found["authoredOn"] = when
    if doctor := message.staff(child(author, "assignedEntity"), to=f"{to}.requester"):
        found["requester"] = doctor
    return found


def _request(message: Message, request: Element) -> None:
    patient, common = _people(message, request)
    number = message.numbers(request, to="ServiceRequest.requisition").get(REQUEST, "")
    shared = _shared(message, request, "ServiceRequest")
    priority = PRIORITY.get(attribute(child(request, "priorityCode"), "code"))
    specimen = _specimen(message, request, patient)
    parts = [found for each in children(request, "component2") if (found := _item(each)) is not None]
    for place, item in enumerate(parts or [request], 1):
        own = message.numbers(item, to="ServiceRequest.identifier").get(ORDER, "")
        code = message.code(item, "code", to="ServiceRequest.code")
        key = own or (f"{number}/{attribute(child(item, 'code'), 'code') or place}" if number else "")
        if not key:
            raise CannotMap("neither the request nor its item has a number")
        resource: Resource = {"resourceType": "ServiceRequest", "id": resource_id("ServiceRequest", message.facility, key)}
        resource["identifier"] = [{"type": PLACER, "system": message.local("order"), "value": own or key}]
        if number:
            resource["requisition"] = {"system": message.local("request"), "value": number}
        resource["status"] = _status(message, child(item, "statusCode"), child(request, "statusCode"))
        resource["intent"] = "order"
        if category := _category(message):
            resource["category"] = [category]
        if priority:
            resource["priority"] = priority
        text = message.value(request, "text", to="ServiceRequest.code")
        resource["code"] = code or {"text": text or "unnamed"}
        resource |= {"subject": patient, **common, **shared}
        if specimen:
            resource["specimen"] = [specimen]
        message.state(resource)


def _item(component: Element) -> Element | None:
    return next((each for each in component if local(each).endswith("Request")), None)


def _category(message: Message) -> dict[str, Any] | None:
    action = message.record.kind.partition("/")[2]
    found = next((each for name, each in CATEGORY.items() if action.startswith(name)), None)
    if found is None:
        message.note("missing", "action", "it does not say what kind of request this is", severity="information")
        return None
    return {"coding": [{"system": SNOMED, "code": found[0], "display": found[1]}]}


def _status(message: Message, *elements: Element | None) -> str:
    for element in elements:
        code = attribute(element, "code")
        if code and element is not None:
            message.used[element] = "ServiceRequest.status"
            if code not in STATUS:
                message.note("unmapped-code", "statusCode", "no ActStatus", value=code[:16])
            return STATUS.get(code, "unknown")
    return "unknown"


def _specimen(message: Message, request: Element, patient: dict[str, str]) -> dict[str, str] | None:
    found = child(request, "specimen", "specimen")
    number = message.numbers(found, to="Specimen.identifier").get(SPECIMEN, "")
    if not number:
        return None
    specimen: Resource = {"resourceType": "Specimen", "id": resource_id("Specimen", message.facility, number)}
    specimen["identifier"] = [{"system": message.local("specimen"), "value": number}]
    if kind := message.code(found, "code", to="Specimen.type"):
        specimen["type"] = kind
    message.state({**specimen, "subject": patient}, "fill")
    return {"reference": f"Specimen/{specimen['id']}"}


def _orders(message: Message, group: Element) -> None:
    patient, common = _people(message, group)
    shared = _shared(message, group, "MedicationRequest")
    for component in children(group, "component2"):
        order = _item(component)
        if order is None:
            continue
        number = message.numbers(order, to="MedicationRequest.identifier").get(ORDER, "")
        if not number:
            message.note("missing", "component2/id", "an order without a number is not mapped")
            continue
        drug = child(order, "consumable2")
        kind = "MedicationRequest" if drug is not None and local(order) == "substanceAdministrationRequest" else "ServiceRequest"
        resource: Resource = {"resourceType": kind, "id": resource_id(kind, message.facility, number)}
        resource["identifier"] = [{"type": PLACER, "system": message.local("order"), "value": number}]
        resource["status"] = _status(message, child(order, "statusCode"))
        resource["intent"] = "order"
        content = message.value(order, "text", to=f"{kind}.text")
        resource |= {"subject": patient, **common, **shared}
        if kind == "MedicationRequest":
            _medication(message, order, drug, content, resource)
        else:
            resource["code"] = {"text": content or "unnamed"}
        message.state(resource)


def _medication(message: Message, order: Element, drug: Element | None, content: str, resource: Resource) -> None:
    product = next(below(drug, "manufacturedProduct"), None)
    concept = message.code(product, "code", to="MedicationRequest.medication")
    name = message.name(product, to="MedicationRequest.medication")
    if concept is not None and name:
        concept["text"] = name
    resource["medicationCodeableConcept"] = concept or {"text": name or content or "unnamed"}
    dosage: dict[str, Any] = {}
    if route := message.code(order, "routeCode", to="MedicationRequest.dosageInstruction"):
        dosage["route"] = route
    if frequency := message.code(order, "effectiveTime", "code", to="MedicationRequest.dosageInstruction"):
        dosage["timing"] = {"code": frequency}
    time = child(order, "effectiveTime")
    ends = {name: fhir_datetime(attribute(time, end), message.context.zone) for name, end in ENDS.items() if attribute(time, end)}
    if any(ends.values()):
        bounds = {name: when for name, when in ends.items() if when}
        dosage["timing"] = {**dosage.get("timing", {}), "repeat": {"boundsPeriod": bounds}}
    dose = child(order, "doseQuantity")
    amount = decimal_of(attribute(dose, "value"))
    if amount is not None and dose is not None:
        message.used[dose] = "MedicationRequest.dosageInstruction"
        dosage["doseAndRate"] = [{"doseQuantity": quantity(amount, attribute(dose, "unit"))}]
    if content:
        dosage["text"] = content
    if dosage:
        resource["dosageInstruction"] = [dosage]
