"""What is wrong for long enough that someone must be told: a channel that is silent, behind, failing or down.

Rules are county.toml's [[alert]]; each is said once when it begins and once when it is over: in the log, on /ops/status and
/metrics, and to its webhook. Nothing of a record is ever in it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

import httpx

from hub.errors import HubError
from hub.ingest.channels import ChannelState
from hub.ingest.journal import SourceCount
from hub.security.egress import Egress
from hub.settings import Alert, County
from hub.store.port import SourceTally
from mappers.datatypes import zone_of

log = logging.getLogger(__name__)

Kind = Literal["silence", "backlog", "errors", "down"]
LOOK_SECONDS = 15.0
WINDOW = timedelta(minutes=15)  # over which the share of failing records is taken
FEWEST = 10  # records in the window: of fewer, one failure is no share
ATTEMPTS, SECONDS, PAUSE = 4, 10.0, 5.0  # of a webhook
EVERY_CHANNEL = ""


class Firing(NamedTuple):
    channel: str
    kind: Kind
    since: datetime  # UTC
    says: str  # "no record for 2 h 5 min; 2 h are usual"


class Reading(NamedTuple):
    """What is known of a channel at one look."""

    state: ChannelState
    received: SourceCount | None
    tally: SourceTally


@dataclass(frozen=True, slots=True)
class _Point:
    at: datetime
    done: int
    dead: int


class Alerts:
    """`look` is asked regularly; its clock and readings are passed in, so a test needs no waiting."""

    def __init__(
        self,
        county: County,
        readings: Callable[[], Sequence[Reading]],
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        egress: Egress | None = None,
    ) -> None:
        self._county = county
        self._rules = county.alerts
        self._readings = readings
        self._clock = clock
        self._egress = egress or Egress(county.egress.allow)
        self._firing: dict[tuple[str, Kind], Firing] = {}
        self._points: dict[str, deque[_Point]] = {}
        self._began = clock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="alerts", daemon=True)

    def firing(self) -> list[Firing]:
        return sorted(self._firing.values(), key=lambda each: (each.channel, each.kind))

    def start(self) -> None:
        if self._rules:
            self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(SECONDS)

    def look(self) -> list[tuple[Firing, bool, Alert]]:
        """What began (True) and what is over (False) since the last look; already in the log."""
        now = self._clock()
        changed = []
        held: dict[tuple[str, Kind], tuple[Firing, Alert]] = {}
        for reading in self._readings():
            share = self._share(reading, now)
            for rule in self._rules_of(reading.state.name):
                for kind, says in _found(rule, reading, share, now, self._began, self._county.zone):
                    held.setdefault((reading.state.name, kind), (Firing(reading.state.name, kind, now, says), rule))
        for key, (firing, rule) in held.items():
            if key in self._firing:
                self._firing[key] = firing._replace(since=self._firing[key].since)
            else:
                self._firing[key] = firing
                log.warning("alert: channel %s: %s: %s", firing.channel, firing.kind, firing.says)
                changed.append((firing, True, rule))
        for key in [key for key in self._firing if key not in held]:
            over = self._firing.pop(key)
            log.warning("alert: channel %s: %s is over", over.channel, over.kind)
            rule = next(iter(self._rules_of(over.channel)), Alert())
            changed.append((over, False, rule))
        return changed

    def _rules_of(self, channel: str) -> Iterator[Alert]:
        """Those of the channel itself; for one that has none, those of every channel."""
        own = [rule for rule in self._rules if rule.channel == channel]
        yield from own or [rule for rule in self._rules if rule.channel == EVERY_CHANNEL]

    def _share(self, reading: Reading, now: datetime) -> tuple[int, int]:
        """(dead, all) of what was finished within the window."""
        points = self._points.setdefault(reading.state.name, deque())
        points.append(_Point(now, reading.tally.done, reading.tally.dead))
        while len(points) > 1 and points[1].at <= now - WINDOW:
            points.popleft()
        dead = max(0, reading.tally.dead - points[0].dead)
        return dead, dead + max(0, reading.tally.done - points[0].done)

    def _watch(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            try:
                changed = self.look()
            except HubError as error:
                log.debug("alerts cannot look now: %s", error.message)
                continue
            for firing, began, rule in changed:
                if rule.webhook:
                    asyncio.run(self.tell(rule.webhook, firing, began=began))

    async def tell(self, webhook: str, firing: Firing, *, began: bool) -> bool:
        """POST it, a few times if need be. False: nobody took it, which the log says."""
        said = {
            "county": self._county.name,
            "channel": firing.channel,
            "alert": firing.kind,
            "state": "firing" if began else "resolved",
            "since": firing.since.isoformat(timespec="seconds"),
            "says": firing.says,
        }
        body = json.dumps(said, ensure_ascii=False).encode()
        problem = ""
        for attempt in range(ATTEMPTS):
            try:
                answer = await self._egress.post(webhook, {"content-type": "application/json"}, body, seconds=SECONDS)
                if answer.status < 300:
                    return True
                problem = f"answered {answer.status}"
            except (HubError, OSError, TimeoutError, httpx.HTTPError) as error:
                problem = type(error).__name__
            if self._stopping.wait(PAUSE * attempt):
                break
        log.warning("alert: the webhook of channel %s took nothing: %s", firing.channel or "any", problem)
        return False


def _found(
    rule: Alert, reading: Reading, share: tuple[int, int], now: datetime, began: datetime, zone: str
) -> Iterator[tuple[Kind, str]]:
    state, count, tally = reading.state, reading.received, reading.tally
    local = now.astimezone(zone_of(zone))
    if rule.silence_minutes and not rule.is_quiet(local):
        last = max(count.last if count else began, began if rule.silence_from_start else datetime.min.replace(tzinfo=UTC))
        silent = now - last
        if silent > timedelta(minutes=rule.silence_minutes):
            yield "silence", f"no record for {_minutes(silent)}; {rule.silence_minutes:g} min are allowed"
    waiting = (count.received if count else 0) - tally.finished
    if rule.backlog and waiting > rule.backlog:
        yield "backlog", f"{waiting} records wait; {rule.backlog} are allowed"
    dead, all_ = share
    if rule.error_percent and all_ >= FEWEST and 100 * dead > rule.error_percent * all_:
        yield "errors", f"{100 * dead / all_:.0f} % of {all_} records failed; {rule.error_percent:g} % are allowed"
    if rule.down_minutes and not state.up and state.since and now - state.since > timedelta(minutes=rule.down_minutes):
        yield "down", f"down for {_minutes(now - state.since)}"


def _minutes(span: timedelta) -> str:
    hours, minutes = divmod(int(span.total_seconds() // 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def told(firing: Firing) -> dict[str, str]:
    """For /ops/status."""
    return {**firing._asdict(), "since": firing.since.isoformat(timespec="seconds")}
