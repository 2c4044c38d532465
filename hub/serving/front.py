"""A front: a process that speaks HTTP on the hub's port, answers reads and searches itself and hands everything else on.

It reads the same files as the writing process and sees each commit at once. Started by `hub.serving.fronts`, it waits for the word
that the store is open, and ends when the writing process does.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import uvicorn
import uvloop
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from hub.api.headers import SecurityHeaders
from hub.api.service import install_fhir
from hub.app import Hub, bare_app, open_front
from hub.serving.tunnel import SETTLE, Gone, Tunnel
from hub.settings import load_county
from profiles.validation import known_type

ELSEWHERE = frozenset({"Binary", "metadata"})  # blobs and what is kept in memory are the writing process's


def read_only(scope: Scope) -> bool:
    """Whether a front answers this itself: reads, searches and histories of one resource type."""
    if scope["type"] != "http" or not scope["path"].startswith("/fhir/"):
        return False
    first, *others = scope["path"][6:].split("/")
    if first in ELSEWHERE or not known_type(first) or any(segment[:1] == "$" for segment in others):
        return False
    method = scope["method"]
    return method in ("GET", "HEAD") or (method == "POST" and others == ["_search"])


class Front:
    def __init__(self, here: ASGIApp, there: ASGIApp) -> None:
        self._here = here
        self._there = there

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if read_only(scope):
            await self._here(scope, receive, send)
            return
        with contextlib.suppress(Gone):  # the connection is closed without an answer, as when the process ends
            await self._there(scope, receive, send)


class Server(uvicorn.Server):
    """Stops when told to by the writing process, never by a signal."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def run(listener: socket.socket, pair: socket.socket, data: Path, config: Path | None) -> None:
    go, stop = asyncio.Event(), asyncio.Event()

    async def hear(word: str) -> None:
        {"go": go, "stop": stop}[word].set()

    tunnel = await Tunnel.over(pair, control=hear)
    listening = asyncio.create_task(tunnel.run())
    listening.add_done_callback(lambda _: os._exit(0))  # without the writing process there is no hub
    await go.wait()
    loop = asyncio.get_running_loop()

    def settle() -> None:
        asyncio.run_coroutine_threadsafe(tunnel.ask(SETTLE), loop).result()

    hub = open_front(data, load_county(config), settle=settle)
    server = Server(server_config(Front(fhir_app(hub, config.parent if config else data), tunnel)))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    await asyncio.to_thread(gc.freeze)
    while not server.started:
        await asyncio.sleep(0.01)
    await tunnel.say("up")
    await stop.wait()
    server.should_exit = True
    await serving
    hub.close()


def fhir_app(hub: Hub, beside: Path) -> FastAPI:
    app = bare_app(hub)
    hub.terminology.look_beside(beside)
    install_fhir(app)
    app.add_middleware(SecurityHeaders)
    return app


def server_config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="httptools",
        lifespan="off",
        log_level="warning",
        access_log=False,  # paths of searches may carry what a client should not have put there
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=10,
        limit_concurrency=1000,
        h11_max_incomplete_event_size=64 * 1024,
    )


def main(listener: str, pair: str, data: str, config: str) -> None:
    """Arguments as `hub.serving.fronts` gives them: two descriptors, the data folder, county.toml or ""."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    sys.setswitchinterval(0.0005)
    sockets = socket.socket(fileno=int(listener)), socket.socket(fileno=int(pair))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(*sockets, Path(data), Path(config) if config else None))


if __name__ == "__main__":
    main(*sys.argv[1:])
