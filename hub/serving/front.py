"""A front: a process that speaks HTTP on the hub's port, answers reads, searches and single saves itself and hands on the rest.

It reads the same files as the writing process and sees each commit at once; what it has checked, that one saves
(hub.serving.saves). Forked by `hub.serving.fronts`, it waits for the word that the store is open, and ends when the writing
process does.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import uvicorn
import uvloop
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from hub.api.formats import Formats
from hub.api.headers import SecurityHeaders
from hub.api.service import FhirFirst, add_fhir, unexpected
from hub.app import Hub, bare_app, open_front
from hub.cli.logs import set_up_logs
from hub.serving.accepting import Acceptor, Connections, Counts
from hub.serving.saves import saving_by
from hub.serving.tunnel import SETTLE, Gone, Tunnel
from hub.settings import load_county
from profiles.validation import known_type

ELSEWHERE = frozenset({"Binary", "metadata"})  # blobs and what is kept in memory are the writing process's
FOLLOWED = ELSEWHERE | {"SearchParameter", "Subscription"}  # a change of these is more than a resource saved


def answered_here(scope: Scope) -> bool:
    """Whether a front answers this itself: reads, searches and histories of one type, creates and updates without criteria."""
    if scope["type"] != "http" or not scope["path"].startswith("/fhir/"):
        return False
    first, *others = scope["path"][6:].split("/")
    if not known_type(first) or any(segment[:1] == "$" for segment in others):
        return False
    method = scope["method"]
    if method in ("GET", "HEAD") or (method == "POST" and others == ["_search"]):
        return first not in ELSEWHERE
    single = (method, len(others)) in (("POST", 0), ("PUT", 1)) and "" not in others
    return single and first not in FOLLOWED and not any(name == b"if-none-exist" for name, _ in scope["headers"])


class Front:
    def __init__(self, here: ASGIApp, there: ASGIApp) -> None:
        self._here = here
        self._there = there

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if answered_here(scope):
            await self._here(scope, receive, send)
            return
        with contextlib.suppress(Gone):  # the connection is closed without an answer, as when the process ends
            await self._there(scope, receive, send)


class Server(uvicorn.Server):
    """Stops when told to by the writing process, never by a signal; takes no more than its share of connections."""

    def __init__(self, config: uvicorn.Config, connections: Connections) -> None:
        super().__init__(config)
        self._connections = self.server_state.connections = connections
        self._acceptors: list[Acceptor] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.servers = []
        self._acceptors = [Acceptor(each, self._protocol, self._connections) for each in sockets or ()]
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for acceptor in self._acceptors:
            acceptor.close()
        await super().shutdown(sockets)

    def _protocol(self) -> asyncio.Protocol:
        made: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state={}
        )
        return made

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass(frozen=True)
class Place:
    """Where a front stands among the others."""

    listener: socket.socket
    pair: socket.socket
    counts: Counts
    number: int


async def run(place: Place, data: Path, config: Path | None) -> None:
    go, stop = asyncio.Event(), asyncio.Event()

    async def hear(word: str) -> None:
        {"go": go, "stop": stop}[word].set()

    tunnel = await Tunnel.over(place.pair, control=hear)
    listening = asyncio.create_task(tunnel.run())
    listening.add_done_callback(lambda _: os._exit(0))  # without the writing process there is no hub
    await go.wait()
    loop = asyncio.get_running_loop()

    def settle() -> None:
        asyncio.run_coroutine_threadsafe(tunnel.ask(SETTLE), loop).result()

    hub = open_front(data, load_county(config), settle=settle, save=saving_by(tunnel.ask))
    answering = Front(fhir_app(hub, config.parent if config else data), tunnel)
    server = Server(server_config(answering), Connections(place.counts, place.number))
    serving = asyncio.create_task(server.serve(sockets=[place.listener]))
    await asyncio.to_thread(gc.freeze)
    while not server.started:
        await asyncio.sleep(0.01)
    await tunnel.say("up")
    await stop.wait()
    server.should_exit = True
    await serving
    hub.close()


class Shell:
    """The application without the layers that FastAPI puts around it, which are a tenth of what a read costs."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._inner = SecurityHeaders(Formats(FhirFirst(app)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"] = self._app
        try:
            await self._inner(scope, receive, send)
        except Exception as error:  # answered here, before the server's own log repeats the exception's text
            await unexpected(error)(scope, receive, send)


def fhir_app(hub: Hub, beside: Path) -> ASGIApp:
    app = bare_app(hub)
    hub.terminology.look_beside(beside)
    add_fhir(app)
    return Shell(app)


def server_config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="httptools",
        ws="websockets-sansio",
        ws_max_size=64 * 1024,  # what subscribers say is short
        lifespan="off",
        log_level="warning",
        access_log=False,  # paths of searches may carry what a client should not have put there
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=10,
        limit_concurrency=1000,
        h11_max_incomplete_event_size=64 * 1024,
    )


def serve_front(place: Place, data: Path, config: Path | None) -> None:
    """Until the writing process says "stop" or ends."""
    sys.setswitchinterval(0.0005)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(place, data, config))


def main(listener: str, pair: str, counts: str, number: str, fronts: str, data: str, config: str) -> None:
    """As `hub.serving.fronts` says: three descriptors, which front of how many, the data folder, county.toml or ""."""
    set_up_logs()
    shared = Counts(int(counts), int(fronts))
    place = Place(socket.socket(fileno=int(listener)), socket.socket(fileno=int(pair)), shared, int(number))
    serve_front(place, Path(data), Path(config) if config else None)


if __name__ == "__main__":
    main(*sys.argv[1:])
