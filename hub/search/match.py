"""Whether a resource in memory fulfils a condition: the meaning that every store's own query must have.

Serves subscriptions, the tests' oracle, and the stores for what no index decides: composites, text, distance.
https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from html import unescape
from typing import Any, Protocol

from hub.search import words
from hub.search.compare import date_matches, is_version_of, matches, matches_with, number_matches
from hub.search.entries import Entry, Reference, Value
from hub.search.extract import composite_matches, extract
from hub.search.near import box, distance, position
from hub.search.parameters import registry
from hub.search.quantities import quantities
from hub.search.query import (
    AllOf,
    AnyOf,
    Chain,
    CompositeValue,
    Condition,
    Criterion,
    CriterionValue,
    DateValue,
    Has,
    NearValue,
    Not,
    ReferenceValue,
    StringValue,
    TokenValue,
)

__all__ = [
    "Indexed",
    "World",
    "body_fulfils",
    "candidates",
    "date_matches",
    "fulfils",
    "is_version_of",
    "matches",
    "matches_with",
    "needs_body",
    "number_matches",
]

Resource = dict[str, Any]

# Modifiers that only the entries themselves decide: _filter's ew, eq and ne of strings and tokens.
OF_ENTRIES = frozenset({"ends", "equal", "unequal"})
NARRATIVE = frozenset({"_text", "_content"})


@dataclass(frozen=True, slots=True)
class Indexed:
    """A resource with its index entries, as a store would keep it."""

    type: str
    id: str
    updated: int  # UTC ms
    resource: Resource
    entries: Sequence[Entry]

    @classmethod
    def of(cls, resource: Resource, id: str, updated: int) -> Indexed:
        return cls(resource["resourceType"], id, updated, resource, extract(resource))

    def values(self, code: str) -> Iterator[Value]:
        return (entry.value for entry in self.entries if entry.parameter == code)


class World(Protocol):
    """The other resources that the asker may see."""

    def get(self, type: str, id: str) -> Indexed | None: ...

    def referring(self, type: str, code: str, to: Indexed) -> Iterable[Indexed]:
        """Those of `type` that refer to `to` by the reference parameter `code`."""


def fulfils(one: Indexed, condition: Condition, world: World) -> bool:
    match condition:
        case Criterion():
            return _criterion(one, condition)
        case AllOf(conditions):
            return all(fulfils(one, each, world) for each in conditions)
        case AnyOf(conditions):
            return any(fulfils(one, each, world) for each in conditions)
        case Not(inner):
            return not fulfils(one, inner, world)
        case Chain(code, target, inner):
            return any(fulfils(other, inner, world) for other in _referred(one, code, target, world))
        case Has(source, code, inner):
            return any(fulfils(other, inner, world) for other in world.referring(source, code, one))


def _referred(one: Indexed, code: str, target: str, world: World) -> Iterator[Indexed]:
    for value in one.values(code):
        if isinstance(value, Reference) and value.type == target:
            other = world.get(target, value.id)
            if other is not None:
                yield other


def _criterion(one: Indexed, criterion: Criterion) -> bool:
    if criterion.missing is not None:
        return _has_value(one, criterion) != criterion.missing
    fulfilled = any(_value(one, criterion, value) for value in criterion.values)
    return not fulfilled if criterion.modifier == "not" else fulfilled


def _has_value(one: Indexed, criterion: Criterion) -> bool:
    return criterion.code in ("_id", "_lastUpdated") or any(True for _ in one.values(criterion.code))


def _value(one: Indexed, criterion: Criterion, asked: CriterionValue) -> bool:
    match criterion.code, asked:
        case "_id", TokenValue(_, code):
            return (one.id == code) != (criterion.modifier == "unequal")
        case "_lastUpdated", DateValue():
            return date_matches(one.updated, one.updated + 1, asked)
    if needs_body(criterion):
        return _body_value(one.resource, criterion, asked, lambda: one.values(criterion.code))
    return any(matches_with(entry, asked, criterion.modifier) for entry in one.values(criterion.code))


# -- what is decided on the resource itself


def needs_body(criterion: Criterion) -> bool:
    """An index alone cannot tell: a store asks `body_fulfils` of each of its `candidates`."""
    if criterion.missing is not None:
        return False
    canonical = criterion.type == "reference" and criterion.modifier in ("above", "below")
    return canonical or criterion.type in ("composite", "special") or criterion.modifier in OF_ENTRIES


def may_fulfil(body: bytes, criterion: Criterion) -> bool:
    """Before a resource is read from its JSON for a criterion that `needs_body`: False, where a look at it tells already."""
    if criterion.code not in NARRATIVE:
        return True
    return any(words.may_hold(words.parsed(value.text), body) for value in criterion.values if isinstance(value, StringValue))


def body_fulfils(resource: Resource, criterion: Criterion) -> bool:
    """One criterion that `needs_body`, of the resource as it was loaded from its JSON."""
    if criterion.code == "_id":
        return any(isinstance(each, TokenValue) and each.code != resource.get("id") for each in criterion.values)
    entries = cache(lambda: [entry.value for entry in extract(resource) if entry.parameter == criterion.code])
    return any(_body_value(resource, criterion, value, entries) for value in criterion.values)


def _body_value(resource: Resource, criterion: Criterion, asked: CriterionValue, values: Callable[[], Iterable[Value]]) -> bool:
    match criterion.code, asked:
        case "_text", StringValue(text):
            return words.holds(words.parsed(text), [narrative(resource)])
        case "_content", StringValue(text):
            return words.holds(words.parsed(text), [narrative(resource), *_strings(resource)])
        case _, CompositeValue():
            parameter = registry().get(resource.get("resourceType", ""), criterion.code)
            return parameter is not None and composite_matches(resource, parameter, asked)
        case _, NearValue(latitude, longitude, metres):
            place = position(resource)
            return place is not None and distance(*place, latitude, longitude) <= metres
    entries = _as_written(list(values()))
    return any(matches_with(entry, asked, criterion.modifier) for entry in entries)


def _as_written(entries: list[Value]) -> list[Value]:
    """A canonical with a version is indexed without it, too: here only as it stands."""
    versioned = {entry.id.partition("|")[0] for entry in entries if isinstance(entry, Reference) and "|" in entry.id}
    return [entry for entry in entries if not (isinstance(entry, Reference) and entry.id in versioned)]


_TAG = re.compile(r"<[^<>]*>")


def narrative(resource: Resource) -> str:
    """The text of Narrative.div, without its markup."""
    text = resource.get("text")
    div = text.get("div") if isinstance(text, dict) else None
    return unescape(_TAG.sub(" ", div)) if isinstance(div, str) else ""


def _strings(element: Any) -> Iterator[str]:
    """Every string of the resource but its narrative's markup and its attachments' data."""
    if isinstance(element, str):
        yield element
    elif isinstance(element, dict):
        for name, value in element.items():
            if name not in ("div", "data"):
                yield from _strings(value)
    elif isinstance(element, list):
        for value in element:
            yield from _strings(value)


def candidates(resource_type: str, criterion: Criterion) -> Condition | None:
    """For a criterion that `needs_body`: what its matches fulfil by the indexes, to ask first; None where no index helps."""
    if criterion.code in NARRATIVE or criterion.code == "_id":
        return None
    found = [_candidates_of(resource_type, criterion, value) for value in criterion.values]
    narrowed = tuple(each for each in found if each is not None)
    return AnyOf(narrowed) if len(narrowed) == len(found) else None


def _candidates_of(resource_type: str, criterion: Criterion, value: CriterionValue) -> Condition | None:
    match value:
        case NearValue():
            return box(value)
        case CompositeValue():
            return _parts(resource_type, criterion.code, value)
        case StringValue() if criterion.modifier in ("ends", "equal"):
            looser = "contains" if criterion.modifier == "ends" else ""
            return Criterion(criterion.code, criterion.type, (value,), looser)
        case ReferenceValue(_, identity) if criterion.modifier == "above":
            url, bar, version = identity.partition("|")
            numbers = version.split(".") if bar else []
            wholes = [url, *(f"{url}|{'.'.join(numbers[:length])}" for length in range(1, len(numbers) + 1))]
            return Criterion(criterion.code, criterion.type, tuple(ReferenceValue("", each) for each in wholes))
        case ReferenceValue(_, identity):
            return Criterion(criterion.code, criterion.type, (ReferenceValue("", identity.partition("|")[0]),))
    return Criterion(criterion.code, criterion.type, (), "missing", False)


def _parts(resource_type: str, code: str, value: CompositeValue) -> Condition | None:
    """Each component that is like a parameter of the type is asked as that one."""
    parameter = registry().get(resource_type, code)
    found: list[Condition] = []
    for component, part in zip(parameter.components if parameter is not None else (), value.parts, strict=False):
        like = registry().get(resource_type, component.code)
        if like is not None and like.type == component.type:
            one = (part,)
            found.append(quantities(like.code, one) if like.type == "quantity" else Criterion(like.code, like.type, one))
    return AllOf(tuple(found)) if found else None
