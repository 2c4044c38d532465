"""Which slice a value belongs to. https://hl7.org/fhir/R4/profiling.html#discriminator

A discriminator is a path that the profile and the value are both followed along: members, extension('url'), ofType(T), resolve().
A reference is followed into the resource itself and into the Bundle around it; what lies elsewhere is said to be not checked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Protocol

from profiles.fhirpath.types import by_element, names_in
from profiles.validation.outline import Json, Outline


class Sliced(NamedTuple):
    type: str
    value: Any


class NotChecked(ValueError):
    """The discriminator is of a kind that is not followed, or leads where nothing can be seen."""


class Around(Protocol):
    """What else a discriminator may ask for."""

    def outlined(self, canonical: str) -> tuple[str, Outline]:
        """Type and outline of another profile. Raise NotChecked for one that is not known."""

    def conforms(self, canonical: str, sliced: Sliced) -> bool: ...

    def referred(self, reference: Json) -> Json:
        """The resource. Raise NotChecked for one that is not at hand."""

    def type_referred(self, reference: Json) -> str: ...


Matches = Callable[[Sliced], bool]
Steps = tuple[str, ...]
BY_URL: Json = {"discriminator": [{"type": "value", "path": "url"}]}
"""How extensions are sliced wherever they stand: a differential need not say it."""
RESOLVE = "resolve()"
_step = re.compile(r"[A-Za-z]\w*(?:\('[^']*'\)|\(\w*\))?")
_called = re.compile(r"(extension|ofType)\('?([^')]+)'?\)").fullmatch


def matcher(sliced: Outline, slice: Outline, around: Around) -> Matches:
    """Raise NotChecked; what it gives may raise it, too."""
    stated = sliced.slicing or (BY_URL if sliced.name in ("extension", "modifierExtension") else {})
    tests = [_test(found, slice, around) for found in stated.get("discriminator", ())]
    if not tests:
        raise NotChecked("without a discriminator")
    return lambda value: all(test(value) for test in tests)


def _test(discriminator: Json, slice: Outline, around: Around) -> Matches:
    kind, steps = discriminator.get("type"), _steps(str(discriminator.get("path", "")))
    if kind not in TESTS:
        raise NotChecked("by a kind of discriminator that R4 does not have")
    return TESTS[kind](slice, steps, around)


def _steps(path: str) -> Steps:
    """Raise NotChecked for a path that is not followed."""
    plain = path.removeprefix("$this").removeprefix(".")
    steps = tuple(_step.findall(plain))
    if ".".join(steps) != plain or any("(" in step and step != RESOLVE and not _called(step) for step in steps):
        raise NotChecked("by a path that is not followed")
    return steps


# -- the kinds of discriminators


def _by_value(slice: Outline, steps: Steps, around: Around) -> Matches:
    expected = [(outline, steps[:depth]) for outline, depth in _below(slice, steps, around) if _says(outline)]
    if not expected:
        return _by_extension(slice, steps)
    return lambda value: all(any(agrees(outline, seen.value) for seen in _seen(value, path, around)) for outline, path in expected)


def _by_extension(slice: Outline, steps: Steps) -> Matches:
    """A slice of extensions may name its profile alone: the profile's address is the extension's url."""
    profiles = frozenset(_named(slice, "profile"))
    if steps != ("url",) or not profiles:
        raise NotChecked("by what no slice states")
    return lambda value: isinstance(value.value, dict) and value.value.get("url") in profiles


def _by_existence(slice: Outline, steps: Steps, around: Around) -> Matches:
    forbidden = any(outline.max == "0" for outline, _ in _below(slice, steps, around))
    return lambda value: any(True for _ in _seen(value, steps, around)) is not forbidden


def _by_type(slice: Outline, steps: Steps, around: Around) -> Matches:
    if steps[-1:] == (RESOLVE,):
        path = steps[:-1]
        types = {
            around.outlined(profile)[0] for outline in _ends(slice, path, around) for profile in _named(outline, "targetProfile")
        }
        told: Callable[[Sliced], str] = lambda seen: around.type_referred(seen.value)  # noqa: E731
    else:
        path = steps
        types = {code for outline in _ends(slice, path, around) for code in outline.types}
        told = _type_of
    if not types:
        raise NotChecked("by a type that no slice states")
    return lambda value: any(told(seen) in types for seen in _seen(value, path, around))


def _by_profile(slice: Outline, steps: Steps, around: Around) -> Matches:
    referring = steps[-1:] == (RESOLVE,)
    name, path = ("targetProfile", steps[:-1]) if referring else ("profile", steps)
    profiles = [profile for outline in _ends(slice, path, around) for profile in _named(outline, name)]
    if not profiles:
        raise NotChecked("by a profile that no slice states")
    return lambda value: any(around.conforms(profile, seen) for seen in _seen(value, steps, around) for profile in profiles)


TESTS: dict[Any, Callable[[Outline, Steps, Around], Matches]] = {
    "value": _by_value,
    "pattern": _by_value,
    "exists": _by_existence,
    "type": _by_type,
    "profile": _by_profile,
}


# -- along the profile


def _named(outline: Outline, name: str) -> Iterator[str]:
    return (profile for stated in outline.types.values() for profile in stated.get(name, ()))


def _ends(slice: Outline, steps: Steps, around: Around) -> list[Outline]:
    return [outline for outline, depth in _below(slice, steps, around) if depth == len(steps)]


def _below(slice: Outline, steps: Steps, around: Around) -> Iterator[tuple[Outline, int]]:
    """What the slice says at the end of the path, also in slices that must be there; or above it, by a value that is whole."""
    reached = [slice]
    for depth, step in enumerate(steps):
        yield from ((outline, depth) for outline in reached if outline.fixed is not None or outline.pattern is not None)
        reached = [below for outline in reached for below in _one_below(outline, step, around)]
    yield from ((outline, len(steps)) for outline in reached)


def _one_below(outline: Outline, step: str, around: Around) -> Iterator[Outline]:
    if step == RESOLVE:
        yield from (around.outlined(profile)[1] for profile in _named(outline, "targetProfile"))
        return
    called = _called(step)
    if called and called[1] == "ofType":
        if not outline.types or called[2] in outline.types:
            yield outline
        return
    children = _children(outline, step, called[2] if called else "")
    yield from children
    if not children:  # what it does not say itself, a profile of its type may
        yield from (found for profile in _named(outline, "profile") for found in _children(around.outlined(profile)[1], step, ""))


def _children(outline: Outline, step: str, url: str) -> list[Outline]:
    if url:
        extensions = outline.children.get("extension", outline).slices.values()
        return [each for each in extensions if _is_extension(each, url)]
    below = [child for name in (step, f"{step}[x]") if (child := outline.children.get(name))]
    return below + [inner for child in below for inner in child.slices.values() if inner.min > 0]


def _is_extension(slice: Outline, url: str) -> bool:
    stated = slice.children.get("url")
    return url in _named(slice, "profile") or (stated is not None and stated.fixed == url)


# -- along the value


def _seen(value: Sliced, steps: Iterable[str], around: Around) -> list[Sliced]:
    seen = [value]
    for step in steps:
        seen = [found for each in seen if isinstance(each.value, dict) for found in _one_seen(each, step, around)]
    return seen


def _one_seen(each: Sliced, step: str, around: Around) -> Iterator[Sliced]:
    if step == RESOLVE:
        found = around.referred(each.value)
        yield Sliced(str(found.get("resourceType", "")), found)
    elif (called := _called(step)) is None:
        for member in by_element(_type_of(each)).get(step, ()):
            yield from (Sliced(member.type, found) for found in _list(each.value.get(member.name)))
    elif called[1] == "ofType":
        if _type_of(each) == called[2]:
            yield each
    else:
        yield from (Sliced("Extension", found) for found in each.value.get("extension", ()) if found.get("url") == called[2])


def _type_of(sliced: Sliced) -> str:
    return str(sliced.value.get("resourceType", sliced.type)) if isinstance(sliced.value, dict) else sliced.type


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
    if value is None:
        return []
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
