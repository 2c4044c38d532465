"""Processes that make lines ready while this one writes: pieces of files go out in turn, answers come back in the same order."""

from __future__ import annotations

import marshal
import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from multiprocessing.connection import Pipe
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

from hub.bulk.ready import Preparer, Ready, Refused, Setting
from hub.bulk.worker import answer
from hub.errors import Unavailable

LINES, BYTES = 250, 1 << 20  # of a piece, which is one transaction
SMALL = 512 << 10  # bytes that are made ready sooner than a process starts
LONGEST = 32 << 20  # what is longer is read on, and refused by its length
AHEAD = 3  # pieces that wait for each process
MOST = 4
SECONDS = 300.0  # for one piece


class Piece(NamedTuple):
    """Some lines of a file."""

    file: int
    line: int  # of its first, from 0
    start: int  # byte
    end: int
    lines: int


class Made(NamedTuple):
    piece: Piece
    ready: list[Ready]
    refused: list[Refused]


def pieces(path: Path, file: int, start: int, line: int) -> Iterator[Piece]:
    """Of one file, from a place on."""
    with path.open("rb") as stream:
        stream.seek(start)
        while True:
            end, lines = start, 0
            while lines < LINES and end - start < BYTES and (size := _line(stream)):
                end += size
                lines += 1
            if end == start:
                return
            yield Piece(file, line, start, end, lines)
            start, line = end, line + lines


def _line(stream: BinaryIO) -> int:
    """How long the next line is, its end included."""
    size = 0
    while True:
        text = stream.readline(LONGEST)
        size += len(text)
        if len(text) < LONGEST or text.endswith(b"\n"):
            return size


class Preparing(Protocol):
    def made(self, files: list[Path], wanted: Iterator[Piece]) -> Iterator[Made]:
        """In the order of the pieces."""

    def close(self) -> None: ...


def preparing(setting: Setting, size: int) -> Preparing:
    """For files of so many bytes in all: what is soon done starts no process."""
    return Here(setting) if size <= SMALL else Pool(setting)


class Here:
    """In the calling thread."""

    def __init__(self, setting: Setting) -> None:
        self._preparer = Preparer(setting)

    def made(self, files: list[Path], wanted: Iterator[Piece]) -> Iterator[Made]:
        for piece in wanted:
            yield _made(piece, *answer(self._preparer, str(files[piece.file]), piece.start, piece.end))

    def close(self) -> None:
        """Nothing runs between two pieces."""


def _made(piece: Piece, ready: Iterable[Any], refused: Iterable[Any]) -> Made:
    return Made(piece, list(map(Ready._make, ready)), list(map(Refused._make, refused)))


class Pool:
    def __init__(self, setting: Setting, processes: int = 0) -> None:
        self._workers = [_Worker(setting) for _ in range(processes or min(os.cpu_count() or 1, MOST))]

    def made(self, files: list[Path], wanted: Iterator[Piece]) -> Iterator[Made]:
        """In the order of the pieces. Raise Unavailable if a process died."""
        asked: deque[tuple[_Worker, Piece]] = deque()
        number = 0
        try:
            for piece in wanted:
                worker = self._workers[number % len(self._workers)]
                worker.connection.send((str(files[piece.file]), piece.start, piece.end))
                asked.append((worker, piece))
                number += 1
                if len(asked) >= AHEAD * len(self._workers):
                    yield self._answer(*asked.popleft())
            while asked:
                yield self._answer(*asked.popleft())
        except (EOFError, OSError) as error:
            raise Unavailable(f"a process that makes resources ready died: {type(error).__name__}") from None

    def _answer(self, worker: _Worker, piece: Piece) -> Made:
        if not worker.connection.poll(SECONDS):
            raise EOFError
        ready, refused = marshal.loads(worker.connection.recv_bytes())  # noqa: S302 - from our own process
        return _made(piece, ready, refused)

    def close(self) -> None:
        for worker in self._workers:
            worker.end()


class _Worker:
    def __init__(self, setting: Setting) -> None:
        self.connection, theirs = Pipe()
        with theirs:
            handle = theirs.fileno()
            arguments = [sys.executable, "-m", "hub.bulk.worker", str(handle)]
            self._process = subprocess.Popen(arguments, pass_fds=(handle,), stdin=subprocess.DEVNULL, start_new_session=True)
        self.connection.send(setting)

    def end(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()
        self.connection.close()
