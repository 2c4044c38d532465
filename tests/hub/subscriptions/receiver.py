"""A web server on the loopback that hears what a subscriber hears, and answers as it is told to."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.hub.api.county import COUNTY

SETTINGS = {"first_retry_seconds": 0.05, "longest_retry_seconds": 0.2}
OUTWARD = COUNTY.model_validate(
    {
        **COUNTY.model_dump(by_alias=True),
        "egress": {"allow": ["127.0.0.0/8"]},
        "subscriptions": SETTINGS,
    }
)
SECONDS = 20.0


@dataclass(frozen=True)
class Call:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def number(self) -> int:
        return int(self.headers["x-event-number"])

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Receiver:
    """`answer` says the status, and headers, for each call in turn; without it 200."""

    answer: Callable[[Call], tuple[int, dict[str, str]]] = lambda _: (200, {})
    calls: list[Call] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def __enter__(self) -> Receiver:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("content-length", 0))
                body = self.rfile.read(length)
                if len(body) < length:  # the sender died at it
                    return
                call = Call(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
                status, headers = receiver.answer(call)
                with receiver.changed:
                    receiver.calls.append(call)
                    receiver.changed.notify_all()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def url(self, path: str = "/hook") -> str:
        return f"http://127.0.0.1:{self._server.server_port}{path}"

    def of(self, path: str) -> list[Call]:
        with self.changed:
            return [call for call in self.calls if call.path == path]

    def wait(self, count: int, path: str = "/hook", seconds: float = SECONDS) -> list[Call]:
        """The first `count` calls of a path, once they are there."""
        with self.changed:
            done = self.changed.wait_for(lambda: sum(call.path == path for call in self.calls) >= count, seconds)
        assert done, f"{len(self.of(path))} of {count} calls came"
        return self.of(path)

    async def hears(self, count: int, path: str = "/hook") -> list[Call]:
        return await asyncio.to_thread(self.wait, count, path)


async def becomes(holds: Callable[[], Any], seconds: float = SECONDS) -> Any:
    """What `holds` says, once it says anything; it may be a coroutine function."""
    until = time.monotonic() + seconds
    while True:
        found = holds()
        found = await found if asyncio.iscoroutine(found) else found
        if found:
            return found
        assert time.monotonic() < until, "it did not come to be"
        await asyncio.sleep(0.02)


def subscription(id: str, endpoint: str, criteria: str = "Observation?code=2345-7", **channel: Any) -> dict[str, Any]:
    hook: dict[str, Any] = {"type": "rest-hook", "endpoint": endpoint, "payload": "application/fhir+json", **channel}
    return {
        "resourceType": "Subscription",
        "id": id,
        "status": "requested",
        "reason": "a test",
        "criteria": criteria,
        "channel": {name: value for name, value in hook.items() if value},
    }
