"""FHIR R4 definitions (npm package hl7.fhir.r4.examples 4.0.1, CC0) → the rules that a resource's values obey.

    python -m profiles.r4.derive_rules PACKAGE_DIR

invariants.json: each constraint once, with the types and elements it is stated on. bindings.json: element → the value set that it
must take its code from; extensible.json: from which it takes it where one fits. codes.json: a value set that must be kept to → code
system → codes; one that cannot be listed (MIME types, UCUM) is left out. targets.json: element → the types that its references may
point to. profiles.json, extensions.json: the profiles of resources and the extensions that the specification itself publishes, by
address.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from profiles.r4.derive import Definition, compact, definitions, lines, members
from profiles.r4.derive_structures import KINDS, ROOTS, inherited

HERE = Path(__file__).parent
BASE = "http://hl7.org/fhir/StructureDefinition/"
SIMPLE_QUANTITY = f"{BASE}SimpleQuantity"

CORRECTED = {"bdl-8": "fullUrl.exists() implies fullUrl.contains('/_history/').not()"}
"""As R5 states them: R4's text says nothing of what is absent, and would refuse every entry without a fullUrl."""

Rule = tuple[str, str, str, str]  # key, severity, what it says, expression


def elements(published: Iterable[Definition]) -> Iterator[tuple[Definition, Definition]]:
    """(type, its own element); the type's root included, what it inherits not."""
    for structure in published:
        if structure["kind"] in KINDS and (structure.get("derivation") == "specialization" or structure["type"] in ROOTS):
            for element in structure["snapshot"]["element"]:
                if "." not in element["path"] or not inherited(element, structure["type"]):
                    yield structure, element


def path_of(element: Definition) -> str:
    return str(element["path"].removesuffix("[x]"))


def own_constraints(published: list[Definition]) -> Iterator[tuple[str, Definition]]:
    """(path, constraint), without those that the path's type states already."""
    roots = {
        structure["type"]: {
            found["key"]: found.get("source", "") for found in structure["snapshot"]["element"][0].get("constraint", ())
        }
        for structure in published
        if structure["kind"] in KINDS and structure.get("derivation") != "constraint"
    }
    for structure, element in elements(published):
        root = "." not in element["path"]
        bases = [structure.get("baseDefinition", "").rpartition("/")[2]] if root else [t["code"] for t in element.get("type", ())]
        stated = {key for base in bases for key in roots.get(base, ())} | (set() if structure["type"] == "Element" else {"ele-1"})
        for constraint in element.get("constraint", ()):
            if constraint["key"] not in stated:
                yield path_of(element), constraint


def invariants(published: list[Definition]) -> list[dict[str, Any]]:
    found: dict[Rule, list[str]] = {}
    for path, constraint in own_constraints(published):
        key: str = constraint["key"]
        expression = CORRECTED.get(key) or str(constraint["expression"])
        rule: Rule = (key, constraint["severity"], constraint["human"], expression)
        found.setdefault(rule, []).append(path)
    simple = next(structure for structure in published if structure["url"] == SIMPLE_QUANTITY)
    simplest = next(each for each in simple["snapshot"]["element"][0]["constraint"] if each["key"] == "sqty-1")
    quantities = [path_of(element) for _, element in elements(published) if simple_quantity(element)]
    found[simplest["key"], simplest["severity"], simplest["human"], simplest["expression"]] = quantities
    return [
        {"key": key, "on": sorted(set(on)), "severity": severity, "says": " ".join(says.split()), "expression": expression}
        for (key, severity, says, expression), on in sorted(found.items())
    ]


def simple_quantity(element: Definition) -> bool:
    """A choice may take a simple quantity beside other types; Age and its kin are never one."""
    return any(SIMPLE_QUANTITY in found.get("profile", ()) for found in element.get("type", ()))


def bindings(published: list[Definition], strength: str) -> dict[str, str]:
    return {
        path_of(element): element["binding"]["valueSet"].partition("|")[0]
        for _, element in elements(published)
        if element.get("binding", {}).get("strength") == strength
    }


def targets(published: list[Definition]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for _, element in elements(published):
        stated = [t.get("targetProfile", []) for t in element.get("type", ()) if t["code"] == "Reference"]
        types = sorted({profile.removeprefix(BASE) for profiles in stated for profile in profiles})
        if types and "Resource" not in types:
            found[path_of(element)] = types
    return found


class Expansion:
    """The codes of a value set, as far as the package itself can list them."""

    def __init__(self, package: Path) -> None:
        self._sets = {found["url"]: found for found in definitions(package, "ValueSet")}
        self._systems = {found["url"]: found for found in definitions(package, "CodeSystem")}

    def codes(self, url: str) -> dict[str, list[str]] | None:
        """System → codes; None where they cannot be listed."""
        compose = self._sets.get(url, {}).get("compose")
        if compose is None:
            return None
        parts = [self._part(part) for part in compose["include"]]
        removed = [self._part(part) for part in compose.get("exclude", ())]
        if any(part is None for part in (*parts, *removed)):
            return None
        out = {(system, code) for part in removed for system, codes in (part or {}).items() for code in codes}
        found: dict[str, list[str]] = {}
        for part in parts:
            for system, codes in (part or {}).items():
                found.setdefault(system, []).extend(code for code in codes if (system, code) not in out)
        return {system: sorted(set(codes)) for system, codes in found.items()}

    def _part(self, part: dict[str, Any]) -> dict[str, list[str]] | None:
        if "valueSet" in part:
            return (
                self.codes(part["valueSet"][0].partition("|")[0]) if len(part["valueSet"]) == 1 and "system" not in part else None
            )
        if "concept" in part:
            return {part["system"]: [concept["code"] for concept in part["concept"]]}
        system = self._systems.get(part["system"], {})
        if system.get("content") != "complete" or "concept" not in system:
            return None
        table = dict(concepts(system["concept"]))
        codes = set(table)
        for condition in part.get("filter", ()):
            if condition["op"] not in ("is-a", "descendent-of") or condition["property"] != "concept":
                return None
            codes &= below(condition["value"], table) - ({condition["value"]} if condition["op"] == "descendent-of" else set())
        return {part["system"]: sorted(codes)}


def concepts(tree: Iterable[dict[str, Any]], parent: str = "") -> Iterator[tuple[str, set[str]]]:
    """Code → its parents: by nesting, or stated as property subsumedBy."""
    for concept in tree:
        stated = {p["valueCode"] for p in concept.get("property", ()) if p["code"] == "subsumedBy" and "valueCode" in p}
        yield concept["code"], stated | ({parent} if parent else set())
        yield from concepts(concept.get("concept", ()), concept["code"])


def below(code: str, parents: dict[str, set[str]]) -> set[str]:
    found, grows = {code}, True
    while grows:
        more = {each for each, above in parents.items() if above & found} - found
        found |= more
        grows = bool(more)
    return found


KEPT = ("id", "path", "sliceName", "min", "max", "slicing", "binding", "constraint", "type")
SHORT: dict[str, tuple[str, ...]] = {
    "slicing": ("discriminator", "ordered", "rules"),
    "binding": ("strength", "valueSet"),
    "constraint": ("key", "severity", "human", "expression"),
    "type": ("code", "profile", "targetProfile"),
}


def profiles(published: list[Definition], *, of_extensions: bool) -> dict[str, Definition]:
    """Address → what HL7's own profiles demand beyond their types: of resources (vital signs and the like), or of extensions."""
    return {
        structure["url"]: short(structure)
        for structure in published
        if structure.get("derivation") == "constraint"
        and structure["url"].startswith(BASE)
        and (structure["type"] == "Extension" if of_extensions else structure["kind"] == "resource")
    }


def short(structure: Definition) -> Definition:
    kept = only(("url", "type", "baseDefinition"), structure)
    if places := [only(("type", "expression"), place) for place in structure.get("context", ())]:
        kept["context"] = places
    return {**kept, "differential": {"element": [shortened(element) for element in structure["differential"]["element"]]}}


def shortened(element: Definition) -> Definition:
    kept = {name: value for name, value in element.items() if name in KEPT or name.startswith(("fixed", "pattern", "minV", "maxV"))}
    if kept.get("binding", {}).get("strength") not in ("required", "extensible"):
        kept.pop("binding", None)
    for name, wanted in SHORT.items():
        if isinstance(kept.get(name), list):
            kept[name] = [only(wanted, found) for found in kept[name]]
        elif name in kept:
            kept[name] = only(wanted, kept[name])
    return kept


def only(wanted: tuple[str, ...], found: Definition) -> Definition:
    return {name: found[name] for name in wanted if name in found}


def derive(package: Path) -> dict[str, str]:
    """File name → text."""
    published = list(definitions(package, "StructureDefinition"))
    bound = bindings(published, "required")
    expansion = Expansion(package)
    codes = {url: found for url in sorted(set(bound.values())) if (found := expansion.codes(url)) is not None}
    return {
        "invariants.json": lines(map(compact, invariants(published)), "[]"),
        "bindings.json": lines(members(bound), "{}"),
        "extensible.json": lines(members(bindings(published, "extensible")), "{}"),
        "codes.json": lines(members(codes), "{}"),
        "targets.json": lines(members(targets(published)), "{}"),
        "profiles.json": lines(members(profiles(published, of_extensions=False)), "{}"),
        "extensions.json": lines(members(profiles(published, of_extensions=True)), "{}"),
    }


def main(package: Path) -> None:
    for name, text in derive(package).items():
        (HERE / name).write_text(text, encoding="utf-8")
        sys.stdout.write(f"{name}: {len(text)} bytes\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]).expanduser())
