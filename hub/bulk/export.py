"""`$export` as a job: the store, page by page → files. https://hl7.org/fhir/uv/bulkdata/STU2/export.html

The state at transactionTime, which is the kick-off: a walk in the order of creation, which no write disturbs.
What was changed after that moment is exported as it was then, what was created after it is left out. What somebody deletes before
the walk comes to it is not found any more, and stands among the deleted of the next export. A kill costs a page: the job's record
says what the files hold.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from hub import fhir_json
from hub.api.shape import WHOLE, Shape
from hub.bulk.asked import Asked
from hub.bulk.output import File, Output, folder_of, remove
from hub.bulk.patients import batches, belongs_to, condition_of, members_of
from hub.clock import instant
from hub.errors import Gone, HubError, NotFound, operation_outcome
from hub.jobs import Job, Run, Stopped, job_in
from hub.search.dates import EARLIEST, LATEST, interval
from hub.search.parameters import in_force
from hub.search.query import SearchQuery
from hub.security.audit import audit_event
from hub.security.reads import Reads
from hub.security.trail import save_event
from hub.store.compartments import patient_in
from hub.store.port import Key, Resource, Transaction, Version

if TYPE_CHECKING:
    from hub.app import Hub

PAGE, PAGE_BYTES = 500, 8 << 20  # resources of one page, fewer where they are large
SAVE_SECONDS = 1.0
MOST_REMEMBERED = 200_000  # patients; who is forgotten is told once more
SETTLE_SECONDS = 1.0  # by then another process has committed what it began before the transactionTime


class _Progress(msgspec.Struct):
    """The job's position."""

    part: int = 0
    after: str | None = None
    files: list[File] = []
    done: int = 0


class _Part(msgspec.Struct, frozen=True):
    """One type, of all patients or of some; or its deletions."""

    type: str
    patients: tuple[str, ...] = ()
    earlier: frozenset[str] = frozenset()  # patients of former parts, whose resources are out already
    deleted: bool = False


class Export:
    def __init__(self, hub: Hub, run: Run) -> None:
        self._hub = hub
        self._run = run
        self._asked = msgspec.convert(run.job.arguments, Asked)
        self._at = run.job.created
        self._shape = Shape(elements=frozenset(self._asked.elements)) if self._asked.elements else WHOLE
        self._saved = time.monotonic()
        self._page = PAGE
        self._told: dict[str, None] = {}  # whose records are in the files, as far as the trail says
        self._untold: dict[str, None] = {}  # and as far as it does not say yet

    def work(self) -> dict[str, Any]:
        with in_force(self._hub.searchable.registry()):
            try:
                return self._whole()
            except Stopped:
                job = job_in(self._run.store, self._run.job.id)
                if job is None or job.cancelled:
                    remove(self._hub.data, self._run.job.id)
                raise
            except HubError:
                remove(self._hub.data, self._run.job.id)
                raise

    def _whole(self) -> dict[str, Any]:
        position = self._run.job.position
        progress = msgspec.json.decode(position, type=_Progress) if position else _Progress()
        if not position:
            self._settle()
        output = Output(folder_of(self._hub.data, self._run.job.id), progress.files)
        try:
            parts = self._parts()
            while progress.part < len(parts):
                self._piece(parts[progress.part], progress, output)
                if time.monotonic() - self._saved > SAVE_SECONDS or progress.part == len(parts):
                    self._save(progress, output)
            output.close()
            output.verify()
        finally:
            output.close()
        return {"files": msgspec.to_builtins(progress.files), "request": self._asked.request, "at": self._at}

    def _settle(self) -> None:
        """Whatever was stamped before the transactionTime is committed when the walk begins."""
        self._run.save(position=msgspec.json.encode(_Progress()).decode(), done=0)
        if self._run.store.shared:
            time.sleep(SETTLE_SECONDS)

    def _save(self, progress: _Progress, output: Output) -> None:
        output.sync()
        position = msgspec.json.encode(progress).decode()

        def save(transaction: Transaction) -> Job:
            for patients in batches(tuple(self._untold)):
                save_event(transaction, self._event(patients), self._asked.access.facility, self._hub.clock())
            return self._run.save_in(transaction, position=position, done=progress.done)

        self._run.write(save)
        self._told |= self._untold
        self._untold = {}
        if len(self._told) > MOST_REMEMBERED:
            self._told = {}
        self._saved = time.monotonic()

    def _event(self, patients: Sequence[str]) -> Resource:
        """Whoever's record leaves by an export is told of it, as of any other look."""
        job, now = self._run.job.id, self._hub.clock()
        return audit_event(
            self._asked.access, action="R", interaction="operation", type="$export", query=job, patients=patients, now=now
        )

    def _reads(self) -> Reads:
        """New for each page: it remembers whose records it gave out."""
        return self._hub.door.reads(self._asked.access)

    # -- what there is to do
    def _parts(self) -> list[_Part]:
        kinds = self._asked.types
        parts = [part for kind in kinds for part in self._of_type(kind)]
        if self._asked.since:
            parts += [_Part(kind, deleted=True) for kind in kinds]
        return parts if not self._asked.notes else [*parts, _Part("OperationOutcome")]

    def _of_type(self, kind: str) -> Iterator[_Part]:
        if not self._of_some:
            yield _Part(kind)
            return
        earlier: frozenset[str] = frozenset()
        for patients in batches(self._patients):
            yield _Part(kind, patients, earlier)
            earlier |= self._persons(patients)

    @property
    def _of_some(self) -> bool:
        return self._asked.level == "group" or bool(self._asked.patients)

    @cached_property
    def _patients(self) -> Sequence[str]:
        """As asked; of a Group its members at the transactionTime, of whom `patient` chooses."""
        if self._asked.level != "group":
            return self._asked.patients
        reads = self._reads()
        members = members_of(self._asked.group, lambda id: self._former(reads, Key("Group", id)))
        chosen = set(self._asked.patients or members)
        return [member for member in members if member in chosen]

    def _persons(self, patients: Sequence[str]) -> frozenset[str]:
        reads = self._reads()
        return frozenset(id for patient in patients for id in reads.person(patient))

    @cached_property
    def _all_persons(self) -> frozenset[str]:
        return self._persons(self._patients)

    # -- one page
    def _piece(self, part: _Part, progress: _Progress, output: Output) -> None:
        if part.type == "OperationOutcome":
            notes = [operation_outcome(note.text, code=note.code, severity="warning") for note in self._asked.notes]
            output.write("error", "OperationOutcome", map(fhir_json.dump, notes))
            progress.part, progress.after = progress.part + 1, None
            return
        reads = self._reads()
        lines, following = self._deleted(reads, part, progress) if part.deleted else self._found(reads, part, progress)
        output.write("deleted" if part.deleted else "output", "Bundle" if part.deleted else part.type, lines)
        progress.done += len(lines)
        progress.after = following
        if following is None:
            progress.part += 1

    def _found(self, reads: Reads, part: _Part, progress: _Progress) -> tuple[list[bytes], str | None]:
        now, zone = self._at, self._hub.county.zone
        conditions = self._asked.conditions(part.type, now, zone)
        if part.patients:
            conditions = (condition_of(reads, part.type, part.patients), *conditions)
        page = reads.stored(SearchQuery(part.type, conditions, count=self._page, after=progress.after))
        self._page = _fitting(page.matches)
        found = [version for version in self._of_then(reads, page.matches) if self._wanted(version, part)]
        concerned = dict.fromkeys(patient_in(version.patient) for version in found if version.patient)
        self._untold |= {patient: None for patient in concerned if patient not in self._told}
        return [self._shape.body(version) for version in found], page.next

    def _wanted(self, version: Version, part: _Part) -> bool:
        if self._asked.level == "patient" and not part.patients:
            return bool(version.patient)
        return not part.earlier or not belongs_to(version, part.earlier)

    def _of_then(self, reads: Reads, versions: Sequence[Version]) -> Iterator[Version]:
        """As each was at the transactionTime."""
        for version in versions:
            then = version if version.updated <= self._at else self._former(reads, Key(version.type, version.id))
            if then is not None and not then.deleted and self._in_time(then) and reads.visible(then):
                yield then

    def _in_time(self, version: Version) -> bool:
        return self._since <= version.updated < self._until

    def _former(self, reads: Reads, key: Key) -> Version | None:
        """What was current at the transactionTime, a deletion included; None for what was not there yet."""
        before: int | None = None
        try:
            while versions := reads.history(key, count=20, before=before):
                for version in versions:
                    if version.updated <= self._at:
                        return version
                before = versions[-1].version
        except (NotFound, Gone):
            pass
        return None

    def _deleted(self, reads: Reads, part: _Part, progress: _Progress) -> tuple[list[bytes], str | None]:
        """A transaction of deletions in each line. https://hl7.org/fhir/uv/bulkdata/STU2/export.html#response---complete-status"""
        page = reads.changes(type=part.type, count=self._page, since=self._since, after=progress.after)
        gone = [v for v in page.versions if v.deleted and v.updated <= self._at and self._in_time(v) and self._concerned(v)]
        return [_deletion(v) for v in gone if self._former(reads, Key(v.type, v.id)) == v], page.next

    @cached_property
    def _since(self) -> int:
        return interval(self._asked.since)[0] if self._asked.since else EARLIEST

    @cached_property
    def _until(self) -> int:
        return interval(self._asked.until)[0] if self._asked.until else LATEST

    def _concerned(self, version: Version) -> bool:
        if self._of_some:
            return patient_in(version.patient) in self._all_persons
        return self._asked.level == "system" or bool(version.patient)


def _fitting(versions: Sequence[Version]) -> int:
    size = sum(len(version.body) for version in versions)
    return max(1, min(PAGE, PAGE * PAGE_BYTES // size)) if size > PAGE_BYTES else PAGE


def _deletion(version: Version) -> bytes:
    entry = {"request": {"method": "DELETE", "url": f"{version.type}/{version.id}"}}
    meta = {"lastUpdated": instant(version.updated)}
    return fhir_json.dump({"resourceType": "Bundle", "meta": meta, "type": "transaction", "entry": [entry]})


def export(hub: Hub, run: Run) -> dict[str, Any]:
    return Export(hub, run).work()
