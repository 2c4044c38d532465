"""`/ops`: each channel's state, last record, what waits, what failed, and the commonest causes. It refreshes itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from fastapi import APIRouter, Request, Response
from markupsafe import Markup
from starlette.responses import StreamingResponse

from hub.ingest.rates import MINUTES
from hub.web.pages import PageRoute, workbench_session
from hub.web.view import View, environment

if TYPE_CHECKING:
    from hub.ingest.alerts import Firing
    from hub.ingest.run import IntakeService
    from hub.security.access import Access
    from hub.store.port import Outcome, ResourceStore

LIVE_SECONDS = 2.0
STREAM_SECONDS = 900.0  # then the browser asks anew, and its session is looked at again
MOST_STREAMS = 100
DEAD_LOOKED_AT = 1000
TOP_CAUSES = 5
DAY_MS = 86_400_000
WIDTH, HEIGHT = 120, 24  # of a line of minutes

router = APIRouter(route_class=PageRoute, include_in_schema=False)

State = Literal["up", "down", "unknown"]


@dataclass(frozen=True, slots=True)
class Card:
    """One channel, or one source that county.toml no longer names."""

    source: str
    connector: str
    facility: str
    state: State
    problem: str
    since: datetime | None
    last: datetime | None
    received: int
    duplicates: int
    done: int
    with_issues: int
    dead: int
    dead_today: int
    waiting: int
    minutes: tuple[int, ...]

    @property
    def share_dead(self) -> float:
        """Percent of what came."""
        return 100 * self.dead / self.received if self.received else 0.0


@dataclass(frozen=True, slots=True)
class Overview:
    cards: tuple[Card, ...]
    waiting: int
    problem: str  # why the pipeline stands, "" while it moves
    causes: tuple[tuple[str, str, int], ...]  # source, cause, how many of the newest dead
    alerts: tuple[Firing, ...] = ()  # by the rules of county.toml

    @property
    def down(self) -> int:
        return sum(card.state == "down" for card in self.cards)


def visible(access: Access, facility: str) -> bool:
    """Hospital IT of one facility sees that facility's channels; of the county all of them."""
    return not access.facility or facility in ("", access.facility)


def overview_of(intake: IntakeService, store: ResourceStore, access: Access, now: int) -> Overview:
    counts, tallies = intake.journal.counts(), store.tallies()
    states = {state.name: state for state in intake.states()}
    dead = [one for one in store.outcomes(state="dead", limit=DEAD_LOOKED_AT, newest=True) if visible(access, one.facility)]
    cards = []
    for source in sorted({*counts, *tallies, *states}):
        count, tally, state = counts.get(source), tallies.get(source), states.get(source)
        facility = state.facility if state else ""
        if not visible(access, facility):
            continue
        received = count.received if count else 0
        finished = tally.finished if tally else 0
        cards.append(
            Card(
                source=source,
                connector=state.connector if state else "",
                facility=facility,
                state="unknown" if state is None else "up" if state.up else "down",
                problem=state.problem if state else "",
                since=state.since if state else None,
                last=count.last if count else None,
                received=received,
                duplicates=count.duplicates if count else 0,
                done=tally.done if tally else 0,
                with_issues=tally.issues if tally else 0,
                dead=tally.dead if tally else 0,
                dead_today=sum(one.source == source and one.finished > now - DAY_MS for one in dead),
                waiting=max(0, received - finished),
                minutes=state.arriving.counts() if state else (0,) * MINUTES,
            )
        )
    seen = {card.source for card in cards}
    alerts = tuple(one for one in intake.alerts.firing() if one.channel in seen)
    return Overview(tuple(cards), intake.pipeline.lag, intake.problem, _causes(dead), alerts)


def _causes(dead: Iterable[Outcome]) -> tuple[tuple[str, str, int], ...]:
    found: dict[tuple[str, str], int] = {}
    for one in dead:
        found[one.source, one.reason] = found.get((one.source, one.reason), 0) + 1
    most = sorted(found.items(), key=lambda item: (-item[1], item[0]))[:TOP_CAUSES]
    return tuple((source, cause, number) for (source, cause), number in most)


def line_of(minutes: Sequence[int], title: str) -> Markup:
    """The last hour as a small drawing, a bar a minute; its title says it in words."""
    most = max(minutes, default=0)
    step = WIDTH / len(minutes)
    bars = "".join(
        f'<rect x="{number * step:.1f}" y="{HEIGHT - height:.1f}" width="{step * 0.8:.1f}" height="{height:.1f}"/>'
        for number, count in enumerate(minutes)
        if count and (height := max(2.0, HEIGHT * count / most))
    )
    frame = Markup('<svg class="minutes" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img"><title>{}</title>')
    ground = f'<line x1="0" x2="{WIDTH}" y1="{HEIGHT}" y2="{HEIGHT}"/>'
    return frame.format(WIDTH, HEIGHT, title) + Markup(f"{ground}{bars}</svg>")  # noqa: S704 - numbers of our own


@router.get("/ops")
async def overview(request: Request) -> Response:
    session = workbench_session(request)
    view = View(request, session)
    return view.page("ops/_cards.html" if view.fragment else "ops/overview.html", await _values(view, session.access))


async def _values(view: View, access: Access) -> dict[str, Any]:
    intake = getattr(view.request.app.state, "intake", None)
    if intake is None:
        return {"here": "overview", "seen": None, "line_of": line_of}
    seen = await asyncio.to_thread(overview_of, intake, view.hub.store, access, view.hub.clock())
    return {"here": "overview", "seen": seen, "line_of": line_of, "at": datetime.fromtimestamp(view.hub.clock() / 1000, UTC)}


# -- live

_streams = 0


@router.get("/ops/live")
async def live(request: Request) -> Response:
    """The cards again every two seconds, as server-sent events; 503 where too many look already, and the page asks by itself."""
    session = workbench_session(request)
    if _streams >= MOST_STREAMS:
        return Response(status_code=503, headers={"retry-after": "10"})
    view = View(request, session)
    return StreamingResponse(_events(view, session.access), media_type="text/event-stream", headers={"cache-control": "no-store"})


async def _events(view: View, access: Access) -> AsyncIterator[str]:
    global _streams  # noqa: PLW0603
    _streams += 1
    end = time.monotonic() + STREAM_SECONDS
    try:
        while time.monotonic() < end:
            html = environment().get_template("ops/_cards.html").render({**view.common(), **await _values(view, access)})
            yield "".join(f"data: {line}\n" for line in html.splitlines()) + "\n"
            await asyncio.sleep(LIVE_SECONDS)
    finally:
        _streams -= 1
