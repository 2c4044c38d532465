"""History of a resource, of a type and of everything: the newest change first. https://hl7.org/fhir/R4/http.html#history"""

from __future__ import annotations

from starlette.responses import Response

from hub.api.bundles import bundle, past
from hub.api.call import Call
from hub.api.paging import count_of, page_link, position_of, query_pairs
from hub.api.responses import json_answer
from hub.errors import Invalid
from hub.search.dates import interval

KNOWN = frozenset({"_count", "_since", "_at", "_format", "_pretty"})
PAGE = 20


async def of_instance(call: Call) -> Response:
    key = call.key
    return await _page(call, f"{key.type}/{key.id}/_history", type=key.type, id=key.id)


async def of_type(call: Call) -> Response:
    return await _page(call, f"{call.type}/_history", type=call.type)


async def of_system(call: Call) -> Response:
    return await _page(call, "_history")


async def _page(call: Call, path: str, *, type: str = "", id: str = "") -> Response:
    pairs = query_pairs(call)
    stated = _stated(pairs)
    count = count_of(stated.get("_count"), PAGE)
    since = _interval(call, "_since", stated["_since"])[0] if "_since" in stated else None
    at = _interval(call, "_at", stated["_at"]) if "_at" in stated else None
    after = position_of(call, path, pairs)
    page = await call.hub.door.changes(
        call.access,
        lambda reads: reads.changes(type=type, id=id, count=max(1, count), since=since, at=at, after=after),
        type=type,
        id=id,
        asked="&".join(f"{name}={value}" for name, value in pairs),
    )
    links = {"self": page_link(call, path, pairs)}
    if page.next is not None and count:
        links["next"] = page_link(call, path, pairs, page.next)
    entries = [past(version, call.base) for version in page.versions] if count else []
    return json_answer(bundle("history", entries, links=links, now=call.hub.clock(), total=page.total))


def _stated(pairs: list[tuple[str, str]]) -> dict[str, str]:
    unknown = sorted({name for name, _ in pairs} - KNOWN)
    if unknown:
        raise Invalid(f"a history takes _count, _since and _at, not {unknown[0][:64]}", expression=(unknown[0][:64],))
    stated = dict(pairs)
    if len(stated) != len(pairs):
        raise Invalid("a history takes each parameter once")
    return stated


def _interval(call: Call, name: str, text: str) -> tuple[int, int]:
    """A day stands for the whole of it; `_since` counts from its beginning."""
    try:
        return interval(text.replace(" ", "+"), call.hub.county.zone)  # a zone's plus that was not escaped
    except ValueError:
        raise Invalid(f"{name} is a date or a time of FHIR", expression=(name,)) from None
