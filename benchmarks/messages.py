"""Search of a journal of a million messages: by patient, control id, time, words and what became of them.

    python -m benchmarks.messages [--count 1000000] [--data FOLDER]

The journal is filled as connectors fill it; outcomes lie in the store, one in two hundred dead. The index is built as the process
beside a hub builds it. Each question is asked for many values, never the same twice; a page of 50, as the screens ask for it.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from connectors.base import SourceRecord
from hub.ingest.indexing import BATCH, IndexBuilder
from hub.ingest.journal import Journal
from hub.ingest.message_index import NAME
from hub.ingest.messages import Query, count, index_of, search
from hub.store.blobs import BlobStore
from hub.store.port import Outcome, Transaction
from hub.store.sqlite import SqliteStore

FAMILIES = "王李张刘陈杨黄赵周吴徐孙马朱胡郭何林高罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈"
GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰涛明超秀霞平刚桂英华玉兰萍红梅建国志文海燕云辉春生"
ITEMS = (("K", "血清钾", "mmol/L"), ("NA", "血清钠", "mmol/L"), ("GLU", "空腹葡萄糖", "mmol/L"), ("WBC", "白细胞计数", "10*9/L"))
CONCLUSIONS = (
    "未见明显异常",
    "双肺纹理增多",
    "肝内胆管结石",
    "慢性浅表性胃炎",
    "左室肥厚",
    "窦性心律不齐",
    "甲状腺结节",
    "腰椎间盘突出",
)
CHANNELS = ("cty-lis", "cty-his", "twp-lis", "tcm-his")
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
EVERY = timedelta(seconds=8)  # 1,000,000 messages are three months
DEAD_ONE_IN = 200
REASONS = ("no PID segment", "PID-3: no patient number", "MapperDied at oru.py:10", "several PID segments in one message")
RUNS = 40


def person(number: int) -> tuple[str, str]:
    rng = random.Random(number)
    name = rng.choice(FAMILIES) + "".join(rng.choice(GIVEN) for _ in range(rng.choice((1, 2, 2))))
    return f"P{100_000 + number}", name


def record(number: int, patients: int) -> SourceRecord:
    """About 700 bytes: two results in three, else an admission."""
    rng = random.Random(number)
    mrn, name = person(rng.randrange(patients))
    at = BEGIN + number * EVERY
    stamp = at.strftime("%Y%m%d%H%M%S")
    channel = CHANNELS[number % len(CHANNELS)]
    facility = channel[:3].upper()
    kind = "ADT^A01" if number % 3 == 0 else "ORU^R01"
    lines = [
        f"MSH|^~\\&|{channel}|{facility}|HUB|HUB|{stamp}||{kind}|M{number:08d}|P|2.5.1|||||CHN|UNICODE UTF-8",
        f"PID|1||{mrn}^^^{facility}^PI||{name}||19{rng.randrange(40, 99)}0{rng.randrange(1, 9)}15|{rng.choice('MF')}",
        f"PV1|1|O|{rng.choice(('内科', '外科', '儿科', '妇产科'))}||||||||||||||||V{number:08d}",
    ]
    if kind == "ORU^R01":
        lines.append(f"OBR|1|R{number:08d}|L{number:08d}|CHEM^生化|||{stamp}|||||||{stamp}|||||||||||F")
        for place, (code, text, unit) in enumerate(ITEMS, 1):
            lines.append(f"OBX|{place}|NM|{code}^{text}||{rng.uniform(1, 20):.2f}|{unit}|1-20|N|||F|||{stamp}")
        lines.append(f"NTE|1||{rng.choice(CONCLUSIONS)},建议复查 {number:08d}")
    content = "\r".join(lines).encode() + b"\r"
    return SourceRecord(channel, facility, "hl7v2", f"M{number:08d}", content, at)


def fill(folder: Path, wanted: int, patients: int) -> None:
    journal, store = Journal(folder, BlobStore(folder / "blobs")), SqliteStore(folder)
    began = time.monotonic()
    while (there := journal.newest()) < wanted:
        numbers = range(there + 1, min(there + 500, wanted) + 1)
        journal(*(record(number, patients) for number in numbers))
        store.write(partial(_outcomes, numbers=numbers)).result()
        if there % 50_000 == 0:
            sys.stderr.write(f"{there:,} journaled, {there / max(time.monotonic() - began, 1):,.0f}/s\n")
    journal.close()
    store.close()


def _outcomes(transaction: Transaction, numbers: range) -> None:
    for number in numbers:
        channel = CHANNELS[number % len(CHANNELS)]
        if number % DEAD_ONE_IN == 0:
            found = Outcome(number, "dead", REASONS[number // DEAD_ONE_IN % len(REASONS)], source=channel, kind="hl7v2")
        else:
            found = Outcome(
                number, "done", resources=(f"Patient/p{number}", f"Observation/o{number}"), source=channel, kind="hl7v2"
            )
        transaction.record_outcome(found)


def build(folder: Path) -> dict[str, float]:
    journal = Journal(folder, BlobStore(folder / "blobs"))
    index = index_of(journal)
    first, began = index.position, time.monotonic()
    computed = time.process_time()
    builder = IndexBuilder(journal, index)
    while builder.step(BATCH):
        pass
    done, took = index.position - first, time.monotonic() - began
    figures = {
        "indexed": float(done),
        "per_second": done / took if took else 0.0,
        "microseconds_of_processor_each": 1e6 * (time.process_time() - computed) / done if done else 0.0,
        "index_mb": (folder / NAME).stat().st_size / 1e6,
        "journal_mb": (folder / "journal.sqlite").stat().st_size / 1e6,
    }
    index.close()
    journal.close()
    return figures


ANYTHING = Query()


def questions(wanted: int, patients: int) -> Iterator[tuple[str, Callable[[random.Random], Query]]]:
    def moment(rng: random.Random) -> datetime:
        return BEGIN + rng.randrange(wanted) * EVERY

    def within(rng: random.Random, long: timedelta, query: Query = ANYTHING) -> Query:
        at = moment(rng)
        return replace(query, since=at.isoformat(), until=(at + long).isoformat())

    def below(rng: random.Random) -> int:
        return rng.randrange(wanted // 10, wanted)

    hour, day = timedelta(hours=1), timedelta(days=1)
    common = ("胃炎", "血清钾", "结石", "复查", "ADT")
    yield "newest page", lambda rng: Query(before_seq=below(rng))
    yield "patient number", lambda rng: Query(patient=person(rng.randrange(patients))[0])
    yield "patient name", lambda rng: Query(patient=person(rng.randrange(patients))[1])
    yield "control id", lambda rng: Query(control_id=f"M{rng.randrange(1, wanted):08d}")
    yield "an hour", lambda rng: within(rng, hour)
    yield "a day of a channel", lambda rng: within(rng, day, Query(source=rng.choice(CHANNELS)))
    yield "a rare word", lambda rng: Query(text=f"{rng.randrange(1, wanted):08d}")
    yield "a common word", lambda rng: Query(text=rng.choice(common), before_seq=below(rng))
    yield "two words", lambda rng: Query(text=f"{rng.choice(CONCLUSIONS)} {person(rng.randrange(patients))[1]}")
    yield "words of a day", lambda rng: within(rng, day, Query(text=rng.choice(CONCLUSIONS)))
    yield "words that nobody wrote", lambda rng: Query(text=f"麻疹{rng.choice(GIVEN)}")
    yield "dead", lambda rng: Query(state="dead", before_seq=below(rng))
    yield "dead of a channel by cause", lambda rng: Query(state="dead", source=rng.choice(CHANNELS), cause=rng.choice(REASONS))
    yield "dead of a day", lambda rng: within(rng, day, Query(state="dead"))
    yield "waiting", lambda _: Query(state="waiting")


def ask(folder: Path, wanted: int, patients: int, runs: int = RUNS) -> dict[str, dict[str, float]]:
    journal, store = Journal(folder, BlobStore(folder / "blobs")), SqliteStore(folder)
    found: dict[str, dict[str, float]] = {}
    for name, make in questions(wanted, patients):
        rng = random.Random(name)
        times, matches = [], 0
        for _ in range(runs):
            query = make(rng)
            began = time.perf_counter()
            matches += len(search(journal, store, query).messages)
            times.append(time.perf_counter() - began)
        query = make(rng)
        began = time.perf_counter()
        count(journal, store, query)
        counting = time.perf_counter() - began
        ordered = sorted(times)
        found[name] = {
            "p50_ms": 1000 * statistics.median(times),
            "p95_ms": 1000 * ordered[int(0.95 * (len(ordered) - 1))],
            "max_ms": 1000 * ordered[-1],
            "matches": matches / runs,
            "count_ms": 1000 * counting,
        }
        sys.stderr.write(f"{name}: {json.dumps({k: round(v, 1) for k, v in found[name].items()})}\n")
    index_of(journal).close()
    journal.close()
    store.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--data", type=Path, help="a folder that keeps what is filled, and is used again as it is")
    parser.add_argument("--runs", type=int, default=RUNS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="yitong-bench-messages-") as temporary:
        folder = arguments.data or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        patients = max(100, arguments.count // 20)
        fill(folder, arguments.count, patients)
        figures = {
            "messages": arguments.count,
            "index": build(folder),
            "search": ask(folder, arguments.count, patients, arguments.runs),
        }
    sys.stdout.write(json.dumps(figures, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
