"""Subscriptions over a websocket: R4's pings, and the backport's notification Bundles.

The client says who it is, by the Authorization header or `auth TOKEN`, then `bind ID` for each Subscription; or it brings what
$get-ws-binding-token gave it: `bind-with-token TOKEN`. Either may be JSON: {"type": "bind-with-token", "payload": {"token": …}}.
R4's own answer with `bound ID` and `ping ID`; topics with a handshake and then their events. Each socket reads the outbox, in
whichever process it ends, so it needs nobody else. https://hl7.org/fhir/R4/subscription.html
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from hub import fhir_json
from hub.api.auth import access_of, hub_of
from hub.errors import HubError, Invalid, Kind
from hub.security.access import Access
from hub.store.port import Key
from hub.subscriptions.attempts import acknowledge
from hub.subscriptions.binding import ids_bound
from hub.subscriptions.outbox import Numbered, Registration, events_in, number_in, progress_in, registration_in
from hub.subscriptions.payload import Kind as Notice
from hub.subscriptions.payload import Seen, notification, seen, translated
from hub.subscriptions.signal import Bell

if TYPE_CHECKING:
    from hub.app import Hub

ADDRESS = "/fhir/$websocket"
MOST_BOUND = 50  # Subscriptions of one connection
MOST_MISTAKES = 10
LONGEST_MESSAGE = 8192
AT_ONCE = 100  # events that one ping stands for
BIND_SECONDS = 30.0  # who is bound to nothing by then is not kept
POLICY, TRY_LATER = 1008, 1013  # https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1

_OPEN: set[WebSocket] = set()


class Refused(HubError):
    """What this connection may not do."""

    kind = Kind.FORBIDDEN


async def websocket(socket: WebSocket) -> None:
    hub = hub_of(socket)
    if sum(hub_of(each) is hub for each in _OPEN) >= hub.county.subscriptions.websockets:
        await socket.close(TRY_LATER)
        return
    _OPEN.add(socket)
    try:
        await _serve(socket, hub)
    finally:
        _OPEN.discard(socket)


async def _serve(socket: WebSocket, hub: Hub) -> None:
    """Until the client leaves, or may not stay."""
    access = None
    if "authorization" in socket.headers:
        try:
            access = access_of(socket)
        except HubError:
            await socket.close(POLICY)
            return
    await socket.accept()
    connection = Connection(socket, hub, access)
    tasks = [asyncio.create_task(work()) for work in (connection.listen, connection.tell, connection.expire)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    with suppress(RuntimeError, WebSocketDisconnect):  # the client was first
        await socket.close(POLICY)


@dataclass(slots=True)
class Bound:
    """A Subscription of this connection, and how far it was told."""

    access: Access
    position: int
    told: int  # when something was last sent


class Connection:
    def __init__(self, socket: WebSocket, hub: Hub, access: Access | None) -> None:
        self._socket = socket
        self._hub = hub
        self._access = access
        self._bound: dict[str, Bound] = {}
        self._bell = Bell()
        self._mistakes = 0

    # -- what the client says
    async def listen(self) -> None:
        with suppress(WebSocketDisconnect):
            while self._mistakes < MOST_MISTAKES:
                text = await self._socket.receive_text()
                try:
                    await self._heard(*_words(text))
                except HubError as error:
                    self._mistakes += 1
                    await self._socket.send_text(fhir_json.dump(error.outcome()).decode())

    async def expire(self) -> None:
        await asyncio.sleep(BIND_SECONDS)
        while self._bound:
            await asyncio.sleep(BIND_SECONDS)

    async def _heard(self, verb: str, word: str) -> None:
        match verb:
            case "auth":
                self._access = self._hub.tokens.resolve(word)
                if self._access is None:
                    raise Refused("the token is unknown, expired or revoked", kind=Kind.LOGIN)
                await self._socket.send_text("authenticated")
            case "bind":
                if self._access is None:
                    raise Refused("say who you are first: auth TOKEN, or an Authorization header", kind=Kind.LOGIN)
                await self._bind(self._access, word)
            case "bind-with-token":
                access, ids = await asyncio.to_thread(ids_bound, self._hub, word)
                for id in ids:
                    await self._bind(access, id)
            case "ping":
                await self._socket.send_text("pong")
            case _:
                raise Invalid("a message is auth TOKEN, bind ID or bind-with-token TOKEN")

    async def _bind(self, access: Access, id: str) -> None:
        """Raise NotFound for unknown and foreign alike."""
        if len(self._bound) >= MOST_BOUND:
            raise Refused(f"one connection is bound to at most {MOST_BOUND} subscriptions")
        await self._hub.door.read(access, Key("Subscription", id))
        registration = await asyncio.to_thread(registration_in, self._hub.store, id)
        if registration is None or registration.channel != "websocket" or registration.state not in ("requested", "active"):
            raise Refused("the subscription has no websocket channel, or is not active", kind=Kind.PROCESSING)
        progress = await asyncio.to_thread(progress_in, self._hub.store, id)
        if registration.topic:
            await self._notify(registration, "handshake", [])
        else:
            await self._socket.send_text(f"bound {id}")
        self._bound[id] = Bound(access, progress.done, self._hub.clock())
        self._bell.ring()

    # -- what it is told
    async def tell(self) -> None:
        while True:
            for id in list(self._bound):
                try:
                    await self._told(id)
                except HubError:  # revoked, deleted, or no longer the client's to see
                    del self._bound[id]
            await self._bell.wait()

    async def _told(self, id: str) -> None:
        """All that waits for one Subscription. Raise HubError where nothing may be told any more."""
        bound = self._bound[id]
        while True:
            registration, events, shown = await asyncio.to_thread(self._waiting, id, bound)
            if not events:
                await self._beat(registration, bound)
                return
            known = [each for each in shown if each.known]
            if registration.topic:
                await self._notify(registration, "event-notification", shown)
            elif known:
                await self._socket.send_text(f"ping {id}")
            bound.position, bound.told = events[-1].number, self._hub.clock()
            done = partial(
                acknowledge, registration=registration, reader=bound.access, last=bound.position, events=shown, now=bound.told
            )
            # Told is told, even to a client that leaves at once: cancelling the wait must not take the write back.
            await asyncio.shield(asyncio.wrap_future(self._hub.store.write(done)))

    def _waiting(self, id: str, bound: Bound) -> tuple[Registration, list[Numbered], list[Seen]]:
        access = self._hub.tokens.holder(bound.access.token_id)
        registration = registration_in(self._hub.store, id)
        if access is None or registration is None or registration.state not in ("requested", "active"):
            raise Refused("the subscription has ended")
        reads = self._hub.door.reads(access)
        reads.read(Key("Subscription", id))
        limit = registration.most if registration.topic else AT_ONCE
        events = events_in(self._hub.store, id, after=bound.position, limit=limit)
        return registration, events, seen(reads, events)

    async def _beat(self, registration: Registration, bound: Bound) -> None:
        now = self._hub.clock()
        if registration.heartbeat and bound.told + registration.heartbeat * 1000 <= now:
            bound.told = now
            await self._notify(registration, "heartbeat", [])

    async def _notify(self, registration: Registration, kind: Notice, events: list[Seen]) -> None:
        store = self._hub.store
        total = events[-1].numbered.number if events else await asyncio.to_thread(number_in, store, registration.id)
        base = self._hub.county.subscriptions.base
        body = notification(registration, kind, events, total=total, now=self._hub.clock(), base=base)
        await self._socket.send_text(translated(body, registration.mime).decode())


def _words(text: str) -> tuple[str, str]:
    """`verb word`, `verb: word` or the same as JSON."""
    if len(text) > LONGEST_MESSAGE:
        raise Invalid("the message is too long")
    if not text.lstrip().startswith("{"):
        verb, _, word = text.strip().partition(" ")
        return verb.rstrip(":").lower(), word.strip()
    try:
        said: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise Invalid("the message is no JSON") from None
    payload = said.get("payload")
    token = (payload.get("token") or payload.get("id")) if isinstance(payload, dict) else ""
    return str(said.get("type", "")), str(token or "")
