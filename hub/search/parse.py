"""The parameters of a search, as they stand in the URL or form → SearchQuery, typed by the SearchParameters of the type.

What is not understood is an error that names the parameter, never ignored in silence; with `lenient` it is left out and said.
A message names parameters and never repeats a value: a value may be a patient's name. https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hub.errors import Invalid
from hub.search.dates import DEFAULT_ZONE
from hub.search.filter import filter_condition
from hub.search.parameters import registry
from hub.search.paths import condition
from hub.search.query import SearchQuery
from hub.search.reading import (
    DEFAULT_COUNT,
    MAX_ASKED,
    MAX_COUNT,
    MAX_LENGTH,
    MAX_PARAMETERS,
    MAX_VALUES,
    Budget,
    Context,
    NotUnderstood,
    shown,
    too_costly,
)
from hub.search.results import REPEATABLE, RESULT, Draft
from hub.search.values import split, unescape

__all__ = [
    "DEFAULT_COUNT",
    "MAX_COUNT",
    "MAX_VALUES",
    "PRESENTATION",
    "NotUnderstood",
    "ParsedSearch",
    "SystemSearch",
    "parse_search",
    "parse_system_search",
    "shown",
    "split",
    "unescape",
]

# For the one who writes the response; accepted here and kept in the self link.
PRESENTATION = frozenset({"_format", "_pretty", "_summary", "_elements"})
OFTEN = REPEATABLE | {"_format", "_pretty"}

TYPES_AT_FULL_PRICE = 8  # each of so many types of one search may be asked as much as one alone


@dataclass(frozen=True, slots=True)
class ParsedSearch:
    query: SearchQuery
    ignored: tuple[str, ...] = ()  # names left out by lenient handling
    self_parameters: tuple[tuple[str, str], ...] = ()  # what was used, as it was written, for the self link


def parse_search(
    resource_type: str,
    parameters: Sequence[tuple[str, str]],
    *,
    lenient: bool = False,
    now: int,
    zone: str = DEFAULT_ZONE,
    base: str = "",
) -> ParsedSearch:
    """Parse decoded name and value pairs. `now` (UTC ms) is for `ap`; `base` is this server's own address, in references.

    Raise Invalid for what is unknown, unsupported or malformed, TooCostly for what is beyond the limits.
    """
    if resource_type not in registry().types:
        raise Invalid(f"{shown(resource_type)} is not an R4 resource type")
    _check_limits(parameters)
    context = Context(now, zone, base.rstrip("/"))
    draft = Draft(resource_type)
    ignored: list[str] = []
    used: list[tuple[str, str]] = []
    for name, value in parameters:
        try:
            _read(name, value, draft, context)
            used.append((name, value))
        except NotUnderstood:
            if not lenient:
                raise
            ignored.append(name)
    return ParsedSearch(_query(draft), tuple(ignored), tuple(used))


@dataclass(frozen=True, slots=True)
class SystemSearch:
    """One search of several types: a query for each, of the same parameters."""

    queries: tuple[SearchQuery, ...]
    ignored: tuple[str, ...] = ()
    self_parameters: tuple[tuple[str, str], ...] = ()


def parse_system_search(
    types: Iterable[str],
    parameters: Sequence[tuple[str, str]],
    *,
    lenient: bool = False,
    now: int,
    zone: str = DEFAULT_ZONE,
    base: str = "",
) -> SystemSearch:
    """`types`: those that may be asked, which `_type` narrows. Every parameter must be one of all of them.

    https://hl7.org/fhir/R4/search.html#all
    """
    _check_limits(parameters)
    asked = _types(types, [value for name, value in parameters if name == "_type"])
    budget = Budget(values=MAX_ASKED * min(len(asked), TYPES_AT_FULL_PRICE))
    context = Context(now, zone, base.rstrip("/"), budget)
    drafts = [Draft(each, frozenset(asked)) for each in asked]
    ignored: list[str] = []
    for name, value in parameters:
        if name == "_type":
            continue
        following = [draft.copy() for draft in drafts]
        try:
            for draft in following:
                _read(name, value, draft, context)
            drafts = following
        except NotUnderstood:
            if not lenient:
                raise
            ignored.append(name)
    used = tuple((name, value) for name, value in parameters if name not in ignored)
    return SystemSearch(tuple(map(_query, drafts)), tuple(ignored), used)


def _types(may: Iterable[str], stated: list[str]) -> list[str]:
    """In the order of their names; each `_type` narrows what the one before it left."""
    found = set(may)
    for text in stated:
        named = set(text.split(","))
        if named - registry().types:
            raise Invalid("_type lists resource types of FHIR R4")
        found &= named
    if not found:
        raise Invalid("_type names no type that may be searched")
    return sorted(found)


def _query(draft: Draft) -> SearchQuery:
    return SearchQuery(draft.type, tuple(draft.criteria), draft.sort, draft.count, tuple(draft.includes), draft.total)


def _check_limits(parameters: Sequence[tuple[str, str]]) -> None:
    if len(parameters) > MAX_PARAMETERS:
        raise too_costly(f"more than {MAX_PARAMETERS} search parameters")
    if sum(len(name) + len(value) for name, value in parameters) > MAX_LENGTH:
        raise too_costly(f"search parameters of more than {MAX_LENGTH} characters")


def _read(name: str, value: str, draft: Draft, context: Context) -> None:
    if name in PRESENTATION:
        _refuse_twice(name, draft)
        draft.seen.add(name)
        return
    result = RESULT.get(name)
    if result is None:
        _refuse_modifier(name)
    if name == "_filter":
        draft.criteria.append(filter_condition(draft.type, value, context))
        return
    if result is None:
        draft.criteria.append(condition(draft.type, name, value, context))
        return
    _refuse_twice(name, draft)
    result(value, draft)
    draft.seen.add(name)


def _refuse_twice(name: str, draft: Draft) -> None:
    """One of two would be ignored."""
    if name in draft.seen and name not in OFTEN:
        raise Invalid(f"{name} may be given once")


def _refuse_modifier(name: str) -> None:
    """`_sort:desc` is of an earlier release of FHIR; _include and _revinclude alone have one."""
    head, colon, modifier = name.partition(":")
    if colon and (head in RESULT or head in PRESENTATION):
        instead = ": R4 writes _sort=-date" if head == "_sort" else ""
        raise Invalid(f"{head} has no modifier {shown(modifier)}{instead}")
