"""Journal → mapper → store: one thread takes the records in order and gives each exactly one effect.

Where to go on after a kill is what the store says: the first record without an outcome. Several records are under way at once, each
a transaction of its own that the store groups into one sync; one that fails is set aside with its reason and its neighbours go on.
One that takes long to map is passed by those behind it, as if it had come later: stamps settle the order (decision 0003).
While the store cannot be written, nothing is lost: the same records are tried again, slower and slower.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field, replace

import apsw

from connectors.base import JournalUnavailable
from hub.errors import HubError, Kind, place_of
from hub.ingest.effect import Effect
from hub.ingest.holding import held, holding
from hub.ingest.journal import Entry, Journal
from hub.ingest.mapping import Attempt, RecordMapper
from hub.ingest.pool import PoolClosed
from hub.ingest.replay import Replays, Request
from hub.ingest.unions import states_parts, together
from hub.settings import County
from hub.store.port import Outcome, ResourceStore, Transaction

log = logging.getLogger(__name__)

BATCH = 64
IN_FLIGHT = 128  # records submitted to the store and not yet known to be synced
GIVEN_WAY = 10  # times two milliseconds that a record may wait while senders press
LOOK = 0.5  # seconds between two looks for what another process asked for
BACKOFF = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
STORE_TROUBLE = (OSError, apsw.FullError, apsw.IOError, apsw.BusyError, apsw.CantOpenError, apsw.NoMemError, apsw.ReadOnlyError)
TRANSIENT = frozenset({Kind.UNAVAILABLE, Kind.TIMEOUT})


@dataclass(slots=True)
class Tally:
    """What became of a source's records since the pipeline started."""

    done: int = 0
    with_issues: int = 0
    dead: int = 0
    resources: int = 0
    issues: dict[str, int] = field(default_factory=dict)

    def add(self, outcome: Outcome) -> None:
        if outcome.state == "dead":
            self.dead += 1
            return
        self.done += 1
        self.with_issues += bool(outcome.issues)
        self.resources += len(outcome.resources)
        for issue in outcome.issues:
            self.issues[issue["code"]] = self.issues.get(issue["code"], 0) + 1


@dataclass(slots=True)
class _Submitted:
    entry: Entry
    attempt: Attempt
    again: bool
    future: Future[Outcome]


@dataclass(frozen=True, slots=True)
class _Aside:
    """Takes long to map; those behind it go on."""

    entry: Entry
    again: bool
    held: str = ""


@dataclass(slots=True)
class _Page:
    """Records that are done again: the request gets on when all of them are."""

    request: Request
    numbers: list[int]
    mapped: bool = False


class Pipeline:
    """`start`, and the journal drains; `stop` ends after the records under way."""

    def __init__(
        self,
        journal: Journal,
        store: ResourceStore,
        mapper: RecordMapper,
        *,
        county: County,
        clock: Callable[[], int],
        replays: Replays | None = None,
    ) -> None:
        self._journal = journal
        self._store = store
        self._mapper = mapper
        self._effect = Effect(county, clock)
        self._replays = replays or Replays(journal, store)
        self._position = store.finished_after(0)
        self._reached = journal.last  # the furthest that may have an outcome: up to it, those that have one are passed over
        self._flying: deque[_Submitted] = deque()
        self._aside: dict[int, _Aside] = {}
        self._page: _Page | None = None
        self._quiet = threading.Condition()
        self._busy = True
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pipeline", daemon=True)
        self.tallies: dict[str, Tally] = {}
        self.problem = ""  # why nothing moves, "" while all is well

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float = 10) -> None:
        self._stopping.set()
        self._journal.wake()
        if self._thread.is_alive():
            self._thread.join(timeout)
        self._mapper.close()

    @property
    def position(self) -> int:
        """Every record up to here is submitted to the store, but for those that take long to map."""
        return self._position

    @property
    def lag(self) -> int:
        """Records journaled and not yet in the store."""
        return max(0, self._journal.last - self._position) + len(self._flying) + len(self._aside)

    def idle(self) -> bool:
        at_work = self._busy or self._aside or self._position < self._journal.last
        return not at_work and not self._replays.waiting()

    def wait_until_idle(self, timeout: float) -> bool:
        """True once every journaled record has its outcome and no replay waits."""
        with self._quiet:
            return self._quiet.wait_for(self.idle, timeout)

    def run_once(self) -> bool:
        """Do what there is to do now; False if there was nothing. For a command that runs the pipeline itself."""
        worked = self._step() or bool(self._aside)
        self._take_late(LOOK)
        self._land(0)
        return worked

    def _run(self) -> None:
        failures = 0
        with suppress(OSError, PoolClosed):  # what it is, is told when the first record comes
            self._mapper.prepare()
        while not self._stopping.is_set():
            try:
                if self.problem:
                    self._land(0)  # what was under way goes first; nothing is taken on top of it
                if not self._step():
                    self._rest()
                failures = 0
                self._well()
            except (HubError, JournalUnavailable, *STORE_TROUBLE) as error:
                self._ill(f"{type(error).__name__}: {error}" if isinstance(error, HubError) else type(error).__name__)
                self._stopping.wait(BACKOFF[min(failures, len(BACKOFF) - 1)])
                failures += 1
            except PoolClosed:
                break
            except Exception as error:
                log.error("pipeline: %s at %s; it goes on from where the store is", type(error).__name__, place_of(error))  # noqa: TRY400
                self._restart_from_store(type(error).__name__)
                self._stopping.wait(BACKOFF[min(failures, len(BACKOFF) - 1)])
                failures += 1
        self._finish()

    def _finish(self) -> None:
        try:
            self._land(0)
        except Exception as error:
            log.warning("pipeline: stopped with records under way (%s); the next start does them", type(error).__name__)

    def _restart_from_store(self, problem: str) -> None:
        self.problem = problem
        self._flying.clear()
        self._effect.forget()
        self._page = None
        self._go_back(self._store.finished_after(0))

    def _go_back(self, position: int) -> None:
        self._reached = max(self._reached, self._position)
        self._position = position

    def _well(self) -> None:
        if self.problem:
            log.warning("pipeline: goes on after %s", self.problem)
            self.problem = ""

    def _ill(self, problem: str) -> None:
        if not self.problem:
            log.warning("pipeline: waits, nothing is lost: %s", problem)
        self.problem = problem

    def _step(self) -> bool:
        """One batch; False if there is none."""
        self._take_late()
        entries = self._journal.after(self._position, BATCH)
        if not entries:
            return self._replay()
        self._busy = True
        self._process(self._to_do(entries), again=False)
        if not self._stopping.is_set():
            self._position = max(self._position, entries[-1].seq)
        return True

    def _to_do(self, entries: Sequence[Entry]) -> list[Entry]:
        """Without those that went on while one before them was mapped, and those that are being mapped."""
        finished: set[int] = set()
        if entries[0].seq <= self._reached:
            finished = {outcome.seq for outcome in self._store.outcomes(after=entries[0].seq - 1, limit=len(entries))}
        return [entry for entry in entries if entry.seq not in finished and entry.seq not in self._aside]

    def _replay(self) -> bool:
        """A page of what is done again; False if there is none, or while one of its records is still being mapped."""
        page = self._page = self._page or self._next_page()
        if page is None or not self._aside.keys().isdisjoint(page.numbers):
            return False
        self._busy = True
        if not page.mapped:
            released = bool(page.request.filter.seqs)
            numbers = page.numbers if released else self._kept(page.numbers)
            self._process(self._journal.entries(numbers), again=True, released=released)
            page.mapped = not self._stopping.is_set()
        if page.mapped and self._aside.keys().isdisjoint(page.numbers):
            self._land(0)
            self._replays.advance(page.request, page.numbers)
            self._page = None
        return True

    def _kept(self, numbers: Sequence[int]) -> list[int]:
        """Without those that a person gave up: only asking for them by number brings them back."""
        outcomes = map(self._store.outcome, numbers)
        return [seq for seq, outcome in zip(numbers, outcomes, strict=True) if outcome is None or outcome.state != "discarded"]

    def _next_page(self) -> _Page | None:
        request = self._replays.open()
        return _Page(request, self._replays.next(request)) if request else None

    def _rest(self) -> None:
        self._land(0)
        with self._quiet:
            self._busy = False
            self._quiet.notify_all()
        self._journal.wait_for_more(self._position, LOOK)

    def _process(self, entries: Sequence[Entry], *, again: bool, released: bool = False) -> None:
        """`released`: a person asked for these very records, so none is held."""
        by_number = {entry.seq: entry for entry in entries}
        reasons = {} if released else held(self._journal, entries)
        run: list[Attempt] = []  # attempts one behind the other that state parts of wholes
        for attempt in holding(self._mapper.map(entries), reasons):
            if attempt.unavailable:
                raise OSError(attempt.reason)
            if attempt.later:
                self._aside[attempt.seq] = _Aside(by_number[attempt.seq], again, attempt.held)
                continue
            if states_parts(attempt):
                run.append(attempt)
                continue
            for each in (*together(run), attempt):
                self._take(by_number[each.seq], each, again=again)
            run.clear()
            if self._stopping.is_set():
                return
        for each in together(run):
            self._take(by_number[each.seq], each, again=again)

    def _take_late(self, patience: float = 0) -> None:
        """What was set aside and is mapped by now."""
        while self._aside and (attempt := self._mapper.late(patience)):
            aside = self._aside.pop(attempt.seq)
            if attempt.unavailable:
                self._begin_anew(aside)
                raise OSError(attempt.reason)
            self._begin(aside.entry, replace(attempt, held=aside.held), again=aside.again)

    def _begin_anew(self, aside: _Aside) -> None:
        if not aside.again:
            self._go_back(min(self._position, aside.entry.seq - 1))
        elif self._page:
            self._page.mapped = False

    def _take(self, entry: Entry, attempt: Attempt, *, again: bool) -> None:
        self._begin(entry, attempt, again=again)
        if not again:
            self._position = entry.seq
        self._land(IN_FLIGHT)

    def _begin(self, entry: Entry, attempt: Attempt, *, again: bool) -> None:
        self._give_way()
        self._flying.append(_Submitted(entry, attempt, again, self._submit(entry, attempt, again)))

    def _give_way(self) -> None:
        """Acknowledgements first: a sender waits for its own, a reader for a record among many. The backlog lies safe on disk."""
        for _ in range(GIVEN_WAY):
            if not self._journal.pressed or self._stopping.wait(0.002):
                return

    def _submit(self, entry: Entry, attempt: Attempt, again: bool) -> Future[Outcome]:
        def work(transaction: Transaction) -> Outcome:
            return self._effect.apply(transaction, entry, attempt, again=again)

        return self._store.write(work)

    def _land(self, allowed: int) -> None:
        """Wait until at most `allowed` records are under way."""
        while len(self._flying) > allowed:
            first = self._flying[0]
            outcome = self._outcome_of(first)
            self._flying.popleft()
            self.tallies.setdefault(first.entry.record.source, Tally()).add(outcome)

    def _outcome_of(self, submitted: _Submitted) -> Outcome:
        """The synced outcome. An unavailable store raises, and the record stays first in the row."""
        try:
            return submitted.future.result()
        except Exception as error:
            self._effect.forget()
            if transient(error):
                self._submit_anew()
                raise
            log.warning("journal %d: its effect failed with %s; set aside", submitted.entry.seq, type(error).__name__)
            return self._set_aside(submitted, f"{type(error).__name__} when it was stored")

    def _submit_anew(self) -> None:
        """All that were refused, in their order: after a night without a store it takes one look, not one a record."""
        for submitted in self._flying:
            future = submitted.future
            if future.done() and (error := future.exception()) is not None and transient(error):
                submitted.future = self._submit(submitted.entry, submitted.attempt, submitted.again)

    def _set_aside(self, submitted: _Submitted, reason: str) -> Outcome:
        def work(transaction: Transaction) -> Outcome:
            former = transaction.outcome(submitted.entry.seq)
            tries = submitted.attempt.tries + (former.attempts if former else 0)
            return self._effect.bury(transaction, submitted.entry, reason, tries)

        return self._store.write(work).result()


def transient(error: BaseException) -> bool:
    """The store could not do it now; the record is not to blame."""
    return isinstance(error, STORE_TROUBLE) or (isinstance(error, HubError) and error.reason in TRANSIENT)
