"""Does the resource keep what a profile demands? Those in its meta.profile and those that the caller names.

Cardinality, types, fixed values, patterns, bindings, limits, invariants, slices, profiles of extensions and data types. What cannot
be checked here is said, as information: a check that is silent would be taken for a passed one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, Literal, NamedTuple

from hub.errors import Kind
from profiles import structures
from profiles.fhirpath import CannotCompile, CannotEvaluate, Env
from profiles.fhirpath.outside import compile_outside
from profiles.fhirpath.types import by_element
from profiles.fhirpath.values import TooMuch, compared, same
from profiles.validation.bindings import Codes, binding_issue
from profiles.validation.invariants import facts
from profiles.validation.issues import Place, Severity, ValidationIssue, words
from profiles.validation.outline import CORE, Find, Json, NotUsable, Outline, outline_of
from profiles.validation.slicing import NotChecked, Sliced, has_pattern, matcher
from profiles.validation.standard import standard_profile
from profiles.validation.tables import resource_type_names

MAX_DEPTH = 8  # profiles within profiles
MAX_PROFILES = 20  # of one resource
MAX_FOUND = 200
MAX_STEPS = 500_000  # values that are looked at, for all profiles of a resource


class Present(NamedTuple):
    """One value of an element: where it stands and of which type it is."""

    place: Place
    type: str
    value: Any


class ProfileCheck:
    def __init__(self, find: Find, codes: Codes, *, unknown: Literal["warning", "error"] = "warning") -> None:
        """`find` gives a StructureDefinition by its canonical address; `codes` asks a terminology; `unknown`: the severity."""
        self._find = find
        self._codes = codes
        self._unknown = unknown
        self._outlines: dict[str, tuple[str, Outline] | str] = {}
        self._issues: list[ValidationIssue] = []
        self._env = Env(None, None)
        self._profile = ""
        self._depth = 0
        self._left = 0

    def issues(self, resource: Json, also: Sequence[str] = ()) -> list[ValidationIssue]:
        """The resource's structure is right already. `also`: profiles that the caller names, so that each must be known."""
        self._issues, self._left = [], MAX_STEPS
        kind = str(resource["resourceType"])
        try:
            self._resource(resource, kind, also)
        except TooMuch:
            self._say(kind, "the profile takes too many steps to check", kind=Kind.TOO_COSTLY)
        return self._issues

    def _resource(self, resource: Json, place: Place | str, also: Sequence[str] = ()) -> None:
        self._env = Env(resource, resource)
        kind, stated = str(resource["resourceType"]), resource.get("meta", {}).get("profile", ())
        for canonical in list(dict.fromkeys(map(str, (*also, *stated))))[:MAX_PROFILES]:
            self._against(canonical, resource, kind, place, "error" if canonical in also else self._unknown)
        if resource["resourceType"] == "Bundle":
            for number, entry in enumerate(resource.get("entry", ())):
                if "profile" in (entry.get("resource", {}).get("meta") or ()):
                    self._resource(entry["resource"], ((place, "entry", number), "resource", -1))

    def _against(self, canonical: str, value: Any, kind: str, place: Place | str, unknown: Severity) -> None:
        if canonical == CORE + kind or self._depth >= MAX_DEPTH:
            return
        found = self._outline(canonical)
        if isinstance(found, str):
            self._say(place, found, unknown if found == UNKNOWN else "information", canonical)
            return
        type_, outline = found
        if type_ != kind:
            self._say(place, f"the profile is of {type_ if type_ in resource_type_names() else 'another type'}", "error", canonical)
            return
        before, self._profile = self._profile, canonical
        self._depth += 1
        self._value(outline, Present((place, "", -1), kind, value), place)
        self._depth -= 1
        self._profile = before

    def _outline(self, canonical: str) -> tuple[str, Outline] | str:
        if canonical not in self._outlines:
            definition = self._find(canonical)
            try:
                if definition is not None and definition is standard_profile(canonical):
                    self._outlines[canonical] = _standard_outline(canonical)
                else:
                    self._outlines[canonical] = UNKNOWN if definition is None else outline_of(definition, self._find)
            except NotUsable as error:
                self._outlines[canonical] = f"the profile is not checked: {error}"
        return self._outlines[canonical]

    # -- elements

    def _children(self, outline: Outline, value: Json, kind: str, place: Place | str) -> None:
        for child in outline.children.values():
            present = list(_present(child.name, value, kind, place))
            self._count(child, len(present), (place, child.name.removesuffix("[x]"), -1))
            for each in present:
                self._value(child, each, each.place)
            if child.slices:
                self._slices(child, present, (place, child.name.removesuffix("[x]"), -1))

    def _count(self, outline: Outline, count: int, place: Place) -> None:
        named = f"slice {outline.slice} of it " if outline.slice else ""
        if count < outline.min:
            self._say(place, f"{named}stands at least {outline.min} times, not {count}")
        if outline.max.isdigit() and count > int(outline.max):
            self._say(place, f"{named}stands at most {outline.max} times, not {count}")

    def _value(self, outline: Outline, present: Present, place: Place | str) -> None:
        self._spend(1)
        value = present.value
        if outline.types and present.type not in outline.types and not _is_unnamed(outline):
            self._say(place, f"the type is one of {', '.join(list(outline.types)[:8])}")
            return
        if outline.fixed is not None and not _equal(value, outline.fixed):
            self._say(place, "the value is not the one that is fixed")
        if outline.pattern is not None and not has_pattern(value, outline.pattern):
            self._say(place, "the value has not all that the pattern states")
        self._limits(outline, value, place)
        if outline.binding is not None and (found := binding_issue(outline.binding, present.type, value, self._codes)):
            self._say(place, found[1], found[0], kind=Kind.CODE_INVALID)
        for constraint in outline.constraints.values():
            if constraint.get("key") not in _base_keys():
                self._constraint(constraint, present, place)
        if isinstance(value, dict):
            self._children(outline, value, present.type, place)
            self._typed(outline, present, place)

    def _typed(self, outline: Outline, present: Present, place: Place | str) -> None:
        """A profile of the data type itself: an extension's definition, mostly; and the types that a reference may point to."""
        stated = outline.types.get(present.type, {})
        profiles = stated.get("profile", ())
        if len(profiles) == 1 and profiles[0] != CORE + "SimpleQuantity":
            self._against(profiles[0], present.value, present.type, place, self._unknown)
        targets = {str(each).removeprefix(CORE) for each in stated.get("targetProfile", ())}
        reference = present.value.get("reference") if present.type == "Reference" else None
        if isinstance(reference, str) and targets and targets <= resource_type_names():
            kind = reference.split("/")[-2] if reference.count("/") else ""
            if kind in resource_type_names() and kind not in targets:
                self._say(place, f"a reference to {kind} is not allowed here: {', '.join(sorted(targets)[:8])}")

    def _spend(self, steps: int) -> None:
        self._left -= steps
        if self._left < 0:
            raise TooMuch("it takes too many steps")

    def _limits(self, outline: Outline, value: Any, place: Place | str) -> None:
        limits = outline.limits
        if "maxLength" in limits and isinstance(value, str) and len(value) > limits["maxLength"]:
            self._say(place, f"the text is longer than {limits['maxLength']} characters")
        if "minValue" in limits and compared([value], [limits["minValue"]]) == -1:
            self._say(place, "the value is below the least allowed")
        if "maxValue" in limits and compared([value], [limits["maxValue"]]) == 1:
            self._say(place, "the value is above the greatest allowed")

    def _constraint(self, constraint: Json, present: Present, place: Place | str) -> None:
        key, expression = str(constraint.get("key", "")), constraint.get("expression")
        severity: Severity = "warning" if constraint.get("severity") == "warning" else "error"
        if not isinstance(expression, str):
            self._say(place, f"{key} has no FHIRPath and is not checked", "information")
            return
        self._env.context = present.value
        try:
            if compile_outside(expression, present.type).truth(present.value, self._env) is not True:
                self._say(place, f"{key}: {constraint.get('human', '')}"[:300], severity)
        except (CannotCompile, CannotEvaluate) as error:
            self._say(place, f"{key} is not checked: {error}"[:300], "information")

    # -- slices

    def _slices(self, outline: Outline, present: list[Present], place: Place) -> None:
        taken: set[int] = set()
        for slice in outline.slices.values():
            try:
                matches = self._by_name(slice) or matcher(outline, slice)
            except NotChecked as reason:
                self._say(place, f"slice {slice.slice} is not checked: it is told {reason}", "information")
                return
            self._spend(len(present))
            mine = [n for n, each in enumerate(present) if n not in taken and matches(Sliced(each.type, each.value))]
            taken.update(mine)
            self._count(slice, len(mine), place)
            for number in mine:
                self._value(slice, present[number], present[number].place)
        if (outline.slicing or {}).get("rules") == "closed":
            for number, each in enumerate(present):
                if number not in taken:
                    self._say(each.place, "the value belongs to no slice, and no others are allowed")

    def _by_name(self, slice: Outline) -> Callable[[Sliced], bool] | None:
        """value[x]:valueQuantity is told by its type. https://hl7.org/fhir/R4/profiling.html#slicing"""
        if not slice.name.endswith("[x]"):
            return None
        types = frozenset(slice.types) or {slice.slice.removeprefix(slice.name.removesuffix("[x]"))}
        return lambda value: value.type in types

    # -- issues

    def _say(
        self, place: Place | str, message: str, severity: Severity = "error", profile: str = "", kind: Kind = Kind.PROCESSING
    ) -> None:
        if len(self._issues) < MAX_FOUND:
            profile = profile or self._profile
            self._issues.append(
                ValidationIssue(words(place), f"{message} (profile {profile[:200]})", kind, severity, profile or "profile")
            )


@cache
def _standard_outline(url: str) -> tuple[str, Outline]:
    return outline_of(standard_profile(url) or {}, standard_profile)


UNKNOWN = "the profile is not known here and was not checked"


def _present(name: str, value: Json, kind: str, place: Place | str) -> Iterator[Present]:
    """The values of one element: of value[x] whichever stands there; a resource inside another is of its own type."""
    element = name.removesuffix("[x]")
    kind = str(value.get("resourceType", kind))
    members = by_element(kind).get(element) or tuple(m for m in (structures.members(kind).get(name),) if m is not None)
    for member in members:
        found = value.get(member.name)
        beside = value.get(f"_{member.name}") if member.primitive else None
        if isinstance(found, list):
            for number, each in enumerate(found):
                yield Present((place, member.name, number), _type(member.type, each), each)
        elif found is not None:
            yield Present((place, member.name, -1), _type(member.type, found), found)
        elif beside is not None:
            yield Present((place, member.name, -1), member.type, None)


def _is_unnamed(outline: Outline) -> bool:
    """Backbone elements are named by their path here, ids and urls have a type of FHIRPath's own."""
    unnamed = {"BackboneElement", "Element", "Resource", "DomainResource"}
    return not unnamed.isdisjoint(outline.types) or any(code.startswith("http:") for code in outline.types)


def _type(kind: str, value: Any) -> str:
    return str(value.get("resourceType", kind)) if kind == "Resource" and isinstance(value, dict) else kind


def _equal(value: Any, fixed: Any) -> bool:
    return value == fixed if isinstance(value, (dict, list)) else same(value, fixed)


@cache
def _base_keys() -> frozenset[str]:
    """Constraints of the definitions themselves: a snapshot repeats them, and they are checked already."""
    return frozenset(fact.key for fact in facts())
