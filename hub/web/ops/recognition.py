"""`/ops/recognition`: which catalogue and evidence hold, bringing in others from Excel, trying them, publishing them.

Admin, hospital IT and the health bureau may look; an admin of the county brings in, tries and publishes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, File, Form, Request, Response, UploadFile
from starlette.responses import RedirectResponse

from connectors.files.workbook import MEDIA_TYPE
from hub.errors import Invalid, NotAllowed
from hub.jobs import OVER, jobs_in
from hub.recognition import messages
from hub.recognition.facts import recognition_of
from hub.recognition.held import FILE, Held
from hub.recognition.publishing import review
from hub.recognition.publishing.columns import columns_of, place_of
from hub.recognition.publishing.differences import differences, doubts
from hub.recognition.publishing.drafts import Draft, draft_in, draft_of, drafts_in, drop_draft, keep_draft
from hub.recognition.publishing.library import Facts, Published, entries_of, facts_of, head_of, in_place_of, shelved
from hub.recognition.publishing.service import Outdated, publish_facts
from hub.recognition.publishing.sheets import LARGEST, NoWorkbook, Read, read_workbook
from hub.recognition.publishing.what_if import submit_what_if
from hub.security.policy import check_publish
from hub.store.port import Transaction
from hub.web.pages import PageRoute, check_form, session_of
from hub.web.session import Session
from hub.web.view import View

LOOKING_ROLES = frozenset({"admin", "it", "bureau"})
LAPSING_DAYS = 60
TRIED_DAYS = 30  # of orders, if nothing else is asked
LONGEST_DAYS = 92
LISTED = 200

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/ops/recognition")
async def overview(request: Request, published: str = "") -> Response:
    return await _overview(*_looking(request), published=published[:64])


@router.get("/ops/recognition.xlsx")
async def export(request: Request, library: str = "", kind: str = "") -> Response:
    """The version of a Library; `library=file`: of the file that county.toml names."""
    from hub.recognition.publishing.export import workbook_of  # openpyxl brings numpy: a tenth of every start

    view, _ = _looking(request)
    facts = await asyncio.to_thread(recognition_of(request.app.state).facts.version, kind, library)
    content = await asyncio.to_thread(workbook_of, facts, view.language)
    head = head_of(facts)
    name = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in f"{kind}-{head.id}-{head.version}")
    return Response(content, media_type=MEDIA_TYPE, headers={"content-disposition": f'attachment; filename="{name}.xlsx"'})


@router.post("/ops/recognition")
async def bring_in(
    request: Request, csrf: Annotated[str, Form()] = "", file: Annotated[UploadFile | None, File()] = None
) -> Response:
    """A workbook becomes a draft, or the page says which cells are wrong."""
    view, session = _publishing(request, csrf)
    content = await file.read(LARGEST + 1) if file is not None else b""
    name = (file.filename or "") if file is not None else ""
    try:
        read = await asyncio.to_thread(read_workbook, content)
    except NoWorkbook as error:
        problem = error.says(view.language) if content else view.t("facts.nofile")
        return await _overview(view, session, problem=problem, status=400)
    if read.facts is None:
        return await _overview(view, session, read=read, file=name, status=422)
    draft = await asyncio.to_thread(draft_of, read.facts, name, session.access.name, view.hub.clock())
    await asyncio.wrap_future(view.hub.store.write(lambda transaction: keep_draft(transaction, draft)))
    await view.hub.door.note(
        session.access, action="C", interaction="operation", type=f"recognition-{draft.kind}", query=f"draft={draft.id}"
    )
    return RedirectResponse(f"/ops/recognition/draft/{draft.id}", 303)


@router.get("/ops/recognition/draft/{id}")
async def draft_page(request: Request, id: str) -> Response:
    view, session = _looking(request)
    draft = await asyncio.to_thread(draft_in, view.hub.store, id)
    if view.fragment:
        check_publish(session.access)  # it counts every facility's orders
        return view.page("ops/_what_if.html", _what_if(view, draft))
    return await _draft(view, session, draft)


@dataclass(frozen=True, slots=True)
class Wish:
    """What the forms of a draft's page say. `first`, `last`: days of orders to try; `version`, `published`: of the publication."""

    first: str
    last: str
    version: str
    published: str


@router.post("/ops/recognition/draft/{id}")
async def act(
    request: Request,
    id: str,
    csrf: Annotated[str, Form()] = "",
    act: Annotated[str, Form()] = "",
    first: Annotated[str, Form(alias="from")] = "",
    last: Annotated[str, Form(alias="to")] = "",
    version: Annotated[str, Form()] = "",
    published: Annotated[str, Form()] = "",
) -> Response:
    """`act`: one of ACTS."""
    view, session = _publishing(request, csrf)
    draft = await asyncio.to_thread(draft_in, view.hub.store, id)
    if act not in ACTS:
        raise Invalid(f"act must be one of {', '.join(ACTS)}")
    try:
        return await ACTS[act](view, session, draft, Wish(first, last, version, published))
    except (Invalid, Published, Outdated) as error:
        key = {Published: "facts.clash", Outdated: "facts.older"}.get(type(error))
        return await _draft(view, session, draft, problem=view.t(key) if key else error.message, status=error.reason.status)


async def _publish(view: View, session: Session, draft: Draft, wish: Wish) -> Response:
    facts = _under(view, draft, wish.version, wish.published)
    saved = await publish_facts(view.hub, recognition_of(view.request.app.state), session.access, facts)
    await _drop(view, session, draft, wish)
    return RedirectResponse(f"/ops/recognition?published={saved.version.id}", 303)


async def _drop(view: View, session: Session, draft: Draft, wish: Wish) -> Response:  # noqa: ARG001  each act takes the same
    await asyncio.wrap_future(view.hub.store.write(lambda transaction: drop_draft(transaction, draft.id)))
    return RedirectResponse("/ops/recognition", 303)


async def _try(view: View, session: Session, draft: Draft, wish: Wish) -> Response:
    try:
        begin, end = date.fromisoformat(wish.first), date.fromisoformat(wish.last)
    except ValueError:
        raise Invalid(view.t("facts.span", n=LONGEST_DAYS)) from None
    if not timedelta() <= end - begin <= timedelta(days=LONGEST_DAYS):
        raise Invalid(view.t("facts.span", n=LONGEST_DAYS))
    hub, now = view.hub, view.hub.clock()

    def work(transaction: Transaction) -> None:
        job = submit_what_if(transaction, draft.id, begin, end, now)
        keep_draft(transaction, draft.tried_by(job.id))

    await asyncio.wrap_future(hub.store.write(work))
    await hub.door.note(session.access, action="E", interaction="operation", type="recognition-what-if", query=f"{begin}/{end}")
    hub.jobs.wake()
    return RedirectResponse(f"/ops/recognition/draft/{draft.id}#what-if", 303)


ACTS: Mapping[str, Callable[[View, Session, Draft, Wish], Awaitable[Response]]] = {"try": _try, "publish": _publish, "drop": _drop}


def _looking(request: Request) -> tuple[View, Session]:
    session = session_of(request)
    if session.access.role not in LOOKING_ROLES:
        raise NotAllowed("catalogues and evidence are shown to the roles admin, it and bureau")
    return View(request, session), session


def _publishing(request: Request, csrf: str) -> tuple[View, Session]:
    view, session = _looking(request)
    check_publish(session.access)
    check_form(session, csrf)
    return view, session


def _may(session: Session) -> bool:
    try:
        check_publish(session.access)
    except NotAllowed:
        return False
    return True


def _under(view: View, draft: Draft, version: str, published: str) -> Facts:
    """The draft under the version and from the day that the form says. Raise Invalid."""
    try:
        date.fromisoformat(published.strip())
    except ValueError:
        raise Invalid(view.t("facts.day")) from None
    if not version.strip():
        raise Invalid(view.t("facts.day"))
    content = msgspec.json.decode(draft.content)
    head = content[draft.kind]
    head["version"], head["published"] = version.strip()[:64], published.strip()
    return facts_of(draft.kind, msgspec.json.encode(content))


# -- what the pages show


async def _overview(
    view: View,
    session: Session,
    *,
    problem: str = "",
    read: Read | None = None,
    file: str = "",
    published: str = "",
    status: int = 200,
) -> Response:
    service = recognition_of(view.request.app.state)
    held = await service.look()
    values = {
        **_words(view),
        "may": _may(session),
        "holds": held.holds,
        "file": FILE,
        "entries": sorted(entries_of(await asyncio.to_thread(shelved, view.hub.store)), key=lambda each: -each[1].at)[:LISTED],
        "in_force": {each.library for each in held.holds},
        "drafts": list(await asyncio.to_thread(drafts_in, view.hub.store)),
        "lapsing": _lapsing(held),
        "review": await asyncio.to_thread(_last_review, view),
        "problem": problem,
        "read": read,
        "file_name": file,
        "published": published,
        "listed": LISTED,
    }
    return view.page("ops/recognition.html", values, status=status)


@dataclass(frozen=True, slots=True)
class Lapsing:
    organization: str
    item: str
    scheme: str
    scope: str
    day: date
    over: bool


def _lapsing(held: Held) -> list[Lapsing]:
    """What passed and is over since a while, or soon, unless a later round of it holds longer."""
    near = timedelta(days=LAPSING_DAYS)
    latest: dict[tuple[str, str, str, str], date] = {}
    for row in held.evidence.rows:
        if row.passed:
            key = (row.organization, row.item, row.scheme, row.scope)
            latest[key] = max(row.valid_to, latest.get(key, row.valid_to))
    found = [Lapsing(*key, day, day < held.day) for key, day in latest.items() if held.day - near <= day <= held.day + near]
    return sorted(found, key=lambda each: each.day)[:LISTED]


def _last_review(view: View) -> dict[str, Any] | None:
    done = [job for job in jobs_in(view.hub.store, OVER) if job.kind == review.KIND and job.result]
    return {"at": done[-1].finished, **(done[-1].result or {})} if done else None


async def _draft(view: View, session: Session, draft: Draft, *, problem: str = "", status: int = 200) -> Response:
    held = await recognition_of(view.request.app.state).look()
    facts = await asyncio.to_thread(lambda: draft.facts)
    before = in_place_of(facts, held.catalogues, held.evidence)
    changes = await asyncio.to_thread(differences, before, facts)
    fields = {column.field: column.words[place_of(view.language)] for column in columns_of(draft.kind, ())}
    values = {
        **_words(view),
        **_what_if(view, draft),
        "may": _may(session),
        "head": head_of(facts),
        "before": head_of(before) if before is not None else None,
        "changes": changes[:LISTED],
        "counts": {kind: sum(each.change == kind for each in changes) for kind in ("added", "removed", "changed")},
        "field_name": lambda name: fields.get(name, view.t("facts.windows") if name == "validity_days" else name),
        "doubts": doubts(facts, view.hub.county, held.catalogues)[:LISTED],
        "first": (view.today - timedelta(days=TRIED_DAYS)).isoformat(),
        "last": view.today.isoformat(),
        "problem": problem,
    }
    return view.page("ops/recognition_draft.html", values, status=status)


def _what_if(view: View, draft: Draft) -> dict[str, Any]:
    """The last run of a draft, and how its rows are called."""
    job = view.hub.jobs.job(draft.job) if draft.job else None
    result: Mapping[str, Any] = (job.result if job is not None else None) or {}
    names = result.get("names", {})
    place = place_of(view.language)

    def called(part: str, key: str) -> str:
        if part == "steps":
            return messages.RULES[key][place] if key in messages.RULES else key
        if part == "facilities":
            return view.facility(key)
        return f"{key} {names[key][place] or names[key][0]}" if key in names else key

    return {"draft": draft, "job": job, "result": result, "called": called}


def _words(view: View) -> dict[str, Any]:
    def region(area: str) -> str:
        level, _, code = area.partition(":")
        return f"{view.scope(level)} {code}".strip() if area else view.t("facts.everybody")

    return {"here": "recognition", "region": region, "at": lambda ms: view.moment(datetime.fromtimestamp(ms / 1000, UTC))}
