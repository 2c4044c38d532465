"""Conditions that hold others: and, or, not, and the hops along references, forwards (chains) and backwards (`_has`).

A hop with few candidates behind it is resolved first, into the ids that it leads to, and can then lead the search; any other is
asked of each resource that the search comes by. Each hop meets only what the reader may see.
https://hl7.org/fhir/R4/search.html#chaining
"""

# ruff: noqa: S608 - every text joined into SQL here is our own; values are bound
from __future__ import annotations

from collections.abc import Sequence

import apsw

from hub.errors import Invalid
from hub.search import query
from hub.store.sqlite.conditions import NOTHING, Condition, Source, all_of, any_of, candidates
from hub.store.sqlite.criteria import RANK, Row

DEEPEST = 32  # hops and brackets: what SQLite's parser and ours stand with room to spare
NEAR = frozenset({"near:latitude", "near:longitude"})


def condition(row: Row, asked: query.Condition, depth: int = 0) -> Condition:
    """Raise HubError for a modifier that this store does not know, or for too deep a nest."""
    if depth > DEEPEST:
        raise Invalid(f"a search nests at most {DEEPEST} deep")
    match asked:
        case query.Criterion():
            return _of_body(row, asked, depth) if row.frame.indexer.needs_body(asked) else row.criterion(asked)
        case query.AllOf((query.Criterion() as low, query.Criterion() as high)) if low.code == high.code in NEAR:
            return _between(row, low, high)
        case query.AllOf(conditions):
            return all_of([condition(row, each, depth + 1) for each in conditions])
        case query.AnyOf(conditions):
            return any_of([condition(row, each, depth + 1) for each in conditions])
        case query.Not(inner):
            return Condition(f"NOT ({condition(row, inner, depth + 1).probe})")
        case query.Chain(code, target, inner):
            return _chain(row, code, Row.of(row.frame, target), inner, depth + 1)
        case query.Has(source, code, inner):
            return _has(row, code, Row.of(row.frame, source), inner, depth + 1)


def hops(asked: query.Condition) -> bool:
    match asked:
        case query.Criterion():
            return False
        case query.AllOf(conditions) | query.AnyOf(conditions):
            return any(hops(each) for each in conditions)
        case query.Not(inner):
            return hops(inner)
        case query.Chain() | query.Has():
            return True


def _of_body(row: Row, asked: query.Criterion, depth: int) -> Condition:
    """The indexes find candidates, the resource itself tells."""
    narrowed = row.frame.indexer.candidates(row.type, asked)
    first = Condition("1") if narrowed is None else condition(row, narrowed, depth + 1)
    if first.nothing:
        return NOTHING
    # CASE keeps the order: SQLite would read the body of every candidate before it asks the indexes.
    probe = f"CASE WHEN {first.probe} THEN body_fulfils({row.body}, {row.frame.bind(apsw.pyobject(asked))}) ELSE 0 END"
    return Condition(probe, first.sources, exact=False, rank=RANK["composite"])


def _between(row: Row, low: query.Criterion, high: query.Criterion) -> Condition:
    """A place has one position, so both bounds are of one entry."""
    first, second = row.criterion(low), row.criterion(high)
    if first.nothing or second.nothing:
        return NOTHING
    source = Source("number", f"{first.sources[0].where} AND {second.sources[0].where}")
    return Condition(f"({first.probe}) AND ({second.probe})", (source,), rank=3)


# -- hops


def _chain(row: Row, code: str, target: Row, inner: query.Condition, depth: int) -> Condition:
    """The reference `code` of this row leads to a target that fulfils `inner`."""
    number, limits = row.parameter(code), target.limits()
    if number is None or "0" in limits or (behind := condition(target, inner, depth)).nothing:
        return NOTHING
    refers = f"{{t}}param = {row.frame.bind(number)} AND {{t}}type = {row.frame.bind(target.number)}"
    ids = _resolved(target, limits, behind, f"SELECT DISTINCT {target.name}.id")
    if ids is not None:
        return _referring(row, refers, ids)
    entry = f"{target.name}_to"
    return Condition(f"""EXISTS (SELECT 1 FROM reference {entry} INDEXED BY reference_of
        CROSS JOIN resource {target.name} ON {target.name}.type = {entry}.type AND {target.name}.id = {entry}.id
        WHERE {entry}.rid = {row.name}.rid AND {refers.format(t=f"{entry}.")} AND {_fulfilled(target, limits, behind.probe)})""")


def _referring(row: Row, refers: str, ids: Sequence[str]) -> Condition:
    if not ids:
        return NOTHING
    where = f"{refers} AND {{t}}id {row.frame.among(ids)}"
    if len(ids) > 1:
        source = Source("reference", where)
        return Condition(source.by_rid(row.name), (source,), rank=1)
    probe = f"EXISTS (SELECT 1 FROM reference WHERE {where.format(t='')} AND rid = {row.name}.rid)"
    return Condition(probe, (Source("reference", where, "keyed"),), rank=1)


def _has(row: Row, code: str, source: Row, inner: query.Condition, depth: int) -> Condition:
    """The reference `code` of a source that fulfils `inner` leads to this row."""
    number, limits = source.parameter(code), source.limits()
    if number is None or "0" in limits or (behind := condition(source, inner, depth)).nothing:
        return NOTHING
    entry = f"{source.name}_from"
    refers = f"{entry}.param = {row.frame.bind(number)} AND {entry}.type = {row.frame.bind(row.number)}"
    joined = f"CROSS JOIN reference {entry} INDEXED BY reference_of ON {entry}.rid = {source.name}.rid AND {refers}"
    ids = _resolved(source, limits, behind, f"SELECT DISTINCT {entry}.id", joined)
    if ids is not None:
        return row.by_ids(ids) if ids else NOTHING
    return Condition(f"""EXISTS (SELECT 1 FROM reference {entry}
        CROSS JOIN resource {source.name} ON {source.name}.rid = {entry}.rid
        WHERE {refers} AND {entry}.id = {row.name}.id AND {_fulfilled(source, limits, behind.probe)})""")


def _fulfilled(row: Row, limits: Sequence[str], probe: str) -> str:
    return " AND ".join([f"{row.name}.deleted = 0", *limits, f"({probe})"])


def _resolved(row: Row, limits: Sequence[str], behind: Condition, select: str, joined: str = "") -> list[str] | None:
    """The ids selected, of the rows that fulfil all; None when there may be too many to look for them first."""
    frame = row.frame
    if not behind.sources or frame.capped(behind, frame.resolve_below) >= frame.resolve_below:
        return None
    found = f"FROM {candidates(behind.sources)} c CROSS JOIN resource {row.name} ON {row.name}.rid = c.rid"
    where = _fulfilled(row, limits, "1" if behind.exact else behind.probe)
    return [identity for (identity,) in frame.connection.execute(f"{select} {found} {joined} WHERE {where}", frame.bindings)]
