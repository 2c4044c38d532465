"""What a resident decided of their record: a Consent's provisions → rows that open it, or close it, to facilities.

https://hl7.org/fhir/R4/consent.html. A permission counts once somebody verified it (by code, face or message, as
`verification.verified` says) and only where all that narrows it is understood; a denial counts as it is and as a whole, whatever
would narrow it. A clinician records no permission for the own facility: who verified it does (role system). What a label closes is
opened by a permission that names the label, to the facility that it names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

from hub.security.dates import bounds
from hub.security.labels import class_of
from hub.store.compartments import ALL_DENIED, denied, permitted, restricted_compartment

PRIVACY = "patient-privacy"
FOREVER = 253_402_300_799_000  # the last second of the year 9999
NOT_UNDERSTOOD = ("action", "class", "code", "data", "dataPeriod", "purpose")
MOST_LABELS = 4  # of one permission: a record may carry several, and each set of them is a compartment


def said_by(consent: Mapping[str, Any], patient: str, now: int) -> Iterator[tuple[str, str, int]]:
    """Rows of an active Consent about privacy; a provision that begins later counts once the Consent is saved again."""
    codes = {str(coding.get("code")) for coding in _dicts(_dict(consent.get("scope")).get("coding"))}
    root = _dict(consent.get("provision"))
    if consent.get("status") != "active" or PRIVACY not in codes or not root:
        return
    verified = any(each.get("verified") is True for each in _dicts(consent.get("verification")))
    for provision in (root, *_dicts(root.get("provision"))):
        facilities = _facilities(provision) or (_facilities(root) if provision is not root else [])
        kind = provision.get("type") or ("permit" if provision is root else "")
        start, end = _within(root, provision)
        if start > now or end <= now:
            continue
        if kind == "deny":
            yield from ((denied(each), patient, end) for each in facilities)
            yield from [] if _actors(provision) or facilities else [(ALL_DENIED, patient, end)]
        elif kind == "permit" and verified and not any(provision.get(name) for name in NOT_UNDERSTOOD):
            yield from ((permitted(each), place, end) for each in facilities for place in _places(provision, patient))


def permits(consent: Mapping[str, Any], facility: str) -> bool:
    """Whether it is meant to open a record to this facility, whatever its period: what a facility may not say for itself."""
    root = _dict(consent.get("provision"))
    verified = any(each.get("verified") is True for each in _dicts(consent.get("verification")))
    stated = (root, *_dicts(root.get("provision")))
    return verified and any(each.get("type") != "deny" and facility in (_facilities(each) or _facilities(root)) for each in stated)


def _within(root: Mapping[str, Any], provision: Mapping[str, Any]) -> tuple[int, int]:
    periods = [bounds(each.get("period")) for each in (root, provision)]
    return max(start or 0 for start, _ in periods), min(FOREVER if end is None else end for _, end in periods)


def _places(provision: Mapping[str, Any], patient: str) -> Iterator[str]:
    """The ordinary compartment, or those that the labels it names make."""
    stated = _dicts(provision.get("securityLabel"))
    labels = sorted({label for coding in stated if (label := class_of(coding))})[:MOST_LABELS]
    if not stated:
        yield patient
    for size in range(1, len(labels) + 1):
        yield from (restricted_compartment("+".join(some), patient) for some in combinations(labels, size))


def _actors(provision: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return _dicts(provision.get("actor"))


def _facilities(provision: Mapping[str, Any]) -> list[str]:
    references = (str(_dict(actor.get("reference")).get("reference", "")) for actor in _actors(provision))
    return [each.removeprefix("Organization/") for each in references if each.startswith("Organization/")]


def _dict(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _dicts(value: object) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []
