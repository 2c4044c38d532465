"""The county of `county.py` behind the real application: over ASGI, and over HTTP for a browser."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn

from hub.recognition.router import router as recognition_router
from hub.web.router import install
from tests.hub.web.county import Site, build
from tests.hub.web.workbench import Bench

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"]


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """With sixty residents more, so that a common name has too many hits."""
    site = build(tmp_path_factory.mktemp("county"), extra=60)
    if not any(getattr(route, "path", "") == "/login" for route in site.app.routes):
        install(site.app)
        site.app.include_router(recognition_router, prefix="/fhir")
    yield site
    site.hub.close()


class Visitor:
    """A browser without script: it keeps cookies and fills in the forms that it is shown."""

    def __init__(self, site: Site | Bench) -> None:
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(site.app), base_url="http://hub.test")
        self.site = site
        self.csrf = ""

    async def get(self, path: str, **headers: str) -> httpx.Response:
        answer = await self.http.get(path, headers=headers)
        self._remember(answer)
        return answer

    async def post(self, path: str, *, htmx: bool = False, **fields: str) -> httpx.Response:
        answer = await self.http.post(path, data={"csrf": self.csrf, **fields}, headers={"hx-request": "true"} if htmx else {})
        self._remember(answer)
        return answer

    async def login(self, who: str, next: str = "/p") -> httpx.Response:
        await self.get("/login")
        answer = await self.post("/login", token=self.site.tokens[who], next=next)
        await self.get("/p")
        return answer

    def _remember(self, answer: httpx.Response) -> None:
        found = re.search('name="csrf" value="([^"]+)"', answer.text)
        self.csrf = found[1] if found else self.csrf


@pytest.fixture
def visitor(site):
    return Visitor(site)


@contextmanager
def served(app) -> Iterator[str]:
    """The application over HTTP on a free port; its address."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(10)
    listener.close()


@pytest.fixture(scope="session")
def address(site):
    with served(site.app) as address:
        yield address


@pytest.fixture(scope="module")  # its event loop must end before tests that run their own
def chromium():
    from playwright.sync_api import sync_playwright

    if not CHROMIUM.exists():
        pytest.fail("Chromium is missing: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()
