"""Definitions that come with the hub → versions that are read and searched beside the stored ones.

Code systems, value sets and concept maps of profiles/cn and beside county.toml, the profiles that the hub promises to keep, and the
measures that it counts. They are files: the same on every store, new with every release, and without a cost until the first of
them is asked for. Nobody writes or deletes them over FHIR; a stored resource of the same type and id, from before there was such a
one, hides it.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hub import fhir_json
from hub.clock import instant
from hub.recognition.measures import definitions as measures
from hub.search.beside import Beside
from hub.search.match import Indexed, fulfils
from hub.search.query import SearchQuery
from hub.store.port import Key, Version
from hub.terminology.sources import FOLDERS, Files
from profiles.promised import FOLDER as PROFILES

TYPES = frozenset({*FOLDERS, "StructureDefinition", "Measure"})
Resource = dict[str, Any]


def _definition(path: Path, stated: Resource) -> Beside:
    """Its version is a checksum of its content: another release, another version."""
    updated, number = int(path.stat().st_mtime * 1000), zlib.crc32(fhir_json.dump(stated))
    type, id = str(stated["resourceType"]), str(stated.get("id") or path.stem)
    meta = {**stated.get("meta", {}), "versionId": str(number), "lastUpdated": instant(updated)}
    resource = {"resourceType": type, "id": id, "meta": meta}
    resource |= {name: value for name, value in stated.items() if name not in resource}
    return Beside(Indexed.of(resource, id, updated), Version(type, id, number, updated, False, fhir_json.dump(resource), "PUT"))


class Definitions:
    """Thread-safe."""

    types = TYPES

    def __init__(self, files: Files) -> None:
        self._files = files
        self._lock = threading.Lock()
        self._made_of: object = None
        self._kept: Mapping[Key, Beside] = {}

    def at_hand(self, type: str) -> bool:
        """Those of this type were read from their files already."""
        return type not in TYPES or self._made_of is self._files.everything

    def read(self, key: Key) -> Version | None:
        found = self._all().get(key) if key.type in TYPES else None
        return found.version if found is not None else None

    def matching(self, query: SearchQuery) -> Sequence[Beside]:
        """Those that fulfil the query's conditions, in the order of their ids. They refer to nothing, and nothing to them."""
        if query.type not in TYPES:
            return ()
        candidates = (each for key, each in self._all().items() if key.type == query.type)
        return [each for each in candidates if all(fulfils(each.indexed, condition, _ALONE) for condition in query.criteria)]

    def _all(self) -> Mapping[Key, Beside]:
        files = self._files.everything
        if self._made_of is not files:
            with self._lock:
                self._kept = _by_key(_read(files))
                self._made_of = files
        return self._kept


class _Alone:
    """hub.search.match.World without other resources."""

    def get(self, *_: str) -> None:
        return None

    def referring(self, *_: object) -> tuple[()]:
        return ()


_ALONE = _Alone()


def _read(files: Mapping[str, Mapping[str, Sequence[Any]]]) -> Iterable[Beside]:
    for editions in files.values():
        for found in (each for edition in editions.values() for each in edition):
            yield _definition(found.path, fhir_json.load(found.body))
    for path in PROFILES.glob("*.json"):
        yield _definition(path, fhir_json.load(path.read_bytes()))
    for each in measures.DEFINITIONS:
        yield _definition(Path(measures.__file__), measures.measure(each))


def _by_key(definitions: Iterable[Beside]) -> Mapping[Key, Beside]:
    found = {Key(each.version.type, each.version.id): each for each in definitions}
    return dict(sorted(found.items()))
