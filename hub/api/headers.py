"""Headers that every answer carries: nothing is sniffed, framed, cached by proxies or told to other sites.

And for HEAD only the headers, the same as for GET. https://hl7.org/fhir/R4/http.html#head
"""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

DEFAULTS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
_RAW = tuple((name.encode(), value.encode()) for name, value in DEFAULTS.items())


class SecurityHeaders:
    """A route that sets one of them keeps its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                stated = message.get("headers", [])
                present = {name for name, _ in stated}
                message["headers"] = [*stated, *(pair for pair in _RAW if pair[0] not in present)]
            elif scope["method"] == "HEAD":
                message = {**message, "body": b""}
            await send(message)

        await self._app(scope, receive, send_with_headers)
