"""ASGI between two processes of one hub: what a front does not answer itself is run by the writing process; and short calls.

Frames on a socket pair: four bytes of length, then MessagePack of [stream, kind, content]. A stream is one request, one websocket
or one call by name. Each side may be `WINDOW` messages ahead of the other, so a slow client holds up its own stream and no memory.
https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.errors import HubError, Unavailable, place_of

log = logging.getLogger(__name__)

WINDOW = 16  # messages of one stream on their way
FRAME_BYTES = 256 << 20
SETTLE = "settle"  # a call of the writing process: bring the logged audit events into the store
# What travels of a scope; its application and state are each process's own.
HTTP = ("type", "asgi", "http_version", "method", "scheme", "path", "raw_path", "query_string", "root_path", "headers")
CARRIED = (*HTTP, "client", "server", "subprotocols")

Kind = Literal["open", "call", "messages", "credit", "done", "control"]
Control = Callable[[str], Awaitable[None]]
Calls = Mapping[str, Callable[[bytes], Awaitable[bytes]]]
NO_CALLS: Calls = MappingProxyType({})
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class Gone(Unavailable):
    """The process at the other end is no longer there."""


class Stream:
    """One request at one end: what came and was not taken yet, and how far this end may go ahead."""

    def __init__(self, number: int, tunnel: Tunnel) -> None:
        self.number = number
        self._tunnel = tunnel
        self._came: asyncio.Queue[Message | None] = asyncio.Queue()
        self.reply: bytes | None = None  # to a call
        self._credit = asyncio.Semaphore(WINDOW)

    async def put(self, *messages: Message) -> None:
        """Send on, as soon as the other end has room."""
        for _ in messages:
            await self._credit.acquire()
        await self._tunnel.send(self.number, "messages", messages)

    async def get(self) -> Message | None:
        """The next message; None after the last one."""
        message = await self._came.get()
        if message is not None:
            await self._tunnel.send(self.number, "credit", 1)
        return message

    def arrived(self, kind: Kind, content: Any) -> None:
        if kind == "credit":
            for _ in range(content):
                self._credit.release()
        elif kind == "messages":
            for message in content:
                self._came.put_nowait(message)
        else:
            self.reply = content
            self._came.put_nowait(None)


class Tunnel:
    """One end. `app` runs what the other end opens, `calls` what it calls; `control` hears words that belong to no request."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        app: ASGIApp | None,
        calls: Calls,
        control: Control,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._app = app
        self._calls = calls
        self._control = control
        self._streams: dict[int, Stream] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._last = 0

    @classmethod
    async def over(cls, pair: socket.socket, *, app: ASGIApp | None = None, calls: Calls = NO_CALLS, control: Control) -> Tunnel:
        pair.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=pair)
        return cls(reader, writer, app=app, calls=calls, control=control)

    async def send(self, stream: int, kind: Kind, content: Any) -> None:
        """Raise Gone if the other process ended."""
        frame = _encode((stream, kind, content))
        if self._writer.is_closing():
            raise Gone("the hub is stopping")
        self._writer.write(len(frame).to_bytes(4) + frame)
        try:
            await self._writer.drain()
        except ConnectionError:
            raise Gone("the hub is stopping") from None

    async def say(self, word: str) -> None:
        await self.send(0, "control", word)

    async def run(self) -> None:
        """Until the other end closes."""
        try:
            while True:
                size = int.from_bytes(await self._reader.readexactly(4))
                if size > FRAME_BYTES:
                    raise Gone("a frame is longer than any may be")
                self._arrived(*_decode(await self._reader.readexactly(size)))
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self._writer.close()
            for stream in self._streams.values():
                stream.arrived("done", None)
            for task in self._tasks:
                task.cancel()

    def close(self) -> None:
        self._writer.close()

    def _arrived(self, number: int, kind: Kind, content: Any) -> None:
        if kind == "control":
            self._start(self._control(content))
        elif kind == "open":
            stream = self._streams[number] = Stream(number, self)
            self._start(self._answer(stream, content))
        elif kind == "call":
            self._start(self._called(number, *content))
        elif number in self._streams:
            self._streams[number].arrived(kind, content)
        elif kind == "messages":  # for a client that hung up; whoever sends them must not wait for it
            self._start(self.send(number, "credit", len(content)))

    def _start(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- the end that answers
    async def _answer(self, stream: Stream, scope: Scope) -> None:
        """Run the application for one stream. A response's start travels with its first part."""
        held: list[Message] = []

        async def receive() -> Message:
            message = await stream.get()
            return message or {"type": "websocket.disconnect" if scope["type"] == "websocket" else "http.disconnect"}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                held.append(message)
                return
            await stream.put(*held, message)
            held.clear()

        assert self._app is not None  # noqa: S101 - only the end with an application is asked
        try:
            await self._app(scope, receive, send)
        except Exception as error:  # already answered where it could be; its text may hold what must not be logged
            log.error("%s while answering", type(error).__name__)  # noqa: TRY400
        finally:
            del self._streams[stream.number]
            if not self._writer.is_closing():
                await self.send(stream.number, "done", None)

    async def _called(self, number: int, name: str, content: bytes) -> None:
        reply: bytes | None = None
        try:
            reply = await self._calls[name](content)
        except Exception as error:  # its text may hold what must not be logged
            log.error("%s in a call at %s", type(error).__name__, place_of(error))  # noqa: TRY400
        if not self._writer.is_closing():
            await self.send(number, "done", reply)

    # -- the end that asks
    def _opened(self) -> Stream:
        self._last += 1
        stream = self._streams[self._last] = Stream(self._last, self)
        return stream

    async def ask(self, name: str, content: bytes = b"") -> bytes:
        """What the other end's call of this name replies. Raise HubError if it failed, Gone if the other end is no more."""
        stream = self._opened()
        try:
            await self.send(stream.number, "call", (name, content))
            await stream.get()
        finally:
            del self._streams[stream.number]
        if stream.reply is None:
            raise Gone("the hub is stopping") if self._writer.is_closing() else HubError("the server failed")
        return stream.reply

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As an ASGI application: the other end answers. Raise Gone if it ends before its answer."""
        stream = self._opened()
        pump = None
        try:
            await self.send(stream.number, "open", {name: scope[name] for name in CARRIED if name in scope})
            if scope["type"] == "websocket" or await _more(receive, stream):
                pump = asyncio.create_task(_pump(receive, stream))
            while (message := await stream.get()) is not None:
                await send(message)
                if message["type"] == "http.response.body":
                    if not message.get("more_body"):
                        return
                    pump = pump or asyncio.create_task(_pump(receive, stream))  # a long answer: watch whether the client stays
            if scope["type"] == "http" and not (pump and pump.done() and not pump.exception()):  # unless it is the client who left
                raise Gone("the hub is stopping")
        finally:
            if pump is not None:
                pump.cancel()
            del self._streams[stream.number]


async def _more(receive: Receive, stream: Stream) -> bool:
    """Send what has come of the body; whether more of it will follow."""
    message = await receive()
    await stream.put(message)
    return message["type"] == "http.request" and bool(message.get("more_body"))


async def _pump(receive: Receive, stream: Stream) -> None:
    while True:
        message = await receive()
        await stream.put(message)
        if message["type"].endswith("disconnect"):
            return
