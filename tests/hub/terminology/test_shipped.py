"""What comes with the hub is found where a FHIR client looks for it, beside what was stored, and nobody changes it."""

from __future__ import annotations

from typing import Any

import pytest

from hub.terminology.sources import FOLDERS, SHIPPED
from profiles.promised import promised
from tests.hub.api.county import Client

pytestmark = pytest.mark.anyio
GENDER = "urn:oid:2.16.156.10011.2.3.3.4"
FACILITYS_GENDER: dict[str, Any] = {
    "resourceType": "CodeSystem",
    "id": "mine",
    "url": GENDER,
    "version": "WS/T 364-2023",
    "name": "Mine",
    "status": "active",
    "content": "complete",
    "concept": [{"code": "1", "display": "女性"}],
}


def matches(bundle: dict[str, Any]) -> list[dict[str, Any]]:
    return [entry["resource"] for entry in bundle.get("entry", ()) if entry["search"]["mode"] == "match"]


FOUND = (  # query, ids
    (f"CodeSystem?url={GENDER}", ["hub-gender"]),
    (f"CodeSystem?url={GENDER}&version=WS 364-2011", []),
    ("CodeSystem?url=urn:oid:2.16.156.10011.2.3.1.1&_sort=version", ["hub-id-type-2011", "hub-id-type"]),
    ("CodeSystem?code=Ⅲ", []),
    ("CodeSystem?title=入院途径&_sort=-url", ["hub-admission-route", "hub-insurer-admission-route"]),
    ("CodeSystem?_id=hub-abo,hub-rh&_sort=_id", ["hub-abo", "hub-rh"]),
    ("ValueSet?url=urn:hub:vs:drug-route", ["hub-drug-route"]),
    (f"ConceptMap?source-system={GENDER}", ["hub-gender"]),
    ("StructureDefinition?type=Patient&kind=resource", ["hub-patient"]),
    ("StructureDefinition?url=urn:hub:ext:recognition-mark", ["hub-ext-recognition-mark"]),
    ("Measure?url=urn:hub:measure:recognition-rate", ["recognition-rate"]),
)


async def test_definitions_that_come_with_the_hub_are_searched_and_read(admin: Client) -> None:
    for query, ids in FOUND:
        answer = await admin.get(f"/fhir/{query}")
        assert [each["id"] for each in matches(answer.json())] == ids, query
        assert answer.json()["total"] == len(ids), query
    for type in (*FOLDERS, "StructureDefinition"):
        number = len(promised()) if type not in FOLDERS else len(list((SHIPPED / FOLDERS[type]).glob("*.json")))
        for asked in ("_summary=count", "_count=3&_total=accurate"):
            assert (await admin.get(f"/fhir/{type}?{asked}")).json()["total"] == number, (type, asked)
    read = await admin.get("/fhir/CodeSystem/hub-gender")
    assert [concept["display"] for concept in read.json()["concept"]][1:3] == ["男性", "女性"]
    version = read.json()["meta"]["versionId"]
    assert read.headers["etag"] == f'W/"{version}"'
    assert (await admin.get("/fhir/CodeSystem/hub-gender", if_none_match=read.headers["etag"])).status_code == 304
    assert (await admin.get(f"/fhir/CodeSystem/hub-gender/_history/{version}")).json() == read.json()
    assert (await admin.get("/fhir/CodeSystem/hub-gender/_history/1")).status_code == 404
    assert (await admin.get("/fhir/CodeSystem/hub-gender/_history")).json()["entry"][0]["resource"] == read.json()
    assert (await admin.get("/fhir/ValueSet/hub-gender/$expand")).json()["expansion"]["total"] == 4
    translated = await admin.get(f"/fhir/ConceptMap/hub-gender/$translate?system={GENDER}&code=2")
    assert translated.json()["parameter"][0]["valueBoolean"] is True
    assert len(matches((await admin.get("/fhir?_type=ValueSet,ConceptMap&_count=1000")).json())) > 80


async def test_stored_and_shipped_ones_stand_in_one_order_and_no_page_loses_one(admin: Client) -> None:
    stored = [
        {**FACILITYS_GENDER, "id": f"own-{n}", "url": url, "title": "本地"}
        for n, url in enumerate(("urn:a", "urn:hub:cn:m", "z:z"))
    ]
    for each in stored:
        await admin.put(each)
    number = len(list((SHIPPED / "code_systems").glob("*.json"))) + len(stored)
    for order in ("_sort=url", "_sort=-url", "_sort=-_lastUpdated", "_sort=title,-url", ""):
        entries = await admin.walk(f"/fhir/CodeSystem?_count=20&{order}")
        found = [entry["resource"] for entry in entries]
        assert len({each["id"] for each in found}) == len(found) == number, order
        if order in ("_sort=url", "_sort=-url"):
            urls = [each["url"] for each in found]
            assert urls == sorted(urls, reverse=order == "_sort=-url"), order
        if not order:
            assert [each["id"] for each in found[:3]] == ["own-2", "own-1", "own-0"]


async def test_nobody_writes_or_deletes_what_comes_with_the_hub(admin: Client, nurse: Client) -> None:
    for client in (admin, nurse):
        assert (await client.put({**FACILITYS_GENDER, "id": "hub-gender"})).status_code == 403
        assert (await client.delete("/fhir/CodeSystem/hub-gender")).status_code == 403
        change = [{"op": "replace", "path": "/status", "value": "retired"}]
        assert (await client.patch("/fhir/CodeSystem/hub-gender", change)).status_code == 403
        assert (await client.get("/fhir/CodeSystem/hub-gender")).json()["status"] == "active"


async def test_a_facility_does_not_change_what_the_country_s_codes_mean_and_the_county_may(admin: Client, nurse: Client) -> None:
    ask = f"/fhir/CodeSystem/$lookup?system={GENDER}&code=1"
    for client, display in ((nurse, "男性"), (admin, "女性")):
        assert (await client.put({**FACILITYS_GENDER, "id": f"of-{display == '女性'}"})).status_code == 201
        said = {part["name"]: part.get("valueString") for part in (await nurse.get(ask)).json()["parameter"]}
        assert said["display"] == display
