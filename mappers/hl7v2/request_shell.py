"""The order that a result answers, as far as the result knows it: OBR-2, OBR-4, OBR-16 → a shell of the ServiceRequest."""

from __future__ import annotations

from collections import Counter
from typing import Any

from mappers.base import Resource
from mappers.hl7v2.draft import Draft
from mappers.hl7v2.groups import Group
from mappers.hl7v2.performers import ORDERERS, persons_of
from mappers.hl7v2.types import concepts, number_identifier, people
from mappers.identity_keys import resource_id


def placer_number(group: Group) -> str:
    """OBR-2, else ORC-2."""
    return next((number for segment in (group.obr, group.orc) if segment and (number := segment.value(2))), "")


def shared_numbers(groups: list[Group]) -> Counter[str]:
    """How many items of the message each order number stands for: one number, several tests on the paper."""
    items = {(number, item_of(group)) for group in groups if (number := placer_number(group))}
    return Counter(number for number, _ in items)


def item_of(group: Group) -> str:
    return (group.obr.value(4) or group.obr.value(4, 2)) if group.obr else ""


def request_shell(draft: Draft, group: Group, code: dict[str, Any] | None, shared: Counter[str]) -> dict[str, Any] | None:
    """The order a report answers, as far as the report knows it; → reference. Orders and HIS rows outrank this."""
    number = placer_number(group)
    if not number:
        return None
    key = (draft.facility, number, item_of(group)) if shared[number] > 1 and item_of(group) else (draft.facility, number)
    request: Resource = {
        "resourceType": "ServiceRequest",
        "id": resource_id("ServiceRequest", *key),
        "identifier": [number_identifier(draft, number, "order", "PLAC")],
        "status": "unknown",
        "intent": "order",
        "subject": draft.patient,
    }
    if code:
        request["code"] = code
    if draft.encounter:
        request["encounter"] = draft.encounter
    fields = [(segment, field) for segment, field in ((group.obr, 16), (group.orc, 12)) if segment]
    if orderers := [person for segment, field in fields for person in people(draft, segment, field)]:
        request["requester"] = orderers[0]
    elif named := persons_of(draft, group.people, ORDERERS):
        request["requester"] = named[0]
    if group.obr and (reasons := concepts(draft, group.obr, 31, "reason")):
        request["reasonCode"] = reasons
    draft.state(request, "fill")
    return {"reference": f"ServiceRequest/{request['id']}"}
