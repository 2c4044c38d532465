"""A hub on either store, entered by HTTP."""

from __future__ import annotations

from tests.hub.api.conftest import anyio_backend, hub, store

__all__ = ["anyio_backend", "hub", "store"]
