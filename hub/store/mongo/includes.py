"""_include and _revinclude: resources beside the matches, each seen only if the reader may see it by itself.

https://hl7.org/fhir/R4/search.html#include
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hub.fhir_json import load
from hub.search.entries import Reference
from hub.search.parameters import registry
from hub.search.query import EVERY, Include, SearchQuery
from hub.search.reading import BY_NAME_ALONE, MAX_INCLUDED
from hub.store.indexer import Indexer
from hub.store.mongo.criteria import LIVE, hidden_query
from hub.store.mongo.documents import Document, paired, plain, version_of
from hub.store.mongo.reading import Reading, of_type
from hub.store.mongo.versions import WHOLE
from hub.store.mongo.visibility import Visibility
from hub.store.port import Key, Version


class Includes:
    """What one page includes."""

    def __init__(self, reading: Reading, indexer: Indexer, visibility: Visibility, query: SearchQuery) -> None:
        self._reading = reading
        self._indexer = indexer
        self._visibility = visibility
        self._query = query
        self._found: dict[Key, Version] = {}

    def of(self, matches: Sequence[Version]) -> tuple[tuple[Version, ...], bool]:
        """The included versions, and whether the cap cut some off."""
        seen = {Key(match.type, match.id) for match in matches}
        sources, first = list(matches), True
        while sources:
            fresh: list[Version] = []
            for version in self._round(sources, first=first):
                key = Key(version.type, version.id)
                if key in seen:
                    continue
                if len(self._found) == MAX_INCLUDED:
                    return tuple(self._found.values()), True
                seen.add(key)
                self._found[key] = version
                fresh.append(version)
            sources, first = fresh, False
        return tuple(self._found.values()), False

    def _round(self, sources: Sequence[Version], *, first: bool) -> Iterator[Version]:
        for include in self._query.includes:
            if first or include.iterate:
                yield from self._reverse(include, sources) if include.reverse else self._forward(include, sources)

    # -- what the sources refer to
    def _forward(self, include: Include, sources: Sequence[Version]) -> Iterator[Version]:
        start = [source for source in sources if include.source_type in (EVERY, source.type)]
        wanted = dict.fromkeys(key for source in start for key in self._references(source, include))
        keys = [key for key in wanted if include.target_type in ("", EVERY, key.type)]
        by_type: dict[str, list[str]] = {}
        for key in keys:
            by_type.setdefault(key.type, []).append(key.id)
        found = {
            Key(kind, row["_id"]): version_of(kind, row)
            for kind, ids in by_type.items()
            for row in self._visible(kind, {"_id": {"$in": ids}})
        }
        yield from (found[key] for key in keys if key in found)

    def _references(self, source: Version, include: Include) -> Iterator[Key]:
        for code, value in self._indexer.extract(load(source.body)):
            if isinstance(value, Reference) and value.type and include.code in (EVERY, code):
                yield Key(value.type, value.id)

    # -- what refers to the sources
    def _reverse(self, include: Include, sources: Sequence[Version]) -> Iterator[Version]:
        targets = [source for source in sources if include.target_type in ("", EVERY, source.type)]
        if targets:
            for kind in self._types() if include.source_type == EVERY else [include.source_type]:
                yield from self._referring(kind, reference_codes(kind) if include.code == EVERY else (include.code,), targets)

    def _types(self) -> list[str]:
        """All that need not be asked for by name."""
        return sorted(self._reading.database.types() - BY_NAME_ALONE)

    def _referring(self, kind: str, codes: Sequence[str], targets: Sequence[Version]) -> Iterator[Version]:
        rows = self._visible(kind, _refers(codes, targets), newest=MAX_INCLUDED + len(targets) + 1)
        if len(rows) > MAX_INCLUDED:  # too many: those of the first targets come first
            for target in targets:
                rows = self._visible(kind, _refers(codes, [target]), newest=2 * MAX_INCLUDED)
                yield from (version_of(kind, row) for row in rows)
            return
        for target in targets:
            names = {paired(code, target.type, target.id) for code in codes}
            yield from (version_of(kind, row) for row in rows if not names.isdisjoint(row["u"]))

    def _visible(self, kind: str, wanted: Document, *, newest: int = 0) -> list[Document]:
        narrowed = self._visibility.of_type(kind)
        if narrowed is None:
            return []
        query = {"$and": [part for part in (wanted, LIVE, narrowed, hidden_query(self._query)) if part]}
        sort = [("o", -1)] if newest else None
        rows = list(self._reading.find(of_type(kind), query, fields=(*WHOLE, "u"), sort=sort, limit=newest))
        return rows if self._visibility.exact else self._visibility.kept(kind, rows)


def _refers(codes: Sequence[str], targets: Sequence[Version]) -> Document:
    return {
        "t": {"$in": [plain(code, target.id) for code in codes for target in targets]},
        "u": {"$in": [paired(code, target.type, target.id) for code in codes for target in targets]},
    }


def reference_codes(resource_type: str) -> tuple[str, ...]:
    return tuple(code for code, parameter in registry().of(resource_type).items() if parameter.type == "reference")
