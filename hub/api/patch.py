"""patch: JSON Patch or FHIRPath Patch, by the Content-Type of what was sent. https://hl7.org/fhir/R4/http.html#patch"""

from __future__ import annotations

from functools import partial

from starlette.responses import Response

from hub.api.amendment import Amendment, by_fhirpath, by_json
from hub.api.call import Call, beside
from hub.api.negotiation import FHIR_JSON, NotJson, body_of, media_type
from hub.api.parameters import criteria, no_criteria
from hub.api.responses import written_answer
from hub.api.validity import conforming

JSON_PATCH = "application/json-patch+json"
REFUSED = frozenset({"application/xml-patch+xml", "application/merge-patch+json"})


async def patch(call: Call) -> Response:
    no_criteria(call)
    key = call.key
    saved = await call.hub.door.amend(call.access, key, await _sent(call), if_match=call.if_match)
    return written_answer(call, saved.version, 200)


async def conditional_patch(call: Call) -> Response:
    """The one resource that matches: none is 404, several are 412. https://hl7.org/fhir/R4/http.html#patch"""
    query = criteria(call, call.type, call.request.url.query)
    saved = await call.hub.door.amend_match(call.access, query, await _sent(call), if_match=call.if_match)
    return written_answer(call, saved.version, 200)


async def _sent(call: Call) -> Amendment:
    kind = media_type(call.request.headers.get("content-type", ""))
    if kind in REFUSED:
        raise NotJson(f"send a JSON Patch as {JSON_PATCH} or a FHIRPath Patch as Parameters, {FHIR_JSON}")
    check = partial(conforming, call, level=call.hub.county.validation.api)
    if kind != JSON_PATCH:
        return by_fhirpath(await call.resource(), check)
    body = await body_of(call.request)
    amendment: Amendment = await beside(len(body), lambda: by_json(body, check))
    return amendment
