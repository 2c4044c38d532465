"""One journal entry → what its mapper says of it, or the reason why nothing can be said.

Whatever a mapper raises ends its own record only. What it may do besides, loop or eat memory, is the pool's to bear
(`hub/ingest/pool.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from hub.errors import place_of
from hub.ingest.journal import Blobs, Entry
from hub.store.port import Key
from mappers.base import CannotMap, Change, Issue, Mapped, MappingContext
from mappers.registry import map_record
from mappers.versions import version_of
from profiles.validation import ValidationIssue, refusing, validate

TOLD = 5  # broken rules that are told of one resource


@dataclass(frozen=True, slots=True)
class Attempt:
    """`mapped` is None when the record is dead for `reason`, which names a class and a place, never what the record holds."""

    seq: int
    mapped: Mapped | None
    reason: str = ""
    tries: int = 1
    later: bool = False  # it takes long and was set aside: what becomes of it is told by `RecordMapper.late`
    unavailable: bool = False  # the blobs could not be read or written: not dead, to be tried again
    mapper: str = ""  # mapper, its version and its maps: mappers.versions.version_of
    held: str = ""  # why nothing becomes of it, whatever the mapper says, until a person has looked
    stated_by: Mapping[Key, int] = field(default_factory=dict)  # whole of which this states a part → the record that brings it in


class RecordMapper(Protocol):
    def prepare(self) -> None:
        """Start what mapping needs, before the first record comes."""

    def map(self, entries: Sequence[Entry]) -> Iterator[Attempt]:
        """One attempt an entry, in order; of one that takes long, only that it comes `later`."""

    def late(self, patience: float = 0) -> Attempt | None:
        """One that was set aside and has ended, if any has or does within `patience` seconds."""

    def close(self) -> None: ...


def attempt(entry: Entry, context: MappingContext, blobs: Blobs) -> Attempt:
    """Map and check one record; its attachments are kept, synced, before anything may refer to them."""
    try:
        record = entry.record
        if entry.in_blobs:
            content = blobs.read(entry.sha256, verify=not entry.fresh)  # a digest of half a megabyte costs more than to map it
            record = replace(record, content=content, hints={**record.hints, "sha256": entry.sha256})
        mapped = _checked(map_record(record, context), strict=context.strict)
        return Attempt(entry.seq, _attached(mapped, entry, blobs), mapper=version_of(record.kind, context))
    except CannotMap as error:
        return Attempt(entry.seq, None, str(error))
    except OSError as error:  # a mapper touches no file: it is the blobs' disk, and not the record's fault
        return Attempt(entry.seq, None, f"{type(error).__name__} {error.errno}", unavailable=True)
    except Exception as error:  # whatever a mapper does with what a stranger wrote
        return Attempt(entry.seq, None, f"{type(error).__name__} at {place_of(error)}")


def _attached(mapped: Mapped, entry: Entry, blobs: Blobs) -> Mapped:
    """The attachments' bytes stay behind in the blobs; where the record itself is one, it lies there already."""
    for attachment in mapped.attachments:
        if not (entry.in_blobs and attachment.sha256 == entry.sha256):
            blobs.put(attachment.content)
    return replace(mapped, attachments=tuple(replace(attachment, content=b"") for attachment in mapped.attachments))


def _checked(mapped: Mapped, *, strict: bool) -> Mapped:
    """A resource that is stated whole and is not FHIR is left out and named; the rest of the record goes on.

    One that breaks a rule beyond its structure is kept, and the record tells what is wrong with it; `strict` leaves it out too.
    """
    changes: list[Change] = []
    issues: list[Issue] = []
    for change in mapped.changes:
        problems = validate(change.resource) if change.mode == "replace" else ()
        problem = _left_out(problems, strict=strict)
        if problem is None:
            changes.append(change)
            issues += [Issue("invalid-value", each.expression, each.message) for each in problems[:TOLD]]
        else:
            issues.append(problem)
    if issues and not changes:
        raise CannotMap(f"no resource of it is valid: {issues[0].where} {issues[0].detail}")
    return replace(mapped, changes=tuple(changes), issues=(*mapped.issues, *issues)) if issues else mapped


def invalid(change: Change) -> Issue | None:
    """Why a resource that several records make together cannot be kept."""
    return _left_out(validate(change.resource), strict=False)


def _left_out(problems: Sequence[ValidationIssue], *, strict: bool) -> Issue | None:
    wrong = refusing(problems, strict=strict)
    return Issue("invalid-value", wrong[0].expression, f"left out: {wrong[0].message}", "error") if wrong else None


class MapperHere:
    """Maps in the calling thread: for tests and tools that map a few records."""

    def prepare(self) -> None:
        """Nothing to start."""

    def __init__(self, contexts: Mapping[str, MappingContext], blobs: Blobs) -> None:
        self._contexts, self._blobs = contexts, blobs
        self._usual = MappingContext()

    def map(self, entries: Sequence[Entry]) -> Iterator[Attempt]:
        for entry in entries:
            yield attempt(entry, self._contexts.get(entry.record.source, self._usual), self._blobs)

    def late(self, patience: float = 0) -> Attempt | None:  # noqa: ARG002 - every record is waited for
        return None

    def close(self) -> None:
        """Nothing runs between two calls."""
