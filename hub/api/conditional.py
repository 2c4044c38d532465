"""Interactions on what matches criteria: conditional update, delete and patch of one resource; and what makes a read conditional.

https://hl7.org/fhir/R4/http.html#cond-update https://hl7.org/fhir/R4/http.html#3.1.0.7.1 https://hl7.org/fhir/R4/http.html#cread
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime

from starlette.responses import Response

from hub.api.call import Call
from hub.api.parameters import criteria
from hub.api.responses import version_headers, written_answer
from hub.api.shape import check_whole
from hub.api.write import check_type, deleted_answer
from hub.security.precondition import ANY, Versions, versions_of
from hub.store.port import Version

NONE: Versions = frozenset()


async def update(call: Call) -> Response:
    """None matches: created, under the id stated if there is one. One: updated. Several: 412."""
    query = criteria(call, call.type, call.request.url.query)
    resource = await call.resource()
    check_type(resource, call.type)
    check_whole(resource)
    saved = await call.hub.door.update_match(call.access, resource, query, condition=call.condition)
    return written_answer(call, saved.version, 201 if saved.created else 200)


async def delete(call: Call) -> Response:
    """None matches: nothing to do. One: deleted. Several: 412, for the conditionalDelete of our CapabilityStatement is `single`."""
    query = criteria(call, call.type, call.request.url.query)
    return deleted_answer(call, await call.hub.door.delete_match(call.access, query, condition=call.condition))


def unchanged(call: Call, version: Version) -> Response | None:
    """304 for what the client has already. If-None-Match outranks If-Modified-Since. https://hl7.org/fhir/R4/http.html#cread"""
    return Response(None, 304, version_headers(version)) if _known(call, version) else None


def _known(call: Call, version: Version) -> bool:
    etags = call.request.headers.get("if-none-match")
    if etags is not None:
        return not (versions_of(etags) or NONE).isdisjoint((ANY, version.version))
    since = call.request.headers.get("if-modified-since")
    if since is None:
        return False
    try:
        return version.updated // 1000 <= int(parsedate_to_datetime(since).timestamp())
    except (ValueError, OverflowError):
        return False
