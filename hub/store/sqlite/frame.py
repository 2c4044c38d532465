"""What all conditions of one query share: the connection, the reader, and the values bound so far."""

# ruff: noqa: S608 - every text joined into SQL here is our own; values are bound
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import apsw
import msgspec

from hub.store.indexer import Indexer
from hub.store.port import Scope
from hub.store.sqlite.conditions import Condition
from hub.store.sqlite.names import Names
from hub.store.sqlite.people import scope_bindings


@dataclass(slots=True)
class Frame:
    """`bindings` grows with each condition."""

    connection: apsw.Connection
    names: Names
    indexer: Indexer
    scope: Scope
    hidden_tags: Sequence[tuple[str, str]]
    resolve_below: int  # a hop with fewer candidates behind it is resolved before the search begins
    bindings: dict[str, Any] = field(default_factory=dict)
    hops: int = 0

    def __post_init__(self) -> None:
        self.bindings |= scope_bindings(self.scope)

    def bind(self, value: Any) -> str:
        name = f"v{len(self.bindings)}"
        self.bindings[name] = value
        return f":{name}"

    def among(self, values: Iterable[Any]) -> str:
        """`= …` or `IN …`, however many there are."""
        several = list(values)
        if len(several) == 1:
            return f"= {self.bind(several[0])}"
        return f"IN (SELECT value FROM json_each({self.bind(msgspec.json.encode(several).decode())}))"

    def word(self, text: str) -> int:
        """A text that occurs nowhere is number -1, which occurs nowhere either."""
        known = self.names.word(self.connection, text)
        return -1 if known is None else known

    def capped(self, condition: Condition, cap: int) -> int:
        """How many candidates the sources hold, counted no further than `cap`."""
        total = 0
        for source in condition.sources:
            if source.shape == "scan":
                return cap
            total += self.get(f"SELECT count(*) FROM ({source.select()} LIMIT {cap})")
            if total >= cap:
                return cap
        return total

    def get(self, select: str) -> int:
        return int(self.connection.execute(select, self.bindings).get)
