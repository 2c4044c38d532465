"""The OpenAPI document of /fhir, made from the same tables as `metadata`: every route, and each type's search with its parameters.

https://spec.openapis.org/oas/v3.1.0.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from importlib.metadata import version as installed
from typing import Any

from hub.api.claims import ALL, CONDITIONAL, INTERACTIONS, OTHER_WAYS, operation_of, plain
from hub.api.metadata import FORMATS, OF_ANY_TYPE
from hub.api.negotiation import FHIR_JSON, FHIR_XML, JSON_PATCH
from hub.search.parameters import Registry
from profiles.structures import compartments
from profiles.validation import resource_types

Json = dict[str, Any]

REFUSALS = {
    400: "not understood",
    401: "no token, or one that opens nothing",
    403: "this caller may not",
    404: "not there, or not for this caller",
    405: "not by this method",
    406: "neither JSON nor XML is wanted",
    409: "a conflict",
    410: "deleted",
    412: "another version, or not exactly one match",
    413: "too long",
    415: "a format that is not taken",
    422: "breaks a rule of FHIR or of the hub",
    429: "too many at a time",
    503: "for the moment not",
}
SUCCESSES = {
    "GET": {200: "what was asked", 202: "still at work", 304: "not changed"},
    "POST": {200: "done", 201: "created", 202: "accepted"},
    "PUT": {200: "saved", 201: "created"},
    "PATCH": {200: "saved"},
    "DELETE": {200: "done", 202: "accepted", 204: "deleted, or nothing was there"},
}
OF_THE_ANSWER = ("_format", "_pretty", "_summary", "_elements")
OF_A_SEARCH = ("_count", "_sort", "_total", "_include", "_revinclude")
KINDS = {
    "_format": {"type": "string", "enum": [*FORMATS, "html"]},
    "_pretty": {"type": "boolean"},
    "_summary": {"type": "string", "enum": ["true", "text", "data", "count", "false"]},
    "_count": {"type": "integer", "minimum": 0},
    "_total": {"type": "string", "enum": ["none", "estimate", "accurate"]},
}
TEXT = {"type": "string"}
PARAMETERS_OF_HISTORY = ("_count", "_since", "_at")
PARAMETERS_OF_OPERATIONS = {
    "everything": ("_type", "_since", "_count", "start", "end"),
    "lastn": ("max", "patient", "subject", "category", "code"),
    "summary": ("identifier", "profile"),
    "validate": ("mode", "profile"),
}
FORM = "application/x-www-form-urlencoded"


def openapi(addresses: Iterable[tuple[str, str]], known: Registry, base: str) -> Json:
    """`base` is the server's own FHIR address."""
    paths: dict[str, Json] = {}
    for method, address in addresses:
        path = _path(address)
        paths.setdefault(path, {}).setdefault(method.lower(), _operation(method, address))
    for kind in resource_types():
        paths.setdefault(f"/{kind}", {}).setdefault("get", _search(kind, known))
    paths["/metadata"] = {"get": _metadata()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Yitong Hub: FHIR R4", "version": installed("yitong-hub"), "license": {"name": "Apache-2.0"}},
        "externalDocs": {"url": "https://hl7.org/fhir/R4/http.html"},
        "servers": [{"url": base}],
        "security": [{"bearer": []}],
        "paths": dict(sorted(paths.items())),
        "components": _components(),
    }


def _path(address: str) -> str:
    return re.sub(r"{(\w+):\w+}", r"{\1}", plain(address).removeprefix("/fhir")) or "/"


def _components() -> Json:
    resource = {"type": "object", "required": ["resourceType"], "properties": {"resourceType": TEXT, "id": TEXT}}
    typed = {"type": "string", "enum": list(resource_types())}
    names = (*OF_THE_ANSWER, *OF_A_SEARCH, "_since", "_at", "_id", "_lastUpdated", *(name for name, *_ in OF_ANY_TYPE))
    parameters = {name: {"name": name, "in": "query", "schema": KINDS.get(name, TEXT)} for name in names}
    return {
        "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        "schemas": {
            "Resource": resource,
            "OperationOutcome": {"type": "object", "required": ["resourceType", "issue"], "properties": _outcome()},
            "Type": typed,
            "JsonPatch": {"type": "array", "items": {"type": "object", "required": ["op", "path"]}},
        },
        "parameters": parameters,
        "responses": {
            str(status): {"description": said, "content": _fhir("OperationOutcome")} for status, said in REFUSALS.items()
        },
    }


def _outcome() -> Json:
    return {"resourceType": {"const": "OperationOutcome"}, "issue": {"type": "array", "minItems": 1}}


def _fhir(schema: str) -> Json:
    return {FHIR_JSON: {"schema": {"$ref": f"#/components/schemas/{schema}"}}, FHIR_XML: {"schema": TEXT}}


def _operation(method: str, address: str) -> Json:
    """A route: what it is called by the standard, and what it takes."""
    stated = method, plain(address)
    operation = operation_of(method, address)
    names = INTERACTIONS.get(stated) or ((CONDITIONAL.get(stated) or OTHER_WAYS.get(stated) or "binary"),)
    described: Json = {"summary": f"${operation.name}" if operation else ", ".join(names)}
    described["parameters"] = [*_in_path(address), *_in_query(method, address, operation.name if operation else "")]
    if method in ("POST", "PUT", "PATCH"):
        described["requestBody"] = {"required": operation is None, "content": _taken(method, address)}
    if operation:
        described["externalDocs"] = {"url": operation.definition}
    described["responses"] = _responses(method, raw="Binary" in address)
    return described


def _in_path(address: str) -> Iterator[Json]:
    schemas: Json = {"type": {"$ref": "#/components/schemas/Type"}, "kind": {"$ref": "#/components/schemas/Type"}}
    if "compartment}" in address:
        schemas["type"] = {"type": "string", "enum": sorted(compartments())}
    for name in re.findall(r"{(\w+)", address):
        yield {"name": name, "in": "path", "required": True, "schema": schemas.get(name, TEXT)}


def _in_query(method: str, address: str, operation: str = "") -> Iterator[Json]:
    if method != "GET":
        return
    for name in PARAMETERS_OF_OPERATIONS.get(operation, ()):
        yield {"name": name, "in": "query", "schema": KINDS.get(name, TEXT)}
    if "_history" in address:
        names: tuple[str, ...] = () if "version}" in address else PARAMETERS_OF_HISTORY
    elif operation or "Binary" in address:
        names = ()
    elif address == f"{ALL}/{{id}}":
        names = OF_THE_ANSWER[2:]
    else:
        names = ("_id", "_lastUpdated", *(name for name, *_ in OF_ANY_TYPE), *OF_A_SEARCH, *OF_THE_ANSWER[2:])
    yield from ({"$ref": f"#/components/parameters/{name}"} for name in (*names, *OF_THE_ANSWER[:2]))


def _taken(method: str, address: str) -> Json:
    if address.endswith("/_search"):
        return {FORM: {"schema": {"type": "object", "additionalProperties": TEXT}}}
    taken = _fhir("Resource")
    if method == "PATCH":
        taken[JSON_PATCH] = {"schema": {"$ref": "#/components/schemas/JsonPatch"}}
    if "Binary" in address:
        taken["*/*"] = {"schema": {}}
    return taken


def _responses(method: str, *, raw: bool = False) -> Json:
    content = {**_fhir("Resource"), **({"*/*": {"schema": {}}} if raw else {})}
    found: Json = {
        str(status): {"description": said, **({} if status in (204, 304) else {"content": content})}
        for status, said in SUCCESSES[method].items()
    }
    return found | {str(status): {"$ref": f"#/components/responses/{status}"} for status in REFUSALS}


def _search(kind: str, known: Registry) -> Json:
    """The parameters of one type."""
    own = [
        {"name": code, "in": "query", "schema": TEXT, "description": f"{found.type}: {found.description}"}
        for code, found in sorted(known.of(kind).items())
        if code not in ("_id", "_lastUpdated")
    ]
    return {
        "summary": f"search {kind}",
        "parameters": [*_in_query("GET", ALL), *own],
        "responses": _responses("GET"),
    }


def _metadata() -> Json:
    mode = {"name": "mode", "in": "query", "schema": {"type": "string", "enum": ["full", "normative", "terminology"]}}
    shape = [{"$ref": f"#/components/parameters/{name}"} for name in OF_THE_ANSWER]
    return {"summary": "capabilities", "security": [], "parameters": [mode, *shape], "responses": _responses("GET")}
