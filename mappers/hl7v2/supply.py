"""HL7 v2 ORC with ODS, ODT → NutritionOrder; with RQD, RQ1 → SupplyRequest.

HL7 v2.5.1 4.8 (dietary orders) and 4.11 (supplies). ODS-1: D a diet, S a supplement, P a preference.
"""

from __future__ import annotations

from typing import Any

from mappers.base import Resource
from mappers.datatypes import decimal_of, quantity
from mappers.hl7v2.codes import shared_concept
from mappers.hl7v2.dosage import unit_text, whens_of
from mappers.hl7v2.draft import Draft
from mappers.hl7v2.groups import Group
from mappers.hl7v2.message import Segment
from mappers.hl7v2.observation import note_text
from mappers.hl7v2.order_status import NUTRITION, SUPPLY, order_status
from mappers.hl7v2.types import codeable_concept, number_identifier, people
from mappers.identity_keys import resource_id


def state_detail(draft: Draft, group: Group) -> None:
    """The diet or the supplies of one order."""
    placer, filler = (group.orc.value(2), group.orc.value(3)) if group.orc else ("", "")
    number = placer or filler
    if not number:
        draft.note("missing", f"{group.where}-2", "an order without placer or filler number is not mapped", "error")
        return
    identifiers = [number_identifier(draft, placer, "order", "PLAC")] if placer else []
    identifiers += [number_identifier(draft, filler, "order-filler", "FILL")] if filler else []
    if group.detail("ODS", "ODT"):
        _state(draft, _nutrition_order(draft, group, (draft.facility, number)) | {"identifier": identifiers})
    supplies = group.detail("RQD", "RQ1")
    for place, segment in enumerate(supplies):
        key = (draft.facility, number) if place == 0 else (draft.facility, number, str(place + 1))
        _state(draft, _supply_request(draft, group, segment, key) | {"identifier": identifiers})


def _state(draft: Draft, request: Resource) -> None:
    if "status" not in request:
        draft.state({**request, "status": "unknown"}, "fill")
    draft.state(request, "patch")


def _authored(draft: Draft, group: Group) -> str | None:
    """ORC-9, else when the message was written: NutritionOrder requires a time."""
    stated = draft.datetime(group.orc, 9) if group.orc else None
    return stated or draft.datetime(draft.message.header, 7)


def _nutrition_order(draft: Draft, group: Group, key: tuple[str, ...]) -> Resource:
    order: Resource = {"resourceType": "NutritionOrder", "id": resource_id("NutritionOrder", *key)}
    if status := order_status(draft, group.orc, NUTRITION):
        order["status"] = status
    order |= {"intent": "order", "patient": draft.patient}
    diet: list[dict[str, Any]] = []
    supplements: list[dict[str, Any]] = []
    preferences: list[dict[str, Any]] = []
    for ods in group.detail("ODS"):
        for n in range(1, ods.count(3) + 1):
            concept = codeable_concept(draft, ods, 3, "diet", n)
            if concept and ods.value(1).upper() == "S":
                supplements.append({"type": concept})
            elif concept:
                (preferences if ods.value(1).upper() == "P" else diet).append(concept)
    trays = [words for odt in group.detail("ODT") if (words := odt.value(3) or odt.value(1, 2) or odt.value(1))]
    said = [text for ods in group.detail("ODS") for n in range(1, ods.count(4) + 1) if (text := ods.value(4, 1, 1, n))]
    text = note_text(group.notes)
    stated: dict[str, Any] = {
        "encounter": draft.encounter,
        "dateTime": _authored(draft, group),
        "orderer": next(iter(people(draft, group.orc, 12) if group.orc else ()), None),
        "foodPreferenceModifier": preferences,
        "oralDiet": _oral_diet(diet, [*said, *trays]),
        "supplement": supplements,
        "note": [{"text": text}] if text else None,
    }
    return order | {element: value for element, value in stated.items() if value}


def _oral_diet(types: list[dict[str, Any]], said: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {"type": types} if types else {}
    return found | ({"instruction": "; ".join(said)} if said else {})


def _supply_request(draft: Draft, group: Group, segment: Segment, key: tuple[str, ...]) -> Resource:
    """RQD: 2 item (internal), 3 item (external), 4 hospital item, 5 quantity, 6 unit, 10 needed by. RQ1 has the price's side."""
    request: Resource = {"resourceType": "SupplyRequest", "id": resource_id("SupplyRequest", *key)}
    if status := order_status(draft, group.orc, SUPPLY):
        request["status"] = status
    fields = (2, 3, 4) if segment.name == "RQD" else (2, 4)
    item = next((found for field in fields if (found := shared_concept(draft, segment, field, "supply"))), None)
    if item is None:
        draft.note("missing", f"{segment.where}-2", "a supply without code and name")
    request["itemCodeableConcept"] = item or {"text": "unnamed"}
    amount = decimal_of(segment.value(5)) if segment.name == "RQD" else None
    if amount is None:
        draft.note("missing", f"{segment.where}-5", "no quantity: one is required, none is made up", "information")
    request["quantity"] = quantity(amount, unit_text(segment, 6)) if amount is not None else {"extension": [_unknown()]}
    whens = whens_of(draft, group.timing, (group.orc, 7))
    needed = draft.datetime(segment, 10) if segment.name == "RQD" else None
    stated: dict[str, Any] = {
        "occurrenceDateTime": needed or next((when.start for when in whens if when.start), None),
        "authoredOn": draft.datetime(group.orc, 9) if group.orc else None,
        "requester": next(iter(people(draft, group.orc, 12) if group.orc else ()), None) or draft.organization,
        "deliverTo": draft.patient,
    }
    return request | {element: value for element, value in stated.items() if value}


def _unknown() -> dict[str, Any]:
    return {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}
