"""FHIR R4 definitions (npm package hl7.fhir.r4.examples 4.0.1, CC0) → how a resource is written, and whose compartment it lies in.

    python -m profiles.r4.derive_structures PACKAGE_DIR

structures.json: type → the type it extends, then its own elements in the order that XML demands, each as `name types flags`
(`types` joined by `|`, `*` for any; flags: m many, r required, s part of the summary, a an XML attribute).
compartments.json: compartment → resource type → the search parameters that put it there.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from profiles.r4.derive import Definition, definitions, lines, members

HERE = Path(__file__).parent
ROOTS = {"Element", "Resource"}
KINDS = {"resource", "complex-type"}
OPEN = 40  # a choice of more types than this is the open choice of Extension.value[x]
COMPARTMENTS = ("Patient", "Encounter", "Practitioner", "RelatedPerson", "Device")


def structures(published: Iterable[Definition]) -> dict[str, list[str]]:
    table: dict[str, list[str]] = {}
    for structure in published:
        if structure["kind"] in KINDS and (structure.get("derivation") == "specialization" or structure["type"] in ROOTS):
            table |= structure_of(structure)
    return table


def structure_of(structure: Definition) -> dict[str, list[str]]:
    """The type and each backbone element in it."""
    name = structure["type"]
    table = {name: [structure.get("baseDefinition", "").rpartition("/")[2]]}
    for element in structure["snapshot"]["element"]:
        path = element["path"]
        if any(found.get("code") in ("BackboneElement", "Element") for found in element.get("type", ())) and "." in path:
            table[path] = [element["type"][0]["code"]]
        if "." in path and not inherited(element, name):
            table[path.rpartition(".")[0]].append(fact(element))
    return table


def inherited(element: Definition, owner: str) -> bool:
    return element["base"]["path"] != element["path"] and not element["base"]["path"].startswith(f"{owner}.")


def fact(element: Definition) -> str:
    flags = {
        "m": element["max"] not in ("0", "1"),
        "r": element["min"] > 0,
        "s": element.get("isSummary", False),
        "a": "xmlAttr" in element.get("representation", ()),
    }
    name = element["path"].rpartition(".")[2]
    return " ".join((name, types_of(element), "".join(flag for flag, holds in flags.items() if holds))).rstrip()


def types_of(element: Definition) -> str:
    if "contentReference" in element:
        return str(element["contentReference"].partition("#")[2])
    codes = ["string" if found["code"].startswith("http:") else found["code"] for found in element["type"]]
    if codes[0] in ("BackboneElement", "Element"):
        return str(element["path"])
    return "*" if len(codes) > OPEN else "|".join(dict.fromkeys(codes))


def open_types(published: Iterable[Definition]) -> str:
    """What `*` stands for."""
    extension = next(found for found in published if found["id"] == "Extension")
    value = next(found for found in extension["snapshot"]["element"] if found["path"] == "Extension.value[x]")
    return "|".join(found["code"] for found in value["type"])


def compartments(package: Path) -> dict[str, dict[str, list[str]]]:
    found: dict[str, dict[str, list[str]]] = {}
    for name in COMPARTMENTS:
        definition: dict[str, Any] = json.loads((package / f"CompartmentDefinition-{name[0].lower()}{name[1:]}.json").read_bytes())
        found[name] = {part["code"]: part["param"] for part in definition["resource"] if part.get("param")}
    return found


def derive(package: Path) -> dict[str, str]:
    """File name → text."""
    published = list(definitions(package, "StructureDefinition"))
    return {
        "structures.json": lines(members({"*": [open_types(published)], **structures(published)}), "{}"),
        "compartments.json": lines(members(compartments(package)), "{}"),
    }


def main(package: Path) -> None:
    for name, text in derive(package).items():
        (HERE / name).write_text(text, encoding="utf-8")
        print(f"{name}: {len(text)} bytes")  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]))
