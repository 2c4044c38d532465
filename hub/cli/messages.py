"""`yitong messages …`: find messages, look at one."""

from __future__ import annotations

import asyncio
import getpass
import json
import sys
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from hub.app import open_front
from hub.cli.desk import Desk, at_desk, bring_up, out
from hub.cli.language import say
from hub.errors import Invalid, NotFound, Unavailable
from hub.fhir_json import dump
from hub.ingest.inspect import Opened, checked_reason, inspect, note_opened
from hub.ingest.messages import Cause, Message, Query, causes, count, search
from hub.ingest.tree import Node
from hub.security.access import Access

STATES = {
    "done": ("✓", "green"),
    "dead": ("✗", "red"),
    "waiting": ("…", "yellow"),
    "conflict": ("!", "magenta"),
    "discarded": ("–", "dim"),
}
MOST_LISTED = 1000
MOST_LINES = 400


def list_messages(data: Path, query: Query, *, limit: int, as_json: bool, config: Path | None) -> int:
    """Exit code 0; 1 if nothing matches."""
    if not 1 <= limit <= MOST_LISTED:
        raise Invalid(f"--limit {limit}: 1 … {MOST_LISTED}")
    with at_desk(data, config) as desk:
        bring_up(desk.journal)
        found = search(desk.journal, desk.store, query, limit)
        counted = count(desk.journal, desk.store, query)
    if as_json:
        body = {"messages": [_plain(each) for each in found.messages], "next": found.next, "count": counted.number}
        sys.stdout.write(json.dumps({**body, "more": counted.more}, ensure_ascii=False, indent=1) + "\n")
    else:
        _print(found.messages)
        shown, all_ = len(found.messages), f"{counted.number}{'+' if counted.more else ''}"
        out.print(say(f"{shown} of {all_}, the newest first.", f"共 {all_} 条,显示最新 {shown} 条。"), style="dim")
        if found.next:
            out.print(say(f"Older ones: --before {found.next}", f"更早的:--before {found.next}"), style="dim")
    return 0 if found.messages else 1


def list_causes(data: Path, *, source: str, as_json: bool, config: Path | None) -> int:
    with at_desk(data, config) as desk:
        found = causes(desk.store, source)
    if as_json:
        sys.stdout.write(json.dumps([each._asdict() for each in found], ensure_ascii=False, indent=1) + "\n")
    elif found:
        out.print(_causes(found))
        again = "yitong replay --state dead --cause '…'"
        out.print(say(f"Again, after mending: {again}", f"修复后重放:{again}"))
        given_up = "yitong messages discard --cause '…' --reason '…'"
        out.print(say(f"Not worth mending: {given_up}", f"无需修复:{given_up}"))
    else:
        out.print(say("No dead letters.", "没有死信。"), style="green")
    return 0


def show_message(data: Path, seq: int, *, opened: bool, reason: str, as_json: bool, config: Path | None) -> int:
    """Masked; unmasked only with a reason, which is in the audit before anything is shown."""
    if opened != bool(reason):
        raise Invalid(say("--open and --reason go together: the audit keeps why", "--open 与 --reason 须同时使用:审计会记录原因"))
    reason = checked_reason(reason) if reason else ""
    with at_desk(data, config) as desk, desk.explainer() as explainer:
        if not 1 <= seq <= desk.journal.newest():
            raise NotFound(say(f"the journal has no message {seq}", f"日志中没有第 {seq} 条消息"))
        bring_up(desk.journal)
        found = inspect(desk.journal, desk.store, explainer, seq, unmasked=opened)
        if opened:
            _audit(desk, found, reason)
    if as_json:
        sys.stdout.write(dump(_json(found)).decode() + "\n")
    else:
        _show(found)
    return 0


def _audit(desk: Desk, found: Opened, reason: str) -> None:
    """Into the folder's audit log: the running hub, or the next one, brings it into the store."""
    hub = open_front(desk.data, desk.county, settle=lambda: None, save=_only_the_hub_saves)
    with closing(hub):
        who = Access(name=f"{getpass.getuser()} (yitong messages show)", role="admin", purpose="HOPERAT", address="127.0.0.1")
        asyncio.run(note_opened(hub.door, who, found, reason))


async def _only_the_hub_saves(*_: object) -> Any:
    raise Unavailable(say("a command beside the hub saves nothing", "命令行不写入平台数据"))


def _plain(message: Message) -> dict[str, Any]:
    return {**asdict(message), "received": message.received.isoformat()}


def _print(messages: Iterable[Message]) -> None:
    table = Table(box=None, pad_edge=False)
    for name in (say("no.", "序号"), say("received", "接收时间"), say("channel", "通道"), say("type", "类型")):
        table.add_column(name, no_wrap=True)
    for name in (say("control id", "控制号"), say("patient", "患者"), say("state", "状态"), say("cause / issues", "原因/问题")):
        table.add_column(name)
    for each in messages:
        mark, style = STATES[each.state]
        said = each.reason or _issues(each.issues)
        cells = (_time(each.received), each.source, each.type or each.kind, each.control, each.patient)
        table.add_row(str(each.seq), *map(Text, cells), Text(f"{mark} {each.state}", style), Text(said))
    out.print(table)


def _issues(number: int) -> str:
    return say(f"{number} issue{'' if number == 1 else 's'}", f"{number} 个问题") if number else ""


def _causes(found: Iterable[Cause]) -> Table:
    heads = (say("records", "条数"), say("channel", "通道"), say("cause", "原因"), say("first", "最早"), say("last", "最近"))
    table = Table(*heads, box=None)
    for each in found:
        table.add_row(str(each.records), each.source, Text(each.cause), str(each.first), str(each.last))
    return table


def _time(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _show(found: Opened) -> None:
    _print([found.message])
    raw = found.shown.raw
    charset = f"{raw.charset or '?'}{say(' (declared wrong)', '(声明有误)') if raw.repaired else ''}"
    _title(say("raw", "原文"), f"{raw.size} bytes, {charset}")
    for text in raw.text.replace("\r\n", "\n").replace("\r", "\n").splitlines()[:MOST_LINES]:
        out.print(Text(text), soft_wrap=True)
    if found.shown.problem:
        out.print(Text(f"✗ {found.shown.problem}", "red"))
    _title(say("parsed", "解析"))
    out.print(_tree(found.shown.tree))
    _title(say("mapped", "映射"), ", ".join(f"{name} {number}" for name, number in found.ledger.items()))
    if found.reason:
        out.print(Text(f"✗ {found.reason}", "red"))
    for line in found.lines[:MOST_LINES]:
        out.print(Text(f"  {line.where:24} {line.state:9} {line.to}"))
    for issue in found.issues:
        out.print(Text(f"  ! {issue.code} {issue.where} {issue.value} {issue.detail}", "yellow"))
    _title("FHIR", str(len(found.made)))
    for made in found.made:
        there = say(f"version {made.version}", f"版本 {made.version}") if made.version else say("not stored", "未存储")
        out.print(Text(f"  {made.reference} ({made.mode}) {there}"))
    for touch in found.lineage:
        out.print(Text(f"  {touch.reference} ← {touch.seq} {touch.source} {touch.type} {touch.state}", "dim"))


def _title(name: str, detail: str = "") -> None:
    out.print(Text(f"\n── {name} ", "bold").append(detail, "dim"))


def _tree(nodes: Iterable[Node]) -> Tree:
    root = Tree("", hide_root=True, guide_style="dim")
    left = MOST_LINES

    def add(branch: Tree, each: Node) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            return
        place = f" [{each.start}…{each.end}]" if each.start >= 0 else ""
        label = Text(each.where, "cyan").append(f" {each.name}" if each.name else "").append(f" {each.value}").append(place, "dim")
        grown = branch.add(label)
        for child in each.children:
            add(grown, child)

    for node in nodes:
        add(root, node)
    return root


def _json(found: Opened) -> Mapping[str, Any]:
    return {
        "message": _plain(found.message),
        "raw": asdict(found.shown.raw),
        "tree": [asdict(node) for node in found.shown.tree],
        "problem": found.shown.problem,
        "ledger": dict(found.ledger),
        "lines": [asdict(line) for line in found.lines],
        "issues": [asdict(issue) for issue in found.issues],
        "reason": found.reason,
        "made": [asdict(made) for made in found.made],
        "outcome": {**asdict(found.outcome)} if found.outcome else None,
        "lineage": [asdict(touch) for touch in found.lineage],
        "unmasked": found.unmasked,
    }
