"""ConceptMap $translate: what a code is called elsewhere. https://hl7.org/fhir/R4/conceptmap-operation-translate.html"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from hub.terminology.asked import Coding, parameters
from hub.terminology.maps import CodeMap, Target

NAMES = frozenset(
    {"url", "conceptMap", "conceptMapVersion", "code", "system", "version", "source", "coding", "codeableConcept", "target"}
    | {"targetsystem", "reverse", "dependency"}
)


@dataclass(frozen=True, slots=True)
class Direction:
    source: str  # value set that the code comes from; "" any
    target: str  # value set that the answer is to be from
    target_system: str
    reverse: bool
    depends_on: tuple[tuple[str, str], ...] = ()  # (element, value) that the client states

    def fits(self, map: CodeMap) -> bool:
        """Backwards both ways of naming its ends are in use: by what is asked, and by the map."""
        ends = [(map.source_scope, map.target_scope)]
        ends += [(map.target_scope, map.source_scope)] if self.reverse else []
        return any(self.source in ("", source) and self.target in ("", target) for source, target in ends)

    def accepts(self, target: Target) -> bool:
        if self.target_system not in ("", target.system):
            return False
        wanted = ((str(each.get("property", "")), str(each.get("value", ""))) for each in target.depends_on)
        return all(each in self.depends_on for each in wanted)


def translated(
    maps: Iterable[CodeMap], codings: list[Coding], direction: Direction, other: Callable[[str], CodeMap | None]
) -> dict[str, Any]:
    found: dict[tuple[str, str, str, str], Target] = {}
    for map in maps:
        for target in _targets(map, codings, direction, other):
            if direction.accepts(target):
                found.setdefault((target.system, target.code, target.equivalence, target.source), target)
    matches = list(found.values())
    good = any(target.matches and target.code for target in matches)
    said = "" if good else "no map that is loaded here has a match for the code"
    stated = (("match", "part", _match(target)) for target in matches)
    return parameters(("result", "Boolean", good), ("message", "String", said), *stated)


def _targets(map: CodeMap, codings: list[Coding], direction: Direction, other: Callable[[str], CodeMap | None]) -> Iterator[Target]:
    for system, version, code, _ in codings:
        if direction.reverse:
            yield from map.backward(system, code)
        else:
            yield from map.forward(system, code, version, other)


def _match(target: Target) -> Iterator[tuple[str, str, Any]]:
    yield "equivalence", "Code", target.equivalence
    if target.code:
        stated = (("system", target.system), ("version", target.version), ("code", target.code), ("display", target.display))
        yield "concept", "Coding", {name: value for name, value in stated if value}
    for product in target.products:
        coding = {"system": product.get("system", ""), "code": product.get("value", ""), "display": product.get("display", "")}
        concept = {name: value for name, value in coding.items() if value}
        yield "product", "part", [("element", "Uri", product.get("property")), ("concept", "Coding", concept)]
    yield "source", "Uri", target.source


def dependencies(stated: Iterable[dict[str, Any]]) -> tuple[tuple[str, str], ...]:
    """Parameter `dependency` → (element, value); a concept's value is its code."""
    found = []
    for parts in stated:
        concept = parts.get("concept")
        codings = concept.get("coding") or [{}] if isinstance(concept, dict) else [{}]
        found += [(str(parts.get("element", "")), str(coding.get("code", ""))) for coding in codings]
    return tuple(found)
