"""A page in a frame gets no cookie of ours: its address carries a signed ticket for one prompt, for as long as a visit lasts."""

from __future__ import annotations

import base64
import hmac
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from hub.errors import HubError, Kind
from hub.security.access import Access

if TYPE_CHECKING:
    from hub.app import Hub

MINUTES = 60
SIGNER = Access(name="yitong-prompts", role="none")


class NoTicket(HubError):
    kind = Kind.LOGIN


class _Ticket(msgspec.Struct, array_like=True):
    uuid: str
    expires: int  # UTC ms
    name: str
    facility: str
    token_id: str


def ticket(hub: Hub, access: Access, uuid: str) -> str:
    """Opens the page of this prompt to whom `access` is, for MINUTES."""
    content = _Ticket(uuid, hub.clock() + MINUTES * 60_000, access.name, access.facility, access.token_id)
    payload = base64.urlsafe_b64encode(msgspec.json.encode(content)).decode().rstrip("=")
    return f"{payload}.{hub.links.sign(SIGNER, 'prompt', payload)}"


def holder(hub: Hub, stated: str, uuid: str) -> Access:
    """Who the ticket was given to. Raise NoTicket if it is not ours, is another prompt's, is over, or its token was revoked."""
    payload, _, signature = stated.partition(".")
    if not hmac.compare_digest(hub.links.sign(SIGNER, "prompt", payload).encode(), signature.encode()):
        raise NoTicket("this address was altered: open the prompt from the doctor's station again")
    content = msgspec.json.decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), type=_Ticket)
    if content.uuid != uuid or content.expires <= hub.clock():
        raise NoTicket("this address is no longer valid: open the prompt from the doctor's station again")
    if not content.token_id:
        return Access(name=content.name, role="clinician", facility=content.facility)
    access = hub.tokens.holder(content.token_id)
    if access is None:
        raise NoTicket("the token that this address was made with opens nothing any more")
    return replace(access, name=content.name)
