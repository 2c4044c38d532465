"""A resource's place in the order of creation: when it was made, then a number that no other process gives at that moment."""

from __future__ import annotations

import threading

from hub.store.mongo.database import TAKEN

BITS = 20  # below the milliseconds: enough for 1,024 resources a millisecond in each of 1,024 processes
PER_MILLISECOND = 1 << BITS


class Places:
    """Ascending within this process, and unlike those of any other."""

    def __init__(self, process: int) -> None:
        self._process = process
        self._last = 0
        self._lock = threading.Lock()

    def next(self, updated: int) -> int:
        with self._lock:
            first = updated * PER_MILLISECOND + self._process
            self._last = max(first, self._last + TAKEN)
            return self._last
