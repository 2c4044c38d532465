"""Routes of the FHIR API, and one answer for whatever goes wrong on them: an OperationOutcome without patient data."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from hub import fhir_json
from hub.api import binary, bundle, conditional, everything, history, jobs, lastn, match, meta, patch, read, search, validate, write
from hub.api.access_log import access_log
from hub.api.auth import caller, hub_of, note_refusal
from hub.api.break_glass import break_glass_by_identifier, break_glass_of_patient, review
from hub.api.call import Call
from hub.api.claims import ALL, ONE, beside
from hub.api.formats import Formats
from hub.api.metadata import Capabilities, mode_of
from hub.api.negotiation import CONTENT_TYPE, check_accept
from hub.api.openapi import openapi
from hub.api.responses import error_answer, json_answer
from hub.api.shape import Shape
from hub.api.summary import summary_by_identifier, summary_of_patient
from hub.bulk.exports import EXPORT_ROUTES
from hub.bulk.imports import IMPORT_ROUTES
from hub.errors import HubError, Unavailable, operation_outcome, place_of
from hub.graphql.operations import GRAPHQL_ROUTES
from hub.identity.requests import IDENTITY_ROUTES
from hub.search.parameters import Registry, in_force
from hub.subscriptions.operations import SUBSCRIPTION_ROUTES
from hub.subscriptions.websocket import ADDRESS as WEBSOCKET_ADDRESS
from hub.subscriptions.websocket import websocket
from hub.terminology.capabilities import terminology_capabilities
from hub.terminology.operations import TERMINOLOGY_ROUTES

if TYPE_CHECKING:
    from hub.app import Hub

log = logging.getLogger(__name__)

Interaction = Callable[[Call], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An interaction as an ASGI application: authenticate, negotiate, run, and turn errors into answers."""

    interaction: Interaction
    any_format: bool = False  # the interaction looks at Accept itself

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        try:
            if not self.any_format:
                check_accept(request)
            hub = hub_of(request)
            call = Call(request, hub, await caller(request))
            with in_force(await _registry(hub)):
                answer = await self.interaction(call)
            if request.path_params.get("type") == "SearchParameter" and request.method != "GET":
                await call.learn()
        except HubError as error:
            await note_refusal(request, error)
            answer = error_answer(error)
        except HTTPException:
            raise
        except Exception as error:
            answer = unexpected(error)
        await answer(scope, receive, send)


async def _registry(hub: Hub) -> Registry:
    """What can be searched by. A server is asked beside the event loop; while it is silent, what was known last holds."""
    if hub.store.shared and hub.searchable.due:
        with suppress(Unavailable):
            await asyncio.to_thread(hub.searchable.look)
    return hub.searchable.registry()


def unexpected(error: Exception) -> Response:
    """Our own fault. The log says which line, never what value."""
    log.error("%s at %s", type(error).__name__, place_of(error))
    return json_answer(operation_outcome("the server failed; the request was not carried out", code="exception"), 500)


async def metadata(request: Request) -> Response:
    """Free without a token: a client learns here how to ask for one."""
    hub = hub_of(request)
    try:
        check_accept(request)
        mode = mode_of(request.query_params.get("mode", "full"))
        shape = Shape.of(request.query_params)
    except HubError as error:
        return error_answer(error)
    base, name, now = f"{str(request.base_url).rstrip('/')}/fhir", hub.county.name, hub.clock()
    if mode == "terminology":
        return json_answer(await asyncio.to_thread(terminology_capabilities, hub.terminology, base, name, now))
    stated = CAPABILITIES.statement(base, name, now, await _registry(hub), mode)
    if shape.whole and stated.etag in request.headers.get("if-none-match", ""):
        return Response(None, 304, {"etag": stated.etag})
    return Response(shape.part("CapabilityStatement", stated.body), 200, {"etag": stated.etag}, CONTENT_TYPE)


async def openapi_document(request: Request) -> Response:
    """Free without a token too: it says no more than `metadata`."""
    hub = hub_of(request)
    known, base = await _registry(hub), f"{str(request.base_url).rstrip('/')}/fhir"
    return Response(await asyncio.to_thread(_openapi, known, base), media_type="application/json")


@lru_cache(maxsize=4)
def _openapi(known: Registry, base: str) -> bytes:
    return fhir_json.dump(openapi(ADDRESSES, known, base))


class CompartmentTypes(StringConvertor):
    """What is searched in a compartment: a type, or all of them."""

    regex = r"[A-Z][A-Za-z]*|\*"


register_url_convertor("compartment", CompartmentTypes())

Served = tuple[str, str, Interaction, bool]


def _either_way(address: str, run: Interaction, *, any_format: bool = False) -> tuple[Served, Served]:
    """An operation that changes nothing is asked by GET or by POST. https://hl7.org/fhir/R4/operations.html#request"""
    return ("GET", address, run, any_format), ("POST", address, run, any_format)


ROUTES: tuple[Served, ...] = (
    ("POST", "/fhir/$reindex", jobs.reindex, False),
    ("GET", "/fhir/$job/{job}", jobs.status, False),
    ("DELETE", "/fhir/$job/{job}", jobs.cancel, False),
    ("GET", "/fhir/_history", history.of_system, False),
    ("GET", ALL + "/_history", history.of_type, False),
    ("GET", "/fhir/Binary/{id}", binary.read, True),
    ("GET", "/fhir/Binary/{id}/_history/{version}", binary.vread, True),
    ("PUT", "/fhir/Binary/{id}", binary.update, True),
    ("POST", "/fhir/Binary", binary.create, True),
    ("POST", "/fhir/_search", search.search_system_by_post, False),
    *_either_way("/fhir/Patient/$everything", everything.of_all_patients),
    *_either_way("/fhir/Patient/{id}/$everything", everything.of_patient),
    *_either_way("/fhir/Encounter/{id}/$everything", everything.of_encounter),
    ("POST", "/fhir/Patient/$break-glass", break_glass_by_identifier, False),
    ("POST", "/fhir/Patient/{id}/$break-glass", break_glass_of_patient, False),
    ("POST", "/fhir/Task/{id}/$review", review, False),
    ("GET", "/fhir/Patient/{id}/$access-log", access_log, False),
    *_either_way("/fhir/Patient/$summary", summary_by_identifier, any_format=True),
    *_either_way("/fhir/Patient/{id}/$summary", summary_of_patient, any_format=True),
    *_either_way("/fhir/Observation/$lastn", lastn.lastn),
    ("POST", "/fhir/Patient/$match", match.match, False),
    *_either_way("/fhir/$meta", meta.of_system),
    *_either_way(ALL + "/$meta", meta.of_type),
    *_either_way(ONE + "/$meta", meta.of_instance),
    ("POST", ONE + "/$meta-add", meta.add, False),
    ("POST", ONE + "/$meta-delete", meta.delete, False),
    *IDENTITY_ROUTES,
    *TERMINOLOGY_ROUTES,
    *GRAPHQL_ROUTES,
    *SUBSCRIPTION_ROUTES,
    *EXPORT_ROUTES,
    *IMPORT_ROUTES,
    ("POST", ALL + "/$validate", validate.validate_type, False),
    ("POST", ONE + "/$validate", validate.validate_instance, False),
    ("GET", ONE + "/$validate", validate.validate_instance, False),
    ("GET", ONE, read.read, False),
    ("GET", ALL, search.search, False),
    ("POST", ALL, write.create, False),
    ("PUT", ONE, write.update, False),
    ("DELETE", ONE, write.delete, False),
    ("PATCH", ONE, patch.patch, False),
    ("PUT", ALL, conditional.update, False),
    ("DELETE", ALL, conditional.delete, False),
    ("PATCH", ALL, patch.conditional_patch, False),
    ("GET", ONE + "/_history", history.of_instance, False),
    ("GET", ONE + "/_history/{version}", read.vread, False),
    ("POST", ALL + "/_search", search.search_by_post, False),
    ("POST", ONE + "/{kind:compartment}/_search", search.search_compartment_by_post, False),
    ("GET", ONE + "/{kind:compartment}", search.search_compartment, False),
    ("GET", "/fhir", search.search_system, False),
    ("GET", "/fhir/", search.search_system, False),
    ("POST", "/fhir", bundle.process, False),
    ("POST", "/fhir/", bundle.process, False),
)
"""Method, address, interaction, whether it looks at Accept itself. Tried in order."""


ADDRESSES = (*((method, path) for method, path, _, _ in ROUTES), *beside())
CAPABILITIES = Capabilities(ADDRESSES)


def fhir_routes() -> list[BaseRoute]:
    served: list[BaseRoute] = [
        Route("/fhir/metadata", metadata, methods=["GET"]),
        Route("/fhir/openapi.json", openapi_document, methods=["GET"]),
        WebSocketRoute(WEBSOCKET_ADDRESS, websocket),
    ]
    return served + [Route(path, Endpoint(run, any_format), methods=[method]) for method, path, run, any_format in ROUTES]


QUICK: dict[tuple[str, int], Endpoint] = {
    ("GET", 2): Endpoint(read.read),
    ("GET", 1): Endpoint(search.search),
    ("POST", 1): Endpoint(write.create),
    ("PUT", 2): Endpoint(write.update),
}
"""The same interactions by method and number of path segments: the commonest need no pattern matched."""


class FhirFirst:
    """Takes Type and Type/id to their interaction at once; everything else goes the way of the routes.

    A fault of ours on the way there is answered and logged here, before the server's own log repeats an exception's text.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/fhir/"):
            await self._app(scope, receive, send)
            return
        segments = scope["path"][6:].split("/")
        endpoint = QUICK.get((scope["method"], len(segments)))
        if (
            endpoint is not None
            and segments[0][:1] != "$"
            and segments[0] not in ("Binary", "metadata", "openapi.json")
            and segments[-1][:1] not in ("", "_", "$")
        ):
            scope["path_params"] = dict(zip(("type", "id"), segments, strict=False))
            await endpoint(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        except Exception as error:
            await unexpected(error)(scope, receive, send)


def install_fhir(app: FastAPI) -> None:
    """After every other middleware and router is there."""
    app.add_middleware(FhirFirst)
    app.add_middleware(Formats)
    add_fhir(app)


def add_fhir(app: FastAPI) -> None:
    """The routes, and what becomes of errors on them."""
    app.router.routes.extend(fhir_routes())
    app.add_exception_handler(HubError, _hub_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _bad_request)
    app.add_exception_handler(Exception, _failure)


def _is_fhir(request: Request) -> bool:
    path: str = request.scope["path"]
    return path == "/fhir" or path.startswith("/fhir/")


async def _hub_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HubError)  # noqa: S101  the table above says so
    if not _is_fhir(request):
        return PlainTextResponse(error.message, error.reason.status)
    await note_refusal(request, error)
    return error_answer(error)


_HTTP_CODES = {401: "login", 403: "forbidden", 404: "not-found", 405: "not-supported", 413: "too-long", 415: "not-supported"}


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    status = error.status_code
    if not _is_fhir(request):
        return PlainTextResponse(str(error.detail), status, error.headers)
    await note_refusal(request)
    try:
        await caller(request)
    except HubError as stranger:
        return error_answer(stranger)
    code = _HTTP_CODES.get(status, "processing" if status < 500 else "exception")
    said = {404: "nothing is served at this address", 405: "this address does not take this method"}
    message = said.get(status, HTTPStatus(status).phrase)
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    if status == 405:
        headers["allow"] = ", ".join(sorted(_methods(request)))
    return json_answer(operation_outcome(message, code=code), status, headers)


def _methods(request: Request) -> set[str]:
    """Of every route at this address: each has one. `metadata` could pass for a type, `_search` for an id, and neither is."""
    path: str = request.scope["path"]
    name = path.rpartition("/")[2]
    served = [route for route in request.app.router.routes if isinstance(route, Route) and route.path_regex.match(path)]
    by_name = [route for route in served if route.path.endswith(f"/{name}")]
    if (by_name and not name[:1].isupper()) or name[:1] == "$":
        served = by_name
    return {method for route in served for method in route.methods or ()}


async def _bad_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    where = ", ".join(sorted({".".join(map(str, e["loc"])) for e in error.errors()}))
    if not _is_fhir(request):
        return JSONResponse({"detail": f"wrong or missing: {where}"}, 422)
    return json_answer(operation_outcome(f"wrong or missing: {where}", code="invalid"), 400)


async def _failure(request: Request, error: Exception) -> Response:
    return unexpected(error) if _is_fhir(request) else PlainTextResponse("the server failed", 500)
