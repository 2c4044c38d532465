"""Patients that rules and merges would call one person, although a person set two of them apart → who is left together.

Who was set apart is kept apart. Who matches both sides could be either: it joins neither, and stays a doubt with each of them.
The answer hangs on what is known, never on the order in which it came.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import combinations

from hub.identity.decisions import Decided
from hub.identity.pairs import Pair, in_order
from hub.identity.sets import united

Blob = frozenset[str]


def kept_apart(clusters: Iterable[Collection[str]], links: Collection[Pair], decided: Decided) -> tuple[list[Blob], set[Pair]]:
    """The clusters as people's decisions leave them, and the links that a person has to decide, because they contradict one.

    `links` are what rules and merges say.
    """
    done: list[Blob] = []
    contested: set[Pair] = set()
    for cluster in united(clusters, decided.together):
        if not _torn(cluster, decided.apart):
            done.append(cluster)
            continue
        parts = _parted(cluster, links, decided)
        done += parts
        place = {id: part for part in parts for id in part}
        inside = (pair for pair in links if pair[0] in cluster and pair[1] in cluster)
        contested |= {pair for pair in inside if pair not in decided.apart and place[pair[0]] != place[pair[1]]}
    return done, contested


def _parted(cluster: Blob, links: Collection[Pair], decided: Decided) -> list[Blob]:
    singles = [frozenset([id]) for id in sorted(cluster)]
    firm = united(singles, decided.together)
    if any(_torn(blob, decided.apart) for blob in firm):
        firm = singles  # people contradict each other
    named = {id for pair in decided.apart if set(pair) <= cluster for id in pair}
    sides = _sides([blob for blob in firm if blob & named], links, decided.apart)
    for blob in united((blob for blob in firm if not blob & named), links):
        near = [side for side in sides if _any(blob, side, links)]
        if len(near) == 1:
            sides[sides.index(near[0])] = near[0] | blob
        else:
            sides.append(blob)
    return sides


def _sides(stated: list[Blob], links: Collection[Pair], apart: Collection[Pair]) -> list[Blob]:
    """Those that were set apart from somebody, together where nothing speaks against it."""
    bridges = [
        (min(one), min(other))
        for one, other in combinations(stated, 2)
        if _any(one, other, links) and not _any(one, other, apart) and not _between(one, other, stated, links, apart)
    ]
    sides = united(stated, bridges)
    return [part for side in sides for part in ([side] if not _torn(side, apart) else [blob for blob in stated if blob <= side])]


def _between(one: Blob, other: Blob, stated: list[Blob], links: Collection[Pair], apart: Collection[Pair]) -> bool:
    """Whether somebody is set apart from only one of the two, and matches the other."""
    return any(
        _any(third, far, apart) and _any(third, near, links) and not _any(third, near, apart)
        for third in stated
        for near, far in ((one, other), (other, one))
    )


def _any(one: Blob, other: Blob, pairs: Collection[Pair]) -> bool:
    return any(in_order(a, b) in pairs for a in one for b in other)


def _torn(blob: Blob, apart: Iterable[Pair]) -> bool:
    return any(a in blob and b in blob for a, b in apart)
