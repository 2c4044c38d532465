"""read, vread. https://hl7.org/fhir/R4/http.html#read"""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime

from starlette.responses import Response

from hub.api.call import Call
from hub.api.responses import resource_answer, version_headers
from hub.api.shape import WHOLE, Shape
from hub.security.reads import unknown
from hub.store.port import Key, Version


async def read(call: Call) -> Response:
    shape = Shape.of(call.request.query_params) if call.request.scope["query_string"] else WHOLE
    version = await call.hub.door.read(call.access, call.key)
    if _unchanged(call, version):
        return Response(None, 304, version_headers(version))
    return resource_answer(version, shape.body(version))


async def vread(call: Call) -> Response:
    number = version_number(call.request.path_params["version"], call.key)
    return resource_answer(await call.hub.door.vread(call.access, call.key, number))


def version_number(text: str, key: Key) -> int:
    """Raise NotFound for what can be no version of ours."""
    if not re.fullmatch(r"\d{1,12}", text, re.ASCII):
        raise unknown(key)
    return int(text)


def _unchanged(call: Call, version: Version) -> bool:
    """Conditional read. https://hl7.org/fhir/R4/http.html#cread"""
    etags = call.request.headers.get("if-none-match")
    if etags is not None:
        return etags.strip() == "*" or version.etag in (part.strip() for part in etags.split(","))
    since = call.request.headers.get("if-modified-since")
    if since is None:
        return False
    try:
        return version.updated // 1000 <= int(parsedate_to_datetime(since).timestamp())
    except ValueError:
        return False
