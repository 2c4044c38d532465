"""`/ops/quality`: of each source, how much of what it sends can be used, and what to mend first."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response

from hub.ingest.quality import Quality, quality_of
from hub.web.ops.overview import visible
from hub.web.pages import PageRoute, workbench_session
from hub.web.view import View

if TYPE_CHECKING:
    from hub.security.access import Access

LOOKED_AT = 2000  # of each source, the newest
MOST_SOURCES = 200

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/ops/quality")
async def quality(request: Request, source: str = "") -> Response:
    session = workbench_session(request)
    view = View(request, session)
    found = await asyncio.to_thread(_qualities, view, session.access, source)
    return view.page("ops/quality.html", {"here": "quality", "found": found, "source": source, "looked_at": LOOKED_AT})


def _qualities(view: View, access: Access, source: str) -> list[Quality]:
    store = view.hub.store
    sources = [source] if source else sorted(store.tallies())[:MOST_SOURCES]
    found = []
    for name in sources:
        newest = store.outcomes(source=name, limit=LOOKED_AT, newest=True)
        seen = [one for one in newest if visible(access, one.facility)]
        if seen:
            found.append(quality_of(name, seen, view.zone))
    return found
