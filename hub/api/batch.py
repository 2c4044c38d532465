"""A batch is as many requests as it has entries, each answered as if it had come alone. https://hl7.org/fhir/R4/http.html#batch

They run through the same application, so that whatever is served alone is served in a batch. Those that share a place in the order
of the specification run together and share commits.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Sequence
from email.utils import formatdate, parsedate_to_datetime
from http import HTTPStatus
from itertools import groupby
from typing import Any
from urllib.parse import quote, unquote

import msgspec
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Message

from hub import fhir_json
from hub.api.call import Call
from hub.api.negotiation import FHIR_JSON, media_type
from hub.api.plan import ORDER, WRITES, Step, entries_of, step_of
from hub.api.responses import entry_outcome
from hub.api.validity import note, noted
from hub.clock import instant
from hub.errors import HubError, Invalid, operation_outcome
from hub.search.dates import interval
from profiles.validation import ValidationIssue

ASCII = "".join(map(chr, range(0x21, 0x7F)))
AT_ONCE = 64  # entries that run together
OWN = ("content-", "accept", "prefer", "if-", "transfer-encoding", "expect", "connection")
"""Headers of the bundle's request that say nothing of its entries."""


async def batch(call: Call, bundle: dict[str, Any]) -> list[dict[str, Any]]:
    entries = entries_of(bundle)
    answers: dict[int, dict[str, Any]] = {}
    steps: list[Step] = []
    for number, entry in enumerate(entries):
        try:
            steps.append(step_of(number, entry, call.base))
        except HubError as error:
            answers[number] = failed(error)
    for _, same in groupby(sorted(steps, key=lambda s: ORDER[s.method]), key=lambda s: ORDER[s.method]):
        waiting = list(same)
        for start in range(0, len(waiting), AT_ONCE):
            group = waiting[start : start + AT_ONCE]
            for step, answer in zip(group, await asyncio.gather(*(ask(call, step) for step in group)), strict=True):
                answers[step.number] = answer
    return [answers[number] for number in range(len(entries))]


async def ask(call: Call, step: Step) -> dict[str, Any]:
    """One entry of a response Bundle."""
    try:
        headers, body = _headers(call, step), _body(step)
    except HubError as error:
        return failed(error)
    answer, scope = _Answer(), _scope(call, step, headers)
    await call.request.app(scope, _Sent(body).receive, answer.send)
    issues = noted(Request(scope))
    note(call.request, issues)
    return _entry(call, step, answer, issues)


def failed(error: HubError) -> dict[str, Any]:
    return {"response": {"status": _status(error.reason.status), "outcome": error.outcome()}}


def _status(code: int) -> str:
    return f"{code} {HTTPStatus(code).phrase}"


# -- the request of an entry


def _scope(call: Call, step: Step, headers: list[tuple[bytes, bytes]]) -> dict[str, Any]:
    outer = call.request.scope
    path = f"/fhir/{step.path}" if step.path else "/fhir"
    query = quote(step.query, safe=ASCII)  # a Bundle may state characters that an address must escape
    kept = {
        name: outer[name] for name in ("type", "asgi", "http_version", "scheme", "server", "client", "root_path") if name in outer
    }
    return {
        **kept,
        "method": step.method,
        "path": unquote(path),
        "raw_path": quote(path, safe=ASCII).encode(),
        "query_string": query.encode(),
        "headers": headers,
        "state": {},  # what the interaction notes
    }


def _headers(call: Call, step: Step) -> list[tuple[bytes, bytes]]:
    kept = [(name, value) for name, value in call.request.headers.items() if not name.startswith(OWN)]
    preferred = [f"{name}={stated}" for name in ("handling",) if (stated := call.prefers(name))]
    preferred.append("return=OperationOutcome" if _wants_outcome(call, step) else "return=representation")
    made = {"accept": FHIR_JSON, "content-type": _content_type(step), "prefer": "; ".join(preferred)}
    conditions = step.conditions
    for name, header in (("ifMatch", "if-match"), ("ifNoneMatch", "if-none-match"), ("ifNoneExist", "if-none-exist")):
        if name in conditions:
            made[header] = quote(conditions[name], safe=ASCII)
    if "ifModifiedSince" in conditions:
        made["if-modified-since"] = _http_date(call, step, conditions["ifModifiedSince"])
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in (*kept, *made.items())]


def _http_date(call: Call, step: Step, text: str) -> str:
    try:
        return formatdate(interval(text, call.hub.county.zone)[0] / 1000, usegmt=True)
    except (ValueError, OverflowError, OSError):
        raise step.wrong("ifModifiedSince is an instant", "request.ifModifiedSince") from None


def _is_binary_patch(step: Step) -> bool:
    return step.method == "PATCH" and (step.resource or {}).get("resourceType") == "Binary"


def _content_type(step: Step) -> str:
    return quote(str((step.resource or {}).get("contentType", "")), safe=ASCII + " ") if _is_binary_patch(step) else FHIR_JSON


def _body(step: Step) -> bytes:
    if step.resource is None:
        return b""
    if not _is_binary_patch(step):
        return fhir_json.dump(step.resource)
    try:
        return base64.b64decode(str(step.resource.get("data", "")), validate=True)
    except binascii.Error:
        raise Invalid("the data are not base64", expression=(f"{step.expression}.resource.data",)) from None


class _Sent:
    def __init__(self, body: bytes) -> None:
        self._body = body

    async def receive(self) -> Message:
        return {"type": "http.request", "body": self._body, "more_body": False}


# -- its answer


class _Answer:
    def __init__(self) -> None:
        self.status = 500
        self.headers = Headers()
        self._chunks: list[bytes] = []

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = Headers(raw=message.get("headers", []))
        else:
            self._chunks.append(message.get("body", b""))

    @property
    def body(self) -> bytes:
        return b"".join(self._chunks)

    @property
    def resource(self) -> Any:
        """What is no FHIR, a GraphQL answer for one, is the content of a Binary."""
        kind = media_type(self.headers.get("content-type", ""))
        if kind == FHIR_JSON:
            return msgspec.Raw(self.body)
        return {"resourceType": "Binary", "contentType": kind, "data": base64.b64encode(self.body).decode()}

    @property
    def outcome(self) -> Any:
        """Of an error; to a HEAD, and where no FHIR is served, its status alone says what it is."""
        if self.body and media_type(self.headers.get("content-type", "")) == FHIR_JSON:
            return msgspec.Raw(self.body)
        return operation_outcome(HTTPStatus(self.status).phrase, code="processing")


def _entry(call: Call, step: Step, answer: _Answer, issues: Sequence[ValidationIssue]) -> dict[str, Any]:
    response: dict[str, Any] = {"status": _status(answer.status)}
    entry: dict[str, Any] = {}
    headers = answer.headers
    if "location" in headers:
        response["location"] = headers["location"]
        if answer.status < 300 and "/_history/" in headers["location"]:
            entry["fullUrl"] = headers["location"].partition("/_history/")[0]
    if "etag" in headers:
        response["etag"] = headers["etag"]
    if "last-modified" in headers:
        response["lastModified"] = _last_modified(headers, answer.body)
    if (outcome := _outcome(call, step, answer, issues)) is not None:
        response["outcome"] = outcome
    if answer.body and answer.status < 400 and step.method != "HEAD" and _wants_resource(call, step):
        entry["resource"] = answer.resource
    return {**entry, "response": response}


def _outcome(call: Call, step: Step, answer: _Answer, issues: Sequence[ValidationIssue]) -> Any:
    if answer.status >= 400:
        return answer.outcome
    if _wants_outcome(call, step):
        return answer.outcome if answer.body else None
    return entry_outcome(call, "", issues) if issues else None


def _wants_outcome(call: Call, step: Step) -> bool:
    return _is_plain_write(step) and call.prefers("return") == "OperationOutcome"


def _wants_resource(call: Call, step: Step) -> bool:
    return not _is_plain_write(step) or call.prefers("return") == "representation"


def _is_plain_write(step: Step) -> bool:
    """Not a read or an operation, whose answer is what was asked for."""
    return step.method in WRITES and "$" not in step.path and not step.path.endswith("_search")


class _Meta(msgspec.Struct):
    lastUpdated: str = ""


class _Stamped(msgspec.Struct):
    meta: _Meta | None = None


def _last_modified(headers: Headers, body: bytes) -> str:
    """To the millisecond, as the resource says; HTTP's own header knows seconds only."""
    stated = msgspec.json.decode(body, type=_Stamped).meta if body else None
    if stated is not None and stated.lastUpdated:
        return stated.lastUpdated
    return instant(int(parsedate_to_datetime(headers["last-modified"]).timestamp()) * 1000)
