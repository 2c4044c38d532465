"""Custom search parameters by the front door: registered, built beside other work, answered, changed and taken away."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.store.port import Transaction
from tests.hub.api.county import Client, Served, patient, served

pytestmark = pytest.mark.anyio

NATION = "urn:hub:ext:nation"


def nation(id: str, code: str) -> dict[str, Any]:
    return patient(id, extension=[{"url": NATION, "valueCodeableConcept": {"coding": [{"system": "urn:nation", "code": code}]}}])


def definition(id: str = "nation", **changes: Any) -> dict[str, Any]:
    stated = {
        "resourceType": "SearchParameter",
        "id": id,
        "url": f"http://county.example/SearchParameter/{id}",
        "name": id,
        "status": "active",
        "description": "民族",
        "code": id,
        "base": ["Patient"],
        "type": "token",
        "expression": f"Patient.extension.where(url='{NATION}').value",
    }
    return {name: value for name, value in {**stated, **changes}.items() if value is not None}


async def answered(client: Client, path: str) -> httpx.Response:
    """Once the index is built. Until then the answer is a 400 that says so."""
    end = time.monotonic() + 60
    while True:
        answer = await client.get(path)
        if answer.status_code == 200 or time.monotonic() > end:
            return answer
        assert answer.status_code == 400
        await asyncio.sleep(0.05)


async def ids(client: Client, path: str) -> list[str]:
    answer = await answered(client, path)
    assert answer.status_code == 200, answer.text
    return sorted(entry["resource"]["id"] for entry in answer.json().get("entry", []))


async def becomes(client: Client, path: str, expected: list[str] | int) -> None:
    """A status, or the ids found: what is registered is noticed within a second, and then built."""
    end = time.monotonic() + 60
    while True:
        answer = await client.get(path)
        found = [entry["resource"]["id"] for entry in answer.json().get("entry", [])] if answer.status_code == 200 else []
        if answer.status_code == expected or (answer.status_code == 200 and found == expected):
            return
        assert time.monotonic() < end, answer.text
        await asyncio.sleep(0.05)


async def test_what_was_there_is_found_after_the_index_is_built_and_what_comes_at_once(admin: Client) -> None:
    for number in range(3):
        assert (await admin.put(nation(f"old{number}", "01" if number else "02"))).status_code == 201
    assert (await admin.get("/fhir/Patient?nation=01")).status_code == 400
    made = await admin.put(definition())
    assert made.status_code == 201, made.text
    early = await admin.get("/fhir/Patient?nation=01")
    assert early.status_code == 200 or "is being built" in early.text
    assert await ids(admin, "/fhir/Patient?nation=01") == ["old1", "old2"]
    assert (await admin.put(nation("new", "01"))).status_code == 201
    assert await ids(admin, "/fhir/Patient?nation=urn:nation|01") == ["new", "old1", "old2"]
    assert await ids(admin, "/fhir/Patient?nation:missing=false&_sort=_id") == ["new", "old0", "old1", "old2"]
    assert await ids(admin, "/fhir/Patient?nation:not=01") == ["old0"]


async def test_a_chain_leads_to_a_custom_parameter(admin: Client) -> None:
    await admin.put(definition())
    await admin.put(nation("p1", "01"))
    seen = {"resourceType": "Observation", "id": "o1", "status": "final", "code": {"text": "x"}}
    assert (await admin.put({**seen, "subject": {"reference": "Patient/p1"}})).status_code == 201
    assert await ids(admin, "/fhir/Observation?subject:Patient.nation=01") == ["o1"]


async def test_a_composite_and_a_quantity_of_one_s_own(admin: Client) -> None:
    component = [
        {"definition": "http://hl7.org/fhir/SearchParameter/clinical-code", "expression": "code"},
        {"definition": "http://hl7.org/fhir/SearchParameter/Observation-status", "expression": "status"},
    ]
    composite = definition("code-status", base=["Observation"], type="composite", expression="Observation", component=component)
    dose = definition("low-limit", base=["Observation"], type="quantity", expression="Observation.referenceRange.low")
    for each in (composite, dose):
        made = await admin.put(each)
        assert made.status_code == 201, made.text
    low = {"value": 3.9, "system": "http://unitsofmeasure.org", "code": "mmol/L"}
    seen = {"resourceType": "Observation", "id": "o1", "status": "final", "code": {"coding": [{"code": "GLU"}]}}
    assert (await admin.put({**seen, "referenceRange": [{"low": low}]})).status_code == 201
    assert await ids(admin, "/fhir/Observation?code-status=GLU$final") == ["o1"]
    assert await ids(admin, "/fhir/Observation?code-status=GLU$amended") == []
    assert await ids(admin, "/fhir/Observation?low-limit=3900|http://unitsofmeasure.org|umol/L") == ["o1"]
    assert await ids(admin, "/fhir/Observation?low-limit=gt3950|http://unitsofmeasure.org|umol/L") == []


async def test_a_changed_expression_finds_anew_and_a_retired_one_nothing(admin: Client) -> None:
    await admin.put(patient("p1", maritalStatus={"coding": [{"code": "M"}]}, gender="male"))
    await admin.put(definition(expression="Patient.maritalStatus"))
    assert await ids(admin, "/fhir/Patient?nation=M") == ["p1"]
    assert (await admin.put(definition(expression="Patient.contact.gender"))).status_code == 200
    await becomes(admin, "/fhir/Patient?nation=M", [])
    assert (await admin.put(definition(status="retired", expression="Patient.contact.gender"))).status_code == 200
    await becomes(admin, "/fhir/Patient?nation=M", 400)
    assert (await admin.put(definition(expression="Patient.maritalStatus"))).status_code == 200
    await becomes(admin, "/fhir/Patient?nation=M", ["p1"])
    assert (await admin.delete("/fhir/SearchParameter/nation")).status_code == 204
    await becomes(admin, "/fhir/Patient?nation=M", 400)
    assert "has no search parameter" in (await admin.get("/fhir/Patient?nation=M")).text


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"expression": "Patient.name.given.exists()"}, "support"),
        ({"expression": "Patient.shoeSize"}, "no element shoeSize"),
        ({"expression": "Patient.name("}, "expression"),
        ({"expression": "(" * 900}, "support"),
        ({"expression": None}, "expression"),
        ({"expression": "Observation.code"}, "finds nothing"),
        ({"type": "date", "expression": "Patient.gender"}, "cannot search"),
        ({"type": "quantity", "expression": "Patient.name"}, "HumanName"),
        ({"code": "gender"}, "another search parameter of Patient"),
        ({"code": "a:b"}, "code"),
        ({"type": "composite"}, "composite"),
        ({"target": ["Shoe"], "type": "reference", "expression": "Patient.link.other"}, "target"),
    ],
)
async def test_what_cannot_be_searched_is_refused_by_name(admin: Client, changes: dict[str, Any], named: str) -> None:
    refused = await admin.put(definition(**changes))
    assert refused.status_code in (400, 422), refused.text
    assert named in refused.text
    assert (await admin.get("/fhir/SearchParameter/nation")).status_code == 404


async def test_a_draft_and_a_published_definition_change_nothing(admin: Client) -> None:
    assert (await admin.put(definition(status="draft", expression="Patient.name.exists()"))).status_code == 201
    published = definition("gender", url="http://hl7.org/fhir/SearchParameter/individual-gender", expression="Patient.gender")
    assert (await admin.put(published)).status_code == 201
    assert (await admin.get("/fhir/Patient?gender=male")).status_code == 200


async def test_only_who_configures_the_hub_registers(hub: Served) -> None:
    assert (await hub.client("it").put(definition())).status_code == 201
    for role, facility in (("clinician", "CTY"), ("admin", "CTY"), ("system", ""), ("reader", "CTY")):
        assert (await hub.client(role, facility).put(definition("other"))).status_code == 403
        assert (await hub.client(role, facility).http.post("/fhir/$reindex")).status_code == 403


async def test_two_hubs_in_one_process_know_nothing_of_each_other(hub: Served, tmp_path: Path) -> None:
    await hub.client("admin").put(definition())
    assert (await answered(hub.client("admin"), "/fhir/Patient?nation=01")).status_code == 200
    async with served(tmp_path / "other") as other:
        refused = await other.client("admin").get("/fhir/Patient?nation=01")
        assert refused.status_code == 400
        assert "has no search parameter" in refused.text


async def test_it_is_known_after_a_restart(tmp_path: Path) -> None:
    async with served(tmp_path / "data") as first:
        admin = first.client("admin")
        await admin.put(nation("p1", "01"))
        assert (await admin.put(definition())).status_code == 201  # closed before, while or after it is built
    async with served(tmp_path / "data") as second:
        assert await ids(second.client("admin"), "/fhir/Patient?nation=01") == ["p1"]


async def test_a_store_that_an_earlier_release_filled_is_indexed_anew(tmp_path: Path) -> None:
    """As if its release had extracted neither pinyin nor which release it was."""
    async with served(tmp_path / "data") as first:
        named = patient("p1", name=[{"text": "曾小乐"}])
        assert (await first.client("admin").put(named)).status_code == 201

        def earlier(transaction: Transaction) -> None:
            transaction.forget("Patient", "pinyin")
            transaction.put_item("search-parameters", "extraction", None)

        first.hub.store.write(earlier).result()
        assert await ids(first.client("admin"), "/fhir/Patient?pinyin=zxl") == []
    async with served(tmp_path / "data") as second:
        await becomes(second.client("admin"), "/fhir/Patient?pinyin=zxl", ["p1"])


# -- $reindex


async def polled(client: Client, accepted: httpx.Response) -> httpx.Response:
    assert accepted.status_code == 202, accepted.text
    end = time.monotonic() + 60
    while (answer := await client.get(accepted.headers["content-location"])).status_code == 202:
        assert answer.headers["x-progress"]
        assert time.monotonic() < end
        await asyncio.sleep(0.05)
    return answer


async def test_reindex_tells_how_far_it_is_and_how_many_it_read(admin: Client) -> None:
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {"resource": patient(f"p{number}"), "request": {"method": "PUT", "url": f"Patient/p{number}"}} for number in range(450)
        ],
    }
    assert (await admin.http.post("/fhir", json=bundle, headers={"content-type": "application/fhir+json"})).status_code == 200
    asked = {"resourceType": "Parameters", "parameter": [{"name": "type", "valueCode": "Patient"}]}
    done = await polled(admin, await admin.post(asked, "/fhir/$reindex"))
    assert done.status_code == 200
    assert done.json()["parameter"] == [{"name": "resources", "valueInteger": 450}]
    by_url = {"name": "url", "valueUri": "http://hl7.org/fhir/SearchParameter/Patient-active"}
    again = await polled(admin, await admin.post({"resourceType": "Parameters", "parameter": [by_url]}, "/fhir/$reindex"))
    assert again.json()["parameter"][0]["valueInteger"] == 450
    every = await polled(admin, await admin.http.post("/fhir/$reindex"))
    assert every.json()["parameter"][0]["valueInteger"] >= 450


async def test_a_job_belongs_to_who_asked(hub: Served, admin: Client) -> None:
    accepted = await admin.http.post("/fhir/$reindex")
    address = accepted.headers["content-location"]
    assert (await hub.client("admin", name="somebody else").get(address)).status_code == 404
    assert (await admin.get("/fhir/$job/none")).status_code == 404
    assert (await polled(admin, accepted)).status_code == 200


@pytest.mark.parametrize("name", ["type", "url", "shoe"])
async def test_reindex_of_what_is_not_known_is_refused(admin: Client, name: str) -> None:
    asked = {"resourceType": "Parameters", "parameter": [{"name": name, "valueString": "Shoe"}]}
    assert (await admin.post(asked, "/fhir/$reindex")).status_code == 400
