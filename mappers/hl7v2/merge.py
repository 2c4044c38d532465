"""HL7 v2 MRG and the link events → Patient.link, Account, Encounter. Merges have no published map.

A merged patient becomes inactive and points to the survivor; clinical resources stay where they are, so a merge can be undone. A
merged account is inactive, a merged or renumbered visit is entered in error and part of the surviving one; each survivor keeps the
former number as an old identifier. HL7 v2.5.1 chapter 3.3.18 and 3.6.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mappers.base import CannotMap
from mappers.hl7v2.draft import Draft
from mappers.hl7v2.encounter import visit_key
from mappers.hl7v2.message import Segment
from mappers.hl7v2.patient import identify, numbers_of, own_number, patient_key
from mappers.hl7v2.types import human_name, namespace, number_identifier, read_cx
from mappers.identity_keys import resource_id

Key = tuple[str, ...]


def merged_patient(draft: Draft, mrg: Segment) -> Key:
    """MRG-1: the number that is no more. Raise CannotMap when it names none."""
    number = own_number(numbers_of(mrg, 1))
    if number is None:
        raise CannotMap("MRG-1 names no patient to merge")
    return patient_key(draft, number)


def merge_patients(draft: Draft, pid: Segment, mrg: Segment) -> None:
    """PID survives, MRG-1 is merged into it. Raise CannotMap for a merge with itself."""
    survivor, merged = identify(draft, pid), merged_patient(draft, mrg)
    if merged == survivor:
        raise CannotMap("MRG-1 and PID-3 name the same patient: a patient is not merged with itself")
    merged_id, survivor_id = resource_id("Patient", *merged), resource_id("Patient", *survivor)
    draft.state(_linked(survivor_id, merged_id, "replaces"), "patch")
    draft.state({**_linked(merged_id, survivor_id, "replaced-by"), "active": False}, "patch")
    kind = next(number.kind for number in numbers_of(mrg, 1) if number.value == merged[1])
    shell = {
        "resourceType": "Patient",
        "id": merged_id,
        "identifier": [number_identifier(draft, merged[1], "patient", kind or "MR", merged[0])],
        "managingOrganization": draft.organization,
    }
    if names := [name for n in range(1, mrg.count(7) + 1) if (name := human_name(draft, mrg, 7, n))]:
        shell["name"] = names
    draft.state(shell, "fill")


def move_identifiers(draft: Draft, pid: Segment, mrg: Segment) -> None:
    """A43: numbers that go over to PID's patient. One that both name has moved already; any other one's Patient is replaced."""
    if merged_patient(draft, mrg) != identify(draft, pid):
        merge_patients(draft, pid, mrg)
        return
    draft.note("not-mapped", f"{mrg.where}-1", "the number stays the same: nothing of the Patient moves", "information")


def _linked(one: str, other: str, kind: str) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": one, "link": [{"other": {"reference": f"Patient/{other}"}, "type": kind}]}


def link_patients(draft: Draft, one: Key, other: Key) -> None:
    """A24: the same person in two records that both stay."""
    for mine, its in ((one, other), (other, one)):
        draft.state(_linked(resource_id("Patient", *mine), resource_id("Patient", *its), "seealso"), "patch")


def unlink_patients(draft: Draft, one: Key, other: Key) -> None:
    """A37: a link without a type says that there is none (hub.ingest.settle)."""
    for mine, its in ((one, other), (other, one)):
        entry = {"other": {"reference": f"Patient/{resource_id('Patient', *its)}"}}
        draft.state({"resourceType": "Patient", "id": resource_id("Patient", *mine), "link": [entry]}, "patch")


def merge_accounts(draft: Draft, pid: Segment, mrg: Segment) -> None:
    """A35, A41, A49: MRG-3 is the number that is no more, PID-18 the one that stays."""
    former, stays = read_cx(mrg, 3), read_cx(pid, 18)
    if not former.value or not stays.value:
        raise CannotMap("MRG-3 or PID-18 names no account to merge")
    keys = [(namespace(draft, number.authority), number.value) for number in (former, stays)]
    if keys[0] == keys[1]:
        raise CannotMap("MRG-3 and PID-18 name the same account: an account is not merged with itself")
    old = number_identifier(draft, former.value, "account", "AN", keys[0][0])
    new = number_identifier(draft, stays.value, "account", "AN", keys[1][0])
    merged = {"resourceType": "Account", "id": resource_id("Account", *keys[0]), "identifier": [old], "status": "inactive"}
    survivor = {"resourceType": "Account", "id": resource_id("Account", *keys[1]), "identifier": [new, {"use": "old", **old}]}
    draft.state({**merged, "subject": [draft.patient]}, "patch")
    draft.state(survivor, "patch")


def move_account(draft: Draft, pid: Segment, mrg: Segment) -> None:
    """A44: the account of MRG-3 (PID-18) belongs to PID's patient now, not to MRG-1's."""
    former, stays = read_cx(mrg, 3), read_cx(pid, 18)
    if not stays.value and not former.value:
        raise CannotMap("neither PID-18 nor MRG-3 names the account that moves")
    if former.value and stays.value and former.value != stays.value:
        merge_accounts(draft, pid, mrg)
    elif not stays.value:
        space = namespace(draft, former.authority)
        account = {"resourceType": "Account", "id": resource_id("Account", space, former.value), "subject": [draft.patient]}
        identifier = [number_identifier(draft, former.value, "account", "AN", space)]
        draft.state({**account, "identifier": identifier, "status": "active", "owner": draft.organization}, "patch")


def merge_visits(draft: Draft, pid: Segment, mrg: Segment) -> None:  # noqa: ARG001 - as the others
    """A42, A50: MRG-5 is the visit number that is no more, PV1-19 the one that stays."""
    pv1, former = draft.message.first("PV1"), read_cx(mrg, 5)
    if pv1 is None or not former.value or draft.encounter is None:
        raise CannotMap("MRG-5 or PV1-19 names no visit to merge")
    merged = (namespace(draft, former.authority), former.value)
    survivor = draft.visit_key
    if merged == survivor:
        raise CannotMap("MRG-5 and PV1-19 name the same visit: a visit is not merged with itself")
    old = number_identifier(draft, former.value, "visit", "VN", merged[0])
    patch = {
        "resourceType": "Encounter",
        "id": resource_id("Encounter", *merged),
        "identifier": [old],
        "status": "entered-in-error",
        "partOf": draft.encounter,
    }
    known = {"class": next(c.resource["class"] for c in draft.changes if c.resource["resourceType"] == "Encounter")}
    draft.state({**patch, **known, "subject": draft.patient}, "fill")  # where the hub has not met the visit before
    draft.state(patch, "patch")
    current = number_identifier(draft, survivor[1], "visit", "VN", survivor[0])
    numbers = [current, {"use": "old", **old}]
    draft.state({"resourceType": "Encounter", "id": resource_id("Encounter", *survivor), "identifier": numbers}, "patch")


def move_visit(draft: Draft, pid: Segment, mrg: Segment) -> None:
    """A45: the visit of PV1 belongs to PID's patient now; PV1 has said so. What was measured in it stays as its sources said."""
    pv1, former = draft.message.first("PV1"), read_cx(mrg, 5)
    if pv1 is None or draft.encounter is None:
        raise CannotMap("PV1-19 names no visit to move")
    if former.value and (namespace(draft, former.authority), former.value) != visit_key(draft, pv1):
        merge_visits(draft, pid, mrg)


def change_visit_identifier(draft: Draft, pid: Segment, mrg: Segment) -> None:  # noqa: ARG001 - as the others
    """A51: PV1-50 in place of MRG-6; the visit itself is known by PV1-19."""
    former = read_cx(mrg, 6)
    if draft.encounter is None or not former.value:
        raise CannotMap("MRG-6 or PV1-19 names no visit")
    old = number_identifier(draft, former.value, "visit-alternate", "VN", namespace(draft, former.authority))
    stated = [c.resource for c in draft.changes if c.resource["resourceType"] == "Encounter"][-1]
    stated["identifier"] = [*stated.get("identifier", ()), {"use": "old", **old}]


def change_other_number(draft: Draft, pid: Segment, mrg: Segment) -> None:  # noqa: ARG001 - as the others
    """A46, A48: PID-2 or PID-4 has said the new number; the former (MRG-4, MRG-2) is no business key."""
    if not (mrg.value(4) or mrg.value(2)):
        raise CannotMap("neither MRG-4 nor MRG-2 names a former number")


Merge = Callable[[Draft, Segment, Segment], None]

# Trigger → what is merged, moved or renumbered
MERGES: dict[str, tuple[Merge, ...]] = {
    **dict.fromkeys(("A18", "A30", "A34", "A39", "A40", "A47"), (merge_patients,)),
    "A35": (merge_accounts,),
    "A36": (merge_patients, merge_accounts),
    "A41": (merge_accounts,),
    "A42": (merge_visits,),
    "A43": (move_identifiers,),
    "A44": (move_account,),
    "A45": (move_visit,),
    "A46": (change_other_number,),
    "A48": (change_other_number,),
    "A49": (merge_accounts,),
    "A50": (merge_visits,),
    "A51": (change_visit_identifier,),
}
OF_A_VISIT = {"A42", "A45", "A50", "A51"}


def check_circle(pairs: list[tuple[Key, Key]]) -> None:
    """(merged, survivor) pairs of one message. Raise CannotMap when following them comes back."""
    into = dict(pairs)
    for start in into:
        at, steps = start, 0
        while at in into and steps <= len(into):
            at, steps = into[at], steps + 1
        if at in into:
            raise CannotMap("the merges of this message form a circle: who survives is not certain")
