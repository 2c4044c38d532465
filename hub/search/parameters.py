"""Every R4 search parameter, by resource type and code.

The facts are derived from the specification (profiles/r4/derive.py). https://hl7.org/fhir/R4/searchparameter-registry.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

import msgspec

from hub.search.query import ParameterType

COMMON = frozenset({"_id", "_lastUpdated", "_tag", "_profile", "_security", "_source"})  # every type has them
STORED = frozenset({"_id", "_lastUpdated"})  # columns of the store, never index entries

# Hub-defined: these also index pinyin (folding.pinyin_forms), on every type that the standard's `phonetic` of persons covers.
PINYIN_TYPES = frozenset({"Patient", "Practitioner", "Person", "RelatedPerson"})
PINYIN_CODES = frozenset({"name", "phonetic"})


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

    @property
    def pinyin(self) -> bool:
        return self.resource_type in PINYIN_TYPES and self.code in PINYIN_CODES


class Registry:
    """What is searchable: `get` one parameter, or all `of` a type."""

    def __init__(self, types: frozenset[str], by_type: Mapping[str, Mapping[str, SearchParameter]]) -> None:
        self.types = types
        self._by_type = by_type

    def get(self, resource_type: str, code: str) -> SearchParameter | None:
        return self.of(resource_type).get(code)

    def of(self, resource_type: str) -> Mapping[str, SearchParameter]:
        """Every parameter of the type, the common ones included; empty for what is no R4 resource type."""
        return self._by_type.get(resource_type, {})


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
def registry() -> Registry:
    types = msgspec.json.decode(facts("resource_types.json"), type=frozenset[str])
    return build(types, msgspec.json.decode(facts("search_parameters.json"), type=tuple[ParameterFact, ...]))


@cache
def patient_compartment() -> Mapping[str, tuple[str, ...]]:
    """Resource type → codes of the parameters that put it into a Patient's compartment.

    https://hl7.org/fhir/R4/compartmentdefinition-patient.html
    """
    return MappingProxyType(msgspec.json.decode(facts("patient_compartment.json"), type=dict[str, tuple[str, ...]]))
