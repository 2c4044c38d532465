"""`/ops/outbox`: what waits for each destination, what was set aside and why; to send again, or to give up with a reason."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request, Response
from starlette.responses import RedirectResponse

from hub.errors import NotFound
from hub.ingest.inspect import checked_reason
from hub.outbox.queue import Choice, Item, LaneState, State, discard, items, lanes, replay
from hub.web.ops.overview import visible
from hub.web.pages import PageRoute, check_form, workbench_session
from hub.web.session import Session
from hub.web.view import View

LISTED = 50
DEAD: frozenset[State] = frozenset({"dead"})
WAITING: frozenset[State] = frozenset({"waiting"})

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/ops/outbox")
async def outbox(request: Request, destination: str = "", done: str = "") -> Response:
    session = workbench_session(request)
    view = View(request, session)
    standing, dead, waiting = await asyncio.to_thread(_seen, view, session, destination)
    values = {
        "here": "outbox",
        "lanes": standing,
        "dead": dead,
        "waiting": waiting,
        "destination": destination,
        "done": done if done.isdigit() else "",
        "at": lambda ms: view.moment(datetime.fromtimestamp(ms / 1000, UTC)) if ms else view.t("ops.never"),
    }
    return view.page("ops/outbox.html", values)


@router.post("/ops/outbox")
async def again(
    request: Request,
    csrf: Annotated[str, Form()] = "",
    destination: Annotated[str, Form()] = "",
    action: Annotated[str, Form()] = "",
    reason: Annotated[str, Form()] = "",
) -> Response:
    """What is dead of a destination: sent again, or given up, which takes a reason. Both are audited."""
    session = workbench_session(request)
    check_form(session, csrf)
    view = View(request, session)
    if destination not in _names(view, session) or action not in ("replay", "discard"):
        raise NotFound(f"no destination {destination[:64]}")
    words = checked_reason(reason) if action == "discard" or reason else ""
    asked = f"{action}={destination}&reason={words}"
    await view.hub.door.note(session.access, action="E", interaction="operation", type="outbox", query=asked)
    choice = Choice(destination=destination, states=DEAD)
    if action == "replay":
        number = (await asyncio.to_thread(replay, view.hub.store, choice)).queued
    else:
        number = await asyncio.to_thread(discard, view.hub.store, choice, clock=view.hub.clock)
    return RedirectResponse(f"/ops/outbox?{urlencode({'destination': destination, 'done': number})}", 303)


def _names(view: View, session: Session) -> frozenset[str]:
    """Destinations that this account may see: of its facility, or all; what county.toml no longer names, only the county's own."""
    named = {one.name: one.facility for one in view.hub.county.destinations}
    standing = {lane.destination for lane in lanes(view.hub.store)}
    return frozenset(name for name in standing | named.keys() if visible(session.access, named.get(name, "*")))


def _seen(view: View, session: Session, destination: str) -> tuple[list[LaneState], list[Item], list[Item]]:
    store, names = view.hub.store, _names(view, session)
    standing = [lane for lane in lanes(store) if lane.destination in names]
    if destination and destination not in names:
        raise NotFound(f"no destination {destination[:64]}")

    def listed(states: frozenset[State]) -> list[Item]:
        chosen = Choice(destination=destination, states=states)
        return [item for item in items(store, chosen, limit=LISTED) if item.destination in names]

    return standing, listed(DEAD), listed(WAITING)
