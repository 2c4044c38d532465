"""Which records a sheet is about, before anything is done to them: one alone, or what a filter of `/ops/messages` finds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import Request

from hub.errors import Invalid, NotFound
from hub.ingest.messages import Message, message_at, numbers, search
from hub.web.ops.intake import intake_of
from hub.web.ops.messages import NAMES, Asked, asked_of
from hub.web.ops.overview import visible
from hub.web.session import Session
from hub.web.view import View

MOST = 20_000  # of one request made here; the command line takes more
SAMPLE = 3


@dataclass(frozen=True, slots=True)
class Chosen:
    asked: Asked
    seq: int  # one alone; 0: what the filter finds
    found: tuple[int, ...] = ()
    sample: tuple[Message, ...] = ()
    problem: str = ""


async def words_of(request: Request) -> dict[str, str]:
    """Of a posted sheet."""
    form = await request.form()
    return {name: str(form.get(name, "")) for name in (*NAMES, "seq")}


def chosen_by(view: View, session: Session, words: Mapping[str, str]) -> Chosen:
    """Raise NotFound for a record that is not there or not this account's to see."""
    intake, store = intake_of(view), view.hub.store
    asked = asked_of(view, session, words)
    text = words.get("seq", "")
    if text:
        seq = int(text) if re.fullmatch(r"\d{1,15}", text, re.ASCII) else 0
        found = message_at(intake.journal, store, seq)
        if found is None or not visible(session.access, found.facility):
            raise NotFound(f"the journal has no message {text[:15]}")
        return Chosen(asked, seq, (seq,), (found,))
    if asked.problem:
        return Chosen(asked, 0, problem=asked.problem)
    try:
        chosen = tuple(numbers(intake.journal, store, asked.query, MOST))
    except Invalid:
        return Chosen(asked, 0, problem=view.t("ops.replay.many", n=MOST))
    return Chosen(asked, 0, chosen, search(intake.journal, store, asked.query, SAMPLE).messages)
