"""The same hub with two facilities as for the API, on each store."""

from tests.hub.api.conftest import admin, anyio_backend, hub, store

__all__ = ["admin", "anyio_backend", "hub", "store"]
