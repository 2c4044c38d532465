"""Disjoint sets of ids: what is joined is one set. The answer does not hang on the order of joining."""

from __future__ import annotations

from collections.abc import Iterable


class Sets:
    def __init__(self, ids: Iterable[str]) -> None:
        self._parent = {id: id for id in ids}

    def of(self, id: str) -> str:
        """The smallest id of the set."""
        while self._parent[id] != id:
            id = self._parent[id]
        return id

    def join(self, one: str, other: str) -> None:
        low, high = sorted((self.of(one), self.of(other)))
        self._parent[high] = low

    def all(self) -> dict[str, set[str]]:
        """By the smallest id of each."""
        sets: dict[str, set[str]] = {}
        for id in self._parent:
            sets.setdefault(self.of(id), set()).add(id)
        return sets


def united(groups: Iterable[Iterable[str]], pairs: Iterable[tuple[str, str]]) -> list[frozenset[str]]:
    """The groups, joined where a pair has an end in each of two; a pair with an end in none says nothing."""
    every = [tuple(group) for group in groups]
    sets = Sets(id for group in every for id in group)
    known = {id for group in every for id in group}
    for first, *rest in every:
        for other in rest:
            sets.join(first, other)
    for one, other in pairs:
        if one in known and other in known:
            sets.join(one, other)
    return [frozenset(members) for _, members in sorted(sets.all().items())]
