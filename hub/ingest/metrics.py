"""`GET /metrics`: counters and gauges in the Prometheus text format. Counts, states and ages; no patient data, no control id.

https://prometheus.io/docs/instrumenting/exposition_formats/. For roles admin and it, or with the scrape token that county.toml
names ([metrics] token_env). HTTP requests are those that reach the writing process: fronts answer most reads themselves.
"""

from __future__ import annotations

import hmac
import shutil
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from hub import __version__
from hub.api.auth import access_of
from hub.api.responses import error_answer
from hub.clock import utc_ms
from hub.errors import HubError, NotAllowed
from hub.ingest.run import IntakeService
from hub.outbox.queue import lanes
from hub.security.reviews import waiting_in
from hub.store.port import ResourceStore, SourceTally
from hub.subscriptions.outbox import standings_in

if TYPE_CHECKING:
    from hub.app import Hub

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "yitong_"
Labels = dict[str, str]
Sample = tuple[Labels, float]
OrderTimeCounts = tuple[int, Mapping[str, int]]  # answers that came too late, and by facility codes without an item
NOTHING_ASKED: OrderTimeCounts = (0, {})
Scope = MutableMapping[str, Any]


@dataclass(slots=True)
class HttpCounts:
    """By method and class of status; an address never becomes a label."""

    requests: dict[tuple[str, str], int] = field(default_factory=dict)
    seconds: dict[tuple[str, str], float] = field(default_factory=dict)

    def add(self, method: str, status: int, seconds: float) -> None:
        key = method if method in METHODS else "other", f"{status // 100}xx"
        self.requests[key] = self.requests.get(key, 0) + 1
        self.seconds[key] = self.seconds.get(key, 0.0) + seconds


class CountRequests:
    """ASGI middleware."""

    def __init__(self, app: Any, counts: HttpCounts) -> None:
        self._app = app
        self._counts = counts

    async def __call__(self, scope: Scope, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def sending(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            self._counts.add(scope["method"], status, time.perf_counter() - began)


METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def install_metrics(app: FastAPI, intake: IntakeService) -> None:
    counts = HttpCounts()
    app.add_middleware(CountRequests, counts=counts)

    @app.get("/metrics", include_in_schema=False)
    async def metrics(request: Request) -> Response:
        hub: Hub = app.state.hub
        try:
            if not _scrapes(request, hub) and access_of(request).role not in {"admin", "it"}:
                raise NotAllowed("metrics are for the roles admin and it, or the scrape token")
        except HubError as error:
            return error_answer(error)
        desk = getattr(app.state, "recognition_desk", None)
        asked = (desk.order_time.late, dict(desk.service.unmapped)) if desk is not None else NOTHING_ASKED
        text = await run_in_threadpool(metrics_text, intake, hub.store, counts, asked)
        return PlainTextResponse(text, media_type=CONTENT_TYPE)


def _scrapes(request: Request, hub: Hub) -> bool:
    """The scrape token opens nothing but this."""
    token = hub.county.metrics.token()
    given = request.headers.get("authorization", "")
    return bool(token) and hmac.compare_digest(given.encode(), f"Bearer {token}".encode())


def metrics_text(
    intake: IntakeService, store: ResourceStore, http: HttpCounts | None = None, asked: OrderTimeCounts = NOTHING_ASKED
) -> str:
    """`asked`: of this process, at order time."""
    lines: list[str] = []
    every = (*_intake(intake, store), *_outgoing(store), *_hub(intake), *_http(http), *_recognition(*asked), *_access(store))
    for name, kind, says, samples in every:
        lines += [f"# HELP {PREFIX}{name} {says}", f"# TYPE {PREFIX}{name} {kind}"]
        lines += [f"{PREFIX}{name}{_labels(labels)} {_number(value)}" for labels, value in samples]
    return "\n".join(lines) + "\n"


Metric = tuple[str, str, str, list[Sample]]


def _intake(intake: IntakeService, store: ResourceStore) -> Iterator[Metric]:
    counts, tallies = intake.journal.counts(), store.tallies()
    states = {state.name: state for state in intake.states()}
    channels = sorted({*counts, *tallies, *states})
    tally = {name: tallies.get(name, SourceTally()) for name in channels}

    def of(value: Callable[[str], float | None]) -> list[Sample]:
        found = ((name, value(name)) for name in channels)
        return [({"channel": name}, number) for name, number in found if number is not None]

    def received(name: str) -> int:
        return counts[name].received if name in counts else 0

    def waiting(name: str) -> int:
        return max(0, received(name) - tally[name].finished)

    yield "channel_up", "gauge", "1: the channel runs", of(lambda n: float(states[n].up) if n in states else None)
    yield "received_total", "counter", "Distinct records journaled, each acknowledged.", of(received)
    yield (
        *("duplicates_total", "counter", "Records that said the same again."),
        of(lambda n: counts[n].duplicates if n in counts else 0),
    )
    yield "done_total", "counter", "Records mapped and stored.", of(lambda n: tally[n].done)
    yield "dead_records", "gauge", "Records set aside now.", of(lambda n: tally[n].dead)
    yield "issue_records", "gauge", "Records done that have an issue.", of(lambda n: tally[n].issues)
    yield "backlog_records", "gauge", "Records without an outcome.", of(waiting)
    yield (
        *("last_record_timestamp_seconds", "gauge", "When the newest record came."),
        of(lambda n: counts[n].last.timestamp() if n in counts else None),
    )
    yield "pipeline_lag_records", "gauge", "Records journaled and not yet in the store.", [({}, intake.pipeline.lag)]
    yield "pipeline_blocked", "gauge", "1: the pipeline waits for the store.", [({}, float(bool(intake.pipeline.problem)))]
    yield "journal_blocked", "gauge", "1: nothing is taken in, senders are told so.", [({}, float(bool(intake.journal.problem)))]
    firing = [({"channel": alert.channel, "kind": alert.kind}, 1.0) for alert in intake.alerts.firing()]
    yield "alert_firing", "gauge", "Alerts of county.toml that hold now.", firing
    codes = store.unmapped(1000)
    yield "unmapped_codes", "gauge", "Codes that nothing maps, up to 1000.", [({}, len(codes))]


def _outgoing(store: ResourceStore) -> Iterator[Metric]:
    found = [({"destination": lane.destination}, lane) for lane in lanes(store)]
    yield "outbox_waiting", "gauge", "Reports not yet sent.", [(labels, lane.waiting) for labels, lane in found]
    yield "outbox_dead", "gauge", "Reports set aside.", [(labels, lane.dead) for labels, lane in found]
    yield "outbox_failures", "gauge", "Attempts that failed in a row.", [(labels, lane.failures) for labels, lane in found]
    standings = [each for each in standings_in(store) if each.registration.channel != "destination"]
    pending = sum(each.number - each.progress.done for each in standings)
    yield "subscription_pending", "gauge", "Notifications not yet delivered.", [({}, pending)]


def _hub(intake: IntakeService) -> Iterator[Metric]:
    yield "info", "gauge", "The release.", [({"version": __version__}, 1)]
    files = [path for name in ("store.sqlite", "journal.sqlite", "messages.sqlite") if (path := intake.data / name).is_file()]
    yield "file_bytes", "gauge", "Size of the hub's files.", [({"file": path.name}, path.stat().st_size) for path in files]
    yield "disk_free_bytes", "gauge", "Free where the data folder lies.", [({}, shutil.disk_usage(intake.data).free)]


def _recognition(late: int, unmapped: Mapping[str, int]) -> Iterator[Metric]:
    yield "recognition_late_total", "counter", "Orders that went on without an answer in time.", [({}, late)]
    samples: list[Sample] = [({"facility": facility}, count) for facility, count in sorted(unmapped.items())]
    yield "recognition_unmapped_total", "counter", "Codes of orders that no item of the catalogue has.", samples


def _access(store: ResourceStore) -> Iterator[Metric]:
    waiting, overdue = waiting_in(store, utc_ms())
    yield "emergency_reviews_waiting", "gauge", "Emergency accesses that nobody reviewed yet.", [({}, waiting)]
    yield "emergency_reviews_overdue", "gauge", "Those of them whose time for it is over.", [({}, overdue)]


def _http(http: HttpCounts | None) -> Iterator[Metric]:
    requests = http.requests if http else {}
    seconds = http.seconds if http else {}
    yield (
        *("http_requests_total", "counter", "Requests answered by the writing process."),
        [({"method": method, "status": status}, count) for (method, status), count in sorted(requests.items())],
    )
    yield (
        *("http_request_seconds_total", "counter", "Seconds they took."),
        [({"method": method, "status": status}, count) for (method, status), count in sorted(seconds.items())],
    )


_ESCAPED = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})


def _labels(labels: Labels) -> str:
    return "{" + ",".join(f'{name}="{value.translate(_ESCAPED)}"' for name, value in labels.items()) + "}" if labels else ""


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
