"""What is searchable."""

from __future__ import annotations

import pytest

from hub.search.parameters import COMMON, patient_compartment, registry
from profiles.r4 import derive
from tests.hub.search.oracle import package_folder


def test_every_resource_type_has_the_common_parameters():
    assert len(registry().types) == 146
    for resource_type in registry().types:
        assert set(registry().of(resource_type)) >= COMMON


def test_a_parameter_of_several_types_is_one_for_each():
    code = registry().get("Observation", "code")
    assert code is not None
    assert (code.type, code.resource_type) == ("token", "Observation")
    assert code.url == "http://hl7.org/fhir/SearchParameter/clinical-code"


def test_composites_name_their_components():
    parameter = registry().get("Observation", "component-code-value-quantity")
    assert parameter is not None
    assert [(part.code, part.type) for part in parameter.components] == [
        ("component-code", "token"),
        ("component-value-quantity", "quantity"),
    ]


def test_unknown_types_and_codes_are_none():
    assert registry().get("Patient", "shoe-size") is None
    assert registry().get("Shoe", "_id") is None
    assert registry().of("Shoe") == {}


def test_the_compartment_names_parameters_that_exist():
    for resource_type, codes in patient_compartment().items():
        for code in codes:
            assert registry().get(resource_type, code), f"{resource_type}.{code}"


def test_the_committed_facts_are_those_of_the_specification():
    package = package_folder()
    if package is None:
        pytest.skip("the package hl7.fhir.r4.examples 4.0.1 is not on this machine (YITONG_R4_EXAMPLES)")
    for name, text in derive.derive(package).items():
        assert (derive.HERE / name).read_text(encoding="utf-8") == text, f"{name}: run python -m profiles.r4.derive"
