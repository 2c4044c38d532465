from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.hub.api.conftest import anyio_backend, store
from tests.hub.api.county import Client, Served, served
from tests.hub.subscriptions.receiver import OUTWARD, Receiver

__all__ = ["anyio_backend", "store"]


@pytest.fixture
async def hub(tmp_path: Path, store: str) -> AsyncIterator[Served]:
    async with served(tmp_path / "data", OUTWARD, store=store) as running:
        yield running


@pytest.fixture
async def admin(hub: Served) -> Client:
    return hub.client("admin")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with ExitStack() as stack:
        yield stack.enter_context(Receiver())
