"""High-value consumables (C0022) → Device; vaccines (WS/T 483.9) → Immunization: substanceAdministration of what is no drug."""

from __future__ import annotations

from mappers.base import Resource
from mappers.cda.document import Document
from mappers.cda.drug import amount_of, medication_of, part_of, product_of, route_of
from mappers.cda.entries import Statement
from mappers.cda.reader import below, child, ids, text_of
from mappers.identity_keys import local_system

SUPPLIER, IMPLANTED = "DE08.50.035", "DE08.50.058"


def state_device(document: Document, drug: Statement) -> None:
    """高值耗材: a Device of the patient, with its maker, supplier and number."""
    product = next(below(drug.element, "manufacturedProduct"), None)
    number = next((found for found in ids(product) if found.extension or found.root), None)
    maker = text_of(child(next(below(drug.element, "manufacturerOrganization"), None), "name"))
    device: Resource = {
        "resourceType": "Device",
        "id": document.id("Device", document.nth("Device")),
        "status": "active",
        "patient": document.patient,
        "type": medication_of(document, drug),
        "owner": document.organization,
        **({"manufacturer": maker} if maker else {}),
    }
    if number:
        system = document.uri(number.root) if number.root else local_system(document.facility, "device")
        device["identifier"] = [{"system": system, "value": number.extension or number.root}]
    notes = [
        f"{label}：{found.text if found.kind != 'BL' else '是' if found.value.lower() == 'true' else '否'}"
        for code, label in ((SUPPLIER, "供应商"), (IMPLANTED, "植入性耗材"))
        if (found := part_of(document, drug, code, "Device.note"))
    ]
    if amount := amount_of(child(drug.element, "doseQuantity")):
        notes.append(f"数量：{amount['value']}{amount.get('unit', '')}")
    if notes:
        device["note"] = [{"text": "；".join(notes)}]
    document.use("Device", drug.element)
    document.add(device, at=drug.element)


def state_vaccine(document: Document, drug: Statement) -> None:
    when = document.time(drug.when) or document.time(document.recorded_at)
    product = product_of(drug.element)
    immunization: Resource = {
        "resourceType": "Immunization",
        "id": document.id("Immunization", document.nth("Immunization")),
        "status": "completed",
        "vaccineCode": medication_of(document, drug),
        "patient": document.patient,
        **({"occurrenceDateTime": when} if when else {"occurrenceString": "未注明"}),
    }
    if lot := text_of(child(product, "lotNumberText")):
        immunization["lotNumber"] = lot
    if route := route_of(document, drug):
        immunization["route"] = route
    if dose := amount_of(child(drug.element, "doseQuantity")):
        immunization["doseQuantity"] = dose
    document.use("Immunization", drug.element)
    document.add(document.of_document(immunization), at=drug.element)
