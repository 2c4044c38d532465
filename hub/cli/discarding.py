"""`yitong messages discard`: give dead records up for good with a reason, or take that back; beside a running hub or alone."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from hub.app import open_hub
from hub.cli.desk import Desk, ask_yes, at_desk, bring_up, err, out
from hub.cli.language import say
from hub.errors import HubError, Unavailable
from hub.ingest.inspect import checked_reason
from hub.ingest.messages import Query, numbers
from hub.ingest.requests import answer_to, leave
from hub.ingest.workbench import DISCARD, discarded

ANSWER_SECONDS = 30.0
MOST = 100_000


def discard_messages(
    data: Path, query: Query, seqs: Sequence[int], *, reason: str, undo: bool, yes: bool, config: Path | None
) -> int:
    """`seqs`: these alone, else what the query finds. Exit code 0; 1 if nothing was changed."""
    reason = checked_reason(reason)
    with at_desk(data, config) as desk:
        bring_up(desk.journal)
        chosen = list(seqs) or numbers(desk.journal, desk.store, query, MOST)
        if not chosen or not ask_yes(_question(len(chosen), undo=undo), yes=yes):
            err.print(say("Nothing was changed; --yes does it without asking.", "未作更改;--yes 可免询问。"))
            return 1
        who = f"{getpass.getuser()} (yitong messages discard)"
        body = {"who": who, "decision": "restore" if undo else "discard", "numbers": chosen, "reason": reason}
        changed = int(_changed(desk, body)["changed"])
    done = say("taken back", "已恢复") if undo else say("discarded", "已放弃")
    out.print(say(f"{changed} {done}.", f"{done} {changed} 条。"))
    return 0 if changed else 1


def _question(number: int, *, undo: bool) -> str:
    if undo:
        return say(f"Make {number} discarded records dead letters again?", f"将 {number} 条已放弃的记录恢复为死信?")
    return say(f"Give up {number} dead records for good?", f"永久放弃 {number} 条死信?")


def _changed(desk: Desk, body: dict[str, Any]) -> dict[str, Any]:
    try:
        hub = open_hub(desk.data, desk.county)
    except Unavailable:  # one runs: it does it
        answer = answer_to(desk.journal, leave(desk.journal, DISCARD, body), ANSWER_SECONDS)
        if answer is None:
            raise Unavailable(
                say("the running hub has not answered yet; the request waits", "运行中的平台尚未响应;请求仍在等待")
            ) from None
        if "error" in answer:
            raise HubError(str(answer["error"])) from None
        return answer
    with closing(hub):
        return discarded(hub, body)
