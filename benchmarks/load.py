"""A small HTTP/1.1 load generator: keep-alive connections, no parsing beyond status and length.

A Python HTTP library spends more time on a request than the hub does; on two cores it would measure itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    body: bytes = b""
    content_type: str = "application/fhir+json"


@dataclass(frozen=True, slots=True)
class Load:
    """Latencies are milliseconds; only answers with the expected status count as done."""

    done: int
    failed: int
    seconds: float
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        return self.done / self.seconds


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes, body: bytes) -> int:
    writer.write(head + body)
    answer = await reader.readuntil(b"\r\n\r\n")
    lower = answer.lower()
    at = lower.find(b"content-length:")
    if at >= 0:
        length = int(lower[at + 15 : lower.index(b"\r\n", at)])
        if length:
            await reader.readexactly(length)
    elif b"transfer-encoding: chunked" in lower:
        while True:
            size = int(await reader.readuntil(b"\r\n"), 16)
            await reader.readexactly(size + 2)
            if not size:
                break
    return int(answer[9:12])


async def _client(
    host: str, port: int, token: str, requests: Iterator[Request], until: float, ok: frozenset[int]
) -> tuple[list[float], int]:
    reader, writer = await asyncio.open_connection(host, port, limit=64 * 1024 * 1024)
    times: list[float] = []
    failed = 0
    for request in requests:
        if time.perf_counter() >= until:
            break
        head = (
            f"{request.method} {request.path} HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {token}\r\n"
            f"Accept: application/fhir+json\r\nContent-Type: {request.content_type}\r\nContent-Length: {len(request.body)}\r\n\r\n"
        )
        started = time.perf_counter()
        status = await _exchange(reader, writer, head.encode(), request.body)
        if status in ok:
            times.append((time.perf_counter() - started) * 1000)
        else:
            failed += 1
    writer.close()
    return times, failed


async def _run(
    host: str, port: int, token: str, clients: int, make: Callable[[int], Iterator[Request]], seconds: float, ok: frozenset[int]
) -> Load:
    started = time.perf_counter()
    until = started + seconds
    every = await asyncio.gather(*(_client(host, port, token, make(i), until, ok) for i in range(clients)))
    elapsed = time.perf_counter() - started
    times = sorted(t for answers, _ in every for t in answers)
    if not times:
        raise RuntimeError(f"no request succeeded, {sum(f for _, f in every)} failed")
    p99 = times[min(len(times) - 1, len(times) * 99 // 100)]
    return Load(len(times), sum(f for _, f in every), elapsed, times[len(times) // 2], p99)


def run_load(
    port: int,
    token: str,
    make: Callable[[int], Iterator[Request]],
    *,
    clients: int,
    seconds: float,
    ok: frozenset[int] = frozenset({200, 201}),
) -> Load:
    """Each of `clients` connections sends what `make(its number)` yields until it ends or `seconds` have passed."""
    return asyncio.run(_run("127.0.0.1", port, token, clients, make, seconds, ok))
