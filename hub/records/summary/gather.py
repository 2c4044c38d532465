"""One person's records for a summary, read as one interaction: what stands in each section, newest first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypedDict

from msgspec.json import Decoder

from hub.errors import NotAllowed
from hub.records.dates import date_of, instant
from hub.records.reader import Found, found
from hub.records.summary.sections import MOST, SECTIONS, YEARS, Section, Source, right, when
from hub.search.parse import parse_search
from hub.security.reads import Reads
from hub.store.port import Key, Version

LOOKED_AT = 1_000  # of one type and section: beyond that the newest stand for all


class Head(TypedDict, total=False):
    """What says whether a record belongs to a section and which others repeat it; the rest is read of those that stand there."""

    resourceType: Any
    id: Any
    meta: Any
    status: Any
    verificationStatus: Any
    clinicalStatus: Any
    code: Any
    method: Any
    valueQuantity: Any
    effectiveDateTime: Any
    effectivePeriod: Any
    effectiveInstant: Any
    issued: Any
    medicationCodeableConcept: Any
    medicationReference: Any
    dosageInstruction: Any
    conclusion: Any
    result: Any


_heads: Decoder[Head] = Decoder(Head, float_hook=Decimal)


@dataclass(frozen=True, slots=True)
class Looked:
    """A record looked at, and whole in `version`."""

    head: Found
    version: Version


@dataclass(frozen=True, slots=True)
class Filled:
    """A section with its records. `withheld`: this role may see none of its types. `cut`: there are more."""

    section: Section
    records: tuple[Found, ...]
    withheld: bool
    cut: bool


@dataclass(frozen=True, slots=True)
class Gathered:
    subject: Found  # the golden Patient where the caller sees it, else the one that was asked for
    ids: frozenset[str]  # of every Patient that is the same person
    sections: tuple[Filled, ...]
    beside: tuple[Found, ...]  # what the records refer to: facilities, people, medicines, devices


BESIDE = frozenset({"Organization", "Practitioner", "PractitionerRole", "Medication", "Device"})


def gather(reads: Reads, patient: str, now: int, zone: str) -> Gathered:
    """Raise NotFound unless the caller may see this Patient."""
    asked = reads.read(Key("Patient", patient))
    ids = reads.person(patient)
    golden = reads.read_many([Key("Patient", ids[0])]) if ids[0] != patient else ()
    known: Known = {}  # problems and past problems are read together
    sections = tuple(_fill(section, lambda source: _once(known, reads, source, patient, now, zone)) for section in SECTIONS)
    subject = found(next(iter(golden), asked))
    return Gathered(subject, frozenset((*ids, patient)), sections, _beside(reads, (subject, *all_records(sections))))


def all_records(sections: Iterable[Filled]) -> list[Found]:
    """Each once, though two sections may hold it."""
    return list({record.reference: record for filled in sections for record in filled.records}.values())


Known = dict[tuple[object, ...], list[Looked]]


def _once(known: Known, reads: Reads, source: Source, patient: str, now: int, zone: str) -> list[Looked]:
    asked = (source.type, source.search, source.recent)
    if asked not in known:
        known[asked] = _read(reads, source, patient, now, zone)
    return known[asked]


def _fill(section: Section, read: Callable[[Source], list[Looked]]) -> Filled:
    records: list[Found] = []
    withheld, cut = 0, False
    for source in section.sources:
        try:
            kept, more = _distinct(read(source), source)
        except NotAllowed:
            withheld += 1
            continue
        records += kept
        cut = cut or more
    records = section.settled(records)
    records.sort(key=lambda record: instant(when(record)), reverse=True)
    return Filled(section, tuple(records), withheld == len(section.sources), cut)


def _read(reads: Reads, source: Source, patient: str, now: int, zone: str) -> list[Looked]:
    pairs = [("patient", f"Patient/{patient}"), *source.search]
    if source.sort:
        pairs.append(("_sort", source.sort))
    query = replace(parse_search(source.type, pairs, now=now, zone=zone).query, count=LOOKED_AT)
    then = datetime.fromtimestamp(now / 1000, UTC)
    begins = f"{then.year - YEARS}-{then.month:02d}" if source.recent else ""
    looked = (Looked(Found(dict(_heads.decode(each.body)), each.facility), each) for each in reads.search(query).matches)
    return [each for each in looked if not begins or not (at := date_of(each.head)) or at >= begins]


def _distinct(records: Sequence[Looked], source: Source) -> tuple[list[Found], bool]:
    """Those that belong, the newest of each fact; at most MOST, and whether there are more."""
    kept: dict[object, Version] = {}
    for record in records:
        if right(record.head) and source.belongs(record.head):
            kept.setdefault(source.same(record.head), record.version)
    several = list(kept.values())
    return [found(version) for version in several[:MOST]], len(several) > MOST or len(records) >= LOOKED_AT


def _beside(reads: Reads, records: Iterable[Found]) -> tuple[Found, ...]:
    """What they refer to, and what that refers to: a role names a person and a facility."""
    known: dict[Key, Found] = {}
    waiting = list(records)
    for _ in range(2):
        keys = dict.fromkeys(key for record in waiting for key in references(record.resource) if key.type in BESIDE)
        fresh = [key for key in keys if key not in known]
        waiting = [found(version) for version in reads.read_many(fresh)] if fresh else []
        known.update((Key(record.type, record.id), record) for record in waiting)
    return tuple(known.values())


def references(value: object) -> Iterable[Key]:
    """Relative references anywhere in a resource."""
    if isinstance(value, dict):
        reference = value.get("reference")
        if isinstance(reference, str) and reference.count("/") == 1:
            kind, _, id = reference.partition("/")
            yield Key(kind, id)
        for content in value.values():
            yield from references(content) if isinstance(content, (dict, list)) else ()
    elif isinstance(value, list):
        for content in value:
            yield from references(content) if isinstance(content, (dict, list)) else ()
