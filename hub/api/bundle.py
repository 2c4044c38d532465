"""batch and transaction at the base address. https://hl7.org/fhir/R4/http.html#transaction

A transaction is all or nothing: the entry that fails is named. A batch is as many requests as it has entries.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import groupby
from typing import Any

import msgspec
from starlette.responses import Response

from hub import fhir_json
from hub.api import search
from hub.api.call import ID, Call, beside, checked
from hub.api.negotiation import BUNDLE_BYTES, body_of, check_json
from hub.api.parameters import criteria, pairs_of
from hub.api.plan import ORDER, References, Step, check_identities, conditional_references, entries_of, step_of
from hub.api.read import version_number
from hub.api.responses import json_answer
from hub.clock import instant
from hub.errors import HubError, Invalid, Kind
from hub.search.query import SearchQuery
from hub.security.writes import Writes
from hub.store.port import Key, Version

AT_ONCE = 64  # entries of a batch that share commits


async def process(call: Call) -> Response:
    check_json(call.request)
    body = await body_of(call.request, BUNDLE_BYTES)
    bundle = await beside(len(body), lambda: fhir_json.parse(body))
    if bundle.get("resourceType") != "Bundle":
        raise Invalid("the base address takes a Bundle", expression=("resourceType",))
    kind = bundle.get("type")
    if kind == "transaction":
        entries = await _transaction(call, bundle, len(body))
    elif kind == "batch":
        entries = await _batch(call, entries_of(bundle))
    else:
        raise Invalid("the Bundle is a batch or a transaction", expression=("Bundle.type",))
    answer: dict[str, Any] = {"resourceType": "Bundle", "type": f"{kind}-response"}
    if entries:
        answer["entry"] = entries
    return json_answer(answer)


# -- transaction


async def _transaction(call: Call, bundle: dict[str, Any], size: int) -> list[dict[str, Any]]:
    def prepare() -> tuple[list[Step], _Conditions]:
        entries = entries_of(bundle)
        checked(bundle)
        steps = [step_of(number, entry, call.base) for number, entry in enumerate(entries)]
        check_identities(steps)
        return steps, _conditions(call, steps)

    steps, conditions = await beside(size, prepare)
    done = await call.hub.door.transaction(call.access, lambda writes: _carry_out(writes, steps, conditions))
    answers = {step.number: _written(call, step, done[step.number]) for step in steps if step.number in done}
    for step in steps:
        if step.number not in done:
            answers[step.number] = await _one(call, step)  # what was asked of the state after the writes
    return [answers[step.number] for step in steps]


class _Conditions:
    """Every criterion of the bundle, parsed before the writer is asked."""

    def __init__(self) -> None:
        self.of_step: dict[int, SearchQuery] = {}
        self.of_reference: dict[str, SearchQuery] = {}


def _conditions(call: Call, steps: list[Step]) -> _Conditions:
    conditions = _Conditions()
    for step in steps:
        try:
            if step.method == "POST" and step.if_none_exist is not None:
                conditions.of_step[step.number] = criteria(call, step.type, step.if_none_exist)
            elif step.method == "PUT" and not step.id:
                conditions.of_step[step.number] = criteria(call, step.type, step.query)
            for reference in conditional_references(step.resource):
                kind, _, query = reference.partition("?")
                conditions.of_reference[reference] = criteria(call, kind, query)
        except HubError as error:
            raise step.named(error) from None
    return conditions


Done = dict[int, tuple[Version | None, str]]
"""Entry number → the version it led to, and the HTTP status."""


def _carry_out(writes: Writes, steps: list[Step], conditions: _Conditions) -> Done:
    """Runs in the writer: deletes, then names for everything, then creates and updates."""
    done: Done = {}
    for step in (s for s in steps if s.method == "DELETE"):
        saved = _guarded(step, lambda s=step: writes.delete(Key(s.type, s.id), if_match=s.if_match))  # type: ignore[misc]
        done[step.number] = (saved.version if saved else None, "204 No Content")
    references, targets = References(), {}
    for step in (s for s in steps if s.method in ("POST", "PUT")):
        key, exists = _guarded(step, lambda s=step: _target(writes, s, conditions))  # type: ignore[misc]
        references.add(step.full_url, f"{key.type}/{key.id}")
        targets[step.number] = (key, exists)
    for step in steps:
        for reference in conditional_references(step.resource) if conditions.of_reference else ():
            if reference not in references.conditional:
                query = conditions.of_reference[reference]
                found = _guarded(step, lambda q=query: _only(writes, q))  # type: ignore[misc]
                references.conditional[reference] = f"{found.type}/{found.id}"
    for step in sorted((s for s in steps if s.number in targets), key=lambda s: ORDER[s.method]):
        key, exists = targets[step.number]
        done[step.number] = _guarded(step, lambda s=step, k=key, e=exists: _save(writes, s, k, e, references))  # type: ignore[misc]
    return done


def _guarded(step: Step, work: Callable[[], Any]) -> Any:
    try:
        return work()
    except HubError as error:
        raise step.named(error) from None


def _target(writes: Writes, step: Step, conditions: _Conditions) -> tuple[Key, bool]:
    """Which resource the step writes, and whether a conditional create found it there already."""
    query = conditions.of_step.get(step.number)
    if query is None:
        return (Key(step.type, step.id) if step.id else writes.new_key(step.type)), False
    found = writes.find(query)
    if len(found) > 1:
        raise HubError("several resources match the criteria", kind=Kind.MULTIPLE_MATCHES)
    if found:
        return found[0], step.method == "POST"
    stated = (step.resource or {}).get("id", "") if step.method == "PUT" else ""
    return (Key(step.type, stated) if stated and ID.fullmatch(stated) else writes.new_key(step.type)), False


def _only(writes: Writes, query: SearchQuery) -> Key:
    found = writes.find(query)
    if len(found) != 1:
        said = "no resource matches" if not found else "several resources match"
        raise HubError(f"{said} a conditional reference", kind=Kind.MULTIPLE_MATCHES)
    return found[0]


def _save(writes: Writes, step: Step, key: Key, exists: bool, references: References) -> tuple[Version, str]:
    if exists:
        version = writes.existing(key)
        return version, "200 OK"
    resource = references.applied(step.resource or {}, step.full_url)
    saved = writes.save(resource, id=key.id, if_match=step.if_match, new=step.method == "POST")
    return saved.version, "201 Created" if saved.created else "200 OK"


def _written(call: Call, step: Step, done: tuple[Version | None, str]) -> dict[str, Any]:
    version, status = done
    response: dict[str, Any] = {"status": status}
    if version is None:
        return {"response": response}
    address = f"{call.base}/{version.type}/{version.id}"
    response |= {"location": f"{address}/_history/{version.version}", "etag": version.etag}
    response["lastModified"] = instant(version.updated)
    entry: dict[str, Any] = {}
    if step.method != "DELETE":
        entry["fullUrl"] = address
        if call.prefers("return") == "representation":
            entry["resource"] = msgspec.Raw(version.body)
    entry["response"] = response
    return entry


# -- batch


async def _batch(call: Call, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    answers: dict[int, dict[str, Any]] = {}
    steps: list[Step] = []
    for number, entry in enumerate(entries):
        try:
            steps.append(step_of(number, entry, call.base))
        except HubError as error:
            answers[number] = _failed(error)
    for _, same in groupby(sorted(steps, key=lambda s: ORDER[s.method]), key=lambda s: s.method):
        waiting = list(same)
        for start in range(0, len(waiting), AT_ONCE):
            group = waiting[start : start + AT_ONCE]
            for step, answer in zip(group, await asyncio.gather(*(_one(call, step) for step in group)), strict=True):
                answers[step.number] = answer
    return [answers[number] for number in range(len(entries))]


async def _one(call: Call, step: Step) -> dict[str, Any]:
    """One entry as if it had come alone."""
    try:
        if step.method in ("GET", "HEAD"):
            return await _read(call, step)
        if step.method == "DELETE":
            gone = await call.hub.door.delete(call.access, Key(step.type, step.id), if_match=step.if_match)
            return _written(call, step, (gone.version if gone else None, "204 No Content"))
        return await _write(call, step)
    except HubError as error:
        return _failed(error)


async def _write(call: Call, step: Step) -> dict[str, Any]:
    resource = checked(step.resource or {}, within="")
    door = call.hub.door
    if step.method == "POST" and step.if_none_exist is not None:
        resource = {name: value for name, value in resource.items() if name != "id"}
        version, made = await door.create_unless(call.access, resource, criteria(call, step.type, step.if_none_exist))
        return _written(call, step, (version, "201 Created" if made else "200 OK"))
    if step.method == "PUT" and not step.id:
        raise HubError("a conditional update stands in a transaction", kind=Kind.NOT_SUPPORTED)
    saved = await door.save(call.access, resource, id=step.id, if_match=step.if_match)
    return _written(call, step, (saved.version, "201 Created" if saved.created else "200 OK"))


async def _read(call: Call, step: Step) -> dict[str, Any]:
    if not step.id:
        answer = await search.answer(call, step.type, pairs_of(step.query))
        return {"resource": msgspec.Raw(bytes(answer.body)), "response": {"status": "200 OK"}}
    id, _, rest = step.id.partition("/")
    number = rest.removeprefix("_history/")
    if not ID.fullmatch(id) or (rest and number == rest):
        raise HubError("a Bundle reads Type/id, Type/id/_history/version or Type?criteria", kind=Kind.NOT_SUPPORTED)
    key = Key(step.type, id)
    door = call.hub.door
    version = await (door.vread(call.access, key, version_number(number, key)) if rest else door.read(call.access, key))
    response = {"status": "200 OK", "etag": version.etag, "lastModified": instant(version.updated)}
    return {"resource": msgspec.Raw(version.body), "response": response}


def _failed(error: HubError) -> dict[str, Any]:
    return {"response": {"status": str(error.reason.status), "outcome": error.outcome()}}
