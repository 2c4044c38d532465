"""The fronts of a hub, as the writing process sees them: started, answered, started anew if one dies, stopped in order."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from starlette.types import ASGIApp

from hub.serving.accepting import ABSENT, Counts
from hub.serving.front import Place, serve_front
from hub.serving.tunnel import Calls, Gone, Tunnel

log = logging.getLogger(__name__)

AGAIN_SECONDS = 1.0  # a front that died is started again after this
STOP_SECONDS = 15.0


class Forked:
    """A copy of this process that runs a front; waited for and killed like a Popen."""

    def __init__(self, run: Callable[[], None]) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            _be(run)

    def wait(self, timeout: float = math.inf) -> int:
        """Raise TimeoutExpired."""
        until = time.monotonic() + timeout
        while self.returncode is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            if ended:
                self.returncode = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > until:
                raise subprocess.TimeoutExpired("front", timeout)
            else:
                time.sleep(0.02)
        return self.returncode

    def kill(self) -> None:
        if self.returncode is None:
            os.kill(self.pid, signal.SIGKILL)


def _be(run: Callable[[], None]) -> NoReturn:
    """In the copy: a session of its own, so that Ctrl-C reaches the writing process alone; then `run`, and nothing after it."""
    status = 1
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        run()
        status = 0
    except BaseException as error:  # what this process would do with it is the writing process's to do
        log.error("a front could not go on: %s", type(error).__name__)  # noqa: TRY400
    finally:
        os._exit(status)


@dataclass
class Front:
    """A process, which of the fronts it is, and our end of its tunnel."""

    number: int
    process: subprocess.Popen[bytes] | Forked
    pair: socket.socket


@dataclass(frozen=True)
class Command:
    """What every front is started with."""

    listener: socket.socket
    data: Path
    config: Path | None
    counts: Counts
    fronts: int

    def fork(self, number: int, others: Sequence[Front]) -> Front:
        """A front that need not import anything. Only while this process has one thread: before the store is opened.

        What it inherits of its siblings it lets go, so that each of them sees the writing process end.
        """
        ours, theirs = socket.socketpair()

        def run() -> None:
            for pair in (ours, *(other.pair for other in others)):
                pair.close()
            serve_front(Place(self.listener, theirs, self.counts, number), self.data, self.config)

        with theirs:
            return Front(number, Forked(run), ours)

    def start(self, number: int) -> Front:
        """In the place of one that died. It listens when it hears "go"."""
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
    """Started before the store is opened; `serve` answers what they hand on."""

    def __init__(self, listener: socket.socket, data: Path, config: Path | None, count: int) -> None:
        self._counts = Counts.of(count)
        self._command = Command(listener, data, config, self._counts, count)
        self._started: list[Front] = []
        for number in range(count):
            self._started.append(self._command.fork(number, self._started))
        self._tunnels: set[Tunnel] = set()
        self._stopping = False
        self._up = asyncio.Event()
        self._waiting = count

    async def serve(self, app: ASGIApp, calls: Calls) -> None:
        """Until `stop` was called and every front ended."""
        await asyncio.gather(*(self._keep(front, app, calls) for front in self._started))

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

    async def _keep(self, front: Front, app: ASGIApp, calls: Calls) -> None:
        while True:
            await self._one(front, app, calls)
            if self._stopping:
                return
            log.error("a front process ended with status %s and is started again", front.process.returncode)
            await asyncio.sleep(AGAIN_SECONDS)
            front = self._command.start(front.number)

    async def _one(self, front: Front, app: ASGIApp, calls: Calls) -> None:
        async def hear(word: str) -> None:
            if word == "up":
                self._waiting -= 1
                if self._waiting <= 0:
                    self._up.set()

        tunnel = await Tunnel.over(front.pair, app=app, calls=calls, control=hear)
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


def _ended(process: subprocess.Popen[bytes] | Forked) -> None:
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
