"""$meta, $meta-add, $meta-delete: profiles, tags and security labels. https://hl7.org/fhir/R4/resource-operation-meta.html

Adding or deleting makes a version, as every change does here: who labelled what can be read in the history.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from starlette.responses import Response

from hub import fhir_json
from hub.api.amendment import Amendment
from hub.api.call import Call
from hub.api.responses import json_answer
from hub.api.walk import walk
from hub.errors import Invalid, Kind
from hub.search.parameters import registry
from hub.search.query import SearchQuery
from hub.security.reads import Reads
from hub.store.port import Version

Meta = dict[str, Any]
LISTS = ("profile", "security", "tag")
AT_ONCE, MOST = 500, 10_000  # resources


async def of_instance(call: Call) -> Response:
    version = await call.hub.door.read(call.access, call.key)
    return _answer(_meta_of(version))


async def of_type(call: Call) -> Response:
    return await _of_types(call, [call.type], call.type)


async def of_system(call: Call) -> Response:
    readable = call.hub.door.reads(call.access).scope.types
    types = registry().types if readable is None else registry().types & readable
    return await _of_types(call, sorted(types - {"AuditEvent"}), "Resource")


async def _of_types(call: Call, types: Iterable[str], named: str) -> Response:
    """What occurs among the resources that the caller may see. Raise Invalid (too-costly) beyond MOST."""

    def work(reads: Reads) -> Meta:
        queries = [SearchQuery(kind) for kind in types]
        meta: Meta = {}
        position, seen = None, 0
        while True:
            page = walk(reads, queries, AT_ONCE, position)
            for version in page.matches:
                meta = added(meta, _meta_of(version))
            seen += len(page.matches)
            if page.next is None:
                return meta
            if seen >= MOST:
                raise Invalid(f"more than {MOST} resources: ask at one type or one resource", kind=Kind.TOO_COSTLY)
            position = page.next

    return _answer(await call.hub.door.reading(call.access, work, interaction="operation", type=named, asked="$meta"))


async def add(call: Call) -> Response:
    return await _changed(call, added)


async def delete(call: Call) -> Response:
    return await _changed(call, without)


async def _changed(call: Call, change: Callable[[Meta, Meta], Meta]) -> Response:
    key, meta = call.key, _sent(await call.resource())
    amendment = Amendment(lambda resource: {**resource, "meta": change(resource.get("meta", {}), meta)}, call.check, call.settled)
    saved = await call.hub.door.amend(call.access, key, amendment, condition=call.condition)
    return _answer(fhir_json.load(saved.version.body).get("meta", {}))


def _sent(parameters: dict[str, Any]) -> Meta:
    stated = [part.get("valueMeta") for part in parameters.get("parameter", ()) if part.get("name") == "meta"]
    if parameters["resourceType"] != "Parameters" or len(stated) != 1 or not isinstance(stated[0], dict):
        raise Invalid("send Parameters with one parameter `meta`, a valueMeta", expression=("Parameters.parameter",))
    if not set(stated[0]) <= {*LISTS, "id", "extension"}:
        raise Invalid("only profiles, security labels and tags can be added or deleted", expression=("Parameters.parameter.value",))
    return stated[0]


def added(meta: Meta, more: Meta) -> Meta:
    changed = dict(meta)
    for name in LISTS:
        present = {_same(item) for item in meta.get(name, ())}
        new = {_same(item): item for item in more.get(name, ()) if _same(item) not in present}
        if new:
            changed[name] = [*meta.get(name, ()), *new.values()]
    return changed


def without(meta: Meta, less: Meta) -> Meta:
    changed = dict(meta)
    for name in LISTS:
        gone = {_same(item) for item in less.get(name, ())}
        if left := [item for item in meta.get(name, ()) if _same(item) not in gone]:
            changed[name] = left
        else:
            changed.pop(name, None)
    return changed


def _same(item: Any) -> tuple[str, str]:
    """Labels and tags are the same by system and code."""
    return (str(item.get("system", "")), str(item.get("code", ""))) if isinstance(item, dict) else ("", str(item))


def _meta_of(version: Version) -> Meta:
    meta = fhir_json.load(version.body).get("meta", {})
    return {name: value for name, value in meta.items() if name in LISTS}


def _answer(meta: Meta) -> Response:
    shown = {name: meta[name] for name in LISTS if name in meta}
    found: dict[str, Any] = {"resourceType": "Parameters"}
    if shown:  # a parameter without a value is none (inv-1)
        found["parameter"] = [{"name": "return", "valueMeta": shown}]
    return json_answer(found)
