"""Every invariant of R4, held to another implementation of FHIRPath on what the official examples hold, whole and in part."""

from __future__ import annotations

import json
import os
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import fhirpathpy
import pytest
from fhirpathpy.engine.nodes import ResourceNode
from fhirpathpy.models import models

from profiles import structures
from profiles.fhirpath import CannotEvaluate, Env, compiled
from profiles.validation.invariants import NATIVE, Fact, facts

DEFAULT = Path.home() / ".cache/yitong-hub/hl7.fhir.r4.examples-4.0.1/package"
EXAMPLES = Path(os.environ.get("YITONG_R4_EXAMPLES", DEFAULT))
LARGEST = 60_000  # bytes
EACH = 12  # values of a place
NOT_IN_THE_REFERENCE = frozenset({"age-1", "bdl-10", "cnt-3", "ctm-1", "per-1"})
"""hasValue() and resolve() are not there."""
EXPLAINED = {
    "que-7": "the reference does not take a FHIR boolean for a Boolean; FHIR says it is one",
    "rng-2": "the reference does not compare quantities",
}

pytestmark = [
    pytest.mark.skipif(not EXAMPLES.is_dir(), reason=f"the R4 examples are not at {EXAMPLES}"),
    pytest.mark.slow,
]


class Case(NamedTuple):
    type: str
    value: Any
    resource: dict[str, Any]


def cases_in(value: dict[str, Any], kind: str, resource: dict[str, Any]) -> Iterator[tuple[str, Case]]:
    """Every element by the place that a constraint may be stated on: its type, and its path in the type above."""
    yield kind, Case(kind, value, resource)
    for name, member in structures.members(kind).items():
        found = value.get(name, [])
        for each in found if isinstance(found, list) else [found]:
            if isinstance(each, dict) and member.type == "Resource":
                yield from cases_in(each, each["resourceType"], each)
            else:
                yield f"{kind}.{member.element}", Case(member.type, each, resource)
                if isinstance(each, dict):
                    yield from cases_in(each, member.type, resource)


@cache
def cases() -> dict[str, list[Case]]:
    wanted = {place for fact in facts() for place in fact.on}
    found: dict[str, list[Case]] = defaultdict(list)
    for path in sorted(EXAMPLES.glob("*.json")):
        resource = json.loads(path.read_bytes()) if path.stat().st_size < LARGEST else {}
        for place, case in cases_in(resource, resource["resourceType"], resource) if "resourceType" in resource else ():
            if place in wanted and len(found[place]) < EACH:
                found[place].append(case)
    return found


def variants(case: Case, chance: random.Random) -> Iterator[Case]:
    """The value, and the value without one of its members."""
    yield case
    if isinstance(case.value, dict):
        names = [name for name in case.value if name != "resourceType"]
        for left_out in chance.sample(names, min(3, len(names))):
            value = {name: each for name, each in case.value.items() if name != left_out}
            yield Case(case.type, value, value if case.resource is case.value else case.resource)


def ours(fact: Fact, case: Case) -> object:
    try:
        return compiled(fact.expression, case.type).truth(case.value, Env(case.resource, case.resource, case.value))
    except CannotEvaluate:
        return "not evaluated"


@cache
def reference(expression: str) -> Any:
    return fhirpathpy.compile(expression, models["r4"])


def theirs(fact: Fact, case: Case) -> object:
    focus = case.value if isinstance(case.value, dict) and "resourceType" in case.value else None
    names = {"resource": case.resource, "rootResource": case.resource, "ucum": "http://unitsofmeasure.org", "context": case.value}
    try:
        with redirect_stdout(StringIO()):  # trace() prints there
            found = reference(fact.expression)(focus or ResourceNode.create_node(case.value, case.type), names)
    except Exception as error:
        return type(error).__name__
    return None if not found else found[0] if len(found) == 1 else "several"


def test_an_invariant_holds_where_the_reference_says_so() -> None:
    chance = random.Random(4)
    asked, differs = 0, Counter[str]()
    for fact in facts():
        if fact.key in NATIVE | NOT_IN_THE_REFERENCE:
            continue
        for place in fact.on:
            for case in (v for c in cases().get(place, ()) for v in variants(c, chance)):
                asked += 1
                differs[fact.key] += (ours(fact, case) is True) is not (theirs(fact, case) is True)
    assert {key for key, number in differs.items() if number} <= set(EXPLAINED)
    assert asked > 6000


def test_every_invariant_is_evaluated_or_checked_by_the_walk() -> None:
    for fact in facts():
        for place in fact.on if fact.key not in NATIVE else ():
            assert compiled(fact.expression, place.split(".")[0])
    assert {fact.key for fact in facts()} >= NATIVE
    assert len(facts()) > 235


PERSON = {
    "resourceType": "Patient",
    "identifier": [{"value": "12-345-6"}, {"value": "7"}],
    "name": [{"given": ["a", "b"], "family": "c"}],
    "multipleBirthInteger": -2,
}


@pytest.mark.parametrize(
    "expression",
    [
        "name.given.join(', ')",
        "name.given.join('')",
        "telecom.value.join(',')",
        "identifier.value.first().split('-')",
        "name.family.toChars()",
        "identifier.value.select(convertsToInteger())",
        "identifier.value.last().toDecimal()",
        "telecom.value.convertsToInteger()",
        "multipleBirth.abs()",
        "(multipleBirth + 0.5).floor() = -2",
        "(multipleBirth + 0.5).ceiling() = -1",
        "(multipleBirth + 0.5).truncate() = -1",
    ],
)
def test_a_function_gives_what_the_reference_gives(expression: str) -> None:
    ours = compiled(expression, "Patient").values(PERSON, Env(PERSON, PERSON, PERSON))
    assert ours == fhirpathpy.evaluate(PERSON, expression, {}, models["r4"])
