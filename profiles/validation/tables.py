"""What each R4 type allows, put together once a type: elements, formats, codes, targets, invariants.

From the facts that profiles/r4 derives of the StructureDefinitions. https://hl7.org/fhir/R4/elementdefinition.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

from profiles import structures
from profiles.validation.invariants import Invariant, invariants_of
from profiles.validation.primitives import PRIMITIVES
from profiles.validation.repeated import REPEATED

Codes = Mapping[str, frozenset[str]]  # code system → codes


@dataclass(slots=True)
class Element:
    type: str
    many: bool
    valid: Callable[[Any], bool] | None  # of a primitive type
    codes: Container[str] | None  # that a required binding allows
    concept: Codes | None  # the same, of a CodeableConcept
    targets: frozenset[str] | None  # types that a Reference may point to
    rules: tuple[Invariant, ...]  # stated on this element, beside those of its type
    choice: int  # -1, or which value[x] it belongs to
    primitive: bool
    _structure: Structure | None = None
    passed: set[Any] | None = None  # values in which nothing was wrong, where values repeat: see profiles.validation.repeated

    @property
    def structure(self) -> Structure:
        if self._structure is None:
            self._structure = structure_of(self.type)
        return self._structure


@dataclass(slots=True)
class Structure:
    name: str
    resource: bool
    elements: dict[str, Element]
    required: tuple[str, ...]
    choices: tuple[tuple[str, ...], ...]  # value[x] that must be there: its names
    errors: tuple[Invariant, ...] = ()
    warnings: tuple[Invariant, ...] = ()
    lineage: frozenset[str] = field(default_factory=frozenset)


@cache
def resource_type_names() -> frozenset[str]:
    found: list[str] = msgspec.json.decode((files("profiles.r4") / "resource_types.json").read_bytes())
    return frozenset(found) - {"Resource", "DomainResource"}


@cache
def _facts(name: str) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode((files("profiles.r4") / name).read_bytes())
    return found


@cache
def codes_of(value_set: str) -> Codes | None:
    """None for a value set that cannot be listed: MIME types, UCUM, currencies."""
    found = _facts("codes.json").get(value_set)
    return None if found is None else {system: frozenset(codes) for system, codes in found.items()}


class Shaped:
    """A value set that nobody can list, by what each of its codes looks like."""

    def __init__(self, pattern: str) -> None:
        self._fits = re.compile(pattern, re.ASCII).fullmatch

    def __contains__(self, code: object) -> bool:
        return isinstance(code, str) and self._fits(code) is not None


SHAPES = {
    "http://hl7.org/fhir/ValueSet/mimetypes": Shaped(r"json|xml|ttl|(\*|[\w!#$&^.+-]+)/(\*|[\w!#$&^.+-]+)(\s*;.*)?"),
    "http://hl7.org/fhir/ValueSet/currencies": Shaped("[A-Z]{3}"),
}
"""https://www.rfc-editor.org/rfc/rfc6838#section-4.2, and FHIR's own short names; ISO 4217"""


@cache
def _any_system(value_set: str) -> Container[str] | None:
    found = codes_of(value_set)
    return SHAPES.get(value_set) if found is None else frozenset(code for codes in found.values() for code in codes)


@cache
def structure_of(kind: str) -> Structure:
    """Raise KeyError for what is no complex type of R4."""
    lineage = _lineage(kind)
    elements: dict[str, Element] = {}
    choices: dict[str, list[str]] = {}
    members = structures.members(kind)
    if not members:
        raise KeyError(kind)
    resource = "Resource" in lineage
    for name, member in members.items():
        if name != member.element:
            choices.setdefault(member.element, []).append(name)
    numbers = {element: number for number, element in enumerate(choices)}
    for name, member in members.items():
        elements[name] = _element(lineage, member, numbers.get(member.element, -1), resource)
    required = tuple(n for n, member in members.items() if member.required and member.element not in choices)
    needed = tuple(tuple(names) for names in choices.values() if members[names[0]].required)
    rules = [rule for place in lineage for rule in invariants_of(place, kind)]
    return Structure(
        kind,
        resource,
        elements,
        required,
        needed,
        tuple(rule for rule in rules if rule.severity == "error"),
        tuple(rule for rule in rules if rule.severity != "error"),
        frozenset(lineage),
    )


def _lineage(kind: str) -> tuple[str, ...]:
    found = [kind]
    while base := structures.base_of(found[-1]):
        found.append(base)
    return tuple(found)


def _format(member: structures.Member, *, resource: bool) -> str:
    """FHIRPath has strings for an id and for the url of an extension; neither has blanks in it."""
    if member.name == "id" and resource:
        return "id"
    return "uri" if member.attribute else member.type


def _element(lineage: tuple[str, ...], member: structures.Member, choice: int, resource: bool) -> Element:
    paths = [f"{kind}.{member.element}" for kind in lineage]
    bound = next((_facts("bindings.json")[path] for path in paths if path in _facts("bindings.json")), "")
    targets = next((_facts("targets.json")[path] for path in paths if path in _facts("targets.json")), None)
    primitive = PRIMITIVES.get(_format(member, resource=resource))
    return Element(
        type=member.type,
        many=member.many,
        valid=primitive.valid if primitive else None,
        codes=_any_system(bound) if bound and member.type == "code" else None,
        concept=codes_of(bound) if bound and member.type == "CodeableConcept" else None,
        targets=frozenset(targets) if targets is not None and member.type == "Reference" else None,
        rules=tuple(
            rule
            for path in paths
            for rule in invariants_of(path, member.type)
            if path != member.type and not (rule.key == "sqty-1" and member.type != "Quantity")
        ),
        choice=choice,
        primitive=primitive is not None,
        passed=set() if member.type in REPEATED else None,
    )
