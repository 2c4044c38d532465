"""fhirpathpy evaluates the published expressions; what it finds is compared with what our compiled paths find.

python -m tests.hub.search.oracle PACKAGE_DIR     every example of the specification, and a count of the differences
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import fhirpathpy
from fhirpathpy.engine.nodes import ResourceNode
from fhirpathpy.models import models

from hub import fhir_json
from hub.search.expressions import compiled, select
from hub.search.parameters import SearchParameter, registry

PACKAGE = "hl7.fhir.r4.examples-4.0.1"


def package_folder() -> Path | None:
    """Where the specification's examples are, if they are on this machine."""
    root = Path(__file__).parents[3]
    stated = os.environ.get("YITONG_R4_EXAMPLES")
    places = [Path(stated)] if stated else []
    places += [
        parent / PACKAGE / "package" for parent in (Path.home() / ".cache/yitong-hub", root / ".cache/yitong-hub", root / ".cache")
    ]
    return next((place for place in places if (place / "package.json").is_file()), None)


def resources(paths: list[Path]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in paths:
        resource = fhir_json.load(path.read_bytes())
        if resource.get("resourceType") in registry().types:
            yield path.stem, resource


def _resolve(references: Any) -> list[Any]:
    """What a reference says of its target: its type. Reads the last two parts of the path."""
    found = []
    for node in references:
        reference = node.data if isinstance(node, ResourceNode) else node
        parts = reference.get("reference", "").split("/_history/")[0].split("/")
        kind = parts[-2] if len(parts) > 1 and parts[-2] in registry().types else reference.get("type", "")
        found.append(ResourceNode({"resourceType": kind}, kind))
    return found


OPTIONS = {"userInvocationTable": {"resolve": {"fn": _resolve, "arity": {0: []}, "nullable": False}}}


# fhirpathpy knows neither Resource as a type nor hasExtension, and refuses `as` for a list, by which R4 means ofType.
REWRITTEN = (
    (re.compile(r"\(([\w.]+) as (\w+)\)"), r"\1.ofType(\2)"),
    (re.compile(r"\.as\("), ".ofType("),
    (re.compile(r"hasExtension(\('[^']*'\))"), r"extension\1.exists()"),
)


@cache
def _evaluator(expression: str, resource_type: str) -> Any:
    for pattern, form in (*REWRITTEN, (re.compile(r"^Resource\."), f"{resource_type}.")):
        expression = pattern.sub(form, expression)
    return fhirpathpy.compile(expression, models["r4"], OPTIONS)


def by_fhirpathpy(parameter: SearchParameter, resource: dict[str, Any]) -> Counter[str]:
    return Counter(_text(value) for value in _evaluator(parameter.expression, parameter.resource_type)(resource))


def by_us(parameter: SearchParameter, resource: dict[str, Any]) -> Counter[str]:
    paths = compiled(parameter.expression, parameter.resource_type)
    return Counter(_text(found.value) for found in select(paths, resource, resource))


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


Difference = tuple[str, str, str]  # file, parameter, class


def differences(name: str, resource: dict[str, Any], met: set[tuple[str, str]] | None = None) -> Iterator[Difference]:
    """Of every parameter of the type; or of those that have a value here and are not yet among `met`, which they then are."""
    for parameter in registry().of(resource["resourceType"]).values():
        which = (parameter.resource_type, parameter.code)
        if met is not None and which in met:
            continue
        ours = by_us(parameter, resource)
        if met is not None:
            if not ours:
                continue
            met.add(which)
        try:
            theirs = by_fhirpathpy(parameter, resource)
        except Exception as error:  # the oracle raises bare Exceptions
            yield name, ".".join(which), f"oracle raises {type(error).__name__}: {error}"[:120]
            continue
        if ours != theirs:
            yield name, ".".join(which), _difference(ours, theirs)


def of_components(name: str, resource: dict[str, Any]) -> Iterator[Difference]:
    """Of each element that a composite finds, what its components find there."""
    for parameter in registry().of(resource["resourceType"]).values():
        if parameter.components:
            for path in compiled(parameter.expression, parameter.resource_type):
                for element, _, _ in select((path,), resource, resource):
                    for component in parameter.components:
                        paths = compiled(component.expression, path.type, parameter.resource_type)
                        ours = {_text(found.value) for found in select(paths, element, resource)}
                        theirs = _component(component.expression, path.type, element, resource)
                        if ours != theirs:
                            where = f"{parameter.resource_type}.{parameter.code}: {component.expression}"
                            yield name, where, f"ours {sorted(ours)}, theirs {sorted(theirs)}"[:300]


def _component(expression: str, kind: str, element: Any, resource: dict[str, Any]) -> set[str]:
    context = ResourceNode(element, kind) if element is not resource else element
    return {_text(value) for value in _evaluator(expression, kind)(context, {"resource": resource})}


def _difference(ours: Counter[str], theirs: Counter[str]) -> str:
    if set(ours) == set(theirs):
        return "same values, repeated"
    more, fewer = set(ours) - set(theirs), set(theirs) - set(ours)
    return " and ".join(part for part in ("more" if more else "", "fewer" if fewer else "") if part)


def main(package: Path) -> None:
    counted: Counter[tuple[str, str]] = Counter()
    first: dict[tuple[str, str], str] = {}
    number = pairs = 0
    for name, resource in resources(sorted(package.glob("*.json"))):
        number += 1
        pairs += len(registry().of(resource["resourceType"]))
        for file, parameter, kind in differences(name, resource):
            counted[parameter, kind] += 1
            first.setdefault((parameter, kind), file)
    print(f"{number} resources, {pairs} evaluations, {sum(counted.values())} differences")
    for (parameter, kind), times in counted.most_common():
        print(f"{times:6} {parameter}: {kind} (first in {first[parameter, kind]})")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
