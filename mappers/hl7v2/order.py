"""HL7 v2 ORC with OBR, TQ1 → ServiceRequest.

https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-segment-orc-to-servicerequest.html; that map calls a cancelled order
active, here it is revoked.
"""

from __future__ import annotations

from collections import Counter

from mappers.base import CannotMap, Resource
from mappers.hl7v2.draft import Draft
from mappers.hl7v2.groups import Group
from mappers.hl7v2.message import Segment
from mappers.hl7v2.observation import Report, item_code, note_text, observation_from_obx
from mappers.hl7v2.report import SERVICES, state_specimens
from mappers.hl7v2.types import codeable_concept, number_identifier, people
from mappers.identity_keys import resource_id
from profiles.names import DIAGNOSTIC_SERVICE

# HL7 table 0038 (ORC-5) → ServiceRequest.status
ORDER_STATUS = {
    "A": "active",
    "CA": "revoked",
    "CM": "completed",
    "DC": "revoked",
    "ER": "unknown",
    "HD": "on-hold",
    "IP": "active",
    "RP": "revoked",
    "SC": "active",
}
# HL7 table 0119 (ORC-1) → ServiceRequest.status, where ORC-5 is empty
ORDER_CONTROL = {
    "NW": "active",
    "OK": "active",
    "CA": "revoked",
    "OC": "revoked",
    "CR": "revoked",
    "DC": "revoked",
    "OD": "revoked",
    "DR": "revoked",
    "UA": "revoked",
    "HD": "on-hold",
    "OH": "on-hold",
    "HR": "on-hold",
    "RL": "active",
    "OE": "active",
    "OR": "active",
    "XO": "active",
    "XX": "active",
    "XR": "active",
    "RP": "revoked",
    "RU": "revoked",
    "RO": "active",
    "RE": "completed",
    "RR": "active",
    "SC": "active",
    "SN": "active",
    "NA": "active",
    "SR": "active",
    "SS": "active",
    "PA": "active",
    "CH": "active",
    "DE": "unknown",
}
CANCELS = {"CA", "OC", "CR", "DC", "OD", "DR"}
# HL7 tables 0485 and 0027 → request-priority
PRIORITY = {"S": "stat", "A": "asap", "R": "routine", "P": "routine", "C": "asap", "T": "urgent", "U": "urgent"}


def order_number(group: Group) -> str:
    """ORC-2 or OBR-2, the placer's; else the filler's."""
    segments = [segment for segment in (group.orc, group.obr) if segment]
    return next((number for field in (2, 3) for segment in segments if (number := segment.value(field))), "")


def order_status(draft: Draft, orc: Segment | None) -> str:
    """ORC-5 first, else ORC-1; a cancellation is revoked whatever ORC-5 still says."""
    if orc is None:
        return "active"
    control, stated = orc.value(1).upper(), orc.value(5).upper()
    if control in CANCELS:
        if stated and ORDER_STATUS.get(stated) != "revoked":
            draft.note("conflict", f"{orc.where}-5", "ORC-1 cancels, ORC-5 says otherwise: revoked", "information")
        return "revoked"
    if stated:
        status = draft.translate(ORDER_STATUS, stated, f"{orc.where}-5", "HL7 table 0038")
    else:
        status = draft.translate(ORDER_CONTROL, control, f"{orc.where}-1", "HL7 table 0119")
    return status or "unknown"


def _priority(group: Group) -> str | None:
    places = [(tq1, 9, 1) for tq1 in group.timing]
    places += [
        (segment, field, part) for segment, field, part in ((group.obr, 5, 1), (group.obr, 27, 6), (group.orc, 7, 6)) if segment
    ]
    for segment, field, part in places:
        if code := segment.value(field, part).upper():
            return PRIORITY.get(code[:1]) if code[:2] not in {"PR", "TS"} else None
    return None


def _occurrence(draft: Draft, group: Group) -> str | None:
    places = [(tq1, 7, 1) for tq1 in group.timing]
    places += [
        (segment, field, part) for segment, field, part in ((group.obr, 36, 1), (group.obr, 7, 1), (group.obr, 27, 4)) if segment
    ]
    return next((when for segment, field, part in places if (when := draft.datetime(segment, field, part))), None)


def _authored(draft: Draft, group: Group) -> str | None:
    places = [(segment, field) for segment, field in ((group.orc, 9), (group.obr, 6)) if segment]
    return next((when for segment, field in places if (when := draft.datetime(segment, field))), None)


def service_request_from_orc(draft: Draft, group: Group, key: tuple[str, ...]) -> Resource:
    request: Resource = {"resourceType": "ServiceRequest", "id": resource_id("ServiceRequest", *key)}
    placer = next((n for segment in (group.orc, group.obr) if segment and (n := segment.value(2))), "")
    filler = next((n for segment in (group.orc, group.obr) if segment and (n := segment.value(3))), "")
    identifiers = [number_identifier(draft, placer, "order", "PLAC")] if placer else []
    if filler:
        identifiers.append(number_identifier(draft, filler, "report", "FILL"))
    request["identifier"] = identifiers
    if group.orc and (requisition := group.orc.value(4)):
        request["requisition"] = number_identifier(draft, requisition, "requisition", "PGN")
    request |= {"status": order_status(draft, group.orc), "intent": "order"}
    obr = group.obr
    if obr and (service := obr.value(24).upper()) in SERVICES:
        request["category"] = [{"coding": [{"system": DIAGNOSTIC_SERVICE, "code": service}]}]
    if priority := _priority(group):
        request["priority"] = priority
    code = item_code(draft, obr, 4)[0] if obr else None
    if code:
        request["code"] = code
    request["subject"] = draft.patient
    if draft.encounter:
        request["encounter"] = draft.encounter
    stated = {"occurrenceDateTime": _occurrence(draft, group), "authoredOn": _authored(draft, group)}
    request |= {element: value for element, value in stated.items() if value}
    requesters = [person for segment, field in ((group.orc, 12), (obr, 16)) if segment for person in people(draft, segment, field)]
    request["requester"] = requesters[0] if requesters else draft.organization
    reasons = [reason for dg1 in group.diagnoses if (reason := codeable_concept(draft, dg1, 3, "diagnosis"))]
    if obr and (reason := codeable_concept(draft, obr, 31, "reason")):
        reasons.append(reason)
    if reasons:
        request["reasonCode"] = reasons
    if text := note_text(group.notes):
        request["note"] = [{"text": text}]
    return request


def state_orders(draft: Draft, groups: list[Group]) -> None:
    """One ServiceRequest a group. Raise CannotMap when no order of the message can be told from others."""
    orders = [group for group in groups if group.obr is not None or (group.orc is not None and _only_a_status(draft, group))]
    if not orders:
        raise CannotMap("no map for an order without OBR")
    shared = Counter(order_number(group) for group in orders)
    stated = 0
    for group in orders:
        number = order_number(group)
        if not number:
            draft.note("missing", f"{group.where}-2", "an order without placer or filler number is not mapped", "error")
            continue
        item = (group.obr.value(4) or group.obr.value(4, 2)) if group.obr else ""
        key = (draft.facility, number, item or str(stated)) if shared[number] > 1 else (draft.facility, number)
        _state_order(draft, group, key)
        stated += 1
    if not stated:
        raise CannotMap("no order has a placer or filler number")


def _only_a_status(draft: Draft, group: Group) -> bool:
    """An ORC alone is a status of an order we know, unless it introduces a kind of order that has no map."""
    return (
        not any(draft.message.segments(name) for name in ("RXO", "RXE", "RXD", "ODS", "ODT", "RQD", "BLG", "BPO"))
        and order_number(group) != ""
    )


def _state_order(draft: Draft, group: Group, key: tuple[str, ...]) -> None:
    request = service_request_from_orc(draft, group, key)
    report_key = ("order", *key)
    specimens = state_specimens(draft, group, report_key)
    if specimens:
        request["specimen"] = specimens
    first = specimens[0] if specimens else None
    asked = Report(
        key=(draft.facility, *report_key), effective=None, issued=None, category="survey", specimen=first, status_code=""
    )
    answers = []
    for result in group.results:
        observation = observation_from_obx(draft, result, asked)
        draft.state(observation)
        answers.append({"reference": f"Observation/{observation['id']}"})
    if answers:
        request["supportingInfo"] = answers
    draft.state(request, "patch")
