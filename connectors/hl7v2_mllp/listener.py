"""An MLLP server: connections → conversations → Intake, from a thread of its own.

The acknowledgement follows the synced journal write, never the mapping. Content that no mapper will be able to use is kept all
the same and answered AR, so that a person finds it among the dead letters.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from itertools import count

from connectors import tls
from connectors.base import Intake, SourceUnavailable
from connectors.hl7v2_mllp.config import MllpConfig
from connectors.hl7v2_mllp.conversation import PIECE, Conversation
from connectors.hl7v2_mllp.handover import HandOver
from connectors.hl7v2_mllp.receiving import Desk
from connectors.hl7v2_mllp.seats import Seat, Seats
from connectors.ports import bound

log = logging.getLogger(__name__)

STOP_SECONDS = 5.0
HANDSHAKE_SECONDS = 10.0
UNREAD_BYTES = 4096  # of answers that a peer has not taken: beyond it nothing more of it is read
OTHER_FILES = 512  # descriptors that the rest of the process needs


class MllpListener:
    """Implements connectors.base.Listening. `port` is the bound port after `start`; `counters` tell what came."""

    def __init__(
        self,
        config: MllpConfig,
        intake: Intake,
        *,
        source: str,
        facility: str,
        hints: Mapping[str, str],
        clock: Callable[[], datetime],
    ) -> None:
        self.source = source
        self.port = config.port
        self.counters: Counter[str] = Counter()
        self._config = config
        self._intake = intake
        self._desk = Desk(source, facility, config.senders(), dict(hints), clock, config.control_id_days)
        self._numbers = count(1)
        self._connections: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stopping = asyncio.Event()
        self._failure: OSError | None = None

    def check(self) -> None:
        """Raise SourceUnavailable if the port cannot be bound or the certificates cannot be used."""
        if self._thread is not None:
            return
        self._context()
        bound(self._config.host, self._config.port).close()

    def start(self) -> None:
        """Raise SourceUnavailable if the port cannot be bound or the certificates cannot be used."""
        context, ready = self._context(), threading.Event()
        self._failure = None
        self._stopping = asyncio.Event()
        _room_for(self._config.max_connections)
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(ready, context)), name=f"mllp-{self.source}", daemon=True
        )
        self._thread.start()
        ready.wait()
        if self._failure is not None:
            self._thread.join()
            self._thread = None
            raise SourceUnavailable(f"port {self._config.port} cannot be bound: {self._failure.strerror}") from self._failure

    def stop(self) -> None:
        if self._thread is None or self._loop is None:
            return
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(2 * STOP_SECONDS)
        self._thread = self._loop = None

    def _context(self) -> ssl.SSLContext | None:
        return tls.listening(self._config.tls) if self._config.tls else None

    async def _serve(self, ready: threading.Event, context: ssl.SSLContext | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._handover = HandOver(self.source, self._intake, self._config.workers)
        self._seats = Seats(self._config.max_connections, self._config.max_connections_per_peer, self._config.max_buffered_bytes)
        host, port, patience = self._config.host, self._config.port, HANDSHAKE_SECONDS if context else None
        try:
            server = await asyncio.start_server(
                self._connected, host, port, backlog=512, limit=PIECE, ssl=context, ssl_handshake_timeout=patience
            )
        except OSError as error:
            self._failure = error
            ready.set()
            return
        self._loop.set_exception_handler(self._troubled)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await self._stopping.wait()
        server.close()
        if self._connections:
            await asyncio.wait(self._connections, timeout=STOP_SECONDS)
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        self._handover.close()

    def _troubled(self, loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        """A peer that breaks off a handshake is counted; anything else is told."""
        if isinstance(context.get("exception"), (ssl.SSLError, ConnectionError, TimeoutError)):
            self.counters["connections dropped"] += 1
        else:
            loop.default_exception_handler(context)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = str((writer.get_extra_info("peername") or ("",))[0])
        task = asyncio.current_task()
        assert task is not None  # noqa: S101
        seat = self._seats.take(peer, task.cancel)
        if seat is None:
            self.counters["connections refused"] += 1
            writer.close()
            return
        self._connections.add(task)
        try:
            await self._converse(reader, writer, seat)
        except (TimeoutError, ConnectionError, ssl.SSLError):
            self.counters["connections dropped"] += 1
        finally:
            self._seats.free(seat)
            self._connections.discard(task)
            with suppress(ssl.SSLError):
                writer.transport.abort() if task.cancelling() else writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seat: Seat) -> None:
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNREAD_BYTES)
        writer.transport.set_write_buffer_limits(high=UNREAD_BYTES)
        bound = self._bound(writer)
        conversation = Conversation(
            reader,
            writer,
            seat,
            config=self._config,
            desk=self._desk,
            seats=self._seats,
            handover=self._handover,
            counters=self.counters,
            numbers=self._numbers,
            bound=bound or "",
        )
        stopping: asyncio.Task[object] = asyncio.ensure_future(self._stopping.wait())
        try:
            await (conversation.refuse(stopping) if bound is None else conversation.run(stopping))
        finally:
            stopping.cancel()

    def _bound(self, writer: asyncio.StreamWriter) -> str | None:
        """The facility of the peer's certificate, "" where certificates bind nobody; None: a certificate that we do not know."""
        if not self._config.certificates:
            return ""
        encoded = writer.get_extra_info("ssl_object").getpeercert(binary_form=True) or b""
        return tls.facility_of(writer.get_extra_info("peercert") or {}, encoded, self._config.certificates) or None


def _room_for(connections: int) -> None:
    """Descriptors for as many peers as the channel allows: a peer that finds none left would see its connection hang."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(connections + max(soft // 2, OTHER_FILES), hard if hard != resource.RLIM_INFINITY else 1 << 20)
    if soft < wanted:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
