from __future__ import annotations

from tests.hub.api.conftest import admin, anyio_backend, hub, store

__all__ = ["admin", "anyio_backend", "hub", "store"]
