"""Journal entries → attempts, by processes that may die: one for the stream, and beside it one for a record that takes long.

A mapper is code fed with what strangers wrote: it may raise, loop or eat memory. So it runs in a process of its own, with a limit
of time a record and one of memory. A record that has computed for a second is set aside together with its process, a new process
goes on with those behind it, and what becomes of it is told later. One whose process died, or did not end in time, is tried once
more alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from hub.ingest.journal import Entry
from hub.ingest.mapper_process import MapperProcess
from hub.ingest.mapping import Attempt
from mappers.base import MappingContext

TRIES = 2
QUICK = 1.0  # processor seconds that a record may hold up those behind it
SECONDS = 10.0  # of one record
MEMORY = 1024 * 1024 * 1024  # on top of what a fresh worker takes
CHUNK = 32
ASIDE = 32  # records set aside at most: then those behind them wait after all
LOOK = 0.25


class PoolClosed(Exception):
    """The hub stops: the record is nobody's fault and waits for the next start."""


class MapperPool:
    """The RecordMapper of a running hub."""

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
        self._memory = memory
        self._modules = tuple(modules)  # imported by a fresh worker
        self._quick = min(QUICK, seconds)
        self._worker: MapperProcess | None = None
        self._slow = _SlowLane(self._fresh, seconds)
        self._late: deque[Attempt] = deque()
        self._renewed: deque[dict[str, MappingContext]] = deque(maxlen=1)
        self._closed = False

    def prepare(self) -> None:
        if self._worker is None:
            self._worker = self._fresh()

    def renew(self, contexts: Mapping[str, MappingContext]) -> None:
        """From any thread: the next call of `map` works by these."""
        self._renewed.append(dict(contexts))

    def map(self, entries: Sequence[Entry]) -> Iterator[Attempt]:
        self._take_up_contexts()
        waiting = deque(entries)
        try:
            while waiting:
                for attempt in self._answers(list(islice(waiting, CHUNK))):
                    waiting.popleft()
                    yield attempt
        finally:
            if waiting:  # given up half-way: the worker's remaining answers would be taken for those of the next call
                self._end_worker()

    def late(self, patience: float = 0) -> Attempt | None:
        self._take_up_contexts()
        return self._late.popleft() if self._late else self._ended(patience)

    def all(self, entries: Sequence[Entry]) -> list[Attempt]:
        """What becomes of each, however long it takes."""
        attempts = list(self.map(entries))
        places = {attempt.seq: place for place, attempt in enumerate(attempts) if attempt.later}
        while places:
            late = self.late(LOOK)
            if late is not None:
                attempts[places.pop(late.seq)] = late
        return attempts

    def close(self) -> None:
        self._closed = True
        self._end_worker()
        self._slow.close()

    def _answers(self, chunk: Sequence[Entry]) -> Iterator[Attempt]:
        """Attempts in order, up to the first entry that is set aside: its worker is busy with it or gone."""
        answered = 0
        self.prepare()
        worker = self._worker
        assert worker is not None  # noqa: S101 - prepared
        try:
            worker.give(chunk)
            for entry in chunk:
                if not worker.answers(self._quick):
                    self._worker = None
                    yield self._set_aside(entry, worker)
                    return
                yield worker.answer()
                answered += 1
        except (EOFError, OSError) as error:
            self._end_worker()
            if self._closed:
                raise PoolClosed from None
            yield self._wait_beside(_Suspect(chunk[answered], 1, _died(worker, error)))

    def _set_aside(self, entry: Entry, worker: MapperProcess) -> Attempt:
        """Its worker goes on with it, unless one is at such a record already: then it begins anew when its turn comes."""
        if not self._slow.busy:
            return self._wait_beside(_Suspect(entry), worker)
        worker.end()
        return self._wait_beside(_Suspect(entry))

    def _wait_beside(self, suspect: _Suspect, worker: MapperProcess | None = None) -> Attempt:
        self._slow.take(suspect, worker)
        while len(self._slow) > ASIDE:
            late = self._ended(LOOK)
            if late is not None:
                self._late.append(late)
        return Attempt(suspect.entry.seq, None, later=True)

    def _ended(self, patience: float) -> Attempt | None:
        ended = self._slow.ended(patience)
        if self._closed:  # it was ended by us
            raise PoolClosed
        return ended

    def _take_up_contexts(self) -> None:
        while self._renewed:
            self._contexts = self._renewed.popleft()
            self._end_worker()
            self._slow.begin_anew()

    def _fresh(self) -> MapperProcess:
        if self._closed:
            raise PoolClosed
        return MapperProcess(self._contexts, self._folder, self._memory, self._modules)

    def _end_worker(self) -> None:
        worker, self._worker = self._worker, None
        if worker:
            worker.end()


@dataclass(frozen=True, slots=True)
class _Suspect:
    entry: Entry
    tries: int = 0  # that have failed
    failure: str = ""


class _SlowLane:
    """One record at a time, each in a process of its own."""

    def __init__(self, fresh: Callable[[], MapperProcess], seconds: float) -> None:
        self._fresh = fresh
        self._seconds = seconds
        self._waiting: deque[_Suspect] = deque()
        self._at_work: tuple[_Suspect, MapperProcess] | None = None

    def __len__(self) -> int:
        return len(self._waiting) + self.busy

    @property
    def busy(self) -> bool:
        return self._at_work is not None

    def take(self, suspect: _Suspect, worker: MapperProcess | None = None) -> None:
        """`worker`: is at this record now."""
        if worker:
            self._at_work = (suspect, worker)
        else:
            self._waiting.append(suspect)

    def ended(self, patience: float) -> Attempt | None:
        """One that has ended, if any has or does within `patience` seconds."""
        if self._at_work is None:
            self._begin_next()
        if self._at_work is None:
            return None
        suspect, worker = self._at_work
        try:
            if worker.has_answered(patience):
                answer = worker.answer()  # its first is this record's; what it was given behind it, another one maps
                self._let_go()
                return replace(answer, tries=suspect.tries + 1)
            if not worker.overdue(self._seconds):
                return None
            failure = f"the mapper did not end within {self._seconds:g} s"
        except (EOFError, OSError) as error:
            failure = _died(worker, error)
        self._let_go()
        return self._failed(replace(suspect, tries=suspect.tries + 1, failure=failure))

    def begin_anew(self) -> None:
        """What is at work is mapped from its beginning, without blame."""
        if self._at_work is not None:
            self._waiting.appendleft(self._at_work[0])
            self._let_go()

    def close(self) -> None:
        self._let_go()

    def _begin_next(self) -> None:
        if self._waiting:
            worker = self._fresh()
            suspect = self._waiting.popleft()
            self._at_work = (suspect, worker)
            worker.give([suspect.entry])

    def _failed(self, suspect: _Suspect) -> Attempt | None:
        if suspect.tries < TRIES:
            self._waiting.append(suspect)
            return None
        return Attempt(suspect.entry.seq, None, suspect.failure, suspect.tries)

    def _let_go(self) -> None:
        at_work, self._at_work = self._at_work, None
        if at_work:
            at_work[1].end()


def _died(worker: MapperProcess, error: Exception) -> str:
    return f"the mapper's process died: {worker.how_it_ended(error)}"
