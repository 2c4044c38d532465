"""What the hub promises of its resources: what the mappers make keeps it, and what breaks it is told."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from profiles.names import ID_CARD
from profiles.promised import profiles_of, promised, promised_profile
from profiles.validation import validate
from profiles.validation.profile import ProfileCheck
from profiles.validation.standard import standard_profile

TESTS = Path(__file__).parents[1]
GOLDEN = [path for path in sorted(TESTS.rglob("*expected.json")) if "golden" in path.parts]
Json = dict[str, Any]
OF = {  # type → what all of them keep
    "Patient": "urn:hub:profile:patient",
    "Organization": "urn:hub:profile:organization",
    "Encounter": "urn:hub:profile:encounter",
    "DiagnosticReport": "urn:hub:profile:diagnostic-report",
    "ImagingStudy": "urn:hub:profile:imaging-study",
    "Condition": "urn:hub:profile:condition",
}


def find(canonical: str) -> Json | None:
    url, _, version = canonical.partition("|")
    return promised_profile(url, version) or standard_profile(url)


@cache
def check() -> ProfileCheck:
    return ProfileCheck(find, codes=lambda *_: None)


def decimals(value: Any) -> Any:
    """A golden file spells a decimal "decimal:72.50"."""
    if isinstance(value, dict):
        return {name: decimals(each) for name, each in value.items()}
    if isinstance(value, list):
        return [decimals(each) for each in value]
    return Decimal(value[8:]) if isinstance(value, str) and value.startswith("decimal:") else value


def made(value: Any) -> Iterator[Json]:
    """The resources that a mapper made, those in others passed over: they are checked with what they stand in."""
    if isinstance(value, dict) and "resourceType" in value:
        yield value
    elif isinstance(value, (dict, list)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from made(each)


def profile_for(resource: Json) -> str:
    stated = [each for each in resource.get("category", ()) if isinstance(each, dict)]
    categories = {coding.get("code") for each in stated for coding in each.get("coding", ())}
    if resource["resourceType"] == "Observation":
        return "urn:hub:profile:lab-observation" if "laboratory" in categories else ""
    if resource["resourceType"] == "DiagnosticReport" and not categories.isdisjoint({"RAD", "CT", "EC", "NMR", "RUS", "CUS"}):
        return "urn:hub:profile:imaging-report"
    return OF.get(resource["resourceType"], "")


def errors(resource: Json, *profiles: str) -> list[str]:
    found = check().issues(resource, profiles, advice=True)
    return [f"{issue.expression}: {issue.message}" for issue in found if issue.severity == "error"]


def test_the_definitions_are_right_and_each_is_named_once():
    assert len(promised()) >= 40
    for url, definition in promised().items():
        assert [issue.message for issue in validate(definition)] == [], url
        assert definition["version"]
        assert definition["description"]
    assert profiles_of("Observation") == ("urn:hub:profile:lab-observation", "urn:hub:profile:recognisable-observation")


def test_what_the_mappers_make_keeps_the_promises():
    """Every golden output of HL7 v2, HL7 V3, documents, rows, DICOM and ECG; a part of a resource is checked when it is whole."""
    seen: Counter[str] = Counter()
    broken = []
    for path in GOLDEN:
        for resource in made(decimals(json.loads(path.read_text("utf-8")))):
            if any(issue.structural for issue in validate(resource)):
                continue
            profile = profile_for(resource)
            seen[profile] += 1
            broken += [f"{path.relative_to(TESTS)} {each}" for each in errors(resource, *((profile,) if profile else ()))]
    assert broken == []
    wanted = {*OF.values(), "urn:hub:profile:lab-observation", "urn:hub:profile:imaging-report"}
    assert wanted - seen.keys() == {OF["Organization"]}


def test_an_organisation_has_a_number_of_a_stated_kind_and_a_name():
    uscc = {"system": "urn:hub:uscc", "value": "12330000470051726F"}
    whole = {
        "resourceType": "Organization",
        "identifier": [uscc],
        "name": "东镇卫生院",
        "partOf": {"reference": "Organization/CTY"},
    }
    assert errors(whole, OF["Organization"]) == []
    assert len(errors({"resourceType": "Organization", "identifier": [{"value": "1"}]}, OF["Organization"])) == 2


@pytest.mark.parametrize(
    ("type", "system", "right", "wrong", "key"),
    [
        ("Patient", ID_CARD, ["11010519491231002X", "339900196803120120", "330106680312012"], ["110105194912310021"], "hub-id-3"),
        (
            "Organization",
            "urn:hub:cn:uscc",
            ["12330000470051726F", "11500000MB1670604W", "91350100M000100Y43"],
            ["12330000740051726F", "12330000470051726G", "12330000470051726", "I2330000470051726F"],
            "hub-org-1",
        ),
        ("Organization", "urn:oid:2.16.156.10011.1.5", ["47005172-6", "470051726", "D2143569-X"], ["47005172-5"], "hub-org-2"),
    ],
)
def test_a_number_that_fails_its_check_is_a_warning_not_a_reason_to_drop_the_record(type, system, right, wrong, key):
    for number in (*right, *wrong):
        resource = {"resourceType": type, "identifier": [{"system": system, "value": number}], "name": "某院"}
        if type == "Patient":
            resource["name"] = [{"text": "某人"}]
        told = [issue for issue in check().issues(resource, (OF[type],), advice=True) if issue.message.startswith("hub-")]
        assert [(issue.message.partition(":")[0], issue.severity) for issue in told] == [(key, "warning")] * (number in wrong), (
            number
        )


MARK = {
    "url": "urn:hub:ext:recognition-mark",
    "extension": [{"url": "scope", "valueCodeableConcept": {"coding": [{"system": "urn:hub:mark-scope", "code": "national"}]}}],
}
LABORATORY = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}]}
RESULT: Json = {
    "resourceType": "Observation",
    "extension": [MARK],
    "status": "final",
    "category": [LABORATORY],
    "code": {"text": "钾"},
    "subject": {"reference": "Patient/1"},
    "effectiveDateTime": "2026-05-01T08:00:00+08:00",
    "performer": [{"reference": "Organization/1"}],
    "valueQuantity": {"value": Decimal("4.1"), "unit": "mmol/L", "system": "http://unitsofmeasure.org", "code": "mmol/L"},
    "referenceRange": [{"text": "3.5-5.3"}],
}
ENCOUNTER: Json = {
    "resourceType": "Encounter",
    "identifier": [{"system": "urn:hub:CTY:visit", "value": "1"}],
    "status": "finished",
    "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
    "subject": {"reference": "Patient/1"},
    "period": {"start": "2026-05-01", "end": "2026-05-04"},
    "reasonCode": [{"text": "高血压病"}],
    "hospitalization": {"dischargeDisposition": {"text": "医嘱转社区卫生服务机构/乡镇卫生院"}},
    "serviceProvider": {"reference": "Organization/1"},
}
PATIENT: Json = {
    "resourceType": "Patient",
    "identifier": [{"system": "urn:oid:2.16.156.10011.1.3", "value": "339900196803120120"}],
    "name": [{"text": "曾晓燕"}],
}


@pytest.mark.parametrize(
    ("resource", "profile", "change", "says"),
    [
        (RESULT, "recognisable-observation", {}, ""),
        (RESULT, "recognisable-observation", {"extension": []}, "extension"),
        (RESULT, "recognisable-observation", {"status": "preliminary"}, "hub-rec-1"),
        (RESULT, "recognisable-observation", {"referenceRange": None}, "referenceRange"),
        (RESULT, "lab-observation", {"extension": [{"url": MARK["url"], "valueString": "HR"}]}, "extension"),
        (RESULT, "lab-observation", {"category": [{"text": "检验"}]}, "laboratory"),
        (RESULT, "lab-observation", {"valueQuantity": {"value": 4, "unit": "g", "system": "urn:x", "code": "g"}}, "hub-qty-1"),
        (RESULT, "lab-observation", {"valueQuantity": None}, "hub-lab-1"),
        (ENCOUNTER, "referral-ready-encounter", {}, ""),
        (ENCOUNTER, "referral-ready-encounter", {"hospitalization": None}, "hub-ref-2"),
        (ENCOUNTER, "referral-ready-encounter", {"reasonCode": None}, "hub-ref-1"),
        (ENCOUNTER, "referral-ready-encounter", {"period": {"start": "2026-05-04", "end": "2026-05-01"}}, "hub-enc-1"),
        (ENCOUNTER, "referral-ready-encounter", {"serviceProvider": None}, "serviceProvider"),
        (PATIENT, "patient", {}, ""),
        (PATIENT, "patient", {"identifier": [{"system": "urn:oid:2.16.156.10011.1.3", "value": "12345"}]}, "hub-id-2"),
        (PATIENT, "patient", {"identifier": [{"value": "7"}]}, "hub-id-1"),
        (PATIENT, "patient", {"name": [{"family": "曾"}]}, "hub-nam-1"),
        (PATIENT, "patient", {"extension": [{"url": "urn:hub:ext:ethnic-group", "valueString": "汉"}]}, "extension"),
    ],
)
def test_what_breaks_a_promise_is_told(resource, profile, change, says):
    changed = {name: value for name, value in {**resource, **change}.items() if value not in (None, [])}
    told = errors(changed, f"urn:hub:profile:{profile}")
    assert any(says in each for each in told) if says else told == []
