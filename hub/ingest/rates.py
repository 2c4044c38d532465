"""How many a minute, over the last hour: what a person sees as a line beside a channel."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

MINUTES = 60


class PerMinute:
    """Counted in memory since the start; one writer a counter."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counts: deque[tuple[int, int]] = deque(maxlen=MINUTES)  # (minute, how many)

    def add(self, number: int = 1) -> None:
        minute = int(self._clock() // 60)
        if self._counts and self._counts[-1][0] == minute:
            self._counts[-1] = (minute, self._counts[-1][1] + number)
        else:
            self._counts.append((minute, number))

    def counts(self) -> tuple[int, ...]:
        """Of the last sixty minutes, the running one last."""
        now = int(self._clock() // 60)
        known = dict(tuple(self._counts))
        return tuple(known.get(minute, 0) for minute in range(now - MINUTES + 1, now + 1))
