"""The same hub with two facilities as for the API, on each store."""

from __future__ import annotations

import pytest

from tests.hub.api.conftest import admin, anyio_backend, hub, store
from tests.hub.api.county import Client, Served

__all__ = ["admin", "anyio_backend", "hub", "store"]


@pytest.fixture
async def nurse(hub: Served) -> Client:
    return hub.client("clinician", "TWN")
