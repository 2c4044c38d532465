"""`/ops/mappings`: what a pasted or uploaded record would become by a channel's maps. Nothing of it is stored."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, File, Form, Request, Response, UploadFile

from hub.errors import Invalid
from hub.ingest.preview import Preview, preview
from hub.web.ops.intake import intake_of
from hub.web.ops.message import as_json
from hub.web.ops.overview import visible
from hub.web.pages import PageRoute, check_form, workbench_session
from hub.web.session import Session
from hub.web.view import View
from mappers.base import MappingContext

LARGEST = 8 * 1024 * 1024
MOST_SHOWN = 20


class Given(NamedTuple):
    """What the form held."""

    channel: str = ""
    kind: str = ""
    text: str = ""


NOTHING_GIVEN = Given()

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/ops/mappings")
async def form(request: Request, channel: str = "") -> Response:
    session = workbench_session(request)
    return _page(View(request, session), session, given=Given(channel))


@router.post("/ops/mappings")
async def shown(
    request: Request,
    csrf: Annotated[str, Form()] = "",
    channel: Annotated[str, Form()] = "",
    kind: Annotated[str, Form()] = "",
    text: Annotated[str, Form()] = "",
    file: Annotated[UploadFile | None, File()] = None,
) -> Response:
    """The record is the caller's own, so nothing of it is masked; and it is gone with the answer."""
    session = workbench_session(request)
    check_form(session, csrf)
    view = View(request, session)
    content = await file.read(LARGEST + 1) if file is not None and file.filename else text.encode()
    name = (file.filename or "") if file is not None else ""
    given = Given(channel, kind, text)
    if len(content) > LARGEST:
        return _page(view, session, problem=view.t("ops.preview.large", n=LARGEST >> 20), status=413, given=given)
    context = intake_of(view).contexts().get(channel, MappingContext())
    facility = next((one.facility for one in view.hub.county.channels if one.name == channel), "")
    try:
        found = await asyncio.to_thread(preview, content, context, name=name, kind=kind, facility=facility, masked=False)
    except Invalid as error:
        return _page(view, session, problem=error.message, status=400, given=given)
    return _page(view, session, found=found, given=given)


def _page(
    view: View,
    session: Session,
    *,
    found: tuple[Preview, ...] = (),
    problem: str = "",
    status: int = 200,
    given: Given = NOTHING_GIVEN,
) -> Response:
    values: dict[str, Any] = {
        "here": "mapping",
        "channels": [one for one in view.hub.county.channels if visible(session.access, one.facility)],
        "found": found[:MOST_SHOWN],
        "more": max(0, len(found) - MOST_SHOWN),
        "problem": problem,
        "given": given,
        "as_json": as_json,
    }
    return view.page("ops/mapping.html", values, status=status)
