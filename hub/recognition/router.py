"""Recognition as FHIR operations. https://hl7.org/fhir/R4/operations.html

GET Patient/{id}/$recognizable-results: what of a person's earlier results need not be repeated, and why. `code` (`[system|]code`,
repeatable or comma-separated), `context` (a setting of the catalogue), `orderer` (`Organization/CODE`; a facility's token may leave
it out). GET Measure/{id}/$evaluate-measure: what recognition brought, https://hl7.org/fhir/R4/measure-operation-evaluate-measure.html
"""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from hub.api.auth import access_of
from hub.errors import Invalid, NotFound
from hub.fhir_json import dump
from hub.recognition.facts import recognition_of
from hub.recognition.measures.counting import counted, facility_seen
from hub.recognition.measures.definitions import BY_ID
from hub.recognition.measures.report import measure_report
from hub.recognition.parameters import parameters
from hub.recognition.service import Question
from hub.records.reader import Reader
from hub.security.access import Access
from hub.settings import County
from mappers.identity_keys import organization_id

router = APIRouter()

MOST_CODES = 100
LONGEST_PERIOD = timedelta(days=800)


@router.get("/Patient/{id}/$recognizable-results")
async def recognizable_results(
    request: Request,
    id: str,
    access: Annotated[Access, Depends(access_of)],
    code: Annotated[list[str], Query()] = [],  # noqa: B006  FastAPI copies it
    context: str = "outpatient",
    orderer: str = "",
) -> Response:
    hub = request.app.state.hub
    question = Question(codes_of(code), context, facility_of(orderer, hub.county, access))
    service = recognition_of(request.app.state)
    await service.look()
    service.check(question)
    reader = Reader(hub.door, access, id)
    if not await reader.patients():
        raise NotFound("no Patient with this id")
    answers = await service.answers(reader, question, datetime.fromtimestamp(hub.clock() / 1000, UTC))
    language = "en" if request.headers.get("accept-language", "").lower().startswith("en") else "zh"
    return Response(dump(parameters(answers, language=language)), media_type="application/fhir+json")


@router.get("/Measure/{id}/$evaluate-measure")
async def evaluate_measure(
    request: Request,
    id: str,
    access: Annotated[Access, Depends(access_of)],
    period_start: Annotated[str, Query(alias="periodStart")] = "",
    period_end: Annotated[str, Query(alias="periodEnd")] = "",
    reporter: str = "",
) -> Response:
    hub = request.app.state.hub
    definition = BY_ID.get(id)
    if definition is None:
        raise NotFound(f"no such measure; there are {', '.join(BY_ID)}")
    own = facility_seen(access)
    facility = own or (facility_named(reporter.removeprefix("Organization/"), hub.county) if reporter else "")
    first, last = days_of(period_start, period_end)
    found = await asyncio.to_thread(counted, hub, recognition_of(request.app.state), access, first, last)
    await hub.door.note(access, action="E", interaction="operation", type="MeasureReport", query=f"{id}?{first}/{last}")
    report = measure_report(definition, found.only(facility), facility=facility, now=hub.clock())
    return Response(dump(report), media_type="application/fhir+json")


def days_of(start: str, end: str) -> tuple[date, date]:
    """Raise Invalid for what is no span of days of at most LONGEST_PERIOD."""
    try:
        first, last = date.fromisoformat(start), date.fromisoformat(end)
    except ValueError:
        raise Invalid("periodStart and periodEnd must be days: 2026-01-01") from None
    if not timedelta() <= last - first <= LONGEST_PERIOD:
        raise Invalid(f"periodEnd must lie after periodStart, and no more than {LONGEST_PERIOD.days} days")
    return first, last


def codes_of(values: list[str]) -> tuple[str, ...]:
    """Repeated and comma-separated; the same code twice is asked once."""
    codes = tuple(dict.fromkeys(code.strip() for value in values for code in value.split(",") if code.strip()))
    if len(codes) > MOST_CODES:
        raise Invalid(f"at most {MOST_CODES} codes at once")
    return codes


def facility_of(orderer: str, county: County, access: Access) -> str:
    """`Organization/CODE` → facility code; absent: the caller's own. Raise Invalid for one that is no facility here."""
    if not orderer:
        if not access.facility:
            raise Invalid("orderer is missing: Organization/ and the code of the ordering facility")
        return access.facility
    return facility_named(orderer.removeprefix("Organization/"), county)


def facility_named(wanted: str, county: County) -> str:
    """A facility's code, or the id of its Organization → the code. Raise Invalid for one that is no facility here."""
    if not county.facilities:  # no county.toml: records say whose they are, and every facility lies inside the nation alone
        return wanted
    facility = next((f.code for f in county.facilities if wanted in (f.code, organization_id(f.code))), None)
    if facility is None:
        raise Invalid("orderer must be Organization/ and the code of a facility of this county")
    return facility
