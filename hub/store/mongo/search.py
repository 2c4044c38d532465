"""One search: compile, walk in order until the page is full, fetch what is included."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from hub.search.query import SearchQuery
from hub.store.indexer import Indexer
from hub.store.mongo.alternatives import NOTHING
from hub.store.mongo.criteria import MOST_IDS, Compiler, hidden_query
from hub.store.mongo.documents import Document, version_of
from hub.store.mongo.includes import Includes
from hub.store.mongo.order import Found, Order
from hub.store.mongo.reading import Reading, of_type
from hub.store.mongo.visibility import Visibility
from hub.store.port import Key, SearchPage

MOST_AT_ONCE = 500  # documents of one batch, where not each of them will be a match


class Search:
    """One query of one reader, within one reading."""

    def __init__(
        self, reading: Reading, indexer: Indexer, query: SearchQuery, visibility: Visibility, *, most_ids: int = MOST_IDS
    ) -> None:
        self._reading = reading
        self._indexer = indexer
        self._query = query
        self._visibility = visibility
        compiler = Compiler(reading, indexer, self._visibility, query.type, hidden_query(query), most_ids=most_ids)
        self._filter = compiler.filter(query.criteria)
        self._order = Order(reading, query.type, query.sort)

    def page(self) -> SearchPage:
        count = self._query.count
        found = list(islice(self._matches(count + 1), count + 1))
        here = found[:count]
        more = len(found) > len(here)
        matches = tuple(version_of(self._query.type, each.document) for each in here)
        included, truncated = Includes(self._reading, self._indexer, self._visibility, self._query).of(matches)
        return SearchPage(
            matches=matches,
            included=included,
            next=self._order.position(here[-1]) if more and here else None,
            total=self._total(len(here), more),
            truncated_includes=truncated,
        )

    def keys(self, limit: int) -> list[Key]:
        return [Key(self._query.type, each.document["_id"]) for each in islice(self._matches(limit), limit)]

    @property
    def _exact(self) -> bool:
        """The filter alone says what matches."""
        return self._visibility.exact and self._filter.exact

    def _total(self, here: int, more: bool) -> int | None:
        if self._query.after is None and not more:
            return here
        return self._count() if self._query.total == "accurate" else None

    def _count(self) -> int:
        if NOTHING in self._filter.wanted:
            return 0
        if self._exact:
            return self._reading.count(of_type(self._query.type), self._filter.query)
        rows = iter(self._reading.find(of_type(self._query.type), self._filter.query, fields=("f", "p", "body")))
        total = 0
        while batch := list(islice(rows, MOST_AT_ONCE)):
            total += len(self._kept(batch))
        return total

    def _matches(self, needed: int) -> Iterator[Found]:
        if NOTHING in self._filter.wanted or needed < 1:
            return
        sizes = iter(_sizes(needed, self._exact))
        for batch in self._order.walk(self._filter.query, self._query.after, lambda: next(sizes)):
            kept = {document["_id"] for document in self._kept([found.document for found in batch])}
            yield from (found for found in batch if found.document["_id"] in kept)

    def _kept(self, documents: list[Document]) -> list[Document]:
        if self._exact:
            return documents
        seen = documents if self._visibility.exact else self._visibility.kept(self._query.type, documents)
        return self._filter.kept(seen)


def _sizes(needed: int, exact: bool) -> Iterator[int]:
    size = needed if exact else max(needed, MOST_AT_ONCE // 10)
    while True:
        yield size
        size = max(size, min(size * 2, MOST_AT_ONCE))
