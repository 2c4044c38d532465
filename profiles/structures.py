"""How R4 types are built: their elements in order, and of each its type, whether it repeats, and whether it belongs to the summary.

Derived from the StructureDefinitions (profiles/r4/derive_structures.py). https://hl7.org/fhir/R4/structuredefinition.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from types import MappingProxyType

import msgspec


@dataclass(frozen=True, slots=True)
class Member:
    """One element as JSON and XML name it: of a choice each type is a member of its own."""

    name: str  # valueQuantity
    type: str  # Quantity, code, xhtml, Resource (any), Patient.contact
    order: int
    many: bool = False
    required: bool = False
    summary: bool = False
    attribute: bool = False  # of the XML element
    primitive: bool = False
    element: str = ""  # value, the name in the definition and in _elements


Members = Mapping[str, Member]
NONE: Members = MappingProxyType({})


@cache
def _table() -> dict[str, list[str]]:
    table: dict[str, list[str]] = msgspec.json.decode((files("profiles.r4") / "structures.json").read_bytes())
    return table


def base_of(kind: str) -> str:
    """The type that it extends; "" for none, or for what is no complex type of R4."""
    facts = _table().get(kind)
    return facts[0] if facts is not None and kind != "*" else ""


def complex_types() -> Iterator[str]:
    """Patient, Patient.contact, HumanName …: whatever has members."""
    return (kind for kind in _table() if kind != "*")


@lru_cache(maxsize=4096)  # more than there are types; what is sent may call itself anything
def members(kind: str) -> Members:
    """JSON name → member, inherited ones first; empty for what is no complex type of R4."""
    facts = _table().get(kind)
    if facts is None or kind == "*":
        return NONE
    base, *own = facts
    found = dict(members(base)) if base else {}
    for fact in own:
        name, types, flags = (*fact.split(" "), "")[:3]
        for member in _members(name, types, flags, len(found)):
            found[member.name] = member
    return MappingProxyType(found)


def _members(name: str, types: str, flags: str, order: int) -> list[Member]:
    element = name.removesuffix("[x]")
    kinds = (_table()["*"][0] if types == "*" else types).split("|")
    choice = name.endswith("[x]")
    return [
        Member(
            name=element + kind[0].upper() + kind[1:] if choice else element,
            type=kind,
            order=order + offset,
            many="m" in flags,
            required="r" in flags,
            summary="s" in flags,
            attribute="a" in flags,
            primitive=kind[0].islower() and kind != "xhtml",
            element=element,
        )
        for offset, kind in enumerate(kinds)
    ]


@cache
def summary_names(kind: str) -> frozenset[str]:
    """JSON names of the elements marked isSummary."""
    return frozenset(name for name, member in members(kind).items() if member.summary)


@cache
def required_names(kind: str) -> frozenset[str]:
    """JSON names of the elements with a minimum of one; of a choice all its names."""
    return frozenset(name for name, member in members(kind).items() if member.required)


@cache
def compartments() -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    """Compartment → resource type → codes of the parameters that put it there. https://hl7.org/fhir/R4/compartmentdefinition.html"""
    stored = (files("profiles.r4") / "compartments.json").read_bytes()
    return msgspec.json.decode(stored, type=dict[str, dict[str, tuple[str, ...]]])
