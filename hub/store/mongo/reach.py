"""Whether the server answers. While it does not, one question at a time is put to it; who else asks is told at once.

Without this every thread of the hub would soon wait for a silent server, and with them who asks nothing of it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pymongo.errors import ConnectionFailure

from hub.errors import Unavailable


class Reach:
    def __init__(self) -> None:
        self._silent = False
        self._trying = threading.Lock()

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Around a question. Raise Unavailable where another one waits for a silent server."""
        if not self._silent:
            with self._heard():
                yield
            return
        if not self._trying.acquire(blocking=False):
            raise Unavailable("the store's server does not answer; try again")
        try:
            with self._heard():
                yield
        finally:
            self._trying.release()

    @contextmanager
    def _heard(self) -> Iterator[None]:
        silent = False
        try:
            yield
        except ConnectionFailure:
            silent = True
            raise
        finally:  # whatever else became of the question: it was answered
            self._silent = silent
