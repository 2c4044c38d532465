"""What a resource must be by the R4 definitions; the structure is held to an independent reading of them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from pydantic import ValidationError

from profiles.validation import MAX_ISSUES, validate
from tests.hub.api.county import encounter, observation, patient

GOOD: list[dict[str, Any]] = [
    patient("p1", birthDate="1970-03", _birthDate={"extension": [{"url": "urn:x", "valueString": "y"}]}),
    patient("p1", name=[{"given": ["三", None], "_given": [None, {"extension": [{"url": "urn:x", "valueCode": "y"}]}]}]),
    observation("o1", "p1", valueQuantity={"value": Decimal("72.50"), "unit": "mmol/L"}),
    encounter("e1", "p1", period={"start": "2025-01-01T08:00:00+08:00"}),
    {"resourceType": "Basic", "id": "b", "code": {"text": "x"}, "subject": {"reference": "#p1"}, "contained": [patient("p1")]},
]
BAD: list[tuple[dict[str, Any], str]] = [
    (observation("o1", "p1", status=None), "Observation.status"),
    ({"resourceType": "Observation", "id": "o1", "code": {"text": "x"}}, "Observation.status"),
    ({"resourceType": "Observation", "id": "o1", "status": "final"}, "Observation.code"),
    (observation("o1", "p1", valueQuantity={"value": "72.5"}), "Observation.valueQuantity.value"),
    (observation("o1", "p1", issued="2025-01-01"), "Observation.issued"),
    (observation("o1", "p1", valueString="x", valueBoolean=True), "Observation.valueBoolean"),
    (observation("o1", "p1", component={"code": {"text": "x"}}), "Observation.component"),
    (observation("o1", "p1", subject={}), "Observation.subject"),
    (patient("p1", active="true"), "Patient.active"),
    (patient("p1", multipleBirthInteger=True), "Patient.multipleBirthInteger"),
    (patient("p1", telecom=[{"rank": 0}]), "Patient.telecom[0].rank"),
    (patient("p1", photo=[{"data": "a"}]), "Patient.photo[0].data"),
    (patient("p1", contained=[{"resourceType": "Nothing"}]), "Patient.contained[0]"),
    (patient("p 1"), "Patient.id"),
    (patient("p1", birthDate="１９９０"), "Patient.birthDate"),
    (patient("p1", identifier=[{"system": "urn:a\u0001b"}]), "Patient.identifier[0].system"),
    (patient("p1", gender="male\tx"), "Patient.gender"),
    (patient("p1", maritalStatus={"text": " "}), "Patient.maritalStatus.text"),
    (patient("p1", photo=[{"contentType": "image/png", "data": ""}]), "Patient.photo[0].data"),
    (patient("p1", photo=[{"contentType": "image/png", "data": "A==="}]), "Patient.photo[0].data"),
    (patient("p1", photo=[{"contentType": "PDF", "title": "x"}]), "Patient.photo[0].contentType"),
    (
        {"resourceType": "Invoice", "status": "draft", "totalNet": {"value": 1, "currency": "yuan"}},
        "Invoice.totalNet.currency",
    ),
    (patient("p1", name=[{"id": "a b", "text": "x"}]), "Patient.name[0].id"),
    (patient("p1", extension=[{"url": "a b", "valueString": "x"}]), "Patient.extension[0].url"),
    (patient("p1", fhir_comments=["x"]), "Patient"),
    (patient("p1", name=[{"given": ["三"], "_given": {"id": "a"}}]), "Patient.name[0]._given"),
    (patient("p1", name=[{"given": ["三"], "_given": []}]), "Patient.name[0]._given"),
    (patient("p1", name=[{"text": "x", "_given": [None]}]), "Patient.name[0]._given[0]"),
    (patient("p1", name=[{"given": [None], "_given": [{"id": "a"}]}]), "Patient.name[0]._given[0]"),
]
DIV = '<div xmlns="http://www.w3.org/1999/xhtml">{}</div>'
RUNNING = [
    '<a href="java&#10;script:x()">x</a>',
    '<a href=" JavaScript:x()">x</a>',
    '<a href="feed:javascript:x()">x</a>',
    '<img src="data:image/svg+xml,x" alt="x"/>',
    '<a href="data:text/html,x">x</a>',
    '<p style="width: expression(x())">x</p>',
    '<p onclick="x()">x</p>',
    "<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>x",
    "<?xml-stylesheet href='x'?>x",
    "<!DOCTYPE x>x",
]
RESTING = [
    '<img src="data:image/png;base64,QQ==" alt="x"/>',
    '<a href="tel:1">x</a>',
    '<p style="color: red">x</p>',
    '<a href="#c">x</a><!-- x -->',
]


@pytest.mark.parametrize("resource", GOOD)
def test_what_the_classes_accept_is_accepted(resource: dict[str, Any]) -> None:
    get_fhir_model_class(resource["resourceType"]).model_validate(resource)
    assert validate(resource) == ()


@pytest.mark.parametrize(("resource", "where"), BAD)
def test_what_is_wrong_is_named_and_its_value_is_not(resource: dict[str, Any], where: str) -> None:
    issues = validate(resource)
    assert where in [issue.expression for issue in issues]
    assert "72.5" not in "".join(issue.message for issue in issues)


def test_a_narrative_runs_nothing() -> None:
    told = [validate(patient("p1", text={"status": "generated", "div": DIV.format(inside)})) for inside in RUNNING]
    assert [[issue.rule for issue in issues] for issues in told] == [["txt-1"]] * len(RUNNING)
    for inside in RESTING:
        assert validate(patient("p1", text={"status": "generated", "div": DIV.format(inside)})) == ()


@pytest.mark.parametrize("wrong", [None, "x", 5, ["x"], {}])
def test_what_is_contained_may_be_anything_and_is_looked_at_without_a_fault(wrong: object) -> None:
    participant = {"member": {"reference": "#x"}, "onBehalfOf": {"reference": "#x"}}
    referring = {"resourceType": "CareTeam", "contained": [wrong], "participant": [participant]}
    assert any(issue.expression.startswith("CareTeam.contained[0]") for issue in validate(referring))


@pytest.mark.parametrize("resource", [bad for bad, _ in (*BAD[:3], *BAD[4:7])])
def test_the_classes_refuse_it_too(resource: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)


@pytest.mark.timeout(20)
def test_a_large_resource_is_checked_in_bounded_time_and_told_of_in_bounded_length() -> None:
    codings = [{"system": "urn:x", "code": f"c{number}"} for number in range(1500)]
    component = [{"code": {"coding": [{"system": "urn:x", "code": f"d{number}"}]}, "valueString": "y"} for number in range(1500)]
    assert validate(observation("o1", "p1", code={"coding": codings}, valueString="x", component=component)) == ()
    contained = [{"resourceType": "Basic", "id": f"a{number}", "code": {"text": "x"}} for number in range(5000)]
    referred = [{"reference": f"#z{number}"} for number in range(5000)]
    assert len(validate(observation("o1", "p1", contained=contained, derivedFrom=referred))) == MAX_ISSUES
    crowded = observation("o1", "p1", note=[{"text": "x", "authorReference": {"reference": "#no"}}] * 100, issued="2025")
    assert any(issue.structural for issue in validate(crowded))  # among many broken rules the wrong structure is not lost
