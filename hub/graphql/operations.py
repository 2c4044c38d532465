"""$graphql over HTTP, of the whole server and of one resource. https://hl7.org/fhir/R4/graphql.html

What a query sees is what its caller may see, hop by hop; one AuditEvent names all patients seen. An error is answered as GraphQL
has it, with an OperationOutcome in `extensions`: a field that cannot be answered is null and the others stand; a query that is
wrong, or costs too much, is not answered. The library that reads queries is loaded with the first one.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from hub import fhir_json
from hub.api.call import Call
from hub.api.negotiation import body_of, media_type
from hub.api.paging import query_pairs
from hub.errors import HubError, Invalid, Kind
from hub.security.reads import Reads
from hub.store.port import Key

if TYPE_CHECKING:
    from hub.graphql.document import Refused

MAX_BYTES = 256 * 1024
JSON = "application/json"
JSON_TYPES = frozenset({JSON, "application/fhir+json"})
Question = tuple[str, dict[str, Any], str]  # query, variables, name of the operation


async def of_system(call: Call) -> Response:
    return await _answered(call, None)


async def of_instance(call: Call) -> Response:
    return await _answered(call, call.key)


class Unanswered(HubError):
    """Every field of the query failed: the answer has the status of the first error, and is audited as a refusal."""

    def __init__(self, errors: list[Refused], data: dict[str, Any]) -> None:
        super().__init__(errors[0].message, kind=errors[0].reason)
        self.errors = errors
        self.data = data


async def _answered(call: Call, key: Key | None) -> Response:
    try:
        question = await _question(call)
        answer = await call.hub.door.reading(
            call.access,
            lambda reads: _answer(call, reads, question, key),
            action="E",
            interaction="operation",
            key=key,
            asked=f"{key.type}/{key.id}/$graphql" if key is not None else "$graphql",
        )
    except Unanswered as error:
        answer = {"errors": [_error(each) for each in error.errors], "data": error.data}
        return Response(fhir_json.dump(answer), error.reason.status, media_type=JSON)
    except HubError as error:
        return Response(fhir_json.dump({"errors": [_error(error)]}), error.reason.status, media_type=JSON)
    return Response(fhir_json.dump(answer), media_type=JSON)


def _answer(call: Call, reads: Reads, question: Question, key: Key | None) -> dict[str, Any]:
    from hub.graphql.check import check
    from hub.graphql.document import read
    from hub.graphql.executor import Executor
    from hub.graphql.limits import Spent
    from hub.graphql.resources import Site, Source

    links, access = call.hub.links, call.access
    site = Site(
        base=call.base,
        zone=call.hub.county.zone,
        now=call.hub.clock(),
        seal=lambda about, position: links.seal(access, about, position),
        unseal=lambda about, sealed, signature: links.unseal(access, about, sealed, signature),
    )
    document, spent = read(*question), Spent()
    source = Source(reads, spent, site)
    executor = Executor(document, source, spent)
    if key is None:
        check(document)
        data = executor.system()
    else:
        resource = source.one(key)
        check(document, key.type)
        data = executor.instance(resource)
    errors = executor.errors
    if errors and all(value is None for value in data.values()):
        raise Unanswered(errors, data)
    return {"errors": [_error(each) for each in errors], "data": data} if errors else {"data": data}


async def _question(call: Call) -> Question:
    """By GET in the address; by POST as application/json, or as application/graphql."""
    stated: dict[str, Any] = dict(query_pairs(call))
    if isinstance(variables := stated.get("variables"), str):
        stated["variables"] = _parsed(variables.encode(), "variables")
    if call.request.method == "POST":
        body = await body_of(call.request, MAX_BYTES)
        kind = media_type(call.request.headers.get("content-type", ""))
        if kind in JSON_TYPES:
            stated |= _named(_parsed(body, "the body"))
        elif kind == "application/graphql":
            stated["query"] = body.decode("utf-8", "replace")
        else:
            raise Invalid(f"send the query as {JSON} or application/graphql", kind=Kind.MEDIA_TYPE)
    query, variables, name = stated.get("query"), stated.get("variables") or {}, stated.get("operationName") or ""
    if not isinstance(query, str) or not isinstance(variables, dict) or not isinstance(name, str):
        raise Invalid("send a query, and variables as an object")
    return query, variables, name


def _named(body: dict[str, Any]) -> dict[str, Any]:
    """As GraphQL sends a query; or as FHIR sends an operation's parameters."""
    if body.get("resourceType") != "Parameters":
        return body
    named: dict[str, Any] = {}
    for parameter in body.get("parameter") or ():
        if isinstance(parameter, dict):
            named[str(parameter.get("name"))] = parameter.get("valueString")
    if isinstance(variables := named.get("variables"), str):
        named["variables"] = _parsed(variables.encode(), "variables")
    return named


def _parsed(text: bytes, what: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise Invalid(f"{what} is not JSON") from None
    if not isinstance(value, dict):
        raise Invalid(f"{what} is not a JSON object")
    return value


def _error(error: HubError) -> dict[str, Any]:
    made: dict[str, Any] = {"message": error.message}
    place = getattr(error, "place", None)
    if place is not None:
        made["locations"] = [{"line": place[0], "column": place[1]}]
    if path := getattr(error, "path", None):
        made["path"] = path
    return {**made, "extensions": {"code": error.reason.code, "resource": error.outcome()}}


GRAPHQL_ROUTES = (
    ("GET", "/fhir/$graphql", of_system, True),
    ("POST", "/fhir/$graphql", of_system, True),
    ("GET", "/fhir/{type}/{id}/$graphql", of_instance, True),
    ("POST", "/fhir/{type}/{id}/$graphql", of_instance, True),
)
