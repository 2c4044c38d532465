"""`$import` as a job: lines of NDJSON → resources, each saved under its own id as a PUT would, some hundred in one transaction.

Other processes make the lines ready (hub.bulk.pool), this one writes. How far it came is part of the commit, so a kill repeats
nothing and loses nothing; the same line again makes no new version. A line that is refused stops nothing: it is told in the report.
"""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from hub import fhir_json
from hub.bulk.fetching import Fetching, NotFetched
from hub.bulk.manifest import Input
from hub.bulk.pool import Made, Piece, Preparing, pieces, preparing
from hub.bulk.ready import Ready, Refused, Setting, outcome_of
from hub.bulk.report import Report, Told
from hub.bulk.writing import BulkWrites, Stored
from hub.clock import instant
from hub.conformance import definitions_for, known_codes
from hub.errors import HubError, Invalid, operation_outcome
from hub.jobs import Job, Run, Stopped, job_in
from hub.search.custom import customs_in, generation_in
from hub.security.access import Access
from hub.security.egress import Egress
from hub.security.policy import county_wide
from hub.security.trail import save_event
from hub.store.port import Transaction
from profiles.validation import refusing
from profiles.validation.profile import ProfileCheck

if TYPE_CHECKING:
    from hub.app import Hub

FOLDER = "imports"
UNDERWAY = 2  # transactions in the queue of a store that does one after the other


class Asked(msgspec.Struct, frozen=True):
    access: Access
    request: str
    files: tuple[str, ...]
    names: tuple[str, ...]  # what the caller calls them
    ours: bool = True  # uploaded or fetched: removed in the end
    inputs: tuple[Input, ...] = ()  # where the files are to be fetched from


class Progress(msgspec.Struct):
    """The job's position: all up to a byte of a file is in the store."""

    file: int = 0
    byte: int = 0
    line: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    refused: int = 0
    noted: int = 0
    report: int = 0  # bytes of it
    fetched: int = 0  # bytes, until all files are there
    by_file: list[int] = []  # resources of each

    @property
    def resources(self) -> int:
        return self.created + self.updated + self.unchanged


_Underway = tuple[Made, Future[Job]]


class _Stale(Exception):
    """Search parameters were registered after the workers were told of them."""


class _Behind(Exception):
    """The transaction before this one failed."""


def progress_of(job: Job) -> Progress:
    return msgspec.json.decode(job.position, type=Progress) if job.position else Progress()


def folder_of(data: Path, job: str) -> Path:
    return data / FOLDER / job


class Import:
    def __init__(self, hub: Hub, run: Run) -> None:
        self._hub = hub
        self._run = run
        self._asked = msgspec.convert(run.job.arguments, Asked)
        self._paths = [Path(name) for name in self._asked.files]
        self._sizes: list[int] = []
        self._folder = folder_of(hub.data, run.job.id)
        self._folder.parent.mkdir(mode=0o700, exist_ok=True)
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._report = Report(self._folder)
        self._generation = b""

    def work(self) -> dict[str, Any]:
        try:
            self._open()
            while not self._done():
                with suppress(_Stale), closing(preparing(self._setting(), sum(self._sizes))) as pool:
                    self._take(pool)
        except Stopped:
            job = job_in(self._run.store, self._run.job.id)
            if job is None or job.cancelled:
                self._forget_inputs()
                shutil.rmtree(self._folder, ignore_errors=True)
            raise
        except NotFetched:
            self._forget_inputs()
            raise
        self._forget_inputs()
        return self._told()

    def _open(self) -> None:
        """Every file is there. Raise NotFetched, Invalid."""
        if self._asked.inputs and not self._run.job.done:
            Fetching(Egress(self._hub.county.egress.imports, public=False), self._came).fetch(self._asked.inputs, self._paths)
        if not all(path.is_file() for path in self._paths):
            raise Invalid("a file of this import is not there any more")
        self._sizes = [path.stat().st_size for path in self._paths]

    def _came(self, size: int) -> None:
        self._run.save(position=msgspec.json.encode(Progress(fetched=size)).decode(), done=0)

    def _forget_inputs(self) -> None:
        for folder in {path.parent for path in self._paths} if self._asked.ours else ():
            shutil.rmtree(folder, ignore_errors=True)

    def _done(self) -> bool:
        return progress_of(self._run.job).file >= len(self._paths)

    def _setting(self) -> Setting:
        self._generation = generation_in(self._run.store)
        facility = "" if county_wide(self._asked.access) else self._asked.access.facility
        strict = self._hub.county.validation.imports == "strict"
        return Setting(facility, strict, tuple(customs_in(self._run.store)), self._run.store.prepare)

    # -- one after the other
    def _take(self, pool: Preparing) -> None:
        """From the position to the end."""
        underway: deque[_Underway] = deque()
        most = 1 if self._run.store.shared else UNDERWAY
        for found in pool.made(self._paths, self._pieces()):
            made = self._profiled(self._of_type(found))
            if len(underway) >= most:
                self._settle(underway)
            underway.append((made, self._run.store.write(self._writing(made))))
        while underway:
            self._settle(underway)
        self._run.write(self._finish)

    def _settle(self, underway: deque[_Underway]) -> None:
        """Wait for the first. If it was refused as a whole it is done one by one, and what came after it once more."""
        made, future = underway.popleft()
        try:
            self._run.take(future.result())
        except HubError as error:
            if error.reason.status >= 500:
                raise
            self._alone(made)
            waiting = list(underway)
            underway.clear()
            for again, behind in waiting:
                with suppress(_Behind):
                    behind.result()
                underway.append((again, self._run.store.write(self._writing(again))))
                self._settle(underway)

    def _pieces(self) -> Iterator[Piece]:
        progress = progress_of(self._run.job)
        start, line = progress.byte, progress.line
        for number in range(progress.file, len(self._paths)):
            yield from pieces(self._paths[number], number, start, line)
            start = line = 0

    # -- one transaction
    def _writing(self, made: Made) -> Callable[[Transaction], Job]:
        reads = self._hub.door.reads(self._asked.access)
        piece = made.piece

        def work(transaction: Transaction) -> Job:
            progress = self._progress_in(transaction, piece)
            if generation_in(transaction) != self._generation:
                raise _Stale
            now = self._hub.clock()
            writes = BulkWrites(transaction, self._asked.access, self._hub.county, now, reads)
            stored = writes.store(made.ready)
            save_event(transaction, writes.event(self._named(piece)), self._asked.access.facility, now)
            return self._save(transaction, progress, made, stored)

        return work

    def _alone(self, made: Made) -> None:
        """Each in a transaction of its own, because one of them cannot be kept; then what became of them all."""
        stored = Stored()
        for each in made.ready:
            self._try(each, stored)
        self._run.write(lambda transaction: self._save(transaction, self._progress_in(transaction, made.piece), made, stored))

    def _try(self, each: Ready, stored: Stored) -> None:
        reads = self._hub.door.reads(self._asked.access)

        def work(transaction: Transaction) -> Stored:
            now = self._hub.clock()
            writes = BulkWrites(transaction, self._asked.access, self._hub.county, now, reads)
            one = writes.store([each])
            save_event(transaction, writes.event(f"{self._run.job.id}: {each.key.type}"), self._asked.access.facility, now)
            return one

        try:
            one = self._run.store.write(work).result()
        except HubError as error:
            if error.reason.status >= 500:
                raise
            stored.refused.append((each, error))
            return
        stored.created += one.created
        stored.updated += one.updated
        stored.unchanged += one.unchanged
        stored.refused += one.refused

    def _progress_in(self, transaction: Transaction, piece: Piece) -> Progress:
        """Raise Stopped, or _Behind where what comes before the piece is not in the store."""
        job = job_in(transaction, self._run.job.id)
        if job is None:
            raise Stopped
        progress = progress_of(job)
        follows = (progress.file, progress.byte) == (piece.file, piece.start)
        begins = not piece.start and progress.file < piece.file and progress.byte >= self._sizes[progress.file]
        if not follows and not begins:
            raise _Behind
        return progress

    def _save(self, transaction: Transaction, progress: Progress, made: Made, stored: Stored) -> Job:
        piece = made.piece
        told = [Told(self._asked.names[piece.file], piece.line + line + 1, text) for line, text in _outcomes(made, stored)]
        kept = stored.created + stored.updated + stored.unchanged
        by_file = progress.by_file + [0] * (len(self._paths) - len(progress.by_file))
        by_file[piece.file] += kept
        progress = Progress(
            file=piece.file,
            byte=piece.end,
            line=piece.line + piece.lines,
            created=progress.created + stored.created,
            updated=progress.updated + stored.updated,
            unchanged=progress.unchanged + stored.unchanged,
            refused=progress.refused + len(made.refused) + len(stored.refused),
            noted=progress.noted + sum(bool(each.issues) for each in made.ready),
            report=self._report.append(progress.report, sorted(told, key=lambda each: each.line)),
            by_file=by_file,
        )
        done = sum(self._sizes[: piece.file]) + piece.end
        position = msgspec.json.encode(progress).decode()
        return self._run.save_in(transaction, position=position, done=done, total=sum(self._sizes))

    def _finish(self, transaction: Transaction) -> Job:
        job = job_in(transaction, self._run.job.id)
        progress = progress_of(job) if job else Progress()
        progress.file = len(self._paths)
        total = sum(self._sizes)
        return self._run.save_in(transaction, position=msgspec.json.encode(progress).decode(), done=total, total=total)

    def _of_type(self, made: Made) -> Made:
        """A manifest says of what type the resources of a file are."""
        if not self._asked.inputs:
            return made
        kind = self._asked.inputs[made.piece.file].type
        ready = [each for each in made.ready if each.key.type == kind]
        others = [Refused(each.line, _another_type(kind)) for each in made.ready if each.key.type != kind]
        return Made(made.piece, ready, made.refused + others)

    # -- profiles: they lie in the store, which the other processes do not see
    def _profiled(self, made: Made) -> Made:
        if not any(each.profiled for each in made.ready):
            return made
        check = ProfileCheck(
            definitions_for(self._hub.door.reads(self._asked.access)),
            codes=known_codes(self._hub),
            unknown=self._hub.county.validation.unknown_profiles,
        )
        looked_at = [self._checked(each, check) if each.profiled else each for each in made.ready]
        ready = [each for each in looked_at if isinstance(each, Ready)]
        return Made(made.piece, ready, made.refused + [each for each in looked_at if isinstance(each, Refused)])

    def _checked(self, each: Ready, check: ProfileCheck) -> Ready | Refused:
        resource = fhir_json.load(each.resource.front + b'"versionId":"0"' + each.resource.rest)
        del resource["meta"]["versionId"]
        issues = check.issues(resource, ())
        if refused := refusing(issues, strict=self._hub.county.validation.imports == "strict"):
            return Refused(each.line, outcome_of(refused))
        told = [issue for issue in issues if issue.severity != "information"]
        return each._replace(issues=each.issues or outcome_of(told)) if told else each

    # -- the result
    def _named(self, piece: Piece) -> str:
        return f"{self._run.job.id}: {self._asked.names[piece.file]}, lines {piece.line + 1} to {piece.line + piece.lines}"

    def _told(self) -> dict[str, Any]:
        progress = progress_of(self._run.job)
        urls = [each.url for each in self._asked.inputs] or self._asked.names
        counts = zip(urls, progress.by_file or [0] * len(self._paths), strict=True)
        return {
            "transactionTime": instant(self._run.job.created),
            "request": self._asked.request,
            "requiresAccessToken": True,
            "output": [{"inputUrl": name, "count": count} for name, count in counts],
            "error": [],
            "created": progress.created,
            "updated": progress.updated,
            "unchanged": progress.unchanged,
            "refused": progress.refused,
            "noted": progress.noted,
        }


def _outcomes(made: Made, stored: Stored) -> Sequence[tuple[int, bytes]]:
    return [
        *((each.line, each.outcome) for each in made.refused),
        *((each.line, fhir_json.dump(error.outcome())) for each, error in stored.refused),
        *((each.line, each.issues) for each in made.ready if each.issues),
    ]


def _another_type(kind: str) -> bytes:
    return fhir_json.dump(operation_outcome(f"the manifest says that this file holds {kind}", code="structure"))


def take_in(hub: Hub, run: Run) -> dict[str, Any]:
    return Import(hub, run).work()
