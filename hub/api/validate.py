"""$validate: would this resource be accepted, and what is wrong with it or advised against?

https://hl7.org/fhir/R4/resource-operation-validate.html
Nothing is stored. The answer is 200 with an OperationOutcome, whatever it says: all issues, up to a limit, each with its element
and the rule it breaks. Beyond what a write checks: advice (dom-6 and its like) and whether what the resource refers to is there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from starlette.responses import Response

from hub import fhir_json
from hub.api.call import ID, Call, beside
from hub.api.negotiation import RESOURCE_BYTES, body_of, check_json
from hub.api.responses import json_answer
from hub.api.validity import Check, outcome_of
from hub.errors import HubError, Invalid, Kind, NotFound
from hub.security.policy import check_write, made_by_hub
from hub.security.reads import Reads
from hub.store.port import Key, Version
from profiles.validation import MAX_ISSUES, ValidationIssue, known_type

MODES = frozenset({"create", "update", "delete", "profile"})
MAX_REFERENCES = 500


class Asked(NamedTuple):
    resource: dict[str, Any] | None
    mode: str
    profiles: tuple[str, ...]


async def validate_type(call: Call) -> Response:
    """POST [type]/$validate"""
    asked = await _asked(call)
    if asked.resource is None:
        raise Invalid("$validate of a type needs the resource")
    id = str(asked.resource.get("id", ""))
    key = Key(call.type, id) if asked.mode in ("update", "delete") and ID.fullmatch(id) else None
    return await _answer(call, asked, key)


async def validate_instance(call: Call) -> Response:
    """GET or POST [type]/[id]/$validate: what is sent, or what is stored where nothing is."""
    asked = _stated(call) if call.request.method == "GET" else await _asked(call)
    if asked.resource is not None:
        return await _answer(call, asked._replace(mode=asked.mode or "update"), call.key)
    version = await call.hub.door.read(call.access, call.key)
    return await _answer(call, asked._replace(resource=fhir_json.load(version.body)), call.key)


async def _answer(call: Call, asked: Asked, key: Key | None) -> Response:
    resource = asked.resource or {}

    def work(reads: Reads) -> list[ValidationIssue]:
        rights = list(_rights(call, reads, asked, key))
        if asked.mode == "delete":
            return rights
        issues = Check(call, "strict").issues(resource, warnings=True, profiles=asked.profiles)
        if resource.get("resourceType") != call.type and not any(issue.structural for issue in issues):
            issues.insert(0, ValidationIssue("resourceType", "the resource is of another type than the address says", Kind.INVALID))
        return [*rights, *issues, *_absent(call, reads, resource)]

    issues = await call.hub.door.reading(call.access, work, interaction="operation", key=key, type=call.type, asked="$validate")
    nothing = ValidationIssue(call.type, "no issue was found", Kind.INFORMATIONAL, "information")
    return json_answer(outcome_of(issues[:MAX_ISSUES] or [nothing]))


# -- what is asked


async def _asked(call: Call) -> Asked:
    """Parameters with resource, mode and profile; or the resource itself."""
    check_json(call.request)
    body = await body_of(call.request, RESOURCE_BYTES)
    stated = _stated(call)
    if not body.strip():
        return stated
    sent: dict[str, Any] = await beside(len(body), lambda: fhir_json.parse(body))
    if sent.get("resourceType") != "Parameters" or (call.type == "Parameters" and not _is_request(sent)):
        return stated._replace(resource=sent)
    found = {name: list(_values(sent, name)) for name in ("resource", "mode", "profile")}
    resource = next(iter(found["resource"]), None)
    if resource is not None and not isinstance(resource, dict):
        raise Invalid("the parameter resource holds a resource", expression=("Parameters.parameter",))
    mode = next((value for value in found["mode"] if isinstance(value, str)), stated.mode)
    profiles = (*stated.profiles, *(value for value in found["profile"] if isinstance(value, str)))
    return Asked(resource, _mode(mode), profiles)


def _stated(call: Call) -> Asked:
    query = call.request.query_params
    return Asked(None, _mode(query.get("mode", "")), tuple(query.getlist("profile")))


def _mode(mode: str) -> str:
    if mode and mode not in MODES:
        raise Invalid("the mode is create, update, delete or profile")
    return mode


def _is_request(parameters: dict[str, Any]) -> bool:
    return any(True for _ in _values(parameters, "resource"))


def _values(parameters: dict[str, Any], name: str) -> Iterator[Any]:
    listed = parameters.get("parameter")
    for parameter in listed if isinstance(listed, list) else ():
        if isinstance(parameter, dict) and parameter.get("name") == name:
            yield next((value for key, value in parameter.items() if key == "resource" or key.startswith("value")), None)


# -- whether it may be written


def _rights(call: Call, reads: Reads, asked: Asked, key: Key | None) -> Iterator[ValidationIssue]:
    if asked.mode not in ("create", "update", "delete"):
        return
    current: Version | None = None
    if key is not None:
        try:
            current = reads.read(key)
        except NotFound as error:
            if asked.mode == "delete":
                yield ValidationIssue(call.type, error.message, Kind.NOT_FOUND)
        except HubError as error:
            yield ValidationIssue(call.type, error.message, error.reason, "error" if asked.mode == "delete" else "information")
        if asked.mode == "update" and (asked.resource or {}).get("id") != key.id:
            yield ValidationIssue(f"{call.type}.id", "the resource needs the id that the address says", Kind.INVALID)
    elif asked.mode != "create":
        yield ValidationIssue(f"{call.type}.id", f"the mode {asked.mode} needs an id", Kind.INVALID)
    try:
        check_write(call.access, call.type, current, hubs=made_by_hub(asked.resource or {}))
    except HubError as error:
        yield ValidationIssue(call.type, error.message, error.reason)


# -- whether what it refers to is there


def _absent(call: Call, reads: Reads, resource: dict[str, Any]) -> Iterator[ValidationIssue]:
    """What the caller cannot see and what is not there are one answer."""
    places: dict[Key, str] = {}
    for place, reference in _references(resource, str(resource.get("resourceType", ""))):
        key = _key(reference.removeprefix(f"{call.base}/"))
        if key is not None and len(places) < MAX_REFERENCES:
            places.setdefault(key, place)
    readable = reads.scope.types
    asked = [key for key in places if readable is None or key.type in readable]
    there = {Key(version.type, version.id) for version in reads.read_many(asked)}
    for key, place in places.items():
        if key not in there:
            yield ValidationIssue(place, f"the {key.type} referred to is not known here", Kind.NOT_FOUND, "warning", "target")


def _key(reference: str) -> Key | None:
    kind, _, id = reference.partition("/_history/")[0].partition("/")
    return Key(kind, id) if known_type(kind) and ID.fullmatch(id) else None


def _references(value: Any, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        reference = value.get("reference")
        if isinstance(reference, str):
            yield f"{place}.reference", reference
        for name, content in value.items():
            if isinstance(content, (dict, list)):
                yield from _references(content, f"{place}.{name}")
    else:
        for number, item in enumerate(value):
            if isinstance(item, (dict, list)):
                yield from _references(item, f"{place}[{number}]")
