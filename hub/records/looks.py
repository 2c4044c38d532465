"""Who looked at a person's record: for that person, and for whoever supervises.

An AuditEvent may be about several persons; what is given of it is about this one alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass
from typing import Any

from hub.fhir_json import load
from hub.search.query import Criterion, ReferenceValue
from hub.security.access import Access
from hub.security.audit import ACT_REASON
from hub.security.dates import bounds, instant_of
from hub.security.door import Door
from hub.security.reads import Reads
from hub.security.reviews import query
from hub.store.port import Key
from mappers.identity_keys import organization_id

MOST = 1000
KINDS = {
    **dict.fromkeys(("read", "vread", "history", "page", "operation"), "read"),
    "search": "search",
    **dict.fromkeys(("create", "update", "patch", "delete", "transaction"), "write"),
}
EMERGENCY = frozenset({"BTG", "ETREAT"})


@dataclass(frozen=True, slots=True)
class Look:
    at: str
    who: str
    role: str
    facility: str  # its code; "" for none
    interaction: str  # of the standard: read, search-type, operation …
    purpose: str
    refused: bool

    @property
    def kind(self) -> str:
        """read, search, write or other: what a person calls it."""
        return KINDS.get(self.interaction.partition("-")[0], "other")

    @property
    def emergency(self) -> bool:
        return self.purpose in EMERGENCY


async def events_about(door: Door, access: Access, patient: str, count: int) -> list[dict[str, Any]]:
    """The newest AuditEvents, about this person alone. Raise NotFound unless it is the caller's own record, or an admin asks."""

    def work(reads: Reads) -> list[dict[str, Any]]:
        ids = frozenset(reads.person(patient))
        events = [reduced(load(version.body), ids) for version in reads.looked_at(patient, min(count, MOST))]
        about = Criterion("patient", "reference", (ReferenceValue("Patient", patient),))
        broken = reads.search(query(waiting=False, beside=(about,))).matches
        return marked(events, [load(version.body) for version in broken])

    return await door.reading(
        access, work, interaction="operation", key=Key("Patient", patient), asked=f"Patient/{patient}/$access-log"
    )


def marked(events: list[dict[str, Any]], emergencies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """With the purpose BTG where who looked had opened the record in an emergency (Tasks of hub.security.emergencies)."""
    opened = [(task["requester"]["identifier"]["value"], *bounds(task.get("executionPeriod"))) for task in emergencies]
    for event in events:
        agent, at = event["agent"][0], instant_of(event["recorded"]) or 0
        for account, start, end in opened:
            if agent["who"]["identifier"]["value"] == account and (start or 0) <= at < (end or 0):
                agent["purposeOfUse"] = [{"coding": [{"system": ACT_REASON, "code": "BTG"}]}]
    return events


def reduced(event: dict[str, Any], ids: Set[str]) -> dict[str, Any]:
    """Without what it says of others: of an event about several persons no record is named."""
    entities = event.get("entity", [])
    others = [each for each in entities if (named := _patient(each)) and named not in ids]
    kept = [each for each in entities if each not in others and (not others or _patient(each))]
    return {**event, "entity": kept}


def _patient(entity: dict[str, Any]) -> str:
    kind, _, id = str(entity.get("what", {}).get("reference", "")).partition("/")
    return id if kind == "Patient" else ""


def look_of(event: dict[str, Any], facilities: dict[str, str]) -> Look:
    """`facilities`: id of the Organization → code."""
    agent = event["agent"][0]
    assigner = agent["who"]["identifier"].get("assigner", {}).get("reference", "").removeprefix("Organization/")
    return Look(
        at=event["recorded"],
        who=agent["name"],
        role=agent["role"][0]["coding"][0]["code"],
        facility=facilities.get(assigner, assigner),
        interaction=event["subtype"][0]["code"],
        purpose=agent["purposeOfUse"][0]["coding"][0]["code"],
        refused=event["outcome"] != "0",
    )


def gathered(every: Iterable[Look]) -> list[Look]:
    """One a minute of the same account doing the same: a page that is opened asks for several things."""
    return list({(look.at[:16], look.who, look.facility, look.kind, look.purpose, look.refused): look for look in every}.values())


def by_organization(codes: list[str]) -> dict[str, str]:
    return {organization_id(code): code for code in codes}
