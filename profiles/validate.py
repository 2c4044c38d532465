"""Is this resource what its type allows? Structure, cardinality, data types, required codes; not invariants, not profiles.

https://hl7.org/fhir/R4/json.html and https://hl7.org/fhir/R4/datatypes.html
The structure is read from the classes of `fhir.resources.R4B`, once a type, into tables; the resource's own JSON values are walked
along them. Building the classes' instances instead costs ten times as much and would turn 72.50 into 72.5.
"""

from __future__ import annotations

import json
import re
import typing
from calendar import monthrange
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Any, NamedTuple
from uuid import UUID

from hub.errors import Kind

MAX_ISSUES = 20
MAX_STRING = 1024 * 1024


class ValidationIssue(NamedTuple):
    """One broken rule. Names element, rule and type of the value; never the value."""

    expression: str  # "Observation.valueQuantity.value"
    message: str
    kind: Kind = Kind.PROCESSING


def validate(resource: dict[str, Any]) -> tuple[ValidationIssue, ...]:
    """What is wrong with the resource, at most MAX_ISSUES; () if nothing is."""
    kind = resource.get("resourceType")
    if not isinstance(kind, str) or not known_type(kind):
        return (ValidationIssue("resourceType", "resourceType must name a resource type of FHIR R4", Kind.STRUCTURE),)
    issues: list[ValidationIssue] = []
    _resource(resource, kind, issues)
    return tuple(issues[:MAX_ISSUES])


# -- types


@cache
def _r4_types() -> frozenset[str]:
    text = resources.files("profiles.r4").joinpath("resource_types.json").read_text("utf-8")
    return frozenset(json.loads(text)) - {"Resource", "DomainResource"}


def known_type(kind: str) -> bool:
    return kind in _r4_types()


def resource_types() -> tuple[str, ...]:
    return tuple(sorted(_r4_types()))


OTHER_IN_R4B = frozenset(
    {"Evidence", "EvidenceVariable", "ResearchElementDefinition", "ResearchDefinition", "EventDefinition", "DeviceDefinition"}
)
"""Types that 4.3 defined anew: the classes at hand do not describe R4's."""


@cache
def structure_of(kind: str) -> Structure | None:
    """None for a type of R4 that R4B does not describe: only the rules of JSON are checked."""
    if kind in OTHER_IN_R4B:
        return None
    from fhir.resources.R4B import get_fhir_model_class

    try:
        model = get_fhir_model_class(kind)
    except ValueError:
        return None
    return _structure(model)


@cache
def mandatory_elements(kind: str) -> frozenset[str]:
    structure = structure_of(kind)
    if structure is None:
        return frozenset()
    named = {name for choice in structure.choices if choice.required for name in choice.names}
    return frozenset(structure.required) | named


@cache
def summary_elements(kind: str) -> frozenset[str]:
    """Elements that the specification marks as part of the summary."""
    structure = structure_of(kind)
    return frozenset() if structure is None else frozenset(n for n, e in structure.elements.items() if e.summary)


# -- tables


@dataclass(frozen=True, slots=True)
class Element:
    many: bool
    primitive: Primitive | None  # None: a complex type …
    model: Callable[[], Structure] | None  # … described here; None for a contained resource
    codes: frozenset[str] | None  # the codes that a required binding allows
    summary: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """value[x]: at most one of its names."""

    names: tuple[str, ...]
    required: bool


@dataclass(frozen=True, slots=True)
class Structure:
    name: str
    elements: dict[str, Element]
    required: tuple[str, ...]
    choices: tuple[Choice, ...]
    choice_of: dict[str, int]


OPEN_CODES = frozenset({("CapabilityStatement", "format")})
"""The classes list formats as if they were all; the binding is to MIME types."""


@cache
def _structure(model: Any) -> Structure:
    elements, required = {}, []
    groups: dict[str, list[str]] = {}
    needed: set[str] = set()
    for name, field in model.model_fields.items():
        facts = field.json_schema_extra or {}
        if name.endswith("__ext") or name == "fhir_comments" or not facts.get("element_property", True):
            continue
        wire = field.alias or name
        elements[wire] = _element(
            field, facts if (model.__resource_type__, wire) not in OPEN_CODES else {**facts, "enum_values": ()}
        )
        if field.is_required() or facts.get("element_required"):
            required.append(wire)
        if group := facts.get("one_of_many"):
            groups.setdefault(group, []).append(wire)
            if facts.get("one_of_many_required"):
                needed.add(group)
    choices = tuple(Choice(tuple(names), group in needed) for group, names in groups.items())
    choice_of = {name: number for number, choice in enumerate(choices) for name in choice.names}
    return Structure(model.__resource_type__, elements, tuple(required), choices, choice_of)


def _element(field: Any, facts: dict[str, Any]) -> Element:
    many, kind, visit = _kind_of(field.annotation)
    for constraint in field.metadata:
        visit = visit or getattr(constraint, "__visit_name__", "")
    primitive = PRIMITIVES.get(visit or _PYTHON_TYPES.get(kind, ""))
    summary = bool(facts.get("summary_element_property"))
    if primitive is not None:
        return Element(many, primitive, None, _codes(visit, facts), summary)
    if hasattr(kind, "get_model_klass"):
        if kind.__name__ == "ResourceType":
            return Element(many, None, None, None, summary)
        return Element(many, None, lambda: _structure(kind.get_model_klass()), None, summary)
    raise TypeError(f"no table for {kind!r}")


def _kind_of(annotation: Any) -> tuple[bool, Any, str]:
    """(repeats, class, name of the primitive type) of `typing.List[fhirtypes.CodeType | None] | None` and the like."""
    many, visit = False, ""
    while True:
        origin = typing.get_origin(annotation)
        arguments = [a for a in typing.get_args(annotation) if a is not type(None)]
        if origin is None:
            return many, annotation, visit
        if origin is typing.Annotated or hasattr(annotation, "__metadata__"):
            visit = next((n for m in annotation.__metadata__ if (n := getattr(m, "__visit_name__", ""))), visit)
            annotation = arguments[0]
            continue
        many = many or origin is list
        annotation = arguments[0]


def _codes(visit: str, facts: dict[str, Any]) -> frozenset[str] | None:
    """The classes list the codes of some bindings only in part ("+"): those bind nothing here."""
    codes = facts.get("enum_values") or ()
    if visit != "code" or not codes or any(not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9\-]*|[<>]=?", c) for c in codes):
        return None
    return frozenset(codes)


# -- primitive types, https://hl7.org/fhir/R4/datatypes.html#primitive


class Primitive(NamedTuple):
    name: str
    valid: Callable[[Any], bool]


def _matching(pattern: str) -> Callable[[Any], bool]:
    match = re.compile(pattern).fullmatch
    return lambda value: isinstance(value, str) and match(value) is not None


def _whole(low: int, high: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and low <= value <= high


_TIME = r"([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?"
_ZONE = r"(Z|[+-]((0\d|1[0-3]):[0-5]\d|14:00))"
_DAY = r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
_date_shape = re.compile(r"\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?").fullmatch
_datetime_shape = re.compile(rf"\d{{4}}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01])(T{_TIME}{_ZONE})?)?)?").fullmatch
_instant_shape = re.compile(rf"{_DAY}T{_TIME}{_ZONE}").fullmatch
_control = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]").search


def _real_day(text: str) -> bool:
    """The shape allows 2023-02-30, the calendar does not."""
    if text[:4] == "0000":
        return False
    return len(text) < 10 or int(text[8:10]) <= 28 or int(text[8:10]) <= monthrange(int(text[:4]), int(text[5:7]))[1]


def _dated(shape: Callable[[str], object]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and shape(value) is not None and _real_day(value)


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and len(value) <= MAX_STRING and not _control(value) and not value.isspace()


def _base64(value: Any) -> bool:
    if not isinstance(value, str) or _not_base64(value):
        return False
    compact = value if not _blank(value) else re.sub(r"\s", "", value)
    return len(compact) % 4 == 0 and compact.rstrip("=").count("=") == 0


_not_base64 = re.compile(r"[^A-Za-z0-9+/=\s]").search
_blank = re.compile(r"\s").search
_uri = _matching(r"\S+")

PRIMITIVES: dict[str, Primitive] = {
    name: Primitive(name, valid)
    for name, valid in {
        "boolean": lambda value: isinstance(value, bool),
        "integer": _whole(-(2**31), 2**31 - 1),
        "unsignedInt": _whole(0, 2**31 - 1),
        "positiveInt": _whole(1, 2**31 - 1),
        "integer64": _whole(-(2**63), 2**63 - 1),
        "decimal": lambda value: isinstance(value, (Decimal, int, float)) and not isinstance(value, bool),
        "string": _text,
        "markdown": _text,
        "xhtml": lambda value: isinstance(value, str) and value.lstrip().startswith("<div"),
        "uri": _uri,
        "url": _uri,
        "canonical": _uri,
        "oid": _matching(r"urn:oid:[0-2](\.(0|[1-9]\d*))+"),
        "uuid": _matching(r"urn:uuid:[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"),
        "id": _matching(r"[A-Za-z0-9\-.]{1,64}"),
        "code": _matching(r"[^\s]+(\s[^\s]+)*"),
        "date": _dated(_date_shape),
        "dateTime": _dated(_datetime_shape),
        "instant": _dated(_instant_shape),
        "time": _matching(_TIME),
        "base64Binary": _base64,
    }.items()
}

_PYTHON_TYPES = {bool: "boolean", UUID: "uuid"}

_JSON_NAMES = {str: "string", bool: "boolean", int: "number", Decimal: "number", float: "number", dict: "object", list: "array"}


def _json_name(value: Any) -> str:
    return "null" if value is None else _JSON_NAMES.get(type(value), "value")


# -- the walk

Issues = list[ValidationIssue]


def _resource(resource: dict[str, Any], path: str, issues: Issues) -> None:
    structure = structure_of(resource["resourceType"])
    if structure is None:
        _generic(resource, path, issues)
        return
    _object(resource, structure, path, issues, resource=True)


def _object(value: dict[str, Any], structure: Structure, path: str, issues: Issues, *, resource: bool = False) -> None:
    elements = structure.elements
    chosen: set[int] | None = None
    for name, content in value.items():
        element = elements.get(name)
        if element is None:
            if name[:1] == "_" and (beside := elements.get(name[1:])) is not None and beside.primitive is not None:
                _beside(content, beside, f"{path}.{name}", issues)
            elif not (resource and name == "resourceType") and name != "fhir_comments":
                issues.append(ValidationIssue(path, f"{_shown(name)} is no element of {structure.name}", Kind.STRUCTURE))
            continue
        if element.many:
            _array(content, value, name, element, path, issues)
        elif element.primitive is not None:
            _primitive(content, element, path, name, issues)
        else:
            _complex(content, element, f"{path}.{name}", issues)
        number = structure.choice_of.get(name)
        if number is not None:
            if chosen is None:
                chosen = set()
            if number in chosen:
                issues.append(ValidationIssue(f"{path}.{name}", "only one of the types of this element may be stated"))
            chosen.add(number)
    if not value:
        issues.append(ValidationIssue(path, "an object must not be empty", Kind.STRUCTURE))
    _check_required(value, structure, path, issues)
    if structure.name == "Reference":
        _reference(value.get("reference"), path, issues)


def _check_required(value: dict[str, Any], structure: Structure, path: str, issues: Issues) -> None:
    for name in structure.required:
        if name not in value and f"_{name}" not in value:
            issues.append(ValidationIssue(f"{path}.{name}", f"{structure.name}.{name} is required"))
    for choice in structure.choices:
        if choice.required and not any(name in value or f"_{name}" in value for name in choice.names):
            issues.append(ValidationIssue(path, f"{structure.name} needs one of {', '.join(choice.names[:6])}"))


def _primitive(value: Any, element: Element, path: str, name: str, issues: Issues) -> None:
    primitive = element.primitive
    assert primitive is not None  # noqa: S101  only called for one
    if not primitive.valid(value):
        shape = "an empty string" if value == "" else f"this {_json_name(value)}"
        issues.append(ValidationIssue(f"{path}.{name}", f"{shape} is no {primitive.name}"))
    elif element.codes is not None and value not in element.codes:
        issues.append(ValidationIssue(f"{path}.{name}", "the code is none of the required value set", Kind.CODE_INVALID))


def _complex(value: Any, element: Element, path: str, issues: Issues) -> None:
    if not isinstance(value, dict):
        issues.append(ValidationIssue(path, f"an object is expected, not {_json_name(value)}", Kind.STRUCTURE))
    elif element.model is not None:
        _object(value, element.model(), path, issues)
    elif not isinstance(kind := value.get("resourceType"), str) or not known_type(kind):
        issues.append(ValidationIssue(path, "resourceType must name a resource type of FHIR R4", Kind.STRUCTURE))
    else:
        _resource(value, path, issues)


def _array(content: Any, parent: dict[str, Any], name: str, element: Element, path: str, issues: Issues) -> None:
    if not isinstance(content, list) or not content:
        shape = "an empty array" if content == [] else _json_name(content)
        issues.append(ValidationIssue(f"{path}.{name}", f"an array with values is expected, not {shape}", Kind.STRUCTURE))
        return
    beside = parent.get(f"_{name}")
    for number, value in enumerate(content):
        if element.primitive is None:
            _complex(value, element, f"{path}.{name}[{number}]", issues)
        elif value is not None:
            _primitive(value, element, path, f"{name}[{number}]", issues)
        elif not isinstance(beside, list) or number >= len(beside) or not beside[number]:
            issues.append(ValidationIssue(f"{path}.{name}[{number}]", "null is allowed only where an extension stands beside it"))


def _beside(content: Any, element: Element, path: str, issues: Issues) -> None:
    """`_birthDate`: id and extensions of a primitive value."""
    from fhir.resources.R4B.element import Element as ElementModel

    structure = _structure(ElementModel)
    for value in content if element.many and isinstance(content, list) else [content]:
        if value is None and element.many:
            continue
        if not isinstance(value, dict):
            issues.append(ValidationIssue(path, f"an object is expected, not {_json_name(value)}", Kind.STRUCTURE))
        else:
            _object(value, structure, path, issues)


_relative = re.compile(r"([A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}(/_history/[A-Za-z0-9\-.]{1,64})?(#.+)?").fullmatch
_elsewhere = re.compile(r"(#.*|[a-zA-Z][a-zA-Z0-9+.\-]*:\S+)").fullmatch


def _reference(reference: Any, path: str, issues: Issues) -> None:
    """https://hl7.org/fhir/R4/references.html#literal"""
    if not isinstance(reference, str) or _elsewhere(reference):
        return
    if path.startswith("Bundle.") and known_type(reference.partition("?")[0]) and "?" in reference:
        return  # a conditional reference: a transaction resolves it
    match = _relative(reference)
    if match is None or not known_type(match[1]):
        issues.append(ValidationIssue(f"{path}.reference", "a reference is Type/id, an absolute URL, a urn or #id"))


def _generic(value: Any, path: str, issues: Issues) -> None:
    """The rules of FHIR JSON alone: nothing is empty."""
    if value in ("", [], {}):
        issues.append(ValidationIssue(path, f"an empty {_json_name(value)}", Kind.STRUCTURE))
    elif isinstance(value, dict):
        for name, content in value.items():
            if content is None:
                issues.append(ValidationIssue(f"{path}.{_shown(name)}", "null is no value", Kind.STRUCTURE))
            _generic(content, f"{path}.{_shown(name)}", issues)
    elif isinstance(value, list):
        for number, content in enumerate(value):
            _generic(content, f"{path}[{number}]", issues)


def _shown(name: str) -> str:
    """A member's name may itself be data: only what could be an element's is shown."""
    return name if re.fullmatch(r"_?[A-Za-z][A-Za-z0-9]{0,63}", name) else "a member"
