"""`/ops/codes/tables`: which tables of codes are here, what is in them, and what their codes are called elsewhere."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response

from hub.terminology.browse import found, opened
from hub.terminology.tables import Described, tables_of
from hub.web.pages import PageRoute, workbench_session
from hub.web.view import View

LONGEST = 100  # characters that are looked for

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/ops/codes/tables")
async def tables(request: Request, q: str = "") -> Response:
    """`q`: a code, a name, pinyin or initials, looked for in every table."""
    view = View(request, workbench_session(request))
    typed = q.strip()[:LONGEST]
    terminology = view.hub.terminology
    hits = await asyncio.to_thread(found, terminology, typed) if typed else []
    values = {"q": typed, "hits": hits, "tables": [] if typed else await asyncio.to_thread(tables_of, terminology)}
    return view.page("ops/tables.html", {**_common(view), **values})


@router.get("/ops/codes/table")
async def table(
    request: Request, url: str = "", version: str = "", q: str = "", to: str = "", unmapped: str = "", offset: str = ""
) -> Response:
    """One edition. `to`: the system beside which it is laid; `unmapped`: only the codes that have nothing there."""
    view = View(request, workbench_session(request))
    typed, start = q.strip()[:LONGEST], int(offset) if offset.isdecimal() else 0
    look = partial(opened, view.hub.terminology, url, version, typed=typed, to=to, unmapped=bool(unmapped), offset=start)
    page = await asyncio.to_thread(look)
    stated = {"url": url, "version": version, "q": typed, "to": to, "unmapped": unmapped}
    address = lambda start: f"/ops/codes/table?{urlencode({**{n: v for n, v in stated.items() if v}, 'offset': start})}"  # noqa: E731
    editions = [each for each in await asyncio.to_thread(tables_of, view.hub.terminology) if each.url == url]
    values = {"page": page, "editions": editions, "q": typed, "to": to, "unmapped": bool(unmapped), "address": address}
    values["names"] = dict(page.elsewhere)
    return view.page("ops/table.html", {**_common(view), **values})


def _common(view: View) -> dict[str, Any]:
    def title(described: Described) -> str:
        return described.title_en if view.language == "en" else described.title

    def of(described: Described, q: str = "") -> str:
        stated = {"url": described.url, "version": described.version, "q": q}
        return f"/ops/codes/table?{urlencode({name: value for name, value in stated.items() if value})}"

    return {"here": "codes", "part": "tables", "table_title": title, "table_address": of}
