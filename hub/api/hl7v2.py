"""`POST /hl7v2/{channel}`: HL7 v2 messages over HTTP, acknowledged in the body, for channels whose connector is hl7v2_http.

The caller's token says who sends: a token of a facility binds MSH-4 and the assigning authorities of patient numbers to it, as a
client certificate does over MLLP.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from connectors.hl7v2_http.connector import HttpReceiver
from hub.api.auth import caller, note_refusal
from hub.api.responses import error_answer
from hub.errors import HubError, Kind, NotAllowed, NotFound
from hub.security.access import Access

if TYPE_CHECKING:
    from hub.ingest.run import IntakeService

ROLES = frozenset({"system", "admin"})
TYPES = frozenset({"", "application/hl7-v2", "x-application/hl7-v2+er7", "application/hl7-v2+er7", "text/plain"})
ANSWER_TYPE = "application/hl7-v2"


class WrongType(HubError):
    kind = Kind.MEDIA_TYPE


def install_hl7v2(app: FastAPI, intake: IntakeService) -> None:
    @app.post("/hl7v2/{channel}")
    async def receive(request: Request, channel: str) -> Response:
        try:
            access = await caller(request)
            receiver = _receiver(intake, channel, access)
            charset = _charset(request)
        except HubError as error:
            await note_refusal(request, error)
            return error_answer(error)
        try:
            body, whole = await _body(request, receiver.max_body_bytes)
        except ClientDisconnect:  # nothing was acknowledged, so it is sent again
            return Response(status_code=400)
        bound, peer = access.facility, f"{access.name}@{access.address}"

        def answer() -> tuple[int, bytes]:
            if not receiver.open:
                return receiver.closed(body)
            if not whole:
                return receiver.too_large(body, peer=peer, bound=bound)
            return receiver.answer(body, peer=peer, bound=bound, charset=charset)

        status, answers = await run_in_threadpool(answer)
        kind = f"{ANSWER_TYPE}; charset={charset}" if charset else ANSWER_TYPE
        return Response(answers, status, {"content-type": kind})


def _receiver(intake: IntakeService, channel: str, access: Access) -> HttpReceiver:
    """Raise NotAllowed, NotFound: a channel of another connector is as one that never was."""
    if access.role not in ROLES:
        raise NotAllowed("HL7 v2 messages are sent by the roles system and admin")
    receiver = intake.connector(channel) if channel in {state.name for state in intake.states()} else None
    if not isinstance(receiver, HttpReceiver):
        raise NotFound("no such channel for HL7 v2 over HTTP")
    if access.facility and receiver.facility and access.facility != receiver.facility:
        raise NotAllowed("the channel is another facility's")
    return receiver


def _charset(request: Request) -> str:
    """Raise WrongType."""
    kind, *parameters = [part.strip() for part in request.headers.get("content-type", "").split(";")]
    if kind.lower() not in TYPES or request.headers.get("content-encoding", "identity").lower() != "identity":
        raise WrongType(f"send {ANSWER_TYPE}, not compressed")
    stated = (part.partition("=")[2].strip('" ') for part in parameters if part.lower().startswith("charset="))
    return next((name for name in stated if name.isascii() and name.replace("-", "").replace("_", "").isalnum()), "")[:32]


async def _body(request: Request, most: int) -> tuple[bytes, bool]:
    """The body, or the beginning of one that is longer than `most` bytes; and whether it is whole."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > most:
            return bytes(body[:8192]), False
    return bytes(body), True
