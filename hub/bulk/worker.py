"""The process that makes lines ready: started by `hub.bulk.pool`, ended with it or with the hub.

It is told places in files and reads them itself, so that only what is ready goes from process to process.
"""

from __future__ import annotations

import gc
import marshal
import signal
import sys
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from hub.bulk.ready import Preparer, Ready
from hub.orphans import end_with_parent

Piece = tuple[str, int, int]  # file, and from which byte to which


def serve(connection: Connection) -> None:
    """A Setting once, then pieces; an answer a piece."""
    end_with_parent()
    with suppress(EOFError, ConnectionError, KeyboardInterrupt):
        preparer = Preparer(connection.recv())
        gc.freeze()
        while True:
            connection.send_bytes(marshal.dumps(answer(preparer, *connection.recv())))


def answer(preparer: Preparer, path: str, start: int, end: int) -> Any:
    """What is ready and what is refused, as plain tuples."""
    ready: list[Any] = []
    refused: list[Any] = []
    with open(path, "rb") as stream:  # noqa: PTH123 - a tenth of the cost, a thousand times
        stream.seek(start)
        lines = stream.read(end - start).split(b"\n")
    for number, line in enumerate(lines):
        if text := line.strip():
            found = preparer.of(number, text)
            (ready if isinstance(found, Ready) else refused).append(tuple(found))
    return ready, refused


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(Connection(int(sys.argv[1])))
