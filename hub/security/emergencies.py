"""Breaking the glass: a clinician opens the record of one person, for hours, with a reason. It stands as a Task.

The Task is made by the hub alone (`urn:hub:tag|break-glass`), lies in the person's compartment, and proves the relation of the one
account that asked. It never opens what a label closes. https://hl7.org/fhir/R4/task.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hub.clock import instant
from hub.errors import Invalid, NotAllowed
from hub.security.access import Access
from hub.security.dates import bounds
from hub.settings import Policy
from mappers.identity_keys import organization_id
from profiles.names import HUB_TAG

BREAK_GLASS = "break-glass"
TAG = {"system": HUB_TAG, "code": BREAK_GLASS}
CLOSED = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
"""It tells of the person's emergency: the person sees it, and the county; neither the colleagues of who asked, nor who treats."""
TASK_CODE = "urn:hub:task"
REVIEW = "break-glass-review"  # by the privacy officer, until restriction.period.end
REASON = "urn:hub:break-glass-reason"
REASONS: Mapping[str, str] = {
    "emergency": "急诊抢救 / emergency or rescue",
    "unconscious": "患者无法表达意愿 / the patient cannot speak for themselves",
    "continuity": "连续诊疗急需，关系尚未登记 / care that cannot wait for its registration",
    "public-health": "突发公共卫生事件 / public-health emergency",
}
SHORTEST_TEXT, LONGEST_TEXT = 10, 500
HOUR, DAY = 3_600_000, 86_400_000


def holder_of(access: Access) -> str:
    """The party that an emergency opens a record to: one account, and nobody else of its facility."""
    return f"glass:{access.token_id or access.name}"


def emergency(access: Access, patient: str, reason: str, text: str, now: int, policy: Policy) -> dict[str, Any]:
    """The Task. Raise NotAllowed for who does not treat, Invalid for a reason that says nothing."""
    if access.role != "clinician" or not access.facility:
        raise NotAllowed("only a clinician of a facility may break the glass")
    text = " ".join(text.split())
    if reason not in REASONS:
        raise Invalid(f"reason is one of {', '.join(REASONS)}", expression=("reason",))
    if not SHORTEST_TEXT <= len(text) <= LONGEST_TEXT:
        raise Invalid(f"text says why, in {SHORTEST_TEXT} to {LONGEST_TEXT} characters", expression=("text",))
    organization = {"reference": f"Organization/{organization_id(access.facility)}"}
    requester = {"identifier": {"system": "urn:hub:token", "value": access.token_id or access.name, "assigner": organization}}
    return {
        "resourceType": "Task",
        "meta": {"tag": [TAG], "security": [CLOSED]},
        "status": "requested",
        "intent": "order",
        "priority": "urgent",
        "code": {"coding": [{"system": TASK_CODE, "code": REVIEW}], "text": "紧急调阅审查 / review of an emergency access"},
        "for": {"reference": f"Patient/{patient}"},
        "executionPeriod": {"start": instant(now), "end": instant(now + round(policy.break_glass_hours * HOUR))},
        "authoredOn": instant(now),
        "requester": {**requester, "display": access.name},
        "reasonCode": {"coding": [{"system": REASON, "code": reason, "display": REASONS[reason]}], "text": text},
        "restriction": {"period": {"end": instant(now + policy.break_glass_review_days * DAY)}},
    }


def is_emergency(resource: Mapping[str, Any]) -> bool:
    tags = (resource.get("meta") or {}).get("tag") or []
    return resource.get("resourceType") == "Task" and any(t.get("system") == HUB_TAG and t.get("code") == BREAK_GLASS for t in tags)


def opened_by(task: Mapping[str, Any], patient: str) -> Iterator[tuple[str, str, int]]:
    """The row that an emergency proves until its hours are over, or until whoever reviews it rejects or cancels it."""
    if not is_emergency(task) or task.get("status") in ("rejected", "cancelled", "entered-in-error"):
        return
    _, end = bounds(task.get("executionPeriod"))
    account = task.get("requester", {}).get("identifier", {}).get("value")
    if end is not None and account:
        yield f"glass:{account}", patient, end
