"""HL7 v2 PID, NK1 → Patient; MRG → the merged Patient.

https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-segment-pid-to-patient.html; merges have no published map: the merged
patient becomes inactive and points to the survivor, clinical resources stay as they are.
"""

from __future__ import annotations

from typing import Any

from mappers.base import CannotMap, Resource
from mappers.datatypes import identifiers_from_id_number, looks_like_id_number, valid_id_number
from mappers.hl7v2.draft import Draft
from mappers.hl7v2.message import Segment
from mappers.hl7v2.types import LocalId, address, codeable_concept, human_name, namespace, number_identifier, read_cx, telecom
from mappers.identity_keys import resource_id
from profiles.names import GENDER_CN, HEALTH_CARD, ID_CARD, SOURCE_GENDER

# HL7 table 0001, GB/T 2261.1 and what HIS screens write → administrative-gender
ADMINISTRATIVE_GENDER = {
    "F": "female",
    "M": "male",
    "O": "other",
    "U": "unknown",
    "A": "other",
    "N": "other",
    "0": "unknown",
    "1": "male",
    "2": "female",
    "9": "unknown",
    "男": "male",
    "女": "female",
    "男性": "male",
    "女性": "female",
    "未知": "unknown",
    "FEMALE": "female",
    "MALE": "male",
    "UNKNOWN": "unknown",
}
# HL7 table 0002 and GB/T 2261.2 → v3-MaritalStatus. One-digit local codes are ambiguous and stay unmapped.
MARITAL_STATUS = {
    **{code: code for code in "ADILMPTUW"},
    "S": "S",
    "10": "S",
    "20": "M",
    "21": "M",
    "22": "M",
    "23": "M",
    "30": "W",
    "40": "D",
}
NOT_STATED = {"90", "UNK"}

# CX.5 (table 0203 and local): the number of an ID card; numbers that are a card's or an insurer's, not the facility's own
ID_CARD_KINDS = {"NI", "NNCHN", "NNCN", "ID", "IDCARD", "SFZ", "身份证", "居民身份证", "01"}
HEALTH_CARD_KINDS = {"JKK", "HC", "健康卡"}
FOREIGN_KINDS = {"SS", "DL", "PPN", "PRC", "JHN", "SB", "TAX", "MA", "MC", "CZ", *HEALTH_CARD_KINDS}
# Which of several local numbers is the business key, best first
LOCAL_KINDS = ("MR", "PI", "PT", "PN", "U", "")


def is_id_card(number: LocalId) -> bool:
    if number.kind in ID_CARD_KINDS or (number.authority == "CN" and looks_like_id_number(number.value)):
        return True
    return number.kind not in LOCAL_KINDS[:4] and len(number.value) == 18 and valid_id_number(number.value) is not None


def _numbers(segment: Segment, field: int) -> list[LocalId]:
    found = (read_cx(segment, field, n) for n in range(1, segment.count(field) + 1))
    return [number for number in found if number.value]


def _own_number(numbers: list[LocalId]) -> LocalId | None:
    own = [number for number in numbers if not is_id_card(number) and number.kind not in FOREIGN_KINDS]
    rank = {kind: place for place, kind in enumerate(LOCAL_KINDS)}
    return min(own, key=lambda number: rank.get(number.kind, len(rank)), default=None)


def patient_key(draft: Draft, number: LocalId) -> tuple[str, ...]:
    return namespace(draft, number.authority), number.value


def identify(draft: Draft, pid: Segment) -> tuple[str, ...]:
    """Namespace and local number; without a local number the ID card's. Raise CannotMap when there is neither."""
    own = _own_number(_numbers(pid, 3))
    if own is not None:
        return patient_key(draft, own)
    card = next((number for number in _id_card_numbers(pid) if valid_id_number(number)), None)
    if card is None:
        raise CannotMap("no patient identifier: PID-3 has no local number and there is no valid ID card number")
    draft.note("missing", f"{pid.where}-3", "no local number; the ID card number identifies the patient", "information")
    return draft.facility, f"id:{valid_id_number(card)}"


def _id_card_numbers(pid: Segment) -> list[str]:
    """ID card numbers wherever sources put them: typed in PID-3, in PID-19, PID-2 or PID-4."""
    found = [number.value for number in _numbers(pid, 3) if is_id_card(number)]
    if looks_like_id_number(pid.value(19)):
        found.append(pid.value(19))
    found += [value for field in (2, 4) if (value := pid.value(field)) and len(value) == 18 and valid_id_number(value)]
    return list(dict.fromkeys(found))


def _identifiers(draft: Draft, pid: Segment) -> list[dict[str, Any]]:
    identifiers: list[dict[str, Any]] = []
    for number in _numbers(pid, 3):
        if is_id_card(number):
            continue
        if number.kind in HEALTH_CARD_KINDS:
            identifiers.append({"system": HEALTH_CARD, "value": number.value})
        elif number.kind in FOREIGN_KINDS:
            identifiers.append(
                number_identifier(draft, number.value, number.kind.lower(), number.kind, namespace(draft, number.authority))
            )
        else:
            identifiers.append(
                number_identifier(draft, number.value, "patient", number.kind or "MR", namespace(draft, number.authority))
            )
    cards = _id_card_numbers(pid)
    known = {entry["value"] for entry in identifiers} | set(cards)
    for field in (2, 4):
        for number in _numbers(pid, field):
            if number.value not in known:
                identifiers.append(number_identifier(draft, number.value, "patient-other", "", namespace(draft, number.authority)))
    for card in cards:
        identifiers += identifiers_from_id_number(card, facility=draft.facility, where=f"{pid.where}-3/19", issues=draft.issues)
    if (social := pid.value(19)) and not looks_like_id_number(social):
        identifiers.append(number_identifier(draft, social, "ss", "SS"))
    unique = {(entry["system"], entry["value"]): entry for entry in reversed(identifiers)}
    return list(reversed(unique.values()))


def _gender(draft: Draft, pid: Segment, patient: Resource) -> None:
    code = pid.value(8)
    gender = draft.translate(ADMINISTRATIVE_GENDER, code, f"{pid.where}-8", "HL7 table 0001")
    if gender:
        patient["gender"] = gender
    if code and code.upper() not in {"F", "M", "O", "U"}:
        system = GENDER_CN if code in {"0", "1", "2", "9"} else draft.local("gender")
        patient["extension"] = [{"url": SOURCE_GENDER, "valueCoding": {"system": system, "code": code}}]


def _marital_status(draft: Draft, pid: Segment) -> dict[str, Any] | None:
    code = pid.value(16)
    if not code:
        return None
    if code in NOT_STATED:
        return {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-NullFlavor", "code": "UNK"}]}
    text = {"text": pid.value(16, 2) or code}
    mapped = draft.translate(MARITAL_STATUS, code, f"{pid.where}-16", "HL7 table 0002")
    return (
        {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus", "code": mapped}], **text}
        if mapped
        else text
    )


def _deceased(draft: Draft, pid: Segment, patient: Resource) -> None:
    if when := draft.datetime(pid, 29):
        patient["deceasedDateTime"] = when
    elif pid.value(30) in {"Y", "N"}:
        patient["deceasedBoolean"] = pid.value(30) == "Y"


def _contacts(draft: Draft) -> list[dict[str, Any]]:
    contacts = []
    for nk1 in draft.message.segments("NK1"):
        contact: dict[str, Any] = {}
        if relation := codeable_concept(draft, nk1, 3, "relationship"):
            contact["relationship"] = [relation]
        if name := human_name(draft, nk1, 2):
            contact["name"] = name
        if phones := [phone for n in range(1, nk1.count(5) + 1) if (phone := telecom(nk1, 5, n))]:
            contact["telecom"] = phones
        if home := address(nk1, 4):
            contact["address"] = home
        if "name" in contact or "telecom" in contact:
            contacts.append(contact)
    return contacts


# PID field → Patient element: an empty field says nothing, "" deletes the element
DELETABLE = {5: "name", 7: "birthDate", 8: "gender", 11: "address", 13: "telecom", 16: "maritalStatus", 29: "deceasedDateTime"}


def patient_from_pid(draft: Draft, pid: Segment, key: tuple[str, ...]) -> Resource:
    """What the PID states of the patient; a null stands for an element that is to be deleted."""
    patient: Resource = {"resourceType": "Patient", "id": resource_id("Patient", *key)}
    patient["identifier"] = _identifiers(draft, pid)
    names = [name for n in range(1, pid.count(5) + 1) if (name := human_name(draft, pid, 5, n))]
    if not names and not pid.deleted(5):
        draft.note("missing", f"{pid.where}-5", "no name", "information")
    homes = [home for n in range(1, pid.count(11) + 1) if (home := address(pid, 11, n))]
    phones = [
        phone
        for field, use in ((13, ""), (14, "work"))
        for n in range(1, pid.count(field) + 1)
        if (phone := telecom(pid, field, n, use))
    ]
    stated = {
        "name": names,
        "address": homes,
        "telecom": phones,
        "maritalStatus": _marital_status(draft, pid),
        "birthDate": draft.date(pid, 7),
    }
    patient |= {element: value for element, value in stated.items() if value}
    _gender(draft, pid, patient)
    _deceased(draft, pid, patient)
    patient["managingOrganization"] = draft.organization
    if draft.mode == "patch":
        patient |= {element: None for field, element in DELETABLE.items() if pid.deleted(field) and element not in patient}
        if pid.deleted(19) and not _id_card_numbers(pid):
            patient["identifier"].append({"system": ID_CARD})  # a system without a number: there is none
    return patient


def state_patient(draft: Draft, pid: Segment) -> None:
    """Add the patient of the message; what follows refers to it."""
    key = identify(draft, pid)
    patient = patient_from_pid(draft, pid, key)
    if draft.mode == "patch" and (contacts := _contacts(draft)):
        patient["contact"] = contacts
    draft.patient_key = key
    draft.patient = {"reference": f"Patient/{patient['id']}"}
    draft.state(patient, draft.mode)


def state_merge(draft: Draft, pid: Segment, mrg: Segment) -> None:
    """PID survives, MRG-1 is merged into it: inactive, replaced by the survivor. Raise CannotMap for a merge with itself."""
    survivor = identify(draft, pid)
    merged = _own_number(_numbers(mrg, 1))
    if merged is None:
        raise CannotMap("MRG-1 names no patient to merge")
    merged_key = patient_key(draft, merged)
    if merged_key == survivor:
        raise CannotMap("MRG-1 and PID-3 name the same patient: a patient is not merged with itself")
    merged_id, survivor_id = resource_id("Patient", *merged_key), resource_id("Patient", *survivor)
    draft.state(
        {
            "resourceType": "Patient",
            "id": survivor_id,
            "link": [{"other": {"reference": f"Patient/{merged_id}"}, "type": "replaces"}],
        },
        "patch",
    )
    draft.state(
        {
            "resourceType": "Patient",
            "id": merged_id,
            "active": False,
            "link": [{"other": {"reference": f"Patient/{survivor_id}"}, "type": "replaced-by"}],
        },
        "patch",
    )
    identifier = number_identifier(draft, merged.value, "patient", merged.kind or "MR", merged_key[0])
    shell = {"resourceType": "Patient", "id": merged_id, "identifier": [identifier], "managingOrganization": draft.organization}
    draft.state(shell, "fill")
