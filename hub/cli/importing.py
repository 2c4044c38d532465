"""`yitong import`: into the data folder of a hub that does not run, or to one that does.

Into a folder it is a job of the store (hub.bulk.import_work), which says how far it came. To a running hub the file goes piece by
piece; what has been done is remembered beside it, in FILE.import.json.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import httpx
import msgspec

from hub.app import Hub, open_hub
from hub.bulk.import_work import Asked, folder_of, progress_of
from hub.bulk.imports import kind_of, submit_import
from hub.bulk.report import NAME
from hub.cli.doctor import county_path
from hub.cli.progress import Bar
from hub.errors import HubError, Invalid, Unavailable
from hub.jobs import Job, jobs_in
from hub.security.access import Access
from hub.settings import load_county

COUNTS = ("created", "updated", "unchanged", "refused", "noted")
LOOK_SECONDS = 0.2
SENT_BYTES = 32 << 20  # of one piece
NDJSON = "application/fhir+ndjson"
SECONDS = httpx.Timeout(30.0, read=600.0, write=600.0)


def say(counts: Mapping[str, int], errors: Path | None) -> int:
    """The exit code."""
    sys.stdout.write(", ".join(f"{counts.get(name, 0)} {name}" for name in COUNTS) + "\n")
    if errors is not None and errors.is_file():
        sys.stdout.write(f"what was refused or noted: {errors}\n")
    return 1 if counts.get("refused") else 0


# -- a folder


def import_into_folder(data: Path, files: Sequence[Path], *, facility: str, errors: Path | None, config: Path | None) -> int:
    """Raise Unavailable for a folder whose hub runs."""
    try:
        hub = open_hub(data, load_county(county_path(data, config)))
    except Unavailable as error:
        raise Unavailable(f"{error.message}; to a hub that runs: --url and a token") from None
    try:
        job = _finished(hub, _job(hub, files, facility))
        if job.state != "done":
            raise HubError(job.message or "the import was stopped; the same command goes on")
        result = job.result or {}
        report = folder_of(data, job.id) / NAME
        told = errors or files[0].with_name(f"{files[0].name}.outcomes.ndjson")
        if report.is_file():
            shutil.copyfile(report, told)
        return say(result, told if report.is_file() else None)
    finally:
        hub.close()


def _job(hub: Hub, files: Sequence[Path], facility: str) -> str:
    """One that was not finished goes on."""
    if facility and hub.county.facilities and hub.county.facility(facility) is None:
        raise Invalid(f"--facility {facility} names no facility of this county")
    access = Access("yitong import", "system" if facility else "admin", facility)
    names = tuple(str(path.resolve()) for path in files)
    asked = Asked(access, "yitong import", names, tuple(path.name for path in files), ours=False)
    for job in jobs_in(hub.store):
        if job.kind == kind_of(hub) and msgspec.convert(job.arguments, Asked) == asked:
            return job.id
    return hub.store.write(lambda transaction: submit_import(hub, transaction, asked)).result().id


def _finished(hub: Hub, id: str) -> Job:
    hub.jobs.wake()
    with Bar("importing") as bar:
        while (job := hub.jobs.job(id)) is not None and not job.over:
            bar.told(job.done, job.total, progress_of(job).resources)
            time.sleep(LOOK_SECONDS)
    if job is None:
        raise Invalid("the import was deleted")
    return job


# -- a running hub


class _Memory(msgspec.Struct):
    """Beside the file: what of it the hub has."""

    url: str
    size: int
    byte: int = 0
    line: int = 0
    counts: dict[str, int] = {}


def import_over_http(url: str, token: str, files: Sequence[Path], *, errors: Path | None) -> int:
    counts: Counter[str] = Counter()
    told = errors or files[0].with_name(f"{files[0].name}.outcomes.ndjson")
    with (
        httpx.Client(base_url=url, headers={"authorization": f"Bearer {token}"}, timeout=SECONDS) as client,
        Bar("importing") as bar,
    ):
        for path in files:
            counts.update(_send(client, url, path, told, bar))
    return say(counts, told)


def _send(client: httpx.Client, url: str, path: Path, errors: Path, bar: Bar) -> dict[str, int]:
    beside = path.with_name(f"{path.name}.import.json")
    memory = _remembered(beside, url, path.stat().st_size)
    with path.open("rb") as stream:
        stream.seek(memory.byte)
        for piece in _pieces(stream):
            result = _piece(client, piece, lambda n: bar.told(memory.byte, memory.size, _stored(memory.counts) + n))
            _append(client, result, errors, path.name, memory.line)
            memory.byte += len(piece)
            memory.line += piece.count(b"\n")
            memory.counts = {name: memory.counts.get(name, 0) + int(result.get(name, 0)) for name in COUNTS}
            beside.write_bytes(msgspec.json.encode(memory))
            bar.told(memory.byte, memory.size, _stored(memory.counts))
    beside.unlink(missing_ok=True)
    return memory.counts


def _stored(counts: Mapping[str, int]) -> int:
    return sum(counts.get(name, 0) for name in COUNTS[:3])


def _remembered(beside: Path, url: str, size: int) -> _Memory:
    try:
        memory = msgspec.json.decode(beside.read_bytes(), type=_Memory)
    except (OSError, msgspec.MsgspecError):
        return _Memory(url, size)
    return memory if (memory.url, memory.size) == (url, size) else _Memory(url, size)


def _pieces(stream: BinaryIO) -> Iterator[bytes]:
    while piece := stream.read(SENT_BYTES):
        yield piece + stream.readline()


def _piece(client: httpx.Client, piece: bytes, told: Any) -> dict[str, Any]:
    """Sent, and waited for. Raise Unavailable or HubError."""
    try:
        answer = client.post("/fhir/$import", content=piece, headers={"content-type": NDJSON})
        _check(answer, 202)
        address = answer.headers["content-location"]
        while (answer := client.get(httpx.URL(address).path)).status_code == 202:
            number = answer.headers.get("x-progress", "").partition(" ")[0]
            told(int(number) if number.isdecimal() else 0)
            time.sleep(LOOK_SECONDS)
        _check(answer, 200)
    except httpx.HTTPError as error:
        raise Unavailable(f"the hub does not answer ({type(error).__name__}); the same command goes on later") from None
    return dict(answer.json())


def _check(answer: httpx.Response, wanted: int) -> None:
    if answer.status_code != wanted:
        try:
            said = answer.json()["issue"][0]["diagnostics"]
        except (ValueError, LookupError, TypeError):
            said = "no reason given"
        raise HubError(f"the hub answered {answer.status_code}: {said}")


def _append(client: httpx.Client, result: Mapping[str, Any], errors: Path, name: str, line: int) -> None:
    """With the lines' numbers in the whole file."""
    for file in result.get("error", ()):
        answer = client.get(httpx.URL(file["url"]).path)
        _check(answer, 200)
        with errors.open("ab") as stream:
            for text in answer.text.splitlines():
                outcome = json.loads(text)
                place = outcome["extension"][0]
                place["valueString"] = f"{name}:{line + int(place['valueString'].rpartition(':')[2])}"
                stream.write(json.dumps(outcome, ensure_ascii=False).encode() + b"\n")
