from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.hub.api.county import Client, Served, served
from tests.mongod import Server


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["sqlite", "mongo"])
def store(request: pytest.FixtureRequest) -> Iterator[str]:
    """Where a hub keeps its resources: "" is its own folder."""
    if request.param == "sqlite":
        yield ""
        return
    server: Server = request.getfixturevalue("mongodb")
    with server.address() as address:
        yield address


@pytest.fixture
async def hub(tmp_path: Path, store: str) -> AsyncIterator[Served]:
    async with served(tmp_path / "data", store=store) as running:
        yield running


@pytest.fixture
async def admin(hub: Served) -> Client:
    return hub.client("admin")
