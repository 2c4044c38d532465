"""The same hub with two facilities as for the API."""

from tests.hub.api.conftest import admin, anyio_backend, hub

__all__ = ["admin", "anyio_backend", "hub"]
