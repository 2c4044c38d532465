"""The nine steps, case by case: what differs from a result that counts, and what the rules must then say."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from hub.recognition import messages
from hub.recognition.model import Candidate
from hub.recognition.rules import areas_of, evaluate, evidence_at, moment_of, same_community, tier_of, zone_of
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
CHEST = Item.model_validate(
    {
        "code": "R0101",
        "display": "胸部 DR",
        "category": "imaging",
        "match": [{"system": "http://loinc.org", "code": "30745-4"}],
        "modality": ["CR", "DX"],
        "body_part": ["CHEST", "胸部"],
        "validity_days": {"outpatient": 30},
        "clock_from": "performed",
        "min_mark": "county",
        "lower_tier_source": "suggest",
        "requires_eqa": "no",
        "requires_images": True,
        "min_series": 1,
        "price": 6000,
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
STUDY = Candidate(
    reference="ImagingStudy/c",
    facility="CTY",
    status="available",
    times={"performed": "2026-03-01T08:00:00+08:00"},
    modality=("DX",),
    body_part=("CHEST",),
    series=1,
    images="reachable",
)


def row(organization, scope, passed=True, valid_from="2026-01-01", valid_to="2026-12-31", scheme="NCCL", item="L0101"):
    values = {"organization": organization, "item": item, "scope": scope, "scheme": scheme, "round": "1", "passed": passed}
    return EvidenceRow.model_validate({**values, "valid_from": valid_from, "valid_to": valid_to})


EVIDENCE = (
    *(row(code, "national") for code in ("CTY", "TWP", "PRI", "FAR")),
    row("CITY", "prefecture:3399"),
    row("LOW", "county:339900"),
)
ONLY_IN_CITY = (row("CITY", "agreement:east"),)


def judge(candidate, item=POTASSIUM, *, orderer="TWP", context="outpatient", evidence=EVIDENCE, now=NOW, others=()):
    head = {"id": "test", "version": "7", "scope": "community", "published": "2026-01-01", "contexts": CONTEXTS}
    return evaluate(
        item,
        (candidate, *others),
        context=context,
        orderer=orderer,
        county=COUNTY,
        catalogue=Catalogue.model_validate({"catalogue": head, "items": [item]}),
        evidence=Evidence.model_validate({"evidence": {"id": "t", "version": "1", "published": "2026-01-01"}, "rows": evidence}),
        now=now,
    )


CONTEXTS = ["outpatient", "inpatient", "preoperative", "emergency", "forensic"]


def at(stated):
    return {"times": {"collected": stated}}


# name · what differs in the candidate · what differs in the question · verdict · rule → (outcome, detail)
CASES = [
    ("a recent result of one community counts", {}, {}, "recognisable", {}),
    ("an amended one too", {"status": "amended"}, {}, "recognisable", {"status": ("pass", "status-pass")}),
    ("a corrected one too", {"status": "corrected"}, {}, "recognisable", {"status": ("pass", "status-pass")}),
    ("a preliminary one is no result", {"status": "preliminary"}, {}, "none", {"status": ("fail", "status-fail")}),
    ("one entered in error is no result", {"status": "entered-in-error"}, {}, "none", {"status": ("fail", "status-fail")}),
    ("a cancelled one is no result", {"status": "cancelled"}, {}, "none", {"status": ("fail", "status-fail")}),
    ("a person in doubt", {"link_certain": False}, {}, "none", {"identity": ("fail", "person-in-doubt")}),
    ("an excluded context", {}, {"context": "forensic"}, "reference-only", {"context": ("fail", "context-excluded")}),
    (
        "one's own result",
        {"facility": "TWP"},
        {},
        "recognisable",
        {"area": ("pass", "own-result"), "tier": ("not-applicable", "tier-own")},
    ),
    ("a village clinic is of its parent's community", {}, {"orderer": "VIL"}, "recognisable", {"area": ("pass", "same-community")}),
    (
        "lower inside the community must be accepted",
        {"facility": "TWP"},
        {"orderer": "CTY"},
        "recognisable",
        {"tier": ("pass", "tier-same-community")},
    ),
    ("outside: a verified national mark covers", {"facility": "FAR"}, {}, "recognisable", {"area": ("pass", "mark-covers")}),
    (
        "outside: the prefecture's mark covers its counties",
        {"facility": "CITY"},
        {},
        "recognisable",
        {"area": ("pass", "mark-covers")},
    ),
    (
        "outside: another prefecture's does not",
        {"facility": "CITY"},
        {"orderer": "FAR"},
        "reference-only",
        {"area": ("fail", "mark-elsewhere")},
    ),
    (
        "outside: an agreement one is no part of",
        {"facility": "CITY"},
        {"evidence": ONLY_IN_CITY},
        "reference-only",
        {"area": ("fail", "mark-elsewhere")},
    ),
    (
        "outside: a claim without evidence",
        {"facility": "FAR", "mark": "全国HR"},
        {"evidence": ()},
        "reference-only",
        {"area": ("fail", "mark-unverified"), "eqa": ("fail", "eqa-none")},
    ),
    ("outside: no mark at all", {"facility": "PRI"}, {"evidence": ()}, "reference-only", {"area": ("fail", "no-mark")}),
    (
        "outside: a mark too narrow",
        {"facility": "LOW"},
        {"item": {"min_mark": "province"}},
        "reference-only",
        {"area": ("fail", "mark-too-narrow")},
    ),
    (
        "outside: no mark asked",
        {"facility": "PRI"},
        {"item": {"min_mark": "none"}},
        "recognisable",
        {"area": ("pass", "mark-not-required")},
    ),
    ("lower accepts upper", {"facility": "PRI"}, {}, "recognisable", {"tier": ("pass", "tier-equal-or-upper")}),
    ("upper may accept lower", {"facility": "LOW"}, {"orderer": "PRI"}, "recognisable", {"tier": ("pass", "tier-lower-suggest")}),
    (
        "upper must, by catalogue",
        {"facility": "LOW"},
        {"orderer": "PRI", "item": {"lower_tier_source": "must"}},
        "recognisable",
        {"tier": ("pass", "tier-lower-must")},
    ),
    (
        "upper ignores lower, by catalogue",
        {"facility": "LOW"},
        {"orderer": "PRI", "item": {"lower_tier_source": "ignore"}},
        "reference-only",
        {"tier": ("fail", "tier-lower-ignored")},
    ),
    (
        "ignored outside is still accepted inside",
        {"facility": "TWP"},
        {"orderer": "CTY", "item": {"lower_tier_source": "ignore"}},
        "recognisable",
        {},
    ),
    (
        "evaluation lapsed before",
        {},
        {"evidence": (row("CTY", "national", valid_to="2026-03-07"),)},
        "reference-only",
        {"eqa": ("fail", "eqa-out-of-date")},
    ),
    (
        "evaluation valid on its last day",
        {},
        {"evidence": (row("CTY", "national", valid_to="2026-03-08"),)},
        "recognisable",
        {"eqa": ("pass", "eqa-passed")},
    ),
    (
        "evaluation valid from that day",
        {},
        {"evidence": (row("CTY", "national", valid_from="2026-03-08"),)},
        "recognisable",
        {"eqa": ("pass", "eqa-passed")},
    ),
    (
        "evaluation only since the day after",
        {},
        {"evidence": (row("CTY", "national", valid_from="2026-03-09"),)},
        "reference-only",
        {"eqa": ("fail", "eqa-out-of-date")},
    ),
    (
        "evaluation failed",
        {},
        {"evidence": (row("CTY", "national", passed=False),)},
        "reference-only",
        {"eqa": ("fail", "eqa-failed")},
    ),
    (
        "a later failure withdraws a pass",
        {},
        {"evidence": (row("CTY", "national"), row("CTY", "national", passed=False, valid_from="2026-02-01"))},
        "reference-only",
        {"eqa": ("fail", "eqa-failed")},
    ),
    (
        "another laboratory's evidence is nobody's",
        {},
        {"evidence": (row("TWP", "national"),)},
        "reference-only",
        {"eqa": ("fail", "eqa-none")},
    ),
    (
        "no evaluation asked inside the community",
        {},
        {"evidence": (), "item": {"requires_eqa": "no"}},
        "recognisable",
        {"eqa": ("not-applicable", "eqa-not-required")},
    ),
    (
        "but asked of those outside",
        {"facility": "PRI"},
        {"evidence": (), "item": {"requires_eqa": "no", "min_mark": "none"}},
        "reference-only",
        {"eqa": ("fail", "eqa-none")},
    ),
    (
        "the seventh day still counts, to its end",
        at("2026-03-03T00:00:00+08:00"),
        {"now": datetime(2026, 3, 10, 15, 59, tzinfo=UTC)},
        "recognisable",
        {"window": ("pass", "window-inside")},
    ),
    (
        "the eighth does not, from its first minute",
        at("2026-03-03T23:59:00+08:00"),
        {"now": datetime(2026, 3, 10, 16, 0, tzinfo=UTC)},
        "reference-only",
        {"window": ("fail", "window-over")},
    ),
    ("the day is the county's, not UTC's", at("2026-03-02T17:00:00Z"), {}, "recognisable", {"window": ("pass", "window-inside")}),
    ("a time without a zone is the county's", at("2026-03-03T00:30:00"), {}, "recognisable", {"window": ("pass", "window-inside")}),
    ("a date alone is enough", at("2026-03-03"), {}, "recognisable", {"window": ("pass", "window-inside")}),
    ("a month is not", at("2026-03"), {}, "reference-only", {"window": ("fail", "time-imprecise"), "eqa": ("fail", "eqa-no-time")}),
    ("no time at all", {"times": {}}, {}, "reference-only", {"window": ("fail", "time-missing")}),
    (
        "another clock's time does not replace it",
        {"times": {"issued": "2026-03-09T08:00:00+08:00"}},
        {},
        "reference-only",
        {"window": ("fail", "time-missing")},
    ),
    ("a time to come", at("2026-03-10T11:00:00+08:00"), {}, "reference-only", {"window": ("fail", "time-in-future")}),
    ("clocks may differ by minutes", at("2026-03-10T10:04:00+08:00"), {}, "recognisable", {"window": ("pass", "window-inside")}),
    (
        "inpatients have a shorter window",
        at("2026-03-06T08:00:00+08:00"),
        {"context": "inpatient"},
        "reference-only",
        {"window": ("fail", "window-over")},
    ),
    (
        "inpatients, on the border",
        at("2026-03-07T08:00:00+08:00"),
        {"context": "inpatient"},
        "recognisable",
        {"window": ("pass", "window-inside")},
    ),
    ("never before an operation", {}, {"context": "preoperative"}, "reference-only", {"window": ("fail", "window-never")}),
    ("never in an emergency", {}, {"context": "emergency"}, "reference-only", {"window": ("fail", "window-never")}),
    (
        "a window that nobody set",
        {},
        {"item": {"validity_days": {"inpatient": 3}}},
        "reference-only",
        {"window": ("fail", "window-not-set")},
    ),
    ("plasma does as well", {"specimen": "plasma"}, {}, "recognisable", {"specimen": ("pass", "specimen-same")}),
    ("urine does not", {"specimen": "urine"}, {}, "reference-only", {"specimen": ("fail", "specimen-differs")}),
    (
        "an unstated specimen is the code's",
        {"specimen": ""},
        {},
        "recognisable",
        {"specimen": ("not-applicable", "specimen-by-code")},
    ),
    ("another unit", {"unit": "mg/dL"}, {}, "reference-only", {"unit": ("fail", "unit-differs")}),
    ("no unit", {"unit": ""}, {}, "reference-only", {"unit": ("fail", "unit-unstated")}),
    ("words where a number is asked", {"numeric": False, "unit": ""}, {}, "reference-only", {"unit": ("fail", "unit-no-quantity")}),
    ("no reference range", {"reference_range": False}, {}, "reference-only", {"reference-range": ("fail", "range-missing")}),
    (
        "the same method, where asked",
        {"method": "ISE"},
        {"item": {"same_method": True, "methods": ["ISE"]}},
        "recognisable",
        {"method": ("pass", "method-same")},
    ),
    (
        "another method, where asked",
        {"method": "FES"},
        {"item": {"same_method": True, "methods": ["ISE"]}},
        "reference-only",
        {"method": ("fail", "method-differs")},
    ),
    (
        "no method, where asked",
        {},
        {"item": {"same_method": True, "methods": ["ISE"]}},
        "reference-only",
        {"method": ("fail", "method-unstated")},
    ),
    ("no value", {"has_value": False}, {}, "reference-only", {"data": ("fail", "value-absent")}),
]

IMAGING = [
    ("a study whose images can be opened counts", {}, {}, "recognisable", {"data": ("pass", "images-reachable")}),
    ("listed images are not enough", {"images": "unreachable"}, {}, "reference-only", {"data": ("fail", "images-unreachable")}),
    ("none at all", {"images": "none"}, {}, "reference-only", {"data": ("fail", "images-none")}),
    ("another part of the body", {"body_part": ("HAND",)}, {}, "reference-only", {"body-part": ("fail", "body-part-differs")}),
    ("a part in Chinese", {"body_part": ("胸部",)}, {}, "recognisable", {"body-part": ("pass", "body-part-same")}),
    ("a part unstated", {"body_part": ()}, {}, "reference-only", {"body-part": ("fail", "body-part-unstated")}),
    ("another modality", {"modality": ("CT",)}, {}, "reference-only", {"modality": ("fail", "modality-differs")}),
    (
        "the side, where asked",
        {"laterality": "L"},
        {"item": {"laterality": "L"}},
        "recognisable",
        {"laterality": ("pass", "laterality-same")},
    ),
    (
        "the other side",
        {"laterality": "R"},
        {"item": {"laterality": "L"}},
        "reference-only",
        {"laterality": ("fail", "laterality-differs")},
    ),
    (
        "contrast, where asked",
        {"contrast": "without"},
        {"item": {"contrast": "with"}},
        "reference-only",
        {"contrast": ("fail", "contrast-differs")},
    ),
    ("too few series", {"series": 1}, {"item": {"min_series": 2}}, "reference-only", {"series": ("fail", "series-few")}),
    (
        "thirty days",
        {"times": {"performed": "2026-02-08T08:00:00+08:00"}},
        {},
        "recognisable",
        {"window": ("pass", "window-inside")},
    ),
    (
        "thirty-one",
        {"times": {"performed": "2026-02-07T23:00:00+08:00"}},
        {},
        "reference-only",
        {"window": ("fail", "window-over")},
    ),
]


def check(base, item, candidate, question, verdict, steps):
    changed = dict(question)
    item = Item.model_validate({**item.model_dump(), **changed.pop("item", {})})
    answer = judge(replace(base, **candidate), item, **changed)
    (judged,) = answer.candidates
    found = {step.rule: (step.outcome, step.detail) for step in judged.steps}
    assert {rule: found[rule] for rule in steps} == steps
    assert (judged.verdict, answer.verdict) == (verdict, verdict)
    assert verdict != "recognisable" or not judged.failures
    numbers = [step.number for step in judged.steps]
    assert numbers == sorted(numbers)
    assert set(numbers) == set(range(1, 10))
    for language in ("zh", "en"):
        assert all(messages.detail(step, language) and messages.rule_name(step, language) for step in judged.steps)
        assert messages.reason(answer, language)


@pytest.mark.parametrize(("candidate", "question", "verdict", "steps"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_laboratory(candidate, question, verdict, steps):
    check(RESULT, POTASSIUM, candidate, question, verdict, steps)


@pytest.mark.parametrize(("candidate", "question", "verdict", "steps"), [c[1:] for c in IMAGING], ids=[c[0] for c in IMAGING])
def test_imaging(candidate, question, verdict, steps):
    check(STUDY, CHEST, candidate, question, verdict, steps)


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


def test_evidence_of_two_schemes_is_kept_apart():
    rows = (row("CTY", "national", passed=False), row("CTY", "national", scheme="PCCL"))
    assert {(r.scheme, r.passed) for r in evidence_at(rows, NOW.date())} == {("NCCL", False), ("PCCL", True)}


def test_zones():
    assert zone_of("-03:30").utcoffset(None) == -zone_of("+03:30").utcoffset(None)
    assert moment_of("2026-03-09T20:00:00Z", zone_of("Asia/Shanghai")).day.isoformat() == "2026-03-10"
    assert moment_of("2026-03-09T25:00:00Z", zone_of("+08:00")) is None
