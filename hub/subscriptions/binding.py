"""Tokens by which a websocket is bound to Subscriptions: signed, short-lived, and worth no more than the caller's own token.

https://hl7.org/fhir/uv/subscriptions-backport/OperationDefinition-backport-subscription-get-ws-binding-token.html
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from hub.errors import HubError, Kind
from hub.security.access import Access

if TYPE_CHECKING:
    from hub.app import Hub

PURPOSE = "websocket"
LASTS = 600_000  # ms


class NotBinding(HubError):
    """No binding token of this hub, or not any more."""

    kind = Kind.LOGIN


def binding_token(hub: Hub, access: Access, ids: list[str]) -> tuple[str, int]:
    """The token and when it ends, UTC ms."""
    expires = hub.clock() + LASTS
    content = base64.urlsafe_b64encode(json.dumps([access.token_id, expires, ids]).encode()).decode()
    return f"{content}.{hub.links.sign(access, PURPOSE, content)}", expires


def ids_bound(hub: Hub, token: str) -> tuple[Access, list[str]]:
    """Who may be told of which Subscriptions. Raise NotBinding."""
    content, _, signature = token.partition(".")
    try:
        token_id, expires, ids = json.loads(base64.urlsafe_b64decode(content))
        access = hub.tokens.holder(str(token_id))
        if access is None or hub.clock() >= expires:
            raise NotBinding("the binding token has ended")
        hub.links.check(access, PURPOSE, content, signature)
    except (ValueError, TypeError, HubError):
        raise NotBinding("the binding token is unknown or has ended") from None
    return access, [str(id) for id in ids]
