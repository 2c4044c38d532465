"""The constraints of the R4 definitions, compiled once for each type they are stated on.

profiles/r4/invariants.json has their FHIRPath. The walk itself checks `ele-1` (nothing is empty), `ref-1` (a contained
resource is there), `dom-3` (and is referred to), `txt-1` and `txt-2` (the narrative).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

from profiles.fhirpath import CannotEvaluate, Env, compiled
from profiles.fhirpath.steps import Truth
from profiles.validation.issues import Severity

NATIVE = frozenset({"ele-1", "ref-1", "dom-3", "txt-1", "txt-2"})

UNTOLD = frozenset({"per-1", "mdd-1", "inv-1", "rng-2", "ras-2"})
"""Not broken where FHIRPath gives no answer: times of different precision, quantities of different units, no probability at all."""

ONLY_WITH = {"dom-2": "contained", "dom-4": "contained", "dom-5": "contained"}
"""Nothing can break them without this member: a resource without it is not asked."""


class Fact(msgspec.Struct, frozen=True):
    key: str
    on: tuple[str, ...]
    severity: Severity
    says: str
    expression: str


@dataclass(frozen=True, slots=True)
class Invariant:
    key: str
    severity: Severity
    says: str
    truth: Truth
    needs: str = ""  # asked only of what has this member
    untold_holds: bool = False

    def broken(self, value: Any, env: Env) -> bool:
        try:
            found = self.truth(value, env)
        except CannotEvaluate:  # also of what takes too many steps: it is refused
            return True
        return found is False if self.untold_holds else found is not True


@cache
def facts() -> tuple[Fact, ...]:
    return msgspec.json.decode((files("profiles.r4") / "invariants.json").read_bytes(), type=tuple[Fact, ...])


@cache
def _by_place() -> dict[str, tuple[Fact, ...]]:
    found: dict[str, list[Fact]] = {}
    for fact in facts():
        for place in fact.on:
            found.setdefault(place, []).append(fact)
    return {place: tuple(stated) for place, stated in found.items()}


@cache
def invariants_of(place: str, focus: str) -> tuple[Invariant, ...]:
    """Those stated on a type or element `place`, for a value of type `focus`."""
    return tuple(
        Invariant(
            fact.key,
            fact.severity,
            fact.says,
            compiled(fact.expression, focus).truth,
            ONLY_WITH.get(fact.key, ""),
            fact.key in UNTOLD,
        )
        for fact in _by_place().get(place, ())
        if fact.key not in NATIVE
    )
