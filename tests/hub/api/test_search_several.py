"""Search of several types at once and in a compartment. https://hl7.org/fhir/R4/http.html#search"""

from __future__ import annotations

from typing import Any

import pytest

from tests.hub.api.county import Client, Served, encounter, link, observation, patient

pytestmark = pytest.mark.anyio


def condition(id: str, patient_id: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Condition", "id": id, "subject": {"reference": f"Patient/{patient_id}"}, **more}


@pytest.fixture
async def ward(admin: Client) -> Client:
    """Two patients; writing them alternates between types."""
    for number in range(3):
        await admin.put(patient(f"p{number}"))
        await admin.put(observation(f"o{number}", f"p{number % 2}", encounter={"reference": "Encounter/e1"}))
        await admin.put(condition(f"c{number}", f"p{number % 2}"))
    await admin.put(encounter("e1", "p0", participant=[{"individual": {"reference": "Practitioner/dr"}}]))
    await admin.put({"resourceType": "Practitioner", "id": "dr"})
    await admin.put({"resourceType": "Device", "id": "scale", "patient": {"reference": "Patient/p1"}})
    await admin.put(observation("weight", "p1", device={"reference": "Device/scale"}))
    return admin


def named(entries: list[dict[str, Any]]) -> list[str]:
    return [f"{e['resource']['resourceType']}/{e['resource']['id']}" for e in entries]


async def test_types_are_searched_one_after_the_other(ward: Client) -> None:
    entries = await ward.walk("/fhir?_type=Observation,Condition&_sort=_id&_count=2")
    assert named(entries) == [
        "Condition/c0",
        "Condition/c1",
        "Condition/c2",
        *(f"Observation/{o}" for o in ("o0", "o1", "o2", "weight")),
    ]


async def test_a_form_may_ask_several_types_too(ward: Client) -> None:
    answer = await ward.http.post("/fhir/_search", data={"_type": "Patient,Condition", "_id": "p1,c2", "_total": "accurate"})
    assert sorted(named(answer.json()["entry"])) == ["Condition/c2", "Patient/p1"]
    assert answer.json()["total"] == 2


async def test_a_parameter_must_be_one_of_every_type_asked(ward: Client) -> None:
    assert (await ward.get("/fhir?_type=Patient,Condition&gender=male")).status_code == 400
    assert (await ward.get("/fhir?_type=Patient,Nothing")).status_code == 400
    assert len((await ward.get("/fhir?_type=Observation,Condition&patient=Patient/p1")).json()["entry"]) == 3


@pytest.mark.parametrize("direction", ["", "-"])
@pytest.mark.parametrize("count", [1, 2, 3, 50])
async def test_sorted_by_last_updated_types_are_merged(ward: Client, direction: str, count: int) -> None:
    query = "/fhir?_type=Patient,Observation,Condition&_lastUpdated=gt2000"
    entries = await ward.walk(f"{query}&_sort={direction}_lastUpdated&_count={count}")
    stamps = [(e["resource"]["meta"]["lastUpdated"], e["resource"]["resourceType"]) for e in entries]
    names = named(entries)
    assert len(names) == len(set(names)) == 10
    assert [s for s, _ in stamps] == sorted((s for s, _ in stamps), reverse=bool(direction))


async def test_merged_pages_lose_nothing_while_others_write(ward: Client) -> None:
    query = "/fhir?_type=Patient,Observation,Condition&_sort=-_lastUpdated&_count=4"
    first = (await ward.get(query)).json()
    before = set(named(await ward.walk(query)))
    await ward.put(patient("later"))
    await ward.put(condition("later", "p0"))
    rest = await ward.walk(str(link(first, "next")))
    names = named(first["entry"]) + named(rest)
    assert sorted(names) == sorted(before)


async def test_no_page_is_empty_and_no_link_leads_to_one(ward: Client) -> None:
    first = (await ward.get("/fhir?_type=Condition,Schedule&_count=3")).json()
    assert len(first["entry"]) == 3
    assert link(first, "next") is None
    assert first["total"] == 3


@pytest.mark.parametrize("query", ["Observation?_sort=-_id", "?_type=Patient,Observation"])
async def test_a_page_says_which_it_is_and_where_to_begin_again(ward: Client, query: str) -> None:
    first = (await ward.get(f"/fhir/{query}&_count=2")).json()
    second = (await ward.get(str(link(first, "next")))).json()
    assert (link(first, "first"), link(second, "first")) == (None, link(first, "self"))
    assert named((await ward.get(str(link(second, "self")))).json()["entry"]) == named(second["entry"])
    assert named(first["entry"]) == named((await ward.get(str(link(second, "first")))).json()["entry"])


async def test_counts_of_several_types(ward: Client) -> None:
    for query in ("_summary=count", "_count=0&_total=accurate"):
        answer = (await ward.get(f"/fhir?_type=Observation,Condition&{query}")).json()
        assert answer["total"] == 7
        assert "entry" not in answer


async def test_a_page_link_of_several_types_is_its_callers_alone(ward: Client, hub: Served) -> None:
    following = str(link((await ward.get("/fhir?_type=Condition&_count=1")).json(), "next"))
    assert (await ward.get(following)).status_code == 200
    assert (await hub.client("admin", name="other").get(following)).status_code == 400
    assert (await ward.get(following.replace("Condition", "Observation"))).status_code == 400


async def test_a_role_searches_what_it_may_read(ward: Client, hub: Served) -> None:
    await ward.put({"resourceType": "Location", "id": "room", "name": "room"})
    engineer = hub.client("it", "CTY")
    entries = await engineer.walk("/fhir?_lastUpdated=gt2000")
    assert "Location/room" in named(entries)
    assert not {"Patient", "Observation", "Condition"} & {e["resource"]["resourceType"] for e in entries}


async def test_a_patients_compartment(ward: Client) -> None:
    assert set(named(await ward.walk("/fhir/Patient/p1/Observation"))) == {"Observation/o1", "Observation/weight"}
    assert named(await ward.walk("/fhir/Patient/p1/Observation?_id=o1,o0")) == ["Observation/o1"]
    everything = {"Condition/c1", "Observation/o1", "Observation/weight", "Patient/p1"}
    assert set(named(await ward.walk("/fhir/Patient/p1/*?_count=1"))) == everything
    assert set(named(await ward.walk("/fhir/Patient/p1/*?_type=Condition,Patient"))) == {"Condition/c1", "Patient/p1"}
    posted = await ward.http.post("/fhir/Patient/p1/Observation/_search", data={"_id": "o1,o0"})
    assert named(posted.json()["entry"]) == ["Observation/o1"]


async def test_a_compartment_is_the_persons(admin: Client) -> None:
    same = {"identifier": [{"system": "urn:oid:2.16.156.10011.1.3", "value": "110101199003074290"}], "birthDate": "1990-03-07"}
    for id in ("here", "there"):
        await admin.put(patient(id, **same))
        await admin.put(observation(f"of-{id}", id))
    found = named(await admin.walk("/fhir/Patient/here/Observation"))
    assert set(found) == set(named(await admin.walk("/fhir/Observation?patient=here")))
    assert "Observation/of-here" in found


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("Encounter/e1/Observation", {"Observation/o0", "Observation/o1", "Observation/o2"}),
        ("Encounter/e1/*", {"Encounter/e1", "Observation/o0", "Observation/o1", "Observation/o2"}),
        ("Practitioner/dr/Encounter", {"Encounter/e1"}),
        ("Device/scale/Observation", {"Observation/weight"}),
    ],
)
async def test_other_compartments(ward: Client, path: str, found: set[str]) -> None:
    assert set(named(await ward.walk(f"/fhir/{path}"))) == found


@pytest.mark.parametrize(
    ("path", "status"),
    [("Patient/none/Observation", 404), ("Location/x/Observation", 404), ("Patient/p1/Location", 404), ("Patient/p1/Nothing", 404)],
)
async def test_what_has_no_compartment(ward: Client, path: str, status: int) -> None:
    assert (await ward.get(f"/fhir/{path}")).status_code == status


async def test_a_foreign_patients_compartment_is_like_one_that_never_was(hub: Served) -> None:
    county, town = hub.client("clinician", "CTY"), hub.client("clinician", "TWN")
    assert (await county.put(patient("theirs"))).status_code == 201
    assert (await county.put(observation("o", "theirs"))).status_code == 201
    foreign, never = await town.get("/fhir/Patient/theirs/Observation"), await town.get("/fhir/Patient/never/Observation")
    assert (foreign.status_code, foreign.json()) == (never.status_code, never.json()) == (404, never.json())
    assert (await county.get("/fhir/Patient/theirs/Observation")).json()["total"] == 1
