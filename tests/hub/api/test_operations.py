"""$everything, $lastn, $meta: what they give, and to whom."""

from __future__ import annotations

from typing import Any

import pytest

from tests.hub.api.county import Client, Served, encounter, link, observation, patient

pytestmark = pytest.mark.anyio


def ids(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [entry["resource"]["id"] for entry in answer.json().get("entry", [])]


def measured(id: str, code: str, day: str, **more: Any) -> dict[str, Any]:
    return observation(id, "p1", code={"coding": [{"system": "http://loinc.org", "code": code}]}, effectiveDateTime=day, **more)


@pytest.fixture
async def measurements(admin: Client) -> Client:
    vital = {"category": [{"coding": [{"code": "vital-signs"}]}]}
    await admin.put(patient("p1"))
    for one in (
        measured("w1", "29463-7", "2024-01-01", **vital),
        measured("w2", "29463-7", "2024-03-01", **vital),
        measured("w3", "29463-7", "2024-02-01", **vital),
        measured("g1", "2345-7", "2024-02-02"),
        measured("g2", "2345-7", "2024-02-02"),
    ):
        await admin.put(one)
    return admin


class TestLastn:
    async def test_one_of_each_code_the_latest_first_and_ties_together(self, measurements: Client) -> None:
        answer = await measurements.get("/fhir/Observation/$lastn?patient=Patient/p1")
        assert ids(answer)[0] == "w2"
        assert set(ids(answer)) == {"w2", "g1", "g2"}
        assert answer.json()["total"] == 3

    async def test_max_and_criteria(self, measurements: Client) -> None:
        asked = {"subject=Patient/p1&max=2&category=vital-signs": ["w2", "w3"], "patient=p1&code=29463-7&max=9": ["w2", "w3", "w1"]}
        for query, found in asked.items():
            assert ids(await measurements.get(f"/fhir/Observation/$lastn?{query}")) == found
        counted = (await measurements.get("/fhir/Observation/$lastn?patient=p1&_summary=count")).json()
        assert (counted["total"], "entry" in counted) == (3, False)

    async def test_by_post(self, measurements: Client) -> None:
        parts = [{}, {"name": "code", "valueString": "29463-7"}]
        parts[0] = {"name": "patient", "valueReference": {"reference": "Patient/p1"}}  # type: ignore[dict-item]
        parts.append({"name": "max", "valuePositiveInt": 2})  # type: ignore[dict-item]
        answer = await measurements.post({"resourceType": "Parameters", "parameter": parts}, "/fhir/Observation/$lastn")
        assert ids(answer) == ["w2", "w3"]

    @pytest.mark.parametrize(
        "query", ["", "code=1", "patient=p1&max=0", "patient=p1&max=x", "patient=p1&_count=1", "patient=p1&no=1"]
    )
    async def test_what_it_does_not_take(self, measurements: Client, query: str) -> None:
        assert (await measurements.get(f"/fhir/Observation/$lastn?{query}")).status_code == 400

    async def test_a_foreign_patients_are_not_told(self, hub: Served) -> None:
        county, town = hub.client("clinician", "CTY"), hub.client("clinician", "TWN")
        assert (await county.put(patient("p1"))).status_code == 201
        assert (await county.put(measured("w", "29463-7", "2024-01-01"))).status_code == 201
        assert ids(await county.get("/fhir/Observation/$lastn?patient=p1")) == ["w"]
        assert ids(await town.get("/fhir/Observation/$lastn?patient=p1")) == []


def parameters(**meta: Any) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": meta}]}


def meta_of(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return answer.json()["parameter"][0]["valueMeta"]


A, B = {"system": "urn:t", "code": "a"}, {"system": "urn:t", "code": "b"}


class TestMeta:
    async def test_labels_are_added_once_and_deleted(self, admin: Client) -> None:
        await admin.put(patient("p1", meta={"tag": [A]}))
        answer = await admin.post(
            parameters(tag=[A, {**B, "display": "B"}], profile=["http://a.example/p"]), "/fhir/Patient/p1/$meta-add"
        )
        assert [tag["code"] for tag in meta_of(answer)["tag"]] == ["a", "b"]
        assert meta_of(await admin.get("/fhir/Patient/p1/$meta"))["profile"] == ["http://a.example/p"]
        assert (await admin.get("/fhir/Patient?_tag=urn:t|b")).json()["total"] == 1
        answer = await admin.post(parameters(tag=[A], profile=["http://a.example/p"]), "/fhir/Patient/p1/$meta-delete")
        assert meta_of(answer) == {"tag": [{**B, "display": "B"}]}
        assert meta_of(await admin.http.post("/fhir/Patient/p1/$meta")) == meta_of(answer)
        assert (await admin.get("/fhir/Patient/p1")).headers["etag"] == 'W/"3"'

    async def test_where_nothing_is_labelled_the_answer_is_valid_all_the_same(self, admin: Client) -> None:
        await admin.put(patient("p1"))
        assert (await admin.get("/fhir/Patient/p1/$meta")).json() == {"resourceType": "Parameters"}

    async def test_a_type_and_everything(self, admin: Client) -> None:
        await admin.put(patient("p1", meta={"tag": [A]}))
        await admin.put(observation("o1", "p1", meta={"tag": [B], "security": [A]}))
        assert A in meta_of(await admin.get("/fhir/Patient/$meta"))["tag"]
        everything = meta_of(await admin.get("/fhir/$meta"))
        assert everything["security"] == [A]
        assert {"a", "b"} <= {tag["code"] for tag in everything["tag"]}

    @pytest.mark.parametrize("meta", [{"versionId": "9"}, {"lastUpdated": "2024-01-01T00:00:00Z"}])
    async def test_the_version_is_not_for_the_client_to_say(self, admin: Client, meta: dict[str, str]) -> None:
        await admin.put(patient("p1"))
        assert (await admin.post(parameters(**meta), "/fhir/Patient/p1/$meta-add")).status_code == 400

    async def test_a_reader_adds_nothing_and_a_stranger_finds_nothing(self, hub: Served) -> None:
        county, town, reader = (hub.client(role, f) for role, f in (("clinician", "CTY"), ("clinician", "TWN"), ("reader", "CTY")))
        await county.put(patient("p1"))
        assert (await reader.post(parameters(tag=[A]), "/fhir/Patient/p1/$meta-add")).status_code == 403
        assert (await town.post(parameters(tag=[A]), "/fhir/Patient/p1/$meta-add")).status_code == 404
        assert (await town.get("/fhir/Patient/p1/$meta")).status_code == 404


class TestEverything:
    @pytest.fixture
    async def visits(self, admin: Client) -> Client:
        await admin.put(patient("p1"))
        await admin.put({"resourceType": "Practitioner", "id": "dr"})
        stay = {
            "period": {"start": "2024-02-01", "end": "2024-02-09"},
            "participant": [{"individual": {"reference": "Practitioner/dr"}}],
        }
        await admin.put(encounter("e1", "p1", **stay))
        await admin.put(measured("early", "1", "2023-01-01"))
        await admin.put(measured("during", "1", "2024-02-02", encounter={"reference": "Encounter/e1"}))
        await admin.put(observation("undated", "p1"))
        return admin

    async def test_of_an_encounter(self, visits: Client) -> None:
        entries = (await visits.get("/fhir/Encounter/e1/$everything")).json()["entry"]
        modes = {entry["resource"]["id"]: entry["search"]["mode"] for entry in entries}
        assert modes == {"e1": "match", "during": "match", "p1": "include", "dr": "include"}
        paged = await visits.walk("/fhir/Encounter/e1/$everything?_count=1")
        assert {entry["resource"]["id"] for entry in paged} == set(modes)
        shown = {"Observation": {"during"}, "Observation,Patient": {"during", "p1"}, "Practitioner": {"dr"}}
        for types, expected in shown.items():
            assert set(ids(await visits.get(f"/fhir/Encounter/e1/$everything?_type={types}"))) == expected, types
        assert (await visits.get("/fhir/Encounter/none/$everything")).status_code == 404

    async def test_of_a_patient_between_two_days(self, visits: Client) -> None:
        found = set(ids(await visits.get("/fhir/Patient/p1/$everything?start=2024-01-01&end=2024-12-31")))
        assert found == {"p1", "e1", "dr", "during", "undated"}
        assert "early" in ids(await visits.get("/fhir/Patient/p1/$everything?end=2024-01-01"))
        for query in ("start=never", "start=gt2024", "_since=x", "other=1", "_type=Nothing", "start=2024&start=2025", "_count=٣"):
            assert (await visits.get(f"/fhir/Patient/p1/$everything?{query}")).status_code == 400

    async def test_of_all_patients_whom_the_caller_may_see(self, hub: Served, visits: Client) -> None:
        town = hub.client("clinician", "TWN")
        await town.put(patient("p2"))
        await town.put(observation("o2", "p2"))
        await visits.put({"resourceType": "Group", "id": "g", "type": "person", "actual": True})
        await visits.put(observation("of-a-group", "p1", subject={"reference": "Group/g"}))
        entries = await visits.walk("/fhir/Patient/$everything?_count=2")
        assert {entry["resource"]["id"] for entry in entries} == {"p1", "p2", "e1", "dr", "early", "during", "undated", "o2"}
        assert set(ids(await town.get("/fhir/Patient/$everything"))) == {"p2", "o2"}
        assert set(ids(await visits.get("/fhir/Patient/$everything?_type=Patient&_type=Encounter"))) == {"p1", "p2", "e1"}

    async def test_by_post(self, visits: Client) -> None:
        parts = [{"name": "_type", "valueCode": "Observation"}, {"name": "start", "valueDate": "2024-01-01"}]
        sent = {"resourceType": "Parameters", "parameter": [*parts, {"name": "_count", "valueInteger": 1}]}
        first = await visits.post(sent, "/fhir/Patient/p1/$everything")
        entries = first.json()["entry"] + await visits.walk(link(first.json(), "next") or "")
        assert {entry["resource"]["id"] for entry in entries} == {"during", "undated"}
        assert len(ids(await visits.http.post("/fhir/Encounter/e1/$everything"))) == 4
        assert (await visits.post(patient("p1"), "/fhir/Patient/p1/$everything")).status_code == 400

    async def test_since(self, visits: Client) -> None:
        await visits.put(measured("during", "1", "2024-02-03"))
        stamp = (await visits.get("/fhir/Observation/during")).json()["meta"]["lastUpdated"]
        assert ids(await visits.get(f"/fhir/Patient/p1/$everything?_since={stamp}")) == ["during"]
