"""HL7 v2 SCH, TQ1, AIS, AIG, AIL, AIP → Appointment.

https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-segment-sch-to-appointment.html; HL7 v2.5.1 chapter 10. A message may lack its
SCH and name only resources: then the number of its service stands for the appointment's.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from mappers.base import CannotMap, Resource
from mappers.datatypes import decimal_of
from mappers.hl7v2.admission import persons, state_subject
from mappers.hl7v2.deletes import APPOINTMENT, state_patch
from mappers.hl7v2.draft import Draft
from mappers.hl7v2.message import Segment
from mappers.hl7v2.observation import note_text
from mappers.hl7v2.types import codeable_concept, number_identifier, people
from mappers.identity_keys import resource_id

# HL7 table 0278 (SCH-25) → appointmentstatus
STATUS = {
    "PENDING": "pending",
    "WAITLIST": "waitlist",
    "BOOKED": "booked",
    "SCHEDULED": "booked",
    "CONFIRMED": "booked",
    "OVERBOOK": "booked",
    "ARRIVED": "arrived",
    "STARTED": "checked-in",
    "COMPLETE": "fulfilled",
    "CANCELLED": "cancelled",
    "CANCELED": "cancelled",
    "DC": "cancelled",
    "DELETED": "entered-in-error",
    "NOSHOW": "noshow",
}
# Where SCH-25 is empty, the event says it
STATUS_BY_TRIGGER = {
    **dict.fromkeys(("S12", "S13", "S14", "S18", "S19", "S20", "S21", "S22"), "booked"),
    **dict.fromkeys(("S15", "S16"), "cancelled"),
    "S17": "entered-in-error",
    "S26": "noshow",
}
# The same words of one resource (AIS-10, AIG-14, AIL-12, AIP-12) → participationstatus
PARTICIPATION = {
    **dict.fromkeys(("BOOKED", "SCHEDULED", "CONFIRMED", "OVERBOOK", "STARTED", "COMPLETE", "ARRIVED"), "accepted"),
    **dict.fromkeys(("PENDING", "WAITLIST"), "tentative"),
    **dict.fromkeys(("CANCELLED", "CANCELED", "DC", "DELETED", "NOSHOW"), "declined"),
}
MINUTES = dict.fromkeys(("", "M", "MIN", "MINUTE", "MINUTES", "分钟"), 1) | dict.fromkeys(("H", "HR", "HOUR", "HOURS", "小时"), 60)
SECONDS = frozenset({"S", "SEC", "SECOND", "SECONDS", "秒"})
PARTICIPATION_TYPE = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
SERVICE, GENERAL, PLACE, PERSON = "AIS", "AIG", "AIL", "AIP"
# Segment → where it holds start, offset, duration, its unit and the filler's status
TIMES = {SERVICE: (4, 7, 8, 10), GENERAL: (8, 11, 12, 14), PLACE: (6, 9, 10, 12), PERSON: (6, 9, 10, 12)}


def map_appointment(draft: Draft) -> None:
    """S12 … S26. Several PID are several patients of one appointment."""
    whole = draft.message
    patients: list[dict[str, Any]] = []
    keys: list[tuple[str, ...]] = []
    for part in persons(whole):
        draft.turn_to(part)
        state_subject(draft)
        patients.append(draft.patient)
        keys.append(draft.patient_key)
    draft.message = whole
    state_appointment(draft, patients, keys)


def state_appointment(draft: Draft, patients: list[dict[str, Any]], patient_keys: list[tuple[str, ...]]) -> None:
    sch = draft.message.first("SCH")
    identifiers = _identifiers(draft, sch)
    key = _key(draft, sch, patient_keys)
    status = _status(draft, sch)
    appointment: Resource = {"resourceType": "Appointment", "id": resource_id("Appointment", *key)}
    if identifiers:
        appointment["identifier"] = identifiers
    appointment["status"] = status
    services = [found for ais in _resources(draft, SERVICE) if (found := codeable_concept(draft, ais, 3, "service"))]
    reason = codeable_concept(draft, sch, 6, "event-reason") if sch else None
    described = codeable_concept(draft, sch, 7, "appointment-reason") if sch else None
    kind = codeable_concept(draft, sch, 8, "appointment-type") if sch else None
    ended = status in {"cancelled", "noshow"}
    stated: dict[str, Any] = {
        "cancelationReason": reason if ended else None,
        "serviceType": services,
        "appointmentType": kind,
        "reasonCode": [found for found in (described, *_diagnoses(draft), None if ended else reason) if found],
        "description": _description(draft, sch),
        **_times(draft, sch, status),
        "created": draft.datetime(draft.message.header, 7) if draft.trigger == "S12" else None,
        "comment": _comment(draft),
        "basedOn": _orders(draft, sch),
        "participant": [*_patients(patients, status), *_participants(draft, status), *_contacts(draft, sch)],
    }
    state_patch(draft, appointment | {element: value for element, value in stated.items() if value}, (sch, APPOINTMENT))


def _identifiers(draft: Draft, sch: Segment | None) -> list[dict[str, Any]]:
    if sch is None:
        return []
    numbers = ((sch.value(1), "appointment-placer", "PLAC"), (sch.value(2), "appointment", "FILL"))
    return [number_identifier(draft, number, kind, code) for number, kind, code in numbers if number]


def _key(draft: Draft, sch: Segment | None, patient_keys: list[tuple[str, ...]]) -> tuple[str, ...]:
    """SCH-2, the filler's number, which never changes (10.6.1.2); else SCH-1. Raise CannotMap without either."""
    if sch and (number := sch.value(2) or sch.value(1)):
        return (draft.facility, number)
    for ais in draft.message.segments(SERVICE):
        if number := ais.value(12) or ais.value(11):
            draft.note("missing", "SCH", "no appointment number; that of its service identifies it")
            return (draft.facility, "service", number)
    places = [(segment, TIMES[name][0]) for name in TIMES for segment in draft.message.segments(name)]
    start = next((when for segment, field in places if (when := segment.value(field))), "")
    if not start or not patient_keys:
        raise CannotMap("neither SCH-1 nor SCH-2: nothing tells this appointment from another")
    draft.note("missing", "SCH", "no appointment number; patient and time identify it")
    return (draft.facility, *patient_keys[0], start)


def _status(draft: Draft, sch: Segment | None) -> str:
    """SCH-25, else the event; a cancellation is one whatever SCH-25 still says."""
    by_event = STATUS_BY_TRIGGER.get(draft.trigger, "")
    stated = "".join(sch.value(25).upper().split()) if sch else ""
    if not stated:
        return by_event or "booked"
    mapped = draft.translate(STATUS, stated, f"{sch.where}-25" if sch else "SCH-25", "HL7 table 0278")
    if by_event in {"cancelled", "entered-in-error", "noshow"} and mapped != by_event:
        draft.note("conflict", "SCH-25", f"{draft.trigger} says {by_event}, SCH-25 says otherwise", "information")
        return by_event
    return mapped or by_event or "booked"


# ---------------------------------------------------------------- when


def _times(draft: Draft, sch: Segment | None, status: str) -> dict[str, Any]:
    start, end, minutes = _stated_times(draft, sch)
    if start and not end and minutes and "T" in start:
        end = (datetime.fromisoformat(start) + timedelta(minutes=minutes)).isoformat()
    found: dict[str, Any] = {"minutesDuration": minutes} if minutes else {}
    whole = {name: time for name, time in (("start", start), ("end", end)) if time and "T" in time}
    if len(whole) == 2 and whole["end"] >= whole["start"]:
        return found | whole
    if "start" in whole and status not in {"proposed", "cancelled", "waitlist"}:
        draft.note("missing", "SCH-11", "neither end nor duration: the end repeats the start", "information")
        return {"start": whole["start"], "end": whole["start"]}
    period = {name: time for name, time in (("start", start), ("end", end)) if time}
    if period:
        found["requestedPeriod"] = [period]
    if "start" not in whole and status not in {"proposed", "cancelled", "waitlist", "entered-in-error"}:
        draft.note("missing", "SCH-11", "no time of day: R4 wants start and end of an appointment that is not merely proposed")
    return found


def _stated_times(draft: Draft, sch: Segment | None) -> tuple[str | None, str | None, int | None]:
    """TQ1-7 and 8, SCH-11 (start, end, duration), else those of a resource."""
    minutes = _minutes(sch, 9, 10) if sch else None
    for tq1 in draft.message.segments("TQ1"):
        if start := draft.datetime(tq1, 7):
            return start, draft.datetime(tq1, 8), minutes or _of_unit(tq1.value(6), tq1.value(6, 2))
    if sch and (start := draft.datetime(sch, 11, 4)):
        return start, draft.datetime(sch, 11, 5), minutes or _of_unit(sch.value(11, 3), "")
    for name, (at, duration, unit, _) in TIMES.items():
        for segment in draft.message.segments(name):
            if start := draft.datetime(segment, at):
                return start, None, minutes or _minutes(segment, duration, unit)
    return None, None, minutes


def _minutes(segment: Segment, field: int, unit: int) -> int | None:
    return _of_unit(segment.value(field), segment.value(unit))


def _of_unit(text: str, unit: str) -> int | None:
    number, unit = decimal_of(text), unit.upper()
    if number is None or number <= 0 or number > 100_000:
        return None
    if unit in SECONDS:
        return int(number / 60) or None
    return int(number * MINUTES[unit]) or None if unit in MINUTES else None


# ---------------------------------------------------------------- who, where and why


def _resources(draft: Draft, *names: str) -> list[Segment]:
    """Resources of the appointment; one with action code D (table 0206) has left it."""
    return [segment for name in names for segment in draft.message.segments(name) if segment.value(2).upper() != "D"]


def _patients(patients: list[dict[str, Any]], status: str) -> list[dict[str, Any]]:
    accepted = "declined" if status == "cancelled" else "accepted" if status != "proposed" else "needs-action"
    return [{"actor": patient, "required": "required", "status": accepted} for patient in patients]


def _participants(draft: Draft, status: str) -> list[dict[str, Any]]:
    found = []
    for segment in _resources(draft, PERSON, PLACE, GENERAL):
        actor = _actor(draft, segment)
        kind = codeable_concept(draft, segment, 4, "resource-type")
        if actor is None and kind is None:
            continue
        code = "".join(segment.value(TIMES[segment.name][3]).upper().split())
        where = f"{segment.where}-{TIMES[segment.name][3]}"
        answer = draft.translate(PARTICIPATION, code, where, "HL7 table 0278") if code else None
        entry: dict[str, Any] = {"type": [kind]} if kind else {}
        entry |= {"actor": actor} if actor else {}
        found.append(entry | {"status": answer or ("declined" if status == "cancelled" else "accepted")})
    return found


def _actor(draft: Draft, segment: Segment) -> dict[str, Any] | None:
    if segment.name == PERSON:
        person = next(iter(people(draft, segment, 3)), None)
        return {"type": "Practitioner", **person} if person else None
    if segment.name == PLACE:
        name = " ".join(part for component in (1, 2, 3) if (part := segment.value(3, component))) or segment.value(3, 4)
        own = {"identifier": {"system": draft.local("location"), "value": name}, "display": name}
        return {"type": "Location", **own} if name else None
    number, name = segment.value(3), segment.value(3, 2)
    if not number and not name:
        return None
    person = next(iter(people(draft, segment, 3)), None) if len(segment.components(3)) > 2 else None
    if person:  # AIG is a CWE; many write the doctor there as an XCN
        return {"type": "Practitioner", **person}
    own = {"identifier": {"system": draft.local("resource"), "value": number}} if number else {}
    return own | {"display": name or number}


def _contacts(draft: Draft, sch: Segment | None) -> list[dict[str, Any]]:
    """SCH-20, who entered it, is a scheduler and takes no part; SCH-16, the filler's contact, is whom one asks."""
    if sch is None:
        return []
    kind = {"coding": [{"system": PARTICIPATION_TYPE, "code": "CALLBCK"}]}
    return [
        {"type": [kind], "actor": {"type": "Practitioner", **person}, "required": "information-only", "status": "accepted"}
        for person in people(draft, sch, 16)
    ]


def _diagnoses(draft: Draft) -> list[dict[str, Any]]:
    return [found for dg1 in draft.message.segments("DG1") if (found := codeable_concept(draft, dg1, 3, "diagnosis"))]


def _description(draft: Draft, sch: Segment | None) -> str:
    """What a list shows: the reason in words, else the service."""
    words = sch.value(7, 2) or sch.value(7) if sch else ""
    return words or next((text for ais in _resources(draft, SERVICE) if (text := ais.value(3, 2))), "")


def _comment(draft: Draft) -> str:
    return note_text(draft.message.segments("NTE"))


def _orders(draft: Draft, sch: Segment | None) -> list[dict[str, Any]]:
    """SCH-26, the order that asked for it."""
    number = sch.value(26) if sch else ""
    return [{"reference": f"ServiceRequest/{resource_id('ServiceRequest', draft.facility, number)}"}] if number else []
