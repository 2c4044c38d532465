"""What was right once is right again, and nothing else is."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from profiles.validation import validate

CODE = {"coding": [{"system": "http://loinc.org", "code": "2823-3"}]}


def _observation(**stated: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "status": "final", "code": CODE, **stated}


def test_a_wrong_value_is_told_each_time_it_comes() -> None:
    wrong = _observation(code={"coding": [{"system": "not a uri", "code": "1"}]})
    for _ in range(3):
        assert [issue.expression for issue in validate(wrong)] == ["Observation.code.coding[0].system"]


def test_a_number_is_not_true_because_one_was_right() -> None:
    for value, faults in ((Decimal(1), 0), (True, 1), (Decimal("1.0"), 0), (True, 1)):
        assert len(validate(_observation(valueQuantity={"value": value, "unit": "g"}))) == faults


def test_a_reference_into_the_resource_is_looked_up_in_each() -> None:
    inner = {"resourceType": "Patient", "id": "p"}
    for _ in range(2):
        assert validate(_observation(contained=[inner], subject={"reference": "#p"})) == ()
        assert [issue.rule for issue in validate(_observation(subject={"reference": "#p"}))] == ["ref-1"]


def test_a_type_right_in_one_element_is_wrong_in_another() -> None:
    device = {"reference": "Device/d"}
    for _ in range(2):
        assert validate(_observation(device=device)) == ()
        assert [issue.rule for issue in validate(_observation(specimen=device))] == ["target"]
