"""Search criteria inside a request: If-None-Exist, conditional references, `Type?…` in a Bundle."""

from __future__ import annotations

from urllib.parse import parse_qsl

from hub.api.call import Call
from hub.errors import Invalid
from hub.search.parse import ParsedSearch, parse_search
from hub.search.query import SearchQuery

Pairs = list[tuple[str, str]]
OF_THE_ANSWER = frozenset({"_format", "_pretty"})


def pairs_of(query: str) -> Pairs:
    try:
        return parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=200)
    except ValueError:
        raise Invalid("the search parameters are not well-formed UTF-8, or too many") from None


def parsed(call: Call, kind: str, pairs: Pairs) -> ParsedSearch:
    """`Prefer: handling=lenient` leaves out what is not understood. https://hl7.org/fhir/R4/search.html#errors"""
    lenient = call.prefers("handling") == "lenient"
    return parse_search(kind, pairs, lenient=lenient, now=call.hub.clock(), zone=call.hub.county.zone, base=call.base)


def no_criteria(call: Call) -> None:
    """Of a create, or a write by id: it would not look at them. Raise Invalid."""
    stated = call.request.url.query
    refuse_criteria(call.request.method, pairs_of(stated) if stated else [])


def refuse_criteria(method: str, pairs: Pairs) -> None:
    """https://hl7.org/fhir/R4/http.html#ccreate: those of a create stand in If-None-Exist. Raise Invalid."""
    for name, _ in pairs:
        if name not in OF_THE_ANSWER:
            where = "If-None-Exist" if method == "POST" else "Type?criteria, without an id"
            raise Invalid(f"this write takes no parameter {name[:64]!r}; criteria stand in {where}", expression=(name[:64],))


def plain_criteria(kind: str, stated: str, base: str) -> str:
    """Of If-None-Exist: the part after `?`. Some clients, HAPI's for one, state the address before it as well."""
    address, _, query = stated.partition("?")
    return query if address in ("", kind, f"/{kind}", f"{base}/{kind}") else stated


def criteria(call: Call, kind: str, query: str) -> SearchQuery:
    """Criteria of a conditional interaction: at least one, and never read leniently."""
    pairs = [(name, value) for name, value in pairs_of(plain_criteria(kind, query, call.base)) if name not in OF_THE_ANSWER]
    search = parse_search(kind, pairs, now=call.hub.clock(), zone=call.hub.county.zone, base=call.base)
    if not search.query.criteria:
        raise Invalid("a conditional interaction needs search criteria")
    return search.query
