"""HL7 v2 ORC with RXO or RXE, RXR, TQ1, RXC → MedicationRequest; RXG → one instance of it.

HL7 v2.5.1 chapter 4A; https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-segment-rxo-to-medicationrequest.html has RXO and RXR,
RXE and RXC have no published map. Where RXE stands beside RXO the pharmacy's word is taken: it is the one that is dispensed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, TypeVar

from mappers.base import Resource
from mappers.datatypes import decimal_of, quantity
from mappers.hl7v2.codes import note_local
from mappers.hl7v2.deletes import DRUG_ORC, DRUG_RXE, DRUG_RXO, state_patch
from mappers.hl7v2.dosage import Amounts, dosages, unit_text, whens_of
from mappers.hl7v2.draft import Draft
from mappers.hl7v2.groups import Drug, Group
from mappers.hl7v2.message import Segment
from mappers.hl7v2.observation import note_text, state_observations
from mappers.hl7v2.order_status import MEDICATION, order_status, priority_of
from mappers.hl7v2.types import codeable_concept, number_identifier, people
from mappers.identity_keys import resource_id

Found = TypeVar("Found")

SPECIFICATION = "urn:hub:ext:drug-specification"  # strength and form, as the row tables have it
DAILY_DOSE = "urn:hub:ext:total-daily-dose"
MEDICATION_CATEGORY = "http://terminology.hl7.org/CodeSystem/medicationrequest-category"
SUBSTITUTION = {"N": False, "G": True, "T": True}  # HL7 tables 0161 and 0167: as written; generic; therapeutic


@dataclass(frozen=True, slots=True)
class Fields:
    """Which field of a drug segment holds what; 0: it has none."""

    code: int
    amounts: Amounts
    form: int
    strength: int = 0
    instructions: tuple[int, ...] = ()
    notes: tuple[int, ...] = ()
    dispense: tuple[int, int] = (0, 0)
    refills: int = 0
    substitution: int = 0
    reason: int = 0
    prescriber: int = 0
    daily: int = 0
    prescription: int = 0


FIELDS = {
    "RXO": Fields(1, Amounts(2, 3, 4, 21, 22, 17), 5, 18, (7,), (6,), (11, 12), 13, 9, 20, 14, 23),
    "RXE": Fields(2, Amounts(3, 4, 5, 23, 24, 22), 6, 25, (7,), (21,), (10, 11), 12, 9, 27, 13, 19, 15),
    "RXD": Fields(2, Amounts(4, 0, 5), 6, 16, (), (9, 15), substitution=11, reason=21, prescription=7),
    "RXA": Fields(5, Amounts(6, 0, 7), 8, 13, (), (9,), reason=19),
    "RXG": Fields(4, Amounts(5, 6, 7, 15, 16, 14), 8, 17, (13,), (9,), substitution=10, reason=22),
}


def drug_code(drug: Drug) -> str:
    field = FIELDS[drug.segment.name].code
    return drug.segment.value(field) or drug.segment.value(field, 2)


def order_numbers(group: Group) -> tuple[str, str]:
    """Placer and filler number: ORC-2 and ORC-3."""
    return (group.orc.value(2), group.orc.value(3)) if group.orc else ("", "")


def shared_numbers(groups: list[Group]) -> Counter[str]:
    """How many of the message's drugs each number stands for: a Chinese prescription has one number and several drugs."""
    return Counter(number for group in groups if (number := request_number(group)))


def request_number(group: Group) -> str:
    """ORC-2, ORC-3, else the prescription's own (RXE-15)."""
    rxe = group.drug("RXE", "RXD")
    prescription = rxe.segment.value(FIELDS[rxe.segment.name].prescription) if rxe else ""
    return next(filter(None, (*order_numbers(group), prescription)), "")


def request_key(draft: Draft, group: Group, drug: Drug | None, shared: Counter[str]) -> tuple[str, ...]:
    """() when nothing tells this order from another."""
    number = request_number(group)
    if not number:
        return ()
    code = drug_code(drug) if drug else ""
    return (draft.facility, number, code) if shared[number] > 1 and code else (draft.facility, number)


def medication_of(draft: Draft, drug: Drug) -> dict[str, Any]:
    """medicationCodeableConcept; with ingredients (RXC) a contained Medication, which alone can list them."""
    segment, fields = drug.segment, FIELDS[drug.segment.name]
    code = codeable_concept(draft, segment, fields.code, "drug")
    if code is None:
        draft.note("missing", f"{segment.where}-{fields.code}", "a drug without code and name")
        code = {"text": "unnamed"}
    note_local(draft, code, f"{segment.where}-{fields.code}")
    if not drug.components:
        return {"medicationCodeableConcept": code}
    medication: Resource = {"resourceType": "Medication", "id": "medication", "code": code}
    if form := codeable_concept(draft, segment, fields.form, "dosage-form"):
        medication["form"] = form
    medication["ingredient"] = [found for rxc in drug.components if (found := _ingredient(draft, rxc))]
    return {"contained": [medication], "medicationReference": {"reference": "#medication"}}


def _ingredient(draft: Draft, rxc: Segment) -> dict[str, Any] | None:
    """RXC-1: a base carries, an additive acts. RXC-3, 4: its amount; of how much of the whole is not said."""
    item = codeable_concept(draft, rxc, 2, "drug")
    if item is None:
        draft.note("missing", f"{rxc.where}-2", "an ingredient without code and name")
        return None
    ingredient: dict[str, Any] = {"itemCodeableConcept": item}
    if kind := rxc.value(1).upper():
        ingredient["isActive"] = kind == "A"
    amount = decimal_of(rxc.value(3))
    if amount is not None:
        ingredient["strength"] = {
            "numerator": quantity(amount, unit_text(rxc, 4)),
            "denominator": quantity(decimal_of("1") or amount),
        }
    return ingredient


def specification(drug: Drug) -> list[dict[str, Any]]:
    """Strength and form as text: `100 mg capsule`."""
    segment, fields = drug.segment, FIELDS[drug.segment.name]
    strength = segment.value(fields.strength) if fields.strength and decimal_of(segment.value(fields.strength)) is not None else ""
    unit = unit_text(segment, fields.strength + 1) if strength else ""
    form = "" if drug.components else segment.value(fields.form, 2) or segment.value(fields.form)
    text = " ".join(part for part in (strength, unit, form) if part)
    return [{"url": SPECIFICATION, "valueString": text}] if text else []


def texts_of(segment: Segment, places: tuple[int, ...]) -> list[str]:
    """The words of coded instructions: the name, else the code, of every repetition."""
    return [
        text
        for field in places
        for n in range(1, segment.count(field) + 1)
        if (text := segment.value(field, 2, 1, n) or segment.value(field, 1, 1, n) or segment.value(field, 9, 1, n))
    ]


def _dispense_request(drugs: list[Drug]) -> dict[str, Any]:
    request: dict[str, Any] = {}
    for drug in drugs:
        segment, fields = drug.segment, FIELDS[drug.segment.name]
        amount = decimal_of(segment.value(fields.dispense[0]))
        if amount is not None and "quantity" not in request:
            request["quantity"] = quantity(amount, unit_text(segment, fields.dispense[1]))
        refills = segment.value(fields.refills)
        if refills.isdecimal() and "numberOfRepeatsAllowed" not in request and int(refills) < 2**31:
            request["numberOfRepeatsAllowed"] = int(refills)
    return request


def _daily_dose(drug: Drug) -> list[dict[str, Any]]:
    """The dose of a day, all taken together: not the limit that maxDosePerPeriod would call it."""
    field = FIELDS[drug.segment.name].daily
    amount = decimal_of(drug.segment.value(field)) if field else None
    if amount is None:
        return []
    unit = drug.segment.value(field, 2, 2) or drug.segment.value(field, 2)
    return [{"url": DAILY_DOSE, "valueQuantity": quantity(amount, unit)}]


def _category(orc: Segment | None) -> list[dict[str, Any]]:
    """ORC-29, HL7 table 0482."""
    code = {"I": "inpatient", "O": "outpatient"}.get(orc.value(29).upper()) if orc else None
    return [{"coding": [{"system": MEDICATION_CATEGORY, "code": code}]}] if code else []


def _first(found: list[Found]) -> Found | None:
    return found[0] if found else None


def _head(draft: Draft, group: Group, drug: Drug, key: tuple[str, ...]) -> Resource:
    placer, filler = order_numbers(group)
    request: Resource = {"resourceType": "MedicationRequest", "id": resource_id("MedicationRequest", *key)}
    identifiers = [number_identifier(draft, placer, "order", "PLAC")] if placer else []
    if filler:
        identifiers.append(number_identifier(draft, filler, "order-filler", "FILL"))
    fields = FIELDS[drug.segment.name]
    if fields.prescription and (prescription := drug.segment.value(fields.prescription)):
        identifiers.append(number_identifier(draft, prescription, "prescription"))
    request["identifier"] = identifiers
    if group.orc and (requisition := group.orc.value(4)):
        request["groupIdentifier"] = number_identifier(draft, requisition, "requisition", "PGN")
    return request


def medication_request(draft: Draft, group: Group, key: tuple[str, ...]) -> Resource:
    """The order of a group's RXE or RXO, without a status where the message says nothing of it."""
    drugs = [drug for name in ("RXE", "RXO") if (drug := group.drug(name))]
    drug, fields = drugs[0], FIELDS[drugs[0].segment.name]
    segment = drug.segment
    request = _head(draft, group, drug, key)
    if status := order_status(draft, group.orc, MEDICATION):
        request["status"] = status
    request["intent"] = "order"
    if not drug.components:  # an order's ingredients may stand below its RXO
        drug.components = next((other.components for other in drugs if other.components), [])
    request |= medication_of(draft, drug)
    if extensions := [*specification(drug), *_daily_dose(drug)]:
        request["extension"] = extensions
    request["subject"] = draft.patient
    if draft.encounter:
        request["encounter"] = draft.encounter
    orc = group.orc
    whens = whens_of(draft, [*drug.timing, *group.timing], (segment if segment.name == "RXE" else None, 1), (orc, 7))
    routes = [rxr for other in drugs for rxr in other.routes]
    reasons = [reason for dg1 in group.diagnoses if (reason := codeable_concept(draft, dg1, 3, "diagnosis"))]
    reasons += [
        reason for other in drugs if (reason := codeable_concept(draft, other.segment, FIELDS[other.segment.name].reason, "reason"))
    ]
    prescribers = people(draft, orc, 12) if orc else []
    prescribers = prescribers or [
        person for other in drugs for person in people(draft, other.segment, FIELDS[other.segment.name].prescriber)
    ]
    notes = [*texts_of(segment, fields.notes), note_text([*group.notes, *(nte for other in drugs for nte in other.notes)])]
    stated: dict[str, Any] = {
        "statusReason": codeable_concept(draft, orc, 16, "order-reason") if orc else None,
        "category": _category(orc),
        "priority": priority_of([*drug.timing, *group.timing], (segment if segment.name == "RXE" else None, 1, 6), (orc, 7, 6)),
        "authoredOn": draft.datetime(orc, 9) if orc else None,
        "requester": _first(prescribers) or draft.organization,
        "recorder": _first(people(draft, orc, 10)) if orc else None,
        "reasonCode": reasons,
        "supportingInformation": state_observations(draft, group, ("order", *key)),
        "note": [{"text": text} for text in notes if text],
        "dosageInstruction": dosages(draft, segment, fields.amounts, whens, routes, texts_of(segment, fields.instructions)),
        "dispenseRequest": _dispense_request(drugs),
    }
    request |= {element: value for element, value in stated.items() if value}
    if (code := segment.value(fields.substitution).upper()) in SUBSTITUTION:
        request["substitution"] = {"allowedBoolean": SUBSTITUTION[code]}
    return request


def state_medication_requests(draft: Draft, groups: list[Group]) -> None:
    """OMP, RDE and the drugs of an ORM: one MedicationRequest a group."""
    shared = shared_numbers(groups)
    for group in groups:
        drug = group.drug("RXE", "RXO")
        key = request_key(draft, group, drug, shared)
        if not key:
            draft.note("missing", f"{group.where}-2", "an order without placer or filler number is not mapped", "error")
            continue
        request = medication_request(draft, group, key) if drug else _status_alone(draft, group, key)
        if "status" not in request:
            draft.state({**request, "status": "unknown"}, "fill")
        segment = drug.segment if drug else None
        state_patch(draft, request, (group.orc, DRUG_ORC), (segment, DRUG_RXE if segment and segment.name == "RXE" else DRUG_RXO))


def _status_alone(draft: Draft, group: Group, key: tuple[str, ...]) -> Resource:
    """An ORC without its drug: what became of an order that another message has described."""
    request: Resource = {"resourceType": "MedicationRequest", "id": resource_id("MedicationRequest", *key)}
    status = order_status(draft, group.orc, MEDICATION)
    draft.state(
        {**request, "status": status or "unknown", "intent": "order", "medicationCodeableConcept": {"text": "unnamed"}}, "fill"
    )
    return request | ({"status": status} if status else {}) | {"subject": draft.patient}


def request_shell(draft: Draft, group: Group, drug: Drug, shared: Counter[str]) -> dict[str, Any] | None:
    """The order behind what was dispensed or given, as far as this message knows it; → reference. Orders outrank it."""
    key = request_key(draft, group, drug, shared)
    if not key:
        return None
    if group.drug("RXE", "RXO"):
        return {"reference": f"MedicationRequest/{resource_id('MedicationRequest', *key)}"}
    request = _head(draft, group, drug, key) | {"status": "unknown", "intent": "order"} | medication_of(draft, drug)
    request["subject"] = draft.patient
    if draft.encounter:
        request["encounter"] = draft.encounter
    prescribers = people(draft, group.orc, 12) if group.orc else []
    if prescribers:
        request["requester"] = prescribers[0]
    draft.state(request, "fill")
    return {"reference": f"MedicationRequest/{request['id']}"}
