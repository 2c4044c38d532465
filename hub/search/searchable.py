"""What one hub can be asked for, now: the published parameters and the custom ones registered in its store.

Every process on the store looks once a second whether there are others; the one that registers looks at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from hub.search.custom import customs_in, generation_in
from hub.search.entries import Entry
from hub.search.extract import Extractor
from hub.search.folding import fold
from hub.search.match import body_fulfils, candidates, may_fulfil, needs_body
from hub.search.parameters import Registry, in_force, published
from hub.search.query import Criterion
from hub.security.labels import compartment_of
from hub.store.indexer import Indexer
from hub.store.port import ResourceStore

NOTICE_SECONDS = 1.0  # after which every process knows a change
Resource = dict[str, Any]


class Searchable:
    """`attach` a store once it is open; before that, and in a store without custom parameters, the published ones are in force."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._store: ResourceStore | None = None
        self._generation = b"0"
        self._looked = 0.0
        self._lock = threading.Lock()
        self._answered = published()
        self._extracted = published()
        self._extractor = Extractor(published())

    def attach(self, store: ResourceStore) -> None:
        self._store = store
        self.look()

    def registry(self) -> Registry:
        """What is answered: a parameter whose index is being built says so."""
        self._look_now_and_then()
        return self._answered

    def customised(self, resource_type: str) -> bool:
        return self._extracted.of(resource_type) is not published().of(resource_type)

    def extract(self, resource: Resource) -> list[Entry]:
        self._look_now_and_then()
        return self._extractor.entries(resource)

    def indexer(self) -> Indexer:
        """For the store: by whatever is registered at the time."""
        return Indexer(self.extract, compartment_of, fold, needs_body, candidates, may_fulfil, self._body_fulfils)

    def _body_fulfils(self, resource: Resource, criterion: Criterion) -> bool:
        """Also on the store's own threads, which know of no request."""
        with in_force(self._answered):
            return body_fulfils(resource, criterion)

    @property
    def due(self) -> bool:
        """The next question looks first."""
        return self._monotonic() - self._looked > NOTICE_SECONDS

    def _look_now_and_then(self) -> None:
        if self.due:
            self.look()

    def look(self) -> None:
        """Learn what the shelf says. It is read after the number, so that a change in between is learned at the next look."""
        if self._store is None:
            return
        self._looked = self._monotonic()  # before it waits: nobody else need wait with it
        with self._lock:
            generation = generation_in(self._store)
            if generation == self._generation:
                return
            customs = customs_in(self._store)
            ready = [each for custom in customs if custom.ready for each in custom.parameters()]
            unready = [each for custom in customs if not custom.ready for each in custom.parameters()]
            self._extracted = published().extended([*ready, *unready])
            self._extractor = Extractor(self._extracted)
            self._answered = published().extended(ready, [(each.resource_type, each.code) for each in unready])
            self._generation = generation
