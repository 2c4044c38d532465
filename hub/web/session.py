"""Who sits before the page: a signed cookie that carries the token, and form tokens tied to it.

The token is resolved anew at every request, so revoking it ends the session at once. The cookie is HttpOnly and SameSite=Strict,
and Secure wherever the hub is reached over HTTPS.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from hub.security.access import Access

if TYPE_CHECKING:
    from hub.app import Hub

SESSION = "hub_session"
VISITOR = "hub_visitor"  # ties the login form to this browser before there is a session
HOURS = 10  # one shift

PAGES = Access(name="yitong-pages", role="reader", purpose="HOPERAT")


@dataclass(frozen=True, slots=True)
class Session:
    access: Access
    csrf: str


def start(hub: Hub, request: Request, response: Response, token: str) -> None:
    """Put the session into a cookie of `response`."""
    expires = hub.clock() + HOURS * 3_600_000
    payload = f"{expires}.{token}"
    _set(request, response, SESSION, f"{payload}.{hub.links.sign(PAGES, 'session', payload)}", HOURS * 3600)


def end(response: Response) -> None:
    response.delete_cookie(SESSION, path="/")


def current(hub: Hub, request: Request) -> Session | None:
    """None if there is no session, it ended, or its token opens nothing any more."""
    payload, _, signature = request.cookies.get(SESSION, "").rpartition(".")
    expires, _, token = payload.partition(".")
    if not token or not _same(signature, hub.links.sign(PAGES, "session", payload)):
        return None
    if int(expires) <= hub.clock():
        return None
    access = hub.tokens.resolve(token)
    if access is None:
        return None
    address = request.client.host if request.client else ""
    return Session(replace(access, address=address), hub.links.sign(PAGES, "form", payload))


def visitor(request: Request) -> str:
    """A browser without a session has a name too, so that the login form is tied to it."""
    return request.cookies.get(VISITOR) or secrets.token_urlsafe(16)


def remember_visitor(request: Request, response: Response, name: str) -> None:
    _set(request, response, VISITOR, name, 3600)


def visitor_form_token(hub: Hub, name: str) -> str:
    return hub.links.sign(PAGES, "login", name)


def visitor_form_is_ours(hub: Hub, request: Request, stated: str) -> bool:
    name = request.cookies.get(VISITOR, "")
    return bool(name) and _same(stated, visitor_form_token(hub, name))


def form_is_ours(session: Session, stated: str) -> bool:
    return _same(stated, session.csrf)


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _set(request: Request, response: Response, name: str, value: str, seconds: int) -> None:
    secure = request.url.scheme == "https"
    response.set_cookie(name, value, max_age=seconds, path="/", httponly=True, samesite="strict", secure=secure)
