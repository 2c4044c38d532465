"""$lookup, $validate-code, $subsumes and $translate, with the country's own tables and the standard's.

https://hl7.org/fhir/R4/terminology-service.html
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.hub.api.county import Client, observation, patient
from tests.hub.terminology.tables import DIAGNOSES, DIAGNOSIS_TABLE, ITEMS, parameters, rule, said, value_set

pytestmark = pytest.mark.anyio
GENDER = "http://hl7.org/fhir/ValueSet/administrative-gender"
GENDER_CODES = "http://hl7.org/fhir/administrative-gender"
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
LOOKUP, IN_VALUE_SET = "/fhir/CodeSystem/$lookup", "/fhir/ValueSet/$validate-code"
IN_CODE_SYSTEM, SUBSUMES, TRANSLATE = "/fhir/CodeSystem/$validate-code", "/fhir/CodeSystem/$subsumes", "/fhir/ConceptMap/$translate"


def properties(answer: dict[str, Any]) -> list[tuple[str, Any]]:
    """(code, value) of each property."""
    found = []
    for parameter in answer["parameter"]:
        if parameter["name"] == "property":
            parts = {part["name"]: next(v for k, v in part.items() if k.startswith("value")) for part in parameter["part"]}
            found.append((parts["code"], parts["value"]))
    return found


# -- $lookup


async def test_what_a_code_is(admin: Client) -> None:
    await admin.put(DIAGNOSIS_TABLE)
    answer = (await admin.get(f"{LOOKUP}?system={DIAGNOSES}&code=K35.3")).json()
    assert (said(answer, "name"), said(answer, "version"), said(answer, "display")) == (
        "DiagnosesCn",
        "2.0",
        "急性阑尾炎伴局限性腹膜炎",
    )
    stated = properties(answer)
    assert [value for code, value in stated if code == "parent"] == ["K35"]
    assert [value for code, value in stated if code == "child"] == ["K35.301", "K35.303"]


async def test_what_a_code_is_called_in_another_language(admin: Client) -> None:
    await admin.put(DIAGNOSIS_TABLE)
    asked = parameters(coding={"system": DIAGNOSES, "code": "E11"}, displayLanguage="en", property="chronic")
    answer = (await admin.post(asked, LOOKUP)).json()
    assert said(answer, "display") == "Type 2 diabetes mellitus"
    assert properties(answer) == [("chronic", True)]


async def test_a_code_of_the_standard(nurse: Client) -> None:
    answer = (await nurse.get(f"{LOOKUP}?system={ACT}&code=AMB")).json()
    assert said(answer, "display") == "ambulatory"


async def test_properties_of_choice_and_codes_that_are_expressions(admin: Client) -> None:
    await admin.put(DIAGNOSIS_TABLE)
    answer = (await admin.get(f"{LOOKUP}?system={DIAGNOSES}|2.0&code=E11&property=lang.zh-TW&property=chronic")).json()
    values = [
        part["valueString"]
        for p in answer["parameter"]
        for part in p.get("part", ())
        if part["name"] == "value" and "valueString" in part
    ]
    assert (values, properties(answer)) == (["第二型糖尿病"], [("chronic", True)])
    assert said((await admin.get(f"{LOOKUP}?system=http://unitsofmeasure.org&code=mmol/L")).json(), "display") == "mmol/L"
    assert (await admin.get(f"{LOOKUP}?system=http://unitsofmeasure.org&code=mmol//L")).status_code == 404


@pytest.mark.parametrize(
    ("query", "status"),
    [
        (f"system={GENDER_CODES}&code=none", 404),
        ("system=urn:hub:test:none&code=1", 404),
        (f"system={GENDER_CODES}", 400),
        ("code=male", 400),
    ],
)
async def test_a_code_that_nobody_knows(nurse: Client, query: str, status: int) -> None:
    answer = await nurse.get(f"{LOOKUP}?{query}")
    assert (answer.status_code, answer.json()["resourceType"]) == (status, "OperationOutcome")
    assert "none" not in answer.json()["issue"][0]["diagnostics"], "an answer never repeats what was asked about"


# -- $validate-code


IN_GENDER = (
    ("system={s}&code=female", True),
    ("code=female", True),
    ("system={s}&code=Female", False),
    ("system={s}&code=F", False),
    ("system=urn:hub:test:none&code=female", False),
    ("system={s}&code=male&display=MALE", True),
    ("system={s}&code=male&display=Female", False),
)


async def test_codes_in_a_value_set(nurse: Client) -> None:
    for query, good in IN_GENDER:
        answer = (await nurse.get(f"{IN_VALUE_SET}?url={GENDER}&{query.format(s=GENDER_CODES)}")).json()
        assert said(answer, "result") is good, query
        assert (said(answer, "message") is None) is good, query


async def test_a_wrong_display_is_named_and_the_right_one_given(nurse: Client) -> None:
    answer = (await nurse.get(f"{IN_VALUE_SET}?url={GENDER}&system={GENDER_CODES}&code=male&display=Man")).json()
    assert said(answer, "display") == "Male"
    assert said(answer, "message") == "the code is right; the display is not one of its texts"


async def test_one_right_coding_of_a_concept_is_enough(admin: Client) -> None:
    await admin.put(DIAGNOSIS_TABLE)
    await admin.put(value_set("belly", rule("concept", "is-a", "K35")))
    concept = {"coding": [{"system": "urn:hub:test:local", "code": "1"}, {"system": DIAGNOSES, "code": "K35.301"}]}
    answer = await admin.post(parameters(codeableConcept=concept), "/fhir/ValueSet/belly/$validate-code")
    assert said(answer.json(), "result") is True
    group = parameters(coding={"system": DIAGNOSES, "code": "K35"}, abstract=False)
    answer = await admin.post(group, "/fhir/ValueSet/belly/$validate-code")
    assert said(answer.json(), "result") is False


GRAMMATICAL = (
    ("urn:ietf:bcp:13", "mimetypes", "text/plain", "no type"),
    ("urn:ietf:bcp:47", "all-languages", "zh-Hans-CN", "中文"),
    ("http://unitsofmeasure.org", "ucum-units", "10*9/L", "克每升"),
)


async def test_codes_that_are_a_grammar(nurse: Client) -> None:
    for system, value_set_id, right, wrong in GRAMMATICAL:
        for code, good in ((right, True), (wrong, False)):
            url = f"http://hl7.org/fhir/ValueSet/{value_set_id}"
            asked = parameters(url=url, system=system, code=code)
            assert said((await nurse.post(asked, IN_VALUE_SET)).json(), "result") is good, code
            assert said((await nurse.post(parameters(url=system, code=code), IN_CODE_SYSTEM)).json(), "result") is good, code


async def test_what_cannot_be_told_is_not_called_right(admin: Client) -> None:
    await admin.put(value_set("snomed", {"system": "http://snomed.info/sct"}))
    answer = (await admin.get("/fhir/ValueSet/snomed/$validate-code?system=http://snomed.info/sct&code=74400008")).json()
    assert said(answer, "result") is False
    assert "not loaded" in said(answer, "message")


async def test_a_code_in_a_code_system(admin: Client) -> None:
    await admin.put(DIAGNOSIS_TABLE)
    ask = f"{IN_CODE_SYSTEM}?url={DIAGNOSES}"
    assert said((await admin.get(f"{ask}&code=k35.301")).json(), "result") is True, "case makes no difference in this one"
    assert said((await admin.get(f"{ask}&code=K99")).json(), "result") is False
    assert said((await admin.get(f"{ask}&code=E11&display=Type 2 Diabetes Mellitus")).json(), "result") is True
    assert said((await admin.get(f"{ask}&code=E11.x")).json(), "message") == "the code is no longer in use"
    inline = parameters(codeSystem=DIAGNOSIS_TABLE, code="E11.2", display="并发症")
    assert said((await admin.post(inline, IN_CODE_SYSTEM)).json(), "result") is False
    other = parameters(coding={"system": ITEMS, "code": "E11"})
    assert said((await admin.post(other, "/fhir/CodeSystem/icd-10/$validate-code")).json(), "result") is False


@pytest.mark.parametrize("query", ["url=urn:hub:test:none&code=1", f"url={GENDER}|9&code=male"])
async def test_a_value_set_or_code_system_that_is_not_loaded(nurse: Client, query: str) -> None:
    for operation in (IN_VALUE_SET, IN_CODE_SYSTEM):
        assert (await nurse.get(f"{operation}?{query}")).status_code == 404


# -- $subsumes


PAIRS = (
    ("K35", "K35.303", "subsumes"),
    ("K35.303", "K35", "subsumed-by"),
    ("K35.2", "k35.2", "equivalent"),
    ("K35.2", "K35.303", "not-subsumed"),
)


async def test_how_two_codes_lie_to_one_another(admin: Client) -> None:
    await admin.put(DIAGNOSIS_TABLE)
    for a, b, outcome in PAIRS:
        answer = await admin.get(f"{SUBSUMES}?system={DIAGNOSES}&codeA={a}&codeB={b}")
        assert said(answer.json(), "outcome") == outcome, (a, b)
        codings = parameters(codingA={"system": DIAGNOSES, "code": a}, codingB={"system": DIAGNOSES, "code": b})
        assert said((await admin.post(codings, "/fhir/CodeSystem/icd-10/$subsumes")).json(), "outcome") == outcome, (a, b)


async def test_a_hierarchy_stated_by_properties_with_several_parents_and_a_circle(admin: Client) -> None:
    def concept(code: str, *parents: str) -> dict[str, Any]:
        stated = [{"code": "parent", "valueCode": parent} for parent in parents]
        return {"code": code, "display": code, **({"property": stated} if stated else {})}

    web = {**DIAGNOSIS_TABLE, "property": [{"code": "parent", "type": "code"}]}
    web["concept"] = [concept("root"), concept("left", "root"), concept("right", "root"), concept("both", "left", "right")]
    web["concept"] += [concept("egg", "hen"), concept("hen", "egg")]
    await admin.put(web)
    for upper in ("root", "left", "right"):
        assert said((await admin.get(f"{SUBSUMES}?system={DIAGNOSES}&codeA={upper}&codeB=both")).json(), "outcome") == "subsumes"
    assert said((await admin.get(f"{SUBSUMES}?system={DIAGNOSES}&codeA=egg&codeB=hen")).json(), "outcome") == "subsumes"


async def test_subsumption_of_two_code_systems_cannot_be_asked(admin: Client) -> None:
    male, two = {"system": GENDER_CODES, "code": "male"}, {"system": DIAGNOSES, "code": "E11"}
    await admin.put(DIAGNOSIS_TABLE)
    for at, a, b in (
        (SUBSUMES, male, {"system": ACT, "code": "AMB"}),
        (SUBSUMES, {**two, "version": "1"}, {**two, "version": "2"}),
        ("/fhir/CodeSystem/icd-10/$subsumes", male, male),
    ):
        assert (await admin.post(parameters(codingA=a, codingB=b), at)).status_code == 400, (a, b)
    both = parameters(codingA=two, codingB=two, codeA="E11", system=DIAGNOSES)
    assert (await admin.post(both, SUBSUMES)).status_code == 400
    twice = parameters(coding=two, code="E11", url=DIAGNOSES)
    assert (await admin.post(twice, IN_CODE_SYSTEM)).status_code == 400


# -- $translate


async def test_an_item_of_the_county_hospital_by_the_shipped_map(nurse: Client) -> None:
    answer = (await nurse.get(f"{TRANSLATE}?system=urn:hub:CTY:item&code=K")).json()
    assert said(answer, "result") is True
    match = {part["name"]: part for part in next(p for p in answer["parameter"] if p["name"] == "match")["part"]}
    assert match["concept"]["valueCoding"]["code"] == "2823-3"
    assert match["source"]["valueUri"].startswith("urn:hub:map:cty-item")


async def test_a_map_read_backwards(nurse: Client) -> None:
    answer = (await nurse.get(f"{TRANSLATE}?url=urn:hub:map:cty-item&system=http://loinc.org&code=2823-3&reverse=true")).json()
    assert said(answer, "result") is True


async def test_the_ends_of_a_map_are_named_forwards_and_backwards(admin: Client) -> None:
    await admin.put(local_map("local", {"mode": "provided"}, sourceUri="urn:hub:test:from", targetUri="urn:hub:test:to"))
    ask = f"{TRANSLATE}?system={DIAGNOSES}&code=K35&reverse=true"
    for query, good in (
        (f"{TRANSLATE}?system={ITEMS}&code=1&source=urn:hub:test:from&target=urn:hub:test:to", True),
        (f"{TRANSLATE}?system={ITEMS}&code=1&source=urn:hub:test:to", False),
        (f"{ask}&target=urn:hub:test:from", True),
        (f"{ask}&source=urn:hub:test:from", True),
        (f"{ask}&source=urn:hub:test:none", False),
    ):
        assert said((await admin.get(query)).json(), "result") is good, query


async def test_a_map_of_the_standard(nurse: Client) -> None:
    url = "http://hl7.org/fhir/ConceptMap/cm-administrative-gender-v2"
    answer = (
        await nurse.get(f"{TRANSLATE}?url={url}&system={GENDER_CODES}&code=male&target=http://terminology.hl7.org/ValueSet/v2-0001")
    ).json()
    assert said(answer, "result") is True


def local_map(id: str, unmapped: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    elements = [
        {"code": "1", "target": [{"code": "K35", "equivalence": "wider"}]},
        {"code": "2", "target": [{"equivalence": "unmatched"}]},
        {"code": "3", "target": [{"code": "E11", "equivalence": "equal", "dependsOn": [{"property": "urn:sex", "value": "2"}]}]},
    ]
    group: dict[str, Any] = {"source": ITEMS, "target": DIAGNOSES, "element": elements}
    if unmapped:
        group["unmapped"] = unmapped
    return {"resourceType": "ConceptMap", "id": id, "url": f"urn:hub:test:cm:{id}", "status": "active", "group": [group], **more}


@pytest.mark.parametrize(
    ("unmapped", "code"),
    [
        (None, None),
        ({"mode": "provided"}, "9"),
        ({"mode": "fixed", "code": "R69", "display": "原因不明"}, "R69"),
        ({"mode": "other-map", "url": "urn:hub:test:cm:other"}, "J00"),
    ],
)
async def test_a_code_that_the_map_does_not_list(admin: Client, unmapped: dict[str, str] | None, code: str | None) -> None:
    other = local_map("other")
    other["group"][0]["element"] = [{"code": "9", "target": [{"code": "J00", "equivalence": "equivalent"}]}]
    await admin.put(other)
    await admin.put(local_map("local", unmapped))
    answer = (await admin.get(f"/fhir/ConceptMap/local/$translate?system={ITEMS}&code=9")).json()
    assert said(answer, "result") is (code is not None)
    found = [part["valueCoding"]["code"] for p in answer["parameter"] for part in p.get("part", ()) if part["name"] == "concept"]
    assert found == ([code] if code else [])


async def test_maps_that_send_a_code_on_in_a_circle(admin: Client) -> None:
    await admin.put(local_map("round", {"mode": "other-map", "url": "urn:hub:test:cm:round"}))
    answer = await admin.get(f"/fhir/ConceptMap/round/$translate?system={ITEMS}&code=9")
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (400, "too-costly")


async def test_a_code_that_is_stated_to_have_no_match(admin: Client) -> None:
    await admin.put(local_map("local"))
    answer = (await admin.get(f"{TRANSLATE}?url=urn:hub:test:cm:local&system={ITEMS}&code=2")).json()
    assert said(answer, "result") is False


async def test_a_match_that_depends_on_another_value(admin: Client) -> None:
    await admin.put(local_map("local"))
    asked = parameters(url="urn:hub:test:cm:local", system=ITEMS, code="3")
    assert said((await admin.post(asked, TRANSLATE)).json(), "result") is False
    concept = {"name": "concept", "valueCodeableConcept": {"coding": [{"code": "2"}]}}
    asked["parameter"].append({"name": "dependency", "part": [{"name": "element", "valueUri": "urn:sex"}, concept]})
    assert said((await admin.post(asked, TRANSLATE)).json(), "result") is True


async def test_only_maps_into_the_system_asked_for(admin: Client) -> None:
    await admin.put(local_map("local"))
    ask = f"{TRANSLATE}?system={ITEMS}&code=1"
    assert said((await admin.get(f"{ask}&targetsystem={DIAGNOSES}")).json(), "result") is True
    assert said((await admin.get(f"{ask}&targetsystem=http://loinc.org")).json(), "result") is False
    assert (await admin.get(f"{TRANSLATE}?code=1")).status_code == 400
    assert (await admin.get(f"{TRANSLATE}?url=urn:hub:none&system={ITEMS}&code=1")).status_code == 404


# -- what others ask the terminology


async def test_searches_by_value_set_and_by_hierarchy(admin: Client) -> None:
    await admin.put(DIAGNOSIS_TABLE)
    await admin.put(value_set("belly", rule("concept", "is-a", "K35")))
    await admin.put(patient("p"))
    for id, code in (("a", "K35.301"), ("b", "E11"), ("c", "K35")):
        await admin.put(observation(id, "p", code={"coding": [{"system": DIAGNOSES, "code": code}]}))

    async def found(query: str) -> set[str]:
        answer = await admin.get(f"/fhir/Observation?{query}")
        assert answer.status_code == 200, answer.text
        return {entry["resource"]["id"] for entry in answer.json().get("entry", [])}

    assert await found("code:in=urn:hub:test:vs:belly") == {"a", "c"}
    assert await found("code:not-in=urn:hub:test:vs:belly") == {"b"}
    assert await found(f"code:below={DIAGNOSES}|K35") == {"a", "c"}
    assert await found(f"code:above={DIAGNOSES}|K35.3") == {"c"}


async def test_questions_are_audited(admin: Client) -> None:
    await admin.get(f"{LOOKUP}?system={GENDER_CODES}&code=male")
    events = (await admin.get("/fhir/AuditEvent?_count=5")).json()["entry"]
    assert any("operation" in str(entry["resource"].get("subtype")) for entry in events)


# -- the country's small tables

CN = "urn:oid:2.16.156.10011.2.3."
SIDE_BY_SIDE = (  # source, code, target, answer as (code, equivalence)
    (f"{CN}3.4", "1", GENDER_CODES, [("male", "equivalent")]),
    (f"{CN}3.5", "21", "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus", [("M", "wider")]),
    (f"{CN}3.5", "90", "http://terminology.hl7.org/CodeSystem/v3-NullFlavor", [("UNK", "equivalent")]),
    ("urn:hub:cn:marital-status-1", "3", f"{CN}3.5", [("30", "equivalent")]),
    ("urn:hub:cn:hb2024:id-type", "08", f"{CN}1.1", [("99", "wider")]),
    (f"{CN}1.270", "1", "urn:hub:cn:yb:adm_way", [("2", "equivalent")]),
    ("urn:hub:cn:yb:adm_way", "1", "http://terminology.hl7.org/CodeSystem/admit-source", [("emd", "equivalent")]),
    ("urn:hub:cn:cn-core:hospital-grade", "9", "urn:hub:cn:cq:hospital-grade", [("2", "equivalent")]),
    ("urn:hub:cn:bs:rh", "1", f"{CN}1.250", [("2", "equivalent")]),
    ("urn:hub:cn:yb:insutype", "390", f"{CN}1.248", [("02", "narrower"), ("03", "narrower")]),
    (f"{CN}1.265", "3", "http://terminology.hl7.org/CodeSystem/discharge-disposition", [("other-hcf", "wider")]),
)


async def test_the_editions_of_a_table_stand_side_by_side_and_are_mapped(nurse: Client) -> None:
    for source, code, target, wanted in SIDE_BY_SIDE:
        answer = (await nurse.get(f"{TRANSLATE}?system={source}&code={code}&targetsystem={target}")).json()
        matches = [parameter["part"] for parameter in answer["parameter"] if parameter["name"] == "match"]
        found = [{part["name"]: next(v for k, v in part.items() if k != "name") for part in parts} for parts in matches]
        assert [(each["concept"]["code"], each["equivalence"]) for each in found] == wanted, (source, code)
    for version, valid in (("WS/T 364-2023", True), ("WS 364-2011", False)):
        answer = (await nurse.get(f"{IN_CODE_SYSTEM}?url={CN}1.1&version={version}&code=08")).json()
        assert said(answer, "result") is valid
    expanded = (await nurse.get("/fhir/ValueSet/$expand?url=urn:hub:vs:id-type&filter=taiwan")).json()["expansion"]
    assert [entry["code"] for entry in expanded["contains"]] == ["07", "11"]
    assert {entry["version"] for entry in expanded["contains"]} == {"WS/T 364-2023"}
