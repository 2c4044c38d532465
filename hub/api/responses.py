"""Answers: resources as they are stored, byte for byte, and OperationOutcomes."""

from __future__ import annotations

from collections.abc import Sequence
from email.utils import formatdate
from functools import lru_cache
from typing import Any

import msgspec
from starlette.responses import Response

from hub import fhir_json
from hub.api.call import Call
from hub.api.negotiation import CONTENT_TYPE
from hub.api.validity import HEADER as VALIDATION_HEADER
from hub.api.validity import noted, outcome_of
from hub.errors import HubError, operation_outcome
from hub.store.port import Version
from profiles.validation import ValidationIssue


def json_answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(fhir_json.dump(value), status, headers, CONTENT_TYPE)


_ALSO_SAID = {
    401: {"www-authenticate": 'Bearer realm="fhir"'},
    429: {"retry-after": "5"},
    503: {"retry-after": "5"},
}


def error_answer(error: HubError) -> Response:
    status = error.reason.status
    return json_answer(error.outcome(), status, _ALSO_SAID.get(status))


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
    headers |= validation_header(call)
    issues = noted(call.request)
    preferred = call.prefers("return")
    if preferred == "minimal":
        return Response(b"", status, headers)
    if preferred == "OperationOutcome":
        said = {201: "created", 200: "saved"}.get(status, "done")
        return json_answer(_told(f"{said} as version {version.version}", issues), status, headers)
    return Response(version.body, status, headers, CONTENT_TYPE)


def entry_outcome(call: Call, said: str, issues: Sequence[ValidationIssue]) -> dict[str, Any] | None:
    """Of a write inside a Bundle: what it was let through with, and `said` if the client prefers an OperationOutcome."""
    preferred = call.prefers("return")
    if preferred == "OperationOutcome":
        return _told(said, issues)
    return outcome_of(issues) if issues and preferred != "minimal" else None


def _told(said: str, issues: Sequence[ValidationIssue]) -> dict[str, Any]:
    outcome = operation_outcome(said, code="informational", severity="information")
    outcome["issue"] += [issue.fact() for issue in issues]
    return outcome


def validation_header(call: Call) -> dict[str, str]:
    """How many rules are broken by what was stored all the same."""
    issues = noted(call.request)
    return {VALIDATION_HEADER: str(len(issues))} if issues else {}


def raw(version: Version) -> msgspec.Raw:
    """The stored bytes inside a Bundle: values are never typed again."""
    return msgspec.Raw(version.body)
