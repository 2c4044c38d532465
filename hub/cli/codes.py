"""`yitong codes …`: what nothing maps, with proposals; a person's decisions, one by one or from a spreadsheet."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from hub.app import open_hub
from hub.cli.desk import ask_yes, at_desk, err, out
from hub.cli.doctor import county_path
from hub.cli.language import say
from hub.errors import HubError, Invalid, Unavailable
from hub.ingest.code_suggestions import Suggestion
from hub.ingest.gap_sheets import from_csv, is_decisions, to_csv
from hub.ingest.gaps import Confirmation, Gap, checked, gaps
from hub.ingest.requests import answer_to, leave
from hub.ingest.run import IntakeService
from hub.ingest.workbench import CONFIRM, confirmed, serve_workbench
from hub.settings import load_county

ANSWER_SECONDS = 30.0
MOST = 500
HEAD = 4096  # bytes that hold a header
LARGEST_SHEET = 64 * 1024 * 1024


def list_codes(data: Path, *, system: str, limit: int, as_json: bool, config: Path | None) -> int:
    """Exit code 0; 1 if there are gaps, so that a script sees them."""
    found = _gaps(data, system, limit, config)
    if as_json:
        sys.stdout.write(json.dumps([asdict(each) for each in found], ensure_ascii=False, indent=1) + "\n")
    elif found:
        out.print(_table(found))
        out.print(
            say(
                "Decide one: yitong codes confirm SYSTEM CODE --to http://loinc.org CODE. Many: yitong codes export FILE.csv",
                "确认一个:yitong codes confirm 系统 代码 --to http://loinc.org 目标代码;批量:yitong codes export 文件.csv",
            ),
            style="dim",
        )
    else:
        out.print(say("Every code that came is mapped.", "所有代码均已映射。"), style="green")
    return 1 if found else 0


def export_codes(data: Path, file: Path, *, system: str, config: Path | None) -> int:
    if file.exists():
        raise Invalid(say(f"{file} is there already; name another file", f"{file} 已存在,请换一个文件名"))
    found = _gaps(data, system, MOST, config)
    file.write_bytes(to_csv(found))
    out.print(
        say(
            f"{len(found)} codes written to {file}. Fill target_system and target_code (or local), then: yitong codes import",
            f"已导出 {len(found)} 个代码到 {file}。填写 target_system 与 target_code(或 local)后:yitong codes import",
        ),
        soft_wrap=True,
    )
    return 0


def holds_decisions(file: Path) -> bool:
    """Whether it is a sheet that `yitong codes export` wrote: its first line has the columns of one."""
    with file.open("rb") as opened:
        return is_decisions(opened.read(HEAD))


def import_codes(data: Path, file: Path, *, yes: bool, config: Path | None) -> int:
    if file.stat().st_size > LARGEST_SHEET:
        raise Invalid(f"{file}: more than {LARGEST_SHEET >> 20} MB")
    try:
        decisions = from_csv(file.read_bytes())
    except Invalid as error:
        raise Invalid(f"{file}: {error.message}") from None
    if not decisions:
        raise Invalid(say(f"{file}: no line has a target_code", f"{file}:没有任何一行填写了 target_code"))
    return _decide(data, decisions, yes=yes, config=config)


def confirm_code(data: Path, decision: Confirmation, *, suggested: bool, yes: bool, config: Path | None) -> int:
    if suggested:
        decision = _by_suggestion(data, decision, config)
    return _decide(data, [checked(decision)], yes=yes, config=config)


def _by_suggestion(data: Path, decision: Confirmation, config: Path | None) -> Confirmation:
    for gap in _gaps(data, decision.system, MOST, config):
        if gap.code.code == decision.code:
            first: Suggestion | None = next(iter(gap.suggestions), None)
            if first is None:
                raise Invalid(say("there is no proposal for it: name the target by --to", "没有建议:请用 --to 指定目标"))
            return decision._replace(
                target_system=first.system, target_code=first.code, target_display=first.display, display=gap.code.display
            )
    raise Invalid(say("no record holds this code unmapped", "没有记录含有该未映射代码"))


def _gaps(data: Path, system: str, limit: int, config: Path | None) -> list[Gap]:
    with at_desk(data, config) as desk:
        return gaps(desk.store, beside=desk.beside, limit=limit, source_system=system)


def _table(found: Sequence[Gap]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in (say("records", "条数"), say("system", "代码系统"), say("code", "代码"), say("name", "名称")):
        table.add_column(name, no_wrap=True)
    table.add_column(say("proposal", "建议"))
    for gap in found:
        code = gap.code
        table.add_row(str(code.records), Text(code.system), Text(code.code), Text(code.display), _proposal(gap))
    return table


def _proposal(gap: Gap) -> Text:
    if gap.decided:
        return Text(say(f"decided: {gap.decided}", f"已确认:{gap.decided}"), "green")
    if not gap.mendable:
        return Text(say("a table of the standard: ask the source", "标准表中的代码:请来源系统改正"), "dim")
    if not gap.suggestions:
        return Text("–", "dim")
    first = gap.suggestions[0]
    return Text(f"{first.score:.2f} {first.code} {first.display} ({first.why})")


def _decide(data: Path, decisions: Sequence[Confirmation], *, yes: bool, config: Path | None) -> int:
    local = say("stays local", "保留本地")
    for each in decisions[:20]:
        target = f"{each.target_system}|{each.target_code} {each.target_display}" if each.target_code else local
        out.print(Text(f"  {each.system}|{each.code} {each.display} → {target} ({each.equivalence})"), soft_wrap=True)
    if len(decisions) > 20:
        out.print(f"  … {len(decisions)}")
    question = say(f"Confirm {len(decisions)} and map their records again?", f"确认这 {len(decisions)} 个并重新映射相关记录?")
    if not ask_yes(question, yes=yes):
        err.print(say("Nothing was changed; --yes confirms without asking.", "未作更改;--yes 可免询问。"))
        return 1
    body = {"who": f"{getpass.getuser()} (yitong codes)", "codes": [list(each) for each in decisions]}
    path = county_path(data, config)
    try:
        hub = open_hub(data, load_county(path))
    except Unavailable:
        return _by_running_hub(data, body, config)
    try:
        intake = IntakeService(data, hub.county, hub.store, hub.blobs, clock=hub.clock, beside=path.parent if path else data)
        try:
            serve_workbench(hub, intake)
            answer = confirmed(hub, body)
            _wait(hub, intake, str(answer["job"]))
        finally:
            intake.stop()
    finally:
        hub.close()
    _said(answer)
    return 0


def _wait(hub: Any, intake: IntakeService, job: str) -> None:
    """No hub runs: find the records and map them here."""
    import time

    while not ((found := hub.jobs.job(job)) is None or found.over):
        time.sleep(0.05)
    while intake.pipeline.run_once():
        pass


def _by_running_hub(data: Path, body: dict[str, Any], config: Path | None) -> int:
    with at_desk(data, config) as desk:
        answer = answer_to(desk.journal, leave(desk.journal, CONFIRM, body), ANSWER_SECONDS)
    if answer is None:
        raise Unavailable(say("the running hub has not answered yet; the request waits", "运行中的平台尚未响应;请求仍在等待"))
    if "error" in answer:
        raise HubError(str(answer["error"]))
    _said(answer)
    return 0


def _said(answer: dict[str, Any]) -> None:
    with suppress(KeyError):
        out.print(
            say(
                f"{answer['codes']} codes are in {', '.join(answer['maps'])}; their records are mapped again.",
                f"{answer['codes']} 个代码已写入 {', '.join(answer['maps'])};相关记录正在重新映射。",
            ),
            soft_wrap=True,
        )
