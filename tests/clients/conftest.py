"""A hub behind a real HTTP server on loopback, for clients that nobody adapted to it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import uvicorn

from hub.app import create_app, open_hub
from tests.hub.api.county import COUNTY


@dataclass(frozen=True)
class Server:
    base: str
    token: str  # a clinician's
    admin: str


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    hub = open_hub(tmp_path_factory.mktemp("hub"), COUNTY)
    listening = socket.create_server(("127.0.0.1", 0))
    running = uvicorn.Server(uvicorn.Config(create_app(hub), log_level="warning", lifespan="off"))
    thread = threading.Thread(target=running.run, args=([listening],), daemon=True)
    thread.start()
    try:
        port = listening.getsockname()[1]
        tokens = hub.tokens.create("client", "clinician", "CTY"), hub.tokens.create("all", "admin")
        yield Server(f"http://127.0.0.1:{port}/fhir", *tokens)
    finally:
        running.should_exit = True
        thread.join(10)
        listening.close()
        hub.close()
