"""_summary, _elements, _count=0, _total and what was not included. https://hl7.org/fhir/R4/search.html#summary"""

from __future__ import annotations

import pytest

from tests.hub.api.county import Client, observation, patient

pytestmark = pytest.mark.anyio

DIV = '<div xmlns="http://www.w3.org/1999/xhtml">text</div>'
REPORT = {
    "resourceType": "DocumentReference",
    "id": "d",
    "text": {"status": "generated", "div": DIV},
    "status": "current",
    "docStatus": "final",
    "description": "a report",
    "securityLabel": [{"text": "normal"}],
    "content": [{"attachment": {"contentType": "text/plain", "data": "YQ==", "title": "a"}}],
}


@pytest.fixture
async def shelf(admin: Client) -> Client:
    await admin.put(REPORT)
    return admin


async def asked(client: Client, query: str) -> dict:
    answer = await client.get(f"/fhir/DocumentReference?_id=d&{query}")
    assert answer.status_code == 200, answer.text
    part = answer.json()["entry"][0]["resource"]
    assert (await client.get(f"/fhir/DocumentReference/d?{query}")).json() == part
    return part


def marked(part: dict) -> bool:
    return part["meta"].get("tag", [{}])[-1].get("code") == "SUBSETTED"


async def test_true_gives_what_the_definitions_mark(shelf: Client) -> None:
    part = await asked(shelf, "_summary=true")
    assert set(part) == {"resourceType", "id", "meta", "status", "docStatus", "description", "securityLabel", "content"}
    assert part["content"] == [{"attachment": {"contentType": "text/plain", "title": "a"}}]
    assert marked(part)


async def test_text_gives_the_narrative_and_what_must_be(shelf: Client) -> None:
    part = await asked(shelf, "_summary=text")
    assert set(part) == {"resourceType", "id", "meta", "text", "status", "content"}
    assert marked(part)


async def test_data_gives_all_but_the_narrative(shelf: Client) -> None:
    part = await asked(shelf, "_summary=data")
    assert set(part) == set(REPORT) - {"text"} | {"meta"}
    assert marked(part)


async def test_false_gives_all(shelf: Client) -> None:
    part = await asked(shelf, "_summary=false")
    assert set(part) == set(REPORT) | {"meta"}
    assert not marked(part)


async def test_count_gives_the_number_alone(shelf: Client) -> None:
    answer = (await shelf.get("/fhir/DocumentReference?_summary=count")).json()
    assert answer["total"] == 1
    assert "entry" not in answer


async def test_elements_are_named_by_root_type_and_choice(admin: Client) -> None:
    await admin.put(patient("p1", birthDate="1970", _birthDate={"id": "b"}))
    await admin.put(observation("o1", "p1", valueString="a", note=[{"text": "n"}]))
    answer = (await admin.get("/fhir/Observation?_include=Observation:subject&_elements=value,Patient.birthDate")).json()
    parts = {entry["resource"]["resourceType"]: set(entry["resource"]) for entry in answer["entry"]}
    assert parts["Observation"] == {"resourceType", "id", "meta", "status", "code", "valueString"}
    assert parts["Patient"] == {"resourceType", "id", "meta", "birthDate", "_birthDate"}


async def test_elements_of_one_type_leave_others_whole(admin: Client) -> None:
    await admin.put(patient("p1"))
    await admin.put(observation("o1", "p1"))
    answer = (await admin.get("/fhir/Observation?_include=Observation:subject&_elements=Observation.status")).json()
    assert {"name", "gender"} <= set(answer["entry"][1]["resource"])


@pytest.mark.parametrize(
    "query",
    [
        "_summary=true&_elements=status",
        "_summary=some",
        "_summary=text&_include=DocumentReference:subject",
        "_summary=count&_elements=a",
    ],
)
async def test_what_excludes_one_another_is_refused(shelf: Client, query: str) -> None:
    answer = await shelf.get(f"/fhir/DocumentReference?{query}")
    assert answer.status_code == 400
    assert answer.json()["issue"][0]["code"] == "invalid"


async def test_a_count_of_zero_and_the_total(admin: Client) -> None:
    for number in range(3):
        await admin.put(patient(f"p{number}"))
    counts = {
        "_count=0": 3,
        "_count=0&_total=accurate": 3,
        "_count=1&_total=accurate": 3,
        "_count=1&_total=estimate": 3,
        "_count=1&_total=none": None,
        "_count=1": None,
        "_count=3": 3,
    }
    for query, total in counts.items():
        answer = (await admin.get(f"/fhir/Patient?{query}")).json()
        assert answer.get("total") == total, query
        assert len(answer.get("entry", [])) == min(3, int(query[7])), query
