"""The person's story by visit: each encounter with what was ordered, found, written and prescribed in it, from every facility.

What names no encounter stands under its facility and day. Nothing is guessed into a visit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from typing import Any, Literal

from hub.recognition.candidates import modalities, report_of, study_title, value_text
from hub.recognition.times import moment_of
from hub.records.reader import Found, Reader, code_text, reference_id

Kind = Literal["result", "report", "image", "ecg", "document", "order", "medicine", "diagnosis", "immunization", "procedure"]

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

DATES: Mapping[str, tuple[str, ...]] = {
    "Observation": ("effectiveDateTime", "effectivePeriod", "issued"),
    "DiagnosticReport": ("effectiveDateTime", "effectivePeriod", "issued"),
    "ImagingStudy": ("started",),
    "DocumentReference": ("date", "context.period"),
    "Composition": ("date",),
    "ServiceRequest": ("authoredOn", "occurrenceDateTime"),
    "MedicationRequest": ("authoredOn",),
    "Condition": ("recordedDate", "onsetDateTime"),
    "Encounter": ("period",),
    "Immunization": ("occurrenceDateTime",),
    "Procedure": ("performedDateTime", "performedPeriod"),
}
"""Where each type says when; the first that is there."""

RESULTS_A_VISIT = 50  # that are read for a page of visits before all are
WITHDRAWN = frozenset({"entered-in-error", "cancelled", "unknown"})


@dataclass(frozen=True, slots=True)
class Event:
    kind: Kind
    type: str
    id: str
    facility: str
    at: str  # FHIR dateTime as stated; "" for none
    title: str
    detail: str = ""
    status: str = ""
    abnormal: int = 0  # results outside their range, of a report
    ordered: str = ""  # when the order that a report answers was written


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
class Record:
    """Everything a page shows of one person, read once. `withheld`: types that the caller's role may not see.

    `since`: the day before which not all was read; "" when all was.
    """

    by_type: Mapping[str, tuple[Found, ...]]
    withheld: tuple[str, ...]
    since: str = ""

    def of(self, type: str) -> tuple[Found, ...]:
        return self.by_type.get(type, ())


async def record_of(reader: Reader, types: Iterable[str] = TYPES, newest: Mapping[str, int] | None = None) -> Record:
    """Read as one interaction: the audit shows one page, not nine searches. `newest`: of a type, how many are enough."""
    names = tuple(types)
    results = await reader.search_all(names, newest)
    read = {name: result for name, result in results.items() if result is not None}
    cut = [date_of(read[name][-1])[:10] for name, most in (newest or {}).items() if len(read.get(name, ())) >= most]
    return Record(read, tuple(name for name in names if name not in read), max(cut, default=""))


async def latest(reader: Reader, count: int) -> tuple[Record, tuple[Visit, ...]]:
    """The record with its visits, at least `count` of them with all that belongs to them; without the results of years ago."""
    record = await record_of(reader, newest={"Observation": RESULTS_A_VISIT * count})
    every = visits(record)
    whole = tuple(visit for visit in every if visit.day > record.since)
    if not record.since or len(whole) > count:
        return record, whole if record.since else every
    record = await record_of(reader)
    return record, visits(record)


def visits(record: Record) -> tuple[Visit, ...]:
    """Newest first."""
    encounters = {e.id: e for e in record.of("Encounter") if e.resource.get("status") not in WITHDRAWN}
    groups: dict[tuple[str, str, str], list[Event]] = {("", e.facility, e.id): [] for e in encounters.values()}
    for event, encounter in events(record):
        key = ("", event.facility, encounter) if encounter in encounters else (event.at[:10], event.facility, "")
        if key[2]:
            key = ("", encounters[encounter].facility, encounter)
        groups.setdefault(key, []).append(event)
    made = [_visit(encounters.get(id), facility, day, found) for (day, facility, id), found in groups.items()]
    return tuple(sorted(made, key=lambda v: (v.start or "0", v.facility), reverse=True))


def filtered(every: Iterable[Visit], kind: str, facility: str) -> tuple[Visit, ...]:
    """Visits of one kind, or with events of one; of one facility. A visit keeps only the events that were asked for."""
    kept = []
    for visit in every:
        events = visit.events if kind in ("", visit.kind) else tuple(event for event in visit.events if event.kind == kind)
        if facility in ("", visit.facility) and (events or kind in ("", visit.kind)):
            kept.append(replace(visit, events=events))
    return tuple(kept)


def _visit(encounter: Found | None, facility: str, day: str, found: list[Event]) -> Visit:
    ordered = _in_order(found)
    if encounter is None:
        return Visit("", facility, "other", day, "", "", "", ordered)
    resource = encounter.resource
    period = resource.get("period", {})
    reasons = [code_text(r) for r in resource.get("reasonCode", ())] or [e.title for e in ordered if e.kind == "diagnosis"]
    kind = ENCOUNTER_CLASS.get(str(resource.get("class", {}).get("code", "")), "other")
    return Visit(
        encounter.id,
        facility,
        kind,
        str(period.get("start", "") or (min((e.at for e in ordered if e.at), default=""))),
        str(period.get("end", "")),
        str(resource.get("status", "")),
        "、".join(dict.fromkeys(filter(None, reasons))),
        ordered,
    )


KIND_ORDER = ("diagnosis", "procedure", "medicine", "immunization", "order", "report", "image", "ecg", "result", "document")


def _in_order(found: Iterable[Event]) -> tuple[Event, ...]:
    """By kind, then newest first; a diagnosis that two systems of the facility state, once."""
    newest = sorted(found, key=lambda e: (e.at, e.id), reverse=True)
    said: dict[tuple[str, str], Event] = {}
    for event in newest:
        said.setdefault((event.kind, event.title if event.kind == "diagnosis" else event.id), event)
    return tuple(sorted(said.values(), key=lambda e: KIND_ORDER.index(e.kind)))


def events(record: Record) -> list[tuple[Event, str]]:
    """Every event with its encounter's id; "" where neither it nor the order it answers names one.

    Results, images and the order of a report stand in it: an order of its own is one without a report yet.
    """
    reports = [r for r in record.of("DiagnosticReport") if r.resource.get("status") not in WITHDRAWN]
    observations = {o.id: o for o in record.of("Observation") if o.resource.get("status") not in WITHDRAWN}
    reported = {reference_id(ref, "Observation") for report in reports for ref in report.resource.get("result", ())}
    orders = {o.id: o for o in record.of("ServiceRequest")}
    made = [(_report(r, observations, orders), _encounter(r, orders)) for r in reports]
    made += [(_observation(o), _encounter(o, orders)) for o in observations.values() if o.id not in reported]
    told = _told(record, reports)
    for type, build in BUILDERS.items():
        valid = (found for found in record.of(type) if found.resource.get("status") not in WITHDRAWN)
        made += [(build(found), _encounter(found, orders)) for found in valid if found.reference not in told]
    return made


def _told(record: Record, reports: Sequence[Found]) -> set[str]:
    """What another event says already: the report on a study or an order, the Composition read out of a document's file."""
    told = {f"ServiceRequest/{id}" for report in reports for id in _orders_of(report)}
    told |= {study.reference for study in record.of("ImagingStudy") if report_of(study, reports)}
    written = {key for composition in record.of("Composition") for key in document_keys(composition)}
    return told | {document.reference for document in record.of("DocumentReference") if written & document_keys(document)}


def _orders_of(found: Found) -> list[str]:
    return [id for id in (reference_id(r, "ServiceRequest") for r in found.resource.get("basedOn", ())) if id]


def document_keys(found: Found) -> set[tuple[str, ...]]:
    """By what a Composition and the DocumentReference to its file are one document: its identifier, else title and time."""
    resource = found.resource
    stated = resource.get("masterIdentifier") or resource.get("identifier")
    identifiers = stated if isinstance(stated, list) else [stated] if stated else []
    keys: set[tuple[str, ...]] = {(str(i.get("system", "")), str(i["value"])) for i in identifiers if i.get("value")}
    title = str(resource.get("title") or resource.get("description") or "")
    if title and found.type in ("Composition", "DocumentReference"):
        keys.add((found.facility, title, str(instant(date_of(found)))))
    return keys


def _encounter(found: Found, orders: Mapping[str, Found]) -> str:
    """The one it names, else the one in which it was ordered."""
    context = found.resource.get("context")
    stated = context.get("encounter", ()) if isinstance(context, Mapping) else ()
    ordered = (orders[id].resource.get("encounter") for id in _orders_of(found) if id in orders)
    named = (reference_id(e, "Encounter") for e in (found.resource.get("encounter"), *stated, *ordered))
    return next(filter(None, named), "")


def date_of(found: Found) -> str:
    for path in DATES.get(found.type, ()):
        value: Any = found.resource
        for part in path.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if isinstance(value, Mapping):
            value = value.get("start")
        if value:
            return str(value)
    return ""


def instant(stated: str, zone: tzinfo = UTC) -> float:
    """For order only: a time without a usable day comes first."""
    moment = moment_of(stated, zone)
    if moment is None:
        return float("-inf")
    at = moment.at or datetime(moment.day.year, moment.day.month, moment.day.day, tzinfo=zone)
    return at.timestamp()


def is_ecg(report: Mapping[str, Any]) -> bool:
    codes = {str(c.get("code", "")) for category in report.get("category", ()) for c in category.get("coding", ())}
    return "EC" in codes


def _report(found: Found, observations: Mapping[str, Found], orders: Mapping[str, Found]) -> Event:
    resource = found.resource
    results = [observations[i] for i in (reference_id(r, "Observation") for r in resource.get("result", ())) if i in observations]
    abnormal = [r for r in results if flag_of(r.resource) not in ("", "N")]
    kind: Kind = "ecg" if is_ecg(resource) else "image" if resource.get("imagingStudy") else "report"
    in_brief = [_brief(r.resource) for r in (abnormal or results)[:6] if kind == "report"]
    detail = str(resource.get("conclusion", "")) or "，".join(in_brief)
    ordered = next((date_of(orders[id]) for id in _orders_of(found) if id in orders), "")
    return Event(
        kind, found.type, found.id, found.facility, date_of(found), code_text(resource.get("code")), detail,
        str(resource.get("status", "")), len(abnormal), ordered,
    )  # fmt: skip


def _brief(observation: Mapping[str, Any]) -> str:
    return f"{code_text(observation.get('code'))} {value_text(observation)} {ARROW.get(flag_of(observation), '')}".strip()


ARROW = {"H": "↑", "HH": "↑↑", "L": "↓", "LL": "↓↓", "A": "!", "AA": "!!", "POS": "+"}


def flag_of(observation: Mapping[str, Any]) -> str:
    """The source's own interpretation code; never ours."""
    codings = [c for i in observation.get("interpretation", ()) for c in i.get("coding", ())]
    return next((str(c["code"]) for c in codings if c.get("code")), "")


def _observation(found: Found) -> Event:
    resource = found.resource
    flag = flag_of(resource)
    return Event(
        "result", found.type, found.id, found.facility, date_of(found), code_text(resource.get("code")),
        f"{value_text(resource)} {ARROW.get(flag, '')}".strip(), str(resource.get("status", "")), int(flag not in ("", "N")),
    )  # fmt: skip


def _study(found: Found) -> Event:
    resource = found.resource
    kind: Kind = "ecg" if "ECG" in modalities(resource) else "image"
    return _event(kind, found, study_title(resource))


def _document(found: Found) -> Event:
    resource = found.resource
    return _event("document", found, str(resource.get("description") or "") or code_text(resource.get("type")))


def _composition(found: Found) -> Event:
    resource = found.resource
    return _event("document", found, str(resource.get("title") or "") or code_text(resource.get("type")))


def _order(found: Found) -> Event:
    return _event("order", found, code_text(found.resource.get("code")))


def medicine_of(found: Found) -> Event:
    resource = found.resource
    name = code_text(resource.get("medicationCodeableConcept")) or str(resource.get("medicationReference", {}).get("display", ""))
    return _event("medicine", found, name, dosage_text(resource))


def dosage_text(request: Mapping[str, Any]) -> str:
    texts = []
    for dosage in request.get("dosageInstruction", ()):
        quantity: Mapping[str, Any] = next((d["doseQuantity"] for d in dosage.get("doseAndRate", ()) if "doseQuantity" in d), {})
        amount = f"{quantity.get('value', '')}{quantity.get('unit', '')}"
        parts = (amount, code_text(dosage.get("route")), code_text(dosage.get("timing", {}).get("code")))
        texts.append(str(dosage.get("text") or " ".join(part for part in parts if part)))
    return "；".join(text for text in texts if text)


def _condition(found: Found) -> Event:
    return _event("diagnosis", found, code_text(found.resource.get("code")))


def _immunization(found: Found) -> Event:
    return _event("immunization", found, code_text(found.resource.get("vaccineCode")))


def _procedure(found: Found) -> Event:
    return _event("procedure", found, code_text(found.resource.get("code")))


def _event(kind: Kind, found: Found, title: str, detail: str = "") -> Event:
    status = str(found.resource.get("status", ""))
    return Event(kind, found.type, found.id, found.facility, date_of(found), title, detail, status)


BUILDERS = {
    "ImagingStudy": _study,
    "DocumentReference": _document,
    "Composition": _composition,
    "ServiceRequest": _order,
    "MedicationRequest": medicine_of,
    "Condition": _condition,
    "Immunization": _immunization,
    "Procedure": _procedure,
}
