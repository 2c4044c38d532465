"""The routes of `$export`: kick-off, status, files, cancelling. https://hl7.org/fhir/uv/bulkdata/STU2/export.html

An export belongs to who asked for it; to everybody else it is not there. Its files are removed a day after it was done.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from email.utils import formatdate
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import JSONResponse, Response, StreamingResponse

from hub.api.call import Call
from hub.api.jobs import RETRY_SECONDS, own_job, progress
from hub.api.negotiation import FHIR_JSON, RESOURCE_BYTES, NotAcceptable, accepted_types, body_of, check_json
from hub.api.paging import query_pairs
from hub.bulk.asked import Asked, Level, Note, Reader, pairs_in
from hub.bulk.export import export
from hub.bulk.output import FOLDER, File, folder_of, named, remove
from hub.bulk.patients import members_of
from hub.clock import instant
from hub.errors import HubError, Invalid, Kind, NotFound
from hub.fhir_json import parse
from hub.jobs import OVER, Job, Jobs, caller_of, job_in, jobs_in, submit
from hub.search.query import SearchQuery
from hub.security.reads import Reads
from hub.store.opening import node_of
from hub.store.port import Key, Transaction, Version

if TYPE_CHECKING:
    from hub.app import Hub

SLOTS = 3  # exports that go on beside each other
MOST_OPEN = 20  # that wait or go on; three for each caller
MOST_OF_ONE = 3
KEPT_MS = 86_400_000
SWEEP_SECONDS = 600.0
STEP = 256 * 1024
NDJSON = "application/fhir+ndjson"
KIND = "export-"
READABLE = frozenset({FHIR_JSON, "application/json", "*/*", "application/*"})


class TooMany(HubError):
    kind = Kind.THROTTLED


def serve_exports(jobs: Jobs, hub: Hub) -> None:
    """A job is done by the hub that took it: its files lie in that one's data folder."""
    for slot in range(SLOTS):
        jobs.serve(_kind(hub, slot), partial(export, hub), own=True)
    jobs.regularly(SWEEP_SECONDS, lambda: sweep(hub))


def _kind(hub: Hub, slot: int) -> str:
    return f"{KIND}{node_of(hub.data)}-{slot}"


def sweep(hub: Hub) -> None:
    """Remove the files of exports that are expired, cancelled, or of which no record tells any more."""
    folder = hub.data / FOLDER
    for path in folder.iterdir() if folder.is_dir() else ():
        job = job_in(hub.store, path.name)
        if job is None or job.state in ("failed", "cancelled") or _expired(hub, job):
            remove(hub.data, path.name)


def _expired(hub: Hub, job: Job) -> bool:
    return job.over and job.finished + KEPT_MS < hub.clock()


# -- kick-off


async def of_system(call: Call) -> Response:
    return await _kick_off(call, "system")


async def of_patients(call: Call) -> Response:
    return await _kick_off(call, "patient")


async def of_group(call: Call) -> Response:
    return await _kick_off(call, "group", call.request.path_params["id"])


async def _kick_off(call: Call, level: Level, group: str = "") -> Response:
    lenient = call.prefers("handling") == "lenient"
    _check_headers(call, lenient=lenient)
    reader = Reader(level, call.hub.door.reads(call.access).scope.types, lenient=lenient)
    pairs = query_pairs(call)
    if call.request.method == "POST" and (body := await body_of(call.request, RESOURCE_BYTES)):
        check_json(call.request)
        pairs = [*pairs, *pairs_in(parse(body))]
    reader.read(pairs)
    asked = Asked(
        access=call.access,
        request=str(call.request.url),
        base=call.base,
        level=level,
        types=reader.chosen(),
        group=group,
        patients=tuple(dict.fromkeys(reader.patients)),
        since=reader.since,
        until=reader.until,
        filters=reader.filters,
        elements=tuple(reader.elements),
        notes=tuple(reader.notes),
    )
    asked = await asyncio.to_thread(_known, call, asked)
    job = await asyncio.wrap_future(call.hub.store.write(lambda transaction: _submit(call, transaction, asked)))
    await call.hub.door.note(call.access, action="E", interaction="operation", type="$export", query=asked.request)
    call.hub.jobs.wake()
    return Response(None, 202, {"Content-Location": f"{call.base}/$export/{job.id}"})


def _check_headers(call: Call, *, lenient: bool) -> None:
    if lenient:
        return
    if "respond-async" not in call.request.headers.get("prefer", "").replace(";", ",").replace(" ", "").split(","):
        raise Invalid("an export takes longer than an answer: Prefer: respond-async")
    if READABLE.isdisjoint(accepted_types(call.request)):
        raise NotAcceptable(f"what goes wrong is told as an OperationOutcome: Accept: {FHIR_JSON}")


def _known(call: Call, asked: Asked) -> Asked:
    """For those patients that are there, for this caller and in the Group. Raise NotFound where none is, or no Group; Invalid."""
    reads = call.hub.door.reads(call.access)
    _check_filters(call, reads, asked)
    if asked.group:
        reads.read(Key("Group", asked.group))
    if not asked.patients:
        return asked
    found = {version.id for version in reads.read_many([Key("Patient", id) for id in asked.patients])}
    if asked.group:
        found &= set(members_of(asked.group, lambda id: _there(reads, Key("Group", id))))
    patients = tuple(id for id in asked.patients if id in found)
    if not patients:
        raise NotFound("none of the patients that are named is known here", expression=("patient",))
    missing = ", ".join(str(number) for number, id in enumerate(asked.patients, 1) if id not in found)
    note = Note("not-found", f"not exported, for they are not known here or no members: of the patients named those at {missing}")
    return msgspec.structs.replace(asked, patients=patients, notes=(*asked.notes, note) if missing else asked.notes)


def _there(reads: Reads, key: Key) -> Version | None:
    return next(iter(reads.read_many([key])), None)


def _check_filters(call: Call, reads: Reads, asked: Asked) -> None:
    """What they stand for is there, too."""
    for kind in asked.types:
        conditions = asked.conditions(kind, call.hub.clock(), call.hub.county.zone)
        try:
            reads.resolved(SearchQuery(kind, conditions))
        except NotFound as error:
            raise Invalid(error.message, expression=("_typeFilter",)) from None


def _submit(call: Call, transaction: Transaction, asked: Asked) -> Job:
    """To the slot that has least to do. Raise TooMany."""
    waiting = [job for job in jobs_in(transaction) if job.kind.startswith(KIND)]
    caller = caller_of(call.access)
    if len(waiting) >= MOST_OPEN or sum(job.caller == caller for job in waiting) >= MOST_OF_ONE:
        raise TooMany("as many exports as this hub does at a time are on their way; wait for one, or cancel one")
    kinds = [_kind(call.hub, slot) for slot in range(SLOTS)]
    kind = min(kinds, key=lambda each: sum(job.kind == each for job in waiting))
    return submit(transaction, kind, call.hub.clock(), arguments=msgspec.to_builtins(asked), caller=caller)


# -- what became of it


async def status(call: Call) -> Response:
    """202 with X-Progress while it lasts, then the manifest."""
    job = await _own(call)
    if job.state == "failed":
        raise HubError(job.message, kind=Kind.EXCEPTION)
    if not job.over:
        return Response(None, 202, {"X-Progress": progress(job), "Retry-After": str(RETRY_SECONDS)})
    expires = formatdate((job.finished + KEPT_MS) / 1000, usegmt=True)
    return JSONResponse(_manifest(call, job), headers={"Expires": expires})


def _manifest(call: Call, job: Job) -> dict[str, Any]:
    result = job.result or {}
    listed: dict[str, list[dict[str, Any]]] = {"output": [], "deleted": [], "error": []}
    for file in msgspec.convert(result.get("files", []), list[File]):
        url = f"{call.base}/$export/{job.id}/{file.name}"
        listed[file.part].append({"type": file.type, "url": url, "count": file.count})
    return {
        "transactionTime": instant(result.get("at", job.created)),
        "request": result.get("request", ""),
        "requiresAccessToken": True,
        **listed,
    }


async def download(call: Call) -> Response:
    """One file, piece by piece."""
    job = await _own(call)
    name: str = call.request.path_params["file"]
    path = folder_of(call.hub.data, job.id) / name
    if job.state != "done" or not named(name) or not path.is_file():
        raise NotFound("no such file")
    await call.hub.door.note(call.access, action="R", interaction="operation", type="$export", query=f"{job.id}/{name}")
    size = path.stat().st_size
    return StreamingResponse(pieces_of(path, size), headers={"Content-Length": str(size)}, media_type=NDJSON)


async def pieces_of(path: Path, size: int) -> AsyncIterator[bytes]:
    """The first `size` bytes of a file."""
    with await asyncio.to_thread(path.open, "rb") as stream:
        while size and (piece := await asyncio.to_thread(stream.read, min(STEP, size))):
            size -= len(piece)
            yield piece


def give_up(hub: Hub, job: Job, remove_files: Callable[[], None]) -> None:
    """It stops at its next piece. The files of a job that is over are removed here, those of one under way by itself."""
    hub.jobs.cancel(job.id)
    hub.store.write(lambda transaction: transaction.put_item(OVER, job.id, None)).result()
    if job.over:
        remove_files()


async def cancel(call: Call) -> Response:
    """Its work stops, its files go. https://hl7.org/fhir/uv/bulkdata/STU2/export.html#bulk-data-delete-request"""
    job = await _own(call)
    await asyncio.to_thread(give_up, call.hub, job, lambda: remove(call.hub.data, job.id))
    await call.hub.door.note(call.access, action="D", interaction="operation", type="$export", query=job.id)
    return Response(None, 202)


async def _own(call: Call) -> Job:
    """Raise NotFound for another's as for what never was, is cancelled or expired."""
    job = await own_job(call)
    if not job.kind.startswith(KIND) or job.cancelled or _expired(call.hub, job):
        raise NotFound("no such export")
    return job


EXPORT_ROUTES = (
    *(
        (method, path, run, True)
        for path, run in (
            ("/fhir/$export", of_system),
            ("/fhir/Patient/$export", of_patients),
            ("/fhir/Group/{id}/$export", of_group),
        )
        for method in ("GET", "POST")
    ),
    ("GET", "/fhir/$export/{job}", status, True),
    ("DELETE", "/fhir/$export/{job}", cancel, True),
    ("GET", "/fhir/$export/{job}/{file}", download, True),
)
