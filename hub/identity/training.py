"""Weights from a county's own Patients: `python -m hub.identity.training patients.ndjson > weights.toml`.

How often an element agrees among records of one person (m) is counted among those with the same ID card number, which weighing
itself does not look at; how often among strangers (u), among Patients taken at random. A level that was seen too seldom keeps its
former weight, and none moves further than MOST_CHANGE bits, so that an odd register does not make strangers one.
"""

from __future__ import annotations

import math
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from hub.fhir_json import parse
from hub.identity.facts import Facts, facts_of
from hub.identity.rules import compare
from hub.identity.weights import ELEMENTS, Weights, compared, load_weights
from hub.security.policy import is_golden

TRAINED = ("name", "birth", "sex", "household")
STRANGERS = 200_000  # pairs at random
FEWEST = 20  # pairs of one person in which a level was seen
MOST_CHANGE = 3.0  # bits


class Counted(NamedTuple):
    same: dict[str, Counter[str]]  # element → how often each level, among pairs of one person
    strangers: dict[str, Counter[str]]


def counted(patients: Sequence[Facts], rng: random.Random, strangers: int = STRANGERS) -> Counted:
    same: dict[str, Counter[str]] = {element: Counter() for element in TRAINED}
    other: dict[str, Counter[str]] = {element: Counter() for element in TRAINED}
    for one, two in _of_one_person(patients):
        _count(same, one, two)
    for _ in range(strangers if len(patients) > 1 else 0):
        one, two = rng.sample(patients, 2)
        if compare(one, two).answer == "no":  # among few Patients, two at random are often one person's
            _count(other, one, two)
    return Counted(same, other)


def trained(found: Counted, former: Weights) -> dict[str, object]:
    """The tables of a weights file."""
    tables = former.tables()
    for element in TRAINED:
        table: dict[str, float] = dict(tables[element])  # type: ignore[call-overload]  # Weights made it a table of numbers
        of_same, of_strangers = sum(found.same[element].values()), sum(found.strangers[element].values())
        for level in ELEMENTS[element]:
            seen = found.same[element][level]
            if level == "missing" or seen < FEWEST:
                continue
            m, u = seen / of_same, (found.strangers[element][level] + 0.5) / (of_strangers + 1)
            bits = math.log2(m) if (element, level) == ("name", "exact") else math.log2(m / u)  # of an exact name, rarity is u
            table[level] = round(min(table[level] + MOST_CHANGE, max(table[level] - MOST_CHANGE, bits)), 1)
        tables[element] = table
    return {**tables, "version": "trained"}


def as_toml(tables: dict[str, object]) -> str:
    lines = [f'version = "{tables["version"]}"']
    for name, table in tables.items():
        if isinstance(table, dict):
            lines += ["", f"[{name}]", *(f'"{level}" = {bits}' for level, bits in table.items())]
    return "\n".join(lines) + "\n"


def _of_one_person(patients: Iterable[Facts]) -> Iterator[tuple[Facts, Facts]]:
    by_number: defaultdict[str, list[Facts]] = defaultdict(list)
    for facts in patients:
        for number in facts.numbers:
            by_number[number].append(facts)
    for group in by_number.values():
        for one, other in combinations(group[:10], 2):
            if compare(one, other).answer == "link":  # not a card that was lent
                yield one, other


def _count(into: dict[str, Counter[str]], one: Facts, other: Facts) -> None:
    levels = compared(_as_stated(one), _as_stated(other))
    for element in TRAINED:
        into[element][getattr(levels, element)] += 1


def _as_stated(facts: Facts) -> Facts:
    """Without the birth date in the number, which those of one person have in common."""
    return replace(facts, births=(facts.birth_date,) if facts.birth_date else ())


def read(lines: Iterable[bytes]) -> Iterator[Facts]:
    """Facilities' Patients of NDJSON. Raise HubError for what is no FHIR JSON."""
    for line in lines:
        if line.strip():
            resource = parse(line)
            if resource.get("resourceType") == "Patient" and not is_golden(resource):
                yield facts_of(resource)


def main() -> None:
    with Path(sys.argv[1]).open("rb") as lines:
        patients = list(read(lines))
    sys.stdout.write(as_toml(trained(counted(patients, random.Random(1)), load_weights())))  # noqa: S311 - a sample, no secret


if __name__ == "__main__":
    main()
