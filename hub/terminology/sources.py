"""Where a definition is found by its canonical URL: the standard's own, those shipped or beside county.toml, those in the store.

What the standard defines cannot be replaced by a resource of the same URL and version: nobody changes what `male` means. The
country's tables only the county replaces, by a file or by a resource of its own, and no facility. Of several in the store an active
one counts, of those the county's before a facility's, of those the newest.
"""

from __future__ import annotations

import json
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from hub import fhir_json
from hub.search.query import Criterion, SearchQuery, TokenValue, UriValue
from hub.security.policy import TERMINOLOGY_TYPES
from hub.store.port import Key, ResourceStore, Scope, Version

ARCHIVE = Path(__file__).parents[2] / "profiles" / "r4" / "terminology.zip"
SHIPPED = Path(__file__).parents[2] / "profiles" / "cn"
FOLDERS = {"CodeSystem": "code_systems", "ValueSet": "value_sets", "ConceptMap": "concept_maps"}
SCOPE = Scope(types=TERMINOLOGY_TYPES, shared_types=TERMINOLOGY_TYPES)
"""What everybody with a token may read, and nothing else."""

MANY = 1_000  # definitions of one URL, or ConceptMaps from one code system


class Found(NamedTuple):
    """`mark`: the same for the same content, for a cache; `updated`: when it was written (UTC ms), of one in the store."""

    mark: str
    body: bytes
    updated: int = 0
    facility: str = ""  # whose it is, of one in the store

    @property
    def path(self) -> Path:
        """Of one that is a file."""
        return Path(self.mark.removeprefix("file/"))

    @property
    def shipped(self) -> bool:
        return self.mark.startswith(f"file/{SHIPPED}/")


class Canonical(NamedTuple):
    url: str
    version: str = ""

    @classmethod
    def of(cls, text: str, version: str = "") -> Canonical:
        """'http://loinc.org|2.80': a version in the URL outranks one beside it."""
        url, _, stated = text.partition("|")
        return cls(url, stated or version)


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    url: str
    version: str
    value_set: str  # CodeSystem.valueSet


class Standard:
    """The definitions of R4 itself, each read from the archive when it is asked for."""

    def __init__(self) -> None:
        self._archive = zipfile.ZipFile(ARCHIVE)
        self._lock = threading.Lock()
        entries = [_Entry(*row) for row in json.loads(self._archive.read("index.json"))]
        self._entries = {(entry.name.partition("/")[0], entry.url): entry for entry in entries}
        self._whole = {entry.value_set: entry.url for entry in entries if entry.value_set}

    def find(self, type: str, canonical: Canonical) -> Found | None:
        whole = f"{canonical.url}|{canonical.version}"  # a few code systems of HL7 v2 have the version in their URL
        entry = self._entries.get((type, canonical.url)) or self._entries.get((type, whole))
        if entry is not None and entry.url == whole:
            canonical = Canonical(whole)
        if entry is None or canonical.version not in ("", entry.version):
            return None
        with self._lock:
            return Found(f"r4/{entry.name}", self._archive.read(entry.name))

    def system_of(self, value_set: str) -> str:
        """The code system that says that this value set is all of it."""
        return self._whole.get(value_set, "")

    def listed(self, type: str) -> Iterator[tuple[str, str]]:
        """URL and version."""
        return ((url, entry.version) for (kind, url), entry in self._entries.items() if kind == type)


@cache
def standard() -> Standard:
    return Standard()


class Files:
    """The country's tables in profiles/cn and the county's own beside county.toml, which take the place of those of their URL.

    Editions of one table stand side by side under one URL, each with its version; a retired one is found by its version alone.
    """

    def __init__(self, beside: Path | None = None) -> None:
        self._roots = [root for root in (SHIPPED, beside) if root is not None]

    def look_beside(self, folder: Path) -> None:
        self._roots = [SHIPPED, folder]
        self.__dict__.pop("everything", None)

    def find(self, type: str, canonical: Canonical) -> Found | None:
        heads = [(_head(found.body), found) for found in self.everything[type].get(canonical.url, ())]
        fitting = [(head.status != "retired", head.version, found.mark, found) for head, found in heads]
        return max((each for each in fitting if canonical.version in ("", each[1])), default=(None,))[-1]

    def all(self, type: str) -> Iterator[Found]:
        return (found for editions in self.everything[type].values() for found in editions)

    @cached_property
    def everything(self) -> dict[str, dict[str, list[Found]]]:
        """Type → URL → editions."""
        return {type: self._read(type, folder) for type, folder in FOLDERS.items()}

    def _read(self, type: str, folder: str) -> dict[str, list[Found]]:
        everywhere: dict[str, list[Found]] = {}
        for root in self._roots:
            here: dict[str, list[Found]] = {}
            for path in sorted((root / folder).glob("*.json")):
                body = path.read_bytes()
                resource = json.loads(body)
                if resource.get("resourceType") == type and resource.get("url"):
                    here.setdefault(resource["url"], []).append(Found(f"file/{path}", body))
            everywhere |= here
        return everywhere


class Stored:
    def __init__(self, store: ResourceStore) -> None:
        self._store = store

    def find(self, type: str, canonical: Canonical) -> Found | None:
        versions = self._searched(type, "url", canonical.url)
        if len(versions) == 1 and not canonical.version:
            return found_in(versions[0])
        heads = [(_head(version.body), version) for version in versions]
        fitting = [
            (head.status == "active", not v.facility, v.updated, v.id, v)
            for head, v in heads
            if canonical.version in ("", head.version)
        ]
        return found_in(max(fitting)[-1]) if fitting else None

    def maps(self, code: str, uri: str) -> list[Found]:
        """ConceptMaps by `source-system` or `target-system`."""
        return [found_in(version) for version in self._searched("ConceptMap", code, uri)]

    def supplements(self) -> list[Found]:
        """CodeSystems that say more of another one's codes, in the order of their canonicals."""
        criterion = Criterion("content-mode", "token", (TokenValue(None, "supplement"),))
        page = self._store.search(SearchQuery("CodeSystem", (criterion,), count=MANY), SCOPE)
        found = [(head.url, head.version, version) for version in page.matches if (head := _head(version.body)).status != "retired"]
        return [found_in(version) for _, _, version in sorted(found, key=lambda each: each[:2])]

    def structure(self, url: str) -> dict[str, Any] | None:
        """A StructureDefinition; of several the newest."""
        found = max(self._searched("StructureDefinition", "url", url), key=lambda version: version.updated, default=None)
        return fhir_json.load(found.body) if found is not None else None

    def all(self, type: str) -> Iterator[Found]:
        return map(found_in, self._store.search(SearchQuery(type, count=MANY), SCOPE).matches)

    def systems(self) -> list[tuple[str, str]]:
        """URL and version of the code systems in the store."""
        heads = [_head(found.body) for found in self.all("CodeSystem")]
        return [(head.url, head.version) for head in heads]

    def read(self, key: Key) -> Version:
        return self._store.read(key)

    def _searched(self, type: str, code: str, uri: str) -> tuple[Version, ...]:
        criterion = Criterion(code, "uri", (UriValue(uri),))
        return self._store.search(SearchQuery(type, (criterion,), count=MANY), SCOPE).matches


def found_in(version: Version) -> Found:
    return Found(f"{version.type}/{version.id}/{version.version}", version.body, version.updated, version.facility)


class _Head(msgspec.Struct):
    url: str = ""
    version: str = ""
    status: str = ""


_heads = msgspec.json.Decoder(_Head)


def _head(body: bytes) -> _Head:
    """The few members that choose between definitions; the rest is passed over unread."""
    return _heads.decode(body)
