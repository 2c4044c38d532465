"""Every R4 search parameter, by resource type and code.

The facts are derived from the specification (profiles/r4/derive.py). https://hl7.org/fhir/R4/searchparameter-registry.html
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

import msgspec

from hub.search.query import ParameterType
from hub.search.reading import NotUnderstood
from profiles.names import PINYIN_PARAMETER

COMMON = frozenset({"_id", "_lastUpdated", "_tag", "_profile", "_security", "_source"})  # every type has them
STORED = frozenset({"_id", "_lastUpdated"})  # columns of the store, never index entries

PINYIN_TYPES = ("Patient", "Person", "Practitioner", "RelatedPerson")  # whose names are found by pinyin


@dataclass(frozen=True, slots=True)
class Component:
    """One part of a composite: which parameter it is like, and where it stands relative to the composite's element."""

    code: str
    type: ParameterType
    expression: str


@dataclass(frozen=True, slots=True)
class SearchParameter:
    """One parameter of one resource type."""

    resource_type: str
    code: str
    type: ParameterType
    expression: str  # as published; branches of other types are left out when it is compiled
    target: tuple[str, ...] = ()  # types that a reference may point to; empty: not said
    components: tuple[Component, ...] = ()
    url: str = ""
    description: str = ""


class BeingBuilt(NotUnderstood):
    """A search parameter whose entries are not all there yet."""


class Registry:
    """What is searchable: `get` one parameter, or all `of` a type."""

    def __init__(
        self,
        types: frozenset[str],
        by_type: Mapping[str, Mapping[str, SearchParameter]],
        unready: Collection[tuple[str, str]] = (),
    ) -> None:
        self.types = types
        self._by_type = by_type
        self._unready = frozenset(unready)

    def get(self, resource_type: str, code: str) -> SearchParameter | None:
        """Raise BeingBuilt for one that will be answered when its index is there."""
        found = self.of(resource_type).get(code)
        if found is None and (resource_type, code) in self._unready:
            raise BeingBuilt(f"the index of the search parameter {code[:64]!r} of {resource_type} is being built; ask again later")
        return found

    def of(self, resource_type: str) -> Mapping[str, SearchParameter]:
        """Every parameter of the type, the common ones included; empty for what is no R4 resource type."""
        return self._by_type.get(resource_type, {})

    def extended(self, more: Iterable[SearchParameter], unready: Collection[tuple[str, str]] = ()) -> Registry:
        """This one and more; one of the same type and code takes the place of the former."""
        by_type = dict(self._by_type)
        for parameter in more:
            by_type[parameter.resource_type] = {**by_type[parameter.resource_type], parameter.code: parameter}
        return Registry(self.types, by_type, unready)


class ComponentFact(msgspec.Struct):
    code: str
    type: ParameterType
    expression: str


class ParameterFact(msgspec.Struct):
    """One line of search_parameters.json."""

    code: str
    type: ParameterType
    base: tuple[str, ...]
    expression: str
    url: str
    target: tuple[str, ...] = ()
    component: tuple[ComponentFact, ...] = ()
    description: str = ""


# What the hub adds to the published ones.
OF_THE_HUB = (
    ParameterFact(
        code="pinyin",
        type="string",
        base=PINYIN_TYPES,
        expression=" | ".join(f"{name}.name" for name in PINYIN_TYPES),
        url=PINYIN_PARAMETER,
        description="A Chinese name by its full pinyin or its initials, surnames in their own reading: zengxiaole, zxl",
    ),
)


def facts(name: str) -> bytes:
    return (files("profiles.r4") / name).read_bytes()


def build(types: frozenset[str], published: tuple[ParameterFact, ...]) -> Registry:
    by_type: dict[str, dict[str, SearchParameter]] = {name: {} for name in types}
    for fact in published:
        components = tuple(Component(part.code, part.type, part.expression) for part in fact.component)
        for base in types if fact.base == ("Resource",) else fact.base:
            by_type[base][fact.code] = SearchParameter(
                base, fact.code, fact.type, fact.expression, fact.target, components, fact.url, fact.description
            )
    return Registry(types, MappingProxyType({name: MappingProxyType(found) for name, found in by_type.items()}))


@cache
def published() -> Registry:
    """The specification's parameters and the hub's own, the same in every hub."""
    types = msgspec.json.decode(facts("resource_types.json"), type=frozenset[str])
    published = msgspec.json.decode(facts("search_parameters.json"), type=tuple[ParameterFact, ...])
    return build(types, (*published, *OF_THE_HUB))


_IN_FORCE: ContextVar[Registry] = ContextVar("registry")


def registry() -> Registry:
    """What the hub that answers knows: within `in_force` its own custom parameters too, else the published ones."""
    return _IN_FORCE.get(None) or published()


@contextmanager
def in_force(known: Registry) -> Iterator[None]:
    """For the work of one request; two hubs in one process do not learn of each other's parameters."""
    token = _IN_FORCE.set(known)
    try:
        yield
    finally:
        _IN_FORCE.reset(token)


@cache
def patient_compartment() -> Mapping[str, tuple[str, ...]]:
    """Resource type → codes of the parameters that put it into a Patient's compartment.

    https://hl7.org/fhir/R4/compartmentdefinition-patient.html
    """
    return MappingProxyType(msgspec.json.decode(facts("patient_compartment.json"), type=dict[str, tuple[str, ...]]))
