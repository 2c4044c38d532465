"""What was worked out, kept within a bound; what was used longest ago goes first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Kept(Generic[K, V]):
    """Each value has a size; the newest one stays even if it is larger than the bound. Thread-safe."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._values: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def get(self, key: K) -> tuple[V] | None:
        """In a tuple: a kept None is not an absence."""
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return (self._values[key][0],)

    def put(self, key: K, value: V, *, size: int) -> None:
        with self._lock:
            self._drop(key)
            self._values[key] = (value, size)
            self._size += size
            while self._size > self._bound and len(self._values) > 1:
                self._drop(next(iter(self._values)))

    def clear(self) -> None:
        with self._lock:
            self._values.clear()
            self._size = 0

    def _drop(self, key: K) -> None:
        if key in self._values:
            self._size -= self._values.pop(key)[1]
