"""The values of one element of a definition, as they stand in the JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from profiles import structures
from profiles.fhirpath.types import by_element
from profiles.validation.issues import Place
from profiles.validation.outline import Json


class Present(NamedTuple):
    """One value of an element: where it stands and of which type it is."""

    place: Place
    type: str
    value: Any


def values_of(name: str, value: Json, kind: str, place: Place | str) -> Iterator[Present]:
    """The values of one element: of value[x] whichever stands there; a resource inside another is of its own type."""
    element = name.removesuffix("[x]")
    kind = str(value.get("resourceType", kind))
    members = by_element(kind).get(element) or tuple(m for m in (structures.members(kind).get(name),) if m is not None)
    for member in members:
        found = value.get(member.name)
        beside = value.get(f"_{member.name}") if member.primitive else None
        if isinstance(found, list):
            for number, each in enumerate(found):
                yield Present((place, member.name, number), _type(member, each), each)
        elif found is not None:
            yield Present((place, member.name, -1), _type(member, found), found)
        elif beside is not None:
            yield Present((place, member.name, -1), member.type, None)


def _type(member: structures.Member, value: Any) -> str:
    if member.type == "Resource" and isinstance(value, dict):
        return str(value.get("resourceType", "Resource"))
    return "uri" if member.name == "url" and member.attribute else member.type  # a string to FHIRPath
