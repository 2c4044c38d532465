"""HL7 v2 AL1, IAM → AllergyIntolerance, one a patient and substance.

https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-segment-al1-to-allergyintolerance.html and -iam-
"""

from __future__ import annotations

from typing import Any

from mappers.base import Resource
from mappers.hl7v2.draft import Draft
from mappers.hl7v2.message import Segment
from mappers.hl7v2.types import codeable_concept, terminology
from mappers.identity_keys import resource_id

# HL7 table 0127 → AllergyIntolerance.category; "" where it names none
ALLERGY_CATEGORY = {
    "DA": "medication",
    "FA": "food",
    "EA": "environment",
    "AA": "environment",
    "PA": "environment",
    "LA": "environment",
    "MA": "",
    "MC": "",
    "DRUG": "medication",
    "FOOD": "food",
}
# HL7 table 0128 → criticality
CRITICALITY = {"SV": "high", "MO": "low", "MI": "low", "U": "unable-to-assess", "SEVERE": "high", "MODERATE": "low", "MILD": "low"}
# HL7 table 0436 (IAM-9) → AllergyIntolerance.type
SENSITIVITY = {"AL": "allergy", "IN": "intolerance"}
# HL7 table 0438 (IAM-17) → verificationStatus, clinicalStatus
CLINICAL_STATUS = {
    "C": ("confirmed", "active"),
    "D": ("refuted", "inactive"),
    "E": ("entered-in-error", ""),
    "I": ("confirmed", "inactive"),
    "P": ("unconfirmed", "active"),
    "S": ("unconfirmed", "active"),
    "U": ("unconfirmed", "active"),
}
# What sources write where there is no allergy → SNOMED CT, as the international patient summary has it
NO_ALLERGY = ("716186003", "No known allergy")
NO_DRUG_ALLERGY = ("409137002", "No known drug allergy")
NONE_KNOWN = {
    **dict.fromkeys(
        ("NKA", "NO KNOWN ALLERGIES", "NO KNOWN ALLERGY", "无过敏", "无过敏史", "否认过敏史", "NONE", "无"), NO_ALLERGY
    ),
    **dict.fromkeys(("NKDA", "NO KNOWN DRUG ALLERGIES", "无药物过敏", "无药物过敏史", "否认药物过敏史"), NO_DRUG_ALLERGY),
}
# A bare none where AL1-2 names a kind: no more is denied than was asked about
BARE = {"NONE", "无"}
NO_ALLERGY_OF = {
    "medication": NO_DRUG_ALLERGY,
    "food": ("429625007", "No known food allergy"),
    "environment": ("428607008", "No known environmental allergy"),
}
NOBODY_KNOWS = {"UNKNOWN", "UNK", "不详", "未知"}
SNOMED = "http://snomed.info/sct"
DELETED = "D"  # HL7 table 0323 (IAM-6); X is: no change


def state_allergies(draft: Draft) -> None:
    for al1 in draft.message.segments("AL1"):
        _state_allergy(draft, al1)
    for iam in draft.message.segments("IAM"):
        _state_allergy(draft, iam)


def _state_allergy(draft: Draft, segment: Segment) -> None:
    """AL1-2 … AL1-6; IAM-2 … IAM-5 are the same and it says more behind them."""
    code = codeable_concept(draft, segment, 3, "allergen")
    if code is None:
        draft.note("missing", f"{segment.where}-3", "an allergy without a substance")
        return
    name = code["coding"][0]["code"] if "coding" in code else code["text"]
    words = {name.upper(), code["text"].upper()}
    if words & NOBODY_KNOWS:
        draft.refuse(segment, 3)
        draft.note("missing", f"{segment.where}-3", "whether there is an allergy is not known: nothing is stated", "information")
        return
    category = draft.translate(ALLERGY_CATEGORY, segment.value(2), f"{segment.where}-2", "HL7 table 0127")
    if none := next((NONE_KNOWN[word] for word in sorted(words) if word in NONE_KNOWN), None):  # never a substance of that name
        none = NO_ALLERGY_OF.get(category or "", none) if words & BARE else none
        code["coding"] = [*code.get("coding", ()), {"system": SNOMED, "code": none[0], "display": none[1]}]
    verification, clinical = _status(draft, segment)
    reactions = [found for n in range(1, segment.count(5) + 1) if (found := _manifestation(draft, segment, n))]
    stated: dict[str, Any] = {
        "clinicalStatus": terminology("allergyintolerance-clinical", clinical) if clinical else None,
        "verificationStatus": terminology("allergyintolerance-verification", verification) if verification else None,
        "category": [category] if category else None,
        "criticality": draft.translate(CRITICALITY, segment.value(4).upper(), f"{segment.where}-4", "HL7 table 0128"),
        "code": code,
        "patient": draft.patient,
        "reaction": [{"manifestation": reactions}] if reactions else None,
    }
    number = ""
    if segment.name == "AL1":
        stated["onsetDateTime"] = draft.datetime(segment, 6)
    else:
        number = segment.value(7)
        stated |= _more(draft, segment, number)
    key = (*draft.patient_key, "iam", number) if number else (*draft.patient_key, name)
    allergy: Resource = {"resourceType": "AllergyIntolerance", "id": resource_id("AllergyIntolerance", *key)}
    draft.state(allergy | {element: value for element, value in stated.items() if value})


def _manifestation(draft: Draft, segment: Segment, repetition: int) -> dict[str, Any] | None:
    """AL1-5 is text, IAM-5 too."""
    text = segment.value(5, 1, 1, repetition)
    more = segment.value(5, 2, 1, repetition)
    return codeable_concept(draft, segment, 5, "reaction", repetition) if more else {"text": text} if text else None


def _status(draft: Draft, segment: Segment) -> tuple[str, str]:
    if segment.name == "AL1":
        return "", "active"
    if segment.value(6).upper() == DELETED:
        return "entered-in-error", ""
    code = segment.value(17).upper()
    if code and code not in CLINICAL_STATUS:
        draft.translate({}, code, f"{segment.where}-17", "HL7 table 0438")
    return CLINICAL_STATUS.get(code, ("", "active"))


def _more(draft: Draft, iam: Segment, number: str) -> dict[str, Any]:
    kind = iam.value(9)
    return {
        "identifier": [{"system": draft.local("allergy"), "value": number}] if number else None,
        "type": SENSITIVITY.get(kind.upper()),
        "onsetDateTime": draft.datetime(iam, 11),
        "recordedDate": draft.datetime(iam, 13) or draft.datetime(iam, 20),
        "note": [{"text": text}] if (text := iam.value(8)) else None,
    }
