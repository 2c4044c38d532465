"""HL7 v2 RXD → MedicationDispense, RXA (of RAS) → MedicationAdministration, RXG → an instance of its MedicationRequest.

HL7 v2.5.1 chapter 4A; none of the three has a published map. The order behind them is stated as far as the message repeats it: its
own message outranks that.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from mappers.base import CannotMap, Resource
from mappers.datatypes import decimal_of, quantity
from mappers.hl7v2.dosage import dosages, route_of, unit_text, whens_of
from mappers.hl7v2.draft import Draft
from mappers.hl7v2.groups import Drug, Group
from mappers.hl7v2.message import Segment
from mappers.hl7v2.observation import note_text, state_observations
from mappers.hl7v2.pharmacy import (
    FIELDS,
    SUBSTITUTION,
    medication_of,
    medication_request,
    order_numbers,
    request_key,
    request_number,
    request_shell,
    shared_numbers,
    specification,
    texts_of,
)
from mappers.hl7v2.types import codeable_concept, number_identifier, people
from mappers.identity_keys import resource_id

# HL7 table 0322 (RXA-20) → MedicationAdministration.status; RXA-21 D comes before it
GIVEN = {"CP": "completed", "PA": "completed", "RE": "not-done", "NA": "not-done"}
# ORC-1 of a dispense or a dose → its status
TAKEN_BACK = frozenset({"CA", "OC", "CR", "DC", "OD"})


@dataclass(frozen=True, slots=True)
class _Act:
    """A dispense, a dose or an instruction, and what stands around it."""

    draft: Draft
    group: Group
    drug: Drug
    key: tuple[str, ...]  # what its id is made of
    request: dict[str, Any] | None  # a reference to the order behind it
    evidence: list[dict[str, Any]]  # references to observations that came with it


def state_pharmacy(draft: Draft, groups: list[Group]) -> None:
    """RDS, RAS, RGV, and an RXD that stands in an RDE. Raise CannotMap when nothing of the message can be told from others."""
    drugs = [group for group in groups if group.drugs]
    shared = shared_numbers(drugs)
    stated = 0
    for group in drugs:
        stated += state_group(draft, group, shared)
    if not stated:
        raise CannotMap("no drug that was dispensed, given or ordered")


def state_group(draft: Draft, group: Group, shared: Counter[str], *, with_order: bool = True) -> int:
    """→ how many dispenses, doses and instructions it had. `with_order`: the order is not stated elsewhere."""
    done = [(drug, STATED[drug.segment.name]) for drug in group.drugs if drug.segment.name in STATED]
    if not done:
        return 0
    request = _order_of(draft, group, done[0][0], shared) if with_order else request_shell(draft, group, done[0][0], shared)
    evidence: list[dict[str, Any]] = []
    for place, (drug, make) in enumerate(done):
        key = _key(draft, group, drug, shared, place)
        if not key:
            draft.note(
                "missing", f"{drug.segment.where}-1", "neither a number nor a time tells it from others: not mapped", "error"
            )
            continue
        if place == 0 and with_order:
            evidence = state_observations(draft, group, ("drug", *key[1:]))
        draft.state(make(_Act(draft, group, drug, key, request, evidence)))
    return len(done)


def _order_of(draft: Draft, group: Group, drug: Drug, shared: Counter[str]) -> dict[str, Any] | None:
    """The order as RXO or RXE of this message repeat it, by `fill`; else a shell of it."""
    ordered = group.drug("RXE", "RXO")
    key = request_key(draft, group, ordered or drug, shared)
    if ordered and key:
        results, group.results = group.results, []  # they belong to what was done
        order = medication_request(draft, group, key)
        group.results = results
        draft.state(order | {"status": "unknown"}, "fill")
        return {"reference": f"MedicationRequest/{order['id']}"}
    return request_shell(draft, group, drug, shared)


def _key(draft: Draft, group: Group, drug: Drug, shared: Counter[str], place: int) -> tuple[str, ...]:
    """The order with the sub-identifier and time of the dispense or dose; () when nothing tells it from others."""
    segment = drug.segment
    number = request_number(group)
    code = segment.value(FIELDS[segment.name].code) if shared[number] > 1 else ""
    counter = segment.value(2) if segment.name == "RXA" else segment.value(1)
    when = segment.value(3) if segment.name != "RXG" else ""
    if not number and not when:
        return ()
    whose = (number,) if number else draft.patient_key
    return (draft.facility, segment.name, *whose, code or "-", counter or str(place + 1), when or "-")


def _dispense(act: _Act) -> Resource:
    draft, group, drug = act.draft, act.group, act.drug
    segment, fields = drug.segment, FIELDS["RXD"]
    dispense: Resource = {"resourceType": "MedicationDispense", "id": resource_id("MedicationDispense", *act.key)}
    _, filler = order_numbers(group)
    numbers = [(filler, "dispense", "FILL"), (segment.value(7), "prescription", "")]
    if identifiers := [number_identifier(draft, number, kind, code) for number, kind, code in numbers if number]:
        dispense["identifier"] = identifiers
    dispense["status"] = "cancelled" if _control(group) in TAKEN_BACK else "completed"
    dispense |= medication_of(draft, drug)
    amount = decimal_of(segment.value(4))
    handed = draft.datetime(segment, 3)
    notes = [*texts_of(segment, fields.notes), note_text(drug.notes)]
    stated: dict[str, Any] = {
        "extension": specification(drug),
        "subject": draft.patient,
        "context": draft.encounter,
        "supportingInformation": act.evidence,
        "performer": [{"actor": person} for person in people(draft, segment, 10)],
        "authorizingPrescription": [act.request] if act.request else None,
        "quantity": quantity(amount, unit_text(segment, 5)) if amount is not None else None,
        "whenHandedOver": handed,
        "note": [{"text": text} for text in notes if text],
        "dosageInstruction": _instructions(draft, group, drug),
    }
    if (code := segment.value(fields.substitution).upper()) in SUBSTITUTION:
        stated["substitution"] = {"wasSubstituted": SUBSTITUTION[code]}
    return dispense | {element: value for element, value in stated.items() if value}


def _control(group: Group) -> str:
    return group.orc.value(1).upper() if group.orc else ""


def _instructions(draft: Draft, group: Group, drug: Drug) -> list[dict[str, Any]]:
    """How to take what was handed over: the RXE beside it says that, else the RXD's own routes and times."""
    ordered = group.drug("RXE", "RXO")
    source = ordered or drug
    fields = FIELDS[source.segment.name]
    whens = whens_of(draft, [*drug.timing, *source.timing, *group.timing], (source.segment if ordered else None, 1), (group.orc, 7))
    routes = [*drug.routes, *source.routes]
    if ordered is None:
        return dosages(draft, source.segment, None, whens, routes, [])
    return dosages(draft, source.segment, fields.amounts, whens, routes, texts_of(source.segment, fields.instructions))


def _administration(act: _Act) -> Resource:
    draft, group, drug = act.draft, act.group, act.drug
    rxa = drug.segment
    given: Resource = {"resourceType": "MedicationAdministration", "id": resource_id("MedicationAdministration", *act.key)}
    given["status"] = _given_status(draft, group, rxa)
    given |= medication_of(draft, drug)
    notes = [*texts_of(rxa, FIELDS["RXA"].notes), note_text(drug.notes)]
    stated: dict[str, Any] = {
        "extension": specification(drug),
        "statusReason": _refusal(draft, rxa),
        "subject": draft.patient,
        "context": draft.encounter,
        "supportingInformation": act.evidence,
        **_effective(draft, rxa),
        "performer": [{"actor": person} for person in people(draft, rxa, 10)],
        "reasonCode": [reason] if (reason := codeable_concept(draft, rxa, 19, "reason")) else None,
        "request": act.request,
        "note": [{"text": text} for text in notes if text],
        "dosage": _dose(draft, drug),
    }
    return given | {element: value for element, value in stated.items() if value}


def _given_status(draft: Draft, group: Group, rxa: Segment) -> str:
    if rxa.value(21).upper() == "D" or _control(group) in TAKEN_BACK:
        return "entered-in-error"
    code = rxa.value(20).upper()
    if code:
        return draft.translate(GIVEN, code, f"{rxa.where}-20", "HL7 table 0322") or "unknown"
    if rxa.value(18):
        return "not-done"  # a refusal has its reason
    draft.note("missing", f"{rxa.where}-20", "no completion status", "information")
    return "unknown"


def _refusal(draft: Draft, rxa: Segment) -> list[dict[str, Any]]:
    reason = codeable_concept(draft, rxa, 18, "refusal-reason")
    return [reason] if reason else []


def _effective(draft: Draft, rxa: Segment) -> dict[str, Any]:
    """RXA-3 to RXA-4; effective[x] is required."""
    start, end = draft.datetime(rxa, 3), draft.datetime(rxa, 4)
    if start and end and end > start:
        return {"effectivePeriod": {"start": start, "end": end}}
    if start or end:
        return {"effectiveDateTime": start or end}
    draft.note("missing", f"{rxa.where}-3", "no time: one is required, none is made up")
    absent = {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}
    return {"_effectiveDateTime": {"extension": [absent]}}


def _dose(draft: Draft, drug: Drug) -> dict[str, Any]:
    """RXA-6 999 says that the amount is not known."""
    rxa = drug.segment
    amount = decimal_of(rxa.value(6))
    dose: dict[str, Any] = {"dose": quantity(amount, unit_text(rxa, 7))} if amount is not None and amount != 999 else {}
    dose |= route_of(draft, drug.routes)
    if dose and "dose" not in dose:  # mad-1: a dosage has a dose or a rate
        return {"text": " ".join(found["text"] for found in dose.values())} | dose
    return dose


def _instruction(act: _Act) -> Resource:
    """RGV: when to give which part of an order."""
    draft, group, drug = act.draft, act.group, act.drug
    rxg, fields = drug.segment, FIELDS["RXG"]
    instance: Resource = {"resourceType": "MedicationRequest", "id": resource_id("MedicationRequest", *act.key)}
    instance |= {"status": "cancelled" if _control(group) in TAKEN_BACK else "active", "intent": "instance-order"}
    instance |= medication_of(draft, drug)
    whens = whens_of(draft, [*drug.timing, *group.timing], (rxg, 3))
    notes = [*texts_of(rxg, fields.notes), note_text(drug.notes)]
    stated: dict[str, Any] = {
        "extension": specification(drug),
        "subject": draft.patient,
        "encounter": draft.encounter,
        "supportingInformation": act.evidence,
        "basedOn": [act.request] if act.request else None,
        "authoredOn": draft.datetime(group.orc, 9) if group.orc else None,
        "note": [{"text": text} for text in notes if text],
        "dosageInstruction": dosages(draft, rxg, fields.amounts, whens, drug.routes, texts_of(rxg, fields.instructions)),
    }
    return instance | {element: value for element, value in stated.items() if value}


STATED = {"RXD": _dispense, "RXA": _administration, "RXG": _instruction}
