"""What the rules do with several results, and the facts they rest on; cases.toml holds them to the law step by step."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hub.recognition import messages
from hub.recognition.marks import evidence_at
from hub.recognition.model import Candidate, Order
from hub.recognition.places import areas_of, same_community, tier_of
from hub.recognition.rules import evaluate
from hub.recognition.times import moment_of, zone_of
from hub.settings import County, Facility
from profiles.catalogue import Catalogue, Evidence, EvidenceRow, Item

NOW = datetime(2026, 3, 10, 2, 0, tzinfo=UTC)  # 10:00 in the county

HERE = ("county:339900", "prefecture:3399", "province:33", "national")
COUNTY = County(
    facility=(
        Facility(code="CTY", name="县医院", grade="二级甲等", community="yt", areas=HERE),
        Facility(code="TWP", name="卫生院", grade="一级甲等", community="yt", areas=HERE),
        Facility(code="VIL", name="村卫生室", parent="TWP"),
        Facility(code="PRI", name="民营医院", grade="二级甲等", areas=HERE),
        Facility(code="LOW", name="门诊部", grade="一级甲等", areas=HERE),
        Facility(code="CITY", name="市医院", grade="三级甲等", areas=("prefecture:3399", "province:33", "national")),
        Facility(code="FAR", name="外省医院", grade="三级甲等", areas=("prefecture:4201", "province:42", "national")),
    )
)

POTASSIUM = Item.model_validate(
    {
        "code": "L0101",
        "display": "钾",
        "category": "lab",
        "match": [{"system": "http://loinc.org", "code": "2823-3"}],
        "specimen": ["serum", "plasma"],
        "unit": "mmol/L",
        "validity_days": {"outpatient": 7, "inpatient": 3, "preoperative": 0, "emergency": 0},
        "clock_from": "collected",
        "min_mark": "county",
        "lower_tier_source": "suggest",
        "requires_eqa": "in-date-when-performed",
        "requires_reference_range": True,
        "price": 300,
        "excluded_contexts": ["forensic"],
    }
)
RESULT = Candidate(
    reference="Observation/k",
    facility="CTY",
    status="final",
    times={"collected": "2026-03-08T08:00:00+08:00"},
    display="4.1 mmol/L",
    numeric=True,
    unit="mmol/L",
    specimen="serum",
    reference_range=True,
)


def row(organization, scope, passed=True, valid_from="2026-01-01", valid_to="2026-12-31", scheme="NCCL", item="L0101"):
    values = {"organization": organization, "item": item, "scope": scope, "scheme": scheme, "round": "1", "passed": passed}
    return EvidenceRow.model_validate({**values, "valid_from": valid_from, "valid_to": valid_to})


EVIDENCE = (
    *(row(code, "national") for code in ("CTY", "TWP", "PRI", "FAR")),
    row("CITY", "prefecture:3399"),
    row("LOW", "county:339900"),
)


def judge(candidate, item=POTASSIUM, *, orderer="TWP", context="outpatient", evidence=EVIDENCE, now=NOW, others=(), **head):
    about = {"id": "test", "version": "7", "scope": "community", "published": "2026-01-01", "contexts": CONTEXTS, **head}
    catalogue = Catalogue.model_validate({"catalogue": about, "items": [item]})
    rows = Evidence.model_validate({"evidence": {"id": "t", "version": "1", "published": "2026-01-01"}, "rows": evidence})
    return evaluate(Order(item, context, orderer, COUNTY, catalogue, rows, now), (candidate, *others))


CONTEXTS = ["outpatient", "inpatient", "preoperative", "emergency", "forensic"]


def at(stated):
    return {"times": {"collected": stated}}


def test_every_step_is_shown_after_one_has_failed():
    (judged,) = judge(replace(RESULT, unit="mg/dL", reference_range=False, **at("2026-01-02T08:00:00+08:00"))).candidates
    assert [step.rule for step in judged.failures] == ["window", "unit", "reference-range"]


def test_the_newest_that_counts_is_the_one_to_use_and_newest_stands_first():
    older = replace(RESULT, reference="Observation/older", **at("2026-03-05T08:00:00+08:00"))
    spoilt = replace(RESULT, reference="Observation/spoilt", unit="", **at("2026-03-09T08:00:00+08:00"))
    timeless = replace(RESULT, reference="Observation/timeless", times={})
    answer = judge(older, others=(timeless, RESULT, spoilt))
    shown = [(c.candidate.reference, c.verdict, c.steps[-1].detail) for c in answer.candidates]
    assert shown == [
        ("Observation/spoilt", "reference-only", "newest-not-in-question"),
        ("Observation/k", "recognisable", "newest"),
        ("Observation/older", "recognisable", "newest-is-another"),
        ("Observation/timeless", "reference-only", "newest-not-in-question"),
    ]
    assert answer.best is not None
    assert answer.best.candidate.reference == "Observation/k"


def test_an_emergency_gets_one_line_and_no_stop():
    assert judge(RESULT, context="emergency").prompt == "line"
    assert judge(RESULT).prompt == "full"
    assert judge(replace(RESULT, status="cancelled")).prompt == "none"


def test_the_claimed_mark_and_the_verified_ones_stand_beside_each_other():
    (judged,) = judge(replace(RESULT, mark="鄂HR")).candidates
    assert (judged.mark_claimed, judged.mark_verified, judged.duty, judged.age_days) == ("鄂HR", ("national",), "must", 2)
    (lower,) = judge(replace(RESULT, facility="LOW"), orderer="PRI").candidates
    assert lower.duty == "may"


def test_facts_about_facilities():
    assert "province:33" in areas_of("VIL", COUNTY)
    assert "community:yt" in areas_of("VIL", COUNTY)
    assert same_community("VIL", "CTY", COUNTY)
    assert not same_community("PRI", "LOW", COUNTY)  # neither is in any community
    assert (tier_of("CTY", COUNTY), tier_of("TWP", COUNTY), tier_of("nowhere", COUNTY)) == (2, 1, 1)


def test_a_catalogue_may_count_hours_to_the_minute():
    at_eight = replace(RESULT, **at("2026-03-03T10:00:00+08:00"))
    assert judge(at_eight, window_counts="hours").verdict == "recognisable"
    assert judge(at_eight, window_counts="hours", now=NOW + timedelta(minutes=1)).verdict == "reference-only"
    assert judge(at_eight, now=NOW + timedelta(minutes=1)).verdict == "recognisable"
    assert (
        judge(replace(RESULT, **at("2026-03-03")), window_counts="hours", now=NOW + timedelta(hours=13)).verdict == "recognisable"
    )


def test_how_a_laboratory_stands_today_is_told_beside_how_it_stood():
    lapsed = (row("CTY", "national", valid_to="2026-03-09"),)
    (judged,) = judge(RESULT, evidence=lapsed).candidates
    assert (judged.verdict, judged.eqa, judged.eqa_now, judged.mark_verified) == ("recognisable", "NCCL 1", "lapsed", ())


def test_every_sentence_is_there_in_both_languages():
    spoilt = replace(RESULT, unit="mg/dL", link_certain=False, facility="FAR", mark="全国HR", **at("2026-01"))
    for answer in (judge(RESULT), judge(spoilt), judge(spoilt, evidence=(), context="forensic")):
        for language in ("zh", "en"):
            assert messages.reason(answer, language)
            assert all(messages.detail(s, language) and messages.rule_name(s, language) for s in answer.candidates[0].steps)


def test_evidence_of_two_schemes_is_kept_apart():
    rows = (row("CTY", "national", passed=False), row("CTY", "national", scheme="PCCL"))
    assert {(r.scheme, r.passed) for r in evidence_at(rows, NOW.date())} == {("NCCL", False), ("PCCL", True)}


def test_zones():
    assert zone_of("-03:30").utcoffset(None) == -zone_of("+03:30").utcoffset(None)
    assert moment_of("2026-03-09T20:00:00Z", zone_of("Asia/Shanghai")).day.isoformat() == "2026-03-10"
    assert moment_of("2026-03-09T00:10:00", zone_of("+08:00")).at == datetime(2026, 3, 8, 16, 10, tzinfo=UTC)  # none stated: ours
    assert moment_of("2026-03-09T25:00:00Z", zone_of("+08:00")) is None
