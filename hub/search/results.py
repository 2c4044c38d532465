"""Parameters of the result: how many, in which order, and what stands beside the matches.

https://hl7.org/fhir/R4/search.html#return
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

from hub.errors import Invalid
from hub.search.parameters import SearchParameter, registry
from hub.search.query import EVERY, Condition, Include, Sort
from hub.search.reading import DEFAULT_COUNT, MAX_COUNT, MAX_INCLUDES, MAX_SORTS, NotUnderstood, not_supported, shown, too_costly


@dataclass(slots=True)
class Draft:
    """The query while it is read. `together`: all types that one search asks for; what is included may start from any."""

    type: str
    together: frozenset[str] = frozenset()
    criteria: list[Condition] = field(default_factory=list)
    includes: dict[Include, None] = field(default_factory=dict)
    sort: tuple[Sort, ...] = ()
    count: int = DEFAULT_COUNT
    total: Literal["none", "accurate"] = "none"
    seen: set[str] = field(default_factory=set)

    def copy(self) -> Draft:
        return replace(self, criteria=[*self.criteria], includes=dict(self.includes), seen=set(self.seen))

    @property
    def matches(self) -> frozenset[str]:
        return self.together or frozenset({self.type})


def count(value: str, draft: Draft) -> None:
    if not re.fullmatch(r"\d{1,9}", value, re.ASCII):
        raise Invalid("_count is a whole number, 0 or more")
    draft.count = min(int(value), MAX_COUNT)
    if draft.count == 0:
        draft.total = "accurate"  # R4: the same as _summary=count


def total(value: str, draft: Draft) -> None:
    """An estimate is allowed to be exact."""
    if value not in ("none", "estimate", "accurate"):
        raise Invalid("_total is none, estimate or accurate")
    if value != "none":
        draft.total = "accurate"


def total_method(value: str, draft: Draft) -> None:
    """Aidbox's name for `_total`, which its client fhirpy says when it counts."""
    total({"count": "accurate", "estimate": "estimate"}.get(value, "none"), draft)


def contained(value: str, _: Draft) -> None:
    """Contained resources are not searched by themselves."""
    if value not in ("false", "true", "both"):
        raise Invalid("_contained is false, true or both")
    if value != "false":
        raise not_supported("searching contained resources by '_contained'")


def sort(value: str, draft: Draft) -> None:
    """Several keys, the first counts most; one named again changes nothing."""
    keys = value.split(",")
    if len(keys) > MAX_SORTS:
        raise too_costly(f"_sort by more than {MAX_SORTS} keys")
    found: dict[str, Sort] = {}
    for key in keys:
        found.setdefault(key.removeprefix("-"), _sort_key(key, draft.type))
    draft.sort = tuple(found.values())


def _sort_key(key: str, resource_type: str) -> Sort:
    code = key.removeprefix("-")
    if not code:
        raise Invalid("_sort names search parameters parted by commas, each with - before it for the other direction")
    if code == "_score":
        raise not_supported("_sort by '_score'")
    parameter = registry().get(resource_type, code)
    if parameter is None:
        raise NotUnderstood(f"_sort: {resource_type} has no search parameter {shown(code)}")
    if parameter.type in ("composite", "special"):
        raise not_supported(f"_sort by the {parameter.type} parameter {shown(code)}")
    return Sort(code, parameter.type, key.startswith("-"))


# -- _include and _revinclude


def include(value: str, draft: Draft, *, iterate: bool = False) -> None:
    """Without :iterate it starts from the matches; with it also from what is included."""
    name = "_include"
    source, code, target = _parts(name, value, wildcard=EVERY if iterate else draft.type)
    if source not in (*draft.matches, EVERY) and not iterate:
        matches = ", ".join(sorted(draft.matches)[:5])
        raise Invalid(f"_include: the matches are {matches}, not {shown(source)}; _include:iterate starts from the included, too")
    if code != EVERY:
        parameter = _reference_parameter(name, source, code)
        if target and parameter.target and target not in parameter.target:
            raise Invalid(f"_include: {shown(code)} never refers to a {target}")
    if iterate or source in (draft.type, EVERY):
        _add(draft, Include(source, code, target, iterate=iterate))


def revinclude(value: str, draft: Draft, *, iterate: bool = False) -> None:
    name = "_revinclude"
    source, code, target = _parts(name, value, wildcard=EVERY)
    possible = registry().types if iterate else draft.matches
    if code != EVERY:
        stated = _reference_parameter(name, source, code).target
        possible = possible.intersection(stated) if stated else possible
    if not possible or (target and target not in possible):
        raise Invalid(f"_revinclude: {shown(source)} {shown(code)} is not asked to refer to a {target or draft.type}")
    if iterate or (draft.type in possible and target in ("", draft.type)):
        _add(draft, Include(source, code, target, reverse=True, iterate=iterate))


def _add(draft: Draft, found: Include) -> None:
    draft.includes[found] = None
    if len(draft.includes) > MAX_INCLUDES:
        raise too_costly(f"more than {MAX_INCLUDES} kinds of included resources")


def _parts(name: str, value: str, *, wildcard: str) -> tuple[str, str, str]:
    """`*` alone is every reference of the `wildcard` type."""
    if value == EVERY:
        return wildcard, EVERY, ""
    parts = value.split(":")
    if len(parts) not in (2, 3):
        raise Invalid(f"{name} is Type:parameter, Type:parameter:TargetType or *")
    source, code, target = (*parts, "")[:3]
    for resource_type in (source, target):
        if resource_type and resource_type not in registry().types and not (resource_type == source == code == EVERY):
            raise Invalid(f"{name}: {shown(resource_type)} is not an R4 resource type")
    return source, code, target


def _reference_parameter(name: str, source: str, code: str) -> SearchParameter:
    parameter = registry().get(source, code)
    if parameter is None or parameter.type != "reference":
        raise NotUnderstood(f"{name}: {shown(source)} has no reference parameter {shown(code)}")
    return parameter


def _iterated(read: Callable[..., None]) -> Callable[[str, Draft], None]:
    return lambda value, draft: read(value, draft, iterate=True)


RESULT: dict[str, Callable[[str, Draft], None]] = {
    "_count": count,
    "_total": total,
    "_totalMethod": total_method,
    "_sort": sort,
    "_contained": contained,
    "_include": include,
    "_revinclude": revinclude,
    **{f"_include:{modifier}": _iterated(include) for modifier in ("iterate", "recurse")},
    **{f"_revinclude:{modifier}": _iterated(revinclude) for modifier in ("iterate", "recurse")},
}
REPEATABLE = frozenset(name for name in RESULT if "include" in name)
