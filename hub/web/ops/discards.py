"""`/ops/discard`: give dead records up for good, or take that back: first how many and which, then a reason."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from starlette.responses import RedirectResponse

from hub.errors import Invalid
from hub.ingest.discarding import Decision, decide
from hub.web.ops.choosing import Chosen, chosen_by, words_of
from hub.web.pages import PageRoute, check_form, workbench_session
from hub.web.view import View

DECISIONS: dict[str, Decision] = {"dead": "discard", "conflict": "discard", "discarded": "restore"}  # by the records' state

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/ops/discard")
async def sheet(request: Request) -> Response:
    session = workbench_session(request)
    view = View(request, session)
    return _sheet(view, await asyncio.to_thread(chosen_by, view, session, request.query_params))


@router.post("/ops/discard")
async def done(request: Request, csrf: Annotated[str, Form()] = "", reason: Annotated[str, Form()] = "") -> Response:
    session = workbench_session(request)
    check_form(session, csrf)
    view = View(request, session)
    chosen = await asyncio.to_thread(chosen_by, view, session, await words_of(request))
    decision = _decision(chosen)
    if decision is None or not chosen.found:
        return _sheet(view, chosen, status=400)
    try:
        await decide(view.hub.door, view.hub.store, session.access, decision, chosen.found, reason)
    except Invalid:
        return _sheet(view, chosen, problem=view.t("ops.reason.needed"), status=400)
    return RedirectResponse(f"/ops/messages/{chosen.seq}" if chosen.seq else "/ops/dead", 303)


def _decision(chosen: Chosen) -> Decision | None:
    """What can become of these; None where they are not all of one kind."""
    state = chosen.sample[0].state if chosen.seq else chosen.asked.query.state
    return DECISIONS.get(state)


def _sheet(view: View, chosen: Chosen, *, problem: str = "", status: int = 200) -> Response:
    values: dict[str, Any] = {"here": "dead", "chosen": chosen, "problem": problem or chosen.problem, "decision": _decision(chosen)}
    return view.page("ops/discard.html", values, status=400 if chosen.problem else status)
