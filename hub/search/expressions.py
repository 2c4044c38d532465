"""The FHIRPath of a search parameter → paths over plain JSON.

The 1,400 R4 parameters use a small part of FHIRPath: members, unions, `as`, `ofType`, `where` with an equality, an extension
or `resolve() is Type`, an index, and one boolean. That part is compiled here, with the element types of the specification,
so that a choice `value` becomes `valueQuantity`, `valueString` …; anything else is refused when it is compiled.
`resolve()` never fetches: a reference says its type. https://hl7.org/fhirpath/N1/ https://hl7.org/fhir/R4/fhirpath.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NamedTuple

import msgspec

from hub.search.parameters import facts
from hub.search.syntax import As, Binary, Call, CannotCompile, Dot, Index, Is, Literal, Name, Node, parse
from profiles.structures import members

Json = Any


class Element(msgspec.Struct, frozen=True):
    """What the specification says of one element."""

    types: tuple[str, ...]  # a backbone element is named by its path: Observation.component
    choice: bool = False  # value[x]
    many: bool = False
    system: str = ""  # implicit code system of a `code`

    def fact(self) -> dict[str, Any]:
        stated = {"types": self.types, "choice": self.choice, "many": self.many, "system": self.system}
        return {name: value for name, value in stated.items() if value}


Elements = dict[str, dict[str, Element]]
Member = Callable[[str, str], Element | None]


# -- what it is compiled to


class Equals(NamedTuple):
    """`where(system='phone')`, `extension('…')`"""

    member: str
    value: str

    def holds(self, element: Json) -> bool:
        return isinstance(element, dict) and element.get(self.member) == self.value


class HasExtension(NamedTuple):
    url: str

    def holds(self, element: Json) -> bool:
        extensions = element.get("extension") if isinstance(element, dict) else None
        found = extensions if isinstance(extensions, list) else ()
        return any(isinstance(extension, dict) and extension.get("url") == self.url for extension in found)


class RefersTo(NamedTuple):
    """`where(resolve() is Patient)`: told by the reference itself, relative or absolute, or by Reference.type."""

    type: str

    def holds(self, element: Json) -> bool:
        return isinstance(element, dict) and referred_type(element) == self.type


Test = Equals | HasExtension | RefersTo

_TYPED_REFERENCE = re.compile(r"(?:^|/)([A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}(?:/_history/[A-Za-z0-9\-.]{1,64})?$")


def referred_type(reference: Mapping[str, Json]) -> str:
    """`Patient` of Patient/1 and http://…/Patient/1; else what Reference.type says; else ''."""
    stated = reference.get("reference")
    found = _TYPED_REFERENCE.search(stated) if isinstance(stated, str) else None
    return found[1] if found else str(reference.get("type", ""))


class Step(NamedTuple):
    name: str  # JSON member
    tests: tuple[Test, ...] = ()
    first: bool = False  # [0]


@dataclass(frozen=True, slots=True)
class Path:
    """Where values of one data type stand."""

    type: str
    steps: tuple[Step, ...] = ()
    system: str = ""  # implicit code system, where the type is `code`
    from_resource: bool = False  # %resource: not relative to the element
    truth: Truth | None = None  # the value is a boolean that is computed


@dataclass(frozen=True, slots=True)
class Truth:
    """`X.exists() and X != false`, the one boolean among the R4 parameters (Patient.deceased)."""

    exists: tuple[Path, ...]
    differs: tuple[Path, ...]
    value: str | bool | int

    def of(self, element: Json) -> bool:
        present = any(True for path in self.exists for _ in walk(path.steps, element))
        return present and all(not (type(found) is type(self.value) and found == self.value) for found in self._compared(element))

    def _compared(self, element: Json) -> Iterator[Json]:
        return (found for path in self.differs for found in walk(path.steps, element))


class Found(NamedTuple):
    value: Json
    type: str
    system: str


def walk(steps: tuple[Step, ...], element: Json) -> Iterator[Json]:
    if not steps:
        yield element
        return
    step, *rest = steps
    remaining = tuple(rest)
    for below in children(step, element):
        yield from walk(remaining, below)


def children(step: Step, element: Json) -> list[Json]:
    value = element.get(step.name) if isinstance(element, dict) else None
    found = value if isinstance(value, list) else [value]
    found = [each for each in found if each is not None and all(test.holds(each) for test in step.tests)]
    return found[:1] if step.first else found


def select(paths: tuple[Path, ...], element: Json, resource: Json) -> Iterator[Found]:
    """What the paths find in `element` of `resource`, in the order of the expression."""
    for path in paths:
        start = resource if path.from_resource else element
        if path.truth:
            yield Found(path.truth.of(start), path.type, "")
        else:
            for value in walk(path.steps, start):
                yield Found(value, path.type, path.system)


# -- how it is compiled


def resolve(expression: str, context: str, member: Member, *, resource_type: str = "") -> tuple[Path, ...]:
    """The paths of the expression in an element of type `context`; branches for other resource types are left out.

    Raise CannotCompile, also if nothing is left.
    """
    found = _Resolver(context, resource_type or context, member).paths(parse(expression))
    if not found:
        raise CannotCompile(f"{expression!r} finds nothing in {context}")
    return tuple(dict.fromkeys(found))


class _Resolver:
    def __init__(self, context: str, resource_type: str, member: Member) -> None:
        self._context = context
        self._resource_type = resource_type
        self._member = member

    def paths(self, node: Node) -> list[Path]:
        match node:
            case Name(name):
                return self._start(name)
            case Dot(of, name):
                return [below for path in self.paths(of) for below in self._below(path, name)]
            case As(of, type_name):
                return [path for path in self.paths(of) if path.type.lower() == type_name.lower()]  # one says DateTime
            case Index(of, 0):
                return [_last(path, first=True) for path in self.paths(of)]
            case Binary("|", left, right):
                return self.paths(left) + self.paths(right)
            case Binary("and", Call(of, "exists", None), Binary("!=", compared, Literal(value))) if of:
                exists = tuple(self.paths(of))
                return [Path("boolean", truth=Truth(exists, tuple(self.paths(compared)), value))] if exists else []
            case Call(of, "where", condition) if of and condition:
                return [_last(path, test=_test(condition)) for path in self.paths(of)]
            case Call(of, "extension", Literal(str(url))) if of:
                return [_extension(path, url) for path in self.paths(of)]
            case _:
                raise CannotCompile(f"{node} is more than search parameters need")

    def _start(self, name: str) -> list[Path]:
        if name == "%resource":
            return [Path(self._resource_type, from_resource=True)]
        if name in (self._context, "Resource", "DomainResource"):
            return [Path(self._context)]
        if name[0].isupper():
            return []  # a branch for another resource type
        return self._below(Path(self._context), name)

    def _below(self, path: Path, name: str) -> list[Path]:
        element = self._member(path.type, name)
        if element is None:
            raise CannotCompile(f"{path.type} has no element {name}")
        return [
            replace(
                path,
                type=found,
                steps=(*path.steps, Step(choice_name(name, found) if element.choice else name)),
                system=element.system,
            )
            for found in element.types
        ]


def choice_name(name: str, type_name: str) -> str:
    """value, Quantity → valueQuantity. https://hl7.org/fhir/R4/formats.html#choice"""
    return f"{name}{type_name[0].upper()}{type_name[1:]}"


def _last(path: Path, *, test: Test | None = None, first: bool = False) -> Path:
    if not path.steps:
        raise CannotCompile("a filter needs an element")
    last = path.steps[-1]
    changed = Step(last.name, (*last.tests, test) if test else last.tests, last.first or first)
    return replace(path, steps=(*path.steps[:-1], changed))


def _extension(path: Path, url: str) -> Path:
    return replace(path, type="Extension", steps=(*path.steps, Step("extension", (Equals("url", url),))))


def _test(condition: Node) -> Test:
    match condition:
        case Is(Call(None, "resolve", None), type_name):
            return RefersTo(type_name)
        case Binary("=", Name(member), Literal(str(value))):
            return Equals(member, value)
        case Call(None, "hasExtension", Literal(str(url))):
            return HasExtension(url)
        case _:
            raise CannotCompile(f"where({condition}) is more than search parameters need")


@cache
def elements() -> Elements:
    return msgspec.json.decode(facts("elements.json"), type=Elements)


def element_of(owner: str, name: str) -> Element | None:
    """What no published parameter reaches is looked up among all elements, for custom ones."""
    return elements().get(owner, {}).get(name) or _other(owner, name)


def _other(owner: str, name: str) -> Element | None:
    found = [member for member in members(owner).values() if member.element == name]
    if not found:
        return None
    types = tuple(dict.fromkeys(member.type for member in found))
    system = _implicit_system(f"{owner}.{name}") if types == ("code",) else ""
    return Element(types, found[0].name != name, found[0].many, system)


def _implicit_system(path: str) -> str:
    """The code system of a `code`, where its required value set has just one."""
    value_set = msgspec.json.decode(facts("bindings.json"), type=dict[str, str]).get(path, "")
    systems = msgspec.json.decode(facts("codes.json"), type=dict[str, dict[str, list[str]]]).get(value_set, {})
    return next(iter(systems)) if len(systems) == 1 else ""


@cache
def compiled(expression: str, context: str, resource_type: str = "") -> tuple[Path, ...]:
    return resolve(expression, context, element_of, resource_type=resource_type)
