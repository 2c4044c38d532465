"""Who calls: `Authorization: Bearer`. https://www.rfc-editor.org/rfc/rfc6750"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from starlette.requests import HTTPConnection

from hub.errors import HubError, Kind
from hub.security.access import Access

if TYPE_CHECKING:
    from hub.app import Hub


class NoToken(HubError):
    """No token, or one that opens nothing."""

    kind = Kind.LOGIN


def hub_of(connection: HTTPConnection) -> Hub:
    """The hub that answers this request: also as a FastAPI dependency."""
    hub: Hub = connection.app.state.hub
    return hub


def access_of(connection: HTTPConnection) -> Access:
    """The caller's access: also as a FastAPI dependency. Raise NoToken (401)."""
    access = hub_of(connection).tokens.resolve(_bearer(connection))
    if access is None:
        raise NoToken("the token is unknown, expired or revoked")
    return _calling_from(access, connection.client.host) if connection.client else access


async def caller(connection: HTTPConnection) -> Access:
    """The same on the event loop, which does not wait while a server is asked."""
    at_hand = hub_of(connection).tokens.at_hand(_bearer(connection))
    return access_of(connection) if at_hand else await asyncio.to_thread(access_of, connection)


def _bearer(connection: HTTPConnection) -> str:
    """Raise NoToken."""
    scheme, _, text = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not text.strip():
        raise NoToken("a bearer token is needed: Authorization: Bearer …")
    return text.strip()


async def note_refusal(connection: HTTPConnection, error: HubError | None = None) -> None:
    """What was refused before the door saw it leaves an AuditEvent too. The refusal stands, whatever becomes of the note.

    That the store does not answer is no refusal, and to ask it who calls would only wait once more.
    """
    if error is not None and (error.audited or error.reason.status >= 500):
        return
    try:
        access = await caller(connection)
    except HubError:
        access = Access(name="unknown", role="none", address=connection.client.host if connection.client else "")
    with suppress(HubError):
        await hub_of(connection).door.refused(access, connection.scope.get("method", ""), connection.scope["path"])


@lru_cache(maxsize=1024)
def _calling_from(access: Access, address: str) -> Access:
    return replace(access, address=address)
