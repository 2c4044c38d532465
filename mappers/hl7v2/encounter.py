"""HL7 v2 PV1, PV2 → Encounter.

https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-segment-pv1-to-encounter.html and -pv2-; HL7 v2.5.1 chapter 3.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from mappers.base import Resource
from mappers.datatypes import decimal_of, read_moment
from mappers.hl7v2.draft import Draft
from mappers.hl7v2.message import Segment
from mappers.hl7v2.participants import holds_a_doctor, participants
from mappers.hl7v2.types import codeable_concept, codings, namespace, number_identifier, read_cx
from mappers.identity_keys import resource_id
from profiles.names import ACT_CODE, UCUM

# HL7 table 0004, and the words that some sources write for it → v3-ActCode
ENCOUNTER_CLASS = {
    "E": "EMER",
    "I": "IMP",
    "O": "AMB",
    "P": "PRENC",
    "EMERGENCY": "EMER",
    "INPATIENT": "IMP",
    "OUTPATIENT": "AMB",
    "急诊": "EMER",
    "住院": "IMP",
    "门诊": "AMB",
}
CLASS_DISPLAY = {"EMER": "emergency", "IMP": "inpatient encounter", "AMB": "ambulatory", "PRENC": "pre-admission"}

# Trigger → Encounter.status. A trigger that is not here (A08, A31, ORU) does not say: only a shell starts with SHELL_STATUS.
STATUS_BY_TRIGGER = {
    "A01": "in-progress",
    "A02": "in-progress",
    "A03": "finished",
    "A04": "in-progress",
    "A05": "planned",
    "A06": "in-progress",
    "A07": "in-progress",
    "A09": "in-progress",
    "A10": "in-progress",
    "A11": "cancelled",
    "A12": "in-progress",
    "A13": "in-progress",
    "A14": "planned",
    "A17": "in-progress",
    "A21": "onleave",
    "A22": "in-progress",
    "A23": "entered-in-error",
    "A27": "cancelled",
    "A38": "cancelled",
    "A52": "in-progress",
    "A53": "onleave",
}
SHELL_STATUS = "unknown"
BEGINS = {"A01", "A04"}  # the event is the visit's beginning
LOCATION_STATUS = {"planned": "planned", "in-progress": "active", "onleave": "reserved", "finished": "completed"}

HOSPITALIZATION = {14: ("admitSource", "admit-source"), 36: ("dischargeDisposition", "discharge-disposition")}
HOSPITALIZATION |= {13: ("reAdmission", "readmission")}
HOSPITALIZATION_LISTS = {
    15: ("specialArrangement", "ambulatory-status"),
    16: ("specialCourtesy", "vip"),
    22: ("specialCourtesy", "courtesy"),
    38: ("dietPreference", "diet"),
}
TYPES = {4: "admission-type", 18: "patient-type"}
MODE_OF_ARRIVAL = "http://hl7.org/fhir/StructureDefinition/encounter-modeOfArrival"
# R4 has no element for what is only planned; these are R5's, https://hl7.org/fhir/R5/versions.html#extensions
PLANNED = {
    8: "http://hl7.org/fhir/5.0/StructureDefinition/extension-Encounter.plannedStartDate",
    9: "http://hl7.org/fhir/5.0/StructureDefinition/extension-Encounter.plannedEndDate",
}


def _class(draft: Draft, pv1: Segment) -> dict[str, Any]:
    code = pv1.value(2)
    targets = draft.context.translate(draft.local("patient-class"), code)
    mapped = targets[0]["code"] if targets else ENCOUNTER_CLASS.get(code.upper())
    if mapped:
        return {"system": ACT_CODE, "code": mapped, "display": CLASS_DISPLAY.get(mapped, mapped)}
    if not code:
        return {"system": "http://terminology.hl7.org/CodeSystem/v3-NullFlavor", "code": "UNK"}
    draft.note("unmapped-code", f"{pv1.where}-2", system=draft.local("patient-class"), value=code[:64])
    return {"system": draft.local("patient-class"), "code": " ".join(code.split())}


def visit_key(draft: Draft, pv1: Segment) -> tuple[str, ...]:
    """PV1-19, else PV1-50; else patient and admission time, which a later message of the same visit repeats. () without any.

    An admission that states no time is known by the event's own: whoever repeats it, repeats that.
    """
    for field in (19, 50):
        number = read_cx(pv1, field)
        if number.value:
            return namespace(draft, number.authority), number.value
    if admitted := _admitted(draft, pv1):
        draft.note("missing", f"{pv1.where}-19", "no visit number; patient and admission time identify the visit", "information")
        return (*draft.patient_key, admitted)
    event = draft.message.first("EVN")
    if _adt_trigger(draft) in BEGINS and (moment := (event.value(2) if event else "") or draft.message.header.value(7)):
        draft.note(
            "missing", f"{pv1.where}-19", "neither a visit number nor an admission time: the event's time identifies the visit"
        )
        return (*draft.patient_key, moment)
    return ()


def _admitted(draft: Draft, pv1: Segment) -> str:
    """PV1-44; some sources shift it to PV1-46, where a balance would stand: a time that is the admission's own is no balance."""
    if stated := pv1.value(44):
        return stated
    event = draft.message.first("EVN")
    if _adt_trigger(draft) in BEGINS and event and pv1.has(46) and pv1.value(46) == event.value(2) and read_moment(pv1.value(46)):
        return pv1.value(46)
    return ""


def _event_time(draft: Draft, triggers: set[str]) -> str | None:
    """EVN-6, when the event of one of these triggers happened."""
    event = draft.message.first("EVN")
    return draft.datetime(event, 6) if event and _adt_trigger(draft) in triggers else None


def _place(draft: Draft, pv1: Segment, field: int) -> dict[str, Any] | None:
    ward, room, bed, *_, description = pv1.parts(field, 9)
    name = " ".join(part for part in (ward, room, bed) if part)
    if not (name or description):
        return None
    location: dict[str, Any] = {"display": description if description and description != name else name}
    if name:
        location = {"identifier": {"system": draft.local("location"), "value": name}, "display": location["display"]}
    return {"location": location}


def _locations(draft: Draft, pv1: Segment) -> list[dict[str, Any]]:
    """Where the patient is; of a transfer where they were, of a pending one where they will be."""
    trigger = _adt_trigger(draft)
    found = []
    moved = _event_time(draft, {"A02", "A17"})
    if here := _place(draft, pv1, 3):
        if status := LOCATION_STATUS.get(STATUS_BY_TRIGGER.get(trigger, "")):
            here["status"] = status
        if moved:
            here["period"] = {"start": moved}
        found.append(here)
    if (
        trigger != "A12" and not holds_a_doctor(pv1, 6) and (before := _place(draft, pv1, 6))
    ):  # of a cancelled transfer it was never left
        before["status"] = "completed"
        if moved:
            before["period"] = {"end": moved}
        found.append(before)
    if trigger != "A26" and (next_one := _place(draft, pv1, 42)):
        found.append({**next_one, "status": "planned"})
    if here and (temporary := _place(draft, pv1, 11)):
        found.append({**temporary, "status": "active"})
    return found


def _adt_trigger(draft: Draft) -> str:
    return draft.trigger if draft.mode == "patch" else ""


def _period(draft: Draft, pv1: Segment) -> dict[str, str | None]:
    """What the message says of either edge: an A03 need not repeat PV1-44. A null stands for an end that is no more."""
    start = draft.datetime(pv1, 44) or _event_time(draft, BEGINS)
    if not start and (shifted := _admitted(draft, pv1)):
        draft.note("moved", f"{pv1.where}-46", "the admission time stands where PV1-46 is; PV1-44 is empty", "information")
        start = draft.datetime(pv1, 46) if shifted else None
    said = {"start": start, "end": draft.datetime(pv1, 45) or _event_time(draft, {"A03"})}
    if said["start"] and said["end"] and _before(said["end"], said["start"]):
        draft.refuse(pv1, 45)
        draft.note("conflict", f"{pv1.where}-45", "the discharge is before the admission: left out")
        said["end"] = None
    period: dict[str, str | None] = {edge: value for edge, value in said.items() if value}
    if _adt_trigger(draft) == "A13" or (draft.mode == "patch" and pv1.deleted(45)):  # a discharge taken back
        period["end"] = None
    return period


def _before(one: str, other: str) -> bool:
    """Of two dateTimes, as far as both say."""
    if "T" in one and "T" in other:
        return datetime.fromisoformat(one) < datetime.fromisoformat(other)
    precision = min(len(one.partition("T")[0]), len(other.partition("T")[0]))
    return one[:precision] < other[:precision]


def _hospitalization(draft: Draft, pv1: Segment) -> dict[str, Any]:
    stated: dict[str, Any] = {}
    if number := pv1.value(5):
        stated["preAdmissionIdentifier"] = number_identifier(draft, number, "pre-admission")
    for field, (element, kind) in HOSPITALIZATION.items():
        if found := codeable_concept(draft, pv1, field, kind):
            stated[element] = found
        elif draft.mode == "patch" and pv1.deleted(field):
            stated[element] = None
    for field, (element, kind) in HOSPITALIZATION_LISTS.items():
        if several := [c for n in range(1, pv1.count(field) + 1) if (c := codeable_concept(draft, pv1, field, kind, n))]:
            stated[element] = [*stated.get(element, ()), *several]
    if pv1.has(37) and (destination := _discharged_to(pv1)):
        stated["destination"] = {"display": destination}
    return stated


def _discharged_to(pv1: Segment) -> str:
    """DLD: place (a CWE) ^ time; older sources write code ^ name."""
    name = pv1.value(37, 1, 2) or pv1.value(37, 2)
    return name if name and read_moment(name) is None else pv1.value(37)


def _details(draft: Draft) -> dict[str, Any]:
    """PV2: why, how urgent, how long, and what is planned."""
    pv2 = draft.message.first("PV2")
    if pv2 is None:
        return {}
    stated: dict[str, Any] = {}
    if reason := codeable_concept(draft, pv2, 3, "admit-reason"):
        stated["reasonCode"] = [reason]
    if priority := codeable_concept(draft, pv2, 25, "visit-priority"):
        stated["priority"] = priority
    if (days := decimal_of(pv2.value(11))) is not None:
        stated["length"] = {"value": days, "unit": "d", "system": UCUM, "code": "d"}
    extensions = [{"url": url, "valueDateTime": when} for field, url in PLANNED.items() if (when := draft.datetime(pv2, field))]
    arrival = codings(draft, pv2, 38, "mode-of-arrival")
    stated["extension"] = [*extensions, *({"url": MODE_OF_ARRIVAL, "valueCoding": coding} for coding in arrival[:1])]
    return {element: value for element, value in stated.items() if value}


def _identifiers(draft: Draft, pv1: Segment) -> list[dict[str, Any]]:
    numbers = [(read_cx(pv1, field), kind) for field, kind in ((19, "visit"), (50, "visit-alternate"))]
    return [
        number_identifier(draft, number.value, kind, "VN", namespace(draft, number.authority))
        for number, kind in numbers
        if number.value
    ]


def encounter_from_pv1(draft: Draft, pv1: Segment, key: tuple[str, ...]) -> Resource:
    """What the PV1 and the PV2 state of the visit, without a status that the trigger does not say."""
    encounter: Resource = {"resourceType": "Encounter", "id": resource_id("Encounter", *key)}
    if identifiers := _identifiers(draft, pv1):
        encounter["identifier"] = identifiers
    if status := STATUS_BY_TRIGGER.get(_adt_trigger(draft)):
        encounter["status"] = status
    encounter["class"] = _class(draft, pv1)
    encounter["subject"] = draft.patient
    types = [found for field, kind in TYPES.items() if (found := codeable_concept(draft, pv1, field, kind))]
    stated = {
        "type": types,
        "participant": participants(draft, pv1),
        "period": _period(draft, pv1),
        "location": _locations(draft, pv1),
        "serviceType": codeable_concept(draft, pv1, 10, "service"),
        "hospitalization": _hospitalization(draft, pv1),
    }
    encounter |= {element: value for element, value in stated.items() if value} | _details(draft)
    if draft.account:
        encounter["account"] = [draft.account]
    encounter["serviceProvider"] = draft.organization
    if draft.mode == "patch":
        deleted = {3: "location", 10: "serviceType"}
        encounter |= {element: None for field, element in deleted.items() if pv1.deleted(field) and element not in encounter}
    return encounter


def read_visit(draft: Draft) -> Resource | None:
    """The visit that the message speaks of, not yet stated; None when it has none or cannot be told from others."""
    pv1 = draft.message.first("PV1")
    if pv1 is None or not any(pv1.has(number) for number in range(2, len(pv1) + 1)) or pv1.value(2) == "N":
        return None
    key = visit_key(draft, pv1)
    if not key:
        draft.note("missing", f"{pv1.where}-19", "neither a visit number nor an admission time: no Encounter")
        return None
    encounter = encounter_from_pv1(draft, pv1, key)
    draft.visit_key = key
    draft.encounter = {"reference": f"Encounter/{encounter['id']}"}
    return encounter


def state_visit(draft: Draft, encounter: Resource) -> None:
    """State it. A shell by `fill` gives it a status until a message states one."""
    if draft.mode == "patch" and "status" not in encounter:
        ended = bool((encounter.get("period") or {}).get("end"))
        draft.state({**_without_nulls(encounter), "status": "finished" if ended else "in-progress"}, "fill")
    elif "status" not in encounter:
        encounter["status"] = SHELL_STATUS
    draft.state(encounter, draft.mode)


def state_encounter(draft: Draft) -> None:
    """The visit as a message that is about something else mentions it."""
    if encounter := read_visit(draft):
        state_visit(draft, encounter)


def _without_nulls(encounter: Resource) -> Resource:
    return {name: value for name, value in encounter.items() if value is not None}
