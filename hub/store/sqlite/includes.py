"""_include and _revinclude: resources beside the matches, each seen only if the reader may see it by itself.

https://hl7.org/fhir/R4/search.html#include
"""

# ruff: noqa: S608 - every text joined into SQL here is our own; values are bound
from __future__ import annotations

from collections.abc import Iterator, Sequence

import apsw

from hub.fhir_json import load
from hub.search.entries import Reference
from hub.search.query import Include, SearchQuery
from hub.store.port import Key, Scope, Version
from hub.store.sqlite import versions
from hub.store.sqlite.criteria import Compiler
from hub.store.sqlite.indexer import Indexer
from hub.store.sqlite.limits import hidden_condition
from hub.store.sqlite.names import Names
from hub.store.sqlite.people import scope_condition

CAP = 1_000
EVERY = "*"


class Includes:
    """What one page includes."""

    def __init__(self, connection: apsw.Connection, names: Names, indexer: Indexer, query: SearchQuery, scope: Scope) -> None:
        self._connection = connection
        self._names = names
        self._indexer = indexer
        self._query = query
        self._scope = scope
        self._visible: dict[str, tuple[str, dict[str, object]]] = {}

    def of(self, matches: Sequence[Version], seen: set[int]) -> tuple[tuple[Version, ...], bool]:
        """The included versions, and whether the cap cut some off; `seen` are rids that are on the page already."""
        found: list[int] = []
        for rid in self._candidates(matches):
            if rid not in seen:
                if len(found) == CAP:
                    return versions.by_rids(self._connection, self._names, found), True
                seen.add(rid)
                found.append(rid)
        return versions.by_rids(self._connection, self._names, found), False

    def _candidates(self, matches: Sequence[Version]) -> Iterator[int]:
        for include in self._query.includes:
            yield from self._reverse(include, matches) if include.reverse else self._forward(include, matches)

    # -- what the matches refer to
    def _forward(self, include: Include, matches: Sequence[Version]) -> Iterator[int]:
        for match in matches:
            if match.type == include.source_type:
                for key in self._references(match, include):
                    yield from self._reachable(key)

    def _references(self, match: Version, include: Include) -> Iterator[Key]:
        for code, value in self._indexer.extract(load(match.body)):
            wanted = isinstance(value, Reference) and code in (include.code, code if include.code == EVERY else "")
            if wanted and value.type and include.target_type in ("", value.type):  # type: ignore[union-attr]
                yield Key(value.type, value.id)  # type: ignore[union-attr]

    def _reachable(self, key: Key) -> Iterator[int]:
        number = self._names.word(self._connection, key.type)
        condition, bindings = self._limit(key.type)
        select = f"SELECT rid FROM resource r WHERE r.type = :type AND r.id = :id AND r.deleted = 0 AND {condition}"
        for (rid,) in self._connection.execute(select, {**bindings, "type": number, "id": key.id}):
            yield rid

    # -- what refers to the matches
    def _reverse(self, include: Include, matches: Sequence[Version]) -> Iterator[int]:
        condition, bindings = self._limit(include.source_type)
        param = "param = :param" if include.code != EVERY else "param IN (SELECT id FROM parameter WHERE type = :source)"
        source = self._names.word(self._connection, include.source_type)
        number = self._names.parameter(self._connection, include.source_type, include.code)
        select = f"""SELECT r.rid FROM reference f CROSS JOIN resource r ON r.rid = f.rid
            WHERE f.{param} AND f.id = :id AND f.type = :type AND {condition} ORDER BY f.rid DESC"""
        for match in matches:
            if include.target_type in ("", match.type):
                target = self._names.word(self._connection, match.type)
                row = {**bindings, "param": number, "source": source, "id": match.id, "type": target}
                for (rid,) in self._connection.execute(select, row):
                    yield rid

    def _limit(self, resource_type: str) -> tuple[str, dict[str, object]]:
        """What the reader may see of this type, as SQL over r."""
        known = self._visible.get(resource_type)
        if known is None:
            number = self._names.word(self._connection, resource_type)
            compiler = Compiler(self._connection, self._names, self._indexer, resource_type, -1 if number is None else number)
            scope = {"scope_facility": self._scope.facility, "scope_now": self._scope.now}
            hidden = hidden_condition(compiler, self._query.hidden_tags)
            condition = f"{scope_condition(self._scope, resource_type)} AND {hidden}"
            known = self._visible[resource_type] = (condition, {**scope, **compiler.bindings})
        return known
