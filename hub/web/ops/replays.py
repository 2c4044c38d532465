"""`/ops/replay`: do records again after something was mended: first how many and which, then a reason, then at a chosen pace."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from starlette.responses import RedirectResponse

from hub.errors import Invalid, NotFound
from hub.ingest.inspect import checked_reason
from hub.ingest.messages import Message, message_at, numbers, search
from hub.ingest.replay import Filter
from hub.web.ops.intake import intake_of
from hub.web.ops.messages import NAMES, Asked, asked_of
from hub.web.ops.overview import visible
from hub.web.pages import PageRoute, check_form, workbench_session
from hub.web.session import Session
from hub.web.view import View

MOST = 20_000  # of one request made here; the command line takes more
SAMPLE = 3
RATES = (0, 1, 10, 50)  # records a second; 0: as fast as it goes
LISTED = 30

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a request would do."""

    asked: Asked
    seq: int  # one alone; 0: what the filter finds
    found: tuple[int, ...] = ()
    sample: tuple[Message, ...] = ()
    problem: str = ""


@router.get("/ops/replay")
async def sheet(request: Request) -> Response:
    session = workbench_session(request)
    view = View(request, session)
    chosen = await asyncio.to_thread(_chosen, view, session, request.query_params)
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
    form = await request.form()
    chosen = await asyncio.to_thread(_chosen, view, session, {name: str(form.get(name, "")) for name in (*NAMES, "seq")})
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


def _chosen(view: View, session: Session, words: Mapping[str, str]) -> Chosen:
    intake, store = intake_of(view), view.hub.store
    asked = asked_of(view, session, words)
    text = words.get("seq", "")
    if text:
        seq = int(text) if re.fullmatch(r"\d{1,15}", text, re.ASCII) else 0
        found = message_at(intake.journal, store, seq)
        if found is None or not visible(session.access, found.facility):
            raise NotFound(f"the journal has no message {text[:15]}")
        return Chosen(asked, seq, (seq,), (found,))
    if asked.problem:
        return Chosen(asked, 0, problem=asked.problem)
    try:
        chosen = tuple(numbers(intake.journal, store, asked.query, MOST))
    except Invalid:
        return Chosen(asked, 0, problem=view.t("ops.replay.many", n=MOST))
    return Chosen(asked, 0, chosen, search(intake.journal, store, asked.query, SAMPLE).messages)


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
