"""HL7 v2 NK1 → Patient.contact and RelatedPerson; GT1 → RelatedPerson and Account.guarantor; PID-21 → RelatedPerson (mother).

https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-segment-nk1-to-patient.html
"""

from __future__ import annotations

from typing import Any

from mappers.base import Resource
from mappers.hl7v2.draft import Draft
from mappers.hl7v2.message import Segment
from mappers.hl7v2.types import address, codeable_concept, human_name, namespace, number_identifier, read_cx, telecoms
from mappers.identity_keys import resource_id

# HL7 table 0063: codes that senders write without naming it
RELATIONSHIPS = frozenset(
    [
        "ASC",
        "BRO",
        "CGV",
        "CHD",
        "DEP",
        "DOM",
        "EMC",
        "EME",
        "EMR",
        "EXF",
        "FCH",
        "FND",
        "FTH",
        "GCH",
        "GRD",
        "GRP",
        "MGR",
        "MTH",
        "NCH",
        "NON",
        "OAD",
        "OTH",
        "OWN",
        "PAR",
        "SCH",
        "SEL",
        "SIB",
        "SIS",
        "SPO",
        "TRA",
        "UNK",
        "WRD",
    ]
)
RELATIONSHIP = "http://terminology.hl7.org/CodeSystem/v2-0063"
ROLE_CODE = "http://terminology.hl7.org/CodeSystem/v3-RoleCode"
# HL7 table 0001 as NK1-15 and GT1-9 hold it; more stands in patient.ADMINISTRATIVE_GENDER
GENDER = {"F": "female", "M": "male", "O": "other", "U": "unknown"}


def relationship(draft: Draft, segment: Segment, field: int, kind: str = "relationship") -> dict[str, Any] | None:
    found = codeable_concept(draft, segment, field, kind)
    coding = (found or {}).get("coding") or [{}]
    if coding[0].get("code") in RELATIONSHIPS and coding[0].get("system") == draft.local(kind):
        coding[0]["system"] = RELATIONSHIP
    return found


def _period(draft: Draft, segment: Segment, start: int, end: int) -> dict[str, str]:
    """An end before the beginning is left out by being no period at all."""
    edges = {"start": draft.date(segment, start), "end": draft.date(segment, end)}
    stated = {edge: when for edge, when in edges.items() if when}
    if len(stated) == 2 and stated["end"] < stated["start"]:
        draft.refuse(segment, end)
        draft.note("conflict", f"{segment.where}-{end}", "ends before it begins: the end is left out")
        stated.pop("end")
    return stated


def _contact(draft: Draft, nk1: Segment) -> dict[str, Any]:
    roles = [found for found in (relationship(draft, nk1, 3), codeable_concept(draft, nk1, 7, "contact-role")) if found]
    stated = {
        "relationship": roles,
        "name": human_name(draft, nk1, 2) or human_name(draft, nk1, 30),
        "telecom": telecoms(nk1, (5, ""), (6, "work"), (31, ""), (40, "")),
        "address": address(nk1, 4) or address(nk1, 32),
        "gender": draft.translate(GENDER, nk1.value(15), f"{nk1.where}-15", "HL7 table 0001"),
        "organization": {"display": nk1.value(13)} if nk1.value(13) else None,
        "period": _period(draft, nk1, 8, 9),
    }
    return {element: value for element, value in stated.items() if value}


def contacts(draft: Draft) -> list[dict[str, Any]]:
    """NK1 → Patient.contact. One whom a number identifies (NK1-33) is a RelatedPerson too."""
    found = []
    for nk1 in draft.message.segments("NK1"):
        contact = _contact(draft, nk1)
        if not contact.keys() & {"name", "telecom", "address", "organization"}:  # pat-1: a contact says who or how
            continue
        found.append(contact)
        number = read_cx(nk1, 33)
        if number.value:
            identifier = number_identifier(draft, number.value, "related-person", number.kind, namespace(draft, number.authority))
            person: Resource = {
                "resourceType": "RelatedPerson",
                "id": resource_id("RelatedPerson", *draft.patient_key, namespace(draft, number.authority), number.value),
                "identifier": [identifier],
                "patient": draft.patient,
                **{name: contact[name] for name in ("relationship", "telecom", "gender", "period") if name in contact},
                **{name: [contact[name]] for name in ("name", "address") if name in contact},
            }
            if born := draft.date(nk1, 16):
                person["birthDate"] = born
            draft.state(person)
    return found


def state_mother(draft: Draft, pid: Segment) -> None:
    """PID-21, of a newborn: the mother's own number."""
    number = read_cx(pid, 21)
    if not number.value:
        return
    space = namespace(draft, number.authority)
    coding = [{"system": ROLE_CODE, "code": "MTH", "display": "mother"}]
    draft.state(
        {
            "resourceType": "RelatedPerson",
            "id": resource_id("RelatedPerson", *draft.patient_key, "mother", number.value),
            "identifier": [number_identifier(draft, number.value, "patient", number.kind or "MR", space)],
            "patient": draft.patient,
            "relationship": [{"coding": coding}],
        }
    )


def state_guarantors(draft: Draft) -> None:
    """GT1 → who pays, as a RelatedPerson; of an account (PID-18) its guarantor. The patient themselves need no second resource."""
    guarantors = []
    for gt1 in draft.message.segments("GT1"):
        relation = relationship(draft, gt1, 11)
        period = _period(draft, gt1, 13, 14)
        codes = {coding.get("code") for coding in (relation or {}).get("coding", ())}
        party = draft.patient if codes & {"SEL", "SELF", "18"} else _guarantor(draft, gt1, relation, period)
        if party:
            guarantors.append({"party": party, **({"period": period} if period else {})})
    if guarantors and draft.account:
        draft.state(
            {"resourceType": "Account", "id": draft.account["reference"].partition("/")[2], "guarantor": guarantors}, draft.mode
        )


def _guarantor(draft: Draft, gt1: Segment, relation: dict[str, Any] | None, period: dict[str, str]) -> dict[str, Any] | None:
    name, employer = human_name(draft, gt1, 3), gt1.value(51) or gt1.value(21)
    number = gt1.value(2)
    if name is None and not number:
        draft.note("missing", f"{gt1.where}-3", "a guarantor without name and number")
        return None
    stated = {
        "identifier": [number_identifier(draft, number, "guarantor")] if number else [],
        "relationship": [
            found for found in (relation, {"coding": [{"system": ROLE_CODE, "code": "GUAR", "display": "guarantor"}]}) if found
        ],
        "name": [name] if name else [],
        "telecom": telecoms(gt1, (6, ""), (7, "work")),
        "gender": draft.translate(GENDER, gt1.value(9), f"{gt1.where}-9", "HL7 table 0001"),
        "birthDate": draft.date(gt1, 8),
        "address": [home for n in range(1, gt1.count(5) + 1) if (home := address(gt1, 5, n))],
        "period": period,
    }
    if social := gt1.value(12):
        stated["identifier"] = [*stated["identifier"], number_identifier(draft, social, "ss", "SS")]  # type: ignore[misc]
    if employer and not name:
        stated["name"] = [{"text": employer}]
    person = {
        "resourceType": "RelatedPerson",
        "id": resource_id("RelatedPerson", *draft.patient_key, "guarantor", number or (name or {})["text"]),
        "patient": draft.patient,
        **{element: value for element, value in stated.items() if value},
    }
    draft.state(person)
    return {"reference": f"RelatedPerson/{person['id']}"}
