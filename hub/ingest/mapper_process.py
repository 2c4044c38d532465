"""A process that maps, seen from the hub: entries in, an answer each, and how long the present one has computed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Pipe
from pathlib import Path

from hub.ingest.journal import Entry
from hub.ingest.mapping import Attempt
from mappers.base import MappingContext

PATIENCE = 6  # times as long passes before a worker that hardly computes is given up
STARTING = 60.0  # a worker importing the mappers on a slow disk
LOOK = 0.25  # seconds between two looks at how much it has computed


class MapperUnavailable(OSError):
    """No process for mapping can be started: no record's fault."""


class MapperProcess:
    """Ready to map. Raise MapperUnavailable if it does not come up."""

    def __init__(self, contexts: Mapping[str, MappingContext], folder: Path, memory: int, modules: Sequence[str]) -> None:
        self._connection, theirs = Pipe()
        with theirs:
            handle = theirs.fileno()
            arguments = [sys.executable, "-m", "hub.ingest.worker", str(handle)]
            try:
                self._process = subprocess.Popen(arguments, pass_fds=(handle,), stdin=subprocess.DEVNULL, start_new_session=True)
            except OSError as error:
                self._connection.close()
                raise MapperUnavailable(error.errno, "the mapper's process cannot be started") from None
        try:
            self._connection.send((dict(contexts), folder, memory, tuple(modules)))
            came_up = self._connection.poll(STARTING) and self._connection.recv()
        except (EOFError, OSError):
            came_up = False
        if not came_up:
            self.end()
            raise MapperUnavailable("the mapper's process does not come up")
        self._begin()

    def give(self, entries: Sequence[Entry]) -> None:
        """To be mapped in this order. Only when it has answered for all that it was given."""
        self._connection.send(entries)
        self._begin()

    def answers(self, seconds: float) -> bool:
        """Whether the next answer comes before so much is computed for it."""
        if self.has_answered():
            return True
        self._begin()
        while not self.overdue(seconds):
            if self.has_answered(min(LOOK, seconds / 4)):
                return True
        return False

    def has_answered(self, patience: float = 0) -> bool:
        """Within `patience` seconds; true too of one that died, which `answer` then tells."""
        return self._connection.poll(patience)

    def answer(self) -> Attempt:
        """The next one. Raise EOFError or OSError if the process is gone."""
        answer: Attempt = self._connection.recv()
        return answer

    def overdue(self, seconds: float) -> bool:
        """So much was computed for the present record. On a busy machine time passes that the worker did not have."""
        return self._computed() - self._had_computed >= seconds or time.monotonic() - self._began >= PATIENCE * seconds

    def end(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()
        self._connection.close()

    def how_it_ended(self, error: Exception) -> str:
        try:
            code = self._process.wait(1)
        except subprocess.TimeoutExpired:
            return type(error).__name__
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit {code}"

    def _begin(self) -> None:
        self._had_computed, self._began = self._computed(), time.monotonic()

    def _computed(self) -> float:
        """Processor seconds so far. https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html"""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
