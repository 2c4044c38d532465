"""One search: choose how to go, walk until the page is full, fetch what is included.

SQLite's own planner averages over parameters that have nothing in common, so the order of the join is decided here, by counting
(up to a cap) what each criterion finds, and is fixed with CROSS JOIN. Three ways to go:

- *gather*: the rids of the most selective criterion, each probed, then sorted;
- *stream*: one equality of a common value already yields rids in the default order, probed until the page is full;
- *walk*: all resources of the type in the order asked for, probed until the page is full.
"""

# ruff: noqa: S608 - every text joined into SQL here is our own; values are bound
from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import apsw

from hub.search.query import AllOf, SearchQuery
from hub.search.query import Condition as Asked
from hub.store.indexer import Indexer
from hub.store.port import Key, Scope, SearchPage
from hub.store.positions import decode, encode
from hub.store.sqlite import nested, versions
from hub.store.sqlite.conditions import Condition, candidates, joined
from hub.store.sqlite.criteria import Row
from hub.store.sqlite.frame import Frame
from hub.store.sqlite.includes import Includes
from hub.store.sqlite.names import Names
from hub.store.sqlite.order import SortKey, behind, names, order_by, sort_key

BODY = 30.0  # to read and extract a resource costs as much as so many looks into an index
SELECTIVE = 200  # found by one criterion: stop comparing, to count the others costs as much as to gather these


@dataclass(frozen=True, slots=True)
class Thresholds:
    few: int = 400  # a criterion that finds fewer is gathered without further thought
    many: int = 20_000  # beyond this, counting costs more than it tells


STANDARD = Thresholds()


class Match(NamedTuple):
    rid: int
    values: tuple[Any, ...]  # of the sort keys


@dataclass(frozen=True, slots=True)
class Way:
    """How to go; `lead` is the criterion whose sources are followed, None on a walk."""

    kind: Literal["gather", "stream", "walk"]
    lead: Condition | None = None


def _flat(criteria: Sequence[Asked]) -> Iterator[Asked]:
    """All of all are all."""
    for each in criteria:
        if isinstance(each, AllOf):
            yield from _flat(each.conditions)
        else:
            yield each


class Search:
    """One query under one scope, on one connection inside one read transaction."""

    def __init__(
        self,
        connection: apsw.Connection,
        known: Names,
        indexer: Indexer,
        query: SearchQuery,
        scope: Scope,
        thresholds: Thresholds = STANDARD,
    ) -> None:
        self._connection = connection
        self._names = known
        self._indexer = indexer
        self._query = query
        self._scope = scope
        self._thresholds = thresholds
        self._frame = Frame(connection, known, indexer, scope, query.hidden_tags, resolve_below=thresholds.few)
        self._row = Row.of(self._frame, query.type)
        self._frame.bindings["type"] = self._row.number
        self._limits = self._row.limits()
        self._conditions = [nested.condition(self._row, each) for each in _flat(query.criteria)]
        self._keys = [sort_key(self._row, sort) for sort in query.sort]

    # -- what is asked for
    def page(self) -> SearchPage:
        way = self._way()
        found = self._matches(way, self._query.count + 1)
        here = found[: self._query.count]
        more = len(found) > len(here)
        matches = versions.by_rids(self._connection, self._names, [match.rid for match in here])
        includes = Includes(self._connection, self._names, self._indexer, self._query, self._scope)
        included, truncated = includes.of(matches, {match.rid for match in here})
        return SearchPage(
            matches=matches,
            included=included,
            next=encode([*here[-1].values, here[-1].rid]) if more and here else None,
            total=self._total(way, len(here), more),
            truncated_includes=truncated,
        )

    def keys(self, limit: int) -> list[Key]:
        return [self._key(match.rid) for match in self._matches(self._way(), limit)]

    def _total(self, way: Way, here: int, more: bool) -> int | None:
        if self._query.after is None and not more:
            return here
        return self._count(way) if self._query.total == "accurate" else None

    def _key(self, rid: int) -> Key:
        return Key(self._query.type, str(self._connection.execute("SELECT id FROM resource WHERE rid = ?", (rid,)).get))

    def _nothing(self) -> bool:
        """Known before looking: nothing of the type, nothing for this reader, or a criterion that no resource fulfils."""
        return "0" in self._limits or any(c.nothing for c in self._conditions)

    # -- how to go
    def _way(self) -> Way:
        if self._nothing():
            return Way("walk")
        few = self._few()
        if few is not None:
            self._conditions = [c.of_few() if c is not few else c for c in self._conditions]
            return Way("gather", few)
        self._resolve_more()
        leading = [c for c in self._conditions if c.sources]
        if not leading:
            return Way("walk")
        if len(leading) == 1 and leading[0].keyed and not self._keys:
            return Way("stream", leading[0])  # nothing to weigh it against
        return self._weigh([(self._frame.capped(condition, self._thresholds.many), condition) for condition in leading])

    def _few(self) -> Condition | None:
        """A condition so selective that there is nothing to weigh."""
        counts: list[tuple[int, Condition]] = []
        for each in sorted((c for c in self._conditions if c.sources), key=lambda c: c.rank):
            counts.append((self._frame.capped(each, self._thresholds.few), each))
            if counts[-1][0] < SELECTIVE:
                break
        count, lead = min(counts, key=lambda pair: pair[0], default=(self._thresholds.few, None))
        return lead if count < self._thresholds.few else None

    def _resolve_more(self) -> None:
        """Hops with more behind them are worth resolving as long as a walk would look at more resources than they have."""
        walked = math.isqrt((self._query.count + 1) * self._resources())
        below = self._thresholds.many if self._query.total == "accurate" else min(walked, self._thresholds.many)
        if below > self._frame.resolve_below:
            self._frame.resolve_below = below
            for number, asked in enumerate(_flat(self._query.criteria)):
                if not self._conditions[number].sources and nested.hops(asked):
                    self._conditions[number] = nested.condition(self._row, asked)

    def _resources(self) -> int:
        return int(self._connection.execute("SELECT max(rid) FROM resource").get or 1)

    def _weigh(self, counts: list[tuple[int, Condition]]) -> Way:
        """Expected number of resources looked at, as if criteria were independent of each other."""
        everything = max([self._resources(), *(count for count, _ in counts)])
        along = self._along()
        bounds = [count for count, condition in counts if condition in along and count < self._thresholds.many]
        probed = math.prod(count / everything for count, condition in counts if condition not in along)
        walked = min([(self._query.count + 1) / max(probed, 1e-12), everything, *bounds])
        costs: list[tuple[float, Way]] = [(2 * walked * self._each(), Way("walk"))]
        share = math.prod(count / everything for count, _ in counts)
        needed = min((self._query.count + 1) / max(share, 1e-12), everything)
        for count, condition in counts:
            if condition.keyed and not self._keys:
                costs.append((needed * count / everything * self._each(condition), Way("stream", condition)))
            elif count < self._thresholds.many:
                costs.append((count * (2 + self._each(condition)), Way("gather", condition)))
        return min(costs, key=lambda pair: pair[0])[1]

    def _each(self, lead: Condition | None = None) -> float:
        """What it costs to ask one resource, as a multiple of asking the index only."""
        return BODY if any(c.reads_body for c in self._conditions if not (c is lead and c.exact)) else 1.0

    # -- going
    def _matches(self, way: Way, limit: int) -> list[Match]:
        if self._nothing():
            return []
        if way.kind == "gather" or (way.kind == "walk" and not self._walkable()):
            return self._run(self._gathered(way.lead), limit)
        if way.kind == "stream" or not self._keys:
            return self._run(self._streamed(way.lead), limit)
        return self._walked(limit)

    def _run(self, select: str, limit: int) -> list[Match]:
        """Take rows as they come until there are enough; one resource may come by several entries, one after another."""
        found: dict[int, Match] = {}
        for rid, *values in self._connection.execute(select, self._frame.bindings):
            found.setdefault(rid, Match(rid, tuple(values)))
            if len(found) == limit:
                break
        return list(found.values())

    def _along(self) -> list[Condition]:
        """Conditions that a walk along the first sort key answers as it goes."""
        first = self._keys[0] if self._keys else None
        if first is None or not first.single:
            return []
        return [c for c in self._conditions if c.code == first.code and len(c.sources) == 1 and c.exact]

    def _where(self, *more: str, lead: Condition | None = None, but: Sequence[Condition] = ()) -> str:
        """What only the resource itself tells is asked last."""
        asked = [c for c in self._conditions if not (c is lead and c.exact) and c not in but]
        index, bodies = ([c.probe for c in asked if c.reads_body == reads] for reads in (False, True))
        return joined([*more, *index, *self._limits, *bodies], "AND") or "1"

    def _position(self) -> list[Any] | None:
        return None if self._query.after is None else decode(self._query.after, len(self._keys) + 1)

    def _candidates(self, lead: Condition | None) -> str:
        """FROM … WHERE …: every match once."""
        if lead is None:
            return f"FROM resource r WHERE {self._where('r.type = :type', 'r.deleted = 0')}"
        return f"FROM {candidates(lead.sources)} c CROSS JOIN resource r ON r.rid = c.rid WHERE {self._where(lead=lead)}"

    def _gathered(self, lead: Condition | None) -> str:
        values = [key.expression for key in self._keys]
        return self._ordered("r.rid", values, self._candidates(lead), self._position())

    def _ordered(
        self, rid: str, values: Sequence[str], candidates: str, position: Sequence[Any] | None, *, walked: bool = False
    ) -> str:
        """Candidates with their sort values, from the position on."""
        named = "".join(f", {value} AS k{number}" for number, value in enumerate(values))
        after = f" WHERE {behind(self._frame, self._keys, position)}" if position is not None else ""
        inner = f"SELECT {rid} AS rid{named} {candidates}"
        return f"SELECT rid{names(self._keys)} FROM ({inner}){after} ORDER BY {order_by(self._keys, walked=walked)}"

    def _count(self, way: Way) -> int:
        if self._nothing():
            return 0
        return int(self._connection.execute(f"SELECT count(*) {self._candidates(way.lead)}", self._frame.bindings).get)

    def _streamed(self, lead: Condition | None) -> str:
        """In the default order, newest created first."""
        position = self._position()
        if lead is None:
            after = [f"r.rid < {self._frame.bind(position[-1])}"] if position else []
            where = self._where("r.type = :type", "r.deleted = 0", *after)
            return f"SELECT r.rid FROM resource r WHERE {where} ORDER BY r.rid DESC"
        source = lead.sources[0]
        after = [f"d.rid < {self._frame.bind(position[-1])}"] if position else []
        where = self._where(source.where.format(t="d."), *after, lead=lead)
        joined = f"{source.table} d CROSS JOIN resource r ON r.rid = d.rid"
        return f"SELECT d.rid FROM {joined} WHERE {where} ORDER BY d.rid DESC"

    # -- walking an index in the order of the first sort key
    def _walkable(self) -> bool:
        return not self._keys or bool(self._keys[0].column)

    def _walked(self, limit: int) -> list[Match]:
        position = self._position()
        first = self._keys[0]
        found: list[Match] = []
        if position is None or position[0] is not None:
            found = self._run(self._walk(first, position), limit)
        if len(found) < limit and first.param is not None:
            rest = self._rest(first, position if position and position[0] is None else None)
            found += self._run(rest, limit - len(found))
        return found

    def _walk(self, first: SortKey, position: Sequence[Any] | None) -> str:
        """An entry counts only if it is the one by which its resource is sorted; asked last, of what passed."""
        if first.param is None:
            table, value, rid = "resource r", f"r.{first.column}", "r.rid"
            own, last = ["r.type = :type", "r.deleted = 0"], "1"
        else:
            table, value, rid = f"{first.table} d CROSS JOIN resource r ON r.rid = d.rid", f"d.{first.column}", "d.rid"
            own, last = [f"d.param = {first.param}"], "1" if first.single else f"{value} = {first.expression}"
        if position is not None:
            own.append(f"{value} {'<=' if first.descending else '>='} {self._frame.bind(position[0])}")
        values = [value, *(key.expression for key in self._keys[1:])]
        along = self._along()
        for source in (condition.sources[0] for condition in along):
            # `+` keeps SQLite on the index that is walked; it would leave it for the one by `high`.
            own += [text.replace("{t}high", "+{t}high").format(t="d.") for text in (source.where, source.floor) if text]
        probes = self._where(but=along)
        passed = probes if last == "1" else f"CASE WHEN {probes} THEN {last} ELSE 0 END"
        where = " AND ".join([*own, passed])
        return self._ordered(rid, values, f"FROM {table} WHERE {where}", position, walked=True)

    def _rest(self, first: SortKey, position: Sequence[Any] | None) -> str:
        """Resources without a value of the first key: they come after all others."""
        absent = "1" if first.param is None else f"NOT ({self._row.present(first.param)})"
        values = ["NULL", *(key.expression for key in self._keys[1:])]
        where = self._where("r.type = :type", "r.deleted = 0", absent)
        return self._ordered("r.rid", values, f"FROM resource r WHERE {where}", position)
