"""A Subscription that a client writes: checked, registered, and stored without its secrets.

The values of channel.header go to the registration alone; the resource keeps their names with MASK for a value, for everybody who
reads, searches or exports it. A header sent back masked keeps its value, as long as endpoint and owner stay the same.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from hub.errors import HubError, Kind, NotAllowed, NotFound
from hub.search.custom import registry_in
from hub.search.dates import interval
from hub.search.parameters import in_force
from hub.security.access import Access
from hub.security.egress import Egress, NotAllowedOut
from hub.security.reads import Reads
from hub.settings import County
from hub.store.port import Resource, Transaction
from hub.subscriptions.criteria import triggers_of
from hub.subscriptions.meaning import meaning_of
from hub.subscriptions.outbox import (
    Progress,
    Registration,
    State,
    progress_in,
    put_meaning,
    put_progress,
    put_registration,
    registration_in,
    remove_registration,
    skip,
)
from hub.subscriptions.signal import ring
from hub.subscriptions.topics import topics

MASK = "********"
BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"
FILTER = f"{BACKPORT}backport-filter-criteria"
CONTENT = f"{BACKPORT}backport-payload-content"
HEARTBEAT = f"{BACKPORT}backport-heartbeat-period"
TIMEOUT = f"{BACKPORT}backport-timeout"
MOST = f"{BACKPORT}backport-max-count"

CHANNELS = ("rest-hook", "websocket")
MIMES: dict[str, Literal["application/fhir+json", "application/fhir+xml"]] = {
    "application/fhir+json": "application/fhir+json",
    "application/json": "application/fhir+json",
    "application/fhir+xml": "application/fhir+xml",
    "application/xml": "application/fhir+xml",
}
CONTENTS = ("empty", "id-only", "full-resource")
MOST_HEADERS, LONGEST_HEADER = 20, 4096
SHORTEST_HEARTBEAT, LONGEST_TIMEOUT, USUAL_MOST, LARGEST_MOST = 10, 120, 20, 100
OURS = frozenset(
    {"host", "content-length", "content-type", "content-encoding", "transfer-encoding"}
    | {"connection", "keep-alive", "upgrade", "te", "trailer", "expect"}
)
_HEADER = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}):[ \t]*([\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?)").fullmatch


class NotAccepted(HubError):
    """A Subscription that could not work."""

    kind = Kind.BUSINESS_RULE

    def __init__(self, message: str, element: str) -> None:
        super().__init__(message, expression=(f"Subscription.{element}",))


def accept(
    transaction: Transaction, reads: Reads, access: Access, resource: Resource, id: str, now: int, county: County
) -> Resource:
    """Register it, in the transaction that stores it; the resource to store. Raise NotAccepted, NotAllowed, Invalid."""
    if not access.token_id:
        raise NotAllowed("a subscription belongs to a token")
    former = registration_in(transaction, id)
    registration = _registration(resource, id, access, former)
    put_meaning(transaction, id, _understood(transaction, reads, registration, now))
    if registration.channel == "rest-hook":
        _check_endpoint(registration.endpoint, county)
    if former is None:
        skip(transaction, id)
    elif registration.live:
        put_progress(transaction, id, Progress(done=progress_in(transaction, id).done))
    put_registration(transaction, registration)
    ring()
    return _stored(resource, registration)


def withdraw(transaction: Transaction, id: str) -> None:
    """A Subscription was deleted."""
    remove_registration(transaction, id)
    ring()


def _check_endpoint(endpoint: str, county: County) -> None:
    try:
        Egress(county.egress.allow).check(endpoint)
    except NotAllowedOut as error:
        raise NotAccepted(error.message, "channel.endpoint") from None


def _registration(resource: Resource, id: str, access: Access, former: Registration | None) -> Registration:
    channel = resource["channel"]
    kind = channel["type"]
    if kind not in CHANNELS:
        raise NotAccepted(f"channel.type is one of {', '.join(CHANNELS)}", "channel.type")
    criteria = resource["criteria"]
    topic = criteria if criteria in topics() or ("?" not in criteria and ":" in criteria) else ""
    endpoint = str(channel.get("endpoint", ""))
    if kind == "rest-hook" and not endpoint:
        raise NotAccepted("a rest-hook needs an endpoint", "channel.endpoint")
    if topic and topic not in topics():
        raise NotAccepted("this topic is not offered: metadata lists those that are", "criteria")
    content = _content(channel) if topic else ""
    if topic and not content:
        raise NotAccepted("a topic needs the extension backport-payload-content", "channel.payload")
    return Registration(
        id=id,
        state=_state(resource["status"]),
        owner=access,
        channel=kind,
        criteria="" if topic else criteria,
        topic=topic,
        filters=tuple(str(each) for each in _extensions(resource.get("_criteria"), FILTER)),
        endpoint=endpoint if kind == "rest-hook" else "",
        mime=_mime(channel, topic=bool(topic)),
        content=content,
        headers=_headers(channel, endpoint, access, former) if kind == "rest-hook" else (),
        heartbeat=_number(channel, HEARTBEAT, SHORTEST_HEARTBEAT, 7 * 86_400) if topic else 0,
        timeout=_number(channel, TIMEOUT, 1, LONGEST_TIMEOUT),
        most=(_number(channel, MOST, 1, LARGEST_MOST) or USUAL_MOST) if topic else 1,
        end=_end(resource),
    )


def _state(status: str) -> State:
    """What a client may say: `active` asks for it, as `requested` does."""
    if status in ("requested", "active"):
        return "requested"
    if status == "off":
        return "off"
    raise NotAccepted("a client sets the status requested or off; error is the hub's to set", "status")


def _understood(transaction: Transaction, reads: Reads, registration: Registration, now: int) -> dict[str, Any]:
    """What the criteria stand for. Raise NotAllowed for a type that the owner may not read, Invalid if they say nothing."""
    with in_force(registry_in(transaction)):
        triggers = triggers_of(registration, now)
        for trigger in triggers:
            if reads.scope.types is not None and trigger.type not in reads.scope.types:
                raise NotAllowed(f"this role may not read {trigger.type}")
        try:
            return meaning_of(triggers, reads)
        except NotFound as error:
            raise NotAccepted(error.message, "criteria") from None


def _mime(channel: dict[str, Any], *, topic: bool) -> Literal["", "application/fhir+json", "application/fhir+xml"]:
    """Without one, R4 sends nothing but the call; a topic's Bundle is JSON then."""
    stated = str(channel.get("payload", ""))
    if not stated:
        return "application/fhir+json" if topic else ""
    mime = MIMES.get(stated.partition(";")[0].strip().lower())
    if mime is None:
        raise NotAccepted("channel.payload is application/fhir+json, application/fhir+xml or left out", "channel.payload")
    return mime


def _content(channel: dict[str, Any]) -> Literal["", "empty", "id-only", "full-resource"]:
    stated = _extensions(channel.get("_payload"), CONTENT)
    if stated and stated[0] not in CONTENTS:
        raise NotAccepted(f"the payload's content is one of {', '.join(CONTENTS)}", "channel.payload.extension")
    return stated[0] if stated else ""


def _headers(channel: dict[str, Any], endpoint: str, access: Access, former: Registration | None) -> tuple[tuple[str, str], ...]:
    known = {}
    if former is not None and former.endpoint == endpoint and former.owner.token_id == access.token_id:
        known = {name.lower(): value for name, value in former.headers}
    stated = channel.get("header") or []
    if len(stated) > MOST_HEADERS:
        raise NotAccepted(f"not more than {MOST_HEADERS} headers", "channel.header")
    return tuple(_header(str(each), known) for each in stated)


def _header(text: str, known: dict[str, str]) -> tuple[str, str]:
    found = _HEADER(text) if len(text) <= LONGEST_HEADER else None
    if found is None or found[1].lower() in OURS:
        raise NotAccepted("a header is written Name: value, in ASCII, and is none of the connection's own", "channel.header")
    name, value = found[1], found[2]
    if value == MASK:
        if name.lower() not in known:
            raise NotAccepted(
                "a header came back without its value: state it again when endpoint or owner change", "channel.header"
            )
        value = known[name.lower()]
    return name, value


def _number(channel: dict[str, Any], url: str, least: int, most: int) -> int:
    stated = _extensions(channel, url)
    if not stated:
        return 0
    if not isinstance(stated[0], int) or stated[0] > most:
        raise NotAccepted(f"{url.rpartition('/')[2]} is at most {most}", "channel.extension")
    return max(stated[0], least) if stated[0] else 0


def _end(resource: Resource) -> int:
    return interval(resource["end"])[0] if "end" in resource else 0


def _extensions(element: Any, url: str) -> list[Any]:
    """Values of the extensions with this URL."""
    found = (element or {}).get("extension") or []
    return [value for each in found if each.get("url") == url for name, value in each.items() if name.startswith("value")]


def _stored(resource: Resource, registration: Registration) -> Resource:
    """What everybody may read."""
    stored = {**resource, "status": registration.state, "channel": dict(resource["channel"])}
    stored.pop("error", None)
    if registration.headers:
        stored["channel"]["header"] = [f"{name}: {MASK}" for name, _ in registration.headers]
    return stored
