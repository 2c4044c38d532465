"""Large tables of codes brought in as their issuer hands them out: how long, how much computing and how much memory.

`python -m benchmarks.code_tables [--store mongodb]`: diagnoses (35,000) and an insurer's drug list (200,000 lines
of eleven columns) as CSV in GB18030, made here. Each is measured in a process of its own: read, checked and compared; written;
made ready; first asked.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import io
import json
import multiprocessing
import os
import random
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.scale import STORES, database
from hub.app import open_hub
from hub.security.access import Access
from hub.settings import County
from hub.terminology.importing.bringing import Asked, bring, look
from hub.terminology.ready import Keeper

SITES, KINDS = (
    "肺肝肾脾胃胆心脑骨眼耳鼻喉皮肤甲状腺乳腺前列腺膀胱",
    ("恶性肿瘤", "炎", "损伤", "结核", "先天性畸形", "术后状态", "综合征"),
)
MAKERS = [
    f"{place}{kind}制药有限公司"
    for place in ["北京", "上海", "江苏", "浙江", "山东", "四川", "河北", "湖北"]
    for kind in ["华康", "恒瑞", "同济", "天方", "百灵"]
]
DRUG_COLUMNS = [
    *("药品代码", "注册名称", "商品名称", "注册剂型", "注册规格", "药品企业"),
    *("批准文号", "药品本位码", "最小包装数量", "最小制剂单位", "甲乙类"),
]
FORMS = ("片剂", "注射剂", "胶囊剂", "颗粒剂", "口服溶液剂", "软膏剂", "滴眼剂", "丸剂")


def diagnoses(count: int) -> bytes:
    def rows(chosen: random.Random) -> Iterator[list[str]]:
        yield ["主要编码", "附加编码", "疾病名称"]
        for number in range(count):
            category = f"{chr(65 + number // 2000)}{number // 20 % 100:02d}.{number // 2 % 10}00"
            code = category if number % 2 == 0 else f"{category}x{number % 1000:03d}"
            yield [code, "", f"{chosen.choice(SITES)}{chosen.choice(SITES)}{chosen.choice(KINDS)}{number}"]

    return _sheet(rows)


def drugs(count: int) -> bytes:
    def rows(chosen: random.Random) -> Iterator[list[str]]:
        yield DRUG_COLUMNS
        for number in range(count):
            name, form = f"{chosen.choice(SITES)}{chosen.choice(SITES)}康{number % 4000}", chosen.choice(FORMS)
            code = f"XA{number % 16:02d}BCD{number % 100:03d}A{number:06d}101{chosen.randrange(1000):03d}"
            approved = f"国药准字H{chosen.randrange(10**8):08d}"
            base = f"86{chosen.randrange(10**12):012d}"
            size = f"{chosen.randrange(1, 100)}mg"
            yield [
                code,
                name + form,
                "",
                form,
                size,
                chosen.choice(MAKERS),
                approved,
                base,
                str(chosen.randrange(1, 100)),
                "片",
                "乙",
            ]

    return _sheet(rows)


def _sheet(rows: Callable[[random.Random], Iterator[list[str]]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows(random.Random(7)))
    return text.getvalue().encode("gb18030")


TABLES = {
    "icd10": (diagnoses, 35_000, "ICD-10国临版2.0.csv", "urn:hub:cn:icd10-gl", "fei"),
    "drugs": (drugs, 200_000, "医保药品2026年版.csv", "urn:hub:cn:drug-yb", "康12"),
}


def measured(name: str, store: str) -> dict[str, Any]:
    """Wall and processor seconds of each step, and the most memory that the process took; `store` is the one of the environment."""
    make, count, file, system, typed = TABLES[name]
    found: dict[str, Any] = {"table": name, "rows": count, "store": store}
    content = make(count)
    found["file_mb"] = round(len(content) / 2**20, 1)
    who, asked = Access(name="bench", role="it", purpose="HOPERAT", address=""), Asked(file)

    @contextmanager
    def step(what: str) -> Iterator[None]:
        wall, computed = time.perf_counter(), time.process_time()
        yield
        found[what] = [round(time.perf_counter() - wall, 1), round(time.process_time() - computed, 1)]

    with tempfile.TemporaryDirectory(prefix="yitong-bench-") as folder:
        hub = open_hub(Path(folder) / "hub", County(name="bench"))
        try:
            with step("look"):
                seen = look(content, asked, hub.store, hub.terminology, None)
            found["codes"] = seen.table.size
            with step("import"):
                brought = asyncio.run(bring(hub, who, content, asked, None))
            with step("made ready"):
                Keeper(hub.store).look()
            code = next(reversed(seen.table.concepts))
            del seen
            with step("first lookup"):
                loaded = hub.terminology.code_system(system)
                assert loaded is not None
                assert loaded.find(code) is not None
            with step("search by name"):
                found["hits"] = len(loaded.texts.matching([typed]))
            with step("the same file again"):
                again = look(content, asked, hub.store, hub.terminology, None)
                assert again.kept == brought.resource
        finally:
            hub.close()
    found["most_memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", choices=STORES, default="sqlite", help="mongodb: a mongod is started, as for the tests")
    parser.add_argument("--only", choices=TABLES, nargs="+", default=list(TABLES))
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    alone = multiprocessing.get_context("spawn")
    for name in arguments.only:
        with (
            tempfile.TemporaryDirectory(prefix="yitong-bench-") as folder,
            database(arguments.store, Path(folder)),
            alone.Pool(1, maxtasksperchild=1) as pool,
        ):
            found = pool.apply(measured, (name, arguments.store))
        print(json.dumps({**found, "load": round(load, 1)}, ensure_ascii=False))


if __name__ == "__main__":
    main()
