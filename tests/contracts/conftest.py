"""Every backend of a port, by name: the contract tests run on each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from hub.store.port import ResourceStore
from hub.store.sqlite import SqliteStore
from hub.store.sqlite.search import Thresholds

START = 1_700_000_000_000
Clock = Callable[[], int]

STORES: dict[str, Callable[[Path, Clock], ResourceStore]] = {
    "sqlite": lambda folder, clock: SqliteStore(folder, clock=clock),
    # As if every criterion were a common one, so that small data goes the ways of large data.
    "sqlite-walking": lambda folder, clock: SqliteStore(folder, clock=clock, thresholds=Thresholds(few=0, many=0)),
}


def ticking() -> Clock:
    """A clock that moves one second each time it is read."""
    ticks = count(START, 1000)
    return lambda: next(ticks)


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ResourceStore]:
    opened = STORES[request.param](tmp_path / "store", ticking())
    yield opened
    opened.close()


@pytest.fixture(scope="module", params=STORES)
def shared_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ResourceStore]:
    """Filled once by a module, then only read."""
    opened = STORES[request.param](tmp_path_factory.mktemp("store"), ticking())
    yield opened
    opened.close()
