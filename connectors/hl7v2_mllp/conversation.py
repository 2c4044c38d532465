"""One MLLP connection: blocks in, each message kept and then answered, in the order in which they came."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import count, islice
from math import exp, log

from connectors.hl7v2_mllp.acknowledgement import Answer, Outcome, acknowledge
from connectors.hl7v2_mllp.config import MllpConfig
from connectors.hl7v2_mllp.framing import FrameReader, FrameTooLarge, frame
from connectors.hl7v2_mllp.handover import HandOver
from connectors.hl7v2_mllp.header import read_header, split_messages
from connectors.hl7v2_mllp.receiving import Desk, Received
from connectors.hl7v2_mllp.seats import Seat, Seats

PIECE = 32 * 1024  # bytes taken at one time: what a peer sends ahead waits in its own buffers
LINGER_SECONDS = 2.0
_AT_ONCE = 16  # messages of one hand-over: others have their turn in between
BUSY = "too much is under way: send it again later"
UNBOUND = "the client certificate is bound to no facility"


class Conversation:
    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        seat: Seat,
        *,
        config: MllpConfig,
        desk: Desk,
        seats: Seats,
        handover: HandOver,
        counters: Counter[str],
        numbers: count[int],
        bound: str,
    ) -> None:
        """`bound`: the facility that the peer's certificate is bound to; "" where none is asked for."""
        self._reader, self._writer, self._seat = reader, writer, seat
        self._config, self._desk, self._seats, self._handover = config, desk, seats, handover
        self._counters, self._numbers, self._bound = counters, numbers, bound
        self._blocks = FrameReader(config.max_frame_bytes)
        self._recent = 0.0  # messages of the last second or so
        self._counted = asyncio.get_running_loop().time()

    async def run(self, stopping: asyncio.Task[object]) -> None:
        """Until the peer closes, is silent for too long, or we stop. Raise TimeoutError, ConnectionError."""
        deadline = self._deadline()
        try:
            while data := await self._read(stopping, deadline):
                began = self._blocks.begun
                try:
                    received = await self._feed(data)
                except FrameTooLarge as error:
                    self._counters["too large"] += 1
                    await self._keep([self._desk.too_large(error.head, str(error), self._seat.peer, self._bound)])
                    await self._linger()
                    return
                there_is_room = self._seats.buffer(self._seat, self._blocks.size)
                self._counters["bytes under way"] = self._seats.buffered
                if not there_is_room:
                    await self._answer([Received(read_header(self._blocks.take()), None, Answer(Outcome.ERROR, BUSY))])
                    await self._linger()
                    return
                if received or self._blocks.begun != began:
                    self._seat.inside = asyncio.get_running_loop().time() if self._blocks.inside else None
                    deadline = self._deadline()
        except TimeoutError:
            await self._give_up()
            raise
        if not stopping.done():
            await self._give_up()

    async def refuse(self, stopping: asyncio.Task[object]) -> None:
        """Answer the first message with a refusal: the peer has proved to be nobody that we know."""
        while data := await self._read(stopping, self._deadline()):
            for block in self._blocks.feed(data):
                await self._answer([Received(read_header(block), None, Answer(Outcome.REJECTED, UNBOUND))])
                return

    async def _feed(self, data: bytes) -> bool:
        """Keep and answer the messages that these bytes complete, interrupted blocks first. Whether there were any."""
        try:
            complete = self._blocks.feed(data)
        finally:
            self._counters["bytes skipped"] += self._blocks.skipped
            self._blocks.skipped = 0
        broken, self._blocks.broken = self._blocks.broken, []
        messages = self._messages(broken, complete)
        came = False
        while some := list(islice(messages, _AT_ONCE)):
            self._seat.served = came = True
            self._seat.inside = None
            await self._pace(len(some))
            await self._keep(some)
        return came

    def _messages(self, broken: Sequence[bytes], complete: Sequence[bytes]) -> Iterator[Received]:
        for block in broken:
            self._counters["broken blocks"] += 1
            yield self._desk.broken(block, self._seat.peer, self._bound)
        for block in complete:
            for message in split_messages(block):
                yield self._desk.receive(message, self._seat.peer, self._bound)

    async def _give_up(self) -> None:
        """The block that was begun will not be ended: it is no message, and not lost."""
        if not self._blocks.inside or not (block := self._blocks.take()):
            return
        self._counters["broken blocks"] += 1
        await self._keep([self._desk.broken(block, self._seat.peer, self._bound)])

    async def _pace(self, messages: int) -> None:
        """Let the peer wait who sends more than it may; TCP pushes back."""
        loop, most = asyncio.get_running_loop(), self._config.max_messages_per_second
        self._recent = self._recent * exp(self._counted - loop.time()) + messages
        self._counted = loop.time()
        if self._recent > most:
            self._counters["slowed down"] += 1
            await asyncio.sleep(log(self._recent / most))  # until it has faded to what it may be

    async def _keep(self, received: list[Received]) -> None:
        """Hand over what came in one go; the answers hold once that returned."""
        records = [one.record for one in received if one.record is not None]
        problem = await self._handover.keep(records, self._recent) if records else ""
        if problem:
            self._counters["not kept"] += len(received)
            received = [one.unkept(problem) for one in received]
        else:
            self._counters["messages"] += len(records)
            self._counters["refused"] += len(received) - len(records)
        await self._answer(received)

    async def _answer(self, received: Sequence[Received]) -> None:
        if self._writer.is_closing():
            raise ConnectionResetError
        for one in received:
            self._counters[one.answer.outcome.value[0]] += 1
            for answer in acknowledge(one.header, one.answer, now=self._desk.clock(), numbers=self._numbers):
                self._writer.write(frame(answer))
        self._seat.writing = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(self._config.read_seconds):
                await self._writer.drain()
        finally:
            self._seat.writing = None

    async def _linger(self) -> None:
        """Read and forget what the peer still sends: a connection closed over unread bytes takes the answer with it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while await self._reader.read(PIECE):
                    pass

    def _deadline(self) -> float:
        seconds = self._config.read_seconds if self._blocks.inside else self._config.idle_seconds
        return asyncio.get_running_loop().time() + seconds

    async def _read(self, stopping: asyncio.Task[object], deadline: float) -> bytes:
        """The next bytes; none at the end, or when we stop. Raise TimeoutError past the deadline."""
        reading = asyncio.ensure_future(self._reader.read(PIECE))
        try:
            left = max(0.0, deadline - asyncio.get_running_loop().time())
            waiting: set[asyncio.Future[object]] = {reading, stopping}  # type: ignore[arg-type]
            done, _ = await asyncio.wait(waiting, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                raise TimeoutError
            return reading.result() if reading in done else b""
        finally:
            reading.cancel()
