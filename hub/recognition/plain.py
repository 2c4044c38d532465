"""Recognition for a HIS that speaks neither FHIR nor CDS Hooks: one JSON object in, one out.

POST /recognition/ask      {"patient": "0012345", "id_number": "…", "items": ["K", "肌酐"], "context": "outpatient", …}
POST /recognition/decide   {"prompt": "…", "decision": "recognise"}   or   {…, "decision": "repeat", "reason": "R02", "text": ""}
GET  /recognition/prompt/{uuid}: how it stands now
docs/guides/recognition.md shows each with curl.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse

from hub.api.negotiation import body_of
from hub.errors import Invalid
from hub.recognition import messages, reasons
from hub.recognition.cds.cards import Cards
from hub.recognition.decisions import Reviewed, citation
from hub.recognition.http import BODY_BYTES, Desk, JsonRoute, language_of
from hub.recognition.model import Judged
from hub.recognition.ordering import Answered, Draft, Ordering
from hub.recognition.persons import reader_of
from hub.recognition.router import facility_of
from hub.recognition.tickets import ticket
from hub.security.access import Access
from profiles.names import ID_CARD

router = APIRouter(route_class=JsonRoute, include_in_schema=False)

Json = dict[str, Any]
LONGEST = 200


@router.options("/recognition/{rest:path}")
async def preflight() -> Response:
    return Response(status_code=204)


@router.post("/recognition/ask")
async def ask(request: Request) -> Response:
    desk = Desk.of(request)
    told = await desk.order_time.in_time(_asked(request, desk))
    return JSONResponse({"late": True, "answers": []} if told is None else told)


async def _asked(request: Request, desk: Desk) -> Json:
    access = await desk.callers.access(request, desk.hub.clock())
    stated = await _body(request)
    items = stated.get("items")
    if not isinstance(items, list) or not items or not all(isinstance(each, str) and each.strip() for each in items):
        raise Invalid("items must be a list of codes: your own, [system|]code, or the catalogue's")
    orderer = facility_of(_text(stated, "orderer"), desk.hub.county, access)
    numbers = [(ID_CARD, _text(stated, "id_number"))]
    reader = await reader_of(desk.hub.door, access, orderer, _text(stated, "patient"), numbers)
    if reader is None:
        return {"known": False, "answers": []}
    drafts = tuple(Draft("", (each.strip(),), urgent=stated.get("urgent") is True) for each in dict.fromkeys(items))
    context = _text(stated, "context") or "outpatient"
    ordering = Ordering(reader, drafts, context, orderer, visit=_text(stated, "visit"), doctor=_text(stated, "doctor"))
    found = await desk.order_time.answers(ordering)
    cards = _cards(request, desk, access, reader.patient)
    return {
        "known": True,
        "late": False,
        "answers": [_answer(each, cards) for each in found],
        "reasons": [{"code": code, "display": display} for code, display in reasons.reasons(cards.language).items()],
    }


@router.post("/recognition/decide")
async def decide(request: Request) -> Response:
    desk = Desk.of(request)
    access = await desk.callers.access(request, desk.hub.clock())
    stated = await _body(request)
    uuid, doctor, decision = _text(stated, "prompt"), _text(stated, "doctor"), _text(stated, "decision")
    if decision == "recognise":
        reviewed, saved = await desk.decisions.recognise(access, uuid, doctor)
        cards = _cards(request, desk, access, reviewed.prompt.patient)
        return JSONResponse(
            {"recorded": True, **_standing(reviewed, cards), "saved_fen": saved, "citation": _citation(reviewed, cards)}
        )
    if decision == "repeat":
        await desk.decisions.refuse(access, uuid, _text(stated, "reason"), _text(stated, "text"), doctor)
        return JSONResponse({"recorded": True, "saved_fen": 0})
    raise Invalid("decision must be recognise or repeat")


@router.get("/recognition/prompt/{uuid}")
async def prompt(request: Request, uuid: str) -> Response:
    desk = Desk.of(request)
    access = await desk.callers.access(request, desk.hub.clock())
    reviewed = await desk.decisions.review(access, uuid)
    cards = _cards(request, desk, access, reviewed.prompt.patient)
    told = {"decision": reviewed.prompt.decision, "reason": reviewed.prompt.reason, "saved_fen": reviewed.prompt.saved}
    return JSONResponse({"prompt": uuid, "item": reviewed.prompt.item, **told, **_standing(reviewed, cards)})


def _standing(reviewed: Reviewed, cards: Cards) -> Json:
    """Whether the result still counts, and if not, why."""
    failures = reviewed.judged.failures if reviewed.judged else ()
    why = [messages.detail(step, cards.language) for step in failures]
    return {"counts": reviewed.counts, "why_not": why or ([] if reviewed.counts else [messages.gone(cards.language)])}


def _citation(reviewed: Reviewed, cards: Cards) -> str:
    judged = reviewed.judged
    if judged is None:
        return ""
    return citation(reviewed, cards.facility(judged.candidate.facility), cards.day(judged), cards.language)


def _cards(request: Request, desk: Desk, access: Access, patient: str) -> Cards:
    """The words of the cards serve the plain answer too."""
    address = desk.address(request)
    page = lambda uuid: f"{address}/embed/prompt/{uuid}?ticket={ticket(desk.hub, access, uuid)}"  # noqa: E731
    return Cards(desk.hub.county, language_of(request), address, patient, "", page)


def _answer(each: Answered, cards: Cards) -> Json:
    answer = each.answer
    told: Json = {
        "asked": each.draft.codes[0],
        "item": answer.item.code if answer.item else "",
        "name": answer.item.name(cards.language) if answer.item else "",
        "verdict": answer.verdict,
        "reason": messages.reason(answer, cards.language),
        "prompt": each.uuid,
        "decided": each.decided,
        "results": [_result(judged, cards) for judged in answer.candidates],
    }
    return {**told, "page": cards.prompt_page(each.uuid)} if each.uuid else told


def _result(judged: Judged, cards: Cards) -> Json:
    candidate = judged.candidate
    page = candidate.report or candidate.reference
    return {
        "verdict": judged.verdict,
        "value": candidate.display,
        "conclusion": candidate.conclusion,
        "performed": judged.performed,
        "age_days": judged.age_days,
        "facility": candidate.facility,
        "facility_name": cards.facility(candidate.facility),
        "mark_claimed": judged.mark_claimed,
        "mark_verified": list(judged.mark_verified),
        "eqa": judged.eqa,
        "eqa_now": judged.eqa_now,
        "duty": judged.duty,
        "report": "" if page.startswith("Observation/") else f"{cards.address}/p/{cards.patient}/doc/{page}",
        "why_not": [messages.detail(step, cards.language) for step in judged.failures],
    }


async def _body(request: Request) -> Mapping[str, Any]:
    try:
        stated = json.loads(await body_of(request, BODY_BYTES))
    except (ValueError, RecursionError):
        raise Invalid("the body is not JSON") from None
    if not isinstance(stated, dict):
        raise Invalid("the body must be one JSON object")
    return stated


def _text(stated: Mapping[str, Any], name: str) -> str:
    """ "" for one that is left out. Raise Invalid for anything but a text or a number."""
    value = stated.get(name, "")
    if value is None or isinstance(value, bool) or not isinstance(value, str | int):
        raise Invalid(f"{name} must be a text")
    return str(value).strip()[:LONGEST]
