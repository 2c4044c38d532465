"""Which resources prove that a facility treats a patient, and for how long."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from hub.security.labels import compartment_of, labels_of
from hub.security.policy import CLINICAL_TYPES
from hub.security.relations import DAY, relations
from hub.settings import Policy
from profiles.validation import resource_types

NOW = int(datetime(2025, 6, 15, tzinfo=UTC).timestamp() * 1000)
POLICY = Policy()
SUBJECT = {"subject": {"reference": "Patient/p1"}}


def until(resource: dict[str, Any]) -> list[tuple[str, int]]:
    """(facility, whole days from now)"""
    return [(facility, (end - NOW) // DAY) for facility, _, end in relations(resource | SUBJECT, "CTY", NOW, POLICY)]


@pytest.mark.parametrize(
    ("encounter", "days"),
    [
        ({"status": "in-progress"}, 365),
        ({"status": "in-progress", "period": {"start": "2025-06-05T00:00:00Z"}}, 355),
        ({"status": "in-progress", "period": {"start": "2099-01-01"}}, 365),
        ({"status": "finished", "period": {"end": "2025-06-10T00:00:00Z"}}, 25),
        ({"status": "finished", "period": {"end": "2025-06"}}, 30),
        ({"status": "finished", "period": {"end": "2025-06-10"}}, 25),
        ({"status": "finished", "period": {"end": "2024"}}, None),
        ({"status": "finished"}, 30),
        ({"status": "planned"}, None),
        ({"status": "cancelled"}, None),
        ({"status": "entered-in-error"}, None),
    ],
)
def test_encounters(encounter: dict[str, Any], days: int | None) -> None:
    assert until({"resourceType": "Encounter", **encounter}) == ([("CTY", days)] if days else [])


def test_an_order_and_the_facility_it_is_sent_to() -> None:
    order = {"resourceType": "ServiceRequest", "status": "active", "authoredOn": "2025-06-15T00:00:00Z"}
    assert until(order) == [("CTY", 30)]
    assert until({**order, "performer": [{"reference": "Organization/TWN"}]}) == [("CTY", 30), ("TWN", 30)]
    assert until({**order, "status": "completed"}) == []
    assert until({**order, "resourceType": "MedicationRequest", "performer": {"reference": "Organization/TWN"}}) == [("CTY", 30)]


@pytest.mark.parametrize("resource", [{"resourceType": "Observation"}, {"resourceType": "Patient"}])
def test_nothing_else_proves_treatment(resource: dict[str, Any]) -> None:
    assert until(resource) == []


def test_whose_it_is_must_be_said() -> None:
    assert relations({"resourceType": "Encounter", "status": "in-progress"}, "CTY", NOW, POLICY) == []
    assert relations({"resourceType": "Account", "subject": [SUBJECT["subject"]]}, "CTY", NOW, POLICY) == []


def test_a_type_nobody_listed_is_the_administrators_alone() -> None:
    assert set(resource_types()) - CLINICAL_TYPES <= {
        "AuditEvent",
        "BiologicallyDerivedProduct",
        "MessageHeader",
        "OperationOutcome",
        "Parameters",
        "Subscription",
        *(kind for kind in resource_types() if kind.startswith(("MedicinalProduct", "Substance"))),
    }


ORGANIZATION = {"reference": "Organization/TWN"}
SUBJECTS = {"patient": SUBJECT["subject"], "for": SUBJECT["subject"]}


def rows(kind: str, **more: Any) -> list[tuple[str, str, int]]:
    return relations({"resourceType": kind, **SUBJECTS, **more}, "CTY", NOW, POLICY)


def test_a_contract_opens_the_record_for_as_long_as_it_runs() -> None:
    signed = {"status": "active", "managingOrganization": ORGANIZATION}
    assert [(party, (end - NOW) // DAY) for party, _, end in rows("EpisodeOfCare", **signed)] == [("CTY", 365), ("TWN", 365)]
    assert [end for *_, end in rows("EpisodeOfCare", **signed, period={"start": "2025-01-01", "end": "2025-06-20"})] == [
        int(datetime(2025, 6, 20, 16, tzinfo=UTC).timestamp() * 1000)
    ] * 2
    for over in ({"period": {"end": "2025-06-01"}}, {"status": "finished"}, {"status": "planned"}, {"period": {"start": "2026"}}):
        assert rows("EpisodeOfCare", **{**signed, **over}) == []


def test_a_request_opens_it_to_the_facility_that_is_asked() -> None:
    asked = {"status": "requested", "authoredOn": "2025-06-15T00:00:00Z", "owner": ORGANIZATION}
    assert [(party, (end - NOW) // DAY) for party, _, end in rows("Task", **asked)] == [("TWN", 30)]
    assert rows("Task", **{**asked, "status": "completed"}) == rows("Task", status="requested") == []


PRIVACY = {"scope": {"coding": [{"code": "patient-privacy"}]}, "status": "active", "verification": [{"verified": True}]}
TOWN = [{"role": {}, "reference": ORGANIZATION}]
HIV = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "HIV"}
PSY = {**HIV, "code": "PSY"}


@pytest.mark.parametrize(
    ("provision", "said"),
    [
        ({"type": "permit", "actor": TOWN}, {("+TWN", "p1")}),
        ({"type": "permit"}, set()),
        ({"type": "permit", "actor": TOWN, "class": [{"code": "Observation"}]}, set()),
        ({"type": "permit", "actor": TOWN, "period": {"end": "2025-06-14"}}, set()),
        ({"type": "permit", "actor": TOWN, "period": {"start": "2025-07"}}, set()),
        ({"type": "deny"}, {("-*", "p1")}),
        ({"type": "deny", "actor": TOWN, "class": [{"code": "Observation"}]}, {("-TWN", "p1")}),
        ({"type": "deny", "provision": [{"type": "permit", "actor": TOWN}]}, {("-*", "p1"), ("+TWN", "p1")}),
        ({"type": "permit", "actor": TOWN, "provision": [{"type": "deny"}]}, {("+TWN", "p1"), ("-TWN", "p1")}),
        ({"type": "permit", "actor": TOWN, "securityLabel": [HIV]}, {("+TWN", "!HIV!p1")}),
        ({"type": "permit", "actor": TOWN, "securityLabel": [PSY, HIV]}, {("+TWN", f"!{x}!p1") for x in ("HIV", "PSY", "HIV+PSY")}),
        ({"type": "permit", "actor": TOWN, "securityLabel": [{"code": "unheard"}]}, set()),
        ({}, set()),
    ],
)
def test_what_a_resident_decided(provision: dict[str, Any], said: set[tuple[str, str]]) -> None:
    assert {(party, place) for party, place, _ in rows("Consent", **PRIVACY, provision=provision)} == said
    for other in ({"status": "inactive"}, {"scope": {"coding": [{"code": "research"}]}}):
        assert rows("Consent", **{**PRIVACY, **other}, provision=provision) == []
    unproved = {(party, place) for party, place, _ in rows("Consent", **{**PRIVACY, "verification": []}, provision=provision)}
    assert unproved == {row for row in said if row[0].startswith("-")}, "a permission needs proof, a denial none"


@pytest.mark.parametrize(
    ("more", "labels"),
    [
        ({}, ()),
        ({"meta": {"security": [HIV]}}, ("HIV",)),
        ({"meta": {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "V"}]}}, ("R",)),
        ({"meta": {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "N"}]}}, ()),
        ({"code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": "B20.1"}]}}, ("HIV",)),
        ({"code": {"coding": [{"system": "urn:oid:2.16.156.10011.2.3.3.11", "code": "F20.000x001"}]}}, ("PSY",)),
        ({"reasonCode": [{"coding": [{"system": "urn:local", "code": "F20"}]}]}, ()),
        ({"component": [{"code": {"coding": [{"system": "http://loinc.org", "code": "56888-1"}]}}]}, ("HIV",)),
        ({"code": {"coding": "wrong"}, "meta": [], "component": {}}, ()),
    ],
)
def test_what_closes_a_record(more: dict[str, Any], labels: tuple[str, ...]) -> None:
    resource = {"resourceType": "Observation", **SUBJECT, **more}
    assert labels_of(resource) == labels
    assert compartment_of(resource) == (f"!{'+'.join(labels)}!p1" if labels else "p1")
    assert compartment_of({**resource, "resourceType": "Consent", "patient": SUBJECT["subject"]}) == "p1"
