"""The fronts of a hub, as the writing process sees them: started, answered, started anew if one dies, stopped in order."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from starlette.types import ASGIApp

from hub.serving.accepting import ABSENT, Counts
from hub.serving.tunnel import Gone, Tunnel

log = logging.getLogger(__name__)

AGAIN_SECONDS = 1.0  # a front that died is started again after this
STOP_SECONDS = 15.0


@dataclass
class Front:
    """A process, which of the fronts it is, and our end of its tunnel."""

    number: int
    process: subprocess.Popen[bytes]
    pair: socket.socket


@dataclass(frozen=True)
class Command:
    """What every front is started with."""

    listener: socket.socket
    data: Path
    config: Path | None
    counts: Counts
    fronts: int

    def start(self, number: int) -> Front:
        """The process prepares itself while the store is opened; it listens when it hears "go"."""
        ours, theirs = socket.socketpair()
        with theirs:
            descriptors = self.listener.fileno(), theirs.fileno(), self.counts.descriptor
            arguments = [*map(str, (*descriptors, number, self.fronts)), str(self.data), str(self.config or "")]
            process = subprocess.Popen(
                [sys.executable, "-m", "hub.serving.front", *arguments],
                pass_fds=descriptors,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C reaches the writing process alone, which stops the others in order
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        return Front(number, process, ours)


class Fronts:
    """`started` before the store was opened; `serve` answers what they hand on."""

    def __init__(self, listener: socket.socket, data: Path, config: Path | None, count: int) -> None:
        self._counts = Counts.of(count)
        self._command = Command(listener, data, config, self._counts, count)
        self._started = [self._command.start(number) for number in range(count)]
        self._tunnels: set[Tunnel] = set()
        self._stopping = False
        self._up = asyncio.Event()
        self._waiting = count

    async def serve(self, app: ASGIApp) -> None:
        """Until `stop` was called and every front ended."""
        await asyncio.gather(*(self._keep(front, app) for front in self._started))

    async def all_up(self) -> None:
        await self._up.wait()

    async def stop(self) -> None:
        self._stopping = True
        for tunnel in list(self._tunnels):
            try:
                await tunnel.say("stop")
            except Gone:
                continue

    def kill(self) -> None:
        """When nothing was served yet."""
        for front in self._started:
            front.pair.close()
            front.process.kill()
            front.process.wait()

    async def _keep(self, front: Front, app: ASGIApp) -> None:
        while True:
            await self._one(front, app)
            if self._stopping:
                return
            log.error("a front process ended with status %s and is started again", front.process.returncode)
            await asyncio.sleep(AGAIN_SECONDS)
            front = self._command.start(front.number)

    async def _one(self, front: Front, app: ASGIApp) -> None:
        async def hear(word: str) -> None:
            if word == "up":
                self._waiting -= 1
                if self._waiting <= 0:
                    self._up.set()

        tunnel = await Tunnel.over(front.pair, app=app, control=hear)
        self._tunnels.add(tunnel)
        try:
            await tunnel.say("go")
            await tunnel.run()
        except Gone:
            pass
        finally:
            self._tunnels.discard(tunnel)
            self._counts.state(front.number, ABSENT)
            await asyncio.to_thread(_ended, front.process)


def _ended(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
