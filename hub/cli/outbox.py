"""`yitong outbox …`: what the hub reports back to facilities' systems: how each destination stands, what is dead, again."""

from __future__ import annotations

import getpass
import json
import sys
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from rich.table import Table
from rich.text import Text

from hub.app import open_hub
from hub.cli.desk import ask_yes, at_desk, err, out
from hub.cli.doctor import county_path
from hub.cli.language import say
from hub.errors import HubError, Invalid, Unavailable
from hub.ingest.requests import answer_to, leave
from hub.ingest.workbench import OUTBOX, choice_of, sent_again
from hub.outbox.queue import Choice, State, count, items, lanes
from hub.settings import load_county

STATES: tuple[State, ...] = ("waiting", "sent", "dead", "skipped")
ANSWER_SECONDS = 60.0


def list_lanes(data: Path, *, as_json: bool, config: Path | None) -> int:
    """Exit code 0; 1 if a destination fails or holds dead reports."""
    with at_desk(data, config) as desk:
        found = lanes(desk.store)
    if as_json:
        sys.stdout.write(json.dumps([asdict(each) for each in found], ensure_ascii=False, indent=1) + "\n")
    elif found:
        heads = (
            say("destination", "目的地"),
            say("waiting", "待发"),
            say("sent", "已发"),
            say("dead", "死信"),
            say("problem", "问题"),
        )
        table = Table(*heads, box=None)
        for each in found:
            table.add_row(each.destination, str(each.waiting), str(each.sent), str(each.dead), Text(each.problem))
        out.print(table)
    else:
        out.print(say("county.toml has no [[destination]].", "county.toml 中没有 [[destination]]。"))
    return 1 if any(each.dead or each.problem for each in found) else 0


def list_items(data: Path, *, destination: str, state: str, limit: int, as_json: bool, config: Path | None) -> int:
    choice = Choice(destination=destination, states=_states(state))
    with at_desk(data, config) as desk:
        found = items(desk.store, choice, limit=limit)
    if as_json:
        sys.stdout.write(json.dumps([asdict(each) for each in found], ensure_ascii=False, indent=1) + "\n")
        return 0 if found else 1
    heads = (say("destination", "目的地"), say("no.", "序号"), say("state", "状态"), say("record", "记录"), say("at", "时间"))
    table = Table(*heads, say("problem", "问题"), box=None)
    for each in found:
        at = datetime.fromtimestamp(each.at / 1000).astimezone()
        record = f"{each.type}/{each.id} v{each.version}"
        table.add_row(each.destination, str(each.number), each.state, record, f"{at:%Y-%m-%d %H:%M}", Text(each.problem))
    out.print(table)
    return 0 if found else 1


def send_again(data: Path, *, destination: str, state: str, numbers: tuple[int, ...], yes: bool, config: Path | None) -> int:
    """Count first and ask; exit code 1 if nothing matches or whoever was asked said no."""
    body = {"destination": destination, "states": sorted(_states(state)), "numbers": list(numbers)}
    body |= {"who": f"{getpass.getuser()} (yitong outbox)"}
    with at_desk(data, config) as desk:
        number = count(desk.store, choice_of(body))
    out.print(say(f"{number} reports match.", f"共 {number} 条。"))
    if not number or not ask_yes(say("Send them again?", "重新发送?"), yes=yes):
        if number:
            err.print(say("Nothing was sent; --yes sends without asking.", "未发送;--yes 可免询问。"))
        return 1
    path = county_path(data, config)
    try:
        hub = open_hub(data, load_county(path))
    except Unavailable:
        with at_desk(data, config) as desk:
            answer = answer_to(desk.journal, leave(desk.journal, OUTBOX, body), ANSWER_SECONDS)
    else:
        try:
            answer = sent_again(hub.store, body)
        finally:
            hub.close()
    if answer is None:
        raise Unavailable(say("the running hub has not answered yet; the request waits", "运行中的平台尚未响应;请求仍在等待"))
    if "error" in answer:
        raise HubError(str(answer["error"]))
    queued, superseded = answer["queued"], answer["superseded"]
    out.print(say(f"{queued} queued, {superseded} left for a newer version.", f"已排队 {queued} 条,{superseded} 条已有更新版本。"))
    return 0


def _states(state: str) -> frozenset[State]:
    if state and state not in STATES:
        raise Invalid(f"--state {state}: {', '.join(STATES)}")
    return frozenset({state}) if state else frozenset()
