from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.hub.api.county import Client, Served, served


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path / "data") as running:
        yield running


@pytest.fixture
async def admin(hub: Served) -> Client:
    return hub.client("admin")


@pytest.fixture
async def nurse(hub: Served) -> Client:
    return hub.client("clinician", "TWN")
