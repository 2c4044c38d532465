"""`/ops/identity`: who may be one person, two records side by side, why; a person decides with a reason, and can take it back.

The address holds the filter and the hub's own ids, so a view can be shared and kept; values of persons stand in no address, and are
masked until somebody says why they must see them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlencode

from fastapi import APIRouter, Form, Request, Response
from starlette.responses import RedirectResponse

from hub.errors import HubError, Invalid
from hub.identity.operations import ACTS, Act, Contradicts, Wish, checked_reason
from hub.identity.review import STATES, Filter, Opened, Person, Review
from hub.identity.rules import REASONS
from hub.web.i18n import catalogue
from hub.web.pages import PageRoute, check_form, workbench_session
from hub.web.session import Session
from hub.web.view import View

LIST = "/ops/identity"
FILTER = ("state", "reason", "facility", "patient")
LONGEST_FILTER = 500
REFUSED = (Invalid, Contradicts)

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get(LIST)
async def doubts(request: Request, after: str = "", done: str = "") -> Response:
    view, session, review = _asked(request)
    words = {name: request.query_params.get(name, "") for name in FILTER}
    words["state"] = words["state"] or "open"
    listed = await review.doubts(Filter(**words), after=after)
    kept = {name: value for name, value in words.items() if value}
    values = {
        "words": words,
        "states": STATES,
        "reasons": [reason for reason in REASONS if reason != "nothing"],
        "facilities": [] if session.access.facility else view.hub.county.facilities,
        "listed": listed,
        "older": f"{LIST}?{urlencode({**kept, 'after': listed.next})}" if listed.next else "",
        "filter": urlencode(kept),
        "operations": await review.operations(),
        "given_up": await review.given_up(),
        "done": done if done in (*ACTS, "undo") else "",
        "at": lambda ms: view.moment(datetime.fromtimestamp(ms / 1000, UTC)),
    }
    return _page(view, "ops/identity.html", values)


@router.get(LIST + "/pair")
async def pair(request: Request, one: str = "", other: str = "") -> Response:
    """Two Patients by their ids here, whether or not anybody doubted."""
    view, _, review = _asked(request)
    return _compared(view, await review.compare(one, other))


@router.get(LIST + "/person/{id}")
async def person(request: Request, id: str) -> Response:
    view, _, review = _asked(request)
    return _members(view, await review.person(id))


@router.post(LIST + "/pair")
async def see_pair(
    request: Request,
    csrf: Annotated[str, Form()] = "",
    one: Annotated[str, Form()] = "",
    other: Annotated[str, Form()] = "",
    act: Annotated[str, Form()] = "",
    reason: Annotated[str, Form()] = "",
    filter: Annotated[str, Form()] = "",
    seen: Annotated[str, Form()] = "",
) -> Response:
    """`act` show opens the values; another one decides, if what the page had `seen` still holds. Both take a reason."""
    view, session, review = _asked(request, csrf)
    if act != "show":
        problem = await _decide(view, session, act, (one, other), reason, seen)
        if not problem:
            return _back(filter, act)
        return _compared(view, await review.compare(one, other), problem=problem, why=reason, filter=filter, status=409)
    try:
        return _compared(view, await review.compare(one, other, reason=reason or " "), why=reason, filter=filter)
    except Invalid:
        return _compared(view, await review.compare(one, other), problem=view.t("ops.reason.needed"), filter=filter, status=400)


@router.post(LIST + "/person/{id}")
async def see_person(
    request: Request,
    id: str,
    csrf: Annotated[str, Form()] = "",
    act: Annotated[str, Form()] = "",
    reason: Annotated[str, Form()] = "",
    leaving: Annotated[list[str] | None, Form()] = None,
) -> Response:
    """`act` show opens the values; split takes those of `leaving` out of the person, together."""
    view, session, review = _asked(request, csrf)
    if act != "show":
        problem = await _decide(view, session, act, tuple(leaving or ()), reason)
        return _members(view, await review.person(id), problem=problem, status=409) if problem else _back("", act)
    try:
        return _members(view, await review.person(id, reason=reason or " "), why=reason)
    except Invalid:
        return _members(view, await review.person(id), problem=view.t("ops.reason.needed"), status=400)


@router.post(LIST)
async def take_back(
    request: Request,
    csrf: Annotated[str, Form()] = "",
    operation: Annotated[str, Form()] = "",
    reason: Annotated[str, Form()] = "",
    filter: Annotated[str, Form()] = "",
) -> Response:
    view, session, _ = _asked(request, csrf)
    checked = _reason(view, reason)
    await view.hub.door.writing(session.access, lambda writes: writes.take_back(operation, checked), "operation")
    return _back(filter, "undo")


async def _decide(view: View, session: Session, act: str, patients: tuple[str, ...], reason: str, seen: str | None = None) -> str:
    """Why it could not be done, in words; "" if it was."""
    if act not in ACTS:
        return view.t("identity.choose")
    if not all(patients) or not patients:
        return view.t("identity.none.chosen")
    known: Act = next(each for each in ACTS if each == act)
    try:
        wish = Wish(known, patients, checked_reason(reason), seen=seen)
    except Invalid:
        return view.t("identity.why.needed")
    try:
        await view.hub.door.writing(session.access, lambda writes: writes.decide(wish), "operation")
    except REFUSED as error:
        return view.t("identity.refused", why=_said(view, error))
    return ""


def _said(view: View, error: HubError) -> str:
    """The hub's own words are English; the pages say the commonest in their language."""
    words = catalogue(view.language)
    return next((words[key] for phrase, key in _PHRASES.items() if phrase in error.message), error.message)


_PHRASES = {
    "were set apart by a person": "identity.contradicts.apart",
    "by somebody else since": "identity.contradicts.seen",
    "would be linked and set apart": "identity.contradicts.both",
    "decided about once more": "identity.contradicts.later",
    "taken back already": "identity.contradicts.undone",
    "one person already": "identity.contradicts.one",
    "nothing to take apart": "identity.contradicts.alone",
    "a person has decided": "identity.contradicts.decided",
}


def _reason(view: View, reason: str) -> str:
    try:
        return checked_reason(reason)
    except Invalid:
        raise Invalid(view.t("identity.why.needed")) from None


def _asked(request: Request, csrf: str | None = None) -> tuple[View, Session, Review]:
    """`csrf`: of a form, which is checked first."""
    session = workbench_session(request)
    if csrf is not None:
        check_form(session, csrf)
    view = View(request, session)
    return view, session, Review(view.hub.door, view.hub.store, session.access)


def _back(filter: str, done: str) -> Response:
    """To the list as it was filtered, which says what was done."""
    kept = [(name, value) for name, value in _pairs(filter) if name in FILTER]
    return RedirectResponse(f"{LIST}?{urlencode([*kept, ('done', done)])}", 303)


def _pairs(filter: str) -> list[tuple[str, str]]:
    return parse_qsl(filter[:LONGEST_FILTER])


def _compared(view: View, opened: Opened, *, problem: str = "", why: str = "", filter: str = "", status: int = 200) -> Response:
    filter = filter or urlencode([(n, v) for n, v in view.request.query_params.multi_items() if n in FILTER])
    values = {"opened": opened, "seen": opened.comparison, "problem": problem, "why": why, "filter": filter}
    return _page(view, "ops/identity_pair.html", values, status)


def _members(view: View, found: Person, *, problem: str = "", why: str = "", status: int = 200) -> Response:
    return _page(view, "ops/identity_person.html", {"found": found, "problem": problem, "why": why}, status)


def _page(view: View, template: str, values: dict[str, Any], status: int = 200) -> Response:
    words = catalogue(view.language)
    named = {
        "here": "identity",
        "word": lambda key, name: words.get(f"identity.{key}.{name}", name),
        "shown": lambda element, text: words.get(f"gender.{text}", text) if element == "sex" else text,
    }
    return view.page(template, {**named, **values}, status=status)
