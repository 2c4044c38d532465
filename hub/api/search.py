"""Search by GET and by POST _search: of one type, of several or all, and of a compartment. https://hl7.org/fhir/R4/http.html#search"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from starlette.responses import Response

from hub.api import compartment, walk
from hub.api.bundles import bundle, found, warning
from hub.api.call import Call
from hub.api.formats import presentation_of
from hub.api.negotiation import NotJson, body_of, format_of, media_type
from hub.api.paging import Pairs, page_link, position_of, query_pairs
from hub.api.parameters import pairs_of, parsed
from hub.api.responses import json_answer
from hub.api.shape import Shape
from hub.errors import Invalid, NotFound, operation_outcome
from hub.search.parameters import registry
from hub.search.parse import SystemSearch, parse_system_search
from hub.search.query import SearchQuery
from hub.search.reading import BY_NAME_ALONE, MAX_INCLUDED
from hub.security.reads import Reads
from hub.store.port import Key, SearchPage
from profiles.validation import known_type

FORM = "application/x-www-form-urlencoded"
FORM_BYTES = 256 * 1024


async def search(call: Call) -> Response:
    return await answer(call, call.type, query_pairs(call))


async def search_by_post(call: Call) -> Response:
    """Criteria in the body keep names out of logs."""
    return await answer(call, call.type, await form_pairs(call))


async def search_system(call: Call) -> Response:
    return await _several(call, "", query_pairs(call))


async def search_system_by_post(call: Call) -> Response:
    return await _several(call, "", await form_pairs(call))


async def search_compartment(call: Call) -> Response:
    return await _in_compartment(call, query_pairs(call))


async def search_compartment_by_post(call: Call) -> Response:
    return await _in_compartment(call, await form_pairs(call))


async def form_pairs(call: Call) -> Pairs:
    """The parameters of the form after those of the address."""
    body = await body_of(call.request, FORM_BYTES)
    if body and media_type(call.request.headers.get("content-type", "")) != FORM:
        raise NotJson(f"a search by POST is sent as Content-Type: {FORM}")
    try:
        form = body.decode()
    except UnicodeDecodeError:
        raise Invalid("the form is not UTF-8") from None
    pairs = pairs_of(form)
    _present(call, dict(pairs))
    return [*query_pairs(call), *pairs]


def _present(call: Call, form: dict[str, str]) -> None:
    """`_format` and `_pretty` in the form count as in the address."""
    asked = presentation_of(call.request.scope)
    if asked is not None and "_format" in form:
        asked.format = format_of(form["_format"], "")
    if asked is not None and "_pretty" in form:
        asked.pretty = form["_pretty"] == "true"


async def answer(call: Call, kind: str, pairs: Pairs) -> Response:
    """A search of one type."""
    shape = Shape.of(dict(pairs))
    search = parsed(call, kind, pairs)
    used = list(search.self_parameters)
    query = replace(_counted(search.query, shape), after=position_of(call, kind, used))
    page = await call.hub.door.search(call.access, query, asked=_asked(used))
    return _searchset(call, _links(call, kind, used, query.after, page), page, shape, query.count, search.ignored)


# -- several types


async def _in_compartment(call: Call, pairs: Pairs) -> Response:
    key, kind = call.key, call.request.path_params["kind"]
    types = compartment.types_of(key.type)
    if kind != "*":
        if not known_type(kind) or kind not in types:
            raise NotFound(f"no resources of this type lie in the compartment of a {key.type}")
        types = frozenset({kind})
    return await _several(call, f"{key.type}/{key.id}/{kind}", pairs, types, key)


async def _several(
    call: Call, path: str, pairs: Pairs, types: frozenset[str] | None = None, compartment_of: Key | None = None
) -> Response:
    shape = Shape.of(dict(pairs))
    readable = call.hub.door.reads(call.access).scope.types
    asked = (types or registry().types) & (readable if readable is not None else registry().types)
    if len(asked) > 1 and not any(name == "_type" for name, _ in pairs):
        asked -= BY_NAME_ALONE
    search = _parsed(call, asked, pairs)
    used = list(search.self_parameters)
    queries = [_counted(query, shape) for query in search.queries]
    position = position_of(call, path, used)
    stated = f"{path}?{_asked(used)}" if path else _asked(used)
    page = await call.hub.door.reading(
        call.access,
        lambda reads: _page(reads, queries, position, compartment_of),
        action="E",
        interaction="search-system" if compartment_of is None else "search-type",
        type=queries[0].type if len(queries) == 1 else "Resource",
        asked=stated,
    )
    return _searchset(call, _links(call, path, used, position, page), page, shape, queries[0].count, search.ignored)


def _parsed(call: Call, types: frozenset[str], pairs: Pairs) -> SystemSearch:
    lenient = call.prefers("handling") == "lenient"
    return parse_system_search(types, pairs, lenient=lenient, now=call.hub.clock(), zone=call.hub.county.zone, base=call.base)


def _page(reads: Reads, queries: Sequence[SearchQuery], position: str | None, key: Key | None) -> SearchPage:
    if key is not None:
        reads.read(key)  # nothing is told of a compartment whose owner the caller may not see
        queries = [replace(q, criteria=(compartment.condition_of(reads, key, q.type), *q.criteria)) for q in queries]
    count = queries[0].count
    if not count:
        page = SearchPage(())
    elif walk.by_last_updated(queries):
        page = walk.merged(reads, queries, count, position)
    else:
        page = walk.walk(reads, queries, count, position)
    if page.total is None and queries[0].total == "accurate":
        page = replace(page, total=walk.counted(reads, queries))
    return page


# -- the answer


def _links(call: Call, path: str, used: Pairs, position: str | None, page: SearchPage) -> dict[str, str]:
    """`self` leads to this page again, with what of the query was used; there is no way back but to the first."""
    links = {"self": page_link(call, path, used, position or "")}
    if position is not None:
        links["first"] = page_link(call, path, used)
    if page.next is not None:
        links["next"] = page_link(call, path, used, page.next)
    return links


def _searchset(call: Call, links: dict[str, str], page: SearchPage, shape: Shape, count: int, ignored: tuple[str, ...]) -> Response:
    entries = []
    if count:
        base = call.base
        entries = [found(version, base, "match", shape.body(version)) for version in page.matches]
        entries += [found(version, base, "include", shape.body(version)) for version in page.included]
    entries += [warning(operation_outcome(text, code=code, severity="warning")) for code, text in _notes(ignored, page)]
    return json_answer(bundle("searchset", entries, links=links, now=call.hub.clock(), total=page.total))


def _asked(used: Pairs) -> str:
    return "&".join(f"{name}={value}" for name, value in used)


def _counted(query: SearchQuery, shape: Shape) -> SearchQuery:
    """_summary=count and _count=0: the number alone. https://hl7.org/fhir/R4/search.html#count"""
    alone = shape.summary == "count" or not query.count
    return replace(query, count=0, total="accurate") if alone else query


def _notes(ignored: tuple[str, ...], page: SearchPage) -> list[tuple[str, str]]:
    notes = [("not-supported", f"the search parameter {name[:64]} was left out") for name in ignored]
    if page.truncated_includes:
        most = f"more than {MAX_INCLUDED} resources would stand beside these matches, the others were left out"
        notes.append(("too-costly", f"{most}: ask for fewer matches at a time by _count, or include less"))
    return notes
