"""The extensions in a resource, and whether their definitions let them stand where they do.

https://hl7.org/fhir/R4/defining-extensions.html#context
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from profiles import structures
from profiles.validation.issues import Place
from profiles.validation.outline import Json

NAMES = ("extension", "modifierExtension")
Contexts = frozenset[str]


class Extended(NamedTuple):
    """An extension, and every name by which a definition may mean the element that it stands on: its types and its paths."""

    place: Place
    url: str
    value: Json
    on: Contexts

    @property
    def modifies(self) -> bool:
        return self.place[1] == "modifierExtension"


def extensions_in(resource: Json, place: Place | str) -> Iterator[Extended]:
    """At any depth; those inside another under the other's address."""
    kind = str(resource["resourceType"])
    yield from _of(resource, kind, frozenset({kind}), place)


def stands_right(definition: Json, found: Extended) -> bool:
    """A context that is told by FHIRPath is not asked for."""
    stated = definition.get("context", ())
    names = [str(each.get("expression", "")).removesuffix("[x]") for each in stated if each.get("type") != "fhirpath"]
    return len(names) < len(stated) or not names or not found.on.isdisjoint(names)


def _of(value: Json, kind: str, paths: Contexts, place: Place | str) -> Iterator[Extended]:
    on = paths | _lineage(kind)
    for name in NAMES:
        for number, each in enumerate(value.get(name, ())):
            at = (place, name, number)
            yield Extended(at, str(each["url"]), each, on)
            yield from _of(each, "Extension", frozenset({str(each["url"])}), at)
    for name, member in structures.members(kind).items():
        if name in NAMES or (name not in value and f"_{name}" not in value):
            continue
        below = frozenset(f"{path}.{member.element}" for path in (*paths, kind))
        for stated in (name, f"_{name}") if member.primitive else (name,):
            for number, each in _each(value.get(stated)):
                if isinstance(each, dict):
                    yield from _below(each, member, below, (place, stated, number))


def _below(value: Json, member: structures.Member, paths: Contexts, place: Place) -> Iterator[Extended]:
    if member.primitive:
        yield from _of(value, "Element", paths | {member.type}, place)
    elif member.type == "Resource":
        yield from extensions_in(value, place)
    else:
        yield from _of(value, member.type, paths, place)


def _each(value: object) -> Iterator[tuple[int, object]]:
    if isinstance(value, list):
        yield from enumerate(value)
    else:
        yield -1, value


def _lineage(kind: str) -> Contexts:
    found = {kind}
    while base := structures.base_of(kind):
        found.add(base)
        kind = base
    return frozenset(found)
