"""Which refusals are written down: those that never came as far as the door, one for each caller and minute.

A token that opens nothing, a body that is no JSON, an address that is not served: each may come ten thousand times a second, and
the trail must not become the way to fill the disk. https://profiles.ihe.net/ITI/BALP/content.html
"""

from __future__ import annotations

from collections.abc import Callable

from hub.security.access import Access
from hub.security.audit import Action

MINUTE = 60_000
MOST = 500  # callers told apart within a minute; who comes after them is not written down

Asked = tuple[Action, str]
ASKED: dict[str, Asked] = {
    "GET": ("R", "read"),
    "HEAD": ("R", "read"),
    "POST": ("C", "create"),
    "PUT": ("U", "update"),
    "PATCH": ("U", "patch"),
    "DELETE": ("D", "delete"),
}
"""HTTP method → action and interaction, as far as a request that nobody looked into says."""


class Refusals:
    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._minute = 0
        self._told: set[tuple[str, str]] = set()

    def first(self, access: Access) -> bool:
        """Whether this is the caller's first one in this minute."""
        minute = self._clock() // MINUTE
        if minute != self._minute:
            self._minute = minute
            self._told.clear()
        caller = (access.token_id, access.address)
        if caller in self._told or len(self._told) >= MOST:
            return False
        self._told.add(caller)
        return True
