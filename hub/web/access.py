"""Pages about access itself: breaking the glass with a reason, and who looked at one's record."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from starlette.responses import RedirectResponse

from hub.api.break_glass import broken
from hub.errors import HubError, Invalid, NotAllowed, NotFound
from hub.records.looks import by_organization, events_about, gathered, look_of
from hub.security.emergencies import REASONS, SHORTEST_TEXT
from hub.store.compartments import patient_in
from hub.web.pages import PageRoute, check_form, session_of
from hub.web.view import View
from profiles.names import ID_CARD

LOOKS = 1000
router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/emergency")
async def emergency_form(request: Request, person: str = "") -> Response:
    """For whom a clinician does not see: `person` is an id of ours, else they are named by number."""
    view = View(request, session_of(request))
    return _form(view, person=person[:64])


@router.post("/emergency")
async def emergency(
    request: Request,
    person: Annotated[str, Form()] = "",
    number: Annotated[str, Form()] = "",
    reason: Annotated[str, Form()] = "",
    text: Annotated[str, Form()] = "",
    csrf: Annotated[str, Form()] = "",
) -> Response:
    session = session_of(request)
    check_form(session, csrf)
    view = View(request, session)
    stated = {"person": person[:64], "number": number[:64], "reason": reason, "text": text[:500]}
    if not person and not number.strip():
        return _form(view, problem=view.t("emergency.who"), status=400, **stated)
    identifier = f"{ID_CARD}|{number.strip().upper()}"
    try:
        task = await broken(view.hub.door, session.access, view.hub.county, person, identifier, reason, text)
    except NotAllowed:
        return _form(view, problem=view.t("emergency.denied"), status=403, **stated)
    except NotFound:
        return _form(view, problem=view.t("emergency.nobody"), status=404, **stated)
    except Invalid:
        return _form(view, problem=view.t("emergency.why", n=SHORTEST_TEXT), status=400, **stated)
    return RedirectResponse(f"/p/{patient_in(task.patient)}", 303)


def _form(view: View, *, problem: str = "", status: int = 200, **stated: str) -> Response:
    values = {"person": "", "number": "", "reason": "", "text": "", **stated}
    hours = view.hub.county.policy.break_glass_hours
    content = {"problem": problem, "reasons": tuple(REASONS), "stated": values, "shortest": SHORTEST_TEXT, "hours": hours}
    return view.page("emergency.html", content, status=status)


@router.get("/my/looks")
async def looks(request: Request, person: str = "") -> Response:
    """A resident's own; an admin names the person."""
    session = session_of(request)
    view = View(request, session)
    whose = session.access.patient or person[:64]
    try:
        events = await events_about(view.hub.door, session.access, whose, LOOKS)
    except HubError:
        raise NotAllowed("who looked is told to the person alone") from None
    facilities = by_organization([facility.code for facility in view.hub.county.facilities])
    return view.page("looks.html", {"looks": gathered(look_of(event, facilities) for event in events)})
