"""The orders of a period, as they were asked or placed: prompts (Tasks) and ServiceRequests, each order once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta, tzinfo

from hub.recognition.cds.request import class_context, draft_of
from hub.recognition.prompts import CODE, Prompt
from hub.recognition.service import CATALOGUE_SYSTEM
from hub.recognition.times import Moment, moment_of
from hub.records.reader import Found, found, reference_id
from hub.search.folding import fold_code
from hub.search.query import Criterion, DateValue, SearchQuery, Sort, TokenValue
from hub.security.reads import Reads
from hub.store.port import Key
from profiles.names import HUB_TAG

PAGE = 200
WITHDRAWN = frozenset({"revoked", "entered-in-error", "draft", "unknown"})
PLANNED = frozenset({"proposal", "plan", "directive"})


@dataclass(frozen=True, slots=True)
class PastOrder:
    """`codes`: `[system|]code` of one and the same test, the orderer's own first. `prompted`: it was asked of the hub then."""

    patient: str
    orderer: str
    context: str
    at: datetime
    day: date
    codes: tuple[str, ...]
    prompted: bool


def past_orders(reads: Reads, first: date, last: date, zone: tzinfo) -> Iterator[list[PastOrder]]:
    """Page after page, `first` to `last` in `zone`, both included; prompts before placed orders."""
    prompts = Criterion("code", "token", (TokenValue(HUB_TAG, fold_code(CODE)),))
    for page in _pages(reads, "Task", "authored-on", (prompts,), first, last, zone):
        yield [order for each in page if (order := _prompted(each, zone)) is not None]
    for page in _pages(reads, "ServiceRequest", "authored", (), first, last, zone):
        classes = _contexts(reads, page)
        yield [order for each in page if (order := _placed(each, classes, zone)) is not None]


def how_many(reads: Reads, first: date, last: date, zone: tzinfo) -> int:
    """At most: what was withdrawn, and what is both, is in it."""
    prompts = Criterion("code", "token", (TokenValue(HUB_TAG, fold_code(CODE)),))
    queries = (
        _query("Task", "authored-on", (prompts,), first, last, zone, count=0),
        _query("ServiceRequest", "authored", (), first, last, zone, count=0),
    )
    return sum(reads.search(replace(query, total="accurate")).total or 0 for query in queries)


def _pages(
    reads: Reads, type: str, parameter: str, criteria: tuple[Criterion, ...], first: date, last: date, zone: tzinfo
) -> Iterator[list[Found]]:
    query = _query(type, parameter, criteria, first, last, zone, count=PAGE)
    while True:
        page = reads.search(query)
        yield [found(version) for version in page.matches]
        if page.next is None:
            return
        query = replace(query, after=page.next)


def _query(
    type: str, parameter: str, criteria: tuple[Criterion, ...], first: date, last: date, zone: tzinfo, *, count: int
) -> SearchQuery:
    begin, end = (int(datetime.combine(day, time.min, zone).timestamp() * 1000) for day in (first, last + timedelta(days=1)))
    limits = (DateValue("ge", begin, begin + 1), DateValue("lt", end, end + 1))
    bounds = (Criterion(parameter, "date", (limit,)) for limit in limits)
    return SearchQuery(type, (*criteria, *bounds), (Sort(parameter, "date"),), count=count)


def _prompted(task: Found, zone: tzinfo) -> PastOrder | None:
    prompt, moment = Prompt(task.resource), _authored(task, zone)
    if moment is None or not prompt.item:
        return None
    codes = (f"{CATALOGUE_SYSTEM}|{prompt.item}",)
    return PastOrder(prompt.patient, prompt.orderer, prompt.context, moment.begins(zone), moment.day, codes, prompted=True)


def _placed(order: Found, classes: dict[str, str], zone: tzinfo) -> PastOrder | None:
    draft, moment = draft_of(order.resource), _authored(order, zone)
    patient = reference_id(order.resource.get("subject"), "Patient")
    if draft is None or moment is None or not patient or order.resource.get("status") in WITHDRAWN:
        return None
    if order.resource.get("intent") in PLANNED:
        return None
    visit = classes.get(reference_id(order.resource.get("encounter"), "Encounter"), "")
    context = "emergency" if draft.urgent else draft.context or visit or "outpatient"
    return PastOrder(patient, order.facility, context, moment.begins(zone), moment.day, draft.codes, prompted=False)


def _authored(resource: Found, zone: tzinfo) -> Moment | None:
    return moment_of(str(resource.resource.get("authoredOn", "")), zone)


def _contexts(reads: Reads, orders: list[Found]) -> dict[str, str]:
    """Encounter → the setting that its class means."""
    ids = {id for order in orders if (id := reference_id(order.resource.get("encounter"), "Encounter"))}
    versions = reads.read_many([Key("Encounter", id) for id in sorted(ids)]) if ids else []
    return {version.id: class_context(found(version).resource) for version in versions}
