"""A resource → its index entries, in one walk over the elements that it has.

All paths of a type's search parameters are joined into one tree, so an element that no parameter reaches costs one look-up
and an element that five parameters reach is read once. Left out: composites, which `composite_matches` answers; `_id` and
`_lastUpdated`, which are columns of the store; contained resources; special parameters but `near`.
https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from hub.search.convert import Converter, converter, reference
from hub.search.derived import derived, in_base_units
from hub.search.entries import Entry, Reference, Value
from hub.search.expressions import Path, Step, Test, compiled, select
from hub.search.parameters import STORED, Registry, SearchParameter, patient_compartment, published
from hub.search.quantities import part_matches
from hub.search.query import CompositeValue

PROVENANCE_PATIENT = "http://hl7.org/fhir/5.0/StructureDefinition/extension-Provenance.patient"  # R5's element, in R4

MOST_VALUES = 50_000
"""Of one parameter, that a resource is found by: a CodeSystem of 200,000 drugs is found by its URL, not by each of its codes, which
the terminology operations know. MongoDB takes 100,000 index keys of a document."""

Resource = dict[str, Any]
Found = dict[Entry, None]  # an ordered set

_new: Callable[[type[Entry], tuple[str, Value]], Entry] = tuple.__new__  # Entry(code, value) in half the time, 20 times a resource

# What a broken element raises while it is read. It is then not searchable; whether it may be stored is the profile check's.
BROKEN = (AttributeError, TypeError, ValueError, KeyError, IndexError, ArithmeticError)


@dataclass(slots=True)
class Node:
    """What is wanted of one element: values for parameters, and what lies below."""

    wanted: list[tuple[Converter, str, list[str]]] = field(default_factory=list)  # converter, implicit system, codes
    measured: dict[Converter, list[tuple[str, str]]] = field(default_factory=dict)  # → (code, code of the base units)
    below: dict[str, Node] = field(default_factory=dict)
    filtered: dict[tuple[tuple[Test, ...], bool], Node] = field(default_factory=dict)  # where(…), [0]

    def at(self, step: Step) -> Node:
        node = self.below.setdefault(step.name, Node())
        return node.filtered.setdefault((step.tests, step.first), Node()) if step.tests or step.first else node

    def want(self, convert: Converter, system: str, code: str) -> None:
        for known, implicit, codes in self.wanted:
            if (known, implicit) == (convert, system):
                codes.append(code)
                return
        self.wanted.append((convert, system, [code]))


@dataclass(slots=True)
class Plan:
    root: Node = field(default_factory=Node)
    computed: list[tuple[str, Path, Converter]] = field(default_factory=list)  # booleans, not places


class Extractor:
    """By the parameters of one registry. A plan is made when the first resource of its type comes."""

    def __init__(self, known: Registry) -> None:
        self._known = known
        self._plans: dict[str, Plan] = {}

    def entries(self, resource: Resource) -> list[Entry]:
        """Every index entry of the resource, none twice. An element of the wrong shape yields none."""
        resource_type = resource.get("resourceType", "")
        plan = self._plans.get(resource_type)
        if plan is None:
            plan = self._plans[resource_type] = plan_of(self._known.of(resource_type).values(), resource_type)
        found: Found = {}
        _below(plan.root, resource, found)
        for code, path, convert in plan.computed:
            for value, _, system in select((path,), resource, resource):
                found.update((Entry(code, each), None) for each in convert(value, system))
        return list(found) if len(found) <= MOST_VALUES else _bounded(found)


@cache
def _by_the_published() -> Extractor:
    return Extractor(published())


def extract(resource: Resource) -> list[Entry]:
    """By the published parameters and the hub's own."""
    return _by_the_published().entries(resource)


def plan_of(parameters: Iterable[SearchParameter], resource_type: str) -> Plan:
    plan = Plan()
    for parameter in parameters:
        if parameter.type != "composite" and parameter.code not in STORED:
            for path in compiled(parameter.expression, resource_type):
                _add(plan, parameter, path)
    return plan


def _add(plan: Plan, parameter: SearchParameter, path: Path) -> None:
    convert = converter(parameter, path.type)
    if path.truth:
        if convert is not None:
            plan.computed.append((parameter.code, path, convert))
        return
    node = plan.root
    for step in path.steps:
        node = node.at(step)
    if convert is not None and parameter.type == "quantity":
        node.measured.setdefault(convert, []).append((parameter.code, f"{parameter.code}:canonical"))
    elif convert is not None:
        node.want(convert, path.system, parameter.code)
    for suffix, beside in derived(parameter.type, path.type):
        node.want(beside, "", f"{parameter.code}:{suffix}")


def _bounded(found: Found) -> list[Entry]:
    """Without the parameters that have too many values: all of them or none, so that nobody takes a part for the whole."""
    values = Counter(entry.parameter for entry in found)
    return [entry for entry in found if values[entry.parameter] <= MOST_VALUES]


def _below(node: Node, element: dict[str, Any], found: Found) -> None:
    wanted = node.below
    for name, value in element.items():
        below = wanted.get(name)
        if below is not None:
            if type(value) is list:
                for position, each in enumerate(value):
                    if each is not None:
                        _visit(below, each, position, found)
            elif value is not None:
                _visit(below, value, 0, found)


def _visit(node: Node, value: Any, position: int, found: Found) -> None:
    if node.wanted:
        for convert, system, codes in node.wanted:
            try:
                for each in convert(value, system):
                    for code in codes:
                        found[_new(Entry, (code, each))] = None
            except BROKEN:
                continue
    if node.measured:
        _measure(node.measured, value, found)
    if node.below and type(value) is dict:
        _below(node, value, found)
    if node.filtered:
        for (tests, first), below in node.filtered.items():
            if not (first and position) and _holds(tests, value):
                _visit(below, value, position, found)


def _measure(measured: dict[Converter, list[tuple[str, str]]], value: Any, found: Found) -> None:
    for convert, codes in measured.items():
        try:
            quantities = convert(value, "")
            in_base = in_base_units(quantities)
        except BROKEN:
            continue
        for code, canonical in codes:
            for each in quantities:
                found[Entry(code, each)] = None
            for each in in_base:
                found[Entry(canonical, each)] = None


def _holds(tests: tuple[Test, ...], value: Any) -> bool:
    try:
        return all(test.holds(value) for test in tests)
    except BROKEN:
        return False


# -- composites


@cache
def _composite(parameter: SearchParameter) -> tuple[tuple[Path, tuple[Callable[[Any, Resource], Iterator[Value]], ...]], ...]:
    """Where the composite's elements stand, and for each how its components are read."""
    return tuple(
        (path, tuple(_component(parameter, number, path.type) for number in range(len(parameter.components))))
        for path in compiled(parameter.expression, parameter.resource_type)
    )


def _component(parameter: SearchParameter, number: int, context: str) -> Callable[[Any, Resource], Iterator[Value]]:
    component = parameter.components[number]
    paths = compiled(component.expression, context, parameter.resource_type)
    like = published().get(parameter.resource_type, component.code)
    stated = SearchParameter(
        parameter.resource_type, component.code, component.type, component.expression, like.target if like else ()
    )

    def values(element: Any, resource: Resource) -> Iterator[Value]:
        for value, data_type, system in select(paths, element, resource):
            convert = converter(stated, data_type)
            if convert:
                try:
                    yield from convert(value, system)
                except BROKEN:
                    continue

    return values


def composite_matches(resource: Resource, parameter: SearchParameter, value: CompositeValue) -> bool:
    """Whether one element of the resource fulfils every part of the value: code and quantity of the same component."""
    for path, components in _composite(parameter):
        for element, _, _ in select((path,), resource, resource):
            pairs = zip(components, value.parts, strict=True)
            if all(any(part_matches(each, part) for each in read(element, resource)) for read, part in pairs):
                return True
    return False


# -- whose is it

FIRST = ("patient", "subject")  # what a resource is about, before who else took part

# Beyond the compartment: what names a patient as its subject is about that patient, and is kept as closely.
SUBJECT_BEYOND = {
    "Contract": ("patient", "subject"),
    "Device": ("patient",),
    "GuidanceResponse": ("patient", "subject"),
    "Task": ("patient",),
}


@cache
def _owners(resource_type: str) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Paths to the subject, and to everyone else whose compartment it may be in."""
    known = published().of(resource_type)
    named = (*patient_compartment().get(resource_type, ()), *SUBJECT_BEYOND.get(resource_type, ()))
    first = [code for code in FIRST if code in known and named]
    others = [code for code in named if code in known and code not in first]
    return _paths(resource_type, first), _paths(resource_type, others)


def _paths(resource_type: str, codes: list[str]) -> tuple[Path, ...]:
    return tuple(path for code in codes for path in compiled(published().of(resource_type)[code].expression, resource_type))


def patient_of(resource: Resource) -> str:
    """Id of the one Patient whose compartment it lies in; '' for none, or for several where no subject decides.

    https://hl7.org/fhir/R4/compartmentdefinition-patient.html
    """
    resource_type = resource.get("resourceType", "")
    if resource_type == "Patient":
        return str(resource.get("id", ""))
    if resource_type == "Provenance" and (stated := _patient_of_provenance(resource)):
        return stated
    if resource_type == "Binary":
        return _only(_patients((Path("Reference", (Step("securityContext"),)),), resource))
    subject, others = _owners(resource_type)
    explicit = _patients(subject, resource)
    return _only(explicit or _patients(others, resource))


def _patient_of_provenance(resource: Resource) -> str:
    """Where none of its targets is a Patient, the extension says whom they are about."""
    extensions = resource.get("extension")
    for extension in extensions if isinstance(extensions, list) else ():
        if isinstance(extension, dict) and extension.get("url") == PROVENANCE_PATIENT:
            value = extension.get("valueReference")
            text = value.get("reference") if isinstance(value, dict) else None
            found = reference({"reference": text}, "") if isinstance(text, str) else []
            return _only({each.id for each in found if each.type == "Patient"})
    return ""


def _only(patients: set[str]) -> str:
    return next(iter(patients)) if len(patients) == 1 else ""


def _patients(paths: tuple[Path, ...], resource: Resource) -> set[str]:
    return {found.id for found in _references(paths, resource) if found.type == "Patient"}


def _references(paths: tuple[Path, ...], resource: Resource) -> Iterator[Reference]:
    for value, data_type, _ in select(paths, resource, resource):
        if data_type == "Reference" and isinstance(value, dict) and isinstance(value.get("reference"), str):
            yield from reference(value, "")
