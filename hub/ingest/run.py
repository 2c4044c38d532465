"""The intake of a county: its channels, the journal and the pipeline, started and stopped together."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from connectors.base import Checkpoints, Listening, Polling
from connectors.registry import UnknownChannel, build, every, listens
from hub.clock import utc_ms
from hub.errors import Invalid
from hub.ingest.alerts import Alerts, Reading
from hub.ingest.channels import ChannelIntake, ChannelRunner, ChannelState
from hub.ingest.checkpoints import StoreCheckpoints
from hub.ingest.explaining import Explainer
from hub.ingest.indexing import Indexing
from hub.ingest.journal import Blobs, Journal, JournalCheckpoints
from hub.ingest.live_contexts import LiveContexts
from hub.ingest.pipeline import Pipeline
from hub.ingest.pool import MapperPool
from hub.ingest.replay import Replays
from hub.ingest.requests import DeskRequests
from hub.security.outward import HttpOutward
from hub.settings import Channel, County
from hub.store.lease import Lease
from hub.store.port import ResourceStore, SourceTally

FIRST_TRY_SECONDS = 10.0


class IntakeService:
    """`start` returns when every listener accepts connections or says why not; `stop` lets what is under way finish."""

    def __init__(
        self,
        data: Path,
        county: County,
        store: ResourceStore,
        blobs: Blobs,
        *,
        clock: Callable[[], int] = utc_ms,
        beside: Path | None = None,
    ) -> None:
        """`beside`: the folder of county.toml. Raise Invalid naming the channel whose options or maps are wrong."""
        self.contexts = LiveContexts(county, beside, store)
        pool = MapperPool(self.contexts(), data / "blobs")
        self.contexts.take(pool.renew)
        self.beside = beside
        self.journal = Journal(data, blobs)
        self.replays = Replays(self.journal, store)
        self.pipeline = Pipeline(
            self.journal,
            store,
            pool,
            county=county,
            clock=clock,
            replays=self.replays,
        )
        self.data = data
        self.requests = DeskRequests(self.journal)
        self.alerts = Alerts(county, self._readings)
        self._indexing = Indexing(data)
        self.explainer = Explainer(self.contexts, data / "blobs")
        self._store = store
        self._takeover_seconds = county.store.takeover_seconds
        checkpoints = StoreCheckpoints(store) if store.shared else JournalCheckpoints(self.journal.file)
        try:
            self._runners = {channel.name: self._runner(channel, checkpoints) for channel in county.channels}
        except UnknownChannel as error:
            self.journal.close()
            raise Invalid(str(error)) from None

    def start(self) -> None:
        self.pipeline.start()
        self.contexts.start()
        self.requests.start()
        self.alerts.start()
        self._indexing.start()
        for runner in self._runners.values():
            runner.start()
        until = time.monotonic() + FIRST_TRY_SECONDS
        for runner in self._runners.values():
            runner.wait_until_tried(max(0.0, until - time.monotonic()))

    def stop(self, timeout: float = 10) -> None:
        """Stop taking in, finish what is under way; what is journaled and not yet mapped waits for the next start."""
        until = time.monotonic() + timeout
        self.alerts.stop()
        self.requests.stop()
        self.contexts.stop()
        self._indexing.stop()
        for runner in self._runners.values():
            runner.stop()
        for runner in self._runners.values():
            runner.join(max(0.1, until - time.monotonic()))
        self.pipeline.stop(max(0.1, until - time.monotonic()))
        self.explainer.close()
        self.journal.close()

    def _readings(self) -> list[Reading]:
        counts, tallies = self.journal.counts(), self._store.tallies()
        return [Reading(state, counts.get(state.name), tallies.get(state.name, SourceTally())) for state in self.states()]

    @property
    def problem(self) -> str:
        """Why nothing comes in, else why nothing moves; "" while all is well."""
        return self.journal.problem or self.pipeline.problem

    def states(self) -> tuple[ChannelState, ...]:
        return tuple(runner.state for runner in self._runners.values())

    def connector(self, name: str) -> Listening | Polling | None:
        """The channel's running connector: a listener on port 0 knows the port it got."""
        return self._runners[name].connector

    def _runner(self, channel: Channel, checkpoints: Checkpoints) -> ChannelRunner:
        state = ChannelState(channel.name, channel.connector, channel.facility)
        intake = ChannelIntake(self.journal, state)
        built = partial(build, channel, intake, clock=_now, outward=HttpOutward)
        built()  # its options are checked now, not when it is first started
        pause = None if listens(channel) else every(channel)
        lease = Lease(self._store, f"channel/{channel.name}", seconds=self._takeover_seconds)
        return ChannelRunner(state, built, intake, checkpoints, every=pause, lease=lease)


def _now() -> datetime:
    return datetime.now(UTC)
