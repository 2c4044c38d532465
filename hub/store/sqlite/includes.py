"""_include and _revinclude: resources beside the matches, each seen only if the reader may see it by itself.

Breadth first: what the matches refer to, or what refers to them; then, by those that iterate, the same from what was found.
https://hl7.org/fhir/R4/search.html#include
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apsw

from hub.search.query import EVERY, Include, SearchQuery
from hub.search.reading import BY_NAME_ALONE, MAX_INCLUDED
from hub.store.indexer import Indexer
from hub.store.port import Key, Scope, Version
from hub.store.sqlite import versions
from hub.store.sqlite.criteria import Row
from hub.store.sqlite.frame import Frame
from hub.store.sqlite.names import Names

_REFERRED = """SELECT f.param, f.type, f.id FROM resource r CROSS JOIN reference f INDEXED BY reference_of ON f.rid = r.rid
WHERE r.type = :type AND r.id = :id ORDER BY f.param, f.id"""
_BY_KEY = "SELECT r.rid, r.type, r.id FROM resource r WHERE r.type = :type AND r.id = :id AND r.deleted = 0 AND {limits}"
_REFERRING = """SELECT r.rid, r.type, r.id FROM reference f CROSS JOIN resource r ON r.rid = f.rid
WHERE f.{param} AND f.id = :id AND f.type = :type AND {limits} ORDER BY f.rid DESC"""

Found = tuple[int, Key]  # rid, and who it is


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
        level, includes = [Key(match.type, match.id) for match in matches], list(self._query.includes)
        while level and includes:
            here, level = level, []
            for rid, key in self._candidates(here, includes):
                if rid not in seen:
                    if len(found) == MAX_INCLUDED:
                        return versions.by_rids(self._connection, self._names, found), True
                    seen.add(rid)
                    found.append(rid)
                    level.append(key)
            includes = [include for include in includes if include.iterate]
        return versions.by_rids(self._connection, self._names, found), False

    def _candidates(self, level: Sequence[Key], includes: Iterable[Include]) -> Iterator[Found]:
        for include in includes:
            for key in level:
                yield from self._reverse(include, key) if include.reverse else self._forward(include, key)

    # -- what one refers to
    def _forward(self, include: Include, key: Key) -> Iterator[Found]:
        if include.source_type not in (EVERY, key.type):
            return
        wanted = self._names.parameter(self._connection, key.type, include.code)
        row = {"type": self._names.word(self._connection, key.type), "id": key.id}
        rows: list[Any] = self._connection.execute(_REFERRED, row).fetchall()
        for param, kind, identity in rows:
            target = self._names.text(self._connection, kind)
            if (include.code == EVERY or param == wanted) and target and include.target_type in ("", EVERY, target):
                limits, bindings = self._limit(target)
                yield from self._found(_BY_KEY.format(limits=limits), {**bindings, "type": kind, "id": identity})

    # -- what refers to one
    def _reverse(self, include: Include, key: Key) -> Iterator[Found]:
        if include.target_type not in ("", EVERY, key.type):
            return
        to = {"id": key.id, "type": self._names.word(self._connection, key.type)}
        for source in self._types() if include.source_type == EVERY else [include.source_type]:
            limits, bindings = self._limit(source)
            param = "param IN (SELECT id FROM parameter WHERE type = :source)" if include.code == EVERY else "param = :param"
            number = self._names.parameter(self._connection, source, include.code)
            row = {**bindings, **to, "param": number, "source": self._names.word(self._connection, source)}
            yield from self._found(_REFERRING.format(param=param, limits=limits), row)

    def _types(self) -> list[str]:
        """All that need not be asked for by name."""
        return sorted(versions.types(self._connection) - BY_NAME_ALONE)

    def _found(self, select: str, bindings: dict[str, object]) -> Iterator[Found]:
        rows: Iterator[Any] = iter(self._connection.execute(select, bindings))
        for rid, kind, identity in rows:
            yield rid, Key(self._names.text(self._connection, kind), identity)

    def _limit(self, resource_type: str) -> tuple[str, dict[str, object]]:
        """What the reader may see of this type, as SQL over r."""
        known = self._visible.get(resource_type)
        if known is None:
            frame = Frame(self._connection, self._names, self._indexer, self._scope, self._query.hidden_tags, resolve_below=0)
            limits = " AND ".join(Row.of(frame, resource_type).limits()) or "1"
            known = self._visible[resource_type] = (limits, frame.bindings)
        return known
