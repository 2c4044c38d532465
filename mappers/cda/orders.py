"""医嘱 (C0052, C0002, C0003) → MedicationRequest for drugs, ServiceRequest for everything else, one an order.

An order is an item's content with its type beside it in one organizer; who ordered, checked, stopped and cancelled it stands in
its author and participants. The request number joins it to the request that lab and imaging reports name.
"""

from __future__ import annotations

from typing import Any

from mappers.base import Resource
from mappers.cda.document import Document
from mappers.cda.entries import Section, Statement, first
from mappers.cda.people import person
from mappers.cda.reader import attribute, child, children
from mappers.cda.values import concept, named
from mappers.identity_keys import local_system, resource_id

CLASS, TYPE, CONTENT = "DE06.00.286", "DE06.00.289", "DE06.00.288"
NOTE, STATE, REQUEST_NUMBER, GROUP = "DE06.00.179", "DE06.00.290", "DE01.00.008", "DE08.50.056"
STANDING_ORDER = "urn:hub:ext:standing-order"
INFUSION_GROUP = "urn:hub:ext:infusion-group"
DRUG = "01"
# What a participant with a time did to the order → its status
ENDS = (("取消", "revoked"), ("作废", "entered-in-error"), ("停止", "completed"))
MEDICATION_STATUS = {"revoked": "cancelled"}  # MedicationRequest has another word
STATES = {
    "已执行": "completed",
    "执行完毕": "completed",
    "已完成": "completed",
    "已停止": "completed",
    "已取消": "revoked",
    "作废": "entered-in-error",
}


def state_orders(document: Document) -> None:
    for section in document.sections:
        orders = [found for found in section.every() if found.code == CONTENT and found.says_something]
        kinds = _classes(document, section, orders)
        for place, content in enumerate(orders):
            _state(document, section, content, kinds[place] if kinds else None)


def _classes(document: Document, section: Section, orders: list[Statement]) -> list[Statement]:
    """长期 or 临时 of each order, if there are as many as there are orders: one before several may be of the first alone."""
    found = [statement for statement in section.every() if statement.code == CLASS and statement.says_something]
    if not found or not orders:
        return []
    if len(found) != len(orders):
        document.note("conflict", CLASS, f"{len(orders)} orders, {len(found)} order classes: they cannot be paired")
        return []
    document.use("extension", *(statement.element for statement in found))
    return found


def _beside(section: Section, content: Statement, code: str) -> Statement | None:
    return first(content.walk(), code) or first(section.beside(content), code)


def _state(document: Document, section: Section, content: Statement, order_class: Statement | None) -> None:
    kind = _beside(section, content, TYPE)
    is_drug = kind is not None and (kind.coded == DRUG or "药" in kind.display)
    resource_type = "MedicationRequest" if is_drug else "ServiceRequest"
    number = _beside(section, content, REQUEST_NUMBER)
    order: Resource = {
        "resourceType": resource_type,
        "id": _id(document, resource_type, number),
        "status": _status(content, _beside(section, content, STATE), is_drug=is_drug),
        "intent": "order",
        "subject": document.patient,
        **_when(document, content, is_drug=is_drug),
        **_who(document, content),
    }
    order["medicationCodeableConcept" if is_drug else "code"] = {"text": content.text}
    if number and number.value:
        kind_of_number = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "PLAC"}]}
        order["identifier"] = [{"type": kind_of_number, "system": local_system(document.facility, "order"), "value": number.value}]
    if kind is not None and (category := concept(document, kind)):
        order["category"] = [category]
    _extend(document, order, order_class, _beside(section, content, GROUP))
    note = _beside(section, content, NOTE)
    if note:
        order["note"] = [{"text": note.text}]
    used = (content, kind, number, note, _beside(section, content, STATE), _beside(section, content, GROUP))
    document.use(resource_type, *(found.element for found in used if found))
    document.add(document.of_document(order), at=content.element, mode="fill" if number else "replace")


def _id(document: Document, resource_type: str, number: Statement | None) -> str:
    if resource_type == "ServiceRequest" and number and number.value:
        return resource_id("ServiceRequest", document.facility, number.value)
    return document.id(resource_type, "order", document.nth(resource_type, "order"))


def _status(content: Statement, state: Statement | None, *, is_drug: bool) -> str:
    """By who ended it, with a time; else by its state's word; else it is active."""
    for participant in children(content.element, "participant"):
        role = attribute(child(participant, "participantRole", "code"), "displayName")
        ended = next((status for word, status in ENDS if word in role), None)
        if ended and attribute(child(participant, "time"), "value"):
            return MEDICATION_STATUS.get(ended, ended) if is_drug else ended
    known = STATES.get(state.text, "active") if state else "active"
    return MEDICATION_STATUS.get(known, known) if is_drug else known


def _when(document: Document, content: Statement, *, is_drug: bool) -> dict[str, Any]:
    start, end = (document.time(text) for text in (content.low or content.time, content.high))
    period = document.period(start, end)
    ordered = document.time(attribute(child(content.element, "author", "time"), "value"))
    result: dict[str, Any] = {"authoredOn": ordered} if ordered else {}
    if period and is_drug:
        result["dosageInstruction"] = [{"text": content.text, "timing": {"repeat": {"boundsPeriod": period}}}]
    elif period:
        result["occurrencePeriod"] = period
    return result


def _who(document: Document, content: Statement) -> dict[str, Any]:
    author = person(document, child(content.element, "author", "assignedAuthor"))
    return {"requester": author} if author else {}


def _extend(document: Document, order: Resource, order_class: Statement | None, group: Statement | None) -> None:
    extensions = []
    if order_class and (name := named(document, order_class) or order_class.text):
        extensions.append({"url": STANDING_ORDER, "valueString": name})
    if group:
        extensions.append({"url": INFUSION_GROUP, "valueString": group.value or group.coded})
    if extensions:
        order["extension"] = extensions
