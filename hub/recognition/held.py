"""Which catalogue and which evidence hold today: what was published last, else the files that county.toml names.

Of the catalogues that are published for an orderer's areas the narrowest area's newest holds; of the evidence the newest. What is
`published` on a day to come waits for it. Asked with every answer: one small read, and only what is new is parsed.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import cached_property

from hub.errors import NotFound
from hub.fhir_json import load
from hub.recognition.places import areas_of, level_of
from hub.recognition.publishing.library import (
    MODELS,
    Entry,
    Facts,
    Kind,
    Publication,
    entries_of,
    facts_in,
    head_of,
    json_of,
    rows_of,
    shelved,
)
from hub.recognition.times import zone_of
from hub.settings import County
from hub.store.port import Key, ResourceStore
from profiles.catalogue import Catalogue, Evidence

WIDEST = 99  # of a catalogue without a region
FILE = "file"  # in place of a Library's id


@dataclass(frozen=True, slots=True)
class Holds:
    """One catalogue, or the evidence, that holds. `library`: id of its Library, or FILE."""

    kind: Kind
    library: str
    region: str
    name: str
    version: str
    published: date
    rows: int


@dataclass(frozen=True)
class Held:
    """What holds on one day. `catalogues`: the narrowest area's first, the last one everybody's."""

    day: date
    catalogues: tuple[Catalogue, ...]
    evidence: Evidence
    evidence_stamp: str  # differs if the evidence does
    county: County
    holds: tuple[Holds, ...] = ()

    def catalogue_of(self, orderer: str) -> Catalogue:
        """By which a facility orders."""
        areas = areas_of(orderer, self.county)
        return next((each for each in self.catalogues if each.catalogue.region in areas), self.catalogues[-1])

    def instead(self, facts: Facts) -> Held:
        """As if `facts` were published today."""
        if isinstance(facts, Evidence):
            return replace(self, evidence=facts)
        kept = [each for each in self.catalogues if each.catalogue.region != facts.catalogue.region]
        return replace(self, catalogues=tuple(sorted((*kept, facts), key=lambda each: width(each.catalogue.region))))

    @cached_property
    def usual(self) -> Catalogue:
        """By which most facilities order."""
        chosen = Counter(self.catalogues.index(self.catalogue_of(each.code)) for each in self.county.facilities)
        return self.catalogues[chosen.most_common(1)[0][0] if chosen else -1]


class FactsOfCounty:
    """Of one process. `files`: what holds until something is published."""

    def __init__(
        self, store: ResourceStore, county: County, clock: Callable[[], int], catalogue: Catalogue, evidence: Evidence
    ) -> None:
        self._store, self._county, self._clock = store, county, clock
        self._files = (catalogue, evidence)
        self._file_stamp = hashlib.sha256(json_of(evidence)).hexdigest()
        self._seen: tuple[object, ...] = ()
        self._parsed: dict[str, Facts] = {}
        holds = (_holds(FILE, catalogue), _holds(FILE, evidence))
        self.held = Held(self.today, (catalogue,), evidence, self._file_stamp, county, holds)

    @property
    def waits(self) -> bool:
        """Whether a look is a question to a server."""
        return self._store.shared

    @property
    def today(self) -> date:
        return datetime.fromtimestamp(self._clock() / 1000, UTC).astimezone(zone_of(self._county.zone)).date()

    def look(self) -> Held:
        """As the store stands now."""
        seen = (shelved(self._store), self.today)
        if seen != self._seen:
            self.held = self._holding(*seen)
            self._seen = seen
        return self.held

    def evidence_of(self, stamp: str) -> Evidence | None:
        """Of an earlier `Held.evidence_stamp`; None for a file that is not there any more."""
        if stamp == self._file_stamp:
            return self._files[1]
        try:
            found = self.version("evidence", stamp)
        except NotFound:
            return None
        return found if isinstance(found, Evidence) else None

    def version(self, kind: str, library: str) -> Facts:
        """Of a Library, or of a file. Raise NotFound."""
        if library == FILE and kind in MODELS:
            return self._files[kind == "evidence"]
        if library not in dict(shelved(self._store)):
            raise NotFound("no such catalogue or evidence is published")
        return self._read([library])[library]

    def _holding(self, seen: tuple[tuple[str, bytes], ...], day: date) -> Held:
        entries = {id: entry for id, entry in entries_of(seen) if entry.published <= day}
        in_order = sorted(entries, key=lambda id: (entries[id].published, entries[id].at, id))
        newest = {_place(entries[id]): id for id in in_order}
        self._parsed = facts = self._read(newest.values())
        files = [_holds(FILE, each) for each in self._files if (Publication(each).kind, "") not in newest]
        holds = sorted((*(_holds(id, each) for id, each in facts.items()), *files), key=lambda each: width(each.region))
        catalogues = [facts.get(each.library, self._files[0]) for each in holds if each.kind == "catalogue"]
        stamp = newest.get(("evidence", ""), "")
        evidence = facts.get(stamp, self._files[1])
        return Held(
            day,
            tuple(each for each in catalogues if isinstance(each, Catalogue)),
            evidence if isinstance(evidence, Evidence) else self._files[1],
            stamp or self._file_stamp,
            self._county,
            tuple(sorted(holds, key=lambda each: each.kind)),
        )

    def _read(self, ids: Iterable[str]) -> dict[str, Facts]:
        known, wanted = self._parsed, list(ids)  # another thread may look at the same time
        missing = [Key("Library", id) for id in wanted if id not in known]
        read = {version.id: facts_in(load(version.body)) for version in self._store.read_many(missing)} if missing else {}
        every = {**known, **read}
        return {id: every[id] for id in wanted}


def _place(entry: Entry) -> tuple[str, str]:
    """What it takes the place of: of one area's catalogues one holds, of the evidence one."""
    return entry.kind, entry.region if entry.kind == "catalogue" else ""


def _holds(library: str, facts: Facts) -> Holds:
    head = head_of(facts)
    region = getattr(head, "region", "") if library != FILE else ""
    return Holds(Publication(facts).kind, library, region, head.id, head.version, head.published, rows_of(facts))


def width(region: str) -> int:
    return level_of(region) if region else WIDEST
