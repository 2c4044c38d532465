"""ADT: what each event makes of a message. HL7 v2.5.1 chapter 3.3; status per event stands in encounter.STATUS_BY_TRIGGER."""

from __future__ import annotations

from mappers.base import CannotMap
from mappers.hl7v2.allergies import state_allergies
from mappers.hl7v2.conditions import state_cause_of_death, state_conditions, state_procedures
from mappers.hl7v2.draft import Draft
from mappers.hl7v2.encounter import read_visit, state_visit
from mappers.hl7v2.groups import group_orders
from mappers.hl7v2.insurance import state_account, state_coverages
from mappers.hl7v2.merge import MERGES, OF_A_VISIT, check_circle, link_patients, merged_patient, unlink_patients
from mappers.hl7v2.message import Message, Segment
from mappers.hl7v2.observation import Report, observation_from_obx
from mappers.hl7v2.patient import identify, state_patient
from mappers.hl7v2.related import state_guarantors, state_mother
from mappers.hl7v2.stated import stated_at

BEHIND_PID = frozenset(
    {"PD1", "NK1", "PV1", "PV2", "ROL", "PRT", "DB1", "OBX", "AL1", "IAM", "DG1", "PR1", "GT1", "IN1", "IN2", "ACC"}
)


def patient_segment(message: Message) -> Segment:
    """Raise CannotMap without PID, or when several leave open whom the message is about."""
    pids = message.segments("PID")
    if not pids:
        raise CannotMap("no PID segment")
    if len(pids) > 1:
        raise CannotMap("several PID segments in one message: whose results they are is not certain")
    return pids[0]


def state_subject(draft: Draft) -> None:
    """Whom and which visit the message is about, with what stands beside: every map begins with it.

    Raise CannotMap when it is not certain.
    """
    pid = patient_segment(draft.message)
    _state_person(draft, pid)
    visit = read_visit(draft)
    if visit is not None:
        state_visit(draft, visit)


def _state_person(draft: Draft, pid: Segment) -> None:
    state_patient(draft, pid)
    state_account(draft, pid)
    state_mother(draft, pid)
    state_guarantors(draft)
    state_coverages(draft)
    state_allergies(draft)


def map_admission(draft: Draft) -> None:
    """A01 … A62 of one patient."""
    _state_admission(draft, patient_segment(draft.message))


def _state_admission(draft: Draft, pid: Segment) -> None:
    for segment in draft.message.all[: draft.message.all.index(pid)]:
        if segment.name in BEHIND_PID:
            draft.note("moved", segment.where, "it stands before PID", "information")
    _state_person(draft, pid)
    visit = read_visit(draft)
    diagnoses = state_conditions(draft)
    if visit is not None:
        if diagnoses:
            visit["diagnosis"] = diagnoses
        state_visit(draft, visit)
    state_procedures(draft, stated_at(draft.message, draft.zone))
    state_cause_of_death(draft)
    _state_observations(draft)


def _state_observations(draft: Draft) -> None:
    """OBX of an ADT: height, weight, words. The same item again is the same Observation, unless another time says no."""
    for group in group_orders(draft):
        for result in group.results:
            when = result.obx.value(14)
            key = (draft.facility, "adt", *(draft.visit_key or draft.patient_key), *([when] if when else []))
            shared = Report(key=key, effective=None, issued=None, category="exam", specimen=None, status_code="")
            observation = observation_from_obx(draft, result, shared)
            observation.pop("category")  # nothing says what kind of observation it is
            draft.state(observation)


def map_new_person(draft: Draft) -> None:
    """A28: there is one again, whatever an A29 said before."""
    map_admission(draft)
    draft.state({"resourceType": "Patient", "id": draft.patient["reference"].partition("/")[2], "active": True}, "patch")


def map_deleted_person(draft: Draft) -> None:
    """A29: the record of the person was made in error. FHIR has no such status of a Patient: it is inactive."""
    state_patient(draft, patient_segment(draft.message))
    draft.state({"resourceType": "Patient", "id": draft.patient["reference"].partition("/")[2], "active": False}, "patch")


def persons(message: Message) -> list[Message]:
    """A message about several patients → one part a PID, each with header and event. Raise CannotMap without PID."""
    starts = [place for place, segment in enumerate(message.all) if segment.name == "PID"]
    if not starts:
        raise CannotMap("no PID segment")
    head = [segment for segment in message.all[: starts[0]] if segment.name in {"MSH", "EVN"}]
    begins, ends = [0, *starts[1:]], [*starts[1:], len(message.all)]
    parts = [message.all[begin:end] for begin, end in zip(begins, ends, strict=True)]
    return [message.part([*(head if place else ()), *part]) for place, part in enumerate(parts)]


def _two(draft: Draft) -> list[Message]:
    parts = persons(draft.message)
    if len(parts) != 2:
        raise CannotMap(f"{draft.trigger} speaks of two patients, the message of {len(parts)}")
    return parts


def map_swap(draft: Draft) -> None:
    """A17: two patients, each with the bed that was the other's."""
    whole = draft.message
    for part in _two(draft):
        draft.turn_to(part)
        _state_admission(draft, part.segments("PID")[0])
    draft.message = whole


def map_link(draft: Draft) -> None:
    """A24, A37: two records of one person."""
    whole, keys = draft.message, []
    for part in _two(draft):
        draft.turn_to(part)
        pid = part.segments("PID")[0]
        state_patient(draft, pid)
        keys.append(identify(draft, pid))
    draft.message = whole
    if keys[0] == keys[1]:
        raise CannotMap("both PID name the same patient: a patient is not linked with itself")
    (link_patients if draft.trigger == "A24" else unlink_patients)(draft, keys[0], keys[1])


def map_merge(draft: Draft) -> None:
    """Each PID with the MRG that follows it. Raise CannotMap for a merge whose survivor is not certain."""
    whole, pairs = draft.message, []
    if (mrg := whole.first("MRG")) and (pid := whole.first("PID")) and whole.all.index(mrg) < whole.all.index(pid):
        raise CannotMap("MRG before PID: who survives is not certain")
    for part in persons(whole):
        draft.turn_to(part)
        pid = part.segments("PID")[0]
        merges = part.segments("MRG")
        if not merges:
            continue
        state_patient(draft, pid)
        state_account(draft, pid)
        if draft.trigger in OF_A_VISIT and (visit := read_visit(draft)):
            state_visit(draft, visit)
        for mrg in merges:
            for merge in MERGES[draft.trigger]:
                merge(draft, pid, mrg)
            if draft.trigger not in OF_A_VISIT and mrg.has(1):
                pairs.append((merged_patient(draft, mrg), identify(draft, pid)))
    draft.message = whole
    if not pairs and not whole.segments("MRG"):
        raise CannotMap("a merge without MRG")
    check_circle([(merged, survivor) for merged, survivor in pairs if merged != survivor])


ADMISSIONS = (
    *(f"A{number:02d}" for number in range(1, 17)),
    *("A21", "A22", "A23", "A25", "A26", "A27", "A28", "A31", "A32", "A33", "A38"),
    *("A52", "A53", "A54", "A55", "A60", "A61", "A62"),
)
