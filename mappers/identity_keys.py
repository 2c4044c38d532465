"""Stable ids: the same business key again is the same resource, so a replay is an update and never a double."""

from __future__ import annotations

import hashlib
from typing import Any

_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"  # RFC 4648 base32, in lower case and without padding
_PAIRS = [one + other for one in _LETTERS for other in _LETTERS]  # ten bits at a time: base64.b32encode takes eight times as long
_SHIFTS = range(120, -1, -10)
MAX_ID = 64  # https://hl7.org/fhir/R4/datatypes.html#id


def resource_id(resource_type: str, namespace: str, *key: str) -> str:
    """A FHIR id (26 characters of a-z2-7) from type, namespace (usually the facility's code) and business key.

    Business keys: Patient = local number; Encounter = visit number; ServiceRequest = placer or filler number;
    DiagnosticReport = report or filler number; Observation = report number + item code (+ OBX-4);
    ImagingStudy = StudyInstanceUID; Organization = facility code alone (see `organization_id`).
    """
    if not all(key):
        raise ValueError(f"{resource_type}: an empty business key would join strangers")
    text = "\x1f".join((resource_type, namespace, *key))
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big") << 2
    return "".join([_PAIRS[number >> shift & 1023] for shift in _SHIFTS])


def organization_id(facility: str) -> str:
    """Facilities are few and known by code: the code itself. One that is no legal FHIR id (诊所) keeps its own by a digest."""
    legal = "".join(c if c.isalnum() or c in "-." else "-" for c in facility if c.isascii())
    if facility.isascii() and len(facility) <= MAX_ID:
        return legal or "unknown"
    return f"{legal[:48]}-{hashlib.sha256(facility.encode()).hexdigest()[:12]}".lstrip("-")


def reference(resource_type: str, namespace: str, *key: str) -> dict[str, Any]:
    return {"reference": f"{resource_type}/{resource_id(resource_type, namespace, *key)}"}


def local_system(facility: str, kind: str) -> str:
    """URI of a facility's own numbers or codes: urn:hub:CTY:patient, urn:hub:CTY:item …

    A FHIR uri holds no blanks; a sender's name for itself may ("Ntierprise Clinic").
    """
    return f"urn:hub:{'-'.join(facility.split())}:{'-'.join(kind.split())}"
