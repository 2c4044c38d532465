"""Which resources prove that a facility treats a patient, and for how long."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from hub.security.policy import CLINICAL_TYPES, DAY, relations
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
