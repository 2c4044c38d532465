"""Does the resource keep what a profile demands? Those in its meta.profile and those that the caller names.

Cardinality, types, fixed values, patterns, bindings, limits, invariants, slices, profiles of extensions and data types. What cannot
be checked here is said, as information: a check that is silent would be taken for a passed one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, Literal

from hub.errors import Kind
from profiles.fhirpath import CannotCompile, CannotEvaluate, Env
from profiles.fhirpath.outside import compile_outside
from profiles.fhirpath.values import TooMuch, compared, same
from profiles.validation.bindings import Codes, binding_issue, coded_in
from profiles.validation.extensions import extensions_in, stands_right
from profiles.validation.invariants import facts
from profiles.validation.issues import Place, Severity, ValidationIssue, words
from profiles.validation.outline import CORE, Find, Json, NotUsable, Outline, outline_of
from profiles.validation.present import Present, values_of
from profiles.validation.slicing import NotChecked, Sliced, has_pattern, matcher
from profiles.validation.standard import standard_profile
from profiles.validation.tables import resource_type_names

MAX_DEPTH = 8  # profiles within profiles
MAX_PROFILES = 20  # of one resource
MAX_FOUND = 200
MAX_STEPS = 500_000  # values that are looked at, for all profiles of a resource
LOOKUP = 2_000  # steps that a search for a definition counts as


class ProfileCheck:
    def __init__(self, find: Find, codes: Codes, *, unknown: Literal["warning", "error"] = "warning") -> None:
        """`find` gives a StructureDefinition by its canonical address; `codes` asks a terminology; `unknown`: the severity."""
        self._definition = find
        self._known: dict[str, Json | None] = {}
        self._codes = codes
        self._unknown = unknown
        self._outlines: dict[str, tuple[str, Outline] | str] = {}
        self._issues: list[ValidationIssue] = []
        self._env = Env(None, None)
        self._whole: Json = {}
        self._profile = ""
        self._depth = 0
        self._left = 0

    def issues(self, resource: Json, also: Sequence[str] = (), *, advice: bool = False) -> list[ValidationIssue]:
        """The resource's structure is right already. `also`: profiles that the caller names, so that each must be known."""
        self._issues, self._left, self._whole = [], MAX_STEPS, resource
        kind = str(resource["resourceType"])
        try:
            self._resource(resource, kind, also)
            self._extensions(resource, kind)
            if advice:
                self._extensible(resource, kind)
        except TooMuch:
            said = "it takes too many steps to check by its profiles and extensions"
            self._issues.insert(0, ValidationIssue(kind, said, Kind.TOO_COSTLY, "error", "profile"))
        return self._issues

    def _resource(self, resource: Json, place: Place | str, also: Sequence[str] = ()) -> None:
        self._env = Env(resource, resource)
        kind, stated = str(resource["resourceType"]), resource.get("meta", {}).get("profile", ())
        for canonical in list(dict.fromkeys(map(str, (*also, *stated))))[:MAX_PROFILES]:
            self._against(canonical, resource, kind, place, "error" if canonical in also else self._unknown)
        for at, inner in inside(resource, place):
            if "profile" in (inner.get("meta") or ()):
                self._resource(inner, at)

    def _against(self, canonical: str, value: Any, kind: str, place: Place | str, unknown: Severity) -> None:
        if canonical == CORE + kind or self._depth >= MAX_DEPTH:
            return
        found = self._outline(canonical)
        if isinstance(found, str):
            self._say(place, found, unknown if found == UNKNOWN else "information", canonical)
            return
        type_, outline = found
        if type_ != kind:
            other = type_ if type_ in resource_type_names() else "another type"
            self._say(place, f"the profile is one of {other}, not of {kind}", "error", canonical)
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

    def _extensions(self, resource: Json, place: str) -> None:
        """Those with an address of their own; a relative one is a part of what it stands in, and checked with it."""
        for found in extensions_in(resource, place):
            self._spend(1)
            if ":" not in found.url:
                continue
            definition = self._find(found.url)
            if definition is None:
                severity: Severity = "warning" if found.modifies else "information"
                self._say(found.place, "the extension is not known here and was not checked", severity, found.url)
                continue
            if not stands_right(definition, found):
                self._say(found.place, "the extension does not belong on this element", "warning", found.url)
            self._against(found.url, found.value, "Extension", found.place, "information")

    def _extensible(self, resource: Json, kind: str) -> None:
        for place, type_, value, binding in coded_in(resource, kind, kind):
            self._spend(1)
            found = binding_issue(binding, type_, value, self._codes)
            if found and found[0] == "warning":
                said = f"{found[1]} ({binding['valueSet']})"
                self._add(ValidationIssue(words(place), said, Kind.CODE_INVALID, "warning", "binding"))

    def _find(self, canonical: str) -> Json | None:
        """Each is looked up once. Raise TooMuch."""
        if canonical not in self._known:
            self._spend(LOOKUP)
            self._known[canonical] = self._definition(canonical)
        return self._known[canonical]

    # -- elements

    def _children(self, outline: Outline, value: Json, kind: str, place: Place | str) -> None:
        for child in outline.children.values():
            present = list(values_of(child.name, value, kind, place))
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
        taken: dict[int, int] = {}
        for order, slice in enumerate(outline.slices.values()):
            self._spend(len(present))
            try:
                matches = self._by_name(slice) or matcher(outline, slice, self)
                mine = [n for n, each in enumerate(present) if n not in taken and matches(Sliced(each.type, each.value))]
            except NotChecked as reason:
                self._say(place, f"slice {slice.slice} is not checked: it is told {reason}", "information")
                return
            taken |= dict.fromkeys(mine, order)
            self._count(slice, len(mine), place)
            for number in mine:
                self._value(slice, present[number], present[number].place)
        self._others(outline.slicing or {}, present, taken)

    def _others(self, slicing: Json, present: list[Present], taken: dict[int, int]) -> None:
        """https://hl7.org/fhir/R4/elementdefinition.html#ElementDefinition.slicing.rules"""
        last = max(taken, default=-1)
        for number, each in enumerate(present):
            if number not in taken and slicing.get("rules") == "closed":
                self._say(each.place, "the value belongs to no slice, and no others are allowed")
            elif number not in taken and slicing.get("rules") == "openAtEnd" and number < last:
                self._say(each.place, "the value belongs to no slice, and others are allowed at the end only")
        if slicing.get("ordered"):
            stated = [taken[number] for number in sorted(taken)]
            if stated != sorted(stated):
                self._say((*present[0].place[:2], -1), "the values do not stand in the order of the slices")

    def _by_name(self, slice: Outline) -> Callable[[Sliced], bool] | None:
        """value[x]:valueQuantity is told by its type. https://hl7.org/fhir/R4/profiling.html#slicing"""
        if not slice.name.endswith("[x]"):
            return None
        types = frozenset(slice.types) or {slice.slice.removeprefix(slice.name.removesuffix("[x]"))}
        return lambda value: value.type in types

    # -- what a discriminator asks for beside the value

    def outlined(self, canonical: str) -> tuple[str, Outline]:
        kind = canonical.removeprefix(CORE)
        found = (kind, Outline()) if kind in resource_type_names() else self._outline(canonical)
        if isinstance(found, str):
            raise NotChecked("by a profile that is not known here")
        return found

    def conforms(self, canonical: str, sliced: Sliced) -> bool:
        """Asked aside: what is wrong with it is said once it is known to be meant."""
        self.outlined(canonical)
        if self._depth >= MAX_DEPTH:
            raise NotChecked("by profiles within profiles without end")
        told, self._issues = self._issues, []
        self._against(canonical, sliced.value, sliced.type, sliced.type, "error")
        broken, self._issues = any(issue.severity == "error" for issue in self._issues), told
        return not broken

    def referred(self, reference: Json) -> Json:
        found = self._near(str(reference.get("reference", "")))
        if found is None:
            raise NotChecked("by what is referred to and not at hand")
        return found

    def type_referred(self, reference: Json) -> str:
        stated = str(reference.get("reference", ""))
        if (found := self._near(stated)) is not None:
            return str(found.get("resourceType", ""))
        kind = stated.partition("/_history/")[0].rpartition("/")[0].rpartition("/")[2] or str(reference.get("type", ""))
        if kind not in resource_type_names():
            raise NotChecked("by the type of a reference that does not state it")
        return kind

    def _near(self, reference: str) -> Json | None:
        """Contained, or in the Bundle that is checked."""
        if reference.startswith("#"):
            return next((each for each in self._env.root.get("contained", ()) if each.get("id") == reference[1:]), None)
        for entry in self._whole.get("entry", ()) if self._whole["resourceType"] == "Bundle" else ():
            self._spend(1)
            resource = entry.get("resource", {})
            if reference and reference in (entry.get("fullUrl"), f"{resource.get('resourceType')}/{resource.get('id')}"):
                return dict(resource)
        return None

    # -- issues

    def _say(
        self, place: Place | str, message: str, severity: Severity = "error", profile: str = "", kind: Kind = Kind.PROCESSING
    ) -> None:
        profile = profile or self._profile
        said = f"{message} (profile {profile[:200]})"
        self._add(ValidationIssue(words(place), said, kind, severity, profile or "profile"))

    def _add(self, issue: ValidationIssue) -> None:
        """Once: a profile may name what is checked for itself, too. What is merely told takes no errors' room."""
        room = MAX_FOUND if issue.severity == "information" else 2 * MAX_FOUND
        if len(self._issues) < room and issue not in self._issues:
            self._issues.append(issue)


@cache
def _standard_outline(url: str) -> tuple[str, Outline]:
    return outline_of(standard_profile(url) or {}, standard_profile)


def inside(resource: Json, place: Place | str) -> Iterator[tuple[Place, Json]]:
    """The resources that stand in it: contained, entries of a Bundle, parameters."""
    for name, below in (("contained", ""), ("entry", "resource"), ("parameter", "resource")):
        for number, each in enumerate(resource.get(name, ())):
            found = each.get(below) if below else each
            if isinstance(found, dict) and "resourceType" in found:
                at: Place = (place, name, number)
                yield (at, below, -1) if below else at, found


def names_profiles(resource: Json) -> bool:
    """In its own meta, or in that of a resource in it."""
    return any("profile" in (each.get("meta") or ()) for each in (resource, *(found for _, found in inside(resource, ""))))


UNKNOWN = "the profile is not known here and was not checked"


def _is_unnamed(outline: Outline) -> bool:
    """Backbone elements are named by their path here, ids and urls have a type of FHIRPath's own."""
    unnamed = {"BackboneElement", "Element", "Resource", "DomainResource"}
    return not unnamed.isdisjoint(outline.types) or any(code.startswith("http:") for code in outline.types)


def _equal(value: Any, fixed: Any) -> bool:
    return value == fixed if isinstance(value, (dict, list)) else same(value, fixed)


@cache
def _base_keys() -> frozenset[str]:
    """Constraints of the definitions themselves: a snapshot repeats them, and they are checked already."""
    return frozenset(fact.key for fact in facts())
