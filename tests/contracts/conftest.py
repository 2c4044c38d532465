"""Every backend of a port, by name: the contract tests run on each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from itertools import count
from pathlib import Path

import pytest

from hub.store.port import ResourceStore
from hub.store.sqlite import SqliteStore
from hub.store.sqlite.search import Thresholds
from tests.mongod import Server

START = 1_700_000_000_000
Clock = Callable[[], int]

# What is promised here is what is found; a busy machine may take longer than a hub would wait.
UNHURRIED = {"statement_seconds": 120.0}

STORES: dict[str, Callable[[Path, Clock, Server], AbstractContextManager[ResourceStore]]] = {
    "sqlite": lambda folder, clock, _: closing(SqliteStore(folder, clock=clock, **UNHURRIED)),
    # As if every criterion were a common one, so that small data goes the ways of large data.
    "sqlite-walking": lambda folder, clock, _: closing(
        SqliteStore(folder, clock=clock, thresholds=Thresholds(few=0, many=0), **UNHURRIED)
    ),
    "mongo": lambda _, clock, server: server.store(clock=clock, **UNHURRIED),
    "mongo-walking": lambda _, clock, server: server.store(clock=clock, most_ids=0, most_listed=0, **UNHURRIED),
}


def ticking() -> Clock:
    """A clock that moves one second each time it is read."""
    ticks = count(START, 1000)
    return lambda: next(ticks)


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ResourceStore]:
    with _opened(request, tmp_path / "store") as opened:
        yield opened


@pytest.fixture(scope="module", params=STORES)
def shared_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ResourceStore]:
    """Filled once by a module, then only read."""
    with _opened(request, tmp_path_factory.mktemp("store")) as opened:
        yield opened


def _opened(request: pytest.FixtureRequest, folder: Path) -> AbstractContextManager[ResourceStore]:
    """The MongoDB server is started for the first store that needs it."""
    server = request.getfixturevalue("mongodb") if request.param.startswith("mongo") else None
    return STORES[request.param](folder, ticking(), server)
