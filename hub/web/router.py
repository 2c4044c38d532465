"""The pages of clinicians: search, a person, a trend, a document, the recognition prompt. Script is an ease, never a need.

Every page works as plain GET and POST; a request of htmx gets the fragment of the same page. No patient's name or number ever
stands in an address: a search is a POST, and a person's address holds the hub's own id.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, FastAPI, Form, Request, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from hub.errors import Gone, Invalid, NotAllowed, NotFound
from hub.imaging.frames import key_image
from hub.recognition.candidates import modalities, stored_objects
from hub.recognition.facts import recognition_of
from hub.recognition.model import Answer
from hub.recognition.service import Question
from hub.records import labs
from hub.records.current import medicines, problems
from hub.records.documents import document_of
from hub.records.events import KIND_ORDER
from hub.records.find import SHORTEST, Hits, find_people
from hub.records.front import front_of
from hub.records.person import Allergies, Person, allergies_of, person_of
from hub.records.reader import Reader, reference_id
from hub.records.studies import studies
from hub.records.summary.gather import gather
from hub.records.summary.printed import pdf
from hub.records.summary.words import Language
from hub.records.timeline import ENCOUNTER_CLASS, latest, record_of, story
from hub.records.trend import facilities_of, shape_svg, trend_svg
from hub.security.audit import REFUSED
from hub.web.access import router as access_router
from hub.web.login import router as login_router
from hub.web.measures import router as measures_router
from hub.web.ops import router as ops_router
from hub.web.pages import NobodyHere, PageRoute, check_form, count_in, session_of, view_of
from hub.web.prompts import router as prompt_router
from hub.web.session import Session
from hub.web.view import STATIC, View

if TYPE_CHECKING:
    from hub.imaging.ecg_svg import Layout

VISITS = 12
MOST_VISITS = 60  # on one page: beyond, the newest give way to older ones
MOST_STUDIES = 12
ENCOUNTER_KINDS = tuple(dict.fromkeys(ENCOUNTER_CLASS.values()))
MOST_RESULTS = 200  # of one test on one page
IMAGE_WIDTH = 640


router = APIRouter(route_class=PageRoute, include_in_schema=False)


def install(app: FastAPI) -> None:
    """Pages and their static files into the hub's application; an address that nothing serves gets a page too."""
    for part in (login_router, access_router, router, ops_router, prompt_router, measures_router):
        app.include_router(part)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    unserved = app.router.default

    async def nowhere(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] != "http" or path == "/fhir" or path.startswith("/fhir/"):
            await unserved(scope, receive, send)
            return
        await view_of(Request(scope, receive)).message("nowhere", status=404)(scope, receive, send)

    app.router.default = nowhere


# -- search


@router.get("/p")
async def search_form(request: Request) -> Response:
    view = View(request, session_of(request))
    return view.page("search.html", {"q": "", "state": "empty", "hits": (), "many": False})


@router.post("/p")
async def search(request: Request, q: Annotated[str, Form()] = "", csrf: Annotated[str, Form()] = "") -> Response:
    session = session_of(request)
    check_form(session, csrf)
    view = View(request, session)
    text = q.strip()[:64]
    state, hits = await _search(view, session, text)
    values = {"q": text, "state": state, "hits": hits.people, "many": hits.more}
    return view.page("_hits.html" if view.fragment else "search.html", values)


async def _search(view: View, session: Session, text: str) -> tuple[str, Hits]:
    nothing = Hits((), more=False)
    if len(text) < SHORTEST:
        return ("short" if text else "empty"), nothing
    try:
        return "found", await find_people(view.hub.door, session.access, text, view.today)
    except NotAllowed:
        return "denied", nothing


# -- a person


@router.get("/p/{id}")
async def person_page(request: Request, id: str) -> Response:
    view, reader, person, allergies = await _opened(request, id)
    count = count_in(request.query_params.get("visits", ""), VISITS)
    kind, site = request.query_params.get("kind", ""), request.query_params.get("site", "")
    record = await latest(reader, count, kind, site)
    patients = await reader.patients()

    def told() -> dict[str, Any]:
        """Beside the event loop: of a long record it takes as long as many short requests."""
        shown = story(record, count, kind, site, most=MOST_VISITS)
        pictures = studies(record.of("ImagingStudy"), record.of("DiagnosticReport"), view.hub.blobs, most=MOST_STUDIES)
        return {
            "problems": problems(record),
            "medicines": medicines(record),
            "grid": labs.grid(record.of("Observation"), view.item_order),
            "studies": pictures,
            "more_studies": max(0, len(record.valid("ImagingStudy")) - len(pictures)),
            "front": front_of(person, patients, record),
            "visits": shown.visits,
            "passed": shown.passed,
            "earlier": count + VISITS if shown.more else 0,
        }

    values = {
        **_banner(person, allergies),
        **_recognition_choices(request, view, "", "outpatient", reader.access.facility),
        **await asyncio.to_thread(told),
        "withheld": record.withheld,
        "chosen_kind": kind,
        "chosen_site": site,
        "kinds": (*ENCOUNTER_KINDS, *KIND_ORDER),
        "emergency_hours": view.hub.county.policy.break_glass_hours,
    }
    return view.page("person.html", values)


@router.get("/p/{id}/summary.pdf")
async def summary_pdf(request: Request, id: str) -> Response:
    """The patient summary on paper, in the page's language."""
    view, reader, _, _ = await _opened(request, id)
    hub, now = view.hub, view.hub.clock()
    language: Language = "en" if view.language == "en" else "zh-CN"
    gathered = await reader.reading(lambda reads: gather(reads, id, now, hub.county.zone), "$summary")
    content = await asyncio.to_thread(
        pdf, gathered, view.facility, language, made=view.now.astimezone(view.zone).strftime("%Y-%m-%d %H:%M"),
        printed_by=reader.access.name, font_file=hub.county.records.print_font,
    )  # fmt: skip
    headers = {"content-disposition": f'inline; filename="summary-{id[:12]}.pdf"', "cache-control": "no-store"}
    return Response(content, media_type="application/pdf", headers=headers)


@router.get("/p/{id}/labs")
async def trend(request: Request, id: str, code: str = "") -> Response:
    view, reader, person, allergies = await _opened(request, id)
    test = labs.test_of(await reader.search("Observation", labs.criteria_of(code)), code)
    shown = replace(test, results=test.results[:MOST_RESULTS]) if test else None
    name = view.item(shown)[0] if shown else ""
    drawings = [(series, _drawing(view, name, series), _legend(series)) for series in labs.series_of(shown)] if shown else []
    values = {
        **_banner(person, allergies),
        "test": shown,
        "drawings": drawings,
        "cut": bool(test and len(test.results) > MOST_RESULTS),
    }
    return view.page("_trend.html" if view.fragment else "trend.html", values)


def _drawing(view: View, name: str, series: labs.Series) -> object:
    return trend_svg(series, view.facility, title=view.t("trend.series", name=name, unit=series.unit))


def _legend(series: labs.Series) -> list[tuple[object, str]]:
    return [(shape_svg(number), code) for number, code in enumerate(facilities_of(series))]


@router.get("/p/{id}/recognition")
async def recognition(request: Request, id: str, item: str = "", context: str = "outpatient", orderer: str = "") -> Response:
    view, reader, person, allergies = await _opened(request, id)
    service = recognition_of(request.app.state)
    await service.look()
    asked = reader.access.facility or orderer
    values: dict[str, Any] = {"person": person, "answers": (), "reports": {}, "problem": ""}
    try:
        found = service.facts.held.catalogue_of(asked).item(item)
        question = Question((f"urn:hub:catalogue:item|{item}",) if found else (), context, asked)
        values["answers"] = await service.answers(reader, question, view.now)
        values["reports"] = await _reports_on(reader, values["answers"])
    except Invalid:
        values["problem"] = view.t("recognition.choose") if asked else view.t("recognition.facility")
    except NotAllowed:
        values["problem"] = view.t("error.forbidden")
    if view.fragment:
        return view.page("_recognition.html", values)
    return view.page(
        "recognition.html", {**_banner(person, allergies), **_recognition_choices(request, view, item, context, asked), **values}
    )


async def _reports_on(reader: Reader, answers: Iterable[Answer]) -> dict[str, str]:
    """Reference of each candidate → `Type/id` of the page that shows it whole."""
    candidates = {judged.candidate.reference for answer in answers for judged in answer.candidates}
    pages = {reference: reference for reference in candidates if reference.startswith("ImagingStudy/")}
    if len(pages) < len(candidates):
        for report in (await record_of(reader, ("DiagnosticReport",))).of("DiagnosticReport"):
            held = {f"Observation/{reference_id(result, 'Observation')}" for result in report.resource.get("result", ())}
            pages.update(dict.fromkeys(held & candidates, report.reference))
    return pages


@router.get("/p/{id}/doc/{type}/{document_id}")
async def document(request: Request, id: str, type: str, document_id: str) -> Response:
    view, reader, person, allergies = await _opened(request, id)
    found = await document_of(reader, type, document_id, view.hub.blobs)
    return view.page("document.html", {**_banner(person, allergies), "document": found})


@router.get("/p/{id}/doc/{type}/{document_id}/original/{binary}")
async def original(request: Request, id: str, type: str, document_id: str, binary: str) -> Response:
    """The file as it was received, to be kept and never to be run: a download, under a type that no browser acts on."""
    view, reader, _, _ = await _opened(request, id)
    found = await document_of(reader, type, document_id, view.hub.blobs)
    file = next((file for file in found.originals if file.binary == binary), None)
    if file is None:
        raise NotFound("no such file of this document")
    await reader.read_one("Binary", binary)
    content = await asyncio.to_thread(view.hub.blobs.read, binary)
    download = {
        "content-disposition": f'attachment; filename="{document_id[:12]}.{file.suffix}"',
        "content-security-policy": "default-src 'none'; sandbox",
    }
    return Response(content, media_type=file.content_type, headers=download)


@router.get("/p/{id}/image/{sha}.jpg")
async def image(request: Request, id: str, sha: str) -> Response:
    content = await _stored_object(request, id, sha, ecg=False)
    hub = request.app.state.hub
    jpeg = await asyncio.to_thread(key_image, content, width=IMAGE_WIDTH, cache=hub.data / "key-images", sha256=sha)
    return Response(jpeg, media_type="image/jpeg", headers={"cache-control": "private, max-age=600"})


@router.get("/p/{id}/ecg/{sha}.svg")
async def ecg(request: Request, id: str, sha: str, layout: str = "") -> Response:
    """All twelve leads and a rhythm strip on millimetre paper; `layout=strip` is the rhythm strip alone."""
    content = await _stored_object(request, id, sha, ecg=True)
    drawing = await asyncio.to_thread(_tracing, content, "strip" if layout == "strip" else "3x4+1")
    return Response(drawing, media_type="image/svg+xml", headers={"cache-control": "private, max-age=600"})


def _tracing(content: bytes, layout: Layout) -> str:
    """What it takes to draw is loaded with the first recording: it would be a fourth of what the hub loads to start."""
    from hub.imaging.ecg_svg import ecg_svg
    from mappers.ecg.dicom_waveform import ecg_from_dicom
    from mappers.ecg.model import EcgError

    try:
        return ecg_svg(ecg_from_dicom(content), layout=layout)
    except EcgError:
        raise NotFound("this recording cannot be drawn") from None


async def _stored_object(request: Request, id: str, sha: str, *, ecg: bool) -> bytes:
    """Only through a study of this person that the caller may see: knowing a hash opens nothing."""
    session = session_of(request)
    hub = request.app.state.hub
    reader = Reader(hub.door, session.access, id)
    for study in await reader.search("ImagingStudy"):
        if sha in stored_objects(study.resource) and ("ECG" in modalities(study.resource)) == ecg:
            content: bytes = await asyncio.to_thread(hub.blobs.read, sha)
            return content
    raise NobodyHere


# -- what the pages share


async def _opened(request: Request, id: str) -> tuple[View, Reader, Person, Allergies]:
    """The person behind an address, or the page that says why there is nothing to see; a refusal is audited."""
    session = session_of(request)
    view = View(request, session)
    reader = Reader(view.hub.door, session.access, id)
    person = None
    with contextlib.suppress(NotFound, Gone):
        person = await person_of(reader, view.today)
    if person is None:
        await view.hub.door.note(session.access, action="R", interaction="page", outcome=REFUSED)
        types = view.hub.door.reads(session.access).scope.types
        if types is not None and "Patient" not in types:
            raise NotAllowed("this role may not read Patient")  # whoever is asked for: it tells nothing of anybody
        raise NobodyHere
    return view, reader, person, await allergies_of(reader)


def _banner(person: Person, allergies: Allergies) -> dict[str, Any]:
    return {"person": person, "allergies": allergies}


def _recognition_choices(request: Request, view: View, item: str, context: str, orderer: str) -> dict[str, Any]:
    held = recognition_of(request.app.state).facts.held
    catalogue = held.catalogue_of(orderer) if orderer else held.usual
    groups: dict[str, list[Any]] = {}
    for one in catalogue.items:
        groups.setdefault({"lab": "labs"}.get(one.category, one.category), []).append(one)
    return {
        "catalogue_items": groups,
        "contexts": catalogue.catalogue.contexts,
        "facilities": view.hub.county.facilities,
        "chosen": {"item": item, "context": context, "orderer": orderer},
    }
