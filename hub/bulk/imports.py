"""The routes of `$import`: NDJSON sent, or addresses of it → a job; its status, and what was refused.

    POST [base]/$import   Content-Type: application/fhir+ndjson         one file, however long: it is written to disk as it comes
                          Content-Type: multipart/form-data             several
                          Content-Type: application/json                a manifest of files to fetch (hub.bulk.manifest)
    GET, DELETE [base]/$import/{job}      GET [base]/$import/{job}/outcomes.ndjson

Each line is a resource with its id, and is kept as a PUT of it would be; a line that is refused stops nothing.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.responses import JSONResponse, Response, StreamingResponse

from hub.api.call import Call
from hub.api.jobs import RETRY_SECONDS, own_job
from hub.api.negotiation import FHIR_JSON, RESOURCE_BYTES, NotJson, TooLong, body_of, check_json, media_type
from hub.bulk.exports import NDJSON, give_up, pieces_of
from hub.bulk.fetching import FREE_BYTES, MOST_BYTES
from hub.bulk.import_work import FOLDER, Asked, folder_of, progress_of, take_in
from hub.bulk.manifest import MOST_FILES, Input, inputs_of
from hub.bulk.report import NAME
from hub.errors import HubError, Invalid, Kind, NotAllowed, NotFound, Unavailable
from hub.fhir_json import parse
from hub.jobs import Job, Jobs, caller_of, job_in, submit
from hub.security.egress import Egress
from hub.security.policy import WRITING_ROLES
from hub.store.opening import node_of
from hub.store.port import Transaction

if TYPE_CHECKING:
    from hub.app import Hub

LOOK_BYTES = 16 << 20  # between looks at the disk
KEPT_MS = 86_400_000
SWEEP_SECONDS = 600.0
KIND = "import-"
NDJSON_TYPES = frozenset({NDJSON, "application/ndjson", "application/x-ndjson"})
FORM = "multipart/form-data"
MANIFEST_TYPES = frozenset({"application/json", FHIR_JSON})


def serve_imports(jobs: Jobs, hub: Hub) -> None:
    """One after the other, by the hub in whose data folder the files lie."""
    jobs.serve(kind_of(hub), partial(take_in, hub), own=True)
    jobs.regularly(SWEEP_SECONDS, lambda: sweep(hub))


def kind_of(hub: Hub) -> str:
    return f"{KIND}{node_of(hub.data)}"


def sweep(hub: Hub) -> None:
    """Remove what is left of imports that are over for a day, or that never became a job within a week."""
    folder = hub.data / FOLDER
    for path in folder.iterdir() if folder.is_dir() else ():
        job = job_in(hub.store, path.name)
        old = path.stat().st_mtime * 1000 + 7 * KEPT_MS < hub.clock()
        if (job is None and old) or (
            job is not None and (job.state == "cancelled" or (job.over and job.finished + KEPT_MS < hub.clock()))
        ):
            shutil.rmtree(path, ignore_errors=True)


async def take(call: Call) -> Response:
    if call.access.role not in WRITING_ROLES:
        raise NotAllowed(f"the role {call.access.role} may not write")
    folder = call.hub.data / FOLDER / f"sent-{secrets.token_hex(12)}"
    folder.parent.mkdir(mode=0o700, exist_ok=True)
    folder.mkdir(mode=0o700)
    try:
        asked = await _asked(call, folder)
        job = await asyncio.wrap_future(call.hub.store.write(lambda transaction: submit_import(call.hub, transaction, asked)))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    await call.hub.door.note(call.access, action="E", interaction="operation", type="$import", query=job.id)
    call.hub.jobs.wake()
    return Response(None, 202, {"Content-Location": f"{call.base}/$import/{job.id}"})


def submit_import(hub: Hub, transaction: Transaction, asked: Asked) -> Job:
    return submit(transaction, kind_of(hub), hub.clock(), arguments=msgspec.to_builtins(asked), caller=caller_of(asked.access))


# -- what is sent


async def _asked(call: Call, folder: Path) -> Asked:
    """Raise NotJson, TooLong, Invalid, NotAllowedOut, Unavailable."""
    inputs: tuple[Input, ...] = ()
    if media_type(call.request.headers.get("content-type", "")) in MANIFEST_TYPES:
        check_json(call.request)
        sent = parse(await body_of(call.request, RESOURCE_BYTES))
        inputs = inputs_of(sent, Egress(call.hub.county.egress.imports, public=False))
        names = [each.name for each in inputs]
        paths = [folder / f"{number}.ndjson" for number in range(1, len(inputs) + 1)]
    else:
        names, paths = await _received(call, folder)
    return Asked(call.access, str(call.request.url), tuple(map(str, paths)), tuple(names), inputs=inputs)


async def _received(call: Call, folder: Path) -> tuple[list[str], list[Path]]:
    """Names and files, synced. Raise NotJson, TooLong, Invalid, Unavailable."""
    kind = media_type(call.request.headers.get("content-type", ""))
    if call.request.headers.get("content-encoding", "identity") != "identity":
        raise NotJson("Content-Encoding is gzip, or none")
    if kind in NDJSON_TYPES:
        path = folder / "1.ndjson"
        await _written(path, call.request.stream())
        return ["body"], [path]
    if kind != FORM:
        raise NotJson(f"send Content-Type: {NDJSON}, {FORM} with files of it, or a manifest as application/json")
    try:
        async with call.request.form(max_files=MOST_FILES, max_fields=0) as form:
            files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
            paths = [folder / f"{number}.ndjson" for number in range(1, len(files) + 1)]
            for file, path in zip(files, paths, strict=True):
                await _written(path, _chunks(file))
    except MultiPartException:
        raise Invalid(f"the form is not understood; it holds at most {MOST_FILES} files and nothing else") from None
    if not files:
        raise Invalid("the form holds no file")
    return [(file.filename or f"file {number}")[:100] for number, file in enumerate(files, 1)], paths


async def _chunks(file: UploadFile) -> AsyncIterator[bytes]:
    while chunk := await file.read(1 << 20):
        yield chunk


async def _written(path: Path, chunks: AsyncIterator[bytes]) -> None:
    size = looked = 0
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        async for chunk in chunks:
            size += len(chunk)
            if size > MOST_BYTES:
                raise TooLong(f"more than {MOST_BYTES} bytes")
            if size >= looked:
                looked = size + LOOK_BYTES
                if shutil.disk_usage(path.parent).free < FREE_BYTES:
                    raise Unavailable("the disk is nearly full")
            await asyncio.to_thread(stream.write, chunk)
        await asyncio.to_thread(_sync, stream.fileno(), stream.flush)


def _sync(descriptor: int, flush: object) -> None:
    flush()  # type: ignore[operator]
    os.fsync(descriptor)


# -- what became of it


async def status(call: Call) -> Response:
    job = await _own(call)
    if job.state == "failed":
        raise HubError(job.message, kind=Kind.EXCEPTION)
    if not job.over:
        return Response(None, 202, {"X-Progress": progress(job), "Retry-After": str(RETRY_SECONDS)})
    result = dict(job.result or {})
    if lines := result.get("refused", 0) + result.get("noted", 0):
        url = f"{call.base}/$import/{job.id}/{NAME}"
        result["error"] = [{"type": "OperationOutcome", "url": url, "count": lines}]
    return JSONResponse(result)


def progress(job: Job) -> str:
    if job.state == "waiting":
        return "waiting"
    came = progress_of(job)
    if came.fetched:
        return f"{came.fetched} bytes fetched"
    return f"{came.resources} resources, byte {job.done} of {job.total or 0}"


async def outcomes(call: Call) -> Response:
    """What was refused, and what was noted; also while the import lasts."""
    job = await _own(call)
    path = folder_of(call.hub.data, job.id) / NAME
    size = progress_of(job).report
    if not size or not path.is_file():
        raise NotFound("nothing was refused or noted")
    await call.hub.door.note(call.access, action="R", interaction="operation", type="$import", query=f"{job.id}/{NAME}")
    return StreamingResponse(pieces_of(path, size), headers={"Content-Length": str(size)}, media_type=NDJSON)


async def cancel(call: Call) -> Response:
    """It stops at its next piece; what is stored stays."""
    job = await _own(call)
    folder = folder_of(call.hub.data, job.id)
    await asyncio.to_thread(give_up, call.hub, job, lambda: shutil.rmtree(folder, ignore_errors=True))
    return Response(None, 202)


async def _own(call: Call) -> Job:
    job = await own_job(call)
    if not job.kind.startswith(KIND) or job.cancelled:
        raise NotFound("no such import")
    return job


IMPORT_ROUTES = (
    ("POST", "/fhir/$import", take, True),
    ("GET", "/fhir/$import/{job}", status, True),
    ("DELETE", "/fhir/$import/{job}", cancel, True),
    ("GET", f"/fhir/$import/{{job}}/{NAME}", outcomes, True),
)
