"""What `yitong recognition` does: a look at the workbook first; then a running hub is asked, or the hub is opened here."""

from __future__ import annotations

import getpass
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.table import Table as Grid
from rich.text import Text

from hub.app import open_hub
from hub.cli.desk import Desk, ask_yes, at_desk, err, out
from hub.cli.doctor import county_path
from hub.cli.language import chinese, say
from hub.cli.progress import Bar
from hub.clock import utc_ms
from hub.errors import HubError, Invalid, Unavailable
from hub.ingest.requests import answer_to, leave
from hub.jobs import Job, job_in
from hub.recognition.facts import recognition_service
from hub.recognition.held import FactsOfCounty, Held
from hub.recognition.messages import RULES
from hub.recognition.publishing.desk import REQUEST, done
from hub.recognition.publishing.differences import differences, doubts
from hub.recognition.publishing.export import workbook_of
from hub.recognition.publishing.library import Facts, Publication, head_of, in_place_of, json_of, rows_of
from hub.recognition.publishing.service import serve_publishing
from hub.recognition.publishing.sheets import LARGEST, Read, read_workbook
from hub.recognition.times import zone_of
from hub.settings import load_county
from hub.store.blobs import BlobStore
from profiles.catalogue import load_catalogue, load_evidence

ANSWER_SECONDS = 60.0
JOB_SECONDS = 3600.0
TRIED_DAYS = 30
SHOWN = 20


def export_facts(data: Path, kind: str, file: Path, facility: str, config: Path | None) -> int:
    """Raise Invalid for what is neither, and for a file that is there."""
    if kind not in ("catalogue", "evidence"):
        raise Invalid(say("say catalogue or evidence", "请指定 catalogue 或 evidence"))
    with at_desk(data, config) as desk:
        held = _held(desk)
    catalogue = held.catalogue_of(facility) if facility else held.usual
    content = workbook_of(catalogue if kind == "catalogue" else held.evidence, _language())
    try:
        with file.open("xb") as target:
            target.write(content)
    except FileExistsError:
        raise Invalid(say(f"{file} is there already", f"{file} 已存在")) from None
    out.print(str(file), style="green", soft_wrap=True)
    return 0


def check_workbook(file: Path) -> int:
    """Exit code 0: all is right; 1: cells are wrong."""
    return 0 if _read(file, {}).facts is not None else 1


def try_workbook(data: Path, file: Path, first: str, last: str, config: Path | None) -> int:
    facts = _read(file, {}).facts
    if facts is None:
        return 1
    today = datetime.fromtimestamp(utc_ms() / 1000, UTC).astimezone(zone_of(load_county(county_path(data, config)).zone)).date()
    begin, end = _day(first, today - timedelta(days=TRIED_DAYS)), _day(last, today)
    job = _asked(data, facts, file, "try", config, {"first": begin.isoformat(), "last": end.isoformat()})
    if job.state != "done" or job.result is None:
        raise HubError(job.message or job.state)
    _tell_tried(job.result)
    return 0


def publish_workbook(data: Path, file: Path, stated: Mapping[str, str], *, yes: bool, config: Path | None) -> int:
    """Exit code 0: it is published; 1: cells are wrong, or nobody agreed."""
    facts = _read(file, stated).facts
    if facts is None:
        return 1
    with at_desk(data, config) as desk:
        held = _held(desk)
        for doubt in doubts(facts, desk.county, held.catalogues):
            out.print(Text(say(f"  not known: {doubt.value} ({doubt.rows})", f"  未知:{doubt.value}({doubt.rows})"), "yellow"))
    changes = differences(in_place_of(facts, held.catalogues, held.evidence), facts)
    for change in changes[:SHOWN]:
        fields = "; ".join(f"{name}: {old} → {new}" for name, old, new in change.fields)
        out.print(Text(f"  {change.change} {change.name} {fields}"), soft_wrap=True)
    head = head_of(facts)
    question = say(
        f"{len(changes)} differences. Publish {head.id} {head.version}, from {head.published}?",
        f"{len(changes)} 处差异。发布 {head.id} {head.version},自 {head.published} 生效?",
    )
    if not ask_yes(question, yes=yes):
        err.print(say("Nothing was changed; --yes publishes without asking.", "未作更改;--yes 可免询问。"))
        return 1
    answer = _asked(data, facts, file, "publish", config, {})
    out.print(say(f"Published as Library/{answer['library']}.", f"已发布为 Library/{answer['library']}。"), style="green")
    return 0


# -- the workbook


def _read(file: Path, stated: Mapping[str, str]) -> Read:
    """Tells what is wrong. Raise Invalid."""
    if file.stat().st_size > LARGEST:
        raise Invalid(say(f"{file}: more than {LARGEST >> 20} MB", f"{file}:超过 {LARGEST >> 20} MB"))
    read = read_workbook(file.read_bytes(), stated)
    for wrong in read.wrong:
        place = f"{wrong.sheet} {wrong.column}{wrong.row or ''}".strip()
        out.print(Text(f"  {place} {wrong.name}: {wrong.says(_language())}", "yellow"), soft_wrap=True)
    if read.facts is not None:
        rows = rows_of(read.facts)
        out.print(say(f"{read.kind}: {rows} rows, all right.", f"{read.kind}:{rows} 行,全部正确。"))
    return read


def _language() -> str:
    return "zh-CN" if chinese() else "en"


def _day(stated: str, default: date) -> date:
    try:
        return date.fromisoformat(stated) if stated else default
    except ValueError:
        raise Invalid(say(f"{stated} is no day: 2026-03-01", f"{stated} 不是日期,例如 2026-03-01")) from None


def _held(desk: Desk) -> Held:
    name = desk.county.catalogue
    files = load_catalogue(name, desk.beside), load_evidence(name, desk.beside)
    return FactsOfCounty(desk.store, desk.county, utc_ms, *files).look()


# -- by the hub that runs, or by one opened here


def _asked(data: Path, facts: Facts, file: Path, act: str, config: Path | None, more: Mapping[str, str]) -> Any:
    """The answer; of a try its job, once it is over."""
    path = county_path(data, config)
    beside = path.parent if path else data
    content = BlobStore(data / "blobs", tidy=False).put(json_of(facts))
    who = f"{getpass.getuser()} (yitong recognition)"
    body = {"who": who, "act": act, "kind": Publication(facts).kind, "blob": content, "file": file.name, **more}
    try:
        hub = open_hub(data, load_county(path))
    except Unavailable:
        with at_desk(data, config) as desk:
            answer = _by_running_hub(desk, body)
            return _over(lambda id: job_in(desk.store, id), answer["job"]) if act == "try" else answer
    with closing(hub):
        serve_publishing(hub, recognition_service(hub, beside))
        answer = done(hub, beside, body)
        return _over(hub.jobs.job, answer["job"]) if act == "try" else answer


def _by_running_hub(desk: Desk, body: Mapping[str, str]) -> dict[str, Any]:
    answer = answer_to(desk.journal, leave(desk.journal, REQUEST, body), ANSWER_SECONDS)
    if answer is None:
        raise Unavailable(say("the running hub has not answered yet; the request waits", "运行中的平台尚未响应;请求仍在等待"))
    if "error" in answer:
        raise HubError(str(answer["error"]))
    return answer


def _over(look: Callable[[str], Job | None], id: str) -> Job:
    until = time.monotonic() + JOB_SECONDS
    with Bar(say("trying", "试算")) as bar:
        while time.monotonic() < until:
            job = look(id)
            if job is not None and job.over:
                return job
            if job is not None:
                bar.told(job.done, job.total, job.done)
            time.sleep(0.2)
    raise Unavailable(say("it goes on; /ops/recognition shows it", "仍在进行;可在 /ops/recognition 查看"))


def _tell_tried(result: Mapping[str, Any]) -> None:
    words = ("orders", "医嘱"), ("today", "现行"), ("then", "新版"), ("newly", "新增"), ("no longer", "不再"), ("yuan", "元")
    names = [say(*pair) for pair in words]
    for part in ("total", "steps", "items", "facilities"):
        grid = Grid(box=None, pad_edge=False)
        for name in ("", *names):
            grid.add_column(name)
        rows = [["Σ", *result["total"]]] if part == "total" else result[part]
        for key, *figures, fen in rows:
            called = RULES[key][0 if chinese() else 1] if part == "steps" and key in RULES else key
            grid.add_row(Text(str(called)), *map(str, figures), f"{fen / 100:.2f}")
        if rows:
            out.print(grid)
    if result["cut"]:
        out.print(say("There are more orders; only the first were counted.", "医嘱过多,仅计算了前一部分。"))
