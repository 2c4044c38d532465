"""What a client sends and wants back: FHIR JSON. https://hl7.org/fhir/R4/http.html#mime-type"""

from __future__ import annotations

from starlette.requests import Request

from hub.errors import HubError, Kind

FHIR_JSON = "application/fhir+json"
CONTENT_TYPE = "application/fhir+json; charset=utf-8"
JSON_TYPES = frozenset({FHIR_JSON, "application/json", "text/json", "application/json+fhir"})
ANY_TYPES = frozenset({"*/*", "application/*", ""})
FORMATS = JSON_TYPES | {"json"}

RESOURCE_BYTES = 16 * 1024 * 1024
BUNDLE_BYTES = 64 * 1024 * 1024


class NotAcceptable(HubError):
    kind = Kind.NOT_ACCEPTABLE


class NotJson(HubError):
    kind = Kind.MEDIA_TYPE


class TooLong(HubError):
    kind = Kind.TOO_LONG


def media_type(header: str) -> str:
    return header.partition(";")[0].strip().lower()


def accepted_types(request: Request) -> list[str]:
    """In the order stated; weights are not looked at."""
    return [media_type(part) for part in request.headers.get("accept", "*/*").split(",")]


def check_accept(request: Request) -> None:
    """Raise NotAcceptable when the client can read no JSON. `_format` outranks Accept."""
    stated = request.query_params.get("_format") if request.scope["query_string"] else None
    if stated is not None:
        if media_type(stated.replace(" ", "+")) not in FORMATS:
            raise NotAcceptable("this server speaks FHIR JSON only: leave out _format or say _format=json")
    elif not any(kind in JSON_TYPES or kind in ANY_TYPES for kind in accepted_types(request)):
        raise NotAcceptable(f"this server speaks FHIR JSON only: Accept: {FHIR_JSON}")


def check_json(request: Request) -> None:
    """Raise NotJson unless the body is said to be JSON."""
    if media_type(request.headers.get("content-type", "")) not in JSON_TYPES:
        raise NotJson(f"send FHIR JSON: Content-Type: {FHIR_JSON}")


async def body_of(request: Request, limit: int = RESOURCE_BYTES) -> bytes:
    """The whole body, counted while it arrives. Raise TooLong past the limit, NotJson for a compressed one."""
    if request.headers.get("content-encoding", "identity").lower() not in ("identity", ""):
        raise NotJson("send the body without Content-Encoding")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise TooLong(f"more than {limit} bytes")
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise TooLong(f"more than {limit} bytes")
        chunks.append(chunk)
    return b"".join(chunks)
