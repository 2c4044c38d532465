"""Search of one type, by GET and by POST _search. https://hl7.org/fhir/R4/http.html#search"""

from __future__ import annotations

from dataclasses import replace

from starlette.responses import Response

from hub.api.bundles import bundle, found, warning
from hub.api.call import Call
from hub.api.formats import presentation_of
from hub.api.negotiation import NotJson, body_of, format_of, media_type
from hub.api.paging import Pairs, page_link, position_of, query_pairs
from hub.api.parameters import pairs_of, parsed
from hub.api.responses import json_answer
from hub.api.shape import Shape
from hub.errors import Invalid, operation_outcome
from hub.search.query import SearchQuery
from hub.store.port import SearchPage

FORM = "application/x-www-form-urlencoded"
FORM_BYTES = 256 * 1024


async def search(call: Call) -> Response:
    return await answer(call, call.type, query_pairs(call))


async def search_by_post(call: Call) -> Response:
    """Criteria in the body keep names out of logs."""
    body = await body_of(call.request, FORM_BYTES)
    if body and media_type(call.request.headers.get("content-type", "")) != FORM:
        raise NotJson(f"a search by POST is sent as Content-Type: {FORM}")
    try:
        form = body.decode()
    except UnicodeDecodeError:
        raise Invalid("the form is not UTF-8") from None
    pairs = pairs_of(form)
    _present(call, dict(pairs))
    return await answer(call, call.type, [*query_pairs(call), *pairs])


def _present(call: Call, form: dict[str, str]) -> None:
    """`_format` and `_pretty` in the form count as in the address."""
    asked = presentation_of(call.request.scope)
    if asked is not None and "_format" in form:
        asked.format = format_of(form["_format"], "")
    if asked is not None and "_pretty" in form:
        asked.pretty = form["_pretty"] == "true"


async def answer(call: Call, kind: str, pairs: Pairs) -> Response:
    shape = Shape.of(dict(pairs))
    search = parsed(call, kind, pairs)
    used = list(search.self_parameters)
    query = replace(_counted(search.query, shape), after=position_of(call, kind, used))
    page = await call.hub.door.search(call.access, query, asked="&".join(f"{name}={value}" for name, value in used))
    links = {"self": page_link(call, kind, used)}
    entries = []
    if query.count:
        base = call.base
        entries = [found(version, base, "match", shape.body(version)) for version in page.matches]
        entries += [found(version, base, "include", shape.body(version)) for version in page.included]
        if page.next is not None:
            links["next"] = page_link(call, kind, used, page.next)
    entries += [warning(operation_outcome(text, code=code, severity="warning")) for code, text in _notes(search.ignored, page)]
    return json_answer(bundle("searchset", entries, links=links, now=call.hub.clock(), total=page.total))


def _counted(query: SearchQuery, shape: Shape) -> SearchQuery:
    """_summary=count: the number alone."""
    return replace(query, count=0, total="accurate") if shape.summary == "count" else query


def _notes(ignored: tuple[str, ...], page: SearchPage) -> list[tuple[str, str]]:
    notes = [("not-supported", f"the search parameter {name[:64]} was left out") for name in ignored]
    if page.truncated_includes:
        notes.append(("too-costly", "more resources would have been included than one page may hold"))
    return notes
