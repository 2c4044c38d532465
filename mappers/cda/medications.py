"""substanceAdministration of WS/T 500 → what its document makes of a drug: prescribed, given, taken, implanted or vaccinated.

A prescription's drugs are one MedicationRequest each, joined by the prescription's number; herbs are one MedicationRequest of one
Medication with an ingredient each. The group of drugs that are infused together, and amounts that stand beside the drugs, belong
to them by order alone: where the counts differ they are left out and told.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from mappers.base import Resource
from mappers.cda.codes import PRESCRIPTION_ROOT
from mappers.cda.document import Document
from mappers.cda.drug import TOTAL, USAGE, amount_of, dosage, medication_of, names_of, part_of, product_of, specification_of
from mappers.cda.entries import Statement, first
from mappers.cda.people import person
from mappers.cda.products import state_device, state_vaccine
from mappers.cda.reader import child
from mappers.cda.values import concept, money
from mappers.datatypes import decimal_of, parse_quantity, quantity
from mappers.identity_keys import local_system

FORM, DAYS, GROUP = "DE08.50.011", "DE06.00.294", "DE08.50.056"
HERBS, HERB_COUNT, DECOCTION, CATEGORY, AMOUNT = "DE08.50.049", "DE08.50.050", "DE08.50.047", "DE08.50.032", "DE07.00.004"
INFUSION_GROUP = "urn:hub:ext:infusion-group"
PRESCRIPTION_AMOUNT = "urn:hub:ext:prescription-amount"  # valueMoney: of the whole prescription
_HERB = re.compile(
    r"(?P<name>[一-鿿]{1,12})\s*(?P<amount>\d{1,4}(?:\.\d{1,3})?)\s*(?P<unit>g|克|枚|条|只|片|mg|ml|mL)(?:[（(][^）)]{1,8}[）)])?"
)


def state_medications(document: Document) -> None:
    drugs = [
        statement
        for section in document.sections
        for statement in section.every()
        if statement.what in ("substanceAdministration", "supply") and product_of(statement.element) is not None
    ]
    kind = document.kind.drugs if document.kind else "taken"
    beside = [found for section in document.sections for found in section.every()]
    if kind == "request":
        _state_prescription(document, drugs, beside)
        return
    for drug in drugs:
        if drug.element not in document.used and names_of(drug):
            {"device": state_device, "vaccine": state_vaccine}.get(kind, _state_use)(document, drug)


# ---------------------------------------------------------------- prescriptions


def _state_prescription(document: Document, drugs: list[Statement], beside: list[Statement]) -> None:
    herbs, doses = first(beside, HERBS), first(beside, HERB_COUNT)
    shared = _shared(document, beside)
    named_drugs = [drug for drug in drugs if names_of(drug)]
    if herbs is not None or doses is not None:
        _state_herbs(document, named_drugs, herbs, doses, shared, beside)
        return
    groups = _groups(document, named_drugs, beside)
    for place, drug in enumerate(named_drugs):
        request = _request(document, shared) | {"medicationCodeableConcept": medication_of(document, drug)}
        if said := dosage(document, drug):
            request["dosageInstruction"] = [said]
        total = part_of(document, drug, TOTAL, "MedicationRequest.dispenseRequest")
        if total and (amount := parse_quantity(total.value, total.unit)):
            request["dispenseRequest"] = {**request.get("dispenseRequest", {}), "quantity": amount}
        part_of(document, drug, FORM, "MedicationRequest.medication")
        own = [*specification_of(document, drug), *([{"url": INFUSION_GROUP, "valueString": groups[place]}] if groups else [])]
        if extensions := [*request.get("extension", []), *own]:
            request["extension"] = extensions
        document.use("MedicationRequest", drug.element)
        document.add(document.of_document(request), at=drug.element)


def _shared(document: Document, beside: list[Statement]) -> Resource:
    """What all drugs of a prescription have in common."""
    result: Resource = {}
    number = document.number(PRESCRIPTION_ROOT)
    result["groupIdentifier"] = {
        "system": local_system(document.facility, "prescription"),
        "value": number or "-".join(document.key[1:2]),
    }
    if (days := first(beside, DAYS)) and (span := parse_quantity(days.value, days.unit or "d")):
        result["dispenseRequest"] = {"expectedSupplyDuration": span}
        document.use("MedicationRequest.dispenseRequest", days.element)
    if (category := first(beside, CATEGORY)) and (stated := concept(document, category)):
        result["category"] = [stated]
        document.use("MedicationRequest.category", category.element)
    if (amount := first(beside, AMOUNT)) and (price := money(amount)):
        result["extension"] = [{"url": PRESCRIPTION_AMOUNT, "valueMoney": price}]
        document.use("MedicationRequest.extension", amount.element)
    return result


def _request(document: Document, shared: Resource) -> Resource:
    author = person(document, child(document.root, "author", "assignedAuthor"))
    when = document.time(document.recorded_at)
    return {
        "resourceType": "MedicationRequest",
        "id": document.id("MedicationRequest", document.nth("MedicationRequest")),
        "status": "active",
        "intent": "order",
        "subject": document.patient,
        **({"authoredOn": when} if when else {}),
        **({"requester": author} if author else {}),
        **{name: dict(value) if isinstance(value, dict) else list(value) for name, value in shared.items()},
    }


def _groups(document: Document, drugs: list[Statement], beside: list[Statement]) -> list[str]:
    """The group of each drug: below it, or in as many entries beside the drugs as there are drugs."""
    found = [statement for statement in beside if statement.code == GROUP and statement.says_something]
    if not found:
        return []
    if len(found) != len(drugs):
        document.note("conflict", GROUP, f"{len(drugs)} drugs, {len(found)} group numbers: they cannot be paired")
        return []
    document.use("MedicationRequest.extension", *(statement.element for statement in found))
    return [statement.value or statement.coded for statement in found]


def _state_herbs(
    document: Document,
    drugs: list[Statement],
    herbs: Statement | None,
    doses: Statement | None,
    shared: Resource,
    beside: list[Statement],
) -> None:
    """One request of one decoction."""
    entries = [_ingredient(document, drug) for drug in drugs] or (_herbs(herbs.value) if herbs else [])
    decoction = {
        "resourceType": "Medication",
        "id": document.id("Medication", "herbs"),
        "code": {"text": herbs.value[:500] if herbs and herbs.value else "中药饮片"},
        **({"ingredient": entries} if entries else {}),
    }
    if herbs and not entries:
        document.note("invalid-value", HERBS, "herbs that are no list of names and amounts; kept as text", severity="information")
    request = _request(document, shared) | {"medicationReference": {"reference": f"Medication/{decoction['id']}"}}
    how = [found for found in (first(beside, DECOCTION), first(beside, USAGE)) if found]
    if how:
        request["dosageInstruction"] = [{"text": "；".join(found.text for found in how)}]
    if doses and (count := decimal_of(doses.value)) is not None:
        request["dispenseRequest"] = {**request.get("dispenseRequest", {}), "quantity": quantity(count, doses.unit or "剂")}
    parts = [found.element for found in (herbs, doses, *how) if found]
    document.use("MedicationRequest", *parts, *(drug.element for drug in drugs))
    document.add(decoction)
    document.add(document.of_document(request), at=(parts or [drug.element for drug in drugs])[0])


def _ingredient(document: Document, drug: Statement) -> dict[str, Any]:
    amount = amount_of(child(drug.element, "doseQuantity"))
    strength = {"strength": _per_dose(amount)} if amount else {}
    for inner in drug.children:
        document.use("Medication.ingredient", inner.element)
    return {"itemCodeableConcept": medication_of(document, drug), **strength}


def _herbs(text: str) -> list[dict[str, Any]]:
    """黄芪30g、当归10g → ingredients, only if the whole text is such a list."""
    parts = [part for part in re.split(r"[、，,;；\s]+", re.sub(r"(?<=\d)\s+(?=[一-鿿a-zA-Z])", "", text.strip("。 "))) if part]
    matches = [_HERB.fullmatch(part) for part in parts]
    if not parts or not all(matches):
        return []
    return [
        {
            "itemCodeableConcept": {"text": match["name"]},
            "strength": _per_dose(quantity(Decimal(match["amount"]), "g" if match["unit"] == "克" else match["unit"])),
        }
        for match in matches
        if match
    ]


def _per_dose(amount: dict[str, Any]) -> dict[str, Any]:
    return {"numerator": amount, "denominator": {"value": Decimal(1), "unit": "剂"}}


# ---------------------------------------------------------------- given and taken


def _state_use(document: Document, drug: Statement) -> None:
    """MedicationAdministration needs a time; without one it is a statement that the patient had the drug."""
    when = document.time(drug.when)
    given = document.kind is not None and document.kind.drugs == "given" and when is not None
    kind = "MedicationAdministration" if given else "MedicationStatement"
    status = "completed" if given else "active" if document.code.startswith("W") else "unknown"
    resource: Resource = {
        "resourceType": kind,
        "id": document.id(kind, document.nth(kind)),
        "status": status,
        "medicationCodeableConcept": medication_of(document, drug),
        "subject": document.patient,
        **({"effectiveDateTime": when} if when else {}),
    }
    if recorded := document.time(document.recorded_at):
        resource |= {} if given else {"dateAsserted": recorded}
    if reference := document.encounter_reference:
        resource["context"] = reference
    said, total = dosage(document, drug), drug.within(TOTAL)
    if said:
        resource["dosage"] = _administered(said) if given else [said]
    if extensions := specification_of(document, drug):
        resource["extension"] = extensions
    if total and total.says_something:
        resource["note"] = [{"text": f"总剂量 {total.text}"}]
        document.use(f"{kind}.note", total.element)
    document.use(kind, drug.element)
    document.add(resource, at=drug.element)


def _administered(said: dict[str, Any]) -> dict[str, Any]:
    """Dosage of an administration: text, route and dose alone."""
    result: dict[str, Any] = {name: said[name] for name in ("text", "route") if name in said}
    if rates := said.get("doseAndRate"):
        result["dose"] = rates[0]["doseQuantity"]
    return result or {"text": said.get("timing", {}).get("code", {}).get("text", "—")}
