"""The one-operation service: HIPMessageServer(action, message) → journal → MCCI_IN000002UV01.

AA once the message is synced to disk. AE: the trouble is ours, send it again later. AR: the request is wrong, or asks for what this
service does not tell. A caller whose envelope cannot be read gets a SOAP fault. The port is the channel's own, for the systems that
call it know neither tokens nor FHIR.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import count
from typing import Any, NamedTuple

import uvicorn

from connectors import tls
from connectors.base import Intake, JournalUnavailable, SourceRecord, SourceUnavailable
from connectors.ports import bound
from connectors.soap.actions import asks, known_action
from connectors.soap.config import SoapConfig
from connectors.soap.credentials import Guard
from connectors.soap.envelope import SOAP_11, TYPES, Call, NotSoap, answered, fault, read_call
from connectors.soap.payload import Payload, acknowledgement, payload_of
from connectors.soap.wsdl import wsdl
from connectors.xml import NotXml

log = logging.getLogger(__name__)

XML = "text/xml; charset=utf-8"
STARTING, STOPPING = 10.0, 5.0
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Answer(NamedTuple):
    status: int
    body: bytes
    type: str = XML


class SoapListener:
    """Implements connectors.base.Listening."""

    def __init__(
        self,
        config: SoapConfig,
        intake: Intake,
        *,
        source: str,
        facility: str,
        hints: Mapping[str, str],
        clock: Callable[[], datetime],
    ) -> None:
        self.source = source
        self.counters: Counter[str] = Counter()
        self._config = config
        self._intake = intake
        self._facility = facility
        self._hints = dict(hints)
        self._clock = clock
        self._guard = Guard(config, clock)
        self._numbers = count(1)
        self._pool: ThreadPoolExecutor | None = None
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self.port = config.port

    # -- its life
    def check(self) -> None:
        """The secret is there, the certificate can be used, the port is free: each told apart."""
        if self._config.auth != "none":
            try:
                self._config.secret()
            except LookupError as error:
                raise SourceUnavailable(str(error)) from None
        if self._config.certificate is not None and self._config.key is not None:
            tls.listening(tls.TlsFiles(certificate=self._config.certificate, key=self._config.key))
        if self._server is None:
            bound(self._config.host, self._config.port).close()

    def start(self) -> None:
        listener = bound(self._config.host, self._config.port)
        self.port = listener.getsockname()[1]
        self._pool = ThreadPoolExecutor(self._config.workers, thread_name_prefix=f"soap-{self.source}")
        config = uvicorn.Config(
            self._app,
            interface="asgi3",
            proxy_headers=False,  # a caller's own word for its address admits nobody
            log_config=None,
            lifespan="off",
            access_log=False,
            server_header=False,
            ws="none",
            limit_concurrency=self._config.max_connections,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=int(STOPPING),
            ssl_certfile=self._config.certificate,
            ssl_keyfile=self._config.key,
        )
        self._server = server = uvicorn.Server(config)
        self._thread = threading.Thread(target=server.run, args=([listener],), name=f"soap-{self.source}", daemon=True)
        self._thread.start()
        until = time.monotonic() + STARTING
        while not server.started and self._thread.is_alive() and time.monotonic() < until:
            time.sleep(0.005)
        if not server.started:
            raise SourceUnavailable(f"port {self.port}: the service did not start")

    def stop(self) -> None:
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(2 * STOPPING)
        if self._pool is not None:
            self._pool.shutdown(wait=False)
        self._server = self._thread = None

    # -- a request
    async def _app(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        answer = await self._answer(scope, headers, receive)
        more = [(b"www-authenticate", b'Basic realm="HIPMessageService"')] if answer.status == 401 else []
        stated = [(b"content-type", answer.type.encode()), (b"content-length", str(len(answer.body)).encode()), *more]
        await send({"type": "http.response.start", "status": answer.status, "headers": stated})
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer(self, scope: Mapping[str, Any], headers: Mapping[str, str], receive: Receive) -> Answer:
        peer = str((scope.get("client") or ("",))[0])
        if not self._guard.admits(peer):
            return self._refused(403, "this address may not call")
        if scope["path"].rstrip("/") != self._config.path.rstrip("/"):
            return self._refused(404, f"the service is at {self._config.path}")
        if scope["method"] == "GET":
            scheme = "https" if self._config.certificate else "http"
            return Answer(200, wsdl(f"{scheme}://{headers.get('host', '')}{self._config.path}"))
        if scope["method"] != "POST":
            return self._refused(405, "POST, or GET ?wsdl")
        try:
            if not self._guard.basic(headers.get("authorization", "")):
                return self._refused(401, "user or password is wrong")
            async with asyncio.timeout(self._config.read_seconds):
                content = await self._body(headers, receive)
        except LookupError:
            return self._refused(500, "the service's own secret is missing", senders=False)
        except TimeoutError:
            return self._refused(408, "the request took too long")
        if content is None:
            return self._refused(413, f"a request of more than {self._config.max_body_bytes} bytes")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._handled, content, headers.get("soapaction", ""), peer)

    async def _body(self, headers: Mapping[str, str], receive: Receive) -> bytes | None:
        """None: over the limit."""
        stated = headers.get("content-length", "0")
        if stated.isdigit() and int(stated) > self._config.max_body_bytes:
            return None
        content = bytearray()
        while True:
            event = await receive()
            content += event.get("body", b"")
            if len(content) > self._config.max_body_bytes:
                return None
            if event["type"] == "http.disconnect" or not event.get("more_body"):
                return bytes(content)

    def _refused(self, status: int, text: str, *, senders: bool = True, soap: str = SOAP_11) -> Answer:
        self.counters[str(status)] += 1
        return Answer(status, fault(soap, text, senders=senders), TYPES[soap])

    # -- a call, on a thread of the pool
    def _handled(self, content: bytes, soap_action: str, peer: str) -> Answer:
        try:
            call = read_call(content, soap_action)
        except NotSoap as error:
            return self._refused(400, str(error))
        try:
            if not self._guard.token(call.header):
                return self._refused(500, "the UsernameToken is not accepted", soap=call.soap or SOAP_11)
        except LookupError:
            return self._refused(500, "the service's own secret is missing", senders=False)
        code, text, payload = self._taken(call, peer)
        self.counters[code] += 1
        now = self._clock()
        id = f"{now:%Y%m%d%H%M%S}{next(self._numbers):06}"
        said = acknowledgement(payload, code, text, id=id, now=f"{now:%Y%m%d%H%M%S}")
        return Answer(200, answered(call, said), TYPES.get(call.soap, XML))

    def _taken(self, call: Call, peer: str) -> tuple[str, str, Payload | None]:
        """The code of the acknowledgement, its text, and what it answers."""
        try:
            payload = payload_of(call.action, call.message)
        except NotXml as error:
            return "AR", f"the message: {error}", None
        action = known_action(call.action)
        if asks(action or payload.kind):
            return "AR", "this service takes messages and answers no queries: ask the FHIR interface", payload
        if not action and payload.kind != "cda" and self._config.unknown_actions == "refuse":
            return "AR", "an action that is not known here", payload
        facility = self._config.facilities.get(payload.sender, self._facility)
        if not facility:
            return "AR", "the sender is bound to no facility", payload
        record = SourceRecord(
            source=self.source,
            facility=facility,
            kind=payload.kind,
            key=payload.key,
            content=call.message.encode(),
            received_at=self._clock(),
            hints={**self._hints, "peer": peer, "action": call.action[:64]},
        )
        try:
            self._intake(record)
        except JournalUnavailable:
            return "AE", "the message was not kept: send it again later", payload
        except Exception as error:  # an answer is owed whatever happens; never a positive one
            log.error("%s: intake failed: %s", self.source, type(error).__name__)  # noqa: TRY400 - a traceback may hold content
            return "AE", "the message was not kept: send it again later", payload
        return "AA", "accepted", payload
