"""Who is connected, how many may be, and who has to go when there is no room: those that are stuck, the longest stuck first.

A peer is stuck that has begun a block and not ended it, that does not read its answers, or that has connected and said nothing. It
costs the others nothing as long as there is room; a full house makes room by letting the stuck go, never by turning a working peer
away for them.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

GRACE = 1.0  # seconds in which nobody counts as stuck


@dataclass(slots=True, eq=False)
class Seat:
    """One connection; times are the event loop's."""

    peer: str
    leave: Callable[[], object]
    taken: float
    served: bool = False  # at least one whole block came
    inside: float | None = None  # since when it is inside a block
    writing: float | None = None  # since when it does not read
    buffered: int = 0  # bytes of the block begun

    def stuck_since(self) -> float | None:
        if self.writing is not None:
            return self.writing
        if self.inside is not None:
            return self.inside
        return None if self.served else self.taken


class Seats:
    def __init__(self, most: int, most_per_peer: int, most_buffered: int) -> None:
        self._most, self._most_per_peer, self._most_buffered = most, most_per_peer, most_buffered
        self._seats: set[Seat] = set()
        self._peers: Counter[str] = Counter()
        self.buffered = 0  # bytes of blocks begun, all seats together
        self.evicted = 0

    def take(self, peer: str, leave: Callable[[], object]) -> Seat | None:
        """A seat; None when there is no room and nobody is stuck. `leave` is called when the seat is given to somebody else."""
        now = asyncio.get_running_loop().time()
        if self._peers[peer] >= self._most_per_peer and not self._evict(now, lambda seat: seat.peer == peer):
            return None
        if len(self._seats) >= self._most and not self._evict(now, lambda _: True):
            return None
        seat = Seat(peer, leave, now)
        self._seats.add(seat)
        self._peers[peer] += 1
        return seat

    def free(self, seat: Seat) -> None:
        if seat not in self._seats:
            return
        self._seats.discard(seat)
        self.buffered -= seat.buffered
        self._peers[seat.peer] -= 1
        if not self._peers[seat.peer]:
            del self._peers[seat.peer]

    def buffer(self, seat: Seat, size: int) -> bool:
        """`seat` now holds so many bytes of a block; False if that is more than all together may and nobody stuck could go."""
        self.buffered += size - seat.buffered
        seat.buffered = size
        while self.buffered > self._most_buffered:
            if not self._evict(asyncio.get_running_loop().time(), lambda other: other is not seat and other.buffered > 0):
                return False
        return True

    def _evict(self, now: float, among: Callable[[Seat], bool]) -> bool:
        stuck = [(since, seat) for seat in self._seats if among(seat) and (since := seat.stuck_since()) is not None]
        since, seat = min(stuck, key=lambda each: each[0], default=(now, None))
        if seat is None or now - since < GRACE:
            return False
        self.free(seat)
        self.evicted += 1
        seat.leave()
        return True
