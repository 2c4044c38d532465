"""A channel under supervision: started, watched, started again; its state says what a person at the screen needs to know.

What goes away is logged once, and once when it is back: a source that is down for a night writes two lines.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import cast

from connectors.base import (
    Checkpoints,
    Intake,
    JournalUnavailable,
    Listening,
    Page,
    Polling,
    SourceDenied,
    SourceRecord,
    SourceUnavailable,
)
from hub.errors import HubError, place_of
from hub.ingest.rates import PerMinute
from hub.store.lease import Lease

log = logging.getLogger(__name__)

LOOK_FOR_LEASE = 1.0  # seconds between two looks whether a channel's owner is gone
BACKOFF = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
OWN_BACKOFF = 5.0  # the hub's own disk and store may be asked more often than a source: senders wait for them
OWN = (JournalUnavailable, HubError)
EXPECTED = (SourceUnavailable, SourceDenied, *OWN, OSError)


@dataclass(slots=True)
class ChannelState:
    name: str
    connector: str
    facility: str
    up: bool = False
    problem: str = ""  # why it is down
    since: datetime | None = None  # of `up`
    last_record: datetime | None = None
    records: int = 0  # since the start, repeats included
    arriving: PerMinute = field(default_factory=PerMinute)


class ChannelIntake:
    """The journal, with the channel's state kept up to date."""

    def __init__(self, journal: Intake, state: ChannelState) -> None:
        self._journal = journal
        self._state = state

    def __call__(self, *records: SourceRecord) -> tuple[int, ...]:
        numbers = self._journal(*records)
        self._state.records += len(records)
        self._state.arriving.add(len(records))
        self._state.last_record = datetime.now(UTC)
        return numbers


class ChannelRunner:
    """One channel, one thread."""

    def __init__(
        self,
        state: ChannelState,
        build: Callable[[], Listening | Polling],
        intake: Intake,
        checkpoints: Checkpoints,
        *,
        every: float | None,
        lease: Lease,
    ) -> None:
        """`every`: seconds between two looks of a connector that polls; None for one that listens.

        Only who holds the `lease` starts the channel: on a store that several hubs share, one of them does.
        """
        self.state = state
        self.connector: Listening | Polling | None = None
        self._build = build
        self._intake = intake
        self._checkpoints = checkpoints
        self._every = every
        self._lease = lease
        self._stopping = threading.Event()
        self._ended = threading.Event()  # stopping, or the lease is lost
        self._tried = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"channel-{state.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wait_until_tried(self, timeout: float) -> bool:
        """True once the first attempt is over: a listener accepts connections, or its problem is known."""
        return self._tried.wait(timeout)

    def stop(self) -> None:
        """Ask it to end; `join` waits."""
        self._stopping.set()
        self._ended.set()

    def join(self, timeout: float) -> None:
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                pause = self._once() if self._owned() else self._elsewhere()
                failures = 0
            except EXPECTED as error:
                self._down(f"{type(error).__name__}: {_said(error)}")
                longest = OWN_BACKOFF if isinstance(error, OWN) else BACKOFF[-1]
                pause = min(BACKOFF[min(failures, len(BACKOFF) - 1)], longest)
                failures += 1
            except Exception as error:
                if self.state.problem == "":
                    log.error("channel %s: %s at %s; it is started again", self.state.name, type(error).__name__, place_of(error))  # noqa: TRY400
                self._down(type(error).__name__)
                pause = BACKOFF[min(failures, len(BACKOFF) - 1)]
                failures += 1
            self._tried.set()
            self._stopping.wait(pause)
        self._lease.release()

    def _owned(self) -> bool:
        """Take the lease if it can be had; from then on its loss ends what runs."""
        self._ended.clear()
        if self._stopping.is_set():
            self._ended.set()
        return self._lease.acquire(on_lost=self._ended.set)

    def _elsewhere(self) -> float:
        self._down("another hub on this store has the channel")
        return LOOK_FOR_LEASE

    def _once(self) -> float:
        connector = self._build()
        if self._every is None:
            self._listen(cast(Listening, connector))
            return 0
        return self._poll(cast(Polling, connector), self._every)

    def _listen(self, connector: Listening) -> None:
        connector.check()
        connector.start()
        try:
            self.connector = connector
            self._up()
            self._tried.set()
            self._ended.wait()
        finally:
            connector.stop()

    def _poll(self, connector: Polling, every: float) -> float:
        self.connector = connector
        connector.check()
        if not self.state.problem:  # one that failed while it read or kept is back once it has kept a page
            self._up()
        self._tried.set()
        while not self._ended.is_set():
            for page in connector.fetch(self._checkpoints.load(connector.source)):
                self._keep(connector, page)
                self._up()
                if self._ended.is_set():
                    return 0
            self._up()
            self._ended.wait(every)
        return 0

    def _keep(self, connector: Polling, page: Page) -> None:
        """Journal, then put away, then remember: a crash between two of them only repeats work."""
        if page.records:
            self._intake(*page.records)
        connector.done(page)
        self._checkpoints.save(connector.source, page.cursor)

    def _up(self) -> None:
        if self.state.up:
            return
        if self.state.problem:
            log.warning("channel %s: back after %s", self.state.name, self.state.problem)
        self.state.up, self.state.problem, self.state.since = True, "", datetime.now(UTC)

    def _down(self, problem: str) -> None:
        if self.state.up or not self.state.problem:
            log.warning("channel %s: down: %s", self.state.name, problem)
            self.state.since = datetime.now(UTC)
        self.state.up, self.state.problem = False, problem


def _said(error: Exception) -> str:
    """Without the file that an OSError is about: whoever named it may have named a patient."""
    return str(error.strerror) if isinstance(error, OSError) and error.filename is not None else str(error)
