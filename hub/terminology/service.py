"""The hub's terminology: what a code is, what a value set contains, what lies below a code, what a code is called elsewhere.

https://hl7.org/fhir/R4/terminology-service.html
What was read and worked out is kept per version of its definition, within a bound of memory; one small read from the store tells
whether anything changed, also when another process wrote it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import Any, TypeVar, cast

from hub import fhir_json
from hub.errors import HubError, Invalid, Kind, NotFound
from hub.store.port import ResourceStore, TooCostly
from hub.terminology.changes import last_change
from hub.terminology.compose import Composer
from hub.terminology.concepts import CodeSystem
from hub.terminology.conditions import Conditions
from hub.terminology.context import bound
from hub.terminology.expansion import Expansion
from hub.terminology.grammars import GRAMMARS
from hub.terminology.kept import Kept
from hub.terminology.maps import CodeMap
from hub.terminology.ready import taken_up
from hub.terminology.sources import Canonical, Files, Found, Stored, standard
from profiles.promised import promised_profile

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)
Name = tuple[tuple[bytes, ...] | str, ...]
KEPT_BYTES = 24 * 1024 * 1024  # of the definitions' JSON; what is made of it takes about six times as much
KEPT_EXPANSIONS = 1_000_000  # codes
LONGEST = 5.0  # seconds
ALL_OF = "?fhir_vs"  # https://hl7.org/fhir/R4/snomedct.html#implicit: {system}?fhir_vs and {system}?fhir_vs=isa/{code}


class Terminology:
    """Thread-safe. What is at hand is given at once; what is not is worked out by one thread at a time."""

    def __init__(self, store: ResourceStore) -> None:
        self._store = store
        self._stored = Stored(store)
        self.files = Files()
        self._lock = threading.RLock()
        self._systems: Kept[str, CodeSystem] = Kept(KEPT_BYTES)
        self._maps: Kept[str, CodeMap] = Kept(KEPT_BYTES // 4)
        self._named: Kept[Name, Any] = Kept(20_000)  # (change, type, url, version) → what it names, or None
        self._expansions: Kept[Name, Expansion | None] = Kept(KEPT_EXPANSIONS)
        self._seen: tuple[bytes, ...] | None = None
        self._conditions = Conditions()
        self._working = 0  # how deep in one another things are being worked out
        self._until = 0.0

    def look_beside(self, folder: Path) -> None:
        """Where county.toml lies the county's own tables do: they take the place of those shipped."""
        self.files.look_beside(folder)

    def under(self, conditions: Conditions) -> Terminology:
        """The same, asked under conditions: what was read is shared, what was found by name is not."""
        if not conditions:
            return self
        other = copy(self)
        other._conditions, other._named, other._expansions = conditions, Kept(20_000), Kept(KEPT_EXPANSIONS)
        other._working = 0
        return other

    # -- what a search, a validator and a rule ask

    def expand(self, url: str) -> frozenset[tuple[str, str]]:
        """(system, code) of all that a value set contains. Raise NotFound if it, or something it is made of, is not loaded."""
        return frozenset(self.whole(url).pairs())

    def contains(self, url: str, system: str, code: str) -> bool | None:
        """None: cannot be told, for the value set or something it draws on is not loaded or wrong. `system` "": any of it."""
        try:
            expansion = self.value_set(url)
        except HubError:
            return None
        if expansion is None:
            return None
        if expansion.find(system, code) is not None:
            return True
        unknown = (*expansion.unknown(system), *(url for url in expansion.partial if system in ("", url)))
        answers = [GRAMMARS[url](code) if url in GRAMMARS else None for url in unknown]
        return True if True in answers else None if None in answers else False

    def descendants(self, system: str, code: str) -> frozenset[str]:
        """The code and all below it. Raise NotFound where its system is not loaded: to answer with the code alone would mislead."""
        return self._walked(system, code, CodeSystem.descendants)

    def ancestors(self, system: str, code: str) -> frozenset[str]:
        """The code and all above it. Raise NotFound where its system is not loaded."""
        return self._walked(system, code, CodeSystem.ancestors)

    # -- definitions

    def code_system(self, url: str, version: str = "") -> CodeSystem | None:
        """None for one that is not loaded; a supplement is none."""
        canonical = Canonical.of(url, version)
        found: CodeSystem | None = self._by_name("CodeSystem", canonical, self._supplemented)
        return found

    def mark(self, url: str, version: str = "") -> str:
        """The same as long as the code system is."""
        found = self._find("CodeSystem", Canonical.of(url, version))
        return found.mark if found is not None else ""

    def bound(self, context: str) -> str:
        """The canonical of the value set that is bound to an element. Raise NotFound."""
        return bound(context, lambda url: self._stored.structure(url) or promised_profile(url))

    def value_set(self, url: str, version: str = "", within: tuple[str, ...] = ()) -> Expansion | None:
        """None for one that is not loaded. Raise Invalid for rules that cannot be followed, or that lead back into `within`."""
        canonical = Canonical.of(url, version)
        if canonical.url in within:
            raise Invalid("the value set imports itself", kind=Kind.PROCESSING)
        key = (self._change(), *canonical)
        return self._once(self._expansions, key, lambda: self._composed(canonical, within), lambda made: 1 + len(made or ()))

    def whole(self, url: str, version: str = "") -> Expansion:
        """Raise NotFound for a value set that is not loaded, or that draws on something that is not."""
        return complete(self.value_set(url, version))

    def concept_map(self, url: str, version: str = "") -> CodeMap | None:
        found: CodeMap | None = self._by_name("ConceptMap", Canonical.of(url, version), self.read_concept_map)
        return found

    def concept_maps(self, system: str, *, reverse: bool = False) -> list[CodeMap]:
        """Those that translate from a code system, or into it."""
        key = (self._change(), "maps", system, str(reverse))
        return cast("list[CodeMap]", self._once(self._named, key, lambda: self._maps_of(system, reverse)))

    def code_systems(self) -> list[tuple[str, str]]:
        """URL and version of every code system that is loaded."""
        files = [(found.url, found.version) for found in map(self.read_code_system, self.files.all("CodeSystem"))]
        return sorted({*standard().listed("CodeSystem"), *files, *self._stored.systems()})

    def own(self, type: str) -> list[Found]:
        """The definitions of a type that are not the specification's: shipped, beside county.toml, and in the store."""
        return [*self.files.all(type), *self._stored.all(type)]

    # -- reading what was found

    def read_code_system(self, found: Found) -> CodeSystem:
        return self._read(self._systems, found, lambda body: taken_up(self._store, found) or CodeSystem.read(body))

    def read_concept_map(self, found: Found) -> CodeMap:
        return self._read(self._maps, found, lambda body: CodeMap.of(fhir_json.load(body)))

    def read_value_set(self, found: Found) -> Expansion:
        key = (self._change(), found.mark)
        made = self._once(
            self._expansions, key, lambda: self.composed(fhir_json.load(found.body)), lambda made: 1 + len(made or ())
        )
        return cast(Expansion, made)

    def composed(self, resource: dict[str, Any]) -> Expansion:
        """Of a definition that is not kept: it came with the question."""
        with self._at_work():
            return self._composer.expansion(resource)

    def _read(self, kept: Kept[str, T], found: Found, read: Callable[[bytes], T]) -> T:
        return self._once(kept, found.mark, lambda: read(found.body), lambda _: len(found.body))

    def _once(self, kept: Kept[K, T], key: K, make: Callable[[], T], size: Callable[[T], int] = lambda _: 1) -> T:
        at_hand = kept.get(key)
        if at_hand is not None:
            return at_hand[0]
        with self._at_work():
            at_hand = kept.get(key)
            if at_hand is None:
                value = make()
                kept.put(key, value, size=size(value))
                return value
        return at_hand[0]

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """One thread at a time; others wait, so that it must not take long."""
        with self._lock:
            if not self._working:
                self._until = time.monotonic() + LONGEST
            self._working += 1
            try:
                yield
            finally:
                self._working -= 1

    def _hurry(self) -> None:
        if time.monotonic() > self._until:
            raise TooCostly(f"to work out the value set takes longer than {LONGEST:.0f} seconds")

    # -- finding

    @property
    def _composer(self) -> Composer:
        version = self._conditions.version
        return Composer(self.code_system, lambda url, within: self.value_set(url, within=within), version, self._hurry)

    def _composed(self, canonical: Canonical, within: tuple[str, ...]) -> Expansion | None:
        found = self._find("ValueSet", canonical)
        resource = fhir_json.load(found.body) if found is not None else self._implicit(canonical)
        return None if resource is None else self._composer.expansion(resource, within)

    def _implicit(self, canonical: Canonical) -> dict[str, Any] | None:
        """A value set that nobody wrote: a whole code system, or what lies below one of its codes."""
        url, version = canonical
        system, asked, rest = url.partition(ALL_OF)
        include: dict[str, Any] = {"system": system if asked else standard().system_of(url)}
        if version:
            include["version"] = version
        if rest:
            kind, _, code = rest.partition("/")
            if kind != "=isa" or not code:
                return None
            include["filter"] = [{"property": "concept", "op": "is-a", "value": code}]
        if not include["system"] or self.code_system(include["system"], version) is None:
            return None
        return {"resourceType": "ValueSet", "url": url, "compose": {"include": [include]}}

    def _find(self, type: str, canonical: Canonical) -> Found | None:
        found = standard().find(type, canonical) or self._county_or_facility(type, canonical)
        if found is not None:
            self._conditions.check(found.updated)
        return found

    def _county_or_facility(self, type: str, canonical: Canonical) -> Found | None:
        stored = self._stored.find(type, canonical)
        if stored is not None and not stored.facility:
            return stored
        return self.files.find(type, canonical) or stored

    def _supplemented(self, found: Found) -> CodeSystem | None:
        loaded = self.read_code_system(found)
        if loaded.content == "supplement":
            return None
        more = [each for each in self._supplements() if each.completes in (loaded.url, loaded.canonical)]
        return loaded.supplemented(more) if more else loaded

    def _supplements(self) -> list[CodeSystem]:
        key = (self._change(), "supplements")
        found = self._once(self._named, key, lambda: [self.read_code_system(each) for each in self._stored.supplements()])
        return cast("list[CodeSystem]", found)

    def _by_name(self, type: str, canonical: Canonical, read: Callable[[Found], T | None]) -> T | None:
        def find() -> T | None:
            found = self._find(type, canonical)
            return read(found) if found is not None else None

        return cast("T | None", self._once(self._named, (self._change(), type, *canonical), find))

    def _maps_of(self, system: str, reverse: bool) -> list[CodeMap]:
        found = [*standard_maps(), *self._stored.maps("target-system" if reverse else "source-system", system)]
        found += self.files.all("ConceptMap")
        maps = {made.mark: self.read_concept_map(made) for made in found}
        return [made for made in maps.values() if system in (made.targets if reverse else made.sources)]

    def _walked(self, system: str, code: str, walk: Callable[[CodeSystem, int], dict[int, None]]) -> frozenset[str]:
        loaded = self.code_system(system)
        if loaded is None or not loaded.codes:
            raise NotFound("this code system is not loaded here: what lies above and below its codes is not known")
        number = loaded.find(code)
        if number is None:
            return frozenset({code})
        codes = loaded.codes
        return frozenset(codes[each] for each in walk(loaded, number))

    def _change(self) -> tuple[bytes, ...]:
        """The last change: part of the key of all that hangs on names. What was read before it is not taken for what came after."""
        now = last_change(self._store)
        if now != self._seen:
            self._named.clear()
            self._expansions.clear()
            self._seen = now
        return now


def standard_maps() -> list[Found]:
    urls = [url for url, _ in standard().listed("ConceptMap")]
    return [found for url in urls if (found := standard().find("ConceptMap", Canonical(url))) is not None]


def complete(expansion: Expansion | None) -> Expansion:
    if expansion is None:
        raise NotFound("this value set is not loaded here")
    if unknown := expansion.unknown(""):
        raise NotFound(f"the value set draws on {unknown[0][:200]}, which is not loaded here")
    return expansion
