"""`/ops/dead`: records that could not be mapped, grouped by what was wrong, so that one mend frees all that wait for it."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request, Response

from hub.ingest.messages import causes
from hub.web.ops.overview import visible
from hub.web.pages import PageRoute, workbench_session
from hub.web.view import View

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/ops/dead")
async def dead(request: Request, source: str = "", cause: str = "") -> Response:
    session = workbench_session(request)
    view = View(request, session)
    every = await asyncio.to_thread(causes, view.hub.store, source)
    channels = {channel.name: channel.facility for channel in view.hub.county.channels}
    seen = [one for one in every if visible(session.access, channels.get(one.source, ""))]
    shown = [one for one in seen if cause in ("", one.cause)]
    return view.page("ops/dead.html", {"here": "dead", "causes": shown, "source": source, "cause": cause})
