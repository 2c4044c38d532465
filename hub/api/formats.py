"""The shell around /fhir: inside it everything is FHIR JSON as it is stored; outside it a client sends and gets what it speaks.

XML becomes JSON when the interaction reads the body, so after its caller is known, and a JSON answer becomes XML on its way out:
errors, Bundles and operations alike. Bodies sent as gzip are inflated within a limit, longer answers deflated.
A client that wants JSON as it is pays for none of this. https://hl7.org/fhir/R4/http.html#mime-type
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub import fhir_json, fhir_xml
from hub.api.negotiation import (
    BUNDLE_BYTES,
    CONTENT_TYPE,
    FHIR_JSON,
    FHIR_XML,
    RESOURCE_BYTES,
    XML_CONTENT_TYPE,
    XML_TYPES,
    Format,
    NotAcceptable,
    NotJson,
    TooLong,
    check_parameters,
    format_of,
    media_type,
)

STATED = frozenset({b"accept", b"content-type", b"content-encoding", b"accept-encoding"})
LISTS = frozenset({b"accept", b"accept-encoding", b"prefer", b"if-match", b"if-none-match"})
PRESENTATION = "yitong.presentation"
GZIP_FROM = 2048  # bytes; what fits into a packet or two arrives no sooner for being shorter
GZIP_LEVEL = 2
INFLATE_STEP = 256 * 1024
LARGE = 64 * 1024  # above this the event loop does not wait for a translation
TEXTS = (b"application/fhir+", b"application/json", b"application/fhir+ndjson", b"text/")
Headers = list[tuple[bytes, bytes]]
Translate = Callable[[bytes], bytes]


@dataclass(slots=True)
class Presentation:
    """How the answer is to look. A search by POST may still say so in its form."""

    format: Format = "json"
    pretty: bool = False

    @property
    def as_stored(self) -> bool:
        return self.format == "json" and not self.pretty


def presentation_of(scope: Scope) -> Presentation | None:
    found: Presentation | None = scope.get(PRESENTATION)
    return found


class Formats:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not (scope["path"].startswith("/fhir/") or scope["path"] == "/fhir"):
            await self._app(scope, receive, send)
            return
        scope = _folded(scope)
        stated = {name: value for name, value in scope["headers"] if name in STATED}
        if b"content-encoding" in stated:
            scope, receive = _inflated(scope, receive, stated)
        if b"content-type" in stated and media_type(stated[b"content-type"].decode("latin-1")) in XML_TYPES:
            scope, receive = _from_xml(scope, receive, stated)
        if b"gzip" in stated.get(b"accept-encoding", b""):
            send = Deflated(send).send
        scope, asked = _presentation(scope, stated)
        if asked is not None:
            send = Presented(send, asked, scope).send
        await self._app(scope, receive, send)


def _of_binary(scope: Scope) -> bool:
    path: str = scope["path"]
    return path == "/fhir/Binary" or path.startswith("/fhir/Binary/")


def _limit(scope: Scope) -> int:
    path: str = scope["path"]
    return BUNDLE_BYTES if path in ("/fhir", "/fhir/") or "$" in path or _of_binary(scope) else RESOURCE_BYTES


def _restated(scope: Scope, change: dict[bytes, bytes | None]) -> Scope:
    """The request with other headers; None removes one."""
    kept = [(name, value) for name, value in scope["headers"] if name not in change]
    return {**scope, "headers": kept + [(name, value) for name, value in change.items() if value is not None]}


def _folded(scope: Scope) -> Scope:
    """Several lines of one name are one list. https://www.rfc-editor.org/rfc/rfc9110#section-5.3"""
    lines: dict[bytes, bytes | None] = {}
    for name, value in scope["headers"]:
        if name in LISTS:
            former = lines.get(name)
            lines[name] = value if former is None else former + b", " + value
    several = len(lines) != sum(name in LISTS for name, _ in scope["headers"])
    return _restated(scope, lines) if several else scope


# -- what comes in


def _inflated(scope: Scope, receive: Receive, stated: dict[bytes, bytes]) -> tuple[Scope, Receive]:
    if stated[b"content-encoding"].strip().lower() not in (b"gzip", b"x-gzip"):
        return scope, receive  # whoever reads the body says that it cannot
    return _restated(scope, {b"content-encoding": None, b"content-length": None}), Inflated(receive, _limit(scope)).receive


class Inflated:
    """A gzip body piece by piece; it stops at the limit, however small what was sent."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._left = limit
        self._limit = limit
        self._inflating = zlib.decompressobj(wbits=31)
        self._ended = False

    async def receive(self) -> Message:
        """Raise TooLong, or NotJson for what is no gzip."""
        if self._inflating.unconsumed_tail:
            return self._piece(self._inflating.unconsumed_tail)
        if self._ended:
            return await self._receive()
        message = await self._receive()
        if message["type"] != "http.request":
            return message
        self._ended = not message.get("more_body", False)
        return self._piece(message.get("body", b""))

    def _piece(self, deflated: bytes) -> Message:
        try:
            body = self._inflating.decompress(deflated, INFLATE_STEP)
        except zlib.error:
            raise NotJson("the body is not the gzip that Content-Encoding says") from None
        self._left -= len(body)
        if self._left < 0:
            raise TooLong(f"more than {self._limit} bytes when inflated")
        more = not self._ended or bool(self._inflating.unconsumed_tail)
        if not more and not self._inflating.eof:
            raise NotJson("the gzip body ends too early")
        return {"type": "http.request", "body": body, "more_body": more}


def _from_xml(scope: Scope, receive: Receive, stated: dict[bytes, bytes]) -> tuple[Scope, Receive]:
    content_type = stated[b"content-type"].decode("latin-1")
    if _of_binary(scope) and media_type(content_type) != FHIR_XML:
        return scope, receive  # a document of its own, not a Binary resource
    asked = {b"content-type": CONTENT_TYPE.encode(), b"content-length": None}
    return _restated(scope, asked), FromXml(receive, _limit(scope), content_type).receive


class FromXml:
    """The whole body at once, as JSON."""

    def __init__(self, receive: Receive, limit: int, content_type: str) -> None:
        self._receive = receive
        self._limit = limit
        self._content_type = content_type
        self._done = False

    async def receive(self) -> Message:
        """Raise BadXml, TooLong, or NotJson for another character set."""
        if self._done:
            return await self._receive()
        check_parameters(self._content_type)
        text = bytearray()
        while not self._done:
            message = await self._receive()
            if message["type"] != "http.request":
                return message
            text += message.get("body", b"")
            if len(text) > self._limit:
                raise TooLong(f"more than {self._limit} bytes")
            self._done = not message.get("more_body", False)
        body = await _beside(bytes(text), lambda sent: fhir_json.dump(fhir_xml.parse(sent)))
        return {"type": "http.request", "body": body, "more_body": False}


async def _beside(body: bytes, work: Translate) -> bytes:
    return work(body) if len(body) <= LARGE else await asyncio.to_thread(work, body)


# -- what goes out


def _presentation(scope: Scope, stated: dict[bytes, bytes]) -> tuple[Scope, Presentation | None]:
    """How the answer is to look; None where it goes out as it is."""
    accept, query = stated.get(b"accept", b""), scope["query_string"]
    by_form = scope["method"] == "POST" and scope["path"].endswith("/_search")
    if b"xml" not in accept and not by_form and b"_format" not in query and b"_pretty" not in query:
        return scope, None
    asked, pairs = Presentation(), parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    named = dict(pairs).get("_format")
    with suppress(NotAcceptable):  # the interaction says so, once it knows its caller
        asked.format = format_of(named, accept.decode("latin-1") or "*/*")
    asked.pretty = dict(pairs).get("_pretty") == "true"
    scope[PRESENTATION] = asked
    if asked.format == "xml" and _of_binary(scope):
        if named is None and FHIR_XML.encode() not in accept:
            return scope, None  # the bytes of an XML document
        query = urlencode([pair for pair in pairs if pair[0] != "_format"]).encode()
        scope = {**_restated(scope, {b"accept": FHIR_JSON.encode()}), "query_string": query}
    return scope, asked if by_form or not asked.as_stored else None


class Presented:
    """Holds a FHIR JSON answer until it is whole; what is no FHIR JSON passes as it comes."""

    def __init__(self, send: Send, asked: Presentation, scope: Scope) -> None:
        self._send = send
        self._asked = asked
        self._head = scope["method"] == "HEAD"
        self._start: Message | None = None
        self._body = bytearray()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and not self._asked.as_stored and _is_fhir_json(message):
            self._start = message
            return
        if self._start is None:
            await self._send(message)
            return
        self._body += message.get("body", b"")
        if not message.get("more_body", False):
            await self._send_whole(self._start, bytes(self._body))

    async def _send_whole(self, start: Message, body: bytes) -> None:
        kind = CONTENT_TYPE
        if self._asked.format == "xml":
            kind = XML_CONTENT_TYPE
            body = await _beside(body, self._xml) if body else body
        elif body:
            body = await _beside(body, lambda stored: msgspec.json.format(stored, indent=2))
        headers = _with(start["headers"], {b"content-type": kind.encode(), b"vary": b"accept"})
        if body or not self._head:
            headers.append((b"content-length", str(len(body)).encode()))
        await self._send({**start, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})

    def _xml(self, body: bytes) -> bytes:
        return fhir_xml.from_json(body, pretty=self._asked.pretty)


def _header(message: Message, name: bytes) -> bytes:
    return next((value for key, value in message.get("headers", ()) if key.lower() == name), b"")


def _is_fhir_json(message: Message) -> bool:
    return _header(message, b"content-type").startswith(FHIR_JSON.encode())


def _with(headers: Headers, change: dict[bytes, bytes]) -> Headers:
    """Other values, and no length: the body changes."""
    kept = [(name, value) for name, value in headers if name.lower() not in change and name.lower() != b"content-length"]
    return kept + list(change.items())


class Deflated:
    """gzip for text of some length, whole or in pieces."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None
        self._deflating: zlib._Compress | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _deflatable(message):
            self._start = message
            return
        if message["type"] == "http.response.body" and (self._start or self._deflating):
            await self._piece(message.get("body", b""), more=message.get("more_body", False))
            return
        await self._send(message)

    async def _piece(self, body: bytes, *, more: bool) -> None:
        if self._start is not None:
            start, self._start = self._start, None
            if not more and len(body) < GZIP_FROM:
                await self._send(start)
                await self._send({"type": "http.response.body", "body": body})
                return
            self._deflating = zlib.compressobj(GZIP_LEVEL, wbits=31)
            headers = _with(start["headers"], {b"content-encoding": b"gzip", b"vary": b"accept, accept-encoding"})
            if not more:
                body = await _beside(body, self._all)
                headers.append((b"content-length", str(len(body)).encode()))
                await self._send({**start, "headers": headers})
                await self._send({"type": "http.response.body", "body": body})
                return
            await self._send({**start, "headers": headers})
        assert self._deflating is not None  # noqa: S101  made with the first piece
        deflated = self._deflating.compress(body) + (b"" if more else self._deflating.flush())
        await self._send({"type": "http.response.body", "body": deflated, "more_body": more})

    def _all(self, body: bytes) -> bytes:
        assert self._deflating is not None  # noqa: S101
        return self._deflating.compress(body) + self._deflating.flush()


def _deflatable(message: Message) -> bool:
    if message["status"] in (204, 304) or _header(message, b"content-encoding"):
        return False
    return _header(message, b"content-type").startswith(TEXTS)
