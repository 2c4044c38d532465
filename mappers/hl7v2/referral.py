"""HL7 v2 RF1, PRD, AUT, DG1, PR1, OBR, OBX of REF → ServiceRequest (a referral) and the Task that follows it up.

HL7 v2.5.1 chapter 11; the structure has no published map. RF1-1 is the answer of the one referred to, so it is the Task's; the
request is revoked when the one who referred takes it back (I14).
"""

from __future__ import annotations

from typing import Any

from mappers.base import CannotMap, Resource
from mappers.hl7v2.codes import note_local
from mappers.hl7v2.deletes import REFERRAL_RF1, state_patch
from mappers.hl7v2.draft import Draft
from mappers.hl7v2.groups import group_orders
from mappers.hl7v2.message import Segment
from mappers.hl7v2.observation import note_text, state_observations
from mappers.hl7v2.report import state_reports
from mappers.hl7v2.types import codeable_concept, concepts, number_identifier
from mappers.identity_keys import resource_id

REFERRAL = {"system": "http://snomed.info/sct", "code": "3457005", "display": "Patient referral"}
PRIORITY = {"S": "stat", "A": "asap", "R": "routine", "U": "urgent"}  # HL7 table 0280 (RF1-2)
# HL7 table 0283 (RF1-1) → task-status
ANSWER = {"A": "accepted", "P": "requested", "R": "rejected", "E": "failed"}
# HL7 table 0286 (PRD-1): who refers, and to whom
REFERRING, REFERRED_TO, FAMILY = "RP", "RT", "PP"
CANCELLED = "I14"


def state_referral(draft: Draft) -> None:
    """Raise CannotMap without RF1 or without a number that tells this referral from another."""
    rf1 = draft.message.first("RF1")
    if rf1 is None:
        raise CannotMap("a referral without RF1")
    number = rf1.value(6) or rf1.value(11)
    if not number:
        raise CannotMap("neither RF1-6 nor RF1-11: nothing tells this referral from another")
    request = _request(draft, rf1, number)
    state_patch(draft, request, (rf1, REFERRAL_RF1))
    draft.state(_task(draft, rf1, number, request), "patch")


def _provider(draft: Draft, role: str) -> dict[str, Any] | None:
    """A PRD of that role: a person, else the place (PRD-4 and the organisation of 2.7's PRD-10)."""
    for prd in draft.message.segments("PRD"):
        roles = {prd.value(1, 1, 1, n).upper() for n in range(1, prd.count(1) + 1)}
        if role not in roles:
            continue
        number, kind = prd.value(7), prd.value(7, 2)
        name = _name(prd)
        place = prd.value(10) or prd.value(4, 9) or prd.value(4)
        if not name and not place:
            continue
        own = {"identifier": {"system": draft.local(kind.lower() if kind else "staff"), "value": number}} if number else {}
        return {"type": "Practitioner" if name else "Organization", **own, "display": name or place}
    return None


def _name(prd: Segment) -> str:
    family, given = prd.value(2), prd.value(2, 2)
    chinese = any("一" <= character <= "鿿" for character in family + given)
    return f"{family}{given}" if chinese else " ".join(part for part in (given, family) if part)


def _request(draft: Draft, rf1: Segment, number: str) -> Resource:
    request: Resource = {"resourceType": "ServiceRequest", "id": resource_id("ServiceRequest", draft.facility, "referral", number)}
    numbers = ((rf1.value(6), "referral", "PLAC"), (rf1.value(11), "referral-external", "FILL"))
    request["identifier"] = [number_identifier(draft, value, kind, code) for value, kind, code in numbers if value]
    request |= {"status": "revoked" if draft.trigger == CANCELLED else "active", "intent": "order"}
    kind = codeable_concept(draft, rf1, 3, "referral-type")
    if kind:
        note_local(draft, kind, f"{rf1.where}-3")
    priority = rf1.value(2).upper()
    receiver = _provider(draft, REFERRED_TO)
    groups = group_orders(draft)
    reports = [group for group in groups if group.obr is not None]
    if reports:
        state_reports(draft, reports)
    answers = [found for group in groups if group.obr is None for found in state_observations(draft, group, ("referral", number))]
    reasons = [*concepts(draft, rf1, 10, "referral-reason"), *_diagnoses(draft)]
    start, end = draft.datetime(rf1, 7), draft.datetime(rf1, 8)
    stated: dict[str, Any] = {
        "category": [{"coding": [REFERRAL]}, *([found] if (found := codeable_concept(draft, rf1, 5, "referral-category")) else [])],
        "priority": draft.translate(PRIORITY, priority, f"{rf1.where}-2", "HL7 table 0280") if priority else None,
        "code": kind or _procedure(draft),
        "orderDetail": concepts(draft, rf1, 4, "referral-disposition"),
        "subject": draft.patient,
        "encounter": draft.encounter,
        "occurrencePeriod": _period(start, end),
        "authoredOn": draft.datetime(rf1, 9) or draft.datetime(draft.message.header, 7),
        "requester": _provider(draft, REFERRING) or draft.organization,
        "performer": [receiver] if receiver else None,
        "reasonCode": reasons,
        "supportingInfo": answers,
        "note": [{"text": text} for text in (note_text(_own_notes(draft)),) if text],
    }
    return request | {element: value for element, value in stated.items() if value}


def _period(start: str | None, end: str | None) -> dict[str, str]:
    if start and end and end < start:
        return {"start": start}
    return {edge: when for edge, when in (("start", start), ("end", end)) if when}


def _diagnoses(draft: Draft) -> list[dict[str, Any]]:
    return [found for dg1 in draft.message.segments("DG1") if (found := codeable_concept(draft, dg1, 3, "diagnosis"))]


def _procedure(draft: Draft) -> dict[str, Any] | None:
    """PR1-3: what the patient is referred for."""
    found = (codeable_concept(draft, pr1, 3, "procedure") for pr1 in draft.message.segments("PR1"))
    return next(filter(None, found), None)


def _own_notes(draft: Draft) -> list[Segment]:
    """NTE that follow no result: of the referral itself."""
    found, behind = [], ""
    for segment in draft.message.all:
        if segment.name == "NTE":
            found += [segment] if behind not in {"OBX", "OBR", "SPM"} else []
        else:
            behind = segment.name
    return found


def _task(draft: Draft, rf1: Segment, number: str, request: Resource) -> Resource:
    """The referral as work: asked for, accepted, rejected, run out, taken back."""
    answer = rf1.value(1).upper()
    status = draft.translate(ANSWER, answer, f"{rf1.where}-1", "HL7 table 0283") if answer else None
    task: Resource = {"resourceType": "Task", "id": resource_id("Task", draft.facility, "referral", number)}
    task |= {"status": "cancelled" if draft.trigger == CANCELLED else status or "requested", "intent": "order"}
    system = "http://hl7.org/fhir/CodeSystem/task-code"
    stated: dict[str, Any] = {
        "code": {"coding": [{"system": system, "code": "fulfill"}]},
        "priority": request.get("priority"),
        "focus": {"reference": f"ServiceRequest/{request['id']}"},
        "for": draft.patient,
        "encounter": draft.encounter,
        "executionPeriod": request.get("occurrencePeriod"),
        "lastModified": draft.datetime(draft.message.header, 7),
        "requester": request.get("requester"),
        "owner": (request.get("performer") or [None])[0],
        "reasonCode": (request.get("reasonCode") or [None])[0],
    }
    return task | {element: value for element, value in stated.items() if value}
