"""`make bench`: measure a real hub process over its real doors and write the figures to benchmarks/results/.

Each figure is the median of several runs. The generator runs on the same cores as the hub, so every figure is a lower bound.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import images, measures, record, scale
from benchmarks.figures import Figure, median, table
from benchmarks.hub import BenchHub
from benchmarks.sql_rows import SqlHub, sql_rows

RESULTS = Path(__file__).parent / "results"
GROWTH = (100_000, 1_000_000)
RECORD = "record"  # asked for by name: it fills a store of its own
INTAKE = ("split", "map", "mllp", "lane", "flood", "dicom", "sql")


def _intake(folder: Path, only: frozenset[str]) -> Iterator[Figure]:
    """HL7 v2 and DICOM, which the size of the store matters little to."""
    if "split" in only:
        yield median("HL7 v2 split with full access", "messages/s", "10,000", measures.hl7_split)
    if "map" in only:
        yield median("HL7 v2 mapped", "messages/s", "", measures.hl7_map)
        yield median("HL7 v2 mapped, an ORU of 20 results", "messages/s", "1,500", measures.hl7_map_results)
        yield median("HL7 v2 mapped and validated, an ORU of 20 results", "messages/s", "200", measures.hl7_map_checked)
    if "mllp" in only:
        with BenchHub(folder / "mllp") as hub:
            yield median("HL7 v2 end to end, mixed corpus", "messages/s", "150", lambda: measures.end_to_end(hub), 1)
    if "lane" in only:
        with BenchHub(folder / "lane") as hub:
            yield median("HL7 v2 end to end, one ordered source", "messages/s", "60", lambda: measures.ordered_lane(hub), 1)
    if "flood" in only:
        with BenchHub(folder / "flood") as hub:
            yield median("ACK p99 of a good peer among 500 stuck ones and a flood", "ms", "500", lambda: measures.flooded(hub), 1)
    if "dicom" in only:
        with BenchHub(folder / "dicom") as hub:
            yield median("C-STORE into the hub, CT", "instances/s", "200", lambda: images.into_hub(hub))
        yield median("C-STORE into the listener and its journal", "instances/s", "", lambda: images.into_listener(folder / "scp"))
        if images.ORTHANC:
            yield median("C-STORE into Orthanc, as a comparison", "instances/s", "", images.into_orthanc)
    if "sql" in only:
        with SqlHub(folder / "sql") as reader:
            yield median("SQL rows through journal and mapping, laboratory", "rows/s", "", lambda: sql_rows(reader), 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resources", type=int, nargs="+", default=[100_000], help="sizes of the store: 10000 100000 1000000")
    parser.add_argument("--quick", action="store_true", help="10,000 resources: minutes become a minute")
    parser.add_argument("--store", choices=scale.STORES, default="sqlite", help="mongodb: a mongod is started, as for the tests")
    parser.add_argument(
        "--only", nargs="+", choices=(*scale.NAMES, *INTAKE, RECORD), default=(*scale.NAMES, *INTAKE), metavar="NAME"
    )
    parser.add_argument("--data", type=Path, help="a folder that keeps what is filled, and is used again as it is")
    arguments = parser.parse_args()
    sizes = [10_000] if arguments.quick else sorted(arguments.resources)
    only, load = frozenset(arguments.only), os.getloadavg()[0]
    found: dict[int, list[Figure]] = {}
    every: list[Figure] = []
    if arguments.store == "sqlite" and only.intersection(INTAKE):
        with tempfile.TemporaryDirectory(prefix="yitong-bench-") as folder:
            every += _intake(Path(folder), only)
    if only.intersection(scale.NAMES):
        for size in sizes:
            found[size] = list(scale.figures(size, arguments.store, arguments.data, only))
            every += found[size]
    if RECORD in only:
        with tempfile.TemporaryDirectory(prefix="yitong-bench-") as folder:
            every += record.figures(arguments.store, Path(folder))
    name = RECORD if only == {RECORD} else "-".join(f"{size // 1000}k" for size in sizes)
    _write(every, sizes, arguments.store, load, name)
    sys.stdout.write(table(every) + scale.growth(found, *GROWTH))


def _write(figures: list[Figure], sizes: list[int], store: str, load: float, name: str) -> None:
    RESULTS.mkdir(exist_ok=True)
    now = datetime.now(UTC)
    machine = {
        "cores": measures.cores(),
        "load_before": round(load, 2),
        "load_after": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "system": platform.platform(),
        "store": store,
        "resources": sizes,
    }
    target = RESULTS / f"{now:%Y-%m-%d}-{store}-{name}.json"
    content = {"measured": now.isoformat(timespec="seconds"), "machine": machine, "figures": [asdict(f) for f in figures]}
    target.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", "utf-8")
    sys.stderr.write(f"written to {target}\n")


if __name__ == "__main__":
    main()
