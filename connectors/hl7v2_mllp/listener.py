"""An MLLP server: blocks → records → Intake → acknowledgements, in the order of each connection.

The acknowledgement follows the synced journal write, never the mapping. Content that no mapper will be able to use is kept all
the same and answered AR, so that a person finds it among the dead letters.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import socket
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Any, cast

from connectors.base import Intake, JournalUnavailable, SourceRecord, SourceUnavailable
from connectors.hl7v2_mllp.acknowledgement import Answer, Outcome, acknowledge
from connectors.hl7v2_mllp.charset import Undecodable, decode
from connectors.hl7v2_mllp.config import MllpConfig
from connectors.hl7v2_mllp.framing import FrameReader, FrameTooLarge, frame
from connectors.hl7v2_mllp.header import Header, declared_charset, read_header, split_messages

log = logging.getLogger(__name__)

STOP_SECONDS = 5.0
_PIECE = 256 * 1024


@dataclass(frozen=True, slots=True)
class Received:
    """One message of a block: the record to keep, if any, and what to answer once it is kept."""

    header: Header | None
    record: SourceRecord | None
    answer: Answer


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
        self._facility = facility
        self._hints = dict(hints)
        self._clock = clock
        self._numbers = count(1)
        self._peers: Counter[str] = Counter()
        self._connections: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stopping = asyncio.Event()
        self._failure: OSError | None = None

    # ------------------------------------------------------------ life

    def check(self) -> None:
        if self._thread is not None:
            return
        try:
            with socket.create_server((self._config.host, self._config.port)):
                pass
        except OSError as error:
            raise SourceUnavailable(f"port {self._config.port} cannot be bound: {error.strerror}") from error

    def start(self) -> None:
        """Raise SourceUnavailable if the port cannot be bound."""
        ready = threading.Event()
        self._failure = None
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)), name=f"mllp-{self.source}", daemon=True)
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

    async def _serve(self, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        try:
            server = await asyncio.start_server(self._connected, self._config.host, self._config.port, backlog=512)
        except OSError as error:
            self._failure = error
            ready.set()
            return
        self.port = server.sockets[0].getsockname()[1]
        self._pool = ThreadPoolExecutor(self._config.workers, thread_name_prefix=f"mllp-{self.source}")
        ready.set()
        await self._stopping.wait()
        server.close()
        if self._connections:
            await asyncio.wait(self._connections, timeout=STOP_SECONDS)
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        self._pool.shutdown(wait=False)

    # ------------------------------------------------------------ one connection

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = str((writer.get_extra_info("peername") or ("",))[0])
        task = asyncio.current_task()
        if len(self._connections) >= self._config.max_connections or self._peers[peer] >= self._config.max_connections_per_peer:
            self.counters["connections refused"] += 1
            writer.close()
            return
        assert task is not None  # noqa: S101
        self._connections.add(task)
        self._peers[peer] += 1
        try:
            connection = writer.get_extra_info("socket")
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            await self._converse(reader, writer, peer)
        except (TimeoutError, ConnectionError):
            self.counters["connections dropped"] += 1
        finally:
            self._peers[peer] -= 1
            if not self._peers[peer]:
                del self._peers[peer]
            self._connections.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: str) -> None:
        """Read, keep, answer; until the peer closes, is silent for too long, or we stop."""
        blocks = FrameReader(self._config.max_frame_bytes)
        deadline = self._deadline(inside=False)
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            while data := await self._read(reader, stopping, deadline):
                was_inside = blocks.inside
                try:
                    received = self._received(blocks, data, peer)
                except FrameTooLarge as error:
                    self.counters["too large"] += 1
                    await self._answer(writer, [Received(read_header(error.head), None, Answer(Outcome.REJECTED, str(error)))])
                    return
                if received:
                    await self._answer(writer, await self._keep(received))
                if received or blocks.inside != was_inside:
                    deadline = self._deadline(inside=blocks.inside)
        finally:
            stopping.cancel()

    def _received(self, blocks: FrameReader, data: bytes, peer: str) -> list[Received]:
        """The messages that these bytes complete, interrupted blocks first."""
        try:
            complete = blocks.feed(data)
        finally:
            self.counters["bytes skipped"] += blocks.skipped
            blocks.skipped = 0
        received = [self._broken(block) for block in blocks.broken]
        blocks.broken.clear()
        return received + [self._receive(message, peer) for block in complete for message in split_messages(block)]

    def _deadline(self, *, inside: bool) -> float:
        return asyncio.get_running_loop().time() + (self._config.read_seconds if inside else self._config.idle_seconds)

    async def _read(self, reader: asyncio.StreamReader, stopping: asyncio.Task[Any], deadline: float) -> bytes:
        """The next bytes; none at the end, or when we stop. Raise TimeoutError past the deadline."""
        reading: asyncio.Task[Any] = asyncio.ensure_future(reader.read(_PIECE))
        try:
            left = max(0.0, deadline - asyncio.get_running_loop().time())
            done, _ = await asyncio.wait({reading, stopping}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                raise TimeoutError
            return cast(bytes, reading.result()) if reading in done else b""
        finally:
            reading.cancel()

    # ------------------------------------------------------------ one message

    def _receive(self, content: bytes, peer: str) -> Received:
        header, text = read_header(content), self._text(content)
        sender = _sender(text or "")
        if header and self._config.accept and sender not in self._config.accept:
            self.counters["refused"] += 1
            return Received(header, None, Answer(Outcome.REJECTED, "MSH-4 is not bound to this channel"))
        return Received(header, self._record(content, header, sender, peer), _judge(header, text))

    def _text(self, content: bytes) -> str | None:
        try:
            return decode(content, declared_charset(content), self._hints.get("charset", "")).text
        except Undecodable:
            return None

    def _broken(self, block: bytes) -> Received:
        self.counters["broken blocks"] += 1
        return Received(read_header(block), None, Answer(Outcome.ERROR, "the block was interrupted by another one: send it again"))

    def _record(self, content: bytes, header: Header | None, sender: str, peer: str) -> SourceRecord:
        control_id = header[10].decode("utf-8", "backslashreplace") if header else ""
        return SourceRecord(
            source=self.source,
            facility=self._facility or self._config.facilities.get(sender, sender) or "unknown",
            kind="hl7v2",
            key=control_id or hashlib.sha256(content).hexdigest()[:32],
            content=content,
            received_at=self._clock(),
            hints={**self._hints, "peer": peer},
        )

    async def _keep(self, received: list[Received]) -> list[Received]:
        """Hand over what came in one go; the answers hold once this returns."""
        records = [one.record for one in received if one.record is not None]
        if not records:
            return received
        try:
            await asyncio.get_running_loop().run_in_executor(self._pool, lambda: self._intake(*records))
        except JournalUnavailable:
            return self._unkept(received, "the journal cannot be written: send it again later")
        except Exception as error:  # an answer is owed whatever happens; never a positive one
            log.error("%s: intake failed: %s", self.source, type(error).__name__)  # noqa: TRY400 - a traceback may hold content
            return self._unkept(received, "the message was not kept: send it again later")
        self.counters["messages"] += len(records)
        return received

    def _unkept(self, received: list[Received], text: str) -> list[Received]:
        self.counters["not kept"] += len(received)
        return [Received(one.header, None, Answer(Outcome.ERROR, text)) if one.record else one for one in received]

    async def _answer(self, writer: asyncio.StreamWriter, received: list[Received]) -> None:
        for one in received:
            now = self._clock()
            control_id = f"{now:%Y%m%d%H%M%S}{next(self._numbers)}"
            answer = acknowledge(one.header, one.answer, now=now, control_id=control_id)
            self.counters[one.answer.outcome.value[0]] += 1
            if answer is not None:
                writer.write(frame(answer))
        async with asyncio.timeout(self._config.read_seconds):
            await writer.drain()


def _sender(text: str) -> str:
    """MSH-4.1 as decoded: a facility may write its name, and a second byte of GBK may be a delimiter."""
    header = read_header(text.encode())
    return header.part(4, 1).decode() if header else ""


def _judge(header: Header | None, text: str | None) -> Answer:
    """What to answer if the record is kept."""
    if header is None:
        return Answer(Outcome.REJECTED, "no MSH segment: kept for inspection")
    if text is None:
        return Answer(
            Outcome.REJECTED, "not decodable by MSH-18, UTF-8 or GB18030: kept for inspection", ("102", "Data type error")
        )
    if not header[10]:
        return Answer(Outcome.REJECTED, "MSH-10 is empty: kept for inspection", ("101", "Required field missing"))
    return Answer(Outcome.ACCEPTED)
