"""A resource → what it can be found by, and whose it is."""

from __future__ import annotations

import copy
import random
from decimal import Decimal

import pytest

from hub import fhir_json
from hub.search.dates import EARLIEST, LATEST, interval
from hub.search.entries import Date, Entry, Number, Quantity, Reference, String, Token, Uri
from hub.search.extract import composite_matches, extract, patient_of
from hub.search.numbers import UNBOUNDED
from hub.search.parameters import registry
from hub.search.parse import parse_search
from tests.hub.search.oracle import package_folder, resources

LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"

OBSERVATION = fhir_json.load(
    """{"resourceType": "Observation", "id": "o1", "status": "final",
    "meta": {"tag": [{"system": "urn:hub:facility", "code": "CTY"}], "profile": ["http://a.example/p|1"]},
    "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}]}],
    "code": {"coding": [{"system": "urn:hub:CTY:item", "code": "GLU"}, {"system": "http://loinc.org", "code": "15074-8"}],
             "text": "葡萄糖"},
    "subject": {"reference": "Patient/p1"}, "encounter": {"reference": "Encounter/e1/_history/2"},
    "effectiveDateTime": "2024-02-29T10:05:07+08:00", "issued": "2024-02-29T12:00:00.000+08:00",
    "performer": [{"reference": "Organization/CTY"}, {"reference": "#contained"}, {"display": "检验科"}],
    "valueQuantity": {"value": 6.30, "unit": "毫摩尔/升", "system": "http://unitsofmeasure.org", "code": "mmol/L"},
    "specimen": {"reference": "urn:uuid:0b0e3e2a"}}"""
)


def found(resource, code):
    return [value for parameter, value in extract(resource) if parameter == code]


def test_a_lab_result_is_found_by_everything_it_states():
    day = interval("2024-02-29T10:05:07+08:00")
    expected = {
        "_tag": [Token("cty", "urn:hub:facility")],
        "_profile": [Uri("http://a.example/p"), Uri("http://a.example/p|1")],
        "status": [Token("final", "http://hl7.org/fhir/observation-status")],
        "code": [Token("glu", "urn:hub:CTY:item"), Token("15074-8", LOINC)],
        "combo-code": [Token("glu", "urn:hub:CTY:item"), Token("15074-8", LOINC)],
        "subject": [Reference("Patient", "p1")],
        "patient": [Reference("Patient", "p1")],
        "encounter": [Reference("Encounter", "e1")],
        "date": [Date(*day)],
        "performer": [Reference("Organization", "CTY")],
        "specimen": [Reference("", "urn:uuid:0b0e3e2a")],
        "code:text": [String("葡萄糖", "")],
        "value-quantity": [Quantity(6.3, 6.295, 6.305, UCUM, "mmol/L"), Quantity(6.3, 6.295, 6.305, "", "毫摩尔/升")],
        "value-quantity:canonical": [Quantity(6.3, 6.295, 6.305, UCUM, "m-3.mol")],
    }
    assert {code: found(OBSERVATION, code) for code in expected} == expected
    combined = {"combo-code:text", "combo-value-quantity", "combo-value-quantity:canonical"}
    assert {entry.parameter for entry in extract(OBSERVATION)} == {*expected, *combined, "category"}


def test_nothing_is_kept_twice():
    doubled = {**OBSERVATION, "performer": [{"reference": "Organization/CTY"}] * 2}
    assert found(doubled, "performer") == [Reference("Organization", "CTY")]


def test_a_chinese_name_is_found_by_characters_pinyin_and_initials():
    patient = {"resourceType": "Patient", "name": [{"family": "曾", "given": ["小乐"]}]}
    exact = [String("曾", "曾"), String("小乐", "小乐")]
    derived = ["曾小乐", "zengxiaole", "zengxiaoyue", "zxl", "zxy"]
    assert found(patient, "name") == found(patient, "phonetic") == [*exact, *(String(form, "") for form in derived)]
    assert found(patient, "family") == [String("曾", "曾")]


def test_a_name_split_by_spaces_is_also_found_in_one_piece():
    patient = {"resourceType": "Patient", "name": [{"text": "欧阳 锋"}]}
    assert [value.folded for value in found(patient, "name")] == ["欧阳 锋", "欧阳锋", "ouyangfeng", "oyf"]


def test_pinyin_is_a_parameter_of_its_own():
    assert registry().get("Patient", "pinyin").type == "string"
    for kind in ("Patient", "Practitioner", "Person", "RelatedPerson"):
        forms = [value.folded for value in found({"resourceType": kind, "name": [{"text": "仇英"}]}, "pinyin")]
        assert forms == ["qiuying", "qy"]
    assert found({"resourceType": "Patient", "name": [{"text": "Smith"}]}, "pinyin") == []


def test_an_organization_s_name_has_no_pinyin():
    assert found({"resourceType": "Organization", "name": "示范县人民医院"}, "phonetic") == [
        String("示范县人民医院", "示范县人民医院")
    ]


def test_addresses_by_every_part():
    patient = {
        "resourceType": "Patient",
        "address": [{"line": ["Straße 1"], "city": "示范县", "postalCode": "339900", "use": "home"}],
    }
    assert found(patient, "address") == [String("strasse 1", "Straße 1"), String("示范县", "示范县"), String("339900", "339900")]
    assert found(patient, "address-use") == [Token("home", "http://hl7.org/fhir/address-use")]


def test_telecoms_by_kind():
    patient = {"resourceType": "Patient", "telecom": [{"system": "phone", "value": "139"}, {"system": "email", "value": "A@b.cn"}]}
    assert found(patient, "phone") == [Token("139", "")]
    assert found(patient, "email") == [Token("a@b.cn", "")]
    assert found(patient, "telecom") == [Token("139", ""), Token("a@b.cn", "")]


def test_deceased_is_true_from_a_date_and_false_from_silence():
    assert found({"resourceType": "Patient", "deceasedDateTime": "2020"}, "deceased") == [Token("true", "")]
    assert found({"resourceType": "Patient"}, "deceased") == [Token("false", "")]


@pytest.mark.parametrize(
    ("period", "expected"),
    [
        ({"start": "2024", "end": "2025"}, (interval("2024")[0], interval("2025")[1])),
        ({"start": "2024"}, (interval("2024")[0], LATEST)),
        ({"end": "2024"}, (EARLIEST, interval("2024")[1])),
    ],
)
def test_periods_may_be_open(period, expected):
    assert found({"resourceType": "Encounter", "period": period}, "date") == [Date(*expected)]


@pytest.mark.parametrize("period", [{}, {"start": "2025", "end": "2024"}, {"start": "last year"}])
def test_a_period_that_says_nothing_is_not_found(period):
    assert found({"resourceType": "Encounter", "period": period}, "date") == []


def test_a_timing_counts_by_its_outer_limits():
    timing = {"event": ["2024-03-01", "2024-01-01"], "repeat": {"boundsPeriod": {"start": "2024-02-01", "end": "2024-02-02"}}}
    order = {"resourceType": "ServiceRequest", "occurrenceTiming": timing}
    assert found(order, "occurrence") == [Date(interval("2024-01-01")[0], interval("2024-03-01")[1])]


@pytest.mark.parametrize(
    ("member", "value", "expected"),
    [
        (
            "valueQuantity",
            {"value": 5, "comparator": "<=", "unit": "mg"},
            [Quantity(-UNBOUNDED, -UNBOUNDED, 5, "", "mg"), Quantity(5, -UNBOUNDED, 5, "", "mg")],
        ),
        ("valueQuantity", {"comparator": "<", "unit": "mg"}, []),
        (
            "valueSampledData",
            {"origin": {"value": Decimal(10), "unit": "mV"}, "factor": Decimal("0.5"), "upperLimit": 9, "data": "-2 E 4 U x"},
            [Quantity(9.0, 9.0, 14.5, "", "mV"), Quantity(14.5, 9.0, 14.5, "", "mV")],
        ),
        ("valueRange", {"low": {"value": 1}}, []),  # value-quantity does not reach a Range
    ],
)
def test_quantities(member, value, expected):
    assert found({"resourceType": "Observation", member: value}, "value-quantity") == expected


def test_ranges_money_and_plain_numbers():
    risk = {
        "resourceType": "RiskAssessment",
        "prediction": [{"probabilityRange": {"low": {"value": 10}}}, {"probabilityDecimal": Decimal("0.3")}],
    }
    assert found(risk, "probability") == [
        Number(10, 10, UNBOUNDED),
        Number(UNBOUNDED, 10, UNBOUNDED),
        Number(0.3, 0.25, 0.35),
    ]
    invoice = {"resourceType": "Invoice", "totalNet": {"value": Decimal("12.50"), "currency": "CNY"}}
    assert found(invoice, "totalnet") == [Quantity(12.5, 12.495, 12.505, "urn:iso:std:iso:4217", "CNY")]
    group = {"resourceType": "Condition", "onsetRange": {"low": {"value": 1, "unit": "a"}, "high": {"value": 2, "unit": "a"}}}
    assert found(group, "onset-age") == [Quantity(1, 1, 2, "", "a"), Quantity(2, 1, 2, "", "a")]


@pytest.mark.parametrize(
    ("resource", "code", "expected"),
    [
        (
            {"resourceType": "Condition", "code": {"text": "Fever", "coding": [{"display": "FEVER"}, {"display": "发热"}, {}]}},
            "code:text",
            [String("fever", ""), String("发热", "")],  # each text once, whatever its case
        ),
        (
            {"resourceType": "Encounter", "class": {"code": "AMB", "display": "ambulatory"}},
            "class:text",
            [String("ambulatory", "")],
        ),
        (
            {"resourceType": "Patient", "identifier": [{"value": "1", "type": {"text": "居民身份证"}}]},
            "identifier:text",
            [String("居民身份证", "")],
        ),
        (
            {
                "resourceType": "Patient",
                "identifier": [
                    {"value": "AB1", "type": {"coding": [{"system": "urn:t", "code": "MR"}, {"code": "X"}, {"system": "urn:t"}]}},
                    {"type": {"coding": [{"system": "urn:t", "code": "MR"}]}},
                ],
            },
            "identifier:of-type",
            [Token("mr|ab1", "urn:t"), Token("x|ab1", "")],
        ),
        (
            {"resourceType": "Observation", "subject": {"type": "Patient", "identifier": {"system": "urn:m", "value": "M7"}}},
            "subject:identifier",
            [Token("m7", "urn:m")],
        ),
        (
            {"resourceType": "Observation", "subject": {"type": "Patient", "identifier": {"system": "urn:m", "value": "M7"}}},
            "patient:identifier",
            [Token("m7", "urn:m")],
        ),
        ({"resourceType": "Observation", "subject": {"reference": "Patient/1", "display": "曾小乐"}}, "subject:text", []),
        (
            {"resourceType": "Location", "position": {"latitude": Decimal("28.97"), "longitude": 118}},
            "near:longitude",
            [Number(118.0, 118.0, 118.0)],
        ),
        ({"resourceType": "Location", "position": {"latitude": Decimal("28.97")}}, "near:latitude", []),
        ({"resourceType": "Observation", "valueQuantity": {"value": 5, "unit": "mg"}}, "value-quantity:canonical", []),
        (
            {"resourceType": "Observation", "valueQuantity": {"value": 5, "comparator": "<=", "system": UCUM, "code": "mg"}},
            "value-quantity:canonical",
            [Quantity(-UNBOUNDED, -UNBOUNDED, 0.005, UCUM, "g"), Quantity(0.005, -UNBOUNDED, 0.005, UCUM, "g")],
        ),
    ],
)
def test_modifiers_have_entries_of_their_own(resource, code, expected):
    assert found(resource, code) == expected


def test_canonicals_with_and_without_version():
    order = {"resourceType": "ServiceRequest", "instantiatesCanonical": ["http://a.example/PlanDefinition/x|2", "#contained"]}
    assert found(order, "instantiates-canonical") == [
        Reference("", "http://a.example/PlanDefinition/x"),
        Reference("", "http://a.example/PlanDefinition/x|2"),
    ]


def test_references_to_elsewhere_are_kept_whole():
    observation = {"resourceType": "Observation", "subject": {"reference": "https://b.example/fhir/Patient/9"}}
    assert found(observation, "subject") == found(observation, "patient") == [Reference("", "https://b.example/fhir/Patient/9")]
    conditional = {"resourceType": "Observation", "subject": {"reference": "Patient?identifier=1"}}
    assert found(conditional, "subject") == []


def test_the_first_resource_of_a_document_is_its_composition():
    bundle = {
        "resourceType": "Bundle",
        "entry": [
            {"resource": {"resourceType": "Composition", "id": "c1"}},
            {"resource": {"resourceType": "MessageHeader", "id": "m1"}},
        ],
    }
    assert found(bundle, "composition") == [Reference("Composition", "c1")]
    assert found(bundle, "message") == []


def test_contained_resources_and_texts_are_not_found():
    condition = {
        "resourceType": "Condition",
        "code": {"text": "发热"},
        "contained": [{"resourceType": "Patient", "gender": "male"}],
    }
    assert extract(condition) == [Entry("code:text", String("发热", ""))]


def test_broken_elements_are_not_found_and_harm_nothing():
    package = package_folder()
    if package is None:
        pytest.skip("the package hl7.fhir.r4.examples 4.0.1 is not on this machine (YITONG_R4_EXAMPLES)")
    chosen = random.Random(7)
    wrong = (
        "",
        "x",
        7,
        True,
        None,
        [],
        {},
        [None],
        [[1]],
        {"code": 1, "system": 2, "value": {}, "reference": 3, "extension": 4},
        Decimal("1e999"),
    )
    for _, resource in resources(chosen.sample(sorted(package.glob("[!SV]*.json")), 300)):
        broken = copy.deepcopy(resource)
        break_somewhere(broken, chosen, wrong)
        for _, value in extract(broken):
            assert all(isinstance(part, (str, int, float)) for part in value)
        assert isinstance(patient_of(broken), str)


def break_somewhere(element, chosen, wrong):
    for name, value in list(element.items()):
        if name != "resourceType" and chosen.random() < 0.2:
            element[name] = chosen.choice(wrong)
        elif isinstance(value, dict):
            break_somewhere(value, chosen, wrong)
        elif isinstance(value, list):
            for each in value:
                if isinstance(each, dict):
                    break_somewhere(each, chosen, wrong)


# -- composites

BLOOD_PRESSURE = {
    "resourceType": "Observation",
    "code": {"coding": [{"system": LOINC, "code": "85354-9"}]},
    "component": [
        {"code": {"coding": [{"system": LOINC, "code": "8480-6"}]}, "valueQuantity": {"value": 107, "unit": "mmHg"}},
        {"code": {"coding": [{"system": LOINC, "code": "8462-4"}]}, "valueQuantity": {"value": 60, "unit": "mmHg"}},
    ],
}
SEQUENCE = {
    "resourceType": "MolecularSequence",
    "referenceSeq": {"referenceSeqId": {"coding": [{"code": "NC_000009.11"}]}, "windowStart": 10, "windowEnd": 20},
    "variant": [{"start": 22, "end": 23}],
}
REPLACING = {
    "resourceType": "DocumentReference",
    "relatesTo": [{"code": "replaces", "target": {"reference": "DocumentReference/d1"}}],
}


@pytest.mark.parametrize(
    ("resource", "code", "text", "expected"),
    [
        (BLOOD_PRESSURE, "component-code-value-quantity", f"{LOINC}|8480-6$gt100", True),
        (BLOOD_PRESSURE, "component-code-value-quantity", f"{LOINC}|8462-4$gt100", False),  # the other component's value
        (BLOOD_PRESSURE, "combo-code-value-quantity", "8480-6$107||mmHg", True),
        (BLOOD_PRESSURE, "combo-code-value-quantity", "85354-9$107", False),
        (BLOOD_PRESSURE, "code-value-quantity", "8480-6$107", False),  # code and value of the Observation itself
        (OBSERVATION, "code-value-quantity", "15074-8$ge6.3||mmol/L", True),
        (OBSERVATION, "code-value-quantity", "15074-8$lt6.3", False),
        (SEQUENCE, "referenceseqid-window-coordinate", "NC_000009.11$ge10$20", True),
        (SEQUENCE, "referenceseqid-variant-coordinate", "NC_000009.11$22$23", True),  # the id stands elsewhere in the resource
        (SEQUENCE, "referenceseqid-variant-coordinate", "NC_000009.11$22$24", False),
        (REPLACING, "relationship", "DocumentReference/d1$replaces", True),
        (REPLACING, "relationship", "DocumentReference/d1$appends", False),
    ],
)
def test_the_parts_of_a_composite_stand_in_one_element(resource, code, text, expected):
    resource_type = resource["resourceType"]
    criterion = parse_search(resource_type, [(code, text)], now=0).query.criteria[0]
    assert composite_matches(resource, registry().get(resource_type, code), criterion.values[0]) is expected


# -- whose is it


@pytest.mark.parametrize(
    ("resource", "patient"),
    [
        ({"resourceType": "Patient", "id": "p1"}, "p1"),
        (OBSERVATION, "p1"),
        ({"resourceType": "Binary", "securityContext": {"reference": "Patient/p1"}}, "p1"),
        ({"resourceType": "Binary"}, ""),
        ({"resourceType": "Encounter", "subject": {"reference": "Patient/p1/_history/3"}}, "p1"),
        (
            {"resourceType": "AllergyIntolerance", "patient": {"reference": "Patient/p1"}, "recorder": {"reference": "Patient/p2"}},
            "p1",
        ),
        ({"resourceType": "Observation", "performer": [{"reference": "Patient/p1"}]}, "p1"),
        ({"resourceType": "Observation", "performer": [{"reference": "Patient/p1"}, {"reference": "Patient/p2"}]}, ""),
        ({"resourceType": "Observation", "subject": {"reference": "Group/g1"}}, ""),
        ({"resourceType": "Observation", "subject": {"reference": "https://b.example/fhir/Patient/9"}}, ""),
        (
            {
                "resourceType": "Appointment",
                "participant": [{"actor": {"reference": "Patient/p1"}}, {"actor": {"reference": "Location/l"}}],
            },
            "p1",
        ),
        ({"resourceType": "Provenance", "target": [{"reference": "Patient/p1"}, {"reference": "Patient/p2"}]}, ""),
        ({"resourceType": "Person", "link": [{"target": {"reference": "Patient/p1"}}]}, "p1"),
        ({"resourceType": "Device", "patient": {"reference": "Patient/p1"}}, "p1"),  # not in the compartment, and still about p1
        ({"resourceType": "Task", "for": {"reference": "Patient/p1"}}, "p1"),
        ({"resourceType": "Organization", "id": "o"}, ""),
        ({"resourceType": "Shoe"}, ""),
    ],
)
def test_a_resource_belongs_to_the_one_patient_it_is_about(resource, patient):
    assert patient_of(resource) == patient
