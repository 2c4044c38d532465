"""read, vread. https://hl7.org/fhir/R4/http.html#read"""

from __future__ import annotations

import re

from starlette.responses import Response

from hub.api.call import Call
from hub.api.conditional import unchanged
from hub.api.responses import resource_answer
from hub.api.shape import WHOLE, Shape
from hub.security.reads import unknown
from hub.store.port import Key


async def read(call: Call) -> Response:
    shape = _shape(call)
    version = await call.hub.door.read(call.access, call.key)
    return unchanged(call, version) or resource_answer(version, shape.body(version))


async def vread(call: Call) -> Response:
    shape, number = _shape(call), version_number(call.request.path_params["version"], call.key)
    version = await call.hub.door.vread(call.access, call.key, number)
    return unchanged(call, version) or resource_answer(version, shape.body(version))


def _shape(call: Call) -> Shape:
    return Shape.of(call.request.query_params) if call.request.scope["query_string"] else WHOLE


def version_number(text: str, key: Key) -> int:
    """Raise NotFound for what can be no version of ours."""
    if not re.fullmatch(r"\d{1,12}", text, re.ASCII):
        raise unknown(key)
    return int(text)
