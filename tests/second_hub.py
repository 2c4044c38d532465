"""Another hub, on a port of the loopback: what this one pulls from, and reports to, over real HTTP."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import uvicorn

from hub.app import Hub, create_app, open_hub
from hub.security.access import Role
from hub.settings import County

STARTING = 30.0


@dataclass
class SecondHub:
    hub: Hub
    port: int

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}/fhir"

    def token(self, role: Role = "system", facility: str = "") -> str:
        return self.hub.tokens.create(f"{role} {facility}", role, facility)

    def client(self, role: Role = "admin", facility: str = "") -> httpx.Client:
        headers = {"authorization": f"Bearer {self.token(role, facility)}", "content-type": "application/fhir+json"}
        return httpx.Client(base_url=f"{self.base}/", headers=headers, timeout=60)


@contextmanager
def second_hub(folder: Path, county: County) -> Iterator[SecondHub]:
    hub = open_hub(folder, county)
    server = uvicorn.Server(uvicorn.Config(create_app(hub), port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        until = time.monotonic() + STARTING
        while not server.started:
            assert thread.is_alive()
            assert time.monotonic() < until
            time.sleep(0.01)
        yield SecondHub(hub, server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(STARTING)
        hub.close()
