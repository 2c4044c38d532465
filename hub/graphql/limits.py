"""What one query may cost: it ends with a clear answer before it costs others anything."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from hub.errors import Kind
from hub.graphql.document import MAX_DEPTH, Refused

MAX_VALUES = 200_000  # values in the answer
MAX_RESOURCES = 2_000  # read for it
MAX_SEARCHES = 200
MAX_SECONDS = 10.0
MAX_ERRORS = 100  # told of in one answer


@dataclass(slots=True)
class Spent:
    clock: Callable[[], float] = time.monotonic
    values: int = 0
    resources: int = 0
    searches: int = 0
    began: float = field(init=False)

    def __post_init__(self) -> None:
        self.began = self.clock()

    def value(self, depth: int) -> None:
        self.values += 1
        if depth > MAX_DEPTH:
            raise too_costly(f"fields lie deeper than {MAX_DEPTH} in one another")
        if self.values > MAX_VALUES:
            raise too_costly(f"the answer would hold more than {MAX_VALUES} values")
        if self.values % 256 == 0:
            self.time()

    def read(self, resources: int) -> None:
        self.resources += resources
        if self.resources > MAX_RESOURCES:
            raise too_costly(f"more than {MAX_RESOURCES} resources would be read: ask for fewer by _count, or in pages")
        self.time()

    def search(self) -> None:
        self.searches += 1
        if self.searches > MAX_SEARCHES:
            raise too_costly(f"more than {MAX_SEARCHES} searches would be made")

    def time(self) -> None:
        if self.clock() - self.began > MAX_SECONDS:
            raise too_costly(f"the answer takes longer than {MAX_SECONDS:.0f} seconds")


def too_costly(message: str) -> Refused:
    return Refused(message, kind=Kind.TOO_COSTLY)
