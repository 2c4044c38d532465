"""Rows of a laboratory's view, through the connector, the journal, the mapping and the store of a hub process."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx

from benchmarks.hub import BenchHub

ROWS = 6_000
COUNTY = """
[county]
name = "bench"
[[facility]]
code = "BEN"
name = "bench"
[[channel]]
name = "ben-lis"
connector = "sql"
facility = "BEN"
url = "sqlite:///{database}"
every = 0.2
[[channel.views]]
name = "v_lab_result"
key = ["report_no", "item_code"]
changed_at = "changed_at"
"""
VIEW = """CREATE TABLE v_lab_result(report_no TEXT, item_code TEXT, item_name TEXT, patient_id TEXT, visit_id TEXT, sample_no TEXT,
specimen TEXT, collected TEXT, reported TEXT, value TEXT, unit TEXT, flag TEXT, low TEXT, high TEXT, range_text TEXT, auditor TEXT,
changed_at TEXT NOT NULL)"""


def _rows(count: int) -> Iterator[tuple[object, ...]]:
    """Reports of twenty items, as a night's work of a laboratory."""
    for number in range(count):
        report, item = divmod(number, 20)
        at = f"2026-01-{1 + report // 2000 % 28:02d} 08:{report // 60 % 60:02d}:{report % 60:02d}"
        who = f"B{report % 5_000:07d}"
        result = (f"{4 + number % 3}.{number % 10}0", "mmol/L", "", "3.5", "5.3", "3.5-5.3")
        yield (f"R{report}", f"I{item}", f"项目{item}", who, f"V{report}", f"S{report}", "血清", at, at, *result, "审核者", at)


class SqlHub(BenchHub):
    """A hub that reads one database."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.database = folder / "lis.db"
        with closing(sqlite3.connect(self.database)) as database:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute(VIEW)
        (folder / "county.toml").write_text(COUNTY.format(database=self.database), "utf-8")
        super().__init__(folder)


def sql_rows(hub: SqlHub) -> tuple[float, str]:
    """From the commit in the source until every row is in the store."""
    started = time.perf_counter()
    with closing(sqlite3.connect(hub.database)) as database, database:
        database.executemany(f"INSERT INTO v_lab_result VALUES ({','.join('?' * 17)})", _rows(ROWS))
    headers = {"Authorization": f"Bearer {hub.token}"}
    journaled = 0.0
    while True:
        channels = httpx.get(f"{hub.url}/ops/status", headers=headers, timeout=60).json()["channels"]
        channel = next(channel for channel in channels if channel["source"] == "ben-lis")
        if not journaled and channel["received"] >= ROWS:
            journaled = time.perf_counter() - started
        if channel["done"] + channel["dead"] >= ROWS:
            break
        time.sleep(0.2)
    if channel["dead"]:
        raise RuntimeError(f"{channel['dead']} rows were not mapped")
    return ROWS / (time.perf_counter() - started), f"journaled {ROWS / journaled:.0f}/s, an Observation and a Specimen a row"
