"""Two facilities: what one may not see it cannot reach by any route, and cannot tell from what never was."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from hub.security.access import Role
from tests.hub.api.county import Client, Served, bundle, encounter, entry, link, observation, patient, served

pytestmark = pytest.mark.anyio

BORN = {"birthDate": "1970-01-01"}


@pytest.fixture
async def county(hub: Served) -> Client:
    """The county hospital: patient c1 with a result, a visit and a doctor."""
    client = hub.client("clinician", "CTY")
    doctor = {"resourceType": "Practitioner", "id": "dr", "name": [{"text": "李医生"}]}
    for resource in (
        patient("c1", **BORN),
        doctor,
        encounter("e1", "c1"),
        observation("o1", "c1", encounter={"reference": "Encounter/e1"}, performer=[{"reference": "Practitioner/dr"}]),
    ):
        assert (await client.put(resource)).status_code == 201
    return client


@pytest.fixture
async def town(hub: Served) -> Client:
    client = hub.client("clinician", "TWN")
    assert (await client.put(patient("t1"))).status_code == 201
    return client


def same(one: httpx.Response, other: httpx.Response) -> bool:
    return (one.status_code, one.content) == (other.status_code, other.content)


async def test_reads_at_the_same_time_are_answered_each_by_its_own_right(county: Client, town: Client, hub: Served) -> None:
    """A store that is a server's way off is asked for them together."""
    await county.put(observation("gone", "c1"))
    await county.delete("/fhir/Observation/gone")
    callers = {"county": county, "town": town, "admin": hub.client("admin")}
    paths = ("Patient/c1", "Patient/t1", "Observation/o1", "Observation/gone", "Practitioner/dr", "Encounter/none")
    alone = {(name, path): (await client.get(f"/fhir/{path}")).status_code for name, client in callers.items() for path in paths}
    asked = list(alone) * 8
    answers = await asyncio.gather(*(callers[name].get(f"/fhir/{path}") for name, path in asked))
    assert [answer.status_code for answer in answers] == [alone[each] for each in asked]
    found = [(answer.json()["id"], path) for answer, (_, path) in zip(answers, asked, strict=True) if answer.is_success]
    assert all(path.endswith(f"/{id}") for id, path in found)
    assert (alone["county", "Observation/o1"], alone["town", "Patient/c1"], alone["admin", "Observation/gone"]) == (200, 404, 410)


@pytest.mark.parametrize("path", ["Patient/{}", "Patient/{}/_history", "Patient/{}/_history/1", "Patient/{}/$everything"])
async def test_not_yours_is_answered_like_never_was(county: Client, town: Client, path: str) -> None:
    foreign = await town.get(f"/fhir/{path.format('c1')}")
    unknown = await town.get(f"/fhir/{path.format('zz')}")
    assert foreign.status_code == 404
    assert same(foreign, unknown)
    assert "c1" not in foreign.text
    assert (await county.get(f"/fhir/{path.format('c1')}")).status_code == 200


async def test_a_deleted_foreign_record_is_unknown_not_gone(county: Client, town: Client) -> None:
    await county.delete("/fhir/Observation/o1")
    assert (await county.get("/fhir/Observation/o1")).status_code == 410
    assert (await town.get("/fhir/Observation/o1")).status_code == 404


@pytest.mark.parametrize(
    "query",
    [
        "Patient?name=张三",
        "Patient?_id=c1",
        "Patient?birthdate=1970-01-01",
        "Observation?subject=Patient/c1",
        "Observation?code=2345-7",
        "Encounter?_id=e1",
    ],
)
async def test_search_and_its_total_show_nothing_foreign(county: Client, town: Client, query: str) -> None:
    answer = (await town.get(f"/fhir/{query}&_total=accurate")).json()
    ids = [e["resource"]["id"] for e in answer.get("entry", [])]
    assert set(ids) <= {"t1"}
    assert answer["total"] == len(ids)
    assert (await town.get(f"/fhir/{query}&_summary=count")).json()["total"] == len(ids)


async def test_includes_show_nothing_foreign(hub: Served, county: Client, town: Client) -> None:
    """A county-wide system lets a town result point at a county patient: the town sees its result, not whose it is."""
    system = hub.client("system")
    tag = {"tag": [{"system": "urn:hub:facility", "code": "TWN"}]}
    stray = {"resourceType": "Basic", "id": "b1", "meta": tag, "code": {"text": "x"}, "author": {"reference": "Patient/c1"}}
    assert (await system.put(stray)).status_code == 201
    included = (await town.get("/fhir/Basic?_id=b1&_include=Basic:author")).json()["entry"]
    assert [e["resource"]["id"] for e in included] == ["b1"]
    everyone = (await town.get("/fhir/Practitioner?_id=dr&_revinclude=Observation:performer")).json()["entry"]
    assert [e["resource"]["id"] for e in everyone] == ["dr"]
    own = (await county.get("/fhir/Practitioner?_id=dr&_revinclude=Observation:performer")).json()["entry"]
    assert {e["resource"]["id"] for e in own} == {"dr", "o1"}


async def test_a_page_link_works_for_its_caller_alone(hub: Served, county: Client, town: Client) -> None:
    for number in range(3):
        await county.put(observation(f"x{number}", "c1"))
    following = link((await county.get("/fhir/Observation?_count=2")).json(), "next")
    assert following is not None
    assert (await county.get(following)).status_code == 200
    assert (await town.get(following)).status_code == 400
    assert (await hub.client("clinician", "CTY", "colleague").get(following)).status_code == 400
    assert (await county.get(following.replace("_count=2", "_count=3"))).status_code == 400
    assert (await county.get(following.replace("/Observation", "/Encounter"))).status_code == 400
    assert (await county.get(following[:-1] + ("A" if following[-1] != "A" else "B"))).status_code == 400


async def test_a_page_link_tells_nothing_of_the_row_it_goes_on_from(county: Client) -> None:
    for number in range(3):
        await county.put(patient(f"z{number}", name=[{"text": f"Zhang {number}"}]))
    first = (await county.get("/fhir/Patient?name=zhang&_sort=name&_count=1")).json()
    following = link(first, "next") or ""
    assert b"zhang" not in base64.urlsafe_b64decode(parse_qs(urlsplit(following).query)["_after"][0])
    assert [entry["resource"]["id"] for entry in await county.walk(following)] == ["z1", "z2", "c1"]


async def test_a_page_link_outlives_a_restart(tmp_path: Path) -> None:
    async with served(tmp_path / "d") as first:
        token = first.hub.tokens.create("a", "admin")
        client = first.bearer(token)
        for number in range(3):
            await client.put(patient(f"p{number}"))
        following = link((await client.get("/fhir/Patient?_count=2")).json(), "next")
    async with served(tmp_path / "d") as second:
        assert len((await second.bearer(token).get(following or "")).json()["entry"]) == 1


async def test_a_visit_opens_the_persons_record_and_its_end_closes_it(hub: Served, county: Client, town: Client) -> None:
    hub.hub.store.write(lambda t: (t.assign_person("t1", "g1"), t.assign_person("c1", "g1"))).result()
    assert (await town.get("/fhir/Observation/o1")).status_code == 404
    assert (await town.put(encounter("te", "t1"))).status_code == 201
    assert (await town.get("/fhir/Observation/o1")).status_code == 200
    found = (await town.get("/fhir/Observation?subject=Patient/t1")).json()["entry"]
    assert [e["resource"]["id"] for e in found] == ["o1"]
    seen = {(e["resource"]["resourceType"], e["resource"]["id"]) for e in await town.walk("/fhir/Patient/t1/$everything?_count=2")}
    assert {("Patient", "c1"), ("Patient", "t1"), ("Observation", "o1"), ("Encounter", "te"), ("Practitioner", "dr")} <= seen
    assert (await town.put(observation("o1", "c1", status="amended"))).status_code == 403
    assert (await town.delete("/fhir/Observation/o1")).status_code == 403


async def test_a_long_past_visit_opens_nothing(hub: Served, county: Client, town: Client) -> None:
    hub.hub.store.write(lambda t: (t.assign_person("t1", "g1"), t.assign_person("c1", "g1"))).result()
    past = encounter("te", "t1", status="finished", period={"start": "2019-01-01", "end": "2019-01-02"})
    await town.put(past)
    assert (await town.get("/fhir/Observation/o1")).status_code == 404


@pytest.mark.parametrize("foreign", ["c1", "nobody"])
async def test_a_facility_cannot_open_a_strangers_record_by_writing_about_him(county: Client, town: Client, foreign: str) -> None:
    answer = await town.put(encounter("evil", foreign))
    assert answer.status_code == 422
    assert foreign not in answer.text
    assert (await town.get("/fhir/Observation/o1")).status_code == 404


async def test_a_conditional_create_tells_nothing_of_foreign_records(hub: Served, town: Client) -> None:
    identifier = [{"system": "urn:oid:2.16.156.10011.1.19", "value": "77"}]
    await hub.client("clinician", "CTY").put(patient("c9", identifier=identifier))
    new = {"resourceType": "Patient", "identifier": identifier}
    made = await town.post(new, if_none_exist="identifier=urn:oid:2.16.156.10011.1.19|77")
    assert made.status_code == 201


async def test_a_facility_tag_is_the_hubs_to_set(hub: Served) -> None:
    town = hub.client("clinician", "TWN")
    forged = patient("f1", meta={"tag": [{"system": "urn:hub:facility", "code": "CTY"}]})
    made = (await town.put(forged)).json()
    assert [t["code"] for t in made["meta"]["tag"] if t["system"] == "urn:hub:facility"] == ["TWN"]


# role, method, path → status, at the county hospital with patient c1
OPERATION = "Patient/1/$recognizable-results?code=1"
MATRIX: list[tuple[Role, str, str, int]] = [
    ("admin", "GET", "Patient/c1", 200),
    ("admin", "GET", "AuditEvent", 200),
    ("system", "GET", "Patient/c1", 200),
    ("system", "GET", "AuditEvent", 403),
    ("clinician", "GET", "Patient/c1", 200),
    ("clinician", "GET", "AuditEvent", 403),
    ("clinician", "GET", "Practitioner/dr", 200),
    ("reader", "GET", "Patient/c1", 200),
    ("reader", "GET", "Observation/o1", 200),
    ("reader", "GET", "Condition", 403),
    ("reader", "DELETE", "Observation/o1", 403),
    ("it", "GET", "Patient/c1", 404),
    ("it", "GET", "Patient", 403),
    ("it", "GET", "Organization/CTY", 200),
    ("it", "DELETE", "Organization/CTY", 403),
    ("clinician", "DELETE", "Observation/o1", 204),
]


@pytest.mark.parametrize(("role", "method", "path", "status"), MATRIX)
async def test_roles(hub: Served, county: Client, role: Role, method: str, path: str, status: int) -> None:
    answer = await hub.client(role, "CTY").http.request(method, f"/fhir/{path}")
    assert answer.status_code == status


@pytest.mark.parametrize("role", ["clinician", "reader", "it"])
async def test_without_a_facility_only_the_directory_is_seen(hub: Served, county: Client, role: Role) -> None:
    client = hub.client(role)
    assert (await client.get("/fhir/Organization/CTY")).status_code == 200
    assert (await client.get("/fhir/Patient/c1")).status_code == 404
    assert (await client.put(patient("new"))).status_code == 403


async def test_golden_patients_are_the_hubs_own(hub: Served, admin: Client, town: Client) -> None:
    golden = patient("g1", meta={"tag": [{"system": "urn:hub:tag", "code": "golden"}]})
    assert (await town.put(golden)).status_code == 403
    assert (await admin.put(golden)).status_code == 201
    hub.hub.store.write(lambda t: t.assign_person("t1", "g1")).result()
    assert (await town.get("/fhir/Patient/g1")).status_code == 404, "it unites what every facility states of the person"
    assert (await town.put(encounter("te", "t1"))).status_code == 201
    assert (await town.get("/fhir/Patient/g1")).status_code == 200
    assert [e["resource"]["id"] for e in (await town.get("/fhir/Patient?name=张三")).json()["entry"]] == ["t1"]
    assert (await hub.client("clinician", "CTY").get("/fhir/Patient/g1")).status_code == 404


async def test_nobody_writes_the_audit(hub: Served, admin: Client) -> None:
    await admin.put(patient("p1"))
    events = (await admin.get("/fhir/AuditEvent")).json()["entry"]
    event = events[0]["resource"]
    assert (await admin.put(event)).status_code == 403
    assert (await admin.delete(f"/fhir/AuditEvent/{event['id']}")).status_code == 403


@pytest.mark.parametrize("token", ["", "wrong", "a" * 5000])
async def test_no_token_no_data(hub: Served, token: str) -> None:
    for path in ("Patient", "Patient/1", "Patient/1/_history", "Patient/1/$everything", "Binary/1", OPERATION):
        answer = await hub.bearer(token).get(f"/fhir/{path}")
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.json()["issue"][0]["code"] == "login"


async def _events(admin: Client, query: str) -> AsyncIterator[dict[str, object]]:
    for found in await admin.walk(f"/fhir/AuditEvent?{query}&_count=100"):
        yield found["resource"]


async def test_every_access_leaves_an_audit_event(hub: Served, admin: Client, county: Client, town: Client) -> None:
    await county.get("/fhir/Patient/c1")
    await county.get("/fhir/Patient/c1/_history/1")
    await county.get("/fhir/Patient/c1/_history")
    await county.get("/fhir/Patient?name=张三")
    await county.get("/fhir/Patient/c1/$everything")
    await county.post(bundle("transaction", entry("PUT", "Patient/c2", patient("c2"))), "/fhir")
    await county.delete("/fhir/Patient/c2")
    await town.get("/fhir/Patient/c1")
    events = [event async for event in _events(admin, "entity=Patient/c1")]
    told = {(e["subtype"][0]["code"], e["action"], e["outcome"], e["agent"][0]["who"]["display"]) for e in events}  # type: ignore[index]
    assert told >= {
        ("create", "C", "0", "clinician CTY"),
        ("read", "R", "0", "clinician CTY"),
        ("vread", "R", "0", "clinician CTY"),
        ("history-instance", "R", "0", "clinician CTY"),
        ("search-type", "E", "0", "clinician CTY"),
        ("operation", "R", "0", "clinician CTY"),
        ("read", "R", "4", "clinician TWN"),
    }
    kinds = {e["subtype"][0]["code"] async for e in _events(admin, "entity=Patient/c2")}  # type: ignore[index]
    assert {"transaction", "delete"} <= kinds
    searches = [e for e in events if e["subtype"][0]["code"] == "search-type"]  # type: ignore[index]
    queries = [x["query"] for e in searches for x in e["entity"] if "query" in x]  # type: ignore[attr-defined]
    assert "Patient?name=张三" in [base64.b64decode(q).decode() for q in queries]


async def test_an_audit_event_names_no_patient_and_no_token(hub: Served, admin: Client) -> None:
    token = hub.hub.tokens.create("张大夫", "clinician", "CTY")
    client = hub.bearer(token)
    await client.put(patient("c1", name=[{"text": "不可见"}]))
    await client.get("/fhir/Patient/c1")
    text = "".join(str(e) for e in await admin.walk("/fhir/AuditEvent"))
    assert "不可见" not in text
    assert token not in text
