"""Orders, results, drugs, documents, appointments and charges: which structure states what of the patient it names.

HL7 v2.5.1 chapters 4, 4A, 6, 7, 9, 10, 11 and 12.
"""

from __future__ import annotations

from collections.abc import Callable

from mappers.base import CannotMap
from mappers.hl7v2.admission import persons, state_subject
from mappers.hl7v2.billing import state_charges
from mappers.hl7v2.conditions import state_conditions, state_procedures
from mappers.hl7v2.dispense import state_pharmacy
from mappers.hl7v2.document import state_document
from mappers.hl7v2.draft import Draft
from mappers.hl7v2.groups import group_orders
from mappers.hl7v2.immunization import state_immunizations
from mappers.hl7v2.order import state_orders
from mappers.hl7v2.patient import identify
from mappers.hl7v2.problem import state_problems
from mappers.hl7v2.referral import state_referral
from mappers.hl7v2.report import state_reports
from mappers.hl7v2.scheduling import map_appointment
from mappers.hl7v2.stated import stated_at

QUALITY = {"1": "calibration results", "2": "quality control results"}  # MSH-16 of analyzers: 0 is a patient's

Map = Callable[[Draft], None]


def about_each_patient(state: Map) -> Map:
    """A structure whose PID may repeat: each part of the message is about its own patient."""

    def map_parts(draft: Draft) -> None:
        whole = draft.message
        for part in persons(whole) or [whole]:
            draft.turn_to(part)
            state_subject(draft)
            state(draft)
        draft.message = whole

    return map_parts


def about_one_patient(state: Map) -> Map:
    def map_whole(draft: Draft) -> None:
        state_subject(draft)
        state(draft)

    return map_whole


def map_results(draft: Draft) -> None:
    """ORU, OUL: a report a group, each of the patient whose PID stands before it."""
    kind = draft.message.header.value(16)
    if kind in QUALITY:
        raise CannotMap(f"MSH-16 = {kind}: {QUALITY[kind]}, not a patient's")
    about_each_patient(_state_results)(draft)


def _state_results(draft: Draft) -> None:
    groups = [group for group in group_orders(draft) if group.obr is not None or group.results]
    if not groups:
        raise CannotMap("neither OBR nor OBX")
    state_reports(draft, groups)


def map_orders(draft: Draft) -> None:
    """ORM, OML, OMG, OMI, OMP: a request a group. A second PID of the same patient brings results from before (OML)."""
    whole = draft.message
    parts = persons(whole) or [whole]
    earlier = parts[1:]
    if draft.message.code.upper() != "OML" and earlier:
        parts, earlier = [whole], []  # whom it is about is then for `state_subject` to refuse
    draft.turn_to(parts[0])
    state_subject(draft)
    patient = draft.patient_key
    state_orders(draft, group_orders(draft))
    for part in earlier:
        draft.turn_to(part)
        if identify(draft, part.segments("PID")[0]) != patient:
            raise CannotMap("several PID segments in one message: whose orders they are is not certain")
        state_subject(draft)
        state_reports(draft, [group for group in group_orders(draft) if group.obr is not None or group.results])
    draft.message = whole


def _state_bill(draft: Draft) -> None:
    """DFT: charges, with the diagnoses and procedures they are for."""
    state_charges(draft)
    state_conditions(draft)
    state_procedures(draft, stated_at(draft.message, draft.zone))


# MDM that brings or changes a document; chapter 9.6
DOCUMENTS = tuple(f"T{number:02d}" for number in range(1, 12))
APPOINTMENTS = tuple(f"S{number}" for number in (*range(12, 23), 26))  # S23 and S24 block a calendar, of no patient
map_pharmacy = about_one_patient(lambda draft: state_pharmacy(draft, group_orders(draft)))

# (message code, trigger) → the map
CLINICAL_MAPS: dict[tuple[str, str], Map] = {
    **{("ORU", trigger): map_results for trigger in ("R01", "R30", "R31", "R32", "R40")},
    **{("OUL", trigger): map_results for trigger in ("R21", "R22", "R23", "R24")},
    **dict.fromkeys((("ORM", "O01"), ("OML", "O21"), ("OML", "O33"), ("OML", "O35"), ("OMG", "O19"), ("OMI", "O23")), map_orders),
    **dict.fromkeys((("OMP", "O09"), ("OMD", "O03"), ("OMS", "O05"), ("OMN", "O07")), map_orders),
    **{("RDE", trigger): map_orders for trigger in ("O01", "O11", "O25")},
    **dict.fromkeys((("RDS", "O01"), ("RDS", "O13"), ("RAS", "O01"), ("RAS", "O17"), ("RGV", "O01"), ("RGV", "O15")), map_pharmacy),
    ("VXU", "V04"): about_one_patient(lambda draft: state_immunizations(draft, group_orders(draft))),
    **{("MDM", trigger): about_one_patient(state_document) for trigger in DOCUMENTS},
    **{("SIU", trigger): map_appointment for trigger in APPOINTMENTS},
    **{("DFT", trigger): about_one_patient(_state_bill) for trigger in ("P03", "P11")},
    **{("PPR", trigger): about_one_patient(state_problems) for trigger in ("PC1", "PC2", "PC3")},
    **{(code, trigger): about_one_patient(state_referral) for code in ("REF", "RRI") for trigger in ("I12", "I13", "I14", "I15")},
}
USUAL_TRIGGER = {
    **{
        "ORU": "R01",
        "ORM": "O01",
        "OML": "O21",
        "OMG": "O19",
        "OMI": "O23",
        "OUL": "R22",
        "OMP": "O09",
        "RDE": "O11",
        "RDS": "O13",
        "RAS": "O17",
    },
}  # where MSH-9.2 is empty
