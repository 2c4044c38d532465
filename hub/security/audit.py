"""One access → one AuditEvent: who did what to whose record, with which result.

IHE Basic Audit Log Patterns: https://profiles.ihe.net/ITI/BALP/content.html
The event holds ids and the query as it was asked; no token, no name of a patient.
"""

from __future__ import annotations

import base64
import os
import secrets
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from hub.clock import instant
from hub.security.access import Access
from hub.store.compartments import patient_in
from hub.store.port import Key
from mappers.identity_keys import organization_id

Action = Literal["C", "R", "U", "D", "E"]

EVENT_TYPE = "http://terminology.hl7.org/CodeSystem/audit-event-type"
INTERACTION = "http://hl7.org/fhir/restful-interaction"
ENTITY_TYPE = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
OBJECT_ROLE = "http://terminology.hl7.org/CodeSystem/object-role"
DICOM = "http://dicom.nema.org/resources/ontology/DCM"
PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
ACT_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
SECURITY_ROLE = "urn:hub:role"
OBSERVER = {"observer": {"display": "yitong-hub"}}

SUCCESS, REFUSED, FAILED = "0", "4", "8"
"""AuditEvent.outcome: done; refused or not found; the hub's own failure."""

_TIME = "0123456789abcdefghjkmnpqrstvwxyz"


def event_id(now: int) -> str:
    """Grows with time, so that the newest events lie side by side on disk; its end cannot be guessed."""
    head = "".join(_TIME[now >> shift & 31] for shift in range(45, -1, -5))
    return head + _unguessed()


_POOL: deque[str] = deque()
_POOLED = 256
os.register_at_fork(after_in_child=_POOL.clear)  # no two processes may draw the same


def _unguessed() -> str:
    """Eight random bytes, asked of the system many at a time: each call lets go of the interpreter's lock, and queues for it."""
    try:
        return _POOL.popleft()
    except IndexError:
        fresh = secrets.token_hex(8 * _POOLED)
        _POOL.extend(fresh[start : start + 16] for start in range(16, len(fresh), 16))
        return fresh[:16]


def audit_event(
    access: Access,
    *,
    action: Action,
    interaction: str,
    outcome: str = SUCCESS,
    key: Key | None = None,
    keys: Sequence[Key] = (),
    type: str = "",
    query: str = "",
    patients: Iterable[str] = (),
    reason: str = "",
    now: int,
) -> dict[str, Any]:
    """The event of one interaction: `key` or `keys` were touched, `query` was asked of `type`, `patients` are whose it was.

    `reason`: why, in the words of the person who did it.
    """
    entities = [_patient(p) for p in dict.fromkeys(map(patient_in, patients))]
    entities += [_data(k) for k in (*((key,) if key else ()), *keys)]
    if query or (type and not key and not keys):
        entities.append(_query(type, query))
    event: dict[str, Any] = {
        "resourceType": "AuditEvent",
        "type": {"system": EVENT_TYPE, "code": "rest"},
        "subtype": [{"system": INTERACTION, "code": interaction}],
        "action": action,
        "recorded": instant(now),
        "outcome": outcome,
        "agent": [_user(access, action)],
        "source": OBSERVER,
    }
    if reason:
        event["purposeOfEvent"] = [{"text": reason}]
    if entities:
        event["entity"] = entities
    return event


def _user(access: Access, action: Action) -> dict[str, Any]:
    """Who asked: 110153 is the sender of a request, 110152 its destination; for a read the data flow to the one who asked."""
    kind = {"system": PARTICIPATION, "code": "IRCP"} if action in "RE" else {"system": DICOM, "code": "110153"}
    identifier: dict[str, Any] = {"system": "urn:hub:token", "value": access.token_id or access.name}
    agent: dict[str, Any] = {
        "type": {"coding": [kind]},
        "role": [{"coding": [{"system": SECURITY_ROLE, "code": access.role}]}],
        "who": {"identifier": identifier, "display": access.name},
        "name": access.name,
        "requestor": True,
        "purposeOfUse": [{"coding": [{"system": ACT_REASON, "code": access.purpose}]}],
    }
    if access.facility:
        identifier["assigner"] = {"reference": f"Organization/{organization_id(access.facility)}"}
    if access.address:
        agent["network"] = {"address": access.address, "type": "2"}
    return agent


def _patient(patient: str) -> dict[str, Any]:
    return {
        "what": {"reference": f"Patient/{patient}"},
        "type": {"system": ENTITY_TYPE, "code": "1"},
        "role": {"system": OBJECT_ROLE, "code": "1"},
    }


def _data(key: Key) -> dict[str, Any]:
    return {
        "what": {"reference": f"{key.type}/{key.id}"},
        "type": {"system": ENTITY_TYPE, "code": "2"},
        "role": {"system": OBJECT_ROLE, "code": "4"},
    }


def _query(type: str, query: str) -> dict[str, Any]:
    asked = f"{type}?{query}" if query else type
    return {
        "type": {"system": ENTITY_TYPE, "code": "2"},
        "role": {"system": OBJECT_ROLE, "code": "24"},
        "query": base64.b64encode(asked.encode()).decode(),
    }
