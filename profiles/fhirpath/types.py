"""What FHIRPath knows of FHIR's types: which type is which, and what of a value tells its type.

https://hl7.org/fhir/R4/fhirpath.html#types
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from types import MappingProxyType

from profiles import structures
from profiles.fhirpath.values import Json

ANY = ""  # a value of a type that is known only when it is seen

SUBTYPES = {
    "code": "string", "id": "string", "markdown": "string", "url": "uri", "canonical": "uri", "oid": "uri", "uuid": "uri",
    "unsignedInt": "integer", "positiveInt": "integer",
}  # fmt: skip
_SYSTEM = {"Boolean": "boolean", "String": "string", "Integer": "integer", "Decimal": "decimal", "Date": "date"} | {
    "DateTime": "dateTime",
    "Time": "time",
}


def type_name(stated: str) -> str:
    """FHIR.Patient, System.Boolean → the name that the definitions have."""
    name = stated.rpartition(".")[2]
    return _SYSTEM.get(name, name)


@cache
def is_a(found: str, asked: str) -> bool:
    """The type or one that it extends: an Age is a Quantity, a code a string."""
    while found:
        if found == asked:
            return True
        found = SUBTYPES.get(found) or structures.base_of(found)
    return False


@cache
def by_element(kind: str) -> Mapping[str, tuple[structures.Member, ...]]:
    """Element of the definition → how JSON names it: of a choice each type is a member of its own."""
    found: dict[str, list[structures.Member]] = {}
    for member in structures.members(kind).values():
        found.setdefault(member.element, []).append(member)
    return MappingProxyType({name: tuple(members) for name, members in found.items()})


def names_in(value: dict[str, Json], name: str) -> list[str]:
    """JSON members of a value of unknown type that are the element `name`."""
    kind = value.get("resourceType")
    if isinstance(kind, str) and (members := by_element(kind).get(name)):
        return [member.name for member in members if member.name in value]
    if name in value:
        return [name]
    return [each for each in value if each.startswith(name) and each[len(name) :][:1].isupper()]


def seems(value: Json, asked: str) -> bool:
    """Whether a value of unknown type may be of this one: a resource says so, others by their kind of JSON."""
    if isinstance(value, dict):
        kind = value.get("resourceType")
        return is_a(kind, asked) if isinstance(kind, str) else asked[:1].isupper()
    if isinstance(value, bool):
        return asked == "boolean"
    if isinstance(value, int):
        return is_a(asked, "integer") or asked == "decimal"
    if isinstance(value, (Decimal, float)):
        return asked == "decimal"
    return isinstance(value, str) and asked[:1].islower() and asked not in ("boolean", "decimal") and not is_a(asked, "integer")
