"""`/ops/emergencies`: who opened whose record in an emergency, why, and what the county found of it. Each finding is audited.

For an admin of the county. The person is named by the hub's own id alone; who looked at what since then is one link away.
"""

from __future__ import annotations

import asyncio
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request, Response
from starlette.responses import RedirectResponse

from hub.errors import HubError, Invalid
from hub.records.looks import by_organization
from hub.security.emergencies import SHORTEST_TEXT
from hub.security.reviews import FINDINGS, LONGEST_TEXT, check_reviewer, emergencies_of, query, waiting_in
from hub.store.port import Key
from hub.web.pages import PageRoute, check_form, session_of
from hub.web.session import Session
from hub.web.view import View

PATH = "/ops/emergencies"
SHOWN = 100
STATES = ("open", "all")

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get(PATH)
async def emergencies(request: Request, state: str = "open", done: str = "") -> Response:
    """`state` open: the longest waiting first; all: the newest first."""
    session = _reviewer(request)
    return await _page(View(request, session), session, state, done=done if done in FINDINGS else "")


@router.post(PATH)
async def review(
    request: Request,
    csrf: Annotated[str, Form()] = "",
    emergency: Annotated[str, Form()] = "",
    finding: Annotated[str, Form()] = "",
    text: Annotated[str, Form()] = "",
) -> Response:
    session = _reviewer(request)
    check_form(session, csrf)
    view = View(request, session)
    key = Key("Task", emergency[:64])
    try:
        await view.hub.door.writing(session.access, lambda writes: writes.review(key.id, finding, text), "update", key)
    except Invalid:
        said = {"emergency": key.id, "finding": finding, "text": text[:LONGEST_TEXT]}
        return await _page(view, session, problem=view.t("review.why", n=SHORTEST_TEXT), said=said, status=400)
    except HubError as error:
        if error.reason.status != 409:
            raise
        return await _page(view, session, problem=view.t("review.done.before"), status=409)
    return RedirectResponse(f"{PATH}?{urlencode({'done': finding})}", 303)


def _reviewer(request: Request) -> Session:
    session = session_of(request)
    check_reviewer(session.access)
    return session


async def _page(
    view: View,
    session: Session,
    state: str = "open",
    *,
    done: str = "",
    problem: str = "",
    said: dict[str, str] | None = None,
    status: int = 200,
) -> Response:
    hub = view.hub
    state = state if state in STATES else "open"
    asked = query(waiting=state == "open", count=SHOWN)
    page = await hub.door.search(session.access, asked, asked=f"code=break-glass-review&state={state}")
    waiting, overdue = await asyncio.to_thread(waiting_in, hub.store, hub.clock())
    values = {
        "here": "emergencies",
        "listed": list(emergencies_of(page.matches)),
        "codes": by_organization([facility.code for facility in hub.county.facilities]),
        "late": lambda one: one.overdue(hub.clock()),
        "waiting": waiting,
        "overdue": overdue,
        "state": state,
        "states": STATES,
        "findings": tuple(FINDINGS),
        "shortest": SHORTEST_TEXT,
        "longest": LONGEST_TEXT,
        "done": done,
        "problem": problem,
        "said": said or {},
    }
    return view.page("ops/emergencies.html", values, status=status)
