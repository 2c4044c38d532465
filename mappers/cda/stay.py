"""What a document says of the stay itself → Encounter and Patient: reason, discharge, costs, death.

C0002, C0034: reason. C0032, C0033, C0049, C0053: discharge. C0032, C0033: costs. C0036, C0050, C0051, WS/T 483.11: death.
"""

from __future__ import annotations

import re
from typing import Any

from mappers.base import Resource
from mappers.cda.codes import DISCHARGE, FRONT_SHEET
from mappers.cda.document import Document, coding
from mappers.cda.entries import Statement, first
from mappers.cda.reader import attribute, child
from mappers.cda.values import boolean, concept, money, named
from mappers.datatypes import parse_quantity

TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"
COMPLAINT, WAY, DESTINATION, DAYS = "DE04.01.119", "DE06.00.223", "DE08.10.013", "DE06.00.310"
ADMITTED, DISCHARGED, DIED = "DE06.00.092", "DE06.00.017", "DE02.01.036"
AGAIN, AGAIN_FOR, PAYMENT = "DE06.00.194", "DE06.00.195", "DE07.00.007"
COSTS = "urn:hub:ext:costs"  # Encounter; nested: item, of it code (the front sheet's data element) and amount
READMISSION_PLAN = "urn:hub:ext:readmission-plan"  # Encounter; nested: planned, purpose
PAYMENT_WAY = "urn:hub:ext:payment-way"
COST_ITEM = re.compile(r"HDSD00\.1[12]\.\d{3}")
RECEIVERS = frozenset({"other-hcf"})


def _all(document: Document) -> list[Statement]:
    return [found for section in document.sections for found in section.every()]


def state_reason(document: Document) -> None:
    complaint = first(_all(document), COMPLAINT)
    if complaint and complaint.value and document.encounter is not None:
        document.encounter["reasonCode"] = [{"text": complaint.value}]
        document.use("Encounter.reasonCode", complaint.element)


def state_discharge(document: Document) -> None:
    encounter, found = document.encounter, _all(document)
    if encounter is None:
        return
    if not document.withdrawn:
        encounter["status"] = "finished"  # it is written at the end
    _state_way(document, encounter, found)
    days = first(found, DAYS)
    if days and (length := parse_quantity(days.value, "d")):
        encounter["length"] = length
        document.use("Encounter.length", days.element)
    _state_period(document, encounter, found)
    _state_plan(document, encounter, found)


def _state_way(document: Document, encounter: Resource, found: list[Statement]) -> None:
    way = first(found, WAY)
    if way is None:
        return
    disposition = DISCHARGE.get(way.coded or way.value)
    if disposition is None:
        document.note("unmapped-code", WAY, system=way.system, value=(way.coded or way.value)[:32])
        return
    text = named(document, way) or way.value
    stay = encounter.setdefault("hospitalization", {})
    stay["dischargeDisposition"] = coding(f"{TERMINOLOGY}discharge-disposition", disposition) | ({"text": text} if text else {})
    document.use("Encounter.hospitalization.dischargeDisposition", way.element)
    destination = first(way.children, DESTINATION) or next(
        (one for one in found if one.code == DESTINATION and "接受" in one.label), None
    )
    if destination and destination.value and disposition in RECEIVERS:
        stay["destination"] = {"display": destination.value}
        document.use("Encounter.hospitalization.destination", destination.element)


def _state_period(document: Document, encounter: Resource, found: list[Statement]) -> None:
    """入院 and 出院日期时间 among the entries, where the header leaves them open."""
    period = encounter.get("period", {})
    for name, code in (("start", ADMITTED), ("end", DISCHARGED)):
        stated = first(found, code)
        time = document.time(stated.value) if stated else None
        if stated and time:
            period.setdefault(name, time)
            document.use(f"Encounter.period.{name}", stated.element)
    if period:
        encounter["period"] = document.period(period.get("start"), period.get("end"))


def _state_plan(document: Document, encounter: Resource, found: list[Statement]) -> None:
    """出院31d内再住院: planned or not, and what for."""
    again = first(found, AGAIN)
    planned = boolean(again.value or again.coded) if again else None
    if again is None or planned is None:
        return
    parts: list[dict[str, Any]] = [{"url": "planned", "valueBoolean": planned}]
    if purpose := first(found, AGAIN_FOR):
        parts.append({"url": "purpose", "valueString": purpose.text})
        document.use("Encounter.extension", purpose.element)
    encounter.setdefault("extension", []).append({"url": READMISSION_PLAN, "extension": parts})
    document.use("Encounter.extension", again.element)


def state_costs(document: Document) -> None:
    """The front sheet's costs, item by item under their data elements."""
    encounter, found = document.encounter, _all(document)
    if encounter is None:
        return
    items = [(one, amount) for one in found if COST_ITEM.fullmatch(one.code) and one.value and (amount := money(one))]
    if items:
        entries = [_cost(one, amount) for one, amount in items]
        encounter.setdefault("extension", []).append({"url": COSTS, "extension": entries})
        document.use("Encounter.extension", *(one.element for one, _ in items))
    payment = first(found, PAYMENT)
    if payment and (way := concept(document, payment)):
        encounter.setdefault("extension", []).append({"url": PAYMENT_WAY, "valueCodeableConcept": way})
        document.use("Encounter.extension", payment.element)


def _cost(one: Statement, amount: dict[str, Any]) -> dict[str, Any]:
    system = attribute(child(one.element, "code"), "codeSystem") or FRONT_SHEET
    code = {"system": f"urn:oid:{system}", "code": one.code, **({"display": one.label} if one.label else {})}
    return {"url": "item", "extension": [{"url": "code", "valueCoding": code}, {"url": "amount", "valueMoney": amount}]}


def state_death(document: Document) -> None:
    """Patient.deceased, by the time that the document states; never from a withdrawn one."""
    died = first(_all(document), DIED)
    when = document.time(died.value) if died else None
    if died is None or when is None:
        if died is not None:
            document.note("invalid-value", DIED, "not a time; nothing is said of the patient's death")
        return
    if document.encounter is not None:
        _state_period(document, document.encounter, _all(document))
    if document.withdrawn:
        return
    document.patient_resource["deceasedDateTime"] = when
    document.use("Patient.deceased", died.element)
    if document.encounter is not None:
        stay = document.encounter.setdefault("hospitalization", {})
        stay["dischargeDisposition"] = coding(f"{TERMINOLOGY}discharge-disposition", "exp") | {"text": "死亡"}
        document.encounter["status"] = "finished"
        known = document.encounter.get("period", {})
        document.encounter["period"] = document.period(known.get("start"), known.get("end") or when)
