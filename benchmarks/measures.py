"""One function a figure: each returns the value and what else was seen."""

from __future__ import annotations

import itertools
import os
import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import httpx
import psutil

from benchmarks.data import bundle, messages, resources
from benchmarks.flood import Plan, flood
from benchmarks.hub import BenchHub
from benchmarks.load import Load, Request, run_load
from connectors.base import SourceRecord
from connectors.hl7v2_mllp.client import MllpClient
from demo.story import ITEMS
from hub import fhir_json
from hub.ingest.journal import Entry
from hub.ingest.mapping import attempt
from hub.store.blobs import BlobStore
from mappers.base import CannotMap, MappingContext
from mappers.hl7v2 import map_message
from mappers.hl7v2.message import parse

SECONDS = 5.0
BUNDLE = 500
FOLDING = 10.0  # seconds that the log may take to be folded
LANES = 8  # MLLP connections
STUCK_PEERS, FLOOD = 500, 750.0  # of MLLP; five times the rate that the pipeline is to reach
NOW = datetime(2026, 11, 1, tzinfo=UTC)


def cores() -> int:
    return os.cpu_count() or 1


def memory(hub: BenchHub) -> float:
    """Resident MB of the hub process and its children."""
    process = psutil.Process(hub.pid)
    return sum(p.memory_info().rss for p in (process, *process.children(recursive=True))) / 2**20


def start(folder: Path) -> tuple[float, str]:
    """Seconds from the command to the first answer, in a folder that has been used before."""
    started = time.perf_counter()
    process = BenchHub(folder)
    try:
        process.wait()
        return time.perf_counter() - started, ""
    finally:
        process.__exit__(None, None, None)


def load(hub: BenchHub, count: int) -> tuple[float, str]:
    """Transaction bundles over two connections, one bundle after the other on each."""
    every = list(resources(count))
    bodies = [fhir_json.dump(bundle(every[i : i + BUNDLE])) for i in range(0, count, BUNDLE)]
    shared = iter(bodies)

    def take(_: int) -> Iterator[Request]:
        return (Request("POST", "/fhir", body) for body in shared)

    seen = run_load(hub.port, hub.token, take, clients=2, seconds=3600)
    if seen.failed:
        raise RuntimeError(f"{seen.failed} bundles failed")
    return count / seen.seconds, f"p99 {seen.p99:.0f} ms a bundle"


def size(hub: BenchHub, count: int) -> float:
    """Bytes a resource once the log is folded into the file, which a quiet store does after half a second."""
    log, until = hub.folder / "store.sqlite-wal", time.monotonic() + FOLDING
    while log.exists() and log.stat().st_size and time.monotonic() < until:
        time.sleep(0.1)
    return sum(p.stat().st_size for p in hub.folder.glob("store.sqlite*")) / count


def _seen(load: Load) -> tuple[float, str]:
    failed = f", {load.failed} failed" if load.failed else ""
    return load.rate, f"p50 {load.p50:.1f} ms, p99 {load.p99:.1f} ms{failed}"


def create(hub: BenchHub) -> tuple[float, str]:
    every = [fhir_json.dump({k: v for k, v in r.items() if k != "id"}) for r in itertools.islice(resources(60_000), 700, 3_000)]

    def make(client: int) -> Iterator[Request]:
        return (Request("POST", "/fhir/Observation", body) for body in itertools.cycle(every[client::8]))

    return _seen(run_load(hub.port, hub.token, make, clients=8, seconds=SECONDS))


def read(hub: BenchHub, count: int) -> tuple[float, str]:
    patients = max(1, count // 100)

    def make(client: int) -> Iterator[Request]:
        rng = random.Random(client)
        return (Request("GET", f"/fhir/Patient/p{rng.randrange(patients)}") for _ in itertools.count())

    return _seen(run_load(hub.port, hub.token, make, clients=16, seconds=SECONDS))


def search(hub: BenchHub, count: int) -> tuple[float, str]:
    patients = max(1, count // 100)

    def make(client: int) -> Iterator[Request]:
        rng = random.Random(client)
        code = quote("http://loinc.org|2823-3")
        while True:
            patient = f"Patient/p{rng.randrange(patients)}"
            yield Request("GET", f"/fhir/Observation?code={code}&subject={patient}&date=ge2026-02-01&_sort=-date&_count=20")

    return _seen(run_load(hub.port, hub.token, make, clients=8, seconds=SECONDS))


CONTEXT = MappingContext()  # one, as a channel has: the mapper remembers what a source repeats under it


def hl7_split() -> tuple[float, str]:
    """Split every message and touch every field of every segment."""
    corpus = messages(200)
    done, started = 0, time.process_time()
    while time.process_time() - started < 2:
        for content in corpus:
            message = parse(content)
            for segment in message.all:
                for number in range(1, len(segment) + 1):
                    segment.value(number)
            done += 1
    return done / (time.process_time() - started), f"mean {statistics.mean(map(len, corpus)):.0f} bytes"


def hl7_map() -> tuple[float, str]:
    corpus = messages(200)
    records = [SourceRecord("bench", "BEN", "hl7v2", str(i), content, NOW) for i, content in enumerate(corpus)]
    done, made, started = 0, 0, time.process_time()
    while time.process_time() - started < 2:
        for record in records:
            try:
                made += len(map_message(record, CONTEXT).changes)
            except CannotMap:
                continue
            done += 1
    return done / (time.process_time() - started), f"{made / max(1, done):.1f} resources a message"


def _results() -> SourceRecord:
    """A laboratory's report of 20 results."""
    lines = [
        "MSH|^~\\&|LIS|BEN|HUB|HUB|20260101083000+0800||ORU^R01^ORU_R01|1|P|2.5|||||CHN|UNICODE UTF-8",
        "PID|1||B0000001^^^BEN^PI||张三^^^^^^L||19700301|F|||浙江省示范县城关镇^^^^^CHN^H||13800000000",
        "PV1|1|O|内科门诊^^^BEN||||1001^李医生|||||||||||V0001|||||||||||||||||||||||||20260101080000",
        "ORC|RE|P0001|L0001|||||||||1001^李医生",
        "OBR|1|P0001|L0001|CHEM^生化全套^L|||20260101081000|||||||20260101081500|BLD^血清||||||20260101083000||LAB|F",
    ]
    names = list(ITEMS.values())
    for number in range(20):
        item = names[number % len(names)]
        code = f"I{number}^{item.name}^L"
        lines.append(f"OBX|{number + 1}|NM|{code}||{number}.50|{item.unit}|{item.low}-{item.high}|N|||F|||20260101083000")
    return SourceRecord("bench", "BEN", "hl7v2", "1", "\r".join(lines).encode() + b"\r", NOW)


def hl7_map_results() -> tuple[float, str]:
    record = _results()
    return _a_second(lambda: map_message(record, CONTEXT)), f"{len(record.content)} bytes"


def hl7_map_checked() -> tuple[float, str]:
    record = _results()
    entry = Entry(1, record, "0" * 64, len(record.content), False, 0)
    with TemporaryDirectory() as folder:
        blobs = BlobStore(Path(folder))
        return _a_second(lambda: attempt(entry, CONTEXT, blobs)), "as the pipeline's worker does it"


def _a_second(work: Callable[[], object]) -> float:
    """Of one core's time."""
    done, started = 0, time.process_time()
    while time.process_time() - started < 2:
        for _ in range(20):
            work()
        done += 20
    return done / (time.process_time() - started)


def ordered_lane(hub: BenchHub) -> tuple[float, str]:
    """One source on one connection, each message sent when the one before is acknowledged."""
    return end_to_end(hub, lanes=1, count=600)


def flooded(hub: BenchHub) -> tuple[float, str]:
    """ACK p99 of a peer that sends one message after the other, while others are stuck and flood (benchmarks.flood)."""
    alone = flood(Plan(hub.mllp_port, 0, 1, SECONDS))
    before = memory(hub)
    seen = flood(Plan(hub.mllp_port, STUCK_PEERS, FLOOD, 4 * SECONDS))
    text = f"alone p99 {alone.p99:.1f} ms, among them p50 {seen.p50:.1f} ms, {seen.failed} of {seen.answered} not accepted"
    return seen.p99, f"{text}, flood {seen.flooded / seen.seconds:.0f}/s, memory {before:.0f} → {memory(hub):.0f} MB"


def end_to_end(hub: BenchHub, *, lanes: int = LANES, count: int = 3_000) -> tuple[float, str]:
    """Messages a second from the first byte sent to the last record done; ACK after sync."""
    corpus = messages(count)
    latencies: list[float] = []

    def lane(number: int) -> None:
        with MllpClient("127.0.0.1", hub.mllp_port) as client:
            for content in corpus[number::lanes]:
                started = time.perf_counter()
                if b"MSA|AA" not in client.send(content):
                    raise RuntimeError("a message was not accepted")
                latencies.append((time.perf_counter() - started) * 1000)

    started = time.perf_counter()
    threads = [threading.Thread(target=lane, args=(i,)) for i in range(lanes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    acknowledged = time.perf_counter() - started
    _wait_until_done(hub, len(corpus))
    seconds = time.perf_counter() - started
    latencies.sort()
    p99 = latencies[len(latencies) * 99 // 100]
    return len(corpus) / seconds, f"acknowledged {len(corpus) / acknowledged:.0f}/s, ACK p99 {p99:.1f} ms"


def _wait_until_done(hub: BenchHub, count: int) -> None:
    headers = {"Authorization": f"Bearer {hub.token}"}
    while True:
        channels = httpx.get(f"{hub.url}/ops/status", headers=headers, timeout=60).json()["channels"]
        if sum(c["done"] + c["dead"] for c in channels) >= count:
            return
        time.sleep(0.25)
