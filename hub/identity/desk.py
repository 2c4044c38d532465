"""Decisions on identities that a command on the hub's own machine asks for: who may write into the data folder may decide there."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hub.errors import Invalid
from hub.identity.operations import ACTS, Done, Wish, checked_reason
from hub.security.access import Access

if TYPE_CHECKING:
    from hub.app import Hub
    from hub.security.writes import Writes

REQUEST = "decide-identity"
UNDO = "undo"


def operator(who: str) -> Access:
    return Access(name=who, role="admin", purpose="HOPERAT", address="127.0.0.1")


def decided(hub: Hub, body: Mapping[str, Any]) -> dict[str, Any]:
    """{"who", "act", "patients", "reason"} → {"operation", "persons"}. `act` undo: `patients` is the operation's id alone.

    Raise HubError.
    """
    work = _work(str(body["act"]), tuple(map(str, body["patients"])), checked_reason(str(body["reason"])))
    done: Done = asyncio.run(hub.door.writing(operator(str(body["who"])), work, "operation"))
    return {"operation": str(done.operation["id"]), "persons": list(done.persons)}


def _work(act: str, ids: tuple[str, ...], reason: str) -> Any:
    if act == UNDO:
        return lambda writes: _undone(writes, ids, reason)
    known = next((each for each in ACTS if each == act), None)
    if known is None:
        raise Invalid(f"{act[:20]} is none of {', '.join((*ACTS, UNDO))}")
    return lambda writes: writes.decide(Wish(known, ids, reason))


def _undone(writes: Writes, ids: tuple[str, ...], reason: str) -> Done:
    if len(ids) != 1:
        raise Invalid("name the one operation that is taken back")
    return writes.take_back(ids[0], reason)
