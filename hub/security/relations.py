"""What opens a record to a facility: a visit, an order or referral, a contract, a remote request, the person, an emergency.

Every row is (party, compartment, until): hub.store.compartments says what the stores make of them. A row hangs on the resource that
proves it, and ends, moves or goes with that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hub.security.consents import said_by
from hub.security.dates import bounds, instant_of
from hub.security.emergencies import opened_by
from hub.settings import Policy

DAY = 86_400_000
Row = tuple[str, str, int]
_ENDED = frozenset({"finished", "cancelled", "entered-in-error"})
_NO_CARE = frozenset({"cancelled", "entered-in-error", "planned"})
_AT_WORK = frozenset({"requested", "received", "accepted", "ready", "in-progress", "on-hold"})
_NAMES_FACILITIES = {"ServiceRequest": "performer", "EpisodeOfCare": "managingOrganization", "Task": "owner"}
_SUBJECT = {"Task": "for", "EpisodeOfCare": "patient", "Consent": "patient"}


def relations(resource: dict[str, Any], facility: str, now: int, policy: Policy) -> list[Row]:
    """What the resource, recorded by `facility`, proves at `now` (UTC ms)."""
    kind = resource["resourceType"]
    patient = patient_id(resource.get(_SUBJECT.get(kind, "subject"))) if kind in PROVING_TYPES else ""
    if not patient:
        return []
    if kind == "Consent":
        return list(said_by(resource, patient, now))
    rows = [*(opened_by(resource, patient) if kind == "Task" else ()), *_care(resource, facility, patient, now, policy)]
    return [row for row in dict.fromkeys(rows) if row[2] > now]


def _care(resource: dict[str, Any], facility: str, patient: str, now: int, policy: Policy) -> Iterator[Row]:
    until = _UNTIL[resource["resourceType"]](resource, now, policy)
    own = [facility] if facility and resource["resourceType"] != "Task" else []
    if until is not None and facility:
        yield from ((party, patient, until) for party in dict.fromkeys([*own, *_addressed(resource)]))


def _addressed(resource: Mapping[str, Any]) -> list[str]:
    """Facilities that an order, a request or a contract names; an Organization's id is its facility's code."""
    stated = resource.get(_NAMES_FACILITIES.get(resource["resourceType"], ""))
    references = (
        str(each.get("reference", "")) for each in (stated if isinstance(stated, list) else [stated]) if isinstance(each, dict)
    )
    return [r.removeprefix("Organization/") for r in references if r.startswith("Organization/")]


def _encounter_until(encounter: Mapping[str, Any], now: int, policy: Policy) -> int | None:
    status = encounter.get("status")
    if status in _NO_CARE:
        return None
    start, end = bounds(encounter.get("period"))
    if end is not None or status in _ENDED:
        return _no_later(end if end is not None else start, now) + policy.treatment_days * DAY
    return _no_later(start, now) + policy.open_encounter_days * DAY


def _order_until(order: Mapping[str, Any], now: int, policy: Policy) -> int | None:
    active = order.get("status") == "active"
    return _no_later(instant_of(order.get("authoredOn")), now) + policy.treatment_days * DAY if active else None


def _contract_until(episode: Mapping[str, Any], now: int, policy: Policy) -> int | None:
    """A family doctor's contract: as long as it says, or as an encounter that is never closed."""
    start, end = bounds(episode.get("period"))
    if episode.get("status") != "active" or (start is not None and start > now):
        return None
    return end if end is not None else _no_later(start, now) + policy.open_encounter_days * DAY


def _request_until(task: Mapping[str, Any], now: int, policy: Policy) -> int | None:
    """A remote reading or consultation: for the facility that is asked, until it is done."""
    asked = _no_later(instant_of(task.get("authoredOn")), now)
    return asked + policy.treatment_days * DAY if task.get("status") in _AT_WORK else None


_UNTIL: Mapping[str, Callable[[Mapping[str, Any], int, Policy], int | None]] = {
    "Encounter": _encounter_until,
    "ServiceRequest": _order_until,
    "MedicationRequest": _order_until,
    "EpisodeOfCare": _contract_until,
    "Task": _request_until,
}
PROVING_TYPES = frozenset({*_UNTIL, "Consent"})


def _no_later(instant: int | None, now: int) -> int:
    """A date in the future must not lengthen a relation; a missing one counts from now."""
    return now if instant is None else min(instant, now)


def patient_id(subject: object) -> str:
    reference = subject.get("reference") if isinstance(subject, Mapping) else None
    kind, _, patient = str(reference or "").partition("/")
    return patient.partition("/")[0] if kind == "Patient" else ""
