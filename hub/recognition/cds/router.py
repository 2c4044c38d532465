"""`/cds-services`: discovery, the two order hooks, feedback. https://cds-hooks.hl7.org/2.0/"""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse

from hub.api.negotiation import body_of
from hub.errors import Invalid, NotFound
from hub.recognition.cds.cards import Card, Cards
from hub.recognition.cds.discovery import HOOKS, services
from hub.recognition.cds.feedback import outcomes, take
from hub.recognition.cds.request import HookRequest, class_context, hook_request
from hub.recognition.http import BODY_BYTES, Desk, JsonRoute, language_of
from hub.recognition.ordering import Ordering
from hub.recognition.persons import reader_of
from hub.recognition.router import facility_named
from hub.recognition.tickets import ticket
from hub.records.reader import found
from hub.security.access import Access
from hub.store.port import Key
from mappers.identity_keys import resource_id

router = APIRouter(route_class=JsonRoute, include_in_schema=False)


@router.options("/cds-services")
@router.options("/cds-services/{service}")
@router.options("/cds-services/{service}/feedback")
async def preflight() -> Response:
    return Response(status_code=204)


@router.get("/cds-services")
async def discovery() -> Response:
    """Free without a token, as the specification has it."""
    return JSONResponse(services())


@router.post("/cds-services/{service}")
async def hook(request: Request, service: str) -> Response:
    desk = Desk.of(request)
    cards = await desk.order_time.in_time(_cards(request, desk, service))
    return JSONResponse({"cards": cards or []})


async def _cards(request: Request, desk: Desk, service: str) -> list[Card]:
    access = await desk.callers.access(request, desk.hub.clock())
    if service not in HOOKS:
        raise NotFound("no such service: GET /cds-services names them")
    asked = hook_request(await body_of(request, BODY_BYTES), HOOKS[service])
    ordering = await _ordering(desk, access, asked)
    if ordering is None:
        return []
    answers = await desk.order_time.answers(ordering)
    address = desk.address(request)
    cards = Cards(
        county=desk.hub.county,
        language=language_of(request),
        address=address,
        patient=ordering.reader.patient,
        instance=asked.hook_instance,
        prompt_page=lambda uuid: f"{address}/embed/prompt/{uuid}?ticket={ticket(desk.hub, access, uuid)}",
    )
    return cards.of(answers)


async def _ordering(desk: Desk, access: Access, asked: HookRequest) -> Ordering | None:
    """None if nothing can be answered: no test is ordered, or it is nobody that this caller may see."""
    if not asked.drafts:
        return None
    encounter = await _encounter(desk, access, asked)
    orderer = access.facility or _facility(desk, asked.provider or encounter[1])
    reader = await reader_of(desk.hub.door, access, orderer, asked.patient_id, asked.identifiers)
    if reader is None:
        return None
    context = asked.context or encounter[0] or "outpatient"
    return Ordering(reader, asked.drafts, context, orderer, visit=asked.encounter_id, doctor=asked.user)


async def _encounter(desk: Desk, access: Access, asked: HookRequest) -> tuple[str, str]:
    """(setting, id of the Organization that provides it) of the Encounter that the hub knows; "" where it knows none."""
    if asked.context or not asked.encounter_id:
        return "", ""
    ids = {asked.encounter_id, resource_id("Encounter", access.facility, asked.encounter_id)}
    for version in await desk.hub.door.read_many(access, [Key("Encounter", id) for id in sorted(ids)]):
        resource = found(version).resource
        provider = str((resource.get("serviceProvider") or {}).get("reference", ""))
        return class_context(resource), provider.rpartition("/")[2]
    return "", ""


def _facility(desk: Desk, organization: str) -> str:
    if not organization:
        raise Invalid("this token belongs to no facility: the Encounter's serviceProvider must name who orders")
    return facility_named(organization, desk.hub.county)


@router.post("/cds-services/{service}/feedback")
async def feedback(request: Request, service: str) -> Response:
    desk = Desk.of(request)
    access = await desk.callers.access(request, desk.hub.clock())
    if service not in HOOKS:
        raise NotFound("no such service: GET /cds-services names them")
    await take(desk.decisions, access, outcomes(await body_of(request, BODY_BYTES)))
    return Response(status_code=200)
