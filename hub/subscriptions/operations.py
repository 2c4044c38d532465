"""Subscription/$status, $events and $get-ws-binding-token.

https://hl7.org/fhir/uv/subscriptions-backport/operations.html
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterable
from typing import Any

import msgspec
from starlette.responses import Response

from hub.api.call import Call
from hub.api.responses import json_answer
from hub.clock import instant
from hub.errors import Invalid, NotFound
from hub.search.query import Criterion, SearchQuery, TokenValue
from hub.security.reads import Reads
from hub.store.port import Key
from hub.subscriptions.binding import binding_token
from hub.subscriptions.capabilities import websocket_address
from hub.subscriptions.outbox import Registration, events_in, number_in, progress_in, registration_in
from hub.subscriptions.payload import notification, seen, status_parameters

CONTENTS = ("empty", "id-only", "full-resource")
MOST_STATED, MOST_EVENTS = 100, 100
Stated = list[tuple[str, str]]


async def status(call: Call) -> Response:
    """Of one Subscription, or of those named by `id`, or with a status named by `status`, or of all."""
    stated = await _stated(call, ("id", "status"))
    ids, states = _values(stated, "id"), _values(stated, "status")
    if "id" in call.request.path_params:
        ids = [call.request.path_params["id"]]
    base = call.hub.county.subscriptions.base or call.base

    def work(reads: Reads) -> list[dict[str, Any]]:
        found = [each for each in _registrations(call, reads, ids) if not states or each.state in states]
        return [_status(call, each, base) for each in found]

    found = await call.hub.door.reading(call.access, work, interaction="operation", type="Subscription", asked="$status")
    if ids and not found and not states:
        raise NotFound("no Subscription with this id")
    entries = [{"fullUrl": f"urn:uuid:{each['id']}", "resource": each, "search": {"mode": "match"}} for each in found]
    bundle = {"resourceType": "Bundle", "id": str(uuid.uuid4()), "type": "searchset", "total": len(found)}
    return json_answer({**bundle, **({"entry": entries} if entries else {})})


def _status(call: Call, registration: Registration, base: str) -> dict[str, Any]:
    store = call.hub.store
    problem = progress_in(store, registration.id).problem
    total = number_in(store, registration.id)
    return status_parameters(registration, "query-status", [], total=total, base=base, problem=problem)


def _registrations(call: Call, reads: Reads, ids: list[str]) -> Iterable[Registration]:
    asked = (Criterion("_id", "token", tuple(TokenValue(None, id) for id in ids[:MOST_STATED])),) if ids else ()
    for version in reads.search(SearchQuery("Subscription", asked, count=MOST_STATED)).matches:
        registration = registration_in(call.hub.store, version.id)
        if registration is not None:
            yield registration


async def events(call: Call) -> Response:
    """Those from `eventsSinceNumber` to `untilNumber`, as far as they are kept and the caller may see them."""
    key = Key("Subscription", call.request.path_params["id"])
    stated = await _stated(call, ("eventsSinceNumber", "untilNumber", "content"))
    first, last = _number(stated, "eventsSinceNumber", 1), _number(stated, "untilNumber", 10**11 - 1)
    content = (_values(stated, "content") or [""])[0]
    if content and content not in CONTENTS:
        raise Invalid(f"content is one of {', '.join(CONTENTS)}")
    base = call.hub.county.subscriptions.base or call.base

    def work(reads: Reads) -> bytes:
        reads.read(key)
        registration = registration_in(call.hub.store, key.id)
        if registration is None:
            raise NotFound("no Subscription with this id")
        registration = msgspec.structs.replace(registration, content=content or registration.content or "id-only")
        found = events_in(call.hub.store, key.id, after=max(0, first - 1), limit=MOST_EVENTS)
        shown = seen(reads, [each for each in found if each.number <= last])
        total, now = number_in(call.hub.store, key.id), call.hub.clock()
        return notification(registration, "query-event", shown, total=total, now=now, base=base)

    body = await call.hub.door.reading(call.access, work, interaction="operation", key=key)
    return json_answer(msgspec.Raw(body))


async def get_ws_binding_token(call: Call) -> Response:
    stated = await _stated(call, ("id",))
    ids = [call.request.path_params["id"]] if "id" in call.request.path_params else _values(stated, "id")
    if not ids or len(ids) > MOST_STATED:
        raise Invalid(f"name the Subscriptions by id, at most {MOST_STATED}")
    keys = [Key("Subscription", id) for id in dict.fromkeys(ids)]
    found = await call.hub.door.read_many(call.access, keys, interaction="operation")
    if len(found) < len(keys):
        raise NotFound("no Subscription with one of these ids")
    token, expires = await asyncio.to_thread(binding_token, call.hub, call.access, [key.id for key in keys])
    parameters = [
        {"name": "token", "valueString": token},
        {"name": "expiration", "valueDateTime": instant(expires)},
        *({"name": "subscription", "valueString": key.id} for key in keys),
        {"name": "websocket-url", "valueUrl": websocket_address(call.base)},
    ]
    return json_answer({"resourceType": "Parameters", "parameter": parameters})


async def _stated(call: Call, names: tuple[str, ...]) -> Stated:
    """What the address and, by POST, the Parameters say. Raise Invalid for what the operation does not take."""
    pairs = [pair for pair in call.request.query_params.multi_items() if pair[0] not in ("_format", "_pretty")]
    if call.request.method == "POST" and call.request.headers.get("content-length", "0") != "0":
        sent = await call.resource()
        if sent["resourceType"] != "Parameters":
            raise Invalid("the operation takes Parameters", expression=("resourceType",))
        for part in sent.get("parameter", ()):
            pairs += [(str(part.get("name", "")), str(value)) for name, value in part.items() if name.startswith("value")]
    if any(name not in names for name, _ in pairs):
        raise Invalid(f"the operation takes {', '.join(names)}")
    return pairs


def _values(stated: Stated, name: str) -> list[str]:
    return [each for key, value in stated if key == name for each in value.split(",") if each]


def _number(stated: Stated, name: str, otherwise: int) -> int:
    text = (_values(stated, name) or [str(otherwise)])[0]
    if not (text.isascii() and text.isdigit() and len(text) <= 11):
        raise Invalid(f"{name} is a number")
    return int(text)


_TYPE, _ONE = "/fhir/Subscription", "/fhir/Subscription/{id}"
SUBSCRIPTION_ROUTES = tuple(
    (method, address, run, False)
    for address, run in (
        (f"{_TYPE}/$status", status),
        (f"{_ONE}/$status", status),
        (f"{_ONE}/$events", events),
        (f"{_TYPE}/$get-ws-binding-token", get_ws_binding_token),
        (f"{_ONE}/$get-ws-binding-token", get_ws_binding_token),
    )
    for method in ("GET", "POST")
)
