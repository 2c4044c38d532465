"""Which slice a value belongs to. https://hl7.org/fhir/R4/profiling.html#slicing

Discriminators by value, pattern, exists and type are followed along plain members; what is told only by another profile or behind a
reference is said to be not checked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from profiles.fhirpath.types import names_in
from profiles.validation.outline import Json, Outline

Matches = Callable[["Sliced"], bool]


class Sliced(NamedTuple):
    type: str
    value: Any


class NotChecked(ValueError):
    """The discriminator is of a kind that is not followed."""


def matcher(sliced: Outline, slice: Outline) -> Matches:
    """Raise NotChecked."""
    tests = [_test(found, slice) for found in (sliced.slicing or {}).get("discriminator", ())]
    if not tests:
        raise NotChecked("without a discriminator")
    return lambda value: all(test(value) for test in tests)


def _test(discriminator: Json, slice: Outline) -> Matches:
    kind, path = discriminator.get("type"), str(discriminator.get("path", ""))
    if kind == "type" and path == "$this":
        types = frozenset(slice.types)
        return lambda value: value.type in types or _resource_type(value.value) in types
    if not re.fullmatch(r"\$this|[A-Za-z]+(\.[A-Za-z]+)*", path) or kind not in ("value", "pattern", "exists"):
        raise NotChecked(f"by {kind if kind in ('type', 'profile') else 'a path'} that is not followed")
    steps = [] if path == "$this" else path.split(".")
    told = list(_below(slice, steps))
    if kind == "exists":
        forbidden = any(outline.max == "0" for outline, _ in told)
        return lambda value: bool(_found(value.value, steps)) is not forbidden
    expected = [(outline, depth) for outline, depth in told if _says(outline)]
    if not expected:
        return _by_extension(slice, steps)
    return lambda value: all(
        any(agrees(outline, found) for found in _found(value.value, steps[:depth])) for outline, depth in expected
    )


def _by_extension(slice: Outline, steps: list[str]) -> Matches:
    """A slice of extensions may name its profile alone: the profile's address is the extension's url."""
    profiles = frozenset(profile for stated in slice.types.values() for profile in stated.get("profile", ()))
    if steps != ["url"] or not profiles:
        raise NotChecked("by what no slice states")
    return lambda value: bool(profiles.intersection(_found(value.value, steps)))


def _resource_type(value: Any) -> str:
    return str(value.get("resourceType", "")) if isinstance(value, dict) else ""


def _below(slice: Outline, steps: list[str]) -> Iterator[tuple[Outline, int]]:
    """What the slice says at the end of the path, also in slices that must be there; or above it, by a value that is whole."""
    reached = [slice]
    for depth, step in enumerate(steps):
        yield from ((outline, depth) for outline in reached if outline.fixed is not None or outline.pattern is not None)
        below = [child for outline in reached for name in (step, f"{step}[x]") if (child := outline.children.get(name))]
        reached = below + [inner for child in below for inner in child.slices.values() if inner.min > 0]
    yield from ((outline, len(steps)) for outline in reached)


def _says(outline: Outline) -> bool:
    """Whether anything in it tells one value from another."""
    if outline.fixed is not None or outline.pattern is not None:
        return True
    return any(_says(child) for child in (*outline.children.values(), *outline.slices.values()))


def _found(value: Any, steps: list[str]) -> list[Any]:
    found = [value]
    for step in steps:
        found = [
            each for above in found if isinstance(above, dict) for name in names_in(above, step) for each in _list(above[name])
        ]
    return found


def _list(value: Any) -> list[Any]:
    return [each for each in value if each is not None] if isinstance(value, list) else [value]


def agrees(outline: Outline, value: Any) -> bool:
    """Whether a value has all that is fixed in the outline and below it."""
    if outline.fixed is not None and value != outline.fixed:
        return False
    if outline.pattern is not None and not has_pattern(value, outline.pattern):
        return False
    for child in outline.children.values():
        if not _says(child):
            continue
        found = _found(value, [child.name.removesuffix("[x]")])
        told = [child] if not child.slices else [each for each in child.slices.values() if each.min > 0]
        if not all(any(agrees(each, one) for one in found) for each in told):
            return False
    return True


def has_pattern(value: Any, pattern: Any) -> bool:
    """Everything that the pattern states; more may stand beside it. https://hl7.org/fhir/R4/elementdefinition.html#pattern"""
    if isinstance(pattern, dict):
        return isinstance(value, dict) and all(name in value and has_pattern(value[name], each) for name, each in pattern.items())
    if isinstance(pattern, list):
        return isinstance(value, list) and all(any(has_pattern(one, each) for one in value) for each in pattern)
    return type(value) is type(pattern) and bool(value == pattern)
