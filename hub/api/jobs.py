"""Work that takes longer than a request: asked for with 202 and an address to poll. https://hl7.org/fhir/R4/async.html

`$reindex` (POST [base]/$reindex) is ours: it extracts the index entries of some types anew, or those that one SearchParameter is
about, as after an update of the hub. Parameters: `type` (code, any number), `url` (uri of a SearchParameter).
"""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.responses import Response

from hub.api.call import Call
from hub.api.negotiation import RESOURCE_BYTES, body_of, check_json
from hub.api.responses import json_answer
from hub.errors import HubError, Invalid, Kind, NotFound, operation_outcome
from hub.fhir_json import parse
from hub.jobs import Job, caller_of
from hub.reindexing import submit_types
from hub.search.custom import customs_in
from hub.search.parameters import registry
from hub.security.policy import check_configure

RETRY_SECONDS = 1
STATUS = "$job"


async def reindex(call: Call) -> Response:
    check_configure(call.access)
    types = await _types(call)
    hub, caller = call.hub, caller_of(call.access)
    job = await asyncio.wrap_future(
        hub.store.write(lambda transaction: submit_types(transaction, types, hub.clock(), caller=caller))
    )
    await hub.door.note(call.access, action="E", interaction="operation")
    return accepted(call, job)


async def _types(call: Call) -> list[str]:
    """The types asked for; all of them if nothing is."""
    body = await body_of(call.request, RESOURCE_BYTES)
    if not body:
        return sorted(registry().types)
    check_json(call.request)
    stated = parse(body)
    if stated.get("resourceType") != "Parameters" or not isinstance(stated.get("parameter", []), list):
        raise Invalid("$reindex is sent a Parameters resource")
    types: dict[str, None] = {}
    for parameter in stated.get("parameter", []):
        types.update(dict.fromkeys(_types_of(call, parameter)))
    return list(types) or sorted(registry().types)


def _types_of(call: Call, parameter: Any) -> list[str]:
    name = parameter.get("name") if isinstance(parameter, dict) else None
    value = _value(parameter) if name in ("type", "url") else None
    if name == "type" and value in registry().types:
        return [str(value)]
    if name == "url":
        found = [custom.base for custom in customs_in(call.hub.store) if custom.url == value]
        known = [kind for kind in registry().types for each in registry().of(kind).values() if each.url == value]
        types = sorted({*known, *(kind for base in found for kind in base)})
        if types:
            return types
    raise Invalid("$reindex takes `type`, a resource type, and `url`, that of a search parameter known here")


def _value(parameter: dict[str, Any]) -> Any:
    return next((value for member, value in parameter.items() if member.startswith("value")), None)


def accepted(call: Call, job: Job) -> Response:
    """The answer to what has become a job."""
    call.hub.jobs.wake()
    return Response(None, 202, {"Content-Location": f"{call.base}/{STATUS}/{job.id}"})


async def status(call: Call) -> Response:
    """202 with X-Progress while it lasts, then its result."""
    job = await own_job(call)
    if job.state == "failed":
        raise HubError(job.message, kind=Kind.EXCEPTION)
    if job.state == "cancelled":
        raise NotFound("the job was cancelled")
    if not job.over:
        return Response(None, 202, {"X-Progress": progress(job), "Retry-After": str(RETRY_SECONDS)})
    done = job.result or operation_outcome("done", code="informational", severity="information")
    return json_answer(done, 200)


def progress(job: Job) -> str:
    if job.state == "waiting":
        return "waiting"
    return f"{job.done} of {job.total}" if job.total is not None else f"{job.done} done"


async def cancel(call: Call) -> Response:
    """It stops at its next piece; what it did stays. https://hl7.org/fhir/uv/bulkdata/export.html#bulk-data-delete-request"""
    job = await own_job(call)
    await asyncio.to_thread(call.hub.jobs.cancel, job.id)
    return Response(None, 202)


async def own_job(call: Call) -> Job:
    """Raise NotFound for what is another's as for what never was; the hub's own work is shown to who may configure it."""
    job = await asyncio.to_thread(call.hub.jobs.job, call.request.path_params["job"])
    if job is not None and not job.caller:
        check_configure(call.access)
    if job is None or job.caller not in ("", caller_of(call.access)):
        raise NotFound("no such job")
    return job
