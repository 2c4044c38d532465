"""The mapping contexts of a running hub: county.toml's, and on top of them what people confirmed on the workbench.

A confirmed code is a ConceptMap in the store (hub.ingest.gaps); every hub on that store takes it up within a second, without a
restart: the next record is mapped by it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from hub.errors import HubError
from hub.fhir_json import load
from hub.ingest.contexts import context_of
from hub.settings import County
from hub.store.port import Key, Resource, ResourceStore
from hub.terminology.changes import last_change
from mappers.base import MappingContext
from profiles.catalogue import translations

log = logging.getLogger(__name__)

SHELF = "confirmed-codes"  # id of a ConceptMap → b"": those that count here
LOOK_SECONDS = 1.0
Codings = tuple[Mapping[str, str], ...]


class LiveContexts:
    """`current` by channel. Raise Invalid at the start, naming the channel whose maps or tables are wrong."""

    def __init__(self, county: County, beside: Path | None, store: ResourceStore) -> None:
        self._store = store
        self._base = {channel.name: context_of(channel, beside, county.validation) for channel in county.channels}
        self._seen: tuple[bytes, ...] | None = None
        self._current: Mapping[str, MappingContext] = self._base
        self._confirmed: dict[tuple[str, str], Codings] = {}
        self._takers: list[Callable[[Mapping[str, MappingContext]], None]] = []
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="mapping-contexts", daemon=True)
        self.refresh()

    def __call__(self) -> Mapping[str, MappingContext]:
        return self._current

    def take(self, taker: Callable[[Mapping[str, MappingContext]], None]) -> None:
        """`taker` hears of new contexts."""
        self._takers.append(taker)

    def refresh(self) -> bool:
        """Take up what was confirmed since; whether there was anything."""
        with self._lock:
            seen = last_change(self._store)
            if seen == self._seen:
                return False
            confirmed = _confirmed(self._store)
            self._seen = seen
            if confirmed == self._confirmed:
                return False
            self._confirmed = confirmed
            self._current = {name: _with(base, confirmed) for name, base in self._base.items()}
            for taker in self._takers:
                taker(self._current)
            return True

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            try:
                self.refresh()
            except HubError as error:
                log.debug("confirmed codes cannot be read now: %s", error.message)


def confirmed_maps(store: ResourceStore) -> list[Resource]:
    """The ConceptMaps that people have confirmed, as they stand."""
    keys = [Key("ConceptMap", id) for id, _ in store.items(SHELF)]
    return [load(version.body) for version in store.read_many(keys)]


def _confirmed(store: ResourceStore) -> dict[tuple[str, str], Codings]:
    found: dict[tuple[str, str], Codings] = {}
    for resource in confirmed_maps(store):
        try:
            for key, coding in translations(resource):
                if coding not in found.get(key, ()):
                    found[key] = (*found.get(key, ()), coding)
        except HubError as error:
            log.warning("ConceptMap/%s is passed over: %s", resource.get("id"), error.message)
    return found


def _with(base: MappingContext, confirmed: Mapping[tuple[str, str], Codings]) -> MappingContext:
    """What was confirmed takes the place of what a file says of the same code into the same system."""
    maps = dict(base.concept_maps)
    for key, codings in confirmed.items():
        systems = {coding["system"] for coding in codings}
        maps[key] = (*(coding for coding in maps.get(key, ()) if coding["system"] not in systems), *codings)
    return replace(base, concept_maps=maps)
