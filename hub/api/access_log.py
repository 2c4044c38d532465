"""GET Patient/{id}/$access-log: who looked at one's record. An operation of ours, for the resident it is about and for admins."""

from __future__ import annotations

from starlette.responses import Response

from hub.api.bundles import bundle
from hub.api.call import Call
from hub.api.paging import count_of, page_link, query_pairs
from hub.api.responses import json_answer
from hub.errors import Invalid
from hub.records.looks import events_about

KNOWN = frozenset({"_count", "_format", "_pretty"})
DEFAULT = 100


async def access_log(call: Call) -> Response:
    """The newest AuditEvents as a searchset; `_count` says how many. Raise NotFound for anybody else's record."""
    pairs = query_pairs(call)
    for name, _ in pairs:
        if name not in KNOWN:
            raise Invalid(f"$access-log takes _count, not {name[:64]}", expression=(name[:64],))
    patient = call.request.path_params["id"]
    count = max(1, count_of(dict(pairs).get("_count"), DEFAULT))
    events = await events_about(call.hub.door, call.access, patient, count)
    entries = [
        {"fullUrl": f"{call.base}/AuditEvent/{event['id']}", "resource": event, "search": {"mode": "match"}} for event in events
    ]
    links = {"self": page_link(call, f"Patient/{patient}/$access-log", pairs)}
    return json_answer(bundle("searchset", entries, links=links, now=call.hub.clock()))
