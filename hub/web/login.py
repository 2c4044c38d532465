"""Login and logout, and where each kind of account begins."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from starlette.responses import RedirectResponse

from hub.security.access import Access
from hub.security.audit import REFUSED
from hub.web import session as sessions
from hub.web.pages import PageRoute, check_form, home_of, own_page, session_of
from hub.web.session import Session
from hub.web.view import View

STRANGER = Access(name="unknown", role="reader", purpose="HOPERAT")

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/")
async def home(request: Request) -> Response:
    session = sessions.current(request.app.state.hub, request)
    return RedirectResponse(home_of(session) if session else "/p", 303)


@router.get("/login")
async def login_form(request: Request, next: str = "") -> Response:
    view = View(request, None)
    ended = sessions.SESSION in request.cookies and sessions.current(view.hub, request) is None
    return _login_page(view, next, problem=view.t("login.again") if ended else "")


@router.post("/login")
async def login(
    request: Request, token: Annotated[str, Form()] = "", csrf: Annotated[str, Form()] = "", next: Annotated[str, Form()] = ""
) -> Response:
    view = View(request, None)
    hub = view.hub
    if not sessions.visitor_form_is_ours(hub, request, csrf):
        return _login_page(view, next, problem=view.t("error.form"), status=403)
    access = hub.tokens.resolve(token.strip())
    if access is None:
        address = request.client.host if request.client else ""
        await hub.door.note(replace(STRANGER, address=address), action="E", interaction="login", outcome=REFUSED)
        return _login_page(view, next, problem=view.t("login.wrong"), status=401)
    await hub.door.note(access, action="E", interaction="login")
    response = RedirectResponse(own_page(next) or home_of(Session(access, "")), 303)
    sessions.start(hub, request, response, token.strip())
    return response


@router.post("/logout")
async def logout(request: Request, csrf: Annotated[str, Form()] = "") -> Response:
    session = session_of(request)
    check_form(session, csrf)
    await request.app.state.hub.door.note(session.access, action="E", interaction="logout")
    response = RedirectResponse("/login", 303)
    sessions.end(response)
    return response


def _login_page(view: View, next: str, *, problem: str, status: int = 200) -> Response:
    visitor = sessions.visitor(view.request)
    token = sessions.visitor_form_token(view.hub, visitor)
    page = view.page("login.html", {"next": own_page(next), "problem": problem, "csrf": token}, status=status)
    sessions.remember_visitor(view.request, page, visitor)
    return page
