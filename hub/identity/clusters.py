"""Patients that may be one person → persons, the same whatever the order in which the Patients came.

First those with the same number; then those without a number, which join one numbered person or each other, and none when they
match two persons with different numbers. A merge that a facility stated (A40) holds whatever the rules say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import NamedTuple

from hub.identity.rules import Facts, compare

Pair = tuple[str, str]


class Persons(NamedTuple):
    clusters: tuple[frozenset[str], ...]
    doubts: dict[Pair, str]  # pair of ids in order → reason


class _Sets:
    """Disjoint sets."""

    def __init__(self, ids: Iterable[str]) -> None:
        self._parent = {id: id for id in ids}

    def of(self, id: str) -> str:
        while self._parent[id] != id:
            id = self._parent[id]
        return id

    def join(self, one: str, other: str) -> None:
        low, high = sorted((self.of(one), self.of(other)))
        self._parent[high] = low

    def all(self) -> dict[str, set[str]]:
        sets: dict[str, set[str]] = {}
        for id in self._parent:
            sets.setdefault(self.of(id), set()).add(id)
        return sets


def persons(patients: Mapping[str, Facts], merged: Mapping[str, str]) -> Persons:
    """`merged`: a Patient that its facility replaced → the surviving one. It is compared no more and follows."""
    ids = sorted(id for id in patients if id not in merged)
    verdicts = {(a, b): compare(patients[a], patients[b]) for a, b in combinations(ids, 2)}
    sets = _Sets(ids)
    numbered = {id for id in ids if patients[id].numbers}
    weak: list[Pair] = []
    for pair, verdict in verdicts.items():
        if verdict.answer == "link":
            if verdict.reason == "same-number" or not numbered & set(pair):
                sets.join(*pair)
            else:
                weak.append(pair)
    torn = _attach(sets, weak, numbered)
    doubts = {pair: v.reason for pair, v in verdicts.items() if v.answer == "doubt" and sets.of(pair[0]) != sets.of(pair[1])}
    doubts |= dict.fromkeys(torn, "several-persons")
    return Persons(_with_merged(sets, patients, merged), doubts)


def _attach(sets: _Sets, weak: list[Pair], numbered: set[str]) -> list[Pair]:
    """Join those without a number to the one numbered person they match; return the pairs that match several."""
    wanted: dict[str, set[str]] = {}
    for one, other in weak:
        bare, known = (other, one) if one in numbered else (one, other)
        wanted.setdefault(sets.of(bare), set()).add(sets.of(known))
    torn: list[Pair] = []
    for bare_set, known_sets in sorted(wanted.items()):
        if len(known_sets) == 1:
            sets.join(bare_set, *known_sets)
        else:
            torn += [pair for pair in weak if sets.of(pair[0] if pair[1] in numbered else pair[1]) == bare_set]
    return torn


def _with_merged(sets: _Sets, patients: Mapping[str, Facts], merged: Mapping[str, str]) -> tuple[frozenset[str], ...]:
    clusters = sets.all()
    for id in sorted(set(merged) & set(patients)):
        survivor = _survivor(id, merged)
        if survivor in patients and survivor not in merged:
            clusters[sets.of(survivor)].add(id)
        else:
            clusters.setdefault(id, set()).add(id)
    return tuple(frozenset(members) for _, members in sorted(clusters.items()))


def _survivor(id: str, merged: Mapping[str, str]) -> str:
    """The end of the chain; of a circle, which only contradicting merges make, nobody."""
    seen = {id}
    while id in merged:
        id = merged[id]
        if id in seen:
            return ""
        seen.add(id)
    return id
