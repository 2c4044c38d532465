"""Maps records again for a person who looks: same mappers, same limits, another worker; nothing of it is stored.

The stream's own worker is never lent: who opens a message that loops waits alone.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from hub.errors import Unavailable
from hub.ingest.journal import Entry
from hub.ingest.mapper_process import MapperUnavailable
from hub.ingest.mapping import Attempt
from hub.ingest.pool import MapperPool
from mappers.base import MappingContext

IDLE_SECONDS = 60.0  # a worker that nobody asks is let go
Contexts = Mapping[str, MappingContext]


class Explainer:
    """One worker, started when first asked. `contexts`: those in force now, by channel."""

    def __init__(self, contexts: Callable[[], Contexts], blobs: Path) -> None:
        self._contexts = contexts
        self._blobs = blobs
        self._lock = threading.Lock()
        self._pool: MapperPool | None = None
        self._of: Contexts = {}
        self._timer: threading.Timer | None = None
        self._asked = 0.0

    def explain(self, entry: Entry, context: MappingContext | None = None) -> Attempt:
        """What its mapper says of it, line by line; by `context`, else by its channel's own."""
        return self.explain_all([entry], {entry.record.source: context} if context else None)[0]

    def explain_all(self, entries: Iterable[Entry], contexts: Contexts | None = None) -> list[Attempt]:
        entries = list(entries)
        with self._lock:
            stated = dict(contexts if contexts is not None else self._contexts())
            for entry in entries:  # a channel that is no longer in county.toml
                stated.setdefault(entry.record.source, MappingContext())
            pool = self._warm(stated)
            self._asked = time.monotonic()
            try:
                return pool.all(entries)
            except MapperUnavailable as error:
                raise Unavailable(f"{error}; look again in a moment") from None

    def close(self) -> None:
        with self._lock:
            self._let_go()

    def _warm(self, contexts: Contexts) -> MapperPool:
        if self._pool is None or contexts != self._of:
            self._let_go()
            self._of = contexts
            self._pool = MapperPool({name: replace(each, explain=True) for name, each in contexts.items()}, self._blobs)
        if self._timer is None:
            self._later(IDLE_SECONDS)
        return self._pool

    def _later(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._look)
        self._timer.daemon = True
        self._timer.start()

    def _look(self) -> None:
        with self._lock:
            self._timer = None
            left = self._asked + IDLE_SECONDS - time.monotonic()
            if self._pool is not None and left > 0:
                self._later(left)
            else:
                self._let_go()

    def _let_go(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()
