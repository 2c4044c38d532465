"""Which definitions an expansion is made of: versions, supplements, parts of a code system, what is contained, what is bound.

https://hl7.org/fhir/R4/valueset-operation-expand.html  https://hl7.org/fhir/R4/codesystem.html
"""

from __future__ import annotations

import pytest

from tests.hub.api.county import Client
from tests.hub.terminology.tables import DIAGNOSES, DIAGNOSIS_TABLE, codes, expanded, rule, value_set

pytestmark = pytest.mark.anyio
GENDER = "http://hl7.org/fhir/ValueSet/administrative-gender"


SIDE_BY_SIDE = (
    ("newest", "", ["x:two", "y:new"]),
    ("first", "", ["x:one"]),
    ("pinned", "", ["x:one"]),
    ("both", "", ["x:one", "x:two", "y:new"]),
    ("newest", "?system-version=urn:hub:test:v|1", ["x:one"]),
    ("first", "?system-version=urn:hub:test:v|2", ["x:one"]),
    ("first", "?force-system-version=urn:hub:test:v|2", ["x:two", "y:new"]),
    ("newest", "?check-system-version=urn:hub:test:v|1", ["x:one"]),
    ("first", "?check-system-version=urn:hub:test:v|2", 422),
    ("ninth", "", 404),
    ("newest", "?date=2999", ["x:two", "y:new"]),
    ("newest", "?date=2001-01-01", 400),
)


async def test_versions_of_a_code_system_side_by_side(admin: Client) -> None:
    url = "urn:hub:test:v"
    for version, concepts in (("1", [("x", "one")]), ("2", [("x", "two"), ("y", "new")])):
        table = {**DIAGNOSIS_TABLE, "id": f"v{version}", "url": url, "version": version}
        await admin.put({**table, "concept": [{"code": code, "display": display} for code, display in concepts]})
    await admin.put(value_set("newest", {"system": url}))
    await admin.put(value_set("first", {"system": url, "version": "1"}))
    await admin.put(value_set("ninth", {"system": url, "version": "9"}))
    await admin.put(value_set("pinned", {"system": f"{url}|1"}))
    await admin.put(value_set("both", {"system": url, "version": "1"}, {"system": url, "version": "2"}))
    for id, query, found in SIDE_BY_SIDE:
        answer = await admin.get(f"/fhir/ValueSet/{id}/$expand{query}")
        if isinstance(found, int):
            assert (answer.status_code, answer.json()["resourceType"]) == (found, "OperationOutcome"), (id, query)
        else:
            shown = [f"{entry['code']}:{entry['display']}" for entry in answer.json()["expansion"]["contains"]]
            assert shown == found, (id, query)
    standard = await admin.get(f"/fhir/ValueSet/$expand?url={GENDER}&date=2001-01-01")
    assert len(codes(standard.json())) == 4, "what nobody changes is as it was"


async def test_what_a_supplement_says_of_a_code_system(admin: Client) -> None:
    said = {
        "code": "K35",
        "designation": [{"language": "fr", "value": "Appendicite"}],
        "property": [{"code": "page", "valueString": "7"}],
    }
    supplement = {**DIAGNOSIS_TABLE, "id": "more", "url": "urn:hub:test:more", "content": "supplement", "supplements": DIAGNOSES}
    supplement |= {"property": [{"code": "page", "type": "string"}], "concept": [said, {"code": "nothing of it", "display": "x"}]}
    await admin.put(supplement)
    answer = await expanded(admin, rule("page", "=", "7"), query="?displayLanguage=fr")
    assert [entry["display"] for entry in answer["expansion"]["contains"]] == ["Appendicite"]
    assert {"name": "used-supplement", "valueUri": "urn:hub:test:more|2.0"} in answer["expansion"]["parameter"]
    assert len(codes(await expanded(admin, {"system": DIAGNOSES}))) == 8, "it adds no codes"
    for canonical, status in (("urn:hub:test:more", 200), ("urn:hub:test:less", 404)):
        extension = {"url": "http://hl7.org/fhir/StructureDefinition/valueset-supplement", "valueCanonical": canonical}
        await admin.put({**value_set("bound", {"system": DIAGNOSES}), "extension": [extension]})
        assert (await admin.get("/fhir/ValueSet/bound/$expand")).status_code == status
    await admin.put(value_set("alone", {"system": "urn:hub:test:more"}))
    assert (await admin.get("/fhir/ValueSet/alone/$expand")).status_code == 404, "a supplement is no code system of its own"


async def test_code_systems_that_are_not_all_here(admin: Client) -> None:
    for content in ("not-present", "fragment"):
        table = {**DIAGNOSIS_TABLE, "id": content, "url": f"urn:hub:test:{content}", "content": content}
        if content == "not-present":
            del table["concept"]
        await admin.put(table)
        await admin.put(value_set(content, {"system": f"urn:hub:test:{content}"}))
        await admin.put(value_set(f"{content}-listed", {"system": f"urn:hub:test:{content}", "concept": [{"code": "Z99"}]}))
        assert codes((await admin.get(f"/fhir/ValueSet/{content}-listed/$expand")).json()) == ["Z99"]
    assert (await admin.get("/fhir/ValueSet/not-present/$expand")).status_code == 404, "it is not empty: nobody knows"
    part = (await admin.get("/fhir/ValueSet/fragment/$expand")).json()
    assert (len(codes(part)), part["expansion"]["parameter"][-1]["name"]) == (8, "used-fragment")
    listed = {"system": DIAGNOSES, "concept": [{"code": "k35.2", "display": "腹膜炎"}, {"code": "no such code"}]}
    (entry,) = (await expanded(admin, listed))["expansion"]["contains"]
    assert (entry["code"], entry["display"]) == ("K35.2", "腹膜炎"), "of one that is all here only what it has, spelled as it does"


async def test_the_county_s_definition_stands_whatever_a_facility_writes(admin: Client, nurse: Client) -> None:
    await admin.put(DIAGNOSIS_TABLE)
    other = {**DIAGNOSIS_TABLE, "id": "other", "concept": [{"code": "K35", "display": "别的"}]}
    assert (await nurse.put(other)).status_code == 201
    answer = await nurse.get(f"/fhir/ValueSet/$expand?url={DIAGNOSES}?fhir_vs")
    assert len(codes(answer.json())) == 8


async def test_a_value_set_within_a_value_set(admin: Client) -> None:
    inner = {"resourceType": "ValueSet", "id": "in", "status": "active"}
    outer = value_set("outer", {"valueSet": ["#in"]})
    await admin.put(DIAGNOSIS_TABLE)
    for include, found in ((rule("concept", "in", "k35,E11"), ["K35", "E11"]), ({"valueSet": ["#in"]}, None)):
        await admin.put({**outer, "contained": [{**inner, "compose": {"include": [include]}}]})
        answer = await admin.get("/fhir/ValueSet/outer/$expand")
        assert answer.status_code == (422 if found is None else 200)
        assert found is None or codes(answer.json()) == found


async def test_the_value_set_of_the_place_where_a_code_stands(admin: Client) -> None:
    core = "http://hl7.org/fhir/StructureDefinition/Patient%23Patient.name.use"
    for context, first in (("Patient.gender", "male"), (core, "usual")):
        assert codes((await admin.get(f"/fhir/ValueSet/$expand?context={context}")).json())[0] == first
    await admin.put(DIAGNOSIS_TABLE)
    await admin.put(value_set("belly", rule("concept", "is-a", "K35")))
    element = {
        "id": "Condition.code",
        "path": "Condition.code",
        "binding": {"strength": "required", "valueSet": "urn:hub:test:vs:belly"},
    }
    profile = {"resourceType": "StructureDefinition", "id": "p", "url": "urn:hub:test:p", "name": "P", "status": "active"}
    profile |= {"kind": "resource", "abstract": False, "type": "Condition", "derivation": "constraint"}
    profile |= {"baseDefinition": "http://hl7.org/fhir/StructureDefinition/Condition", "differential": {"element": [element]}}
    assert (await admin.put(profile)).status_code == 201
    assert "K35" in codes((await admin.get("/fhir/ValueSet/$expand?context=urn:hub:test:p%23Condition.code")).json())
    asked = f"/fhir/ValueSet/$validate-code?context=urn:hub:test:p%23Condition.code&system={DIAGNOSES}&code=E11"
    assert (await admin.get(asked)).json()["parameter"][0]["valueBoolean"] is False
