"""Answers: resources as they are stored, byte for byte, and OperationOutcomes."""

from __future__ import annotations

from email.utils import formatdate
from functools import lru_cache
from typing import Any

import msgspec
from starlette.responses import Response

from hub import fhir_json
from hub.api.call import Call
from hub.api.negotiation import CONTENT_TYPE
from hub.api.validity import HEADER as VALIDATION_HEADER
from hub.api.validity import noted
from hub.errors import HubError, Kind, operation_outcome
from hub.store.port import Version


def json_answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(fhir_json.dump(value), status, headers, CONTENT_TYPE)


def error_answer(error: HubError) -> Response:
    headers = {"www-authenticate": 'Bearer realm="fhir"'} if error.reason is Kind.LOGIN else None
    return json_answer(error.outcome(), error.reason.status, headers)


def version_headers(version: Version) -> dict[str, str]:
    return {"etag": version.etag, "last-modified": _http_date(version.updated // 1000)}


@lru_cache(maxsize=4096)
def _http_date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)


def resource_answer(version: Version, body: bytes | None = None) -> Response:
    return Response(version.body if body is None else body, 200, version_headers(version), CONTENT_TYPE)


def written_answer(call: Call, version: Version, status: int) -> Response:
    """What the client prefers of a write: the resource, nothing, or a word about it."""
    headers = version_headers(version)
    headers["location"] = f"{call.base}/{version.type}/{version.id}/_history/{version.version}"
    if issues := noted(call.request):
        headers[VALIDATION_HEADER] = str(len(issues))
    preferred = call.prefers("return")
    if preferred == "minimal":
        return Response(b"", status, headers)
    if preferred == "OperationOutcome":
        said = {201: "created", 200: "saved"}.get(status, "done")
        outcome = operation_outcome(f"{said} as version {version.version}", code="informational", severity="information")
        outcome["issue"] += [issue.fact() for issue in noted(call.request)]
        return json_answer(outcome, status, headers)
    return Response(version.body, status, headers, CONTENT_TYPE)


def raw(version: Version) -> msgspec.Raw:
    """The stored bytes inside a Bundle: values are never typed again."""
    return msgspec.Raw(version.body)
