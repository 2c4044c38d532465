"""Instance history, newest first. https://hl7.org/fhir/R4/http.html#history"""

from __future__ import annotations

from starlette.responses import Response

from hub.api.bundles import bundle, past
from hub.api.call import Call
from hub.api.paging import count_of, page_link, position_of, query_pairs
from hub.api.responses import json_answer
from hub.errors import Invalid

KNOWN = frozenset({"_count", "_format", "_pretty"})


async def history(call: Call) -> Response:
    key = call.key
    pairs = query_pairs(call)
    unknown = sorted({name for name, _ in pairs} - KNOWN)
    if unknown:
        raise Invalid(f"history takes _count, not {unknown[0][:64]}")
    path = f"{key.type}/{key.id}/_history"
    position = position_of(call, path, pairs)
    count = max(1, count_of(dict(pairs).get("_count"), 20))
    versions = await call.hub.door.history(call.access, key, count=count + 1, before=int(position) if position else None)
    page = versions[:count]
    links = {"self": page_link(call, path, pairs)}
    if len(versions) > count:
        links["next"] = page_link(call, path, pairs, str(page[-1].version))
    total = len(page) if position is None and len(versions) <= count else None
    entries = [past(version, call.base) for version in page]
    return json_answer(bundle("history", entries, links=links, now=call.hub.clock(), total=total))
