"""HL7 v2 ORC with OBR, TQ1, IPC → ServiceRequest; a drug, a diet or a supply instead of the OBR → the request of that kind.

https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-segment-orc-to-servicerequest.html; statuses as in `order_status`.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from mappers.base import CannotMap, Resource
from mappers.hl7v2.deletes import ORDER_OBR, ORDER_ORC, state_patch
from mappers.hl7v2.dispense import state_group
from mappers.hl7v2.draft import Draft
from mappers.hl7v2.groups import Group
from mappers.hl7v2.message import Segment
from mappers.hl7v2.observation import item_code, note_text, state_observations
from mappers.hl7v2.order_status import order_status, priority_of
from mappers.hl7v2.performers import ORDERERS, persons_of
from mappers.hl7v2.pharmacy import shared_numbers, state_medication_requests
from mappers.hl7v2.report import IN_TABLE_0074, SECTION, SERVICES, UID
from mappers.hl7v2.request_shell import item_of
from mappers.hl7v2.specimen import state_specimens
from mappers.hl7v2.supply import state_detail
from mappers.hl7v2.types import CJK, codeable_concept, concepts, number_identifier, people
from mappers.identity_keys import resource_id
from profiles.names import DCM, DIAGNOSTIC_SERVICE, DICOM_UID

STATUS_REASON = "http://hl7.org/fhir/StructureDefinition/request-statusReason"  # R4 has no element for it


def order_number(group: Group) -> str:
    """ORC-2 or OBR-2, the placer's; else the filler's."""
    segments = [segment for segment in (group.orc, group.obr) if segment]
    return next((number for field in (2, 3) for segment in segments if (number := segment.value(field))), "")


def _occurrence(draft: Draft, group: Group) -> dict[str, Any]:
    """TQ1-7 to TQ1-8, else when it is planned."""
    timing = group.timing[0] if group.timing else None
    if timing and (start := draft.datetime(timing, 7)) and (end := draft.datetime(timing, 8)) and start[:10] <= end[:10]:
        return {"occurrencePeriod": {"start": start, "end": end}}
    when = _start(draft, group)
    return {"occurrenceDateTime": when} if when else {}


def _start(draft: Draft, group: Group) -> str | None:
    places = [(tq1, 7, 1) for tq1 in group.timing]
    places += [
        (segment, field, part) for segment, field, part in ((group.obr, 36, 1), (group.obr, 7, 1), (group.obr, 27, 4)) if segment
    ]
    return next((when for segment, field, part in places if (when := draft.datetime(segment, field, part))), None)


def _authored(draft: Draft, group: Group) -> str | None:
    places = [(segment, field) for segment, field in ((group.orc, 9), (group.obr, 6)) if segment]
    return next((when for segment, field in places if (when := draft.datetime(segment, field))), None)


def _reasons(draft: Draft, group: Group) -> list[dict[str, Any]]:
    found = [reason for dg1 in group.diagnoses if (reason := codeable_concept(draft, dg1, 3, "diagnosis"))]
    return found + (concepts(draft, group.obr, 31, "reason") if group.obr else [])


def _clinical_information(obr: Segment) -> str:
    """OBR-13: a text whose ^ was not escaped, or a CWE."""
    return obr.whole(13) if CJK.search(obr.value(13)) else obr.value(13, 2) or obr.value(13)


def _earlier(draft: Draft, orc: Segment | None) -> dict[str, Any]:
    """ORC-8 (EIP): the order that this one replaces, else the one it belongs to."""
    if orc is None or not orc.has(8):
        return {}
    placer, filler = (orc.value(8, place) for place in (1, 2))
    number = number_identifier(draft, placer, "order", "PLAC") if placer else number_identifier(draft, filler, "report", "FILL")
    element = "replaces" if orc.value(1).upper() in {"RO", "RP", "RU"} else "basedOn"
    return {element: [{"type": "ServiceRequest", "identifier": number}]} if placer or filler else {}


def _status_reason(draft: Draft, group: Group) -> list[dict[str, Any]]:
    """ORC-16: why it was cancelled, held or changed."""
    reason = codeable_concept(draft, group.orc, 16, "order-reason") if group.orc else None
    return [{"url": STATUS_REASON, "valueCodeableConcept": reason}] if reason else []


def _identifiers(draft: Draft, group: Group) -> list[dict[str, Any]]:
    segments = [segment for segment in (group.orc, group.obr) if segment]
    placer, filler = (next((n for segment in segments if (n := segment.value(field))), "") for field in (2, 3))
    found = [number_identifier(draft, placer, "order", "PLAC")] if placer else []
    found += [number_identifier(draft, filler, "report", "FILL")] if filler else []
    accession = next((number for ipc in group.detail("IPC") if (number := ipc.value(1))), "")
    return found + ([number_identifier(draft, accession, "accession", "ACSN")] if accession else [])


def _category(draft: Draft, group: Group) -> list[dict[str, Any]]:
    """OBR-24; the modality of an imaging order (IPC-5)."""
    found: list[dict[str, Any]] = []
    service = group.obr.value(24).upper() if group.obr else ""
    if service in IN_TABLE_0074:
        found.append({"coding": [{"system": DIAGNOSTIC_SERVICE, "code": service}]})
    elif service in SERVICES:
        local = {"system": draft.local("service"), "code": service}
        found.append({"coding": [{"system": DIAGNOSTIC_SERVICE, "code": SECTION[SERVICES[service]]}, local]})
    elif service:
        found.append({"coding": [{"system": draft.local("service"), "code": " ".join(service.split())}]})
    for modality in dict.fromkeys(code for ipc in group.detail("IPC") if (code := ipc.value(5).upper())):
        found.append({"coding": [{"system": DCM, "code": modality}]})
    return found


def _imaging(draft: Draft, group: Group) -> dict[str, Any]:
    """IPC: the study to come, its station and place."""
    found: dict[str, Any] = {}
    for ipc in group.detail("IPC"):
        if code := codeable_concept(draft, ipc, 6, "protocol"):
            found.setdefault("orderDetail", []).append(code)
        if station := ipc.value(7):
            found["performer"] = [{"type": "Device", "display": station}]
        if place := ipc.value(8, 2) or ipc.value(8):
            found["locationCode"] = [{"text": place}]
        if UID.fullmatch(ipc.value(3)):
            study = {"type": "ImagingStudy", "identifier": {"system": DICOM_UID, "value": f"urn:oid:{ipc.value(3)}"}}
            found["supportingInfo"] = [study]
    return found


def service_request_from_orc(draft: Draft, group: Group, key: tuple[str, ...]) -> Resource:
    """Without a status where the message says nothing of it."""
    obr = group.obr
    request: Resource = {"resourceType": "ServiceRequest", "id": resource_id("ServiceRequest", *key)}
    request["identifier"] = _identifiers(draft, group)
    if group.orc and (requisition := group.orc.value(4)):
        request["requisition"] = number_identifier(draft, requisition, "requisition", "PGN")
    if status := order_status(draft, group.orc):
        request["status"] = status
    request["intent"] = "order"
    requesters = [person for segment, field in ((group.orc, 12), (obr, 16)) if segment for person in people(draft, segment, field)]
    requesters += persons_of(draft, group.people, ORDERERS)
    notes = [text for text in (_clinical_information(obr) if obr else "", note_text(group.notes)) if text]
    stated: dict[str, Any] = {
        "category": _category(draft, group),
        "priority": priority_of(group.timing, (obr, 5, 1), (obr, 27, 6), (group.orc, 7, 6)),
        "code": item_code(draft, obr, 4)[0] if obr else None,
        "subject": draft.patient,
        "encounter": draft.encounter,
        **_occurrence(draft, group),
        "authoredOn": _authored(draft, group),
        "requester": requesters[0] if requesters else draft.organization,
        "reasonCode": _reasons(draft, group),
        **_earlier(draft, group.orc),
        "note": [{"text": text} for text in notes],
        "extension": _status_reason(draft, group),
        **_imaging(draft, group),
    }
    return request | {element: value for element, value in stated.items() if value}


def state_orders(draft: Draft, groups: list[Group]) -> None:
    """One request a group, of the kind that it orders. Raise CannotMap when no order of the message can be told from others."""
    drugs = [group for group in groups if group.drug("RXO", "RXE")]
    details = [group for group in groups if group.detail("ODS", "ODT", "RQD", "RQ1")]
    services = [group for group in groups if group.obr is not None or _only_a_status(group)]
    if not drugs and not details and not services:
        raise CannotMap("no map for an order without OBR")
    before = len(draft.changes)
    state_medication_requests(draft, drugs)
    for group in drugs:  # an RDE may say what was dispensed with it
        state_group(draft, group, shared_numbers(drugs), with_order=False)
    for group in details:
        state_detail(draft, group)
    _state_services(draft, services)
    if len(draft.changes) == before:
        raise CannotMap("no order has a placer or filler number")


def _only_a_status(group: Group) -> bool:
    """An ORC alone is a status of an order we know."""
    return group.orc is not None and not group.drugs and not group.details and order_number(group) != ""


def _state_services(draft: Draft, groups: list[Group]) -> None:
    shared = Counter(order_number(group) for group in groups)
    stated = 0
    for group in groups:
        number = order_number(group)
        if not number:
            draft.note("missing", f"{group.where}-2", "an order without placer or filler number is not mapped", "error")
            continue
        key = (draft.facility, number, item_of(group) or str(stated)) if shared[number] > 1 else (draft.facility, number)
        _state_order(draft, group, key)
        stated += 1


def _state_order(draft: Draft, group: Group, key: tuple[str, ...]) -> None:
    request = service_request_from_orc(draft, group, key)
    specimens = state_specimens(draft, group, ("order", *key))
    if specimens:
        request["specimen"] = specimens
    answers = state_observations(draft, group, ("order", *key), specimens[0] if specimens else None)
    if answers:
        request["supportingInfo"] = [*answers, *request.get("supportingInfo", [])]
    if "status" not in request:
        draft.state({**request, "status": "unknown"}, "fill")
    state_patch(draft, request, (group.orc, ORDER_ORC), (group.obr, ORDER_OBR))
