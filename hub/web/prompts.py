"""`/embed/prompt/{uuid}`: one prompt of mutual recognition, to be shown in a frame of a doctor's station.

There a cookie of ours may not come along, so the address carries a ticket for this one prompt; it is the proof of the form too.
Which pages may frame it, the county says (`recognition.embed_origins`).
"""

from __future__ import annotations

import uuid as uuids
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response

from hub.errors import Invalid, NotFound
from hub.recognition import messages, reasons
from hub.recognition.decisions import Reviewed, citation
from hub.recognition.http import Desk
from hub.recognition.reasons import WrongReason
from hub.recognition.tickets import holder
from hub.security.access import Access
from hub.web.pages import PageRoute
from hub.web.view import View

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/embed/prompt/{uuid}")
async def prompt(request: Request, uuid: str, ticket: str = "") -> Response:
    desk, access = _opened(request, uuid, ticket)
    return await _page(request, desk, access, uuid, ticket)


@router.post("/embed/prompt/{uuid}")
async def decide(
    request: Request,
    uuid: str,
    ticket: Annotated[str, Form()] = "",
    decision: Annotated[str, Form()] = "",
    reason: Annotated[str, Form()] = "",
    text: Annotated[str, Form()] = "",
) -> Response:
    desk, access = _opened(request, uuid, ticket)
    try:
        if decision == "recognise":
            await desk.decisions.recognise(access, uuid)
        elif decision == "repeat":
            await desk.decisions.refuse(access, uuid, reason, text)
        else:
            raise Invalid("decision must be recognise or repeat")
    except WrongReason:
        return await _page(request, desk, access, uuid, ticket, wrong=reason)
    return await _page(request, desk, access, uuid, ticket)


def _opened(request: Request, uuid: str, ticket: str) -> tuple[Desk, Access]:
    desk = Desk.of(request)
    try:
        stated = str(uuids.UUID(uuid))
    except ValueError:
        raise NotFound("no prompt with this uuid") from None
    return desk, holder(desk.hub, ticket, stated)


async def _page(request: Request, desk: Desk, access: Access, uuid: str, ticket: str, *, wrong: str | None = None) -> Response:
    reviewed = await desk.decisions.review(access, uuid)
    view = View(request, None)
    values: dict[str, Any] = {
        "prompt": reviewed.prompt,
        "judged": reviewed.judged,
        "lapse": reviewed.lapse,
        "failures": reviewed.judged.failures if reviewed.judged else (),
        "item": reviewed.answer.item.name(view.language) if reviewed.answer.item else reviewed.prompt.item,
        "reasons": reasons.reasons(view.language),
        "ticket": ticket,
        "chosen": wrong or "",
        "problem": "" if wrong is None else view.t("prompt.wrong"),
        "citation": _citation(view, reviewed),
        "eqa_now": messages.card(f"eqa.{reviewed.judged.eqa_now}", view.language) if reviewed.judged else "",
    }
    page = view.page("prompt.html", values, status=200 if wrong is None else 422)
    page.headers["content-security-policy"] = _framed_by(desk.hub.county.recognition.embed_origins)
    page.headers["x-frame-options"] = "SAMEORIGIN"  # what knows no frame-ancestors shows it in no foreign frame at all
    return page


def _citation(view: View, reviewed: Reviewed) -> str:
    judged = reviewed.judged
    if judged is None or reviewed.prompt.decision != "recognised":
        return ""
    return citation(reviewed, view.facility(judged.candidate.facility), view.when(judged.performed), view.language)


def _framed_by(origins: tuple[str, ...]) -> str:
    ancestors = " ".join(("'self'", *origins))
    return f"default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors {ancestors}"
