"""A profile's elements as a tree: what StructureDefinition.snapshot, or the differentials down to the type, say of each.

https://hl7.org/fhir/R4/profiling.html. The base comes first and what is built on it is laid over, so that a profile may go on with
slices that its base has made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
Find = Callable[[str], "Json | None"]

CORE = "http://hl7.org/fhir/StructureDefinition/"
MAX_BASES = 12


class NotUsable(ValueError):
    """The profile cannot be checked; the text says why."""


@dataclass(slots=True)
class Outline:
    """One element, or one slice of it."""

    name: str = ""  # "component", "value[x]"
    slice: str = ""
    min: int = 0
    max: str = ""  # "" where nothing is said
    types: dict[str, Json] = field(default_factory=dict)  # type → ElementDefinition.type
    fixed: Any = None
    pattern: Any = None
    binding: Json | None = None
    limits: Json = field(default_factory=dict)  # maxLength, minValue, maxValue
    constraints: dict[str, Json] = field(default_factory=dict)
    slicing: Json | None = None
    slices: dict[str, Outline] = field(default_factory=dict)
    children: dict[str, Outline] = field(default_factory=dict)

    def say(self, stated: Json) -> None:
        """What an ElementDefinition adds."""
        self.min = max(self.min, stated.get("min", 0))
        self.max = stated.get("max", self.max)
        self.types = {each.get("code", ""): each for each in stated.get("type", ())} or self.types
        self.binding = stated.get("binding", self.binding)
        self.slicing = stated.get("slicing", self.slicing)
        for constraint in stated.get("constraint", ()):
            self.constraints[constraint.get("key", "")] = constraint
        for name, value in stated.items():
            if name.startswith("fixed"):
                self.fixed = value
            elif name.startswith("pattern"):
                self.pattern = value
            elif name.startswith(("minValue", "maxValue", "maxLength")):
                self.limits[name[:8] if name != "maxLength" else name] = value

    def at(self, segment: str) -> Outline:
        """The child, or its slice, that a segment of an element's id names: component:systolic"""
        name, _, slice = segment.partition(":")
        child = self.children.setdefault(name, Outline(name))
        return child.slices.setdefault(slice, Outline(name, slice)) if slice else child


def outline_of(definition: Json, find: Find) -> tuple[str, Outline]:
    """(type, tree). Raise NotUsable."""
    root = Outline()
    for layer in reversed(_layers(definition, find)):
        _lay(root, layer)
    return str(definition.get("type", "")), root


def _layers(definition: Json, find: Find) -> list[list[Json]]:
    found: list[list[Json]] = []
    at: Json | None = definition
    while at is not None:
        if elements := at.get("snapshot", {}).get("element"):
            return [*found, elements]
        found.append(at.get("differential", {}).get("element", []))
        base = str(at.get("baseDefinition", ""))
        if not base or base == CORE + str(definition.get("type", "")):
            return found
        at = find(base)
        if len(found) > MAX_BASES:
            raise NotUsable("its bases go on without end")
    raise NotUsable("a profile that it is built on is not known here")


def _lay(root: Outline, elements: list[Json]) -> None:
    ids: dict[str, str] = {}
    for element in elements:
        path = str(element.get("path", ""))
        id = str(element.get("id") or _id(element, path, ids))
        ids = {known: value for known, value in ids.items() if not known.startswith(f"{path}.")} | {path: id}
        at = root
        for segment in id.split(".")[1:]:
            at = at.at(segment)
        at.say(element)


def _id(element: Json, path: str, ids: dict[str, str]) -> str:
    """An element without an id lies below the latest one of its parent's path."""
    parent, _, name = path.rpartition(".")
    above = f"{ids.get(parent, parent)}." if parent else ""
    return f"{above}{name}:{element['sliceName']}" if element.get("sliceName") else f"{above}{name}"
