"""The person's story by visit: each encounter with what was ordered, found, written and prescribed in it, from every facility.

What names no encounter stands under its facility and day. Nothing is guessed into a visit. All records are sorted into visits,
which takes their dates and references only; what is said of them is made for the visits that are shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hub.records.dates import date_of
from hub.records.events import KIND_ORDER, Beside, Event, document_keys, event_of, kind_of, orders_of
from hub.records.reader import Found, Reader, code_text, reference_id
from hub.records.studies import reports_on

ENCOUNTER_CLASS = {
    "AMB": "outpatient",
    "EMER": "emergency",
    "IMP": "inpatient",
    "ACUTE": "inpatient",
    "NONAC": "inpatient",
    "HH": "home",
}

TYPES = (
    "Encounter",
    "DiagnosticReport",
    "Observation",
    "ImagingStudy",
    "DocumentReference",
    "Composition",
    "ServiceRequest",
    "MedicationRequest",
    "Condition",
    "Immunization",
    "Procedure",
    "EpisodeOfCare",
)
EVENTS = tuple(type for type in TYPES if type not in ("Encounter", "EpisodeOfCare"))

RESULTS_A_VISIT = 50  # that are read for a page of visits before all are
WITHOUT_RESULTS = frozenset(KIND_ORDER) - {"report", "result"}
"""Kinds of which old results say nothing."""
WITHDRAWN = frozenset({"entered-in-error", "cancelled", "unknown"})


@dataclass(frozen=True, slots=True)
class Visit:
    """`id` is the Encounter's; "" for a day on which a facility recorded something outside any encounter."""

    id: str
    facility: str
    kind: str  # outpatient | emergency | inpatient | home | other
    start: str
    end: str
    status: str
    reason: str
    events: tuple[Event, ...]

    @property
    def day(self) -> str:
        return self.start[:10]


@dataclass(frozen=True, slots=True)
class Stay:
    """A visit before anything is said of its records; `encounter` is None for a day outside any."""

    encounter: Found | None
    facility: str
    start: str
    records: tuple[Found, ...]

    @property
    def kind(self) -> str:
        return encounter_kind(self.encounter) if self.encounter else "other"


@dataclass(frozen=True, slots=True)
class Record:
    """Everything a page shows of one person, read once. `withheld`: types that the caller's role may not see.

    `since`: the day before which not all was read; "" when all was.
    """

    by_type: Mapping[str, tuple[Found, ...]]
    withheld: tuple[str, ...]
    since: str = ""

    def of(self, type: str) -> tuple[Found, ...]:
        return self.by_type.get(type, ())

    def valid(self, type: str) -> list[Found]:
        return [found for found in self.of(type) if found.resource.get("status") not in WITHDRAWN]


@dataclass(frozen=True, slots=True)
class Story:
    """The visits that were asked for; `passed` newer ones were not, and `more`: there are older ones."""

    visits: tuple[Visit, ...]
    passed: int
    more: bool


async def record_of(reader: Reader, types: Iterable[str] = TYPES, newest: Mapping[str, int] | None = None) -> Record:
    """Read as one interaction: the audit shows one page, not nine searches. `newest`: of a type, how many are enough."""
    names = tuple(types)
    results = await reader.search_all(names, newest)
    read = {name: result for name, result in results.items() if result is not None}
    cut = [date_of(read[name][-1])[:10] for name, most in (newest or {}).items() if len(read.get(name, ())) >= most]
    return Record(read, tuple(name for name in names if name not in read), max(cut, default=""))


async def latest(reader: Reader, count: int, kind: str = "", facility: str = "") -> Record:
    """Enough of the record for its newest `count` visits with all that belongs to them; without the results of years ago."""
    enough = RESULTS_A_VISIT * count
    record = await record_of(reader, newest={"Observation": enough})
    if not record.since or kind in WITHOUT_RESULTS:
        return record
    if not kind and not facility and _newer(record, count):
        return record
    results = (await record_of(reader, ("Observation",))).of("Observation")
    return Record({**record.by_type, "Observation": results}, record.withheld)


def _newer(record: Record, count: int) -> bool:
    """More than `count` visits are newer than what was left out; encounters alone mostly tell."""
    if sum(date_of(encounter)[:10] > record.since for encounter in record.valid("Encounter")) > count:
        return True
    return sum(stay.start[:10] > record.since for stay in stays(record)) > count


def encounter_kind(encounter: Found) -> str:
    return ENCOUNTER_CLASS.get(str(encounter.resource.get("class", {}).get("code", "")), "other")


def story(record: Record, count: int, kind: str = "", facility: str = "", *, most: int = 0) -> Story:
    """The newest `count` visits of one kind, or with events of one, of one facility; each with the events that were asked for.

    `most` are told at most, the oldest of them; 0: all.
    """
    chosen = [stay for stay in stays(record) if facility in ("", stay.facility) and _asked_for(stay, kind)]
    beside = Beside(by_id(record.valid("Observation")), by_id(record.of("ServiceRequest")))
    passed = max(0, min(count, len(chosen)) - most) if most else 0
    return Story(tuple(_visit(stay, kind, beside) for stay in chosen[passed:count]), passed, len(chosen) > count)


def _asked_for(stay: Stay, kind: str) -> bool:
    return kind in ("", stay.kind) or any(kind_of(found) == kind for found in stay.records)


def stays(record: Record) -> list[Stay]:
    """Newest first."""
    encounters = by_id(record.valid("Encounter"))
    groups: dict[tuple[str, str, str], list[Found]] = {("", e.facility, e.id): [] for e in encounters.values()}
    orders = by_id(record.of("ServiceRequest"))
    for found in _told_by_themselves(record):
        encounter = encounters.get(_encounter(found, orders))
        key = ("", encounter.facility, encounter.id) if encounter else (date_of(found)[:10], found.facility, "")
        groups.setdefault(key, []).append(found)
    made = [_stay(encounters.get(id), facility, day, found) for (day, facility, id), found in groups.items()]
    return sorted(made, key=lambda stay: (stay.start or "0", stay.facility), reverse=True)


def _stay(encounter: Found | None, facility: str, day: str, found: list[Found]) -> Stay:
    start = day
    if encounter is not None:
        start = date_of(encounter) or min(filter(None, map(date_of, found)), default="")
    return Stay(encounter, facility, start, tuple(found))


def _visit(stay: Stay, kind: str, beside: Beside) -> Visit:
    ordered = _in_order(event_of(found, beside) for found in stay.records)
    shown = ordered if kind in ("", stay.kind) else tuple(event for event in ordered if event.kind == kind)
    if stay.encounter is None:
        return Visit("", stay.facility, "other", stay.start, "", "", "", shown)
    resource = stay.encounter.resource
    reasons = [code_text(r) for r in resource.get("reasonCode", ())] or [e.title for e in ordered if e.kind == "diagnosis"]
    return Visit(
        stay.encounter.id,
        stay.facility,
        stay.kind,
        stay.start,
        str(resource.get("period", {}).get("end", "")),
        str(resource.get("status", "")),
        "、".join(dict.fromkeys(filter(None, reasons))),
        shown,
    )


def _in_order(found: Iterable[Event]) -> tuple[Event, ...]:
    """By kind, then newest first; a diagnosis that two systems of the facility state, once."""
    newest = sorted(found, key=lambda e: (e.at, e.id), reverse=True)
    said: dict[tuple[str, str], Event] = {}
    for event in newest:
        said.setdefault((event.kind, event.title if event.kind == "diagnosis" else event.id), event)
    return tuple(sorted(said.values(), key=lambda e: KIND_ORDER.index(e.kind)))


def _told_by_themselves(record: Record) -> Iterable[Found]:
    """Every record with a line of its own.

    Results, images and the order of a report stand in it: an order of its own is one without a report yet.
    """
    reports = record.valid("DiagnosticReport")
    told = _told(record, reports)
    for type in EVENTS:
        yield from (found for found in record.valid(type) if found.reference not in told)


def _told(record: Record, reports: Sequence[Found]) -> set[str]:
    """What another record says already: the report on a study, a result or an order, the Composition read out of a file."""
    told = {f"ServiceRequest/{id}" for report in reports for id in orders_of(report)}
    told |= {f"Observation/{reference_id(r, 'Observation')}" for report in reports for r in report.resource.get("result", ())}
    told |= {f"ImagingStudy/{study}" for study in reports_on(record.of("ImagingStudy"), reports)}
    written = {key for composition in record.of("Composition") for key in document_keys(composition)}
    return told | {document.reference for document in record.of("DocumentReference") if written & document_keys(document)}


def _encounter(found: Found, orders: Mapping[str, Found]) -> str:
    """The one it names, else the one in which it was ordered."""
    if named := reference_id(found.resource.get("encounter"), "Encounter"):
        return named
    context = found.resource.get("context")
    stated = context.get("encounter", ()) if isinstance(context, dict) else ()
    ordered = (orders[id].resource.get("encounter") for id in orders_of(found) if id in orders)
    return next(filter(None, (reference_id(each, "Encounter") for each in (*stated, *ordered))), "")


def by_id(found: Iterable[Found]) -> dict[str, Found]:
    return {each.id: each for each in found}
