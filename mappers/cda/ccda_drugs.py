"""C-CDA medications and immunizations → MedicationStatement, MedicationRequest, Immunization."""

from __future__ import annotations

from typing import Any

from connectors.xml import Element
from mappers.base import Resource
from mappers.cda.ccda_values import amount, codeable, entry_id, negated, pointed_at, times
from mappers.cda.document import Document
from mappers.cda.drug import product_of
from mappers.cda.entries import Statement
from mappers.cda.reader import attribute, below, child, children, text_of


def _drug(document: Document, element: Element) -> dict[str, Any] | None:
    product = product_of(element)
    return codeable(document, child(product, "code")) or ({"text": text} if (text := text_of(child(product, "name"))) else None)


def state_medication(document: Document, found: Statement) -> None:
    element = found.element
    code = _drug(document, element)
    if code is None:
        return
    planned = attribute(element, "moodCode") == "INT"
    kind = "MedicationRequest" if planned else "MedicationStatement"
    start, end = times(document, element)
    period = document.period(start, end)
    resource: Resource = {
        "resourceType": kind,
        "id": entry_id(document, kind, element),
        "status": _medication_status(element, planned=planned),
        "medicationCodeableConcept": code,
        "subject": document.patient,
    }
    said = _dosage(document, element)
    if planned:
        resource["intent"] = "order"
        if period:
            said = said | {
                "timing": said.get("timing", {}) | {"repeat": said.get("timing", {}).get("repeat", {}) | {"boundsPeriod": period}}
            }
    elif period:
        resource["effectivePeriod"] = period
    if said:
        resource["dosageInstruction" if planned else "dosage"] = [said]
    reference = document.encounter_reference
    if reference:
        resource["encounter" if planned else "context"] = reference
    if reasons := _reasons(document, found):
        resource["reasonCode"] = reasons
    document.use(kind, element)
    document.add(resource, at=element)


def _reasons(document: Document, found: Statement) -> list[dict[str, Any]]:
    """What it is for: observations in an entryRelationship RSON."""
    reasons = []
    for inner in found.children:
        reason = codeable(document, child(inner.element, "value"))
        if attribute(inner.element.getparent(), "typeCode") == "RSON" and reason:
            reasons.append(reason)
            document.use("reasonCode", inner.element)
    return reasons


def _medication_status(element: Element, *, planned: bool) -> str:
    status = attribute(child(element, "statusCode"), "code")
    if negated(element):
        return "cancelled" if planned else "not-taken"
    return {"completed": "completed", "active": "active", "aborted": "stopped"}.get(status, "active" if status else "unknown")


def _dosage(document: Document, element: Element) -> dict[str, Any]:
    text = pointed_at(document, child(element, "text"))
    route, dose = codeable(document, child(element, "routeCode")), amount(child(element, "doseQuantity"))
    timing = next((found for time in children(element, "effectiveTime") if (found := _repeat(time))), None)
    return {
        **({"text": text} if text else {}),
        **({"timing": {"repeat": timing}} if timing else {}),
        **({"route": route} if route else {}),
        **({"doseAndRate": [{"doseQuantity": dose}]} if dose else {}),
    }


def _repeat(time: Element) -> dict[str, Any] | None:
    """PIVL: every so many hours."""
    period = amount(child(time, "period"))
    unit = (period or {}).get("code") or (period or {}).get("unit")
    if period is None or unit not in ("s", "min", "h", "d", "wk", "mo", "a"):
        return None
    return {"frequency": 1, "period": period["value"], "periodUnit": unit}


def state_immunization(document: Document, found: Statement) -> None:
    element = found.element
    code = _drug(document, element)
    start, end = times(document, element)
    if code is None:
        return
    product = product_of(element)
    maker = text_of(child(next(below(element, "manufacturerOrganization"), None), "name"))
    lot, route = text_of(child(product, "lotNumberText")), codeable(document, child(element, "routeCode"))
    dose = amount(child(element, "doseQuantity"))
    immunization: Resource = {
        "resourceType": "Immunization",
        "id": entry_id(document, "Immunization", element),
        "status": "not-done" if negated(element) else "completed",
        "vaccineCode": code,
        "patient": document.patient,
        **({"occurrenceDateTime": start or end} if start or end else {"occurrenceString": "unknown"}),
        **({"lotNumber": lot} if lot else {}),
        **({"route": route} if route else {}),
        **({"doseQuantity": dose} if dose else {}),
        **({"manufacturer": {"display": maker}} if maker else {}),
    }
    document.use("Immunization", element)
    document.add(document.of_document(immunization), at=element)
