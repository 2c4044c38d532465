"""`$export` by the front door, on both stores: what comes out, for whom, and what is refused."""

from __future__ import annotations

import stat
from typing import Any

import pytest

from hub.bulk.exports import KEPT_MS, sweep
from hub.bulk.output import FOLDER
from tests.hub.api.county import Client, Served, encounter, observation, patient
from tests.hub.bulk.exports import ASYNC, exported, kicked_off, lines, manifest, waited

pytestmark = pytest.mark.anyio

PEOPLE = [patient(f"p{n}", birthDate=f"19{60 + n}-01-01") for n in range(5)]
RESULTS = [observation(f"o{n}", f"p{n % 5}", status="final" if n % 3 else "amended") for n in range(30)]
GROUP = {
    "resourceType": "Group",
    "id": "g",
    "type": "person",
    "actual": True,
    "member": [
        {"entity": {"reference": "Patient/p1"}},
        {"entity": {"reference": "Patient/p3"}},
        {"entity": {"reference": "Patient/p4"}, "inactive": True},
    ],
}


@pytest.fixture
async def county(admin: Client) -> Client:
    entries = [
        {"resource": each, "request": {"method": "PUT", "url": f"{each['resourceType']}/{each['id']}"}}
        for each in (*PEOPLE, *RESULTS, GROUP)
    ]
    answer = await admin.post({"resourceType": "Bundle", "type": "transaction", "entry": entries}, "/fhir")
    assert answer.status_code == 200, answer.text
    return admin


async def searched(client: Client, *paths: str) -> dict[str, dict[str, Any]]:
    found = [entry["resource"] for path in paths for entry in await client.walk(path)]
    return {f"{each['resourceType']}/{each['id']}": each for each in found}


async def test_an_export_is_what_searches_find(county: Client) -> None:
    found = await exported(county, "/fhir/$export?_type=Patient,Observation,Organization")
    assert found == await searched(county, "/fhir/Patient", "/fhir/Observation", "/fhir/Organization")
    assert len(found) == 37


async def test_patients_compartments_hold_no_directory(county: Client) -> None:
    found = await exported(county, "/fhir/Patient/$export")
    assert found == await searched(county, "/fhir/Patient", "/fhir/Observation")


async def test_a_group_is_its_active_members(county: Client) -> None:
    found = await exported(county, "/fhir/Group/g/$export?_type=Patient,Observation")
    subjects = {each["subject"]["reference"] for each in found.values() if "subject" in each}
    assert subjects == {"Patient/p1", "Patient/p3"} == {key for key in found if key.startswith("Patient/")}
    assert (await county.get("/fhir/Group/none/$export", **ASYNC)).status_code == 404


async def test_a_group_may_hold_groups_and_name_a_patients_version(county: Client) -> None:
    members = ["Group/g", "Patient/p0/_history/1", "Group/wide"]
    await county.put({**GROUP, "id": "wide", "member": [{"entity": {"reference": each}} for each in members]})
    found = await exported(county, "/fhir/Group/wide/$export?_type=Patient")
    assert set(found) == {"Patient/p0", "Patient/p1", "Patient/p3"}


@pytest.mark.parametrize(("path", "strangers"), [("Patient", ["nobody"]), ("Group/g", ["p0", "nobody"])])
async def test_patients_that_are_not_there_or_no_members_are_told_of(county: Client, path: str, strangers: list[str]) -> None:
    named = [{"name": "patient", "valueReference": {"reference": f"Patient/{id}"}} for id in ("p1", *strangers)]
    asked = {"resourceType": "Parameters", "parameter": [*named, {"name": "_type", "valueString": "Patient"}]}
    answer = await county.post(asked, f"/fhir/{path}/$export", **ASYNC)
    told = (await waited(county, answer.headers["content-location"])).json()
    assert [each["id"] for each in await lines(county, told["output"])] == ["p1"]
    (note,) = await lines(county, told["error"])
    assert note["issue"][0]["code"] == "not-found"
    assert "nobody" not in str(note)
    none = {**asked, "parameter": named[1:]}
    assert (await county.post(none, f"/fhir/{path}/$export", **ASYNC)).status_code == 404


async def test_patients_are_named_in_a_post(county: Client) -> None:
    asked = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "patient", "valueReference": {"reference": "Patient/p2"}},
            {"name": "_type", "valueString": "Observation"},
            {"name": "_elements", "valueString": "Observation.status"},
        ],
    }
    answer = await county.post(asked, "/fhir/Patient/$export", **ASYNC)
    status = await waited(county, answer.headers["content-location"])
    found = await lines(county, status.json()["output"])
    assert {each["id"] for each in found} == {f"o{n}" for n in range(2, 30, 5)}
    assert all(each["meta"]["tag"][-1]["code"] == "SUBSETTED" and "subject" not in each for each in found)


async def test_filters_of_a_type_are_alternatives(county: Client) -> None:
    asked = "_type=Observation&_typeFilter=Observation?status=amended%26subject=Patient/p0,Observation?subject=Patient/p1"
    found = await exported(county, f"/fhir/$export?{asked}")
    wanted = await searched(county, "/fhir/Observation?status=amended&subject=Patient/p0", "/fhir/Observation?subject=Patient/p1")
    assert found == wanted
    assert found


async def test_since_tells_changes_and_deletions(county: Client) -> None:
    first = await manifest(county, "/fhir/$export?_type=Observation")
    await county.put({**RESULTS[0], "status": "corrected"})
    await county.delete("/fhir/Observation/o1")
    since = first["transactionTime"].replace("+", "%2B")
    second = await manifest(county, f"/fhir/$export?_type=Observation&_since={since}")
    assert [each["id"] for each in await lines(county, second["output"])] == ["o0"]
    (gone,) = await lines(county, second["deleted"])
    assert gone["entry"] == [{"request": {"method": "DELETE", "url": "Observation/o1"}}]
    before = await manifest(county, f"/fhir/$export?_type=Observation&_until={second['transactionTime'].replace('+', '%2B')}")
    corrected = (await county.get("/fhir/Observation/o0")).json()["meta"]["lastUpdated"].replace("+", "%2B")
    earlier = await manifest(county, f"/fhir/$export?_type=Observation&_until={corrected}")
    assert [sum(file["count"] for file in each["output"]) for each in (before, earlier)] == [29, 28]


async def test_what_changes_meanwhile_is_exported_as_it_was(county: Client, hub: Served) -> None:
    """The job is taken up by the hub's thread; what is written after the kick-off is not part of it."""
    address = await kicked_off(county, "/fhir/$export?_type=Observation")
    await county.put({**RESULTS[0], "status": "corrected"})
    await county.put(observation("later", "p0"))
    found = await lines(county, (await waited(county, address)).json()["output"])
    assert {each["id"]: each["status"] for each in found} == {each["id"]: each["status"] for each in RESULTS}


async def test_a_facility_exports_its_own_and_whom_it_treats(hub: Served) -> None:
    own, other = hub.client("system", "CTY"), hub.client("system", "TWN")
    for client, number in ((own, 1), (other, 2)):
        assert (await client.put(patient(f"f{number}"))).status_code == 201
        assert (await client.put(observation(f"r{number}", f"f{number}"))).status_code == 201
    assert set(await exported(own, "/fhir/Patient/$export")) == {"Patient/f1", "Observation/r1"}
    await hub.client("admin").put(encounter("e", "f2", meta={"tag": [{"system": "urn:hub:facility", "code": "CTY"}]}))
    found = await exported(own, "/fhir/Patient/$export")
    assert set(found) == set(await searched(own, "/fhir/Patient", "/fhir/Observation", "/fhir/Encounter"))


async def test_an_export_is_its_callers_alone(county: Client, hub: Served) -> None:
    address = await kicked_off(county, "/fhir/$export?_type=Patient")
    told = (await waited(county, address)).json()
    assert told["requiresAccessToken"] is True
    url = told["output"][0]["url"]
    for client in (hub.client("admin", name="another"), hub.client("clinician", "CTY")):
        for path in (address, url):
            assert (await client.get(path)).status_code == 404
        assert (await client.delete(address)).status_code == 404
    assert (await hub.bearer("").get(url)).status_code == 401
    assert (await county.get(url, accept_encoding="gzip")).headers["content-encoding"] == "gzip"


async def test_deleting_an_export_removes_its_files(county: Client, hub: Served) -> None:
    address = await kicked_off(county, "/fhir/$export?_type=Patient")
    url = (await waited(county, address)).json()["output"][0]["url"]
    folder = hub.hub.data / FOLDER
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert len(list(folder.iterdir())) == 1
    assert (await county.delete(address)).status_code == 202
    assert list(folder.iterdir()) == []
    for path in (address, url):
        assert (await county.get(path)).status_code == 404


async def test_files_expire(county: Client, hub: Served) -> None:
    await manifest(county, "/fhir/$export?_type=Patient")
    sweep(hub.hub)
    folder = hub.hub.data / FOLDER
    assert len(list(folder.iterdir())) == 1
    late = type(hub.hub)(**{**vars(hub.hub), "clock": lambda: hub.hub.clock() + KEPT_MS + 60_000})
    sweep(late)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ("_outputFormat=application/fhir%2Bndjson", 202),
        ("_outputFormat=text/csv", 400),
        ("_type=Cat", 400),
        ("_since=yesterday", 400),
        ("_since=2026", 400),
        ("_since=2026-13-01T00:00:00Z", 400),
        ("_until=2026-01-01", 400),
        ("_type=Patient&_typeFilter=Observation?status=final", 400),
        ("_typeFilter=Observation?code:in=http://county.example/none", 400),
        ("_typeFilter=Observation?_list=none", 400),
        ("_typeFilter=Observation?nothing=1", 400),
        ("_typeFilter=Observation?_sort=date", 400),
        ("_typeFilter=Observation", 400),
        ("_elements=a b", 400),
        ("includeAssociatedData=LatestProvenanceResources", 400),
        ("patient=Patient/p1", 400),
        ("whatever=1", 400),
    ],
)
async def test_what_is_not_understood_is_refused(admin: Client, asked: str, status: int) -> None:
    answer = await admin.get(f"/fhir/$export?{asked}", **ASYNC)
    assert answer.status_code == status
    if status == 400:
        assert answer.json()["resourceType"] == "OperationOutcome"
        assert answer.json()["issue"][0]["expression"] == [asked.rpartition("&")[2].partition("=")[0]]


async def test_a_lenient_client_is_told_what_was_left_out(admin: Client) -> None:
    answer = await admin.get("/fhir/$export?_type=Patient&whatever=1", prefer="respond-async, handling=lenient")
    told = (await waited(admin, answer.headers["content-location"])).json()
    (note,) = await lines(admin, told["error"])
    assert "whatever" in note["issue"][0]["diagnostics"]
    assert (await admin.get("/fhir/$export")).status_code == 400


async def test_only_so_many_at_a_time(admin: Client, hub: Served) -> None:
    hub.hub.jobs.close()
    answers = [(await admin.get("/fhir/$export", **ASYNC)).status_code for _ in range(4)]
    assert answers == [202, 202, 202, 429]


async def test_kick_off_content_and_downloads_are_audited(county: Client) -> None:
    told = await manifest(county, "/fhir/$export?_type=Patient")
    patients = {f"Patient/{each['id']}" for each in await lines(county, told["output"])}
    events = [event["resource"] for event in await county.walk("/fhir/AuditEvent?subtype=operation")]
    assert sorted(event["action"] for event in events) == ["E", "R", "R"]
    named = {str(each.get("what", {}).get("reference")) for event in events for each in event["entity"]}
    assert patients <= named, "each person whose record left"
