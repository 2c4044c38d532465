"""C-CDA problems, allergies and family history → Condition, AllergyIntolerance, FamilyMemberHistory."""

from __future__ import annotations

from typing import Any

from connectors.xml import Element
from mappers.base import Resource
from mappers.cda.ccda_values import amount, codeable, entry_id, negated, times
from mappers.cda.document import Document, coding
from mappers.cda.entries import Section, Statement, every
from mappers.cda.reader import attribute, below, child, local, text_of

TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"
# What is asserted: the kind of allergy (value set 2.16.840.1.113883.3.88.12.3221.6.2, SNOMED CT) → category, type
KINDS = {
    **{"419199007": ("", "allergy"), "418038007": ("", ""), "420134006": ("", "")},
    **{"416098002": ("medication", "allergy"), "419511003": ("medication", ""), "59037007": ("medication", "intolerance")},
    **{"414285001": ("food", "allergy"), "418471000": ("food", ""), "235719002": ("food", "intolerance")},
    **{"426232007": ("environment", "allergy")},
}
# Negated and without a substance: no more is denied than the kind that was asked about
NONE_KNOWN = {
    "": ("716186003", "No known allergy"),
    "medication": ("409137002", "No known drug allergy"),
    "food": ("429625007", "No known food allergy"),
    "environment": ("428607008", "No known environmental allergy"),
}
SEVERITY = {"255604002": "mild", "6736007": "moderate", "24484000": "severe"}  # SNOMED CT
REACTION_RELATION, SEVERITY_CODE, STATUS_CODE, AGE_AT_ONSET = "MFST", "SEV", "33999-4", "445518008"


def _around(found: Statement, name: str) -> Element | None:
    return next((e for e in found.element.iterancestors(name)), None)


def state_problem(document: Document, found: Statement) -> None:
    element = found.element
    code = codeable(document, child(element, "value"))
    if code is None or not (found.kind in ("CD", "CE") or code.get("text")):
        return
    concern = _around(found, "act")
    start, end = times(document, element)
    ended = end or attribute(child(concern, "statusCode"), "code") == "completed"
    condition: Resource = {
        "resourceType": "Condition",
        "id": entry_id(document, "Condition", element),
        "clinicalStatus": coding(f"{TERMINOLOGY}condition-clinical", "resolved" if ended else "active"),
        "category": [coding(f"{TERMINOLOGY}condition-category", "problem-list-item", "Problem List Item")],
        "code": code,
        "subject": document.patient,
        **({"onsetDateTime": start} if start else {}),
        **({"abatementDateTime": end} if end else {}),
    }
    if negated(element):
        condition["verificationStatus"] = coding(f"{TERMINOLOGY}condition-ver-status", "refuted")
        condition.pop("abatementDateTime", None)
        condition["clinicalStatus"] = coding(f"{TERMINOLOGY}condition-clinical", "inactive")
    document.use("Condition", element, *_status_parts(found))
    document.add(document.of_document(condition), at=element)


def _status_parts(found: Statement) -> list[Element]:
    return [inner.element for inner in every(found.children) if attribute(child(inner.element, "code"), "code") == STATUS_CODE]


def state_allergy(document: Document, found: Statement) -> None:
    element = found.element
    substance = next(below(element, "playingEntity"), None)
    code = codeable(document, child(substance, "code")) or ({"text": text} if (text := text_of(child(substance, "name"))) else None)
    category, kind = KINDS.get(attribute(child(element, "value"), "code"), ("", ""))
    none_known = code is None and negated(element)
    if none_known:
        known, name = NONE_KNOWN[category]
        code = {"coding": [{"system": "http://snomed.info/sct", "code": known, "display": name}]}
    if code is None:
        return
    start, end = times(document, element)
    concern = attribute(child(_around(found, "act"), "statusCode"), "code")
    allergy: Resource = {
        "resourceType": "AllergyIntolerance",
        "id": entry_id(document, "AllergyIntolerance", element),
        "clinicalStatus": coding(
            f"{TERMINOLOGY}allergyintolerance-clinical", "resolved" if end else "inactive" if concern == "completed" else "active"
        ),
        **({"type": kind} if kind and not none_known else {}),
        **({"category": [category]} if category else {}),
        "code": code,
        "patient": document.patient,
        **({"onsetDateTime": start} if start else {}),
    }
    if negated(element) and not none_known:
        allergy["verificationStatus"] = coding(f"{TERMINOLOGY}allergyintolerance-verification", "refuted")
    if reactions := [reaction for inner in found.children if (reaction := _reaction(document, inner))]:
        allergy["reaction"] = reactions
    document.use("AllergyIntolerance", element, *_status_parts(found))
    document.add(document.of_document(allergy), at=element)


def _reaction(document: Document, inner: Statement) -> dict[str, Any] | None:
    relation = inner.element.getparent()
    if attribute(relation, "typeCode") != REACTION_RELATION:
        return None
    manifestation = codeable(document, child(inner.element, "value"))
    if manifestation is None:
        return None
    document.use("AllergyIntolerance.reaction", inner.element)
    reaction: dict[str, Any] = {"manifestation": [manifestation]}
    for part in every(inner.children):
        known = SEVERITY.get(attribute(child(part.element, "value"), "code"))
        if attribute(child(part.element, "code"), "code") == SEVERITY_CODE and known:
            reaction["severity"] = known
            document.use("AllergyIntolerance.reaction.severity", part.element)
    return reaction


# ---------------------------------------------------------------- relatives


def is_of_another(element: Element) -> bool:
    """A subject of its own: a relative, a fetus. Nothing of theirs is the patient's."""
    around = (element, *element.iterancestors("organizer", "act", "observation"))
    return any(child(e, "subject") is not None for e in around)


def state_family(document: Document, section: Section) -> None:
    """An organizer with a related subject → FamilyMemberHistory."""
    members: dict[Element, list[Statement]] = {}
    for found in section.statements:
        if found.group is not None and local(found.group) == "organizer" and found.what == "observation" and not found.negated:
            members.setdefault(found.group, []).append(found)
    for organizer, observations in members.items():
        relative = child(organizer, "subject", "relatedSubject")
        relationship = codeable(document, child(relative, "code"))
        if relationship is None:
            continue
        conditions = [condition for found in observations if (condition := _family_condition(document, found))]
        sex = {"M": "male", "F": "female"}.get(attribute(child(relative, "subject", "administrativeGenderCode"), "code"))
        member: Resource = {
            "resourceType": "FamilyMemberHistory",
            "id": entry_id(document, "FamilyMemberHistory", organizer),
            "status": "completed",
            "patient": document.patient,
            "relationship": relationship,
            **({"sex": coding("http://hl7.org/fhir/administrative-gender", sex)} if sex else {}),
            **({"condition": conditions} if conditions else {}),
        }
        document.use("FamilyMemberHistory", organizer)
        document.add(member, at=organizer)


def _family_condition(document: Document, found: Statement) -> dict[str, Any] | None:
    code = codeable(document, child(found.element, "value"))
    if code is None:
        return None
    condition: dict[str, Any] = {"code": code}
    document.use("FamilyMemberHistory.condition", found.element)
    for inner in found.children:
        age = amount(child(inner.element, "value"))
        if attribute(child(inner.element, "code"), "code") == AGE_AT_ONSET and age and age.get("code") in ("a", "mo", "wk", "d"):
            condition["onsetAge"] = age
            document.use("FamilyMemberHistory.condition.onset", inner.element)
    return condition
