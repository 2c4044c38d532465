"""One journal entry → what its mapper says of it, or the reason why nothing can be said.

A mapper is code fed with what strangers wrote: it may raise, loop or eat memory. So it runs in a process of its own, with a time
limit a record and a memory limit; a worker that dies or does not answer is replaced, its record is tried once more alone and then
set aside, and the records behind it go on.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Pipe
from pathlib import Path
from typing import Protocol

from hub.errors import place_of
from hub.ingest.journal import Blobs, Entry
from hub.store.port import Key
from mappers.base import CannotMap, Change, Issue, Mapped, MappingContext
from mappers.registry import map_record
from mappers.versions import version_of
from profiles.validation import ValidationIssue, refusing, validate

TRIES = 2
SECONDS = 10.0  # one record, as far as the worker had a processor
PATIENCE = 6  # times as long passes before a worker that hardly computes is given up
STARTING = 60.0  # a worker importing the mappers on a slow disk
MEMORY = 1024 * 1024 * 1024  # on top of what a fresh worker takes
CHUNK = 32
TOLD = 5  # broken rules that are told of one resource


@dataclass(frozen=True, slots=True)
class Attempt:
    """`mapped` is None when the record is dead for `reason`, which names a class and a place, never what the record holds."""

    seq: int
    mapped: Mapped | None
    reason: str = ""
    tries: int = 1
    unavailable: bool = False  # the blobs could not be read or written: not dead, to be tried again
    mapper: str = ""  # mapper, its version and its maps: mappers.versions.version_of
    held: str = ""  # why nothing becomes of it, whatever the mapper says, until a person has looked
    stated_by: Mapping[Key, int] = field(default_factory=dict)  # whole of which this states a part → the record that brings it in


class RecordMapper(Protocol):
    def prepare(self) -> None:
        """Start what mapping needs, before the first record comes."""

    def map(self, entries: Sequence[Entry]) -> Iterator[Attempt]:
        """One attempt an entry, in order."""

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

    def close(self) -> None:
        """Nothing runs between two calls."""


class PoolClosed(Exception):
    """The hub stops: the record is nobody's fault and waits for the next start."""


class MapperPool:
    """Maps in a worker process that is replaced when it dies or does not answer in time."""

    def __init__(
        self,
        contexts: Mapping[str, MappingContext],
        blobs_folder: Path,
        *,
        seconds: float = SECONDS,
        memory: int = MEMORY,
        modules: Sequence[str] = (),
    ) -> None:
        self._contexts = dict(contexts)
        self._folder = blobs_folder
        self._seconds = seconds
        self._memory = memory
        self._modules = tuple(modules)  # imported by a fresh worker
        self._worker: _Worker | None = None
        self._renewed: deque[dict[str, MappingContext]] = deque(maxlen=1)
        self._closed = False

    def prepare(self) -> None:
        """Start the worker before the first record comes."""
        if self._worker is None:
            self._start()

    def renew(self, contexts: Mapping[str, MappingContext]) -> None:
        """From any thread: the next call of `map` works by these."""
        self._renewed.append(dict(contexts))

    def map(self, entries: Sequence[Entry]) -> Iterator[Attempt]:
        while self._renewed:
            self._contexts = self._renewed.popleft()
            self._end_worker()
        waiting = list(entries)
        try:
            yield from self._in_turn(waiting)
        finally:
            if waiting:  # given up half-way: the worker's remaining answers would be taken for those of the next call
                self._end_worker()

    def _in_turn(self, waiting: list[Entry]) -> Iterator[Attempt]:
        tries: dict[int, int] = {}
        while waiting:
            alone = waiting[0].seq in tries
            chunk = waiting[: 1 if alone else CHUNK]
            failure = ""
            for result in self._answers(chunk):
                if isinstance(result, str):
                    failure = result
                    break
                waiting.pop(0)
                yield replace(result, tries=tries.get(result.seq, 0) + 1)
            if failure and self._closed:
                raise PoolClosed
            if failure:
                culprit = waiting[0].seq
                tries[culprit] = tries.get(culprit, 0) + 1
                if tries[culprit] >= TRIES:
                    waiting.pop(0)
                    yield Attempt(culprit, None, failure, tries[culprit])

    def close(self) -> None:
        self._closed = True
        self._end_worker()

    def _end_worker(self) -> None:
        worker, self._worker = self._worker, None
        if worker:
            worker.end()

    def _answers(self, chunk: Sequence[Entry]) -> Iterator[Attempt | str]:
        """Attempts in order; a text instead of the next one says why the worker is gone."""
        try:
            worker = self._worker or self._start()
            worker.connection.send(chunk)
            for _ in chunk:
                if not worker.answers(self._seconds):
                    self._end_worker()
                    yield f"the mapper did not end within {self._seconds:g} s"
                    return
                yield worker.connection.recv()
        except (EOFError, OSError) as error:
            code = self._worker.exit_code() if self._worker else None
            self._end_worker()
            yield f"the mapper's process died: {_how(code) or type(error).__name__}"

    def _start(self) -> _Worker:
        if self._closed:
            raise PoolClosed
        self._worker = _Worker(self._contexts, self._folder, self._memory, self._modules)
        return self._worker


class _Worker:
    def __init__(self, contexts: Mapping[str, MappingContext], folder: Path, memory: int, modules: Sequence[str]) -> None:
        ours, theirs = Pipe()
        self.connection = ours
        with theirs:
            handle = theirs.fileno()
            arguments = [sys.executable, "-m", "hub.ingest.worker", str(handle)]
            self._process = subprocess.Popen(arguments, pass_fds=(handle,), stdin=subprocess.DEVNULL, start_new_session=True)
        ours.send((dict(contexts), folder, memory, tuple(modules)))
        if not ours.poll(STARTING):
            self.end()
            raise EOFError
        ours.recv()

    def answers(self, seconds: float) -> bool:
        """Before it has computed for so long: on a busy machine time passes that it did not have."""
        began = self._computed()
        for _ in range(PATIENCE):
            if self.connection.poll(seconds):
                return True
            if self._computed() - began > seconds / 2:
                return False
        return False

    def _computed(self) -> float:
        """Processor seconds so far. https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html"""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def exit_code(self) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(1)
        return None

    def end(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()
        self.connection.close()


def _how(code: int | None) -> str:
    if code is None:
        return ""
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit {code}"
