"""A good MLLP peer among stuck ones and a flood: what its acknowledgements take, and what the hub's memory does.

Stuck peers: a quarter each connects and says nothing, begins a block and stops, sends a byte now and then, or sends messages and
never reads an answer. Whoever is let go comes back. The flood is so many messages a second over a hundred connections. The
generator runs in a process of its own, for its own loop must not hold up what it measures.
"""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import random
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection

from benchmarks.data import messages
from connectors.hl7v2_mllp.framing import frame

LANES = 100  # connections of the flood
GOOD_PAUSE = 0.02  # seconds between an answer and the good peer's next message
BYTE_PAUSE = 0.3
PIECE = 65536


@dataclass(frozen=True, slots=True)
class Seen:
    """Latencies in milliseconds; `flooded` messages of the flood were answered."""

    p50: float
    p99: float
    answered: int
    flooded: int
    seconds: float
    failed: int


@dataclass(frozen=True, slots=True)
class Plan:
    port: int
    stuck: int
    rate: float  # messages a second of the flood
    seconds: float
    seed: int = 1


async def _connect(port: int, *, deaf: bool = False) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    own = socket.socket()
    if deaf:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    own.setblocking(False)
    await asyncio.get_running_loop().sock_connect(own, ("127.0.0.1", port))
    own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return await asyncio.open_connection(sock=own)


async def _silent(port: int) -> None:
    reader, _ = await _connect(port)
    await reader.read(1)


async def _half_open(port: int) -> None:
    reader, writer = await _connect(port)
    writer.write(b"\x0bMSH|^~\\&|STUCK|X|HUB|HUB|20260101||ORU^R01|1|P|2.4\rPID|1||")
    await reader.read(1)


async def _slow(port: int) -> None:
    _, writer = await _connect(port)
    writer.write(b"\x0bMSH|^~\\&|SLOW|X|HUB|HUB|20260101||ORU^R01|1|P|2.4\r")
    while not writer.is_closing():
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(BYTE_PAUSE)


async def _deaf(port: int) -> None:
    _, writer = await _connect(port, deaf=True)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    block = frame(b"MSH|^~\\&|DEAF|X|HUB|HUB|20260101||ZZZ^Z01|1|P|2.4\r")
    while not writer.is_closing():
        writer.write(block * 50)
        await writer.drain()


STUCK: tuple[Callable[[int], Awaitable[None]], ...] = (_silent, _half_open, _slow, _deaf)


async def _again(peer: Callable[[int], Awaitable[None]], port: int, rng: random.Random) -> None:
    while True:
        with suppress(OSError):
            await peer(port)
        await asyncio.sleep(rng.uniform(0.2, 1.0))


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, content: bytes) -> bytes:
    writer.write(frame(content))
    return await reader.readuntil(b"\x1c\r")


async def _flood_lane(plan: Plan, number: int, contents: list[bytes], answered: list[int]) -> None:
    pause = LANES / plan.rate
    await asyncio.sleep(pause * number / LANES)
    for turn in itertools.count():
        with suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await _connect(plan.port)
            due = time.monotonic()
            for content in itertools.islice(itertools.cycle(contents), number + turn, None):
                await _exchange(reader, writer, content)
                answered[0] += 1
                due += pause
                await asyncio.sleep(max(0.0, due - time.monotonic()))
        await asyncio.sleep(0.2)


async def _good(plan: Plan, contents: list[bytes], until: float) -> tuple[list[float], int]:
    times: list[float] = []
    failed = 0
    contents_again = itertools.cycle(contents)
    while time.monotonic() < until:
        try:
            reader, writer = await _connect(plan.port)
            while time.monotonic() < until:
                started = time.perf_counter()
                answer = await _exchange(reader, writer, next(contents_again))
                times.append((time.perf_counter() - started) * 1000)
                failed += b"\rMSA|AA" not in answer
                await asyncio.sleep(GOOD_PAUSE)
            writer.close()
        except (OSError, asyncio.IncompleteReadError):
            failed += 1
            await asyncio.sleep(0.1)
    return times, failed


async def _run(plan: Plan) -> Seen:
    rng = random.Random(plan.seed)
    contents = messages(400, plan.seed)
    answered = [0]
    background = [asyncio.create_task(_again(STUCK[n % len(STUCK)], plan.port, rng)) for n in range(plan.stuck)]
    await asyncio.sleep(2)  # until they are stuck
    if plan.rate:
        background += [asyncio.create_task(_flood_lane(plan, n, contents, answered)) for n in range(LANES)]
    started = time.monotonic()
    times, failed = await _good(plan, contents[::-1], started + plan.seconds)
    seconds, flooded = time.monotonic() - started, answered[0]
    for task in background:
        task.cancel()
    await asyncio.gather(*background, return_exceptions=True)
    times.sort()
    if not times:
        raise RuntimeError(f"the good peer got no answer, {failed} failures")
    return Seen(times[len(times) // 2], times[min(len(times) - 1, len(times) * 99 // 100)], len(times), flooded, seconds, failed)


def _child(plan: Plan, to: Connection) -> None:
    to.send(asyncio.run(_run(plan)))


def flood(plan: Plan) -> Seen:
    """Run the plan from a process of its own."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(plan, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        seen: Seen = ours.recv()
    finally:
        process.join(30)
    return seen
