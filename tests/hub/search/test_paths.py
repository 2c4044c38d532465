"""Chains and `_has`, in any mixture. https://hl7.org/fhir/R4/search.html#chaining #has"""

from __future__ import annotations

import pytest

from hub.errors import HubError, Kind
from hub.search.parse import parse_search
from hub.search.query import AnyOf, Chain, Criterion, Has, ReferenceValue, StringValue, TokenValue


def condition(kind, name, text="x"):
    (found,) = parse_search(kind, [(name, text)], now=0).query.criteria
    return found


def refusal(kind, name, text="x"):
    with pytest.raises(HubError) as refused:
        parse_search(kind, [(name, text)], now=0)
    return refused.value


NAME = Criterion("name", "string", (StringValue("x"),))
CODE = Criterion("code", "token", (TokenValue(None, "x"),))


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        ("Observation", "subject:Patient.name", Chain("subject", "Patient", NAME)),
        ("Observation", "patient.name", Chain("patient", "Patient", NAME)),  # its only target
        (
            "Observation",
            "subject:Patient.name:exact",
            Chain("subject", "Patient", Criterion("name", "string", (StringValue("x"),), "exact")),
        ),
        (
            "Observation",
            "encounter.location.partof.organization.name",
            Chain(
                "encounter",
                "Encounter",
                Chain("location", "Location", Chain("partof", "Location", Chain("organization", "Organization", NAME))),
            ),
        ),
        ("Patient", "_has:Observation:patient:code", Has("Observation", "patient", CODE)),
        (
            "Patient",
            "_has:Observation:patient:_has:Observation:derived-from:code",
            Has("Observation", "patient", Has("Observation", "derived-from", CODE)),
        ),
        (
            "Encounter",
            "subject:Patient._has:Condition:patient:evidence-detail:Observation.code",
            Chain("subject", "Patient", Has("Condition", "patient", Chain("evidence-detail", "Observation", CODE))),
        ),
        (
            "Patient",
            "_has:Group:member:_id",
            Has("Group", "member", Criterion("_id", "token", (TokenValue(None, "x"),))),
        ),
        (
            "Patient",
            "_has:Encounter:patient:location",
            Has("Encounter", "patient", Criterion("location", "reference", (ReferenceValue("Location", "x"),))),
        ),
        ("Observation", "subject:Patient._text", Chain("subject", "Patient", Criterion("_text", "special", (StringValue("x"),)))),
    ],
)
def test_a_name_leads_through_other_resources(kind, name, expected):
    assert condition(kind, name) == expected


def test_without_a_type_a_chain_leads_to_every_type_that_has_what_is_asked():
    assert condition("Observation", "subject.name") == AnyOf(
        (Chain("subject", "Patient", NAME), Chain("subject", "Location", NAME))
    )
    assert {each.type for each in condition("Provenance", "target.birthdate", "1970").conditions} == {
        "Patient",
        "Person",
        "RelatedPerson",
    }


@pytest.mark.parametrize(
    ("kind", "name", "named"),
    [
        ("Observation", "subject:Patient.shoe", "shoe"),
        ("Observation", "subject.shoe", "shoe"),
        ("Observation", "shoe.name", "shoe"),
        ("Observation", "code.name", "code"),
        ("Observation", "subject:Shoe.name", "Shoe"),
        ("Observation", "subject:Medication.name", "subject"),
        ("Observation", "subject:Patient.name.given", "name"),
        ("Observation", "subject:Patient._filter", "_filter"),
        ("Patient", "_has", "_has"),
        ("Patient", "_has:Observation:patient", "_has"),
        ("Patient", "_has:Observation:patient:", "_has"),
        ("Patient", "_has:Shoe:patient:code", "Shoe"),
        ("Patient", "_has:Observation:shoe:code", "shoe"),
        ("Patient", "_has:Observation:code:code", "code"),
        ("Patient", "_has:Observation:specimen:code", "specimen"),  # never refers to a Patient
        ("Patient", "_has:Observation:patient:shoe", "shoe"),
        ("Patient", "_has:Observation:patient:_has:Encounter:patient:status", "patient"),
    ],
)
def test_what_leads_nowhere_is_refused_by_its_name(kind, name, named):
    refused = refusal(kind, name)
    assert refused.reason in (Kind.INVALID, Kind.NOT_SUPPORTED)
    assert repr(named) in refused.message or named in refused.message


def test_a_chain_has_a_last_link():
    assert condition("Organization", "partof." * 8 + "name")
    assert refusal("Organization", "partof." * 9 + "name").reason is Kind.TOO_COSTLY
    assert condition("Observation", "_has:Observation:derived-from:" * 8 + "code")
    assert refusal("Observation", "_has:Observation:derived-from:" * 9 + "code").reason is Kind.TOO_COSTLY
    assert refusal("Observation", "_has:Observation:derived-from:has-member." * 2000 + "code").reason is Kind.TOO_COSTLY


def test_a_chain_without_types_may_not_lead_too_many_ways():
    assert condition("Provenance", "target._id")
    for name in ("target.target.target._id", "target.subject.subject.subject.subject.subject.subject.shoe"):
        assert refusal("Provenance", name).reason is Kind.TOO_COSTLY
    values = ",".join("x" * 3 for _ in range(1000))
    assert refusal("Provenance", "target._id", values).reason is Kind.TOO_COSTLY
