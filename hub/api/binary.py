"""Binary: bytes as they are, or FHIR JSON with base64. https://hl7.org/fhir/R4/binary.html

What the pipeline received lies in the blob store under its SHA-256, which is the resource's id; what a client sends stands in it.
"""

from __future__ import annotations

import asyncio
import base64
import re
from typing import Any

from starlette.responses import Response

from hub import fhir_json
from hub.api.call import Call, beside
from hub.api.conditional import unchanged
from hub.api.negotiation import JSON_TYPES, accepted_types, body_of, media_type
from hub.api.parameters import no_criteria
from hub.api.read import version_number
from hub.api.responses import resource_answer, version_headers, written_answer
from hub.api.shape import check_whole
from hub.api.write import check_id, check_type, created
from hub.store.binaries import binary_content
from hub.store.port import Key, Version

MIME_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+(\s*;[\x20-\x7e]*)?", re.ASCII).fullmatch
UNTYPED = "application/octet-stream"
SANDBOX = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
UPLOAD_BYTES = 64 * 1024 * 1024


async def read(call: Call) -> Response:
    return await _shown(call, await call.hub.door.read(call.access, Key("Binary", call.request.path_params["id"])))


async def vread(call: Call) -> Response:
    key = Key("Binary", call.request.path_params["id"])
    number = version_number(call.request.path_params["version"], key)
    return await _shown(call, await call.hub.door.vread(call.access, key, number))


async def _shown(call: Call, version: Version) -> Response:
    """As what it is, or as FHIR JSON with its content."""
    if (same := unchanged(call, version)) is not None:
        return same
    resource = fhir_json.load(version.body)
    if _wants_json(call):
        if "data" in resource:
            return resource_answer(version)
        content = await _content(call, resource)
        return resource_answer(version, fhir_json.dump({**resource, "data": base64.b64encode(content).decode()}))
    content = await _content(call, resource)
    headers = {**version_headers(version), "content-security-policy": SANDBOX, "content-disposition": "attachment"}
    return Response(content, 200, headers, _type_of(resource))


async def create(call: Call) -> Response:
    no_criteria(call)
    return await created(call, await _sent(call))


async def update(call: Call) -> Response:
    no_criteria(call)
    id = call.request.path_params["id"]
    resource = await _sent(call, id)
    check_id(resource, id)
    check_whole(resource)
    saved = await call.hub.door.save(call.access, resource, id=id, condition=call.condition)
    return written_answer(call, saved.version, 201 if saved.created else 200)


async def _sent(call: Call, id: str = "") -> dict[str, Any]:
    """A Binary from what was sent: FHIR JSON, or bytes of any kind with X-Security-Context saying whose they are."""
    body = await body_of(call.request, UPLOAD_BYTES)
    resource: dict[str, Any] = await beside(len(body), lambda: call.checked(call.settled(_binary(call, body, id))))
    check_type(resource, "Binary")
    if not id:
        resource.pop("id", None)
    return resource


def _binary(call: Call, body: bytes, id: str) -> dict[str, Any]:
    """As FHIR; JSON that is no FHIR is a document like any other."""
    stated = " ".join(call.request.headers.get("content-type", "").split())
    kind = media_type(stated)
    if kind in JSON_TYPES:
        parsed = fhir_json.parse_any(body) if kind == "application/json" else fhir_json.parse(body)
        if kind != "application/json" or (isinstance(parsed, dict) and parsed.get("resourceType") == "Binary"):
            return dict(parsed)
    resource: dict[str, Any] = {"resourceType": "Binary", **({"id": id} if id else {}), "contentType": stated or UNTYPED}
    if context := call.request.headers.get("x-security-context"):
        resource["securityContext"] = {"reference": context}
    if body:
        resource["data"] = base64.b64encode(body).decode()
    return resource


async def _content(call: Call, resource: dict[str, Any]) -> bytes:
    return await asyncio.to_thread(binary_content, resource, call.hub.blobs)


def _type_of(resource: dict[str, Any]) -> str:
    """FHIR allows any text as a code; a header does not."""
    stated = str(resource.get("contentType", ""))
    return stated if MIME_TYPE(stated) else UNTYPED


def _wants_json(call: Call) -> bool:
    """FHIR JSON only when asked for by name: `*/*` gets the bytes."""
    stated = call.request.query_params.get("_format")
    if stated is not None:
        return media_type(stated.replace(" ", "+")) in JSON_TYPES | {"json"}
    accepted = accepted_types(call.request)
    return "application/fhir+json" in accepted or accepted[0] == "application/json"
