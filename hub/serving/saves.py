"""A create or an update between two processes of one hub: a front reads it, checks it and answers, the writing process saves it.

What is long about a write, HTTP, JSON and validation, is so done beside the writer; what travels is the resource and who sends it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from hub import fhir_json
from hub.errors import HubError, Kind
from hub.security.access import Access
from hub.security.door import Door, Save
from hub.security.precondition import Precondition
from hub.store.port import Resource, Saved

SAVE = "save"
Ask = Callable[[str, bytes], Awaitable[bytes]]


class Order(msgspec.Struct, frozen=True, array_like=True):
    """The arguments of `Door.save`."""

    access: Access
    resource: bytes  # JSON
    id: str
    condition: Precondition


class Refusal(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """A HubError, which an AuditEvent tells of already."""

    message: str
    kind: str
    expression: tuple[str, ...]


class Acceptance(msgspec.Struct, frozen=True, array_like=True, tag=True):
    saved: Saved


_encode = msgspec.msgpack.Encoder().encode
_order = msgspec.msgpack.Decoder(Order).decode
_reply = msgspec.msgpack.Decoder(Acceptance | Refusal).decode


def saving_by(ask: Ask) -> Save:
    """For a front's Door. Raise what the writing process's Door raised."""

    async def save(access: Access, resource: Resource, id: str, condition: Precondition) -> Saved:
        order = Order(access, fhir_json.dump(resource), id, condition)
        reply = _reply(await ask(SAVE, _encode(order)))
        if isinstance(reply, Acceptance):
            return reply.saved
        error = HubError(reply.message, kind=Kind[reply.kind], expression=reply.expression)
        error.audited = True
        raise error

    return save


def save_with(door: Door) -> Callable[[bytes], Awaitable[bytes]]:
    """For the writing process: what it answers an order with."""

    async def answer(order: bytes) -> bytes:
        asked = _order(order)
        resource = fhir_json.parse(asked.resource)  # as it was sent: a number keeps its spelling
        try:
            saved = await door.save(asked.access, resource, id=asked.id, condition=asked.condition)
        except HubError as error:
            return _encode(Refusal(error.message, error.reason.name, error.expression))
        return _encode(Acceptance(saved))

    return answer
