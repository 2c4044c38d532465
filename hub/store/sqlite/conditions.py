"""What a criterion becomes in SQL: where its resources are found, and how one resource is tested.

Meanings are those of hub.search.compare. `probe` speaks of one row of `resource`; a `Source` is a range of one index table.
Conditions name columns as `{t}low`, so that the same text serves a table alone and a join.
"""

# ruff: noqa: S608 - every text joined into SQL here is our own; values are bound
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

# One equality: rids come ascending; one range; or every entry of the parameter is looked at.
Shape = Literal["keyed", "range", "scan"]

FLAT = 50
UNITED = 100  # selects; SQLite takes 500 at most
MOST_SOURCES = 1000


@dataclass(frozen=True, slots=True)
class Source:
    """Rows of an index table whose rid is a candidate."""

    table: str
    where: str
    shape: Shape = "range"
    floor: str = ""  # on a walk along `low` this holds too, and says where to start

    def select(self) -> str:
        return f"SELECT rid FROM {self.table} WHERE {self.where.format(t='')}"

    def by_rid(self, row: str) -> str:
        """Whether a row has such an entry, where the table is reached by rid.

        The `+` lets SQLite look the entry's id up in a list; else it would seek each id of the list for each row.
        """
        where = self.where.replace("{t}id", "+{t}id").format(t="")
        return f"EXISTS (SELECT 1 FROM {self.table} INDEXED BY {self.table}_of WHERE {where} AND rid = {row}.rid)"


@dataclass(frozen=True, slots=True)
class Condition:
    """`sources` together hold every match (and perhaps more, where `probe` must still be asked); none: it cannot lead."""

    probe: str
    sources: tuple[Source, ...] = ()
    exact: bool = True  # what the sources hold needs no probe
    rank: int = 5  # which conditions are likely to be selective, to count those first
    code: str = ""
    when_few: str = ""  # a probe that reads the resource, where only a few must be asked

    @property
    def nothing(self) -> bool:
        return self.probe == "0"

    @property
    def reads_body(self) -> bool:
        return "FROM body" in self.probe

    def of_few(self) -> Condition:
        return replace(self, probe=self.when_few) if self.when_few else self

    @property
    def keyed(self) -> bool:
        return len(self.sources) == 1 and self.sources[0].shape == "keyed"


NOTHING = Condition("0", (Source("resource", "0"),), rank=0)


def candidates(sources: Sequence[Source]) -> str:
    """SQL of the rids, each once."""
    selects = [source.select() for source in sources]
    while len(selects) > 1:
        groups = [selects[first : first + UNITED] for first in range(0, len(selects), UNITED)]
        selects = [f"SELECT rid FROM ({' UNION ALL '.join(group)})" for group in groups]
    return f"(SELECT DISTINCT rid FROM ({selects[0]}))"


def either(probes: Sequence[str]) -> str:
    return f"({joined(probes, 'OR')})" if probes else "0"


def joined(texts: Sequence[str], operator: Literal["AND", "OR"]) -> str:
    """As a balanced tree, in the order given: SQLite refuses an expression a thousand deep."""
    if len(texts) <= FLAT:
        return f" {operator} ".join(f"({text})" for text in texts)
    middle = len(texts) // 2
    return f"({joined(texts[:middle], operator)}) {operator} ({joined(texts[middle:], operator)})"


def all_of(conditions: Sequence[Condition]) -> Condition:
    """The likeliest selective one leads; each is asked, the cheap ones of the index before those that look behind a reference."""
    if any(each.nothing for each in conditions):
        return NOTHING
    probe = joined([each.probe for each in conditions], "AND") or "1"
    lead = min((each for each in conditions if each.sources), key=lambda each: each.rank, default=None)
    if lead is None:
        return Condition(probe)
    return Condition(probe, lead.sources, exact=lead.exact and len(conditions) == 1, rank=lead.rank)


def any_of(conditions: Sequence[Condition]) -> Condition:
    """It can lead if each alternative can, and there are not too many of them."""
    possible = [each for each in conditions if not each.nothing]
    if not possible:
        return NOTHING
    sources = tuple(source for each in possible for source in each.sources) if all(each.sources for each in possible) else ()
    sources = sources if len(sources) <= MOST_SOURCES else ()
    exact = all(each.exact for each in possible)
    return Condition(either([each.probe for each in possible]), sources, exact, max(each.rank for each in possible))
