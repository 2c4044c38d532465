"""Events → what a subscriber is sent: R4's resource or nothing; a topic's notification Bundle.

https://hl7.org/fhir/uv/subscriptions-backport/notifications.html
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from hub import fhir_json, fhir_xml
from hub.clock import instant
from hub.errors import Gone, NotFound
from hub.security.reads import Reads
from hub.store.port import Key, Version
from hub.subscriptions.outbox import Change, Numbered, Registration

PROFILES = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-subscription-"
NOTIFICATION, STATUS = f"{PROFILES}notification-r4", f"{PROFILES}status-r4"
_MADE_BY: dict[Change, tuple[str, str]] = {"create": ("POST", "201"), "update": ("PUT", "200"), "delete": ("DELETE", "204")}

Kind = Literal["handshake", "heartbeat", "event-notification", "query-status", "query-event"]


class Seen(msgspec.Struct, frozen=True):
    """An event as its receiver may know it: without a version, it may not be told of what or whom it is."""

    numbered: Numbered
    version: Version | None
    deleted: bool = False

    @property
    def known(self) -> bool:
        return self.version is not None or self.deleted


def seen(reads: Reads, events: Iterable[Numbered]) -> list[Seen]:
    """What the reader may see of the events now, each resource as it was then."""
    return [_seen(reads, numbered) for numbered in events]


def _seen(reads: Reads, numbered: Numbered) -> Seen:
    event = numbered.event
    key = Key(event.type, event.id)
    try:
        if event.change == "delete":
            reads.newest(key)
            return Seen(numbered, None, deleted=True)
        return Seen(numbered, reads.vread(key, event.version))
    except (NotFound, Gone):
        return Seen(numbered, None)


def translated(body: bytes, mime: str) -> bytes:
    return fhir_xml.from_json(body) if mime.endswith("xml") else body


def notification(
    registration: Registration, kind: Kind, events: list[Seen], *, total: int, now: int, base: str = "", problem: str = ""
) -> bytes:
    """A Bundle of type history: the status first, then what the content asked for allows."""
    status = status_parameters(registration, kind, events, total=total, base=base, problem=problem)
    entries: list[dict[str, Any]] = [
        {
            "fullUrl": f"urn:uuid:{uuid.uuid4()}",
            "resource": status,
            "request": {"method": "GET", "url": f"Subscription/{registration.id}/$status"},
            "response": {"status": "200"},
        }
    ]
    if registration.content in ("id-only", "full-resource"):
        entries += [_entry(each, base, full=registration.content == "full-resource") for each in events if each.known]
    bundle = {
        "resourceType": "Bundle",
        "id": str(uuid.uuid4()),
        "meta": {"profile": [NOTIFICATION]},
        "type": "history",
        "timestamp": instant(now),
        "entry": entries,
    }
    return fhir_json.dump(bundle)


def _entry(each: Seen, base: str, *, full: bool) -> dict[str, Any]:
    event = each.numbered.event
    name = f"{event.type}/{event.id}"
    method, status = _MADE_BY[event.change]
    entry: dict[str, Any] = {"fullUrl": f"{base.rstrip('/')}/{name}"} if base else {}
    if full and each.version is not None:
        entry["resource"] = msgspec.Raw(each.version.body)
    entry["request"] = {"method": method, "url": event.type if method == "POST" else name}
    entry["response"] = {"status": status, "lastModified": instant(event.at)}
    return entry


def status_parameters(
    registration: Registration, kind: Kind, events: list[Seen], *, total: int, base: str = "", problem: str = ""
) -> dict[str, Any]:
    """SubscriptionStatus as R4 has it."""
    prefix = f"{base.rstrip('/')}/" if base else ""
    parameters: list[dict[str, Any]] = [
        {"name": "subscription", "valueReference": {"reference": f"{prefix}Subscription/{registration.id}"}},
        *([{"name": "topic", "valueCanonical": registration.topic}] if registration.topic else []),
        {"name": "status", "valueCode": registration.state},
        {"name": "type", "valueCode": kind},
        {"name": "events-since-subscription-start", "valueString": str(total)},
    ]
    parameters += [_event(each, prefix, told=registration.content != "empty") for each in events]
    if problem:
        parameters.append({"name": "error", "valueCodeableConcept": {"text": problem}})
    return {"resourceType": "Parameters", "id": str(uuid.uuid4()), "meta": {"profile": [STATUS]}, "parameter": parameters}


def _event(each: Seen, prefix: str, *, told: bool) -> dict[str, Any]:
    event = each.numbered.event
    part: list[dict[str, Any]] = [
        {"name": "event-number", "valueString": str(each.numbered.number)},
        {"name": "timestamp", "valueInstant": instant(event.at)},
    ]
    if told and each.known:
        part.append({"name": "focus", "valueReference": {"reference": f"{prefix}{event.type}/{event.id}"}})
    return {"name": "notification-event", "part": part}
