"""The FHIR figures at several sizes of one store, and how each grows from one size to the next.

A size is filled by NDJSON over the API, through the one write path, and measured meanwhile; a folder that was filled before is used
as it is. Searches look at it from its end: every patient has about a hundred results, whatever the size.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from pymongo import MongoClient

from benchmarks import measures
from benchmarks.data import bundle, observation, resources
from benchmarks.figures import Figure, median
from benchmarks.hub import BenchHub
from benchmarks.load import Request, run_load
from benchmarks.order_time import order_time
from hub import fhir_json
from hub.store.opening import NAMED, UNSAFE

STORES = ("sqlite", "mongodb")
BUNDLES, BUNDLE = 10, 500
MONGOD = ("--replSet", "rs0", "--bind_ip", "127.0.0.1", "--wiredTigerCacheSizeGB", "4")  # as on a server of its own, 8 GB large
FILLED = "filled"  # a file of this name: the folder holds what its name says
NAMES = ("start", "ndjson", "bundles", "create", "read", "search", "order", "size", "memory")


@contextmanager
def database(store: str, folder: Path) -> Iterator[str]:
    """The address of a mongod with its files in `folder`, named to every hub that is started meanwhile; "" for SQLite."""
    if store == "sqlite":
        yield ""
        return
    from tests.mongod import make_replica_set, started

    fresh = not (folder / "mongod").exists()
    (folder / "mongod").mkdir(parents=True, exist_ok=True)
    port = int((folder / "port").read_text()) if not fresh else _remembered_port(folder)
    with started(folder / "mongod", *MONGOD, port=port) as (_, uri):
        if fresh:
            make_replica_set(uri)
        os.environ[UNSAFE] = "1"
        os.environ[NAMED] = uri.replace("/?", "/bench?")
        try:
            yield uri
        finally:
            del os.environ[NAMED]


def _remembered_port(folder: Path) -> int:
    """A replica set knows its members by address, so a folder keeps its port."""
    from tests.mongod import free_port

    port = free_port()
    (folder / "port").write_text(str(port))
    return port


def figures(count: int, store: str, data: Path | None, only: frozenset[str]) -> Iterator[Figure]:
    """Those of one size; `data` keeps what was filled for the next time."""
    kept = data / f"{store}-{count}" if data is not None else None
    folder = kept or Path(tempfile.mkdtemp(prefix="yitong-bench-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with database(store, folder) as uri:
            yield from _measured(count, folder, uri, only)
    finally:
        if kept is None:
            shutil.rmtree(folder, ignore_errors=True)


def _measured(count: int, folder: Path, uri: str, only: frozenset[str]) -> Iterator[Figure]:
    def named(what: str) -> str:
        return f"{what}, {count:,} resources"

    with BenchHub(folder / "hub") as hub:
        if not (folder / FILLED).exists():
            rate = fill(hub, count, folder)
            (folder / FILLED).touch()
            yield Figure(named("import of NDJSON"), rate, "resources/s", "1,500", (rate,))
        if "size" in only:
            yield Figure(named("bytes on disk per resource"), _size(hub, count, uri), "bytes", "≤ 4,096", ())
        for name, what, unit, goal, measure in (
            ("bundles", "import of bundles of 500", "resources/s", "1,500", lambda: _bundles(hub, count)),
            ("create", "single create, 8 clients", "requests/s", "400", lambda: measures.create(hub)),
            ("read", "read by id, 16 connections, audited", "requests/s", "2,500", lambda: measures.read(hub, count)),
            ("search", "search token+patient+date, sorted", "requests/s", "600", lambda: measures.search(hub, count)),
            ("order", "answer at order time, three tests, p95", "ms", "≤ 100", lambda: order_time(hub, count)),
        ):
            if name in only:
                hub.settle()
                yield median(named(what), unit, goal, measure)
    if "start" in only:
        yield median(named("start to first answer"), "s", "≤ 2", lambda: measures.start(folder / "hub"))
    if "memory" in only:
        with BenchHub(folder / "hub") as hub:
            largest, every = _memory(hub)
            yield Figure(named("memory at rest, largest process"), largest, "MB", "≤ 200", (), f"{every:.0f} MB of all")


def fill(hub: BenchHub, count: int, folder: Path) -> float:
    """By `yitong import` to the running hub: resources a second."""
    lines = folder / "fill.ndjson"
    with lines.open("wb") as file:
        for resource in resources(count):
            file.write(fhir_json.dump(resource) + b"\n")
    started = time.perf_counter()
    command = [sys.executable, "-m", "hub", "import", "--url", hub.url, str(lines)]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "YITONG_TOKEN": hub.token})
    seconds = time.perf_counter() - started
    lines.unlink()
    return count / seconds


def _bundles(hub: BenchHub, count: int) -> tuple[float, str]:
    """More results of the same patients, by transaction bundles over two connections."""
    rng, first = random.Random(count), time.time_ns() // 1000
    every = [observation(first + number, max(1, count // 100), rng) for number in range(BUNDLES * BUNDLE)]
    bodies = iter([fhir_json.dump(bundle(every[start : start + BUNDLE])) for start in range(0, len(every), BUNDLE)])

    def take(_: int) -> Iterator[Request]:
        return (Request("POST", "/fhir", body) for body in bodies)

    seen = run_load(hub.port, hub.token, take, clients=2, seconds=3600)
    if seen.failed:
        raise RuntimeError(f"{seen.failed} bundles failed")
    return len(every) / seen.seconds, f"p99 {seen.p99:.0f} ms a bundle"


def _size(hub: BenchHub, count: int, uri: str) -> float:
    if not uri:
        return measures.size(hub, count)
    with MongoClient[dict[str, object]](uri) as client:
        stats = client["bench"].command("dbStats")
    return float(stats["storageSize"] + stats["indexSize"]) / count


def _memory(hub: BenchHub) -> tuple[float, float]:
    """Resident MB of the largest process and of all."""
    process = psutil.Process(hub.pid)
    resident = [each.memory_info().rss / 2**20 for each in (process, *process.children(recursive=True))]
    return max(resident), sum(resident)


def growth(found: dict[int, list[Figure]], of: int, to: int) -> str:
    """How each figure changes from one size to another: 1.00 is flat."""
    former = {_kind(figure): figure.value for figure in found.get(of, ())}
    rows = [f"| from {of:,} to {to:,} | × |", "|---|---|"]
    for figure in found.get(to, ()):
        if former.get(_kind(figure)):
            rows.append(f"| {_kind(figure)} | {figure.value / former[_kind(figure)]:.2f} |")
    return "\n".join(rows) + "\n" if len(rows) > 2 else ""


def _kind(figure: Figure) -> str:
    return figure.what.rpartition(", ")[0]
