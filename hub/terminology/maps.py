"""ConceptMap → what a code is called elsewhere, in both directions. https://hl7.org/fhir/R4/conceptmap.html"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from hub.errors import Invalid, Kind

NO_MATCH = frozenset({"unmatched", "disjoint"})
# equivalence is stated of the target; read backwards the wider one is the narrower
REVERSED = {"wider": "narrower", "narrower": "wider", "subsumes": "specializes", "specializes": "subsumes"}
MAX_CHAIN = 8  # maps that send a code on to one another
Product = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Target:
    system: str
    version: str
    code: str
    display: str = ""
    equivalence: str = ""  # "": the map does not say
    depends_on: tuple[Product, ...] = ()
    products: tuple[Product, ...] = ()
    source: str = ""  # canonical of the map

    @property
    def matches(self) -> bool:
        return self.equivalence not in NO_MATCH


@dataclass(frozen=True, slots=True)
class Group:
    source: str
    source_version: str
    target: str
    target_version: str
    forward: dict[str, list[Target]]
    backward: dict[str, list[Target]]
    unmapped: dict[str, Any]


@dataclass(frozen=True, slots=True)
class CodeMap:
    canonical: str
    source_scope: str
    target_scope: str
    groups: tuple[Group, ...]

    @classmethod
    def of(cls, resource: dict[str, Any]) -> CodeMap:
        url, version = str(resource.get("url", "")), resource.get("version")
        canonical = f"{url}|{version}" if version else url
        return cls(canonical, _scope(resource, "source"), _scope(resource, "target"), tuple(_groups(resource, canonical)))

    @property
    def sources(self) -> frozenset[str]:
        return frozenset(group.source for group in self.groups)

    @property
    def targets(self) -> frozenset[str]:
        return frozenset(group.target for group in self.groups)

    def forward(
        self, system: str, code: str, version: str, other: Callable[[str], CodeMap | None], depth: int = 0
    ) -> Iterator[Target]:
        """`other` finds the map to which a code that this one does not know is sent on."""
        for group in self.groups:
            if group.source != system or version not in ("", group.source_version or version):
                continue
            if code in group.forward:
                yield from group.forward[code]
            else:
                yield from self._unmapped(group, system, code, version, other, depth)

    def backward(self, system: str, code: str) -> Iterator[Target]:
        for group in self.groups:
            if group.target == system:
                yield from group.backward.get(code, ())

    def _unmapped(
        self, group: Group, system: str, code: str, version: str, other: Callable[[str], CodeMap | None], depth: int
    ) -> Iterator[Target]:
        """https://hl7.org/fhir/R4/conceptmap-definitions.html#ConceptMap.group.unmapped"""
        rule = group.unmapped
        match rule.get("mode"):
            case "provided":
                yield Target(group.target, group.target_version, code, source=self.canonical)
            case "fixed":
                code, display = str(rule.get("code", "")), str(rule.get("display", ""))
                yield Target(group.target, group.target_version, code, display, source=self.canonical)
            case "other-map":
                if depth >= MAX_CHAIN:
                    raise Invalid(f"more than {MAX_CHAIN} maps send the code on", kind=Kind.TOO_COSTLY)
                following = other(str(rule.get("url", "")))
                if following is not None:
                    yield from following.forward(system, code, version, other, depth + 1)


def _scope(resource: dict[str, Any], side: str) -> str:
    return str(resource.get(f"{side}Uri") or resource.get(f"{side}Canonical") or "").partition("|")[0]


def _groups(resource: dict[str, Any], canonical: str) -> Iterator[Group]:
    for group in resource.get("group") or ():
        source, source_version = str(group.get("source", "")), str(group.get("sourceVersion", ""))
        target, target_version = str(group.get("target", "")), str(group.get("targetVersion", ""))
        forward: dict[str, list[Target]] = {}
        backward: dict[str, list[Target]] = {}
        for element in group.get("element") or ():
            code = str(element.get("code", ""))
            known = forward.setdefault(code, [])
            for stated in element.get("target") or ():
                equivalence = str(stated.get("equivalence", ""))
                depends, products = tuple(stated.get("dependsOn") or ()), tuple(stated.get("product") or ())
                there = str(stated.get("code", ""))
                display = str(stated.get("display", ""))
                known.append(Target(target, target_version, there, display, equivalence, depends, products, canonical))
                turned = REVERSED.get(equivalence, equivalence)
                back = Target(source, source_version, code, str(element.get("display", "")), turned, source=canonical)
                backward.setdefault(there, []).append(back)
        yield Group(source, source_version, target, target_version, forward, backward, group.get("unmapped") or {})
