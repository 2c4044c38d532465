"""`make bench`: measure a real hub process over its real doors and write the figures to benchmarks/results/.

Each figure is the median of several runs. The generator runs on the same cores as the hub, so every figure is a lower bound.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import measures
from benchmarks.hub import BenchHub

RESULTS = Path(__file__).parent / "results"
RUNS = 3


@dataclass(frozen=True, slots=True)
class Figure:
    what: str
    value: float
    unit: str
    goal: str
    runs: tuple[float, ...]
    detail: str = ""


Measure = Callable[[], tuple[float, str]]  # the value, and what else was seen


def _median(what: str, unit: str, goal: str, measure: Measure, runs: int = RUNS) -> Figure:
    seen = [measure() for _ in range(runs)]
    values = sorted(value for value, _ in seen)
    middle = statistics.median_low(values)
    figure = Figure(what, middle, unit, goal, tuple(values), next(text for value, text in seen if value == middle))
    sys.stderr.write(f"{what}: {middle:,.1f} {unit} (goal {goal}) {figure.detail}\n")
    return figure


def _figures(count: int, folder: Path) -> Iterator[Figure]:
    yield _median("HL7 v2 split with full access", "messages/s", "10,000", measures.hl7_split)
    yield _median("HL7 v2 mapped", "messages/s", "", measures.hl7_map)
    yield _median("start to first answer", "s", "≤ 2", lambda: measures.start(folder / "start"))
    with BenchHub(folder / "hub") as hub:
        yield Figure("memory at rest", measures.memory(hub), "MB", "≤ 200", ())
        yield _median(f"import, bundles of 500, {count:,} resources", "resources/s", "1,500", lambda: measures.load(hub, count), 1)
        yield Figure("bytes on disk per resource", measures.size(hub, count), "bytes", "≤ 4,096", ())
        yield _median("single create, 8 clients", "requests/s", "400", lambda: measures.create(hub))
        yield _median("read by id, 16 connections, audited", "requests/s", "2,500", lambda: measures.read(hub, count))
        yield _median(f"search token+patient+date of {count:,}, sorted", "requests/s", "600", lambda: measures.search(hub, count))
    with BenchHub(folder / "mllp") as hub:
        yield _median("HL7 v2 end to end, mixed corpus", "messages/s", "150", lambda: measures.end_to_end(hub), 1)
    with BenchHub(folder / "dicom") as hub:
        yield _median("C-STORE into the hub, CT", "instances/s", "200", lambda: measures.c_store(hub))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resources", type=int, default=100_000, help="how many resources are imported and searched")
    parser.add_argument("--quick", action="store_true", help="10,000 resources: minutes become a minute")
    arguments = parser.parse_args()
    count = 10_000 if arguments.quick else arguments.resources
    with tempfile.TemporaryDirectory(prefix="yitong-bench-") as folder:
        figures = list(_figures(count, Path(folder)))
    RESULTS.mkdir(exist_ok=True)
    now = datetime.now(UTC)
    machine = {"cores": measures.cores(), "python": platform.python_version(), "system": platform.platform(), "resources": count}
    target = RESULTS / f"{now:%Y-%m-%d}-{count // 1000}k.json"
    content = {"measured": now.isoformat(timespec="seconds"), "machine": machine, "figures": [asdict(f) for f in figures]}
    target.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", "utf-8")
    sys.stdout.write(_table(figures))
    sys.stderr.write(f"written to {target}\n")


def _table(figures: list[Figure]) -> str:
    rows = ["| what | measured | goal | seen |", "|---|---|---|---|"]
    rows += [f"| {f.what} | {f.value:,.1f} {f.unit} | {f.goal} | {f.detail} |" for f in figures]
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    main()
