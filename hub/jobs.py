"""Long work beside requests: reindexing, export, import. A job is a durable record on a shelf of the store and outlives a restart.

A kind of work is a function of a `Run`. It works in pieces, and saves after each how far it came, best in the transaction that did
the piece; after a kill it is called again with the position last saved. One process runs a job: it holds the record for a while and
renews that with every save. Jobs of one kind are done one after the other, the oldest first.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal, NoReturn

import msgspec

from hub.errors import HubError, Unavailable, place_of
from hub.security.access import Access
from hub.store.port import ResourceStore, Transaction

OPEN, OVER = "job", "job-over"  # shelves: what is to be done, and for a while what was
KEPT_MS = 7 * 86_400_000  # a finished job is remembered so long
HOLD_MS = 60_000  # a holder that saves nothing for so long is taken for dead, unless `Jobs` is told otherwise
AGAIN_SECONDS = 2.0
LOOK_SECONDS = 0.5  # between looks for jobs that a transaction has submitted, or another process left behind

log = logging.getLogger(__name__)

State = Literal["waiting", "running", "done", "failed", "cancelled"]


class Job(msgspec.Struct, frozen=True):
    id: str  # in the order of creation
    kind: str
    created: int  # UTC ms
    caller: str = ""  # who asked for it, and alone may see it; "" for the hub itself
    arguments: dict[str, Any] = {}
    state: State = "waiting"
    position: str = ""  # how far it came; the work's own matter
    done: int = 0
    total: int | None = None
    cancelled: bool = False  # asked for; the work stops at its next save
    holder: str = ""
    held_until: int = 0
    finished: int = 0
    message: str = ""  # why it failed
    result: dict[str, Any] | None = None  # what the one who asked gets in the end

    @property
    def over(self) -> bool:
        return self.state in ("done", "failed", "cancelled")


class Stopped(Exception):
    """The job was cancelled, another process took it over, or the hub is closing."""


def caller_of(access: Access) -> str:
    return f"{access.token_id}|{access.name}|{access.facility}"


def submit(transaction: Transaction, kind: str, now: int, *, arguments: dict[str, Any] | None = None, caller: str = "") -> Job:
    """In the transaction that makes the work necessary; it begins soon after the commit."""
    job = Job(f"{now:014d}-{secrets.token_hex(12)}", kind, now, caller, arguments or {})
    put(transaction, job)
    return job


def put(transaction: Transaction, job: Job) -> None:
    if job.over:
        transaction.put_item(OPEN, job.id, None)
    transaction.put_item(OVER if job.over else OPEN, job.id, msgspec.json.encode(job))


def job_in(source: Transaction | ResourceStore, id: str) -> Job | None:
    found = source.item(OPEN, id) or source.item(OVER, id)
    return msgspec.json.decode(found, type=Job) if found is not None else None


def jobs_in(source: Transaction | ResourceStore, shelf: str = OPEN) -> Iterator[Job]:
    """The oldest first."""
    after = ""
    while page := source.items(shelf, after=after, limit=200):
        yield from (msgspec.json.decode(found, type=Job) for _, found in page)
        after = page[-1][0]


class Run:
    """A job while this process does it."""

    def __init__(
        self, job: Job, store: ResourceStore, clock: Callable[[], int], closing: threading.Event, hold: int = HOLD_MS
    ) -> None:
        self.job = job
        self._hold = hold
        self.store = store
        self._clock = clock
        self._closing = closing

    def save(self, *, position: str, done: int, total: int | None = None) -> None:
        """How far it came, in a transaction of its own. Raise Stopped if the work shall not go on."""
        self.write(lambda transaction: self.save_in(transaction, position=position, done=done, total=total))

    def write(self, work: Callable[[Transaction], Job]) -> None:
        """`work` does a piece and returns what `save_in` did."""
        self.take(self.store.write(work).result())

    def take(self, saved: Job) -> None:
        """What `save_in` returned, where the work itself waits for its writes. Raise Stopped when the hub is closing."""
        self.job = saved
        if self._closing.is_set():
            raise Stopped

    def leave(self, seconds: float) -> NoReturn:
        """To be taken up again after a while, or when the hub is started again."""
        self._closing.wait(seconds)
        raise Stopped

    def save_in(self, transaction: Transaction, *, position: str, done: int, total: int | None = None) -> Job:
        """How far it came, in the transaction of the piece."""
        current = job_in(transaction, self.job.id)
        if current is None or current.cancelled or current.holder != self.job.holder:
            raise Stopped
        until = self._clock() + self._hold
        total = self.job.total if total is None else total
        saved = msgspec.structs.replace(current, position=position, done=done, total=total, held_until=until)
        put(transaction, saved)
        return saved


Work = Callable[[Run], dict[str, Any] | None]  # returns the result


def patiently(work: Work, seconds: float = AGAIN_SECONDS) -> Work:
    """A store that is away does not end the job, as what waits for it would wait for ever: it goes on when the store is back."""

    def trying(run: Run) -> dict[str, Any] | None:
        try:
            return work(run)
        except Unavailable:
            run.leave(seconds)

    return trying


class Jobs:
    """Runs the jobs of one hub, on a thread for each kind of work that waits. `sole`: no other process writes to the store."""

    def __init__(self, store: ResourceStore, clock: Callable[[], int], *, sole: bool, hold: int = HOLD_MS) -> None:
        self._store = store
        self._hold = hold
        self._clock = clock
        self._sole = sole
        self._name = secrets.token_hex(8)
        self._kinds: dict[str, Work] = {}
        self._own: set[str] = set()
        self._running: dict[str, threading.Thread] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._woken = threading.Event()
        self._looker: threading.Thread | None = None
        self._regular: list[tuple[float, Callable[[], None]]] = []

    def serve(self, kind: str, work: Work, *, own: bool = False) -> None:
        """`own`: no other process does this kind, so whoever held a job of it is dead."""
        self._kinds[kind] = work
        if own:
            self._own.add(kind)

    def regularly(self, seconds: float, work: Callable[[], None]) -> None:
        """Short work that is done soon after `start`, and again whenever so much time has passed."""
        self._regular.append((seconds, work))

    def start(self) -> None:
        """Take up what an earlier process left, and from now on what is submitted."""
        self._looker = threading.Thread(target=self._look, name="jobs", daemon=True)
        self._looker.start()

    def wake(self) -> None:
        """There may be something to do."""
        waiting = {job.kind for job in jobs_in(self._store) if job.kind in self._kinds}
        with self._lock:
            for kind in waiting - {name for name, thread in self._running.items() if thread.is_alive()}:
                if not self._closing.is_set():
                    thread = threading.Thread(target=self._work, args=(kind,), name=f"job-{kind}", daemon=True)
                    self._running[kind] = thread
                    thread.start()
            self._woken.set()

    def job(self, id: str) -> Job | None:
        return job_in(self._store, id)

    def cancel(self, id: str) -> None:
        """Unless it is over."""

        def work(transaction: Transaction) -> None:
            job = job_in(transaction, id)
            if job is not None and not job.over:
                put(transaction, msgspec.structs.replace(job, cancelled=True))

        self._store.write(work).result()

    def close(self) -> None:
        """Running work stops at its next save and goes on after the next start."""
        with self._lock:
            self._closing.set()
            threads = [*self._running.values(), *((self._looker,) if self._looker else ())]
        for thread in threads:
            thread.join()

    def _look(self) -> None:
        due: dict[int, float] = {}  # what is added later is due at once
        problem = ""
        while not self._closing.is_set():
            try:
                self.wake()
                for number, (seconds, work) in enumerate(self._regular):
                    if time.monotonic() >= due.get(number, 0.0):
                        due[number] = time.monotonic() + seconds
                        work()
                if problem:
                    log.warning("jobs go on after: %s", problem)
                problem = ""
            except HubError as error:
                if not problem:  # a night without a store writes two lines
                    log.warning("jobs wait: %s", error.message)
                problem = error.message
            self._closing.wait(LOOK_SECONDS)

    def _work(self, kind: str) -> None:
        try:
            self._work_off(kind)
        except HubError as error:  # the store takes no writes: the next start goes on
            log.warning("jobs of kind %s wait: %s", kind, error.message)

    def _work_off(self, kind: str) -> None:
        while not self._closing.is_set():
            self._woken.clear()
            job = self._store.write(lambda transaction: self._claim(transaction, kind)).result()
            if job is not None:
                self._run(job)
                continue
            with self._lock:
                if not self._woken.is_set():  # what was submitted since the claim has woken us
                    del self._running[kind]
                    return

    def _claim(self, transaction: Transaction, kind: str) -> Job | None:
        """The oldest job of the kind, unless another process is at it."""
        now = self._clock()
        job = next((job for job in jobs_in(transaction) if job.kind == kind), None)
        if job is None or (job.holder not in ("", self._name) and not self._alone(kind) and job.held_until > now):
            return None
        claimed = msgspec.structs.replace(job, state="running", holder=self._name, held_until=now + self._hold)
        put(transaction, claimed)
        return claimed

    def _alone(self, kind: str) -> bool:
        return self._sole or kind in self._own

    def _run(self, job: Job) -> None:
        run = Run(job, self._store, self._clock, self._closing, self._hold)
        if job.cancelled:
            self._finish(job, "cancelled")
            return
        try:
            result = self._kinds[job.kind](run)
        except Stopped:
            self._finish(job, "cancelled")
        except HubError as error:
            self._finish(job, "failed", message=error.message)
        except Exception as error:
            log.error("a job of kind %s failed: %s at %s", job.kind, type(error).__name__, place_of(error))  # noqa: TRY400
            self._finish(job, "failed", message="the server failed; the log says where")
        else:
            self._finish(job, "done", result=result)

    def _finish(self, job: Job, state: State, *, message: str = "", result: dict[str, Any] | None = None) -> None:
        """Stopped without having been cancelled: it is left as it is, for the next start or the process that took it."""

        def work(transaction: Transaction) -> None:
            current = job_in(transaction, job.id)
            if current is None or current.holder != self._name or (state == "cancelled" and not current.cancelled):
                return
            now = self._clock()
            put(transaction, msgspec.structs.replace(current, state=state, finished=now, message=message, result=result))
            for former in list(jobs_in(transaction, OVER)):
                if former.finished + KEPT_MS < now:
                    transaction.put_item(OVER, former.id, None)

        self._store.write(work).result()
