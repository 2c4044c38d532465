"""What `yitong identity` does: reads beside a running hub; a decision goes through it, or opens the hub where none runs."""

from __future__ import annotations

import asyncio
import getpass
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from hub.app import open_hub
from hub.cli.desk import ask_yes, at_desk, err, out
from hub.cli.doctor import county_path
from hub.cli.language import say
from hub.clock import utc_ms
from hub.errors import HubError, Invalid, Unavailable
from hub.identity.compared import Comparison, Value
from hub.identity.desk import REQUEST, decided, operator
from hub.identity.review import Filter, Person, Review
from hub.ingest.requests import answer_to, leave
from hub.security.door import Door
from hub.security.trail import AuditTrail, RemoteShipper
from hub.settings import load_county

ANSWER_SECONDS = 30.0


def list_doubts(data: Path, asked: Filter, *, limit: int, as_json: bool, config: Path | None) -> int:
    """Exit code 0; 1 if there are any, so that a script sees them."""
    with _review(data, config) as review:
        found = asyncio.run(review.doubts(asked, count=limit)).doubts
    if as_json:
        _print([asdict(each) | {"state": each.state} for each in found])
    elif found:
        table = _table(say("state", "状态"), say("facilities", "机构"), say("reason", "原因"), "", "")
        for each in found:
            table.add_row(each.state, " ".join(each.facilities), each.reason or "–", *each.pair)
        out.print(table)
        out.print(
            say(
                "Look at one: yitong identity show PATIENT OTHER --data …; decide: link, apart, later.",
                "查看:yitong identity show 编号 另一编号 --data …;决定:link、apart、later。",
            ),
            style="dim",
        )
    else:
        out.print(say("No doubt matches.", "没有符合条件的存疑。"), style="green")
    return 1 if found else 0


def show(data: Path, ids: Sequence[str], *, reason: str, as_json: bool, config: Path | None) -> int:
    if len(ids) not in (1, 2):
        raise Invalid(say("name one Patient, or two", "请给出一个或两个编号"))
    with _review(data, config) as review:
        if len(ids) == 1:
            person = asyncio.run(review.person(ids[0], reason=reason))
            _print(asdict(person)) if as_json else _members(person)
        else:
            opened = asyncio.run(review.compare(*ids, reason=reason))
            _print(asdict(opened)) if as_json else _side_by_side(opened.comparison)
            if not as_json and opened.doubt.decision != "undecided":
                done = next(iter(opened.operations), None)
                said = f"{done.who}, {done.when}: {done.why} ({done.id})" if done else ""
                out.print(say(f"Decided: {opened.doubt.decision}. {said}", f"人的决定:{opened.doubt.decision}。{said}"))
    return 0


def decide(data: Path, act: str, ids: Sequence[str], *, reason: str, yes: bool, config: Path | None) -> int:
    named = " ".join(ids)
    if not ask_yes(say(f"{act} {named}?", f"确认 {act} {named}?"), yes=yes):
        err.print(say("Nothing was changed; --yes decides without asking.", "未作更改;--yes 可免询问。"))
        return 1
    body = {"who": f"{getpass.getuser()} (yitong identity)", "act": act, "patients": list(ids), "reason": reason}
    try:
        hub = open_hub(data, load_county(county_path(data, config)))
    except Unavailable:
        answer = _by_running_hub(data, body, config)
    else:
        with closing(hub):
            answer = decided(hub, body)
    operation, persons = answer["operation"], " ".join(f"Patient/{person}" for person in answer["persons"])
    out.print(
        say(
            f"Done. Persons now: {persons}. To take it back: yitong identity undo {operation} --reason …",
            f"完成。现在的人:{persons}。撤回:yitong identity undo {operation} --reason …",
        ),
        soft_wrap=True,
    )
    return 0


def _by_running_hub(data: Path, body: dict[str, Any], config: Path | None) -> dict[str, Any]:
    with at_desk(data, config) as desk:
        answer = answer_to(desk.journal, leave(desk.journal, REQUEST, body), ANSWER_SECONDS)
    if answer is None:
        raise Unavailable(say("the running hub has not answered yet; the request waits", "运行中的平台尚未响应;请求仍在等待"))
    if "error" in answer:
        raise HubError(str(answer["error"]))
    return answer


@contextmanager
def _review(data: Path, config: Path | None) -> Iterator[Review]:
    """Beside a running hub, which brings the AuditEvents of these looks into the store; else the next start does."""
    with at_desk(data, config) as desk, closing(AuditTrail(data, utc_ms, RemoteShipper(lambda: None))) as trail:
        who = operator(f"{getpass.getuser()} (yitong identity)")
        yield Review(Door(desk.store, desk.county, utc_ms, trail), desk.store, who)


def _members(person: Person) -> None:
    for member in person.members:
        out.print(f"Patient/{member.side.id} · {member.side.facility}{'' if member.side.active else ' · inactive'}", style="bold")
        for element, values in member.stated:
            out.print(Text(f"  {element}: {', '.join(values)}"), soft_wrap=True)
    for one in person.operations:
        state = say(" (taken back)", "(已撤回)") if one.undone else ""
        out.print(Text(f"{one.when} {one.act}{state} {one.who}: {one.why} ({one.id})"), style="dim", soft_wrap=True)


def _side_by_side(seen: Comparison) -> None:
    table = _table("", *(f"{side.id} · {side.facility}" for side in (seen.one, seen.other)), say("agree", "比对"))
    for row in seen.rows:
        table.add_row(row.element, _values(row.one), _values(row.other), row.level)
    out.print(table)
    weights = ", ".join(f"{part.element} {part.level} {part.bits:+.1f}" for part in seen.parts)
    out.print(f"{seen.answer}: {seen.reason}; {weights} = {seen.bits:+.1f} ({seen.doubt:g} … {seen.link:g})", soft_wrap=True)


def _values(values: Sequence[Value]) -> Text:
    text = Text()
    for number, value in enumerate(values):
        text.append("\n" if number else "")
        for part in value:
            text.append(part.text, "bold red" if part.differs else "")
    return text


def _table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in names:
        table.add_column(name, overflow="fold")
    return table


def _print(value: object) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=1) + "\n")
