"""`/ops/codes`: local codes that nothing maps, the commonest first, with what they may mean; a person confirms."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, File, Form, Request, Response, UploadFile
from starlette.responses import RedirectResponse

from hub.errors import Invalid, NotAllowed
from hub.ingest.gap_sheets import from_csv, to_csv
from hub.ingest.gaps import MOST_LISTED, Confirmation, Confirmed, confirm, gaps
from hub.security.policy import check_configure
from hub.web.pages import PageRoute, check_form, workbench_session
from hub.web.session import Session
from hub.web.view import View

LISTED = 50
LARGEST = 8 * 1024 * 1024
LOCAL = "local"  # of the choice: there is no target
OTHER = "other"  # of the choice: the target is typed

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/ops/codes")
async def codes(request: Request, confirmed: str = "", job: str = "") -> Response:
    session = workbench_session(request)
    return await _page(View(request, session), session, confirmed=confirmed if confirmed.isdigit() else "", job=job)


@router.get("/ops/codes.csv")
async def sheet(request: Request) -> Response:
    """For a spreadsheet: the laboratory decides there."""
    session = workbench_session(request)
    view = View(request, session)
    found = await asyncio.to_thread(gaps, view.hub.store, beside=view.request.app.state.county_folder, limit=MOST_LISTED)
    name = f'attachment; filename="codes-{view.today}.csv"'
    return Response(to_csv(found), media_type="text/csv; charset=utf-8", headers={"content-disposition": name})


@router.post("/ops/codes")
async def decide(
    request: Request,
    csrf: Annotated[str, Form()] = "",
    system: Annotated[str, Form()] = "",
    code: Annotated[str, Form()] = "",
    display: Annotated[str, Form()] = "",
    choice: Annotated[str, Form()] = "",
    target_system: Annotated[str, Form()] = "",
    target_code: Annotated[str, Form()] = "",
) -> Response:
    """One code. `choice`: system|code|display of a proposal, LOCAL, or OTHER with what was typed."""
    if choice == LOCAL:
        decision = Confirmation(system, code, equivalence="unmatched", display=display)
    elif choice == OTHER:
        decision = Confirmation(system, code, target_system.strip(), target_code.strip(), display=display)
    else:
        target, _, rest = choice.partition("|")
        wanted, _, name = rest.partition("|")
        decision = Confirmation(system, code, target, wanted, name, display=display)
    return await _confirmed(request, csrf, lambda: [decision])


@router.post("/ops/codes.csv")
async def decide_all(
    request: Request, csrf: Annotated[str, Form()] = "", file: Annotated[UploadFile | None, File()] = None
) -> Response:
    """The spreadsheet again, its last columns filled in."""
    content = await file.read(LARGEST) if file is not None else b""
    return await _confirmed(request, csrf, lambda: from_csv(content))


async def _confirmed(request: Request, csrf: str, decisions: Any) -> Response:
    session = workbench_session(request)
    check_form(session, csrf)
    view = View(request, session)
    hub = view.hub
    try:
        done: Confirmed = await confirm(hub.door, hub.store, session.access, decisions(), hub.clock)
    except Invalid as error:
        return await _page(view, session, problem=error.message, status=400)
    hub.jobs.wake()
    return RedirectResponse(f"/ops/codes?{urlencode({'confirmed': done.codes, 'job': done.job})}", 303)


async def _page(
    view: View, session: Session, *, problem: str = "", confirmed: str = "", job: str = "", status: int = 200
) -> Response:
    found = await asyncio.to_thread(gaps, view.hub.store, beside=view.request.app.state.county_folder, limit=LISTED)
    running = await asyncio.to_thread(view.hub.jobs.job, job) if job else None
    values = {
        "here": "codes",
        "part": "gaps",
        "gaps": found,
        "may": _may(session),
        "problem": problem,
        "confirmed": confirmed,
        "remapped": running,
        "other": OTHER,
        "local": LOCAL,
    }
    return view.page("ops/codes.html", values, status=status)


def _may(session: Session) -> bool:
    """Whether this account decides what a code means in the whole county."""
    try:
        check_configure(session.access)
    except NotAllowed:
        return False
    return True
