"""The review of an emergency access: somebody of the county looks at who opened whose record and why, and writes down a finding.

A finding closes the Task (hub.security.emergencies): `completed` where the access was justified, `rejected` where it was not, which
also ends it at once. Who found it, when and in which words stands in Task.note; Task.output has the finding as a code.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hub.clock import instant
from hub.errors import HubError, Invalid, Kind, NotAllowed
from hub.fhir_json import load
from hub.search.folding import fold_code
from hub.search.query import Criterion, SearchQuery, Sort, TokenValue
from hub.security.access import Access
from hub.security.dates import instant_of
from hub.security.emergencies import REVIEW, SHORTEST_TEXT, TASK_CODE, is_emergency
from hub.store.port import EVERYTHING, ResourceStore, Version

FINDING = "urn:hub:break-glass-finding"
FINDINGS: Mapping[str, tuple[str, str]] = {
    "justified": ("completed", "合理 / justified"),
    "unjustified": ("rejected", "不当 / not justified"),
}
"""Finding → status of the Task, and its words."""
LONGEST_TEXT = 500
PAGE, MOST_COUNTED = 200, 2000


@dataclass(frozen=True, slots=True)
class Emergency:
    """A Task read back. Times as they are stated."""

    id: str
    patient: str
    who: str
    facility: str  # id of its Organization
    reason: str  # a code of emergencies.REASONS
    text: str
    opened: str
    ends: str
    due: str
    finding: str = ""  # "" until somebody reviewed it
    reviewer: str = ""
    words: str = ""
    reviewed: str = ""

    def overdue(self, now: int) -> bool:
        due = instant_of(self.due)
        return not self.finding and due is not None and due < now


def check_reviewer(access: Access) -> None:
    """Raise NotAllowed unless `access` reviews emergencies: an admin of the county, for no facility judges its own."""
    if access.role != "admin" or access.facility:
        raise NotAllowed("emergencies are reviewed by an admin of the county")


def reviewed(task: Mapping[str, Any], access: Access, finding: str, text: str, now: int) -> dict[str, Any]:
    """The Task with the finding. Raise NotAllowed, Invalid, or a conflict where there is one already."""
    check_reviewer(access)
    text = " ".join(text.split())
    if finding not in FINDINGS:
        raise Invalid(f"finding is one of {', '.join(FINDINGS)}", expression=("finding",))
    if not SHORTEST_TEXT <= len(text) <= LONGEST_TEXT:
        raise Invalid(f"text says why, in {SHORTEST_TEXT} to {LONGEST_TEXT} characters", expression=("text",))
    if not is_emergency(task) or task.get("status") != "requested":
        raise HubError("this is no emergency access that waits for its review", kind=Kind.CONFLICT)
    status, words = FINDINGS[finding]
    coded = {"coding": [{"system": FINDING, "code": finding, "display": words}]}
    return {
        **task,
        "status": status,
        "lastModified": instant(now),
        "note": [{"authorString": access.name, "time": instant(now), "text": text}],
        "output": [{"type": {"text": "finding"}, "valueCodeableConcept": coded}],
    }


def emergency_of(task: Mapping[str, Any]) -> Emergency:
    note: Mapping[str, Any] = next(iter(task.get("note", ())), {})
    output: Mapping[str, Any] = next(iter(task.get("output", ())), {})
    requester = task["requester"]
    return Emergency(
        id=str(task["id"]),
        patient=str(task["for"]["reference"]).removeprefix("Patient/"),
        who=str(requester.get("display", "")),
        facility=str(requester["identifier"].get("assigner", {}).get("reference", "")).removeprefix("Organization/"),
        reason=str(task["reasonCode"]["coding"][0]["code"]),
        text=str(task["reasonCode"].get("text", "")),
        opened=str(task["authoredOn"]),
        ends=str(task["executionPeriod"]["end"]),
        due=str(task["restriction"]["period"]["end"]),
        finding=_finding(task, output),
        reviewer=str(note.get("authorString", "")),
        words=str(note.get("text", "")),
        reviewed=str(note.get("time", "")),
    )


def _finding(task: Mapping[str, Any], output: Mapping[str, Any]) -> str:
    codings = output.get("valueCodeableConcept", {}).get("coding", [{}])
    by_status = next((finding for finding, (status, _) in FINDINGS.items() if status == task.get("status")), "")
    return str(codings[0].get("code", "")) or by_status


def query(*, waiting: bool, count: int = PAGE, after: str | None = None, beside: tuple[Criterion, ...] = ()) -> SearchQuery:
    """Those that wait for their review, the one that waits longest first; or all of them, the newest first.

    `beside`: further criteria.
    """
    codes = [("code", TokenValue(TASK_CODE, fold_code(REVIEW)))]
    codes += [("status", TokenValue(None, "requested"))] if waiting else []
    criteria = (*beside, *(Criterion(name, "token", (value,)) for name, value in codes))
    return SearchQuery("Task", criteria, (Sort("authored-on", "date", descending=not waiting),), count=count, after=after)


def emergencies_of(versions: Iterable[Version]) -> Iterator[Emergency]:
    return (emergency_of(task) for version in versions if is_emergency(task := load(version.body)))


def waiting_in(store: ResourceStore, now: int) -> tuple[int, int]:
    """How many wait for their review, and how many of them longer than they may; at most MOST_COUNTED."""
    found: list[Emergency] = []
    asked = query(waiting=True)
    while len(found) < MOST_COUNTED:
        page = store.search(asked, EVERYTHING)
        found += emergencies_of(page.matches)
        if page.next is None:
            break
        asked = query(waiting=True, after=page.next)
    return len(found), sum(each.overdue(now) for each in found)
