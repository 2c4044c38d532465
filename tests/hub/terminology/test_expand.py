"""ValueSet $expand. https://hl7.org/fhir/R4/valueset-operation-expand.html"""

from __future__ import annotations

from typing import Any

import pytest

from tests.hub.api.county import Client, Served
from tests.hub.terminology.tables import DIAGNOSES, DIAGNOSIS_TABLE, codes, expanded, parameters, rule, value_set

pytestmark = pytest.mark.anyio
GENDER = "http://hl7.org/fhir/ValueSet/administrative-gender"


async def test_a_value_set_of_the_standard_is_there_without_being_loaded(nurse: Client) -> None:
    answer = (await nurse.get(f"/fhir/ValueSet/$expand?url={GENDER}")).json()
    assert codes(answer) == ["male", "female", "other", "unknown"]
    assert answer["expansion"]["total"] == 4
    assert answer["url"] == GENDER
    assert "compose" not in answer


async def test_a_table_of_the_country_is_expanded_as_a_whole(nurse: Client) -> None:
    answer = (await nurse.get("/fhir/ValueSet/$expand?url=urn:oid:2.16.156.10011.2.3.3.4?fhir_vs")).json()
    assert [entry["display"] for entry in answer["expansion"]["contains"]] == ["未知的性别", "男性", "女性", "未说明的性别"]


BY_CODE = (
    ("is-a", "K35.3", ["K35.3", "K35.301", "K35.303"]),
    ("descendent-of", "K35.3", ["K35.301", "K35.303"]),
    ("is-not-a", "K35", ["E11", "E11.2", "E11.x"]),
    ("generalizes", "K35.303", ["K35", "K35.3", "K35.303"]),
    ("in", "E11,K35.2", ["K35.2", "E11"]),
    ("not-in", "K35,K35.2,K35.3,K35.301,K35.303,E11.x", ["E11", "E11.2"]),
    ("regex", r"K35\.30[1-2]", ["K35.301"]),
    ("is-a", "k35.303", ["K35.303"]),
    ("is-a", "no such code", []),
)


async def test_filters_by_the_code(admin: Client) -> None:
    for op, value, found in BY_CODE:
        assert codes(await expanded(admin, rule("concept", op, value))) == found, (op, value)


BY_PROPERTY = (
    ("chronic", "=", "true", ["E11", "E11.2"]),
    ("chronic", "exists", "false", ["K35", "K35.2", "K35.3", "K35.301", "K35.303", "E11.x"]),
    ("parent", "=", "K35.3", ["K35.301", "K35.303"]),
    ("display", "regex", "急性.*", ["K35", "K35.2", "K35.3", "K35.301"]),
)


async def test_filters_by_a_property(admin: Client) -> None:
    for property, op, value, found in BY_PROPERTY:
        assert codes(await expanded(admin, rule(property, op, value))) == found, (property, op)


async def test_includes_are_united_and_excludes_taken_away(admin: Client) -> None:
    listed = {"system": DIAGNOSES, "concept": [{"code": "E11", "display": "糖尿病"}, {"code": "K35.2"}]}
    answer = await expanded(admin, rule("concept", "is-a", "K35"), listed, exclude=[rule("concept", "is-a", "K35.3")])
    assert codes(answer) == ["K35", "K35.2", "E11"]
    assert answer["expansion"]["contains"][2]["display"] == "糖尿病"


async def test_value_sets_of_value_sets(admin: Client) -> None:
    await admin.put(DIAGNOSIS_TABLE)
    await admin.put(value_set("belly", rule("concept", "is-a", "K35")))
    await admin.put(value_set("holes", {"system": DIAGNOSES, "concept": [{"code": "K35.301"}, {"code": "E11"}]}))
    both = {"valueSet": ["urn:hub:test:vs:belly", "urn:hub:test:vs:holes"]}
    assert codes(await expanded(admin, both)) == ["K35.301"], "several imports of one rule: what is in all of them"
    either = ({"valueSet": ["urn:hub:test:vs:belly"]}, {"valueSet": ["urn:hub:test:vs:holes"]})
    assert len(codes(await expanded(admin, *either))) == 6


async def test_value_sets_that_import_one_another_are_refused(admin: Client) -> None:
    await admin.put(value_set("a", {"valueSet": ["urn:hub:test:vs:b"]}))
    await admin.put(value_set("b", {"valueSet": ["urn:hub:test:vs:a"]}))
    answer = await admin.get("/fhir/ValueSet/$expand?url=urn:hub:test:vs:a")
    assert (answer.status_code, answer.json()["issue"][0]["diagnostics"]) == (422, "the value set imports itself")


TYPED = (
    ("阑尾", ["K35", "K35.2", "K35.3", "K35.301", "K35.303"]),
    ("lanwei 穿孔", ["K35.301"]),
    ("jxlwybmm", ["K35.2"]),
    ("ｅ11.2", ["E11.2"]),
    ("appendicitis", ["K35"]),
    ("nothing of the kind", []),
)


async def test_a_filter_as_a_doctor_types_it(admin: Client) -> None:
    for typed, found in TYPED:
        answer = await expanded(admin, {"system": DIAGNOSES}, query=f"?filter={typed}")
        assert (codes(answer), answer["expansion"]["total"]) == (found, len(found)), typed


async def test_pages_of_an_expansion_make_the_whole(admin: Client) -> None:
    whole = codes(await expanded(admin, {"system": DIAGNOSES}))
    pages = [await expanded(admin, {"system": DIAGNOSES}, query=f"?offset={at}&count=3") for at in (0, 3, 6, 9)]
    assert [code for page in pages for code in codes(page)] == whole
    assert {page["expansion"]["total"] for page in pages} == {8}


async def test_what_is_no_longer_used_or_never_chosen_can_be_left_out(admin: Client) -> None:
    every = {entry["code"]: entry for entry in (await expanded(admin, {"system": DIAGNOSES}))["expansion"]["contains"]}
    assert every["E11.x"]["inactive"] is True
    assert every["K35"]["abstract"] is True
    assert "E11.x" not in codes(await expanded(admin, {"system": DIAGNOSES}, query="?activeOnly=true"))
    assert "E11.x" not in codes(await expanded(admin, {"system": DIAGNOSES}, inactive=False))
    assert "K35" not in codes(await expanded(admin, {"system": DIAGNOSES}, query="?excludeNotForUI=true"))


async def test_designations_and_the_language_of_the_display(admin: Client) -> None:
    answer = await expanded(admin, rule("concept", "=", "E11"), query="?includeDesignations=true&displayLanguage=zh-TW")
    (entry,) = answer["expansion"]["contains"]
    assert entry["display"] == "第二型糖尿病"
    assert [d["language"] for d in entry["designation"]] == ["en", "zh-TW"]
    english = await expanded(admin, rule("concept", "=", "E11"), query="?displayLanguage=en-GB&property=chronic")
    assert english["expansion"]["contains"][0]["display"] == "Type 2 diabetes mellitus"
    assert {"url": "value", "valueString": "true"} in english["expansion"]["contains"][0]["extension"][0]["extension"]


async def test_a_value_set_that_comes_with_the_question(admin: Client) -> None:
    await admin.put(DIAGNOSIS_TABLE)
    asked = parameters(valueSet=value_set("mine", rule("concept", "is-a", "E11")), count=1, includeDefinition=True)
    answer = (await admin.post(asked, "/fhir/ValueSet/$expand")).json()
    assert (codes(answer), answer["expansion"]["total"]) == (["E11"], 3)
    assert answer["compose"]["include"][0]["system"] == DIAGNOSES


async def test_what_is_written_is_expanded_at_once(hub: Served, admin: Client) -> None:
    """Another process that serves the same store sees the change too: what was worked out hangs on a version."""
    await expanded(admin, {"system": DIAGNOSES})
    more = {**DIAGNOSIS_TABLE, "concept": [*DIAGNOSIS_TABLE["concept"], {"code": "J00", "display": "急性鼻咽炎[感冒]"}]}
    await admin.put(more)
    assert "J00" in codes((await admin.get("/fhir/ValueSet/$expand?url=urn:hub:test:vs:asked&filter=ganmao")).json())
    await admin.put(value_set("asked", rule("concept", "=", "J00")))
    assert codes((await admin.get("/fhir/ValueSet/asked/$expand")).json()) == ["J00"]
    await admin.delete("/fhir/CodeSystem/icd-10")
    assert (await admin.get("/fhir/ValueSet/asked/$expand")).status_code == 404


async def test_what_the_standard_defines_cannot_be_replaced(admin: Client) -> None:
    await admin.put({**value_set("mine", {"system": DIAGNOSES, "concept": [{"code": "K35"}]}), "url": GENDER})
    assert "male" in codes((await admin.get(f"/fhir/ValueSet/$expand?url={GENDER}")).json())


async def test_an_expansion_that_came_with_the_value_set_serves_where_its_code_system_is_not_loaded(admin: Client) -> None:
    stored = value_set("stored", {"system": "http://snomed.info/sct"})
    stored["expansion"] = {"timestamp": "2024-01-01", "contains": [{"system": "http://snomed.info/sct", "code": "74400008"}]}
    await admin.put(stored)
    assert codes((await admin.get("/fhir/ValueSet/stored/$expand")).json()) == ["74400008"]


IN_LANGUAGES = (
    ("displayLanguage=zh-CN", "急性阑尾炎", 0),
    ("displayLanguage=zh", "急性阑尾炎", 0),
    ("displayLanguage=en-GB", "Appendicitis", 0),
    ("displayLanguage=de", "急性阑尾炎", 0),
    ("designation=urn:ietf:bcp:47|en", "急性阑尾炎", 2),
    ("designation=urn:x|short", "急性阑尾炎", 1),
    ("includeDesignations=true", "急性阑尾炎", 3),
)


async def test_synonyms_do_not_take_the_place_of_the_display(admin: Client) -> None:
    short = {"system": "urn:x", "code": "short"}
    designations = [
        {"language": "zh", "value": "盲肠炎", "use": {"system": "urn:x", "code": "synonym"}},
        {"language": "en", "value": "App.", "use": short},
        {"language": "en", "value": "Appendicitis"},
    ]
    table = {
        **DIAGNOSIS_TABLE,
        "language": "zh-CN",
        "concept": [{"code": "K35", "display": "急性阑尾炎", "designation": designations}],
    }
    await admin.put(table)
    for query, display, shown in IN_LANGUAGES:
        (entry,) = (await admin.get(f"/fhir/ValueSet/$expand?url={DIAGNOSES}?fhir_vs&{query}")).json()["expansion"]["contains"]
        assert (entry["display"], len(entry.get("designation", ()))) == (display, shown), query


UNANSWERED = (
    ("?url=urn:hub:test:vs:none", 404, "not-found"),
    ("", 400, "invalid"),
    (f"?url={GENDER}&count=-1", 400, "invalid"),
    (f"?url={GENDER}&count=1&count=2", 400, "invalid"),
    (f"?url={GENDER}&activeOnly=perhaps", 400, "invalid"),
    (f"?url={GENDER}&colour=red", 400, "not-supported"),
    (f"?url={GENDER}&count=10&offset=-1", 400, "invalid"),
    ("?context=Patient.nonsense", 404, "not-found"),
    ("?context=http://hl7.org/fhir/StructureDefinition/Patient%23Practitioner.gender", 404, "not-found"),
    (f"?url={GENDER}&date=yesterday", 400, "invalid"),
    (f"?url={GENDER}&system-version=urn:x", 400, "invalid"),
    (f"?url={GENDER}|5.0.0", 404, "not-found"),
    ("?url=http://hl7.org/fhir/ValueSet/mimetypes", 404, "not-found"),
)


async def test_questions_that_cannot_be_answered(nurse: Client) -> None:
    for query, status, code in UNANSWERED:
        answer = await nurse.get(f"/fhir/ValueSet/$expand{query}")
        assert (answer.status_code, answer.json()["issue"][0]["code"]) == (status, code), query


NOT_FOLLOWED: tuple[tuple[dict[str, Any], int, str], ...] = (
    ({"system": "http://loinc.org"}, 404, "not-found"),
    ({"valueSet": ["urn:hub:test:vs:none"]}, 404, "not-found"),
    (rule("concept", "regex", "(a+"), 400, "invalid"),
    (rule("concept", "regex", "(a|a)*" * 200), 400, "too-costly"),
    (rule("weight", "=", "1"), 400, "not-supported"),
    (rule("chronic", "is-a", "K35"), 400, "invalid"),
)


async def test_rules_that_cannot_be_followed(admin: Client) -> None:
    await admin.put(DIAGNOSIS_TABLE)
    for include, status, code in NOT_FOLLOWED:
        await admin.put(value_set("bad", include))
        answer = await admin.get("/fhir/ValueSet/bad/$expand")
        assert (answer.status_code, answer.json()["issue"][0]["code"]) == (status, code), include


async def test_a_pattern_that_makes_other_engines_run_away(admin: Client) -> None:
    slow = {**DIAGNOSIS_TABLE, "concept": [{"code": "a" * 5000 + "!", "display": "长"}]}
    await admin.put(slow)
    await admin.put(value_set("slow", rule("code", "regex", "(a+)+")))
    assert codes((await admin.get("/fhir/ValueSet/slow/$expand")).json()) == []


async def test_a_token_is_needed(hub: Served) -> None:
    assert (await hub.bearer("").get(f"/fhir/ValueSet/$expand?url={GENDER}")).status_code == 401
