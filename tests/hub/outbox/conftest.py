from __future__ import annotations

from tests.hub.api.conftest import anyio_backend, store
from tests.hub.outbox.resources import running

__all__ = ["anyio_backend", "running", "store"]
