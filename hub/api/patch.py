"""patch: JSON Patch or FHIRPath Patch, by the Content-Type of what was sent. https://hl7.org/fhir/R4/http.html#patch"""

from __future__ import annotations

from starlette.responses import Response

from hub.api.amendment import Amendment, by_patch, json_patch
from hub.api.call import Call, beside
from hub.api.negotiation import FHIR_JSON, JSON_PATCH, NotJson, body_of, media_type
from hub.api.parameters import criteria, no_criteria
from hub.api.responses import written_answer
from hub.api.validity import note
from hub.store.port import Saved

REFUSED = frozenset({"application/xml-patch+xml", "application/merge-patch+json"})


async def patch(call: Call) -> Response:
    no_criteria(call)
    key, condition, sent = call.key, call.condition, await _sent(call)
    return _answer(call, sent, await call.hub.door.amend(call.access, key, sent, condition=condition))


async def conditional_patch(call: Call) -> Response:
    """The one resource that matches: none is 404, several are 412. https://hl7.org/fhir/R4/http.html#patch"""
    query, condition = criteria(call, call.type, call.request.url.query), call.condition
    sent = await _sent(call)
    return _answer(call, sent, await call.hub.door.amend_match(call.access, query, sent, condition=condition))


async def _sent(call: Call) -> Amendment:
    kind = media_type(call.request.headers.get("content-type", ""))
    if kind in REFUSED:
        raise NotJson(f"send a JSON Patch as {JSON_PATCH} or a FHIRPath Patch as Parameters, {FHIR_JSON}")
    if kind != JSON_PATCH:
        return by_patch(await call.resource(), call.check, call.settled)
    body = await body_of(call.request)
    amendment: Amendment = await beside(len(body), lambda: by_patch(json_patch(body), call.check, call.settled))
    return amendment


def _answer(call: Call, sent: Amendment, saved: Saved) -> Response:
    note(call.request, sent.issues)
    return written_answer(call, saved.version, 200)
