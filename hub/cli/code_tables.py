"""`yitong codes import TABLE`, `codes tables`, `codes kinds`: country-wide tables brought in from the files of their issuers."""

from __future__ import annotations

import asyncio
import csv
import getpass
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from rich.table import Table as Grid
from rich.text import Text

from hub.app import open_hub
from hub.cli.desk import Desk, ask_yes, at_desk, err, out
from hub.cli.doctor import county_path
from hub.cli.language import chinese, say
from hub.cli.progress import Bar
from hub.errors import HubError, Invalid, Unavailable
from hub.ingest.requests import answer_to, leave
from hub.security.access import Access
from hub.settings import load_county
from hub.store.blobs import BlobStore
from hub.terminology.importing.bringing import REQUEST, Asked, Difference, Look, bring, look
from hub.terminology.importing.kinds import table_kinds
from hub.terminology.importing.sheet import LARGEST
from hub.terminology.importing.table import Table
from hub.terminology.service import Terminology
from hub.terminology.tables import tables_of

ANSWER_SECONDS = 600.0
SHOWN = 5
TOLD = 10


@dataclass(frozen=True)
class Wishes:
    """How the command is to go about it."""

    yes: bool = False
    preview: bool = False
    problems: Path | None = None  # every line left out is written there


def import_table(data: Path, file: Path, asked: Asked, wishes: Wishes, config: Path | None) -> int:
    """Exit code 0: all of it is there, or was; 1: some lines were left out, or nobody agreed; errors are 2."""
    if file.stat().st_size > LARGEST:
        raise Invalid(say(f"{file}: more than {LARGEST >> 20} MB", f"{file}:超过 {LARGEST >> 20} MB"))
    content = file.read_bytes()
    asked = replace(asked, file=file.name)
    with at_desk(data, config) as desk, Bar(say("reading", "读取")) as bar:
        terminology = Terminology(desk.store)
        terminology.look_beside(desk.beside)
        seen = look(content, asked, desk.store, terminology, desk.beside, told=lambda rows: bar.told(rows, None, rows))
    _show(seen)
    if wishes.problems is not None and seen.table.wrong:
        _write_problems(wishes.problems, seen.table)
    if seen.kept:
        out.print(say(f"This very file is {seen.kept} already: nothing to do.", f"同一文件已导入为 {seen.kept},无需再次导入。"))
        return 0
    if wishes.preview:
        out.print(say("Only looked at; nothing was changed.", "仅预览,未作更改。"), style="dim")
        return 1 if seen.table.wrong else 0
    if not ask_yes(_question(seen), yes=wishes.yes):
        err.print(say("Nothing was changed; --yes imports without asking.", "未作更改;--yes 可免询问。"))
        return 1
    with Bar(say("writing", "写入")):
        answer = _brought(data, content, asked, config)
    _said(answer)
    return 1 if seen.table.wrong else 0


def _question(seen: Look) -> str:
    size, edition = seen.table.size, seen.naming.edition
    if seen.table.wrong:
        return say(
            f"Import {size} codes as edition {edition} and leave out the {seen.table.wrong} wrong lines?",
            f"将 {size} 个代码导入为版本 {edition},并略去 {seen.table.wrong} 个有误的行?",
        )
    return say(f"Import {size} codes as edition {edition}?", f"将 {size} 个代码导入为版本 {edition}?")


# -- what it would be


def _show(seen: Look) -> None:
    table, naming = seen.table, seen.naming
    facts = [
        (say("table", "表"), f"{naming.title} ({table.kind.name})"),
        (say("system", "代码系统"), f"{naming.system}|{naming.edition}"),
        (say("SHA-256", "校验值"), naming.checksum),
        (say("columns", "列"), ", ".join(f"{role} ← {name}" for role, name in table.columns.items())),
        (say("lines", "行数"), _lines(table)),
    ]
    if table.kind.maps:
        facts.insert(2, (say("leads to", "映射到"), f"{table.kind.to}|{table.kind.to_edition}".rstrip("|")))
    if table.found.passed:
        facts.append((say("passed over", "未识别的工作表"), ", ".join(table.found.passed)))
    grid = Grid(box=None, pad_edge=False, show_header=False)
    for name, value in facts:
        grid.add_row(Text(name, "dim"), Text(value))
    out.print(grid)
    for line in _examples(table):
        out.print(Text(f"  {line}"), soft_wrap=True)
    for difference in seen.differences:
        _show_difference(difference, naming.edition)
    _show_problems(table)


def _lines(table: Table) -> str:
    said = say(f"{table.rows} read, {table.size} codes", f"读取 {table.rows} 行,得 {table.size} 个代码")
    if table.repeated:
        said += say(f", {table.repeated} repeated", f",重复 {table.repeated} 行")
    if table.wrong:
        said += say(f", {table.wrong} wrong and left out", f",有误略去 {table.wrong} 行")
    return said + (f" ({table.found.charset})" if table.found.charset else "")


def _examples(table: Table) -> list[str]:
    if table.kind.maps:
        return [f"{p.source} {p.source_name} → {p.target or '–'} {p.target_name}" for p in islice(table.pairs.values(), SHOWN)]
    chosen = islice((concept for concept in table.concepts.values() if concept.line), SHOWN)
    return [f"{concept.code} {concept.display}{f'  ⊂ {concept.parent}' if concept.parent else ''}" for concept in chosen]


def _show_difference(difference: Difference, edition: str) -> None:
    same = difference.version == edition
    named = say("the same edition", "同一版本") if same else say(f"edition {difference.version}", f"版本 {difference.version}")
    counts = (
        (say("new", "新增"), difference.new),
        (say("renamed", "改名"), difference.renamed),
        (say("gone", "删除"), difference.gone),
    )
    parts = [f"{name} {len(codes)}{_some(codes)}" for name, codes in counts]
    beside = say("becomes a new version of it", "将成为其新版本") if same else say("stays beside it", "并存保留")
    out.print(Text(say(f"Against {named} ({beside}): ", f"与{named}相比({beside}):") + "; ".join(parts)), soft_wrap=True)


def _some(codes: Sequence[str]) -> str:
    return f" ({', '.join(codes[:SHOWN])}{' …' if len(codes) > SHOWN else ''})" if codes else ""


def _show_problems(table: Table) -> None:
    for problem in table.problems[:TOLD]:
        sheet = f"{problem.sheet} " if problem.sheet else ""
        out.print(
            Text(say(f"  {sheet}line {problem.line}: ", f"  {sheet}第 {problem.line} 行:") + problem.text, "yellow"), soft_wrap=True
        )
    if table.wrong > TOLD:
        out.print(
            say(
                f"  … {table.wrong} in all; --problems FILE.csv writes them",
                f"  … 共 {table.wrong} 行;--problems 文件.csv 可全部写出",
            )
        )


def _write_problems(path: Path, table: Table) -> None:
    with path.open("x", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("sheet", "line", "problem"))
        writer.writerows((problem.sheet, problem.line, problem.text) for problem in table.problems)


# -- writing it


def _brought(data: Path, content: bytes, asked: Asked, config: Path | None) -> dict[str, Any]:
    """By the hub that runs, or by one opened here."""
    path = county_path(data, config)
    who = f"{getpass.getuser()} (yitong codes)"
    try:
        hub = open_hub(data, load_county(path))
    except Unavailable:
        with at_desk(data, config) as desk:
            return _by_running_hub(desk, content, asked, who)
    try:
        access = Access(name=who, role="it", purpose="HOPERAT", address="127.0.0.1")
        return asdict(asyncio.run(bring(hub, access, content, asked, path.parent if path else data)))
    finally:
        hub.close()


def _by_running_hub(desk: Desk, content: bytes, asked: Asked, who: str) -> dict[str, Any]:
    body = {"who": who, "blob": BlobStore(desk.data / "blobs", tidy=False).put(content), **asdict(asked)}
    answer = answer_to(desk.journal, leave(desk.journal, REQUEST, body), ANSWER_SECONDS)
    if answer is None:
        raise Unavailable(say("the running hub has not answered yet; the request waits", "运行中的平台尚未响应;请求仍在等待"))
    if "error" in answer:
        raise HubError(str(answer["error"]))
    return answer


def _said(answer: dict[str, Any]) -> None:
    where = f"{answer['resource']}/_history/{answer['version']}"
    text = say(f"{answer['codes']} codes are in {where}.", f"{answer['codes']} 个代码已写入 {where}。")
    if not answer["changed"]:
        text = say(f"{where} says the same already.", f"{where} 内容相同,未产生新版本。")
    out.print(text, style="green", soft_wrap=True)


# -- what there is


def list_kinds(data: Path | None, config: Path | None) -> int:
    path = county_path(data, config) if data is not None else None
    grid = Grid(box=None, pad_edge=False)
    for name in (say("kind", "类型"), say("table", "表"), say("system", "代码系统"), say("columns", "列名示例")):
        grid.add_column(name)
    for kind in table_kinds(path.parent if path else data).values():
        columns = " + ".join(kind.columns[role][0] for role in kind.needed)
        title = (kind.title if chinese() else kind.title_en) or kind.title_en
        grid.add_row(kind.name, Text(title), Text(kind.system or "–"), Text(columns))
    out.print(grid)
    return 0


def list_tables(data: Path, *, as_json: bool, config: Path | None) -> int:
    """Every code system and map that is not the specification's own."""
    with at_desk(data, config) as desk:
        terminology = Terminology(desk.store)
        terminology.look_beside(desk.beside)
        found = tables_of(terminology)
    if as_json:
        sys.stdout.write(json.dumps([asdict(each) for each in found], ensure_ascii=False, indent=1) + "\n")
        return 0
    grid = Grid(box=None, pad_edge=False)
    for name in (say("system", "代码系统"), say("edition", "版本"), say("codes", "代码数"), say("title", "名称")):
        grid.add_column(name, no_wrap=True)
    for each in found:
        grid.add_row(Text(each.url), Text(each.version), str(each.count), Text(each.title if chinese() else each.title_en))
    out.print(grid)
    return 0
