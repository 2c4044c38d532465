"""Patients that may be one person → persons, the same whatever the order in which the Patients came.

First those that a number makes one, then those that all their elements do; who matches two that are kept apart joins neither
(hub.identity.joining). A merge that a facility stated (A40) holds whatever the rules say, and what a person
decided holds whatever rules and merges say.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import NamedTuple

from hub.identity.apart import kept_apart
from hub.identity.decisions import UNDECIDED, Decided
from hub.identity.joining import join
from hub.identity.matching import STANDARD, Matching
from hub.identity.pairs import Pair, in_order
from hub.identity.rules import Facts, compare
from hub.identity.sets import Sets


class Persons(NamedTuple):
    clusters: tuple[frozenset[str], ...]
    doubts: dict[Pair, str]  # pair of ids in order → reason


def persons(
    patients: Mapping[str, Facts], merged: Mapping[str, str], decided: Decided = UNDECIDED, matching: Matching = STANDARD
) -> Persons:
    """`merged`: a Patient that its facility replaced → the surviving one. It is compared no more and follows.

    `decided` by people: a merge that one of them took back is none, and its Patient is compared like any other.
    """
    merged = {id: survivor for id, survivor in merged.items() if in_order(id, survivor) not in decided.apart}
    ids = sorted(id for id in patients if id not in merged)
    verdicts = {(a, b): compare(patients[a], patients[b], matching) for a, b in combinations(ids, 2)}
    sets = Sets(ids)
    torn = join(sets, verdicts)
    links = {pair for pair, verdict in verdicts.items() if verdict.answer == "link"}
    links |= {in_order(id, survivor) for id, survivor in merged.items()}
    clusters, contested = kept_apart(_with_merged(sets, patients, merged), links, decided)
    doubts = {pair: v.reason for pair, v in verdicts.items() if v.answer == "doubt"}
    confirmed = {id for pair in decided.together for id in pair}
    numbered = {id for id in ids if patients[id].numbers}
    doubts |= {pair: "several-persons" for pair in torn if not confirmed & (set(pair) - numbered)}
    doubts |= dict.fromkeys(contested, "kept-apart")
    place = {id: cluster for cluster in clusters for id in cluster}
    asked = {p: why for p, why in doubts.items() if p not in decided.apart and place[p[0]] != place[p[1]]}
    return Persons(tuple(clusters), asked)


def _with_merged(sets: Sets, patients: Mapping[str, Facts], merged: Mapping[str, str]) -> tuple[frozenset[str], ...]:
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
