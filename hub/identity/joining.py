"""Pairs that the rules link → groups of which no two members are kept apart, the same whatever the order of the pairs.

The surer pairs come first and stand (hub.identity.rules.TIERS). A pair is not followed that would bring together, directly or
through others, two whom a rule keeps apart: who matches both could be either, so it joins neither.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from hub.identity.pairs import Pair
from hub.identity.rules import TIERS, Verdict
from hub.identity.sets import Sets

Edge = tuple[str, str]  # two sets, each named by its first member


def join(sets: Sets, verdicts: Mapping[Pair, Verdict]) -> list[Pair]:
    """Join what the verdicts link; return the links that were not followed."""
    apart = [pair for pair, verdict in verdicts.items() if verdict.apart]
    links = {pair: verdict.reason for pair, verdict in verdicts.items() if verdict.answer == "link"}
    for reasons in TIERS:
        _join_tier(sets, [pair for pair, reason in links.items() if reason in reasons], apart)
    return [pair for pair in links if sets.of(pair[0]) != sets.of(pair[1])]


def _join_tier(sets: Sets, links: Iterable[Pair], apart: Iterable[Pair]) -> None:
    edges = _between(sets, links)
    clashes = _between(sets, apart)
    for component in _components(_firm(edges, clashes)):
        members = {end for edge in component for end in edge}
        if not any(one in members and other in members for one, other in clashes):
            for one, other in component:
                sets.join(one, other)


def _between(sets: Sets, pairs: Iterable[Pair]) -> set[Edge]:
    found = {(sets.of(one), sets.of(other)) for one, other in pairs}
    return {(min(edge), max(edge)) for edge in found if edge[0] != edge[1]}


def _firm(edges: Collection[Edge], clashes: Collection[Edge]) -> list[Edge]:
    """Without those that would join somebody to one of two who are kept apart, while it matches the other as well."""
    near: defaultdict[str, set[str]] = defaultdict(set)
    hostile: defaultdict[str, set[str]] = defaultdict(set)
    for found, neighbours in ((edges, near), (clashes, hostile)):
        for one, other in found:
            neighbours[one].add(other)
            neighbours[other].add(one)
    return [
        (one, other)
        for one, other in sorted(edges)
        if other not in hostile[one] and not near[one] & hostile[other] and not near[other] & hostile[one]
    ]


def _components(edges: Iterable[Edge]) -> list[list[Edge]]:
    edges = list(edges)
    sets = Sets({end for edge in edges for end in edge})
    for one, other in edges:
        sets.join(one, other)
    found: defaultdict[str, list[Edge]] = defaultdict(list)
    for edge in edges:
        found[sets.of(edge[0])].append(edge)
    return list(found.values())
