"""`/ops/messages/{seq}`: one message from its bytes to what became of it, masked until somebody says why they must see more."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Form, Request, Response

from hub.errors import Invalid, NotFound
from hub.fhir_json import dump
from hub.ingest.inspect import Opened, open_message
from hub.ingest.messages import message_at
from hub.web.ops.intake import intake_of
from hub.web.ops.overview import visible
from hub.web.pages import PageRoute, check_form, workbench_session
from hub.web.session import Session
from hub.web.view import View

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/ops/messages/{seq:int}")
async def message(request: Request, seq: int) -> Response:
    session = workbench_session(request)
    view = View(request, session)
    return _page(view, await _opened(view, session, seq))


@router.post("/ops/messages/{seq:int}")
async def unmasked(request: Request, seq: int, reason: Annotated[str, Form()] = "", csrf: Annotated[str, Form()] = "") -> Response:
    """The same, unmasked: who, whose and why is in the audit before anything is shown."""
    session = workbench_session(request)
    check_form(session, csrf)
    view = View(request, session)
    try:
        return _page(view, await _opened(view, session, seq, reason=reason or " "))
    except Invalid:
        return _page(view, await _opened(view, session, seq), problem=view.t("ops.reason.needed"), status=400)


async def _opened(view: View, session: Session, seq: int, *, reason: str = "") -> Opened:
    intake = intake_of(view)
    found = message_at(intake.journal, view.hub.store, seq)
    if found is None or not visible(session.access, found.facility):
        raise NotFound(f"the journal has no message {seq}")
    hub = view.hub
    return await open_message(intake.journal, hub.store, intake.explainer, hub.door, session.access, seq, reason=reason)


def _page(view: View, opened: Opened, *, problem: str = "", status: int = 200) -> Response:
    values: dict[str, Any] = {"here": "messages", "opened": opened, "one": opened.message, "problem": problem, "as_json": as_json}
    return view.page("ops/message.html", values, status=status)


def as_json(resource: object) -> str:
    """Indented; every number as it was written."""
    return msgspec.json.format(dump(resource), indent=2).decode()
