"""FHIR R4 definitions (npm package hl7.fhir.r4.examples 4.0.1, CC0) → the facts that the hub needs at run time.

    python -m profiles.r4.derive PACKAGE_DIR

Only derived facts are kept: which search parameters there are and where they look, of which type the elements are that they
reach, which parameters make a patient's compartment. The definitions themselves stay out of the tree.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from hub.search.expressions import Element, Elements, resolve
from hub.search.parameters import ComponentFact, ParameterFact, build

HERE = Path(__file__).parent
Definition = dict[str, Any]

# Published as examples of the SearchParameter resource; each repeats or shadows a real one.
EXAMPLES = frozenset({"example", "example-reference", "example-extension"})

# Published with the two expressions exchanged: the code under relatesto (reference), the target under relation (token).
EXCHANGED = frozenset({"DocumentReference-relationship"})

ANY = 140  # a parameter with more targets than this may point to anything


def definitions(package: Path, resource_type: str) -> Iterator[Definition]:
    for path in sorted(package.glob(f"{resource_type}-*.json")):
        definition = json.loads(path.read_bytes())
        if definition["resourceType"] == resource_type:
            yield definition


def resource_types(structures: Iterable[Definition]) -> list[str]:
    return sorted(
        structure["type"]
        for structure in structures
        if structure["kind"] == "resource" and not structure["abstract"] and structure.get("derivation") == "specialization"
    )


def summary(definition: Definition, base: tuple[str, ...]) -> str:
    """One line; a parameter of several types is described by a list that starts with `* [Type](…): `."""
    described = re.findall(r"\* \[\w+\]\([^)]*\): *(.+)", definition["description"])
    text = described[0] if len(base) > 1 and described else definition["description"]
    return " ".join(text.split())[:160]


def search_parameters(package: Path) -> list[dict[str, Any]]:
    published = [definition for definition in definitions(package, "SearchParameter") if definition["id"] not in EXAMPLES]
    by_url = {definition["url"]: definition for definition in published}
    return [fact(definition, by_url) for definition in published if definition.get("base") and definition.get("expression")]


def fact(definition: Definition, by_url: dict[str, Definition]) -> dict[str, Any]:
    base = tuple(definition["base"])
    expressions = [component["expression"] for component in definition.get("component", [])]
    if definition["id"] in EXCHANGED:
        expressions.reverse()
    found: dict[str, Any] = {
        "code": definition["code"],
        "type": definition["type"],
        "base": base,
        "expression": definition["expression"],
        "url": definition["url"],
        "target": () if len(definition.get("target", ())) > ANY else definition.get("target", ()),
        "component": [
            {
                "code": by_url[component["definition"]]["code"],
                "type": by_url[component["definition"]]["type"],
                "expression": expression,
            }
            for component, expression in zip(definition.get("component", []), expressions, strict=True)
        ],
        "description": summary(definition, base),
    }
    return {name: value for name, value in found.items() if value}


def code_systems(package: Path) -> dict[str, str]:
    """Value set → its code system, where it has just one: the implicit system of a `code` bound to it."""
    found: dict[str, str] = {}
    for value_set in definitions(package, "ValueSet"):
        include = value_set.get("compose", {}).get("include", [])
        systems = {part.get("system") for part in include}
        if len(systems) == 1 and None not in systems and not any(part.get("valueSet") for part in include):
            found[value_set["url"]] = systems.pop()
    return found


def elements(structures: Iterable[Definition], systems: dict[str, str]) -> Elements:
    """Type or backbone element → its children. A constraint on a type says nothing new and is left out."""
    table: dict[str, dict[str, Element]] = {}
    for structure in structures:
        if structure.get("derivation") == "specialization" and structure["kind"] in ("resource", "complex-type"):
            for definition in structure["snapshot"]["element"]:
                owner, _, name = definition["path"].rpartition(".")
                if owner:
                    table.setdefault(owner, {})[name.removesuffix("[x]")] = element(definition, systems)
    return table


def element(definition: Definition, systems: dict[str, str]) -> Element:
    types = tuple(type_code(definition, found["code"]) for found in definition.get("type", []))
    if "contentReference" in definition:
        types = (definition["contentReference"].partition("#")[2],)
    binding = definition.get("binding", {})
    bound = binding.get("valueSet", "").partition("|")[0] if binding.get("strength") == "required" and types == ("code",) else ""
    return Element(
        types=types, choice=definition["path"].endswith("[x]"), many=definition["max"] != "1", system=systems.get(bound, "")
    )


def type_code(definition: Definition, code: str) -> str:
    """Backbone elements are named by their path; ids and the values of primitives by their System type."""
    if code in ("BackboneElement", "Element"):
        return str(definition["path"])
    return "string" if code.startswith("http://hl7.org/fhirpath/System.") else code


def reached(table: Elements, parameters: list[dict[str, Any]], types: list[str]) -> Elements:
    """The part of the table that search expressions need; an expression that cannot be compiled stops here."""
    used: dict[str, dict[str, Element]] = {}

    class Recorder(dict[str, dict[str, Element]]):
        def member(self, owner: str, name: str) -> Element | None:
            found = table.get(owner, {}).get(name)
            if found:
                used.setdefault(owner, {})[name] = found
            return found

    recorder = Recorder()
    found = build(frozenset(types), tuple(ParameterFact(**_structured(parameter)) for parameter in parameters))
    for name in types:
        for parameter in found.of(name).values():
            for path in resolve(parameter.expression, name, recorder.member):
                for component in parameter.components:
                    resolve(component.expression, path.type, recorder.member, resource_type=name)
    return used


def _structured(parameter: dict[str, Any]) -> dict[str, Any]:
    return {**parameter, "component": tuple(ComponentFact(**part) for part in parameter.get("component", ()))}


def patient_compartment(package: Path) -> dict[str, list[str]]:
    definition = json.loads((package / "CompartmentDefinition-patient.json").read_bytes())
    return {part["code"]: part["param"] for part in definition["resource"] if part.get("param")}


def lines(facts: Iterable[str], brackets: str) -> str:
    """One fact a line: a difference between two derivations is readable."""
    return f"{brackets[0]}\n" + ",\n".join(facts) + f"\n{brackets[1]}\n"


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def derive(package: Path) -> dict[str, str]:
    """File name → text."""
    structures = list(definitions(package, "StructureDefinition"))
    types = resource_types(structures)
    parameters = search_parameters(package)
    table = reached(elements(structures, code_systems(package)), parameters, types)
    ordered = sorted(parameters, key=lambda found: (found["code"], found["url"]))
    kept = {owner: {name: found.fact() for name, found in sorted(part.items())} for owner, part in table.items()}
    return {
        "resource_types.json": lines(map(compact, types), "[]"),
        "search_parameters.json": lines(map(compact, ordered), "[]"),
        "patient_compartment.json": lines(members(patient_compartment(package)), "{}"),
        "elements.json": lines(members(kept), "{}"),
    }


def members(values: dict[str, Any]) -> Iterator[str]:
    return (f"{compact(name)}:{compact(value)}" for name, value in sorted(values.items()))


def main(package: Path) -> None:
    for name, text in derive(package).items():
        (HERE / name).write_text(text, encoding="utf-8")
        print(f"{name}: {text.count(chr(10)) - 2} lines")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
