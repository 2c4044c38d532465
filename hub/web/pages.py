"""What every page shares: whose session it is, whether a form is ours, and a page for whatever goes wrong."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import quote, urlsplit

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse

from hub.errors import Gone, HubError, NotAllowed, NotFound, place_of
from hub.web import session as sessions
from hub.web.session import Session
from hub.web.view import View

log = logging.getLogger(__name__)

WORKBENCH_ROLES = frozenset({"admin", "it"})


class LoginNeeded(Exception):
    pass


class NobodyHere(Exception):
    """No such person, or none that this caller may see: one page for both."""


class PageRoute(APIRoute):
    """Whatever goes wrong becomes a page that says what to do; a fragment asks the browser to go to the login."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await handler(request)
            except LoginNeeded:
                return _to_login(request)
            except NobodyHere:
                return view_of(request).message("notfound", status=404, help=True)
            except HubError as error:
                return _error_page(view_of(request), error)
            except HTTPException as error:  # a form that cannot be read
                return view_of(request).message("error", status=error.status_code)
            except Exception as error:
                return _failure_page(view_of(request), error)

        return handle


def session_of(request: Request) -> Session:
    session = sessions.current(request.app.state.hub, request)
    if session is None:
        raise LoginNeeded
    return session


def workbench_session(request: Request) -> Session:
    """Of hospital IT. Raise NotAllowed for anybody else."""
    session = session_of(request)
    if session.access.role not in WORKBENCH_ROLES:
        raise NotAllowed("the workbench is for the roles admin and it")
    return session


def check_form(session: Session, csrf: str) -> None:
    if not sessions.form_is_ours(session, csrf):
        raise NotAllowed("the form token is not this session's")


def view_of(request: Request) -> View:
    return View(request, sessions.current(request.app.state.hub, request))


def home_of(session: Session) -> str:
    """Where this kind of account begins: hospital IT and a health bureau see no patients."""
    if session.access.role == "resident":
        return f"/p/{session.access.patient}"
    return {"it": "/ops", "bureau": "/measures"}.get(session.access.role, "/p")


def count_in(text: str, default: int) -> int:
    """Of an address, which anybody may have written."""
    return min(int(text), 1000) if re.fullmatch(r"[1-9]\d{0,8}", text, re.ASCII) else default


def own_page(next: str) -> str:
    """`next`, if it is an address of our own pages: no other site, no other scheme; else ""."""
    try:
        parts = urlsplit(next)
    except ValueError:
        return ""
    under = any(parts.path == root or parts.path.startswith(f"{root}/") for root in ("/p", "/ops", "/measures"))
    return next if under and not parts.scheme and not parts.netloc and "\\" not in next else ""


def _to_login(request: Request) -> Response:
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    target = "/login" + (f"?next={quote(here)}" if request.method == "GET" else "")
    if request.headers.get("hx-request") == "true":
        return Response(status_code=401, headers={"hx-redirect": target})
    return RedirectResponse(target, 303)


def _error_page(view: View, error: HubError) -> Response:
    status = error.reason.status
    if isinstance(error, NotFound | Gone):
        return view.message("notfound", status=404, help=True)
    if isinstance(error, NotAllowed):
        text = view.t("error.form") if "form token" in error.message else view.t("error.forbidden")
        return view.message("error", status=403, text=text)
    if status < 500:
        return view.message("error", status=status, text=error.message)
    return _failure_page(view, error, status)


def _failure_page(view: View, error: Exception, status: int = 500) -> Response:
    """Our own fault. Page and log share a number; neither says a value, for a traceback may hold patient data."""
    trace = secrets.token_hex(4)
    log.error("page failed, trace %s: %s at %s", trace, type(error).__name__, place_of(error))
    text = view.t("error.busy") if status == 503 else view.t("error.text")
    return view.message("error", status=status, text=text, trace=trace)
