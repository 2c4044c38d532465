"""HL7 v2 PID, PD1, PDA → Patient.

https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-segment-pid-to-patient.html
"""

from __future__ import annotations

from typing import Any

from mappers.base import CannotMap, Resource
from mappers.datatypes import id_birth_date, identifiers_from_id_number, looks_like_id_number, valid_id_number
from mappers.hl7v2.draft import Draft
from mappers.hl7v2.message import Segment
from mappers.hl7v2.participants import general_practitioners
from mappers.hl7v2.patient_extensions import birth_time, patient_extensions
from mappers.hl7v2.related import contacts
from mappers.hl7v2.types import (
    LocalId,
    address,
    assigned_identifier,
    codeable_concept,
    human_name,
    namespace,
    number_identifier,
    once,
    positive,
    read_cx,
    telecoms,
)
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
# HL7 table 0002, GB/T 2261.2 and the words of HIS screens → v3-MaritalStatus. Separated (A) and one-digit local codes have no
# certain one there and stay as the source wrote them.
MARITAL_STATUS = {
    **{code: code for code in "CDIMSW"},
    "B": "U",
    "E": "L",
    "G": "T",
    "N": "A",
    "P": "T",
    "R": "T",
    "10": "S",
    "20": "M",
    "21": "M",
    "22": "M",
    "23": "M",
    "30": "W",
    "40": "D",
    "SINGLE": "S",
    "MARRIED": "M",
    "WIDOWED": "W",
    "DIVORCED": "D",
    "未婚": "S",
    "已婚": "M",
    "丧偶": "W",
    "离婚": "D",
}
NOT_STATED = {"90", "UNK", "U", "T"}

# CX.5 (table 0203 and local): the number of an ID card; numbers that are a card's or an insurer's, not the facility's own
ID_CARD_KINDS = {"NI", "NNCHN", "NNCN", "ID", "IDCARD", "SFZ", "身份证", "居民身份证", "01"}
HEALTH_CARD_KINDS = {"JKK", "HC", "健康卡"}
FOREIGN_KINDS = {"SS", "SSN", "DL", "PPN", "PRC", "JHN", "SB", "TAX", "MA", "MC", "CZ", *HEALTH_CARD_KINDS}
# Which of several local numbers is the business key, best first
LOCAL_KINDS = ("MR", "MRN", "PI", "PT", "PN", "U", "")


def is_id_card(number: LocalId) -> bool:
    if number.kind in ID_CARD_KINDS or number.oid == ID_CARD or (number.authority == "CN" and looks_like_id_number(number.value)):
        return True
    return number.kind not in LOCAL_KINDS[:5] and len(number.value) == 18 and valid_id_number(number.value) is not None


def numbers_of(segment: Segment, field: int) -> list[LocalId]:
    found = (read_cx(segment, field, n) for n in range(1, segment.count(field) + 1))
    return [number for number in found if number.value]


def own_number(numbers: list[LocalId]) -> LocalId | None:
    own = [number for number in numbers if not is_id_card(number) and number.kind not in FOREIGN_KINDS]
    rank = {kind: place for place, kind in enumerate(LOCAL_KINDS)}
    return min(own, key=lambda number: rank.get(number.kind, len(rank)), default=None)


def patient_key(draft: Draft, number: LocalId) -> tuple[str, ...]:
    return namespace(draft, number.authority), number.value


def identify(draft: Draft, pid: Segment) -> tuple[str, ...]:
    """Namespace and local number; without a local number the ID card's. Raise CannotMap when there is neither."""
    own = own_number(numbers_of(pid, 3))
    if own is not None:
        return patient_key(draft, own)
    card = next((number for number in _id_card_numbers(pid) if valid_id_number(number)), None)
    if card is None:
        raise CannotMap("no patient identifier: PID-3 has no local number and there is no valid ID card number")
    draft.note("missing", f"{pid.where}-3", "no local number; the ID card number identifies the patient", "information")
    return draft.facility, f"id:{valid_id_number(card)}"


def _id_card_numbers(pid: Segment) -> list[str]:
    """ID card numbers wherever sources put them: typed in PID-3, in PID-19, PID-2 or PID-4."""
    found = [number.value for number in numbers_of(pid, 3) if is_id_card(number)]
    if looks_like_id_number(pid.value(19)):
        found.append(pid.value(19))
    found += [value for field in (2, 4) if (value := pid.value(field)) and len(value) == 18 and valid_id_number(value)]
    return list(dict.fromkeys(found))


def _identifiers(draft: Draft, pid: Segment, cards: list[str]) -> list[dict[str, Any]]:
    identifiers: list[dict[str, Any]] = []
    for number in numbers_of(pid, 3):
        if is_id_card(number):
            continue
        if number.kind in HEALTH_CARD_KINDS or number.oid == HEALTH_CARD:
            identifiers.append({"system": HEALTH_CARD, "value": number.value})
        elif number.kind in FOREIGN_KINDS:
            identifiers.append(assigned_identifier(draft, number, number.kind.lower(), number.kind))
        else:
            identifiers.append(assigned_identifier(draft, number, "patient", number.kind or "MR"))
    known = {entry["value"] for entry in identifiers} | set(cards)
    for field in (2, 4):
        for number in numbers_of(pid, field):
            if number.value not in known:
                identifiers.append(number_identifier(draft, number.value, "patient-other", "", namespace(draft, number.authority)))
    for card in cards:
        identifiers += identifiers_from_id_number(card, facility=draft.facility, where=f"{pid.where}-3/19", issues=draft.issues)
    if (social := pid.value(19)) and not looks_like_id_number(social):
        identifiers.append(number_identifier(draft, social, "ss", "SS"))
    if licence := pid.value(20):
        identifiers.append(number_identifier(draft, licence, "dl", "DL", namespace(draft, pid.value(20, 2))))
    unique = {(entry["system"], entry["value"]): entry for entry in reversed(identifiers)}
    return list(reversed(unique.values()))


def _gender(draft: Draft, pid: Segment, patient: Resource) -> None:
    code = pid.value(8)
    gender = draft.translate(ADMINISTRATIVE_GENDER, code, f"{pid.where}-8", "HL7 table 0001")
    if gender:
        patient["gender"] = gender
    if code and code.upper() not in {"F", "M", "O", "U"}:
        system = GENDER_CN if code in {"0", "1", "2", "9"} else draft.local("gender")
        patient["extension"] = [{"url": SOURCE_GENDER, "valueCoding": {"system": system, "code": " ".join(code.split())}}]


def _marital_status(draft: Draft, pid: Segment) -> dict[str, Any] | None:
    code = pid.value(16)
    if not code:
        return None
    if code in NOT_STATED:
        return {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-NullFlavor", "code": "UNK"}]}
    text = {"text": pid.value(16, 2) or code}
    mapped = MARITAL_STATUS.get(code.upper())
    if mapped:
        return {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus", "code": mapped}], **text}
    draft.note("unmapped-code", f"{pid.where}-16", "kept as text", system="HL7 table 0002", value=code[:16])
    return text


def _deceased(draft: Draft, pid: Segment, patient: Resource) -> None:
    """PID-29, else PID-30, else PDA-3: a death certificate says it too."""
    certified = draft.message.first("PDA")
    if when := draft.datetime(pid, 29):
        patient["deceasedDateTime"] = when
    elif pid.value(30) in {"Y", "N"}:
        patient["deceasedBoolean"] = pid.value(30) == "Y"
    elif certified and certified.value(3) == "Y":
        patient["deceasedBoolean"] = True


def _check_id_card(draft: Draft, pid: Segment, cards: list[str], patient: Resource) -> None:
    """Birth date and sex stand inside an ID card number too (GB 11643); where they say something else, a person must look."""
    valid = [number for card in cards if (number := valid_id_number(card))]
    if len(set(valid)) > 1:
        draft.note("conflict", f"{pid.where}-3/19", "two different ID card numbers")
    for number in valid[:1]:
        born = patient.get("birthDate") or ""
        if born and not id_birth_date(number).startswith(born):
            draft.note("conflict", f"{pid.where}-7", "not the birth date of the ID card number")
        sex = "male" if int(number[16]) % 2 else "female"
        if patient.get("gender") in {"male", "female"} and patient["gender"] != sex:
            draft.note("conflict", f"{pid.where}-8", "not the sex of the ID card number")


def _multiple_birth(pid: Segment) -> dict[str, Any]:
    if order := positive(pid.value(25)):
        return {"multipleBirthInteger": order}
    return {"multipleBirthBoolean": pid.value(24) == "Y"} if pid.value(24) in {"Y", "N"} else {}


def _names(draft: Draft, pid: Segment) -> list[dict[str, Any]]:
    """PID-5 and the aliases of PID-9, of which nothing but their type says what they are."""
    names = once(name for n in range(1, pid.count(5) + 1) if (name := human_name(draft, pid, 5, n)))
    if not names:
        if not pid.deleted(5):
            draft.note("missing", f"{pid.where}-5", "no name", "information")
        return []
    for n in range(1, pid.count(9) + 1):
        if alias := human_name(draft, pid, 9, n):
            if not pid.value(9, 7, 1, n):
                alias.pop("use")
            names.append(alias)
    return names


# PID field → Patient element: an empty field says nothing, "" deletes the element
DELETABLE = {
    5: "name",
    7: "birthDate",
    8: "gender",
    11: "address",
    13: "telecom",
    15: "communication",
    16: "maritalStatus",
    29: "deceasedDateTime",
}


def patient_from_pid(draft: Draft, pid: Segment, key: tuple[str, ...]) -> Resource:
    """What the PID states of the patient; a null stands for an element that is to be deleted."""
    patient: Resource = {"resourceType": "Patient", "id": resource_id("Patient", *key)}
    cards = _id_card_numbers(pid)
    patient["identifier"] = _identifiers(draft, pid, cards)
    homes = [home for n in range(1, pid.count(11) + 1) if (home := address(pid, 11, n))]
    phones = telecoms(pid, (13, ""), (14, "work"), (40, ""))
    if homes and (county := pid.value(12)):
        homes[0].setdefault("district", county)
    language = codeable_concept(draft, pid, 15, "language")
    stated = {
        "name": _names(draft, pid),
        "address": homes,
        "telecom": phones,
        "maritalStatus": _marital_status(draft, pid),
        "birthDate": draft.date(pid, 7),
        "communication": [{"language": language, "preferred": True}] if language else None,
        "generalPractitioner": general_practitioners(draft),
    }
    patient |= {element: value for element, value in stated.items() if value} | _multiple_birth(pid)
    if "birthDate" in patient:
        patient |= birth_time(draft, pid)
    _gender(draft, pid, patient)
    _check_id_card(draft, pid, cards, patient)
    _deceased(draft, pid, patient)
    if extensions := [*patient.get("extension", ()), *patient_extensions(draft, pid)]:
        patient["extension"] = extensions
    patient["managingOrganization"] = draft.organization
    if draft.mode == "patch":
        patient |= {element: None for field, element in DELETABLE.items() if pid.deleted(field) and element not in patient}
        if pid.deleted(14) and not pid.deleted(13):
            patient["telecom"] = [*(phones or ()), {"use": "work"}]  # a use without a number: there is none
        if pid.deleted(19) and not cards:
            patient["identifier"].append({"system": ID_CARD})  # a system without a number: there is none
    return patient


def state_patient(draft: Draft, pid: Segment) -> None:
    """Add the patient of the message; what follows refers to it."""
    key = identify(draft, pid)
    patient = patient_from_pid(draft, pid, key)
    draft.patient_key = key
    draft.patient = {"reference": f"Patient/{patient['id']}"}
    if people := contacts(draft):
        patient["contact"] = people
    draft.state(patient, draft.mode)
