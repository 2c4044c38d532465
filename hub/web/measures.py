"""`/measures`: what mutual recognition brought, by facility, item and month, with charts; the same as an Excel workbook."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from typing import Any

from fastapi import APIRouter, Request, Response
from markupsafe import Markup, escape

from connectors.files.workbook import MEDIA_TYPE
from hub.errors import Invalid
from hub.recognition import reasons
from hub.recognition.facts import recognition_of
from hub.recognition.measures.counting import LEAST, REST, Counted, Counts, counted, facility_seen
from hub.recognition.measures.definitions import DEFINITIONS
from hub.recognition.router import days_of
from hub.web.pages import PageRoute, session_of
from hub.web.view import View

DAYS = 180  # shown if nothing else is asked
HEIGHT, BAR, GAP, LINE = 220, 46, 12, 16  # of the chart
SEGMENTS = ("recognised", "refused", "unanswered")

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/measures")
async def measures(request: Request) -> Response:
    view, found, values = await _asked(request)
    months = found.by(2)
    months.pop("", None)
    values |= {
        "least": found.least,
        "total": found.total(),
        "tables": [(name, part, found.by(part)) for part, name in enumerate(("facility", "item", "month"))],
        "chart": bars(months, {segment: view.t(f"measures.{segment}") for segment in SEGMENTS}, view.t("measures.chart")),
        "reasons": [(code, says, found.reasons().get(code, 0)) for code, says in reasons.reasons(view.language).items()],
        "definitions": DEFINITIONS,
        "place": 1 if view.language == "en" else 0,
        "cut": found.cut,
        "called": lambda part, value: _called(view, part, value),
        "asked": request.url.query,
    }
    return view.page("measures.html", values)


@router.get("/measures.xlsx")
async def export(request: Request) -> Response:
    from hub.recognition.measures.workbook import workbook  # openpyxl brings numpy: a tenth of every start

    view, found, _ = await _asked(request)
    content = await asyncio.to_thread(workbook, found, view.language, lambda part, value: _called(view, part, value))
    name = f"recognition-{found.first}-{found.last}.xlsx"
    return Response(content, media_type=MEDIA_TYPE, headers={"content-disposition": f'attachment; filename="{name}"'})


async def _asked(request: Request) -> tuple[View, Counted, dict[str, Any]]:
    """What the address asks for, counted; a wrong span shows the usual one and says so."""
    session = session_of(request)
    view = View(request, session)
    own = facility_seen(session.access)
    query = request.query_params
    problem = ""
    first, last = view.today - timedelta(days=DAYS), view.today
    try:
        if query.get("from") or query.get("to"):
            first, last = days_of(query.get("from", ""), query.get("to", ""))
    except Invalid:
        problem = view.t("measures.span")
    service = recognition_of(request.app.state)
    found = await asyncio.to_thread(counted, view.hub, service, session.access, first, last)
    await view.hub.door.note(session.access, action="E", interaction="operation", type="MeasureReport", query=f"{first}/{last}")
    facility, item = own or query.get("facility", ""), query.get("item", "")
    chosen = {"facility": facility, "item": item, "from": _day(found.first), "to": _day(found.last)}
    values = {"own": own, "chosen": chosen, "problem": problem, "items": service.catalogue.items}
    return view, found.only(facility, item), {**values, "facilities": view.hub.county.facilities}


def _day(day: date) -> str:
    return day.isoformat()


def _called(view: View, part: int, value: str) -> str:
    if value == REST:
        return view.t("measures.rest", least=LEAST)
    if part == 0:
        return view.facility(value) if value else "—"
    item = recognition_of(view.request.app.state).catalogue.item(value) if part == 1 else None
    return item.name(view.language) if item else value or "—"


def bars(months: dict[str, Counts], words: dict[str, str], title: str) -> Markup:
    """Stacked bars, one a month, with its prompts above and its rate below; each part says its number. As wide as it has to be."""
    most = max((counts.prompts for counts in months.values()), default=0) or 1
    parts = []
    for place, (month, counts) in enumerate(months.items()):
        left, bottom = GAP + place * (BAR + GAP), float(HEIGHT)
        for segment in SEGMENTS:
            number = getattr(counts, segment)
            tall = number / most * (HEIGHT - 2 * GAP)
            bottom -= tall
            told = escape(f"{month} {words[segment]}: {number}")
            shape = f'<rect class="{segment}" x="{left}" y="{bottom:.1f}" width="{BAR}" height="{tall:.1f}">'
            parts.append(f"{shape}<title>{told}</title></rect>")
        rate = f"{100 * counts.recognised / counts.prompts:.0f}%" if counts.prompts else "—"
        labels = ((bottom - 4, counts.prompts), (HEIGHT + LINE, month), (HEIGHT + 2 * LINE, rate))
        middle = left + BAR / 2
        parts += [f'<text x="{middle}" y="{y:.1f}" text-anchor="middle">{escape(str(label))}</text>' for y, label in labels]
    width, height = GAP + len(months) * (BAR + GAP), HEIGHT + 2 * LINE + GAP
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    head = f'<svg class="bars" {size} role="img" aria-label="{escape(title)}">'
    return Markup(f"{head}{''.join(parts)}</svg>")  # noqa: S704  numbers of ours, and text escaped where it enters
