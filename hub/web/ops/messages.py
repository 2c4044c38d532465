"""`/ops/messages`: what came in, found by channel, state, time and cause, and by patient or words.

The address holds all of a filter that tells nothing of a person, so a view can be shared and kept. A patient's number or name and
words out of a message are posted: they stand in no address, log or history.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request, Response

from hub.errors import Invalid
from hub.ingest.messages import STATES, Found, Query, count, search
from hub.web.ops.intake import intake_of
from hub.web.pages import PageRoute, check_form, workbench_session
from hub.web.session import Session
from hub.web.view import View

PAGE = 50
NAMES = ("source", "kind", "type", "state", "cause", "control", "since", "until")  # of a filter, as they stand in the address
LONGEST = 200

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Asked:
    """A filter as it was written, and as the journal is asked."""

    words: Mapping[str, str]
    query: Query
    problem: str = ""

    @property
    def narrows(self) -> bool:
        return any(self.words.values())

    def address(self, path: str = "/ops/messages", **more: object) -> str:
        """Of this filter without what is told of a person."""
        kept = {name: self.words[name] for name in NAMES if self.words.get(name)}
        asked = urlencode({**kept, **{name: value for name, value in more.items() if value}})
        return f"{path}?{asked}" if asked else path

    @property
    def private(self) -> bool:
        return bool(self.query.patient or self.query.text)


def asked_of(view: View, session: Session, words: Mapping[str, str], *, patient: str = "", text: str = "") -> Asked:
    """`words`: of the address. What cannot be asked is told, and then nothing is found."""
    given = {name: words.get(name, "").strip()[:LONGEST] for name in NAMES}
    try:
        before = words.get("before", "")
        query = Query(
            source=given["source"],
            facility=session.access.facility,
            kind=given["kind"],
            type=given["type"],
            state=given["state"],
            cause=given["cause"],
            control_id=given["control"],
            patient=patient.strip()[:LONGEST],
            text=text.strip()[:LONGEST],
            since=_instant(view, given["since"]),
            until=_instant(view, given["until"]),
            before_seq=int(before) if re.fullmatch(r"\d{1,15}", before, re.ASCII) else 0,
        )
    except Invalid:
        return Asked(given, Query(facility=session.access.facility), view.t("ops.messages.invalid"))
    return Asked(given, query)


def _instant(view: View, text: str) -> str:
    """A form's date or date and time in the county's zone → ISO 8601 with its offset. Raise Invalid."""
    if not text:
        return ""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Invalid("not a date") from None
    return (at if at.tzinfo else at.replace(tzinfo=view.zone)).isoformat()


@router.get("/ops/messages")
async def messages(request: Request) -> Response:
    session = workbench_session(request)
    view = View(request, session)
    return await _answered(view, asked_of(view, session, request.query_params))


@router.post("/ops/messages")
async def search_messages(
    request: Request,
    csrf: Annotated[str, Form()] = "",
    patient: Annotated[str, Form()] = "",
    text: Annotated[str, Form()] = "",
    before: Annotated[str, Form()] = "",
) -> Response:
    """As above, with what tells of a person. It is audited: somebody looked for one."""
    session = workbench_session(request)
    check_form(session, csrf)
    view = View(request, session)
    form = await request.form()
    words = {name: str(form.get(name, "")) for name in NAMES}
    asked = asked_of(view, session, {**words, "before": before}, patient=patient, text=text)
    if asked.private:
        await view.hub.door.note(session.access, action="E", interaction="messages")
    return await _answered(view, asked)


async def _answered(view: View, asked: Asked) -> Response:
    intake = intake_of(view)
    found, number = Found((), None), None
    if not asked.problem:
        found, number = await asyncio.to_thread(_found, intake.journal, view.hub.store, asked.query)
    values: dict[str, Any] = {
        "here": "messages",
        "asked": asked,
        "found": found,
        "number": number,
        "sources": sorted(intake.journal.counts()),
        "states": STATES,
    }
    return view.page("ops/_messages.html" if view.fragment else "ops/messages.html", values, status=400 if asked.problem else 200)


def _found(journal: Any, store: Any, query: Query) -> tuple[Found, Any]:
    return search(journal, store, query, PAGE), count(journal, store, replace(query, before_seq=0))
