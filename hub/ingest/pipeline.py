"""Journal → mapper → store: one thread takes the records in order and gives each exactly one effect.

Where to go on after a kill is what the store says: the first record without an outcome. Several records are under way at once, each
a transaction of its own that the store groups into one sync; one that fails is set aside with its reason and its neighbours go on.
While the store cannot be written, nothing is lost: the same records are tried again, slower and slower.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import apsw

from connectors.base import JournalUnavailable
from hub.errors import HubError, Kind, place_of
from hub.ingest.effect import Effect
from hub.ingest.holding import held, holding
from hub.ingest.journal import Entry, Journal
from hub.ingest.mapping import Attempt, PoolClosed, RecordMapper
from hub.ingest.replay import Replays
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
        self._flying: deque[_Submitted] = deque()
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
        """Every record up to here is submitted to the store."""
        return self._position

    @property
    def lag(self) -> int:
        """Records journaled and not yet in the store."""
        return max(0, self._journal.last - self._position) + len(self._flying)

    def idle(self) -> bool:
        return not self._busy and self._position >= self._journal.last and self._replays.open() is None

    def wait_until_idle(self, timeout: float) -> bool:
        """True once every journaled record has its outcome and no replay waits."""
        with self._quiet:
            return self._quiet.wait_for(self.idle, timeout)

    def run_once(self) -> bool:
        """Do what there is to do now; False if there was nothing. For a command that runs the pipeline itself."""
        worked = self._step()
        self._land(0)
        return worked

    def _run(self) -> None:
        failures = 0
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
        self._position = self._store.finished_after(0)

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
        entries = self._journal.after(self._position, BATCH)
        if entries:
            self._busy = True
            self._process(entries, again=False)
            return True
        request = self._replays.open()
        if request is None:
            return False
        self._busy = True
        numbers = self._replays.next(request)
        self._process(self._journal.entries(numbers), again=True, released=bool(request.filter.seqs))
        self._land(0)
        if not self._stopping.is_set():
            self._replays.advance(request, numbers)
        return True

    def _rest(self) -> None:
        self._land(0)
        with self._quiet:
            self._busy = False
            self._quiet.notify_all()
        self._journal.wait_for_more(self._position, LOOK)

    def _process(self, entries: Sequence[Entry], *, again: bool, released: bool = False) -> None:
        """`released`: a person asked for these very records, so none is held."""
        by_number = {entry.seq: entry for entry in entries}
        run: list[Attempt] = []  # attempts one behind the other that state parts of wholes
        for attempt in holding(self._mapper.map(entries), {} if released else held(self._journal, entries)):
            if attempt.unavailable:
                raise OSError(attempt.reason)
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

    def _take(self, entry: Entry, attempt: Attempt, *, again: bool) -> None:
        self._give_way()
        self._flying.append(_Submitted(entry, attempt, again, self._submit(entry, attempt, again)))
        if not again:
            self._position = entry.seq
        self._land(IN_FLIGHT)

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
