"""Which fields there are: R4's types as GraphQL has them, and what leads from one to another.

https://hl7.org/fhir/R4/graphql.html
One reading of R4's table serves the check of a query and tools that ask for the schema. A backbone element `Patient.contact` is of
the type PatientContact; where any resource may stand is Resource.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache

from profiles.structures import Member, base_of, complex_types, members
from profiles.validation import known_type

NAMES = 20_000  # remembered of what clients ask for: they may ask for anything
QUERY, ANY = "Query", "Resource"
LIST, CONNECTION, EDGE = "List", "Connection", "Edge"
SCALARS = {
    **dict.fromkeys(("string", "markdown", "xhtml"), "String"),
    **dict.fromkeys(("integer", "unsignedInt", "positiveInt"), "Int"),
    "boolean": "Boolean",
    "decimal": "Float",
    "id": "ID",
}
"""Primitive types that GraphQL has a name for; the others keep theirs."""

Arguments = Mapping[str, str]  # name → type
OF_A_LIST: Arguments = {"fhirpath": "string", "_count": "integer", "_offset": "integer"}
OF_A_TARGET: Arguments = {"type": "string", "optional": "boolean"}
OF_ONE: Arguments = {"id": "id"}
OF_META: Arguments = {"includeDeprecated": "boolean"}


@dataclass(frozen=True, slots=True)
class Field:
    """`type`: of R4, a connection or an edge, or one of introspection; "" for a choice: whichever is there.

    `arguments`: None for those of a search, which depend on what is searchable.
    """

    type: str
    many: bool = False
    arguments: Arguments | None = field(default_factory=dict)

    @property
    def plain(self) -> bool:
        """A value without fields of its own."""
        return self.type[:1].islower()


def _plain(*names: str, type: str = "string") -> dict[str, Field]:
    return {name: Field(type) for name in names}


OF_CONNECTIONS = {**_plain("count", "offset", "pagesize", type="integer"), **_plain("first", "previous", "next", "last")}
OF_EDGES = {"mode": Field("code"), "score": Field("decimal")}
OF_RESOURCES = {"resourceType": Field("string"), "id": Field("id")}

_DEPRECABLE = {"isDeprecated": Field("boolean"), "deprecationReason": Field("string")}
META: Mapping[str, Mapping[str, Field]] = {
    "__Schema": {
        "description": Field("string"),
        **{name: Field("__Type") for name in ("queryType", "mutationType", "subscriptionType")},
        "types": Field("__Type", many=True),
        "directives": Field("__Directive", many=True),
    },
    "__Type": {
        **_plain("kind", "name", "description", "specifiedByURL"),
        "ofType": Field("__Type"),
        "interfaces": Field("__Type", many=True),
        "possibleTypes": Field("__Type", many=True),
        "fields": Field("__Field", many=True, arguments=OF_META),
        "enumValues": Field("__EnumValue", many=True, arguments=OF_META),
        "inputFields": Field("__InputValue", many=True, arguments=OF_META),
    },
    "__Field": {
        **_plain("name", "description"),
        **_DEPRECABLE,
        "type": Field("__Type"),
        "args": Field("__InputValue", many=True, arguments=OF_META),
    },
    "__InputValue": {**_plain("name", "description", "defaultValue"), **_DEPRECABLE, "type": Field("__Type")},
    "__EnumValue": {**_plain("name", "description"), **_DEPRECABLE},
    "__Directive": {
        **_plain("name", "description"),
        "isRepeatable": Field("boolean"),
        "locations": Field("string", many=True),
        "args": Field("__InputValue", many=True, arguments=OF_META),
    },
}
"""https://spec.graphql.org/October2021/#sec-Schema-Introspection"""

OF_ROOT = {"__schema": Field("__Schema"), "__type": Field("__Type", arguments={"name": "string"})}


@cache
def spelled(type: str) -> str:
    """Patient.contact → PatientContact."""
    return "".join(part[0].upper() + part[1:] for part in type.split(".")) if "." in type else type


@cache
def _by_spelling() -> Mapping[str, str]:
    return {spelled(type): type for type in complex_types()}


def type_named(name: str) -> str | None:
    """What a fragment may be on: PatientContact → Patient.contact; None for what is no type here."""
    if name in META or name == QUERY:
        return name
    edge = name.endswith(EDGE) and known_type(name.removesuffix(EDGE))
    return name if edge or searched(name)[1] == CONNECTION else _by_spelling().get(name)


@cache
def kinds_of(type: str) -> frozenset[str]:
    """The type and those that it extends, as GraphQL spells them."""
    found, at = [spelled(type)], type
    while at := base_of(at):
        found.append(spelled(at))
    return frozenset(found)


@lru_cache(maxsize=NAMES)
def member_of(type: str, name: str) -> Member | None:
    """An element, `_birthDate` beside a primitive one, or `value` for whichever type a choice has."""
    known = members(type)
    if name in known:
        return known[name]
    if name.startswith("_") and name[1:] in known and known[name[1:]].primitive:
        return Member(name=name, type="Element", order=0, many=known[name[1:]].many)
    choice = any(member.element == name for member in known.values())
    return Member(name=name, type="", order=0, element=name) if choice else None


def searched(name: str) -> tuple[str, str]:
    """PatientList → (Patient, List); ("", "") for what is no search."""
    for ending in (LIST, CONNECTION):
        type = name.removesuffix(ending)
        if type != name and known_type(type):
            return type, ending
    return "", ""


@lru_cache(maxsize=NAMES)
def field_of(type: str, name: str) -> Field | None:
    """None for one that there is not."""
    if name == "__typename":
        return Field("string")
    if type in META:
        return META[type].get(name)
    if type == QUERY:
        return Field(name, arguments=OF_ONE) if known_type(name) else _search(name)
    if (owner := searched(type)[0]) and not members(type):
        return Field(owner + EDGE, many=True) if name == "edges" else OF_CONNECTIONS.get(name)
    if type.endswith(EDGE) and known_type(owner := type.removesuffix(EDGE)):
        return Field(owner) if name == "resource" else OF_EDGES.get(name)
    return _of_element(type, name)


def _of_element(type: str, name: str) -> Field | None:
    if type == "Reference" and name == "resource":
        return Field(ANY, arguments=OF_A_TARGET)
    if name in OF_RESOURCES and ANY in kinds_of(type):
        return OF_RESOURCES[name]
    if (member := member_of(type, name)) is not None:
        return Field(member.type, member.many, _choosing(member.type))
    return _search(name) if known_type(type) else None


def _search(name: str) -> Field | None:
    type, ending = searched(name)
    if not type:
        return None
    return Field(type, many=True, arguments=None) if ending == LIST else Field(type + CONNECTION, arguments=None)


@cache
def _choosing(type: str) -> Arguments:
    """What chooses from a list of them: the fields that are plain values, too."""
    return {**{name: member.type for name, member in members(type).items() if member.primitive}, **OF_A_LIST}


def fields_of(type: str) -> Iterator[tuple[str, Field]]:
    """Those that are the same whatever is searchable and whoever asks: elements, and what leads on from a reference."""
    names: list[str] = ["resourceType"] if ANY in kinds_of(type) else []
    for name, member in members(type).items():
        names += [name, f"_{name}"] if member.primitive else [name]
    names += ["resource"] if type == "Reference" else []
    for name in names:
        if (found := field_of(type, name)) is not None:
            yield name, found
