"""What a client sends and wants back: FHIR JSON or FHIR XML. https://hl7.org/fhir/R4/http.html#mime-type

`_format` outranks Accept. Where several will do, the highest weight decides, then the order stated, then JSON.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

from starlette.requests import Request

from hub.errors import HubError, Kind

FHIR_JSON = "application/fhir+json"
FHIR_XML = "application/fhir+xml"
JSON_PATCH = "application/json-patch+json"
CONTENT_TYPE = "application/fhir+json; charset=utf-8"
XML_CONTENT_TYPE = "application/fhir+xml; charset=utf-8"
JSON_TYPES = frozenset({FHIR_JSON, "application/json", "text/json", "application/json+fhir"})
XML_TYPES = frozenset({FHIR_XML, "application/xml", "text/xml", "application/xml+fhir"})
PAGE_TYPES = frozenset({"text/html", "application/xhtml+xml"})  # a browser: it shows JSON
ANY_TYPES = frozenset({"*/*", "application/*", "text/*", ""})

Format = Literal["json", "xml"]
FORMATS: dict[str, Format] = {
    **dict.fromkeys((*JSON_TYPES, *ANY_TYPES, *PAGE_TYPES, "json", "html"), "json"),
    **dict.fromkeys((*XML_TYPES, "xml"), "xml"),
}

RESOURCE_BYTES = 16 * 1024 * 1024
BUNDLE_BYTES = 64 * 1024 * 1024


class NotAcceptable(HubError):
    kind = Kind.NOT_ACCEPTABLE


class NotJson(HubError):
    """What was sent is in no format that this address takes."""

    kind = Kind.MEDIA_TYPE


class TooLong(HubError):
    kind = Kind.TOO_LONG


def media_type(header: str) -> str:
    return header.partition(";")[0].strip().lower()


def parameter_of(header: str, name: str) -> str:
    """`charset` of "application/fhir+json; charset=utf-8"; "" where it is not stated."""
    for part in header.split(";")[1:]:
        key, _, value = part.partition("=")
        if key.strip().lower() == name:
            return value.strip().strip('"').lower()
    return ""


def accepted_types(request: Request) -> list[str]:
    """In the order stated; weights are not looked at."""
    return [media_type(part) for part in request.headers.get("accept", "*/*").split(",")]


@lru_cache(maxsize=256)
def accepted_format(accept: str) -> Format | None:
    """Of an Accept header; None if it names neither."""
    best: tuple[float, Format] | None = None
    for part in accept.split(","):
        found = FORMATS.get(media_type(part))
        weight = _weight(parameter_of(part, "q"))
        if found and _version_known(part) and weight > (best[0] if best else 0):
            best = weight, found
    return best[1] if best else None


def _weight(text: str) -> float:
    try:
        return float(text or 1)
    except ValueError:
        return 1


def _version_known(part: str) -> bool:
    return parameter_of(part, "fhirversion") in ("", "4.0", "4.0.1")


def format_of(stated: str | None, accept: str) -> Format:
    """The format of the answer. Raise NotAcceptable when the client reads neither JSON nor XML."""
    if stated is not None:
        found = FORMATS.get(media_type(stated.replace(" ", "+")))  # a + that was not escaped
        if not found or not stated or not _version_known(stated):
            raise NotAcceptable("_format is json or xml, or one of their media types, of FHIR R4")
        return found
    accepted = accepted_format(accept)
    if accepted is None:
        raise NotAcceptable(f"this server speaks FHIR R4 as JSON and XML: Accept: {FHIR_JSON} or {FHIR_XML}")
    return accepted


def check_accept(request: Request) -> None:
    """Raise NotAcceptable when the client reads neither JSON nor XML."""
    stated = request.query_params.get("_format") if b"_format" in request.scope["query_string"] else None
    format_of(stated, request.headers.get("accept", "*/*"))


def check_json(request: Request) -> None:
    """Raise NotJson unless the body is said to be JSON, in UTF-8. XML became JSON before it came here."""
    stated = request.headers.get("content-type", "")
    if media_type(stated) not in JSON_TYPES:
        raise NotJson(f"send FHIR JSON or XML: Content-Type: {FHIR_JSON} or {FHIR_XML}")
    check_parameters(stated)


def check_parameters(content_type: str) -> None:
    """https://hl7.org/fhir/R4/http.html#mime-type: UTF-8 always, and this version of FHIR. Raise NotJson."""
    if parameter_of(content_type, "charset") not in ("", "utf-8", "utf8", "us-ascii"):
        raise NotJson("send UTF-8: Content-Type: …; charset=utf-8")
    if not _version_known(content_type):
        raise NotJson("this server speaks FHIR R4: fhirVersion=4.0")


async def body_of(request: Request, limit: int = RESOURCE_BYTES) -> bytes:
    """The whole body, counted while it arrives. Raise TooLong past the limit, NotJson for an unknown Content-Encoding."""
    if request.headers.get("content-encoding", "identity").lower() not in ("identity", ""):
        raise NotJson("Content-Encoding is gzip, or none")
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
