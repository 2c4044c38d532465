"""create, update, delete. https://hl7.org/fhir/R4/http.html#create"""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from hub.api.call import ID, Call, check_heeded
from hub.api.parameters import criteria, no_criteria
from hub.api.responses import json_answer, version_headers, written_answer
from hub.api.shape import check_whole
from hub.errors import Invalid, operation_outcome
from hub.store.port import Saved


async def create(call: Call) -> Response:
    no_criteria(call)
    resource = await call.resource()
    check_type(resource, call.type)
    resource.pop("id", None)  # the server names what is created
    return await created(call, resource)


async def created(call: Call, resource: dict[str, Any]) -> Response:
    """Conditional or not. https://hl7.org/fhir/R4/http.html#ccreate"""
    check_heeded("POST", call.request.headers)
    if (stated := call.request.headers.get("if-none-exist")) is not None:
        query = criteria(call, resource["resourceType"], stated)
        version, made = await call.hub.door.create_unless(call.access, resource, query)
        return written_answer(call, version, 201 if made else 200)
    saved = await call.hub.door.save(call.access, resource)
    return written_answer(call, saved.version, 201)


async def update(call: Call) -> Response:
    no_criteria(call)
    resource = await call.resource()
    check_type(resource, call.type)
    id = call.request.path_params["id"]
    check_id(resource, id)
    check_whole(resource)
    saved = await call.hub.door.save(call.access, resource, id=id, condition=call.condition)
    return written_answer(call, saved.version, 201 if saved.created else 200)


async def delete(call: Call) -> Response:
    no_criteria(call)
    return deleted_answer(call, await call.hub.door.delete(call.access, call.key, condition=call.condition))


def deleted_answer(call: Call, saved: Saved | None) -> Response:
    headers = version_headers(saved.version) if saved is not None else {}
    if call.prefers("return") == "OperationOutcome":
        said = "deleted" if saved is not None and saved.changed else "there was nothing to delete"
        return json_answer(operation_outcome(said, code="informational", severity="information"), 200, headers)
    return Response(None, 204, headers)


def check_type(resource: dict[str, Any], kind: str) -> None:
    if resource["resourceType"] != kind:
        raise Invalid("the resource is of another type than the address says", expression=("resourceType",))


def check_id(resource: dict[str, Any], id: str) -> None:
    """https://hl7.org/fhir/R4/http.html#update: the id of the address and of the resource are the same."""
    if not ID.fullmatch(id):
        raise Invalid("an id is 1 to 64 letters, digits, - and .", expression=("id",))
    if resource.get("id") != id:
        raise Invalid("the resource needs the id that the address says", expression=(f"{resource['resourceType']}.id",))
