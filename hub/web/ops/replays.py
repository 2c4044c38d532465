"""`/ops/replay`: do records again after something was mended: first how many and which, then a reason, then at a chosen pace."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from starlette.responses import RedirectResponse

from hub.errors import Invalid, NotFound
from hub.ingest.inspect import checked_reason
from hub.ingest.replay import Filter
from hub.web.ops.choosing import Chosen, chosen_by, words_of
from hub.web.ops.intake import intake_of
from hub.web.pages import PageRoute, check_form, workbench_session
from hub.web.view import View

RATES = (0, 1, 10, 50)  # records a second; 0: as fast as it goes
LISTED = 30

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/ops/replay")
async def sheet(request: Request) -> Response:
    session = workbench_session(request)
    view = View(request, session)
    chosen = await asyncio.to_thread(chosen_by, view, session, request.query_params)
    return _sheet(view, chosen)


@router.post("/ops/replay")
async def begin(
    request: Request,
    csrf: Annotated[str, Form()] = "",
    rate: Annotated[str, Form()] = "0",
    paused: Annotated[str, Form()] = "",
    reason: Annotated[str, Form()] = "",
) -> Response:
    session = workbench_session(request)
    check_form(session, csrf)
    view = View(request, session)
    chosen = await asyncio.to_thread(chosen_by, view, session, await words_of(request))
    try:
        words = checked_reason(reason)
    except Invalid:
        return _sheet(view, chosen, problem=view.t("ops.reason.needed"), status=400)
    if not chosen.found:
        return _sheet(view, chosen, status=400)
    await view.hub.door.note(
        session.access, action="E", interaction="operation", type="journal", query=f"replay={len(chosen.found)}&reason={words}"
    )
    pace = int(rate) if rate.isdigit() and int(rate) in RATES else 0
    wanted = Filter(
        seqs=chosen.found if chosen.seq else (), found=() if chosen.seq else chosen.found, rate=pace, paused=bool(paused)
    )
    number = await asyncio.to_thread(intake_of(view).replays.request, wanted)
    return RedirectResponse(f"/ops/replays?new={number}", 303)


def _sheet(view: View, chosen: Chosen, *, problem: str = "", status: int = 200) -> Response:
    problem = problem or chosen.problem
    values: dict[str, Any] = {"here": "replays", "chosen": chosen, "problem": problem, "rates": RATES}
    return view.page("ops/replay.html", values, status=400 if chosen.problem else status)


# -- the requests


@router.get("/ops/replays")
async def replays(request: Request, new: str = "") -> Response:
    session = workbench_session(request)
    view = View(request, session)
    intake = intake_of(view)
    every = await asyncio.to_thread(intake.replays.listed, LISTED)
    values = {"here": "replays", "requests": every, "new": new, "county": not session.access.facility}
    return view.page("ops/_replays.html" if view.fragment else "ops/replays.html", values)


@router.post("/ops/replays")
async def change(
    request: Request,
    csrf: Annotated[str, Form()] = "",
    number: Annotated[int, Form()] = 0,
    action: Annotated[str, Form()] = "",
) -> Response:
    """Hold a request, let it go on, or end it; what was done stays done. For the county's IT, as a request is not a facility's."""
    session = workbench_session(request)
    check_form(session, csrf)
    view = View(request, session)
    own = intake_of(view).replays
    changes = {"pause": own.pause, "resume": own.resume, "cancel": own.cancel}
    if action not in changes or session.access.facility or not await asyncio.to_thread(changes[action], number):
        raise NotFound(f"no open request {number}")
    await view.hub.door.note(session.access, action="E", interaction="operation", type="journal", query=f"{action}={number}")
    return RedirectResponse("/ops/replays", 303)
