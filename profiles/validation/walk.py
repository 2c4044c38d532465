"""The walk along a resource's JSON: structure, formats, bindings, targets and invariants in one pass.

https://hl7.org/fhir/R4/json.html and https://hl7.org/fhir/R4/validation.html
An object's invariants are asked once everything below it has its right shape.
"""

from __future__ import annotations

import re
from typing import Any

from hub.errors import Kind
from profiles.fhirpath import Env
from profiles.validation.issues import Place, ValidationIssue, shown, words
from profiles.validation.narrative import narrative_fault
from profiles.validation.primitives import MAX_STRING, json_name
from profiles.validation.repeated import remember, repeated_key
from profiles.validation.tables import Element, Structure, resource_type_names, structure_of

Object = dict[str, Any]

_relative = re.compile(r"([A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}(/_history/[A-Za-z0-9\-.]{1,64})?(#.+)?").fullmatch
_elsewhere = re.compile(r"(#.*|[a-zA-Z][a-zA-Z0-9+.\-]*:\S+)").fullmatch
_typed = re.compile(r"[/?]([A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}(/_history/[A-Za-z0-9\-.]{1,64})?(#.+)?$").search


NULL = "null is allowed only where it stands for a value that has an extension, or for an extension beside a value"


class Enough(Exception):
    """More is wrong than anybody reads."""


class Walk:
    """`misshapen` and `broken` are what is wrong with the structure and by rules, each up to a limit."""

    def __init__(self, *, limit: int, warnings: bool = False) -> None:
        self.misshapen: list[ValidationIssue] = []
        self.broken: list[ValidationIssue] = []
        self._limit = limit
        self._warnings = warnings
        self._env = Env(None, None)
        self._ids: dict[str, str] | None = None  # of contained resources: their types

    # -- resources

    def resource(self, resource: Object, place: Place | str, *, contained: bool = False) -> None:
        """A resource with its own %resource; a contained one keeps the %rootResource of its container."""
        around = self._env
        self._env = Env(resource, around.root if contained else resource)
        ids, self._ids = self._ids, self._ids if contained else None
        structure = structure_of(resource["resourceType"])
        self._object(resource, structure, place)
        if "contained" in resource and not contained:
            self._unused(resource, place)
        self._env, self._ids = around, ids

    def _any_resource(self, value: Any, place: Place, *, contained: bool) -> None:
        if not isinstance(value, dict):
            self._wrong(place, f"an object is expected, not {json_name(value)}")
        elif not isinstance(kind := value.get("resourceType"), str) or kind not in resource_type_names():
            self._wrong(place, "resourceType must name a resource type of FHIR R4")
        else:
            self.resource(value, place, contained=contained)

    # -- objects

    def _object(self, value: Object, structure: Structure, place: Place | str) -> None:
        elements = structure.elements
        misshapen = len(self.misshapen)
        chosen = 0
        for name, content in value.items():
            element = elements.get(name)
            if element is None:
                self._other(name, content, value, structure, place)
                continue
            if element.many:
                self._array(content, value, name, element, place)
            elif element.valid is not None:
                if not element.valid(content) or element.codes is not None:
                    self._primitive(content, element, (place, name, -1))
                elif element.type == "xhtml":
                    self._narrative(content, (place, name, -1))
                if element.rules:
                    self._ask(element.rules, content, (place, name, -1))
            else:
                self._complex(content, element, (place, name, -1))
            if element.choice >= 0:
                if chosen >> element.choice & 1:
                    self._wrong((place, name, -1), "only one of the types of this element may be stated")
                chosen |= 1 << element.choice
        self._complete(value, structure, place)
        if len(self.misshapen) == misshapen:
            if structure.errors:
                self._ask(structure.errors, value, place)
            if self._warnings and structure.warnings:
                self._ask(structure.warnings, value, place)

    def _complete(self, value: Object, structure: Structure, place: Place | str) -> None:
        for name in structure.required:
            if name not in value and f"_{name}" not in value:
                self._wrong((place, name, -1), f"{structure.name}.{name} is required", Kind.REQUIRED)
        for names in structure.choices:
            if not any(name in value or f"_{name}" in value for name in names):
                self._wrong(place, f"{structure.name} needs one of {', '.join(names[:6])}", Kind.REQUIRED)
        if not value:
            self._wrong(place, "an object must not be empty")
        elif len(value) == 1 and "id" in value and not structure.resource:
            self._broken(place, "ele-1", "an element has a value or children beside its id", Kind.INVARIANT)
        if structure.name == "Reference":
            self._reference(value, place)

    def _other(self, name: str, content: Any, value: Object, structure: Structure, place: Place | str) -> None:
        beside = structure.elements.get(name[1:]) if name[:1] == "_" else None
        if beside is not None and beside.primitive:
            self._beside(content, beside, value.get(name[1:]), (place, name, -1))
        elif not (name == "resourceType" and structure.resource):
            self._wrong(place, f"{shown(name)} is no element of {structure.name}")

    def _complex(self, value: Any, element: Element, place: Place) -> None:
        if element.type == "Resource":
            self._any_resource(value, place, contained=place[1] == "contained")
            return
        if type(value) is not dict:
            self._wrong(place, f"an object is expected, not {json_name(value)}")
            return
        if element.passed is not None and not self._warnings and (key := repeated_key(value)) is not None:
            if key in element.passed:
                return
            told = len(self.misshapen) + len(self.broken)
            self._shaped(value, element, place)
            if told == len(self.misshapen) + len(self.broken) and len(self.broken) < self._limit:
                remember(element.passed, key)
            return
        self._shaped(value, element, place)

    def _shaped(self, value: Object, element: Element, place: Place) -> None:
        misshapen = len(self.misshapen)
        self._object(value, element.structure, place)
        if misshapen != len(self.misshapen):
            return
        if element.targets is not None:
            self._target(value, element.targets, place)
        if element.concept is not None:
            self._concept(value, element, place)
        if element.rules:
            self._ask(element.rules, value, place)

    def _array(self, content: Any, parent: Object, name: str, element: Element, place: Place | str) -> None:
        if not self._listed(content, (place, name, -1)):
            return
        if element.valid is None:
            for number, value in enumerate(content):
                self._complex(value, element, (place, name, number))
            return
        beside = parent.get(f"_{name}")
        for number, value in enumerate(content):
            if value is not None:
                self._primitive(value, element, (place, name, number))
            elif not isinstance(beside, list) or number >= len(beside) or not beside[number]:
                self._wrong((place, name, number), NULL)

    def _listed(self, content: Any, place: Place) -> bool:
        if type(content) is list and content:
            return True
        shape = "an empty array" if content == [] else json_name(content)
        self._wrong(place, f"an array with values is expected, not {shape}")
        return False

    # -- values

    def _primitive(self, value: Any, element: Element, place: Place) -> None:
        assert element.valid is not None  # noqa: S101  only called for one
        if not element.valid(value):
            self._wrong(place, _misfit(value, element, place), Kind.VALUE)
        elif element.codes is not None and value not in element.codes:
            self._broken(place, "binding", "the code is none of the required value set", Kind.CODE_INVALID)

    def _beside(self, content: Any, element: Element, value: Any, place: Place) -> None:
        """`_birthDate`: id and extensions of a primitive value; of `_given`, those of each."""
        if not element.many:
            self._extended(content, value, place)
        elif self._listed(content, place):
            values = value if isinstance(value, list) else []
            for number, each in enumerate(content):
                at = (place[0], place[1], number)
                stated = values[number] if number < len(values) else None
                if each is not None:
                    self._extended(each, stated, at)
                elif number >= len(values):
                    self._wrong(at, NULL)

    def _extended(self, content: Any, value: Any, place: Place) -> None:
        if not isinstance(content, dict):
            self._wrong(place, f"an object is expected, not {json_name(content)}")
        elif value is None or content.keys() != {"id"}:
            self._object(content, structure_of("Element"), place)

    def _narrative(self, text: str, place: Place) -> None:
        fault = narrative_fault(text)
        if fault is not None:
            self._broken(place, *fault)

    def _concept(self, value: Object, element: Element, place: Place) -> None:
        """Of several codings one must be of the value set. https://hl7.org/fhir/R4/terminologies.html#required"""
        codes = element.concept or {}
        for coding in value.get("coding", ()):
            if coding.get("code") in codes.get(coding.get("system", ""), ()):
                return
        self._broken(place, "binding", "no coding is of the required value set", Kind.CODE_INVALID)

    # -- references

    def _reference(self, value: Object, place: Place | str) -> None:
        """https://hl7.org/fhir/R4/references.html#literal"""
        reference = value.get("reference")
        if not isinstance(reference, str):
            return
        if reference[:1] == "#":
            if len(reference) > 1 and reference[1:] not in self._contained():
                self._broken((place, "reference", -1), "ref-1", "no contained resource has this id")
            return
        match = _relative(reference)
        if match is not None and match[1] in resource_type_names():
            return
        if _elsewhere(reference):
            return
        if "?" in reference and reference.partition("?")[0] in resource_type_names() and words(place).startswith("Bundle."):
            return  # a conditional reference: a transaction resolves it
        self._wrong((place, "reference", -1), "a reference is Type/id, an absolute URL, a urn or #id", Kind.VALUE)

    def _contained(self) -> dict[str, str]:
        """Id → type of the contained resources."""
        if self._ids is None:
            self._ids = {str(each.get("id")): str(each.get("resourceType")) for each in _objects(self._env.root.get("contained"))}
        return self._ids

    def _target(self, value: Object, targets: frozenset[str], place: Place) -> None:
        for kind in self._referred(value):
            if kind not in targets and kind in resource_type_names():
                allowed = ", ".join(sorted(targets)[:8])
                self._broken(place, "target", f"a reference to {kind} is not allowed here: {allowed}", Kind.VALUE)
                return

    def _referred(self, value: Object) -> list[str]:
        """The types that a reference states: by its address, by `type`, by the contained resource itself."""
        reference = value.get("reference", "")
        stated = value.get("type", "")
        if reference[:1] == "#":
            return [self._contained().get(reference[1:], "")]
        match = _relative(reference) or _typed(reference)
        return [match[1]] if match else [stated.rpartition("/")[2]] if stated else []

    def _unused(self, resource: Object, place: Place | str) -> None:
        """dom-3: a contained resource is referred to, or refers to its container itself."""
        contained = _objects(resource["contained"])
        named = set(_fragments(resource))
        for number, each in enumerate(contained):
            if f"#{each.get('id')}" not in named and "#" not in set(_fragments(each)):
                self._broken(
                    (place, "contained", number), "dom-3", "a contained resource is referred to from the resource around it"
                )

    # -- issues

    def _ask(self, rules: Any, value: Any, place: Place | str) -> None:
        env = self._env
        for rule in rules:
            if (not rule.needs or rule.needs in value) and rule.broken(value, env) and len(self.broken) < self._limit:
                said = f"{rule.key}: {rule.says}"
                self.broken.append(ValidationIssue(words(place), said, Kind.INVARIANT, rule.severity, rule.key))

    def _wrong(self, place: Place | str, message: str, kind: Kind = Kind.STRUCTURE) -> None:
        self.misshapen.append(ValidationIssue(words(place), message, kind))
        if len(self.misshapen) >= self._limit:
            raise Enough

    def _broken(self, place: Place | str, rule: str, message: str, kind: Kind = Kind.INVARIANT) -> None:
        said = message if rule in ("binding", "target") else f"{rule}: {message}"
        if len(self.broken) < self._limit:
            self.broken.append(ValidationIssue(words(place), said, kind, "error", rule))


ATTRIBUTES = {"id": "id", "url": "uri"}  # strings to FHIRPath


def _misfit(value: Any, element: Element, place: Place) -> str:
    wanted = ATTRIBUTES.get(place[1], "string") if element.type == "string" else element.type
    if value and isinstance(value, str) and wanted in ("string", "markdown"):
        return f"a {wanted} is not of blanks alone, has no control characters and at most {MAX_STRING} others"
    shape = "an empty string" if value == "" else "null" if value is None else f"this {json_name(value)}"
    return f"{shape} is no {wanted}"


def _objects(value: Any) -> list[Object]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _fragments(value: Any) -> list[str]:
    """Every text that may point into the resource."""
    found: list[str] = []
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each
        elif isinstance(each, str) and each[:1] == "#":
            found.append(each)
    return found
