"""`$import` by the front door, on both stores: thousands of lines, bad ones among them, twice, by a facility, found afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import httpx
import pytest

from benchmarks.data import resources
from hub import fhir_json
from tests.hub.api.county import Client, Served, encounter, observation, patient
from tests.hub.bulk.exports import exported, lines, waited

pytestmark = pytest.mark.anyio

NDJSON = {"content-type": "application/fhir+ndjson"}
COUNT = 2000


def ndjson(lines: Iterable[Any]) -> bytes:
    return b"".join((line if isinstance(line, bytes) else fhir_json.dump(line)) + b"\n" for line in lines)


async def imported(client: Client, body: bytes, **headers: str) -> dict[str, Any]:
    answer = await client.http.post("/fhir/$import", content=body, headers=NDJSON | headers)
    assert answer.status_code == 202, answer.text
    told = await waited(client, answer.headers["content-location"])
    assert told.status_code == 200, told.text
    return dict(told.json())


def counts(told: dict[str, Any]) -> tuple[int, ...]:
    return tuple(told[name] for name in ("created", "updated", "unchanged", "refused"))


BAD = {
    17: (b"{ this is no JSON", "structure"),
    400: (fhir_json.dump({"resourceType": "Patient", "id": "x", "birthDate": 5, "name": [{"text": "密"}]}), "value"),
    401: (fhir_json.dump({"resourceType": "Cat", "id": "x"}), "structure"),
    1200: (fhir_json.dump({"resourceType": "Patient", "name": [{"text": "密"}]}), "invalid"),
    2003: (fhir_json.dump({"resourceType": "AuditEvent", "id": "a"}), "required"),
}


async def test_thousands_of_lines_some_of_them_bad_twice(admin: Client) -> None:
    every: list[Any] = list(resources(COUNT))
    wanted = {f"{each['resourceType']}/{each['id']}": each for each in every}
    for number, (line, _) in sorted(BAD.items()):
        every.insert(number - 1, line)
    body = ndjson(every)
    told = await imported(admin, body)
    assert counts(told) == (COUNT, 0, 0, len(BAD))
    refused = await lines(admin, told["error"])
    places = {each["extension"][0]["valueString"]: each["issue"][0]["code"] for each in refused}
    assert places == {f"body:{number}": code for number, (_, code) in BAD.items()}
    assert "密" not in json.dumps(refused, ensure_ascii=False)
    found = await exported(admin, "/fhir/$export?_type=Patient,Observation")
    assert set(found) == set(wanted)
    one = fhir_json.dump({**found["Observation/o7"], "meta": None}), fhir_json.dump({**wanted["Observation/o7"], "meta": None})
    assert json.loads(one[0]) == json.loads(one[1])
    code = wanted["Observation/o7"]["code"]["coding"][1]["code"]
    total = sum(each["resourceType"] == "Observation" and each["code"]["coding"][1]["code"] == code for each in wanted.values())
    assert (await admin.get(f"/fhir/Observation?code=http://loinc.org|{code}&_summary=count")).json()["total"] == total

    again = await imported(admin, body)
    assert counts(again) == (0, 0, COUNT, len(BAD))
    assert (await admin.get("/fhir/Observation/o7/_history")).json()["total"] == 1


async def test_each_line_is_held_to_the_profiles_that_it_names_and_to_no_other_lines(admin: Client) -> None:
    core = "http://hl7.org/fhir/StructureDefinition"
    inside = {"resourceType": "Practitioner", "id": "dr", "meta": {"profile": ["http://nobody/knows"]}}
    every = [
        observation("o1", "p1", meta={"profile": [f"{core}/bodyweight"]}),
        patient("p1", meta={"profile": [f"{core}/Patient"]}),
        observation("o2", "p1", contained=[inside], performer=[{"reference": "#dr"}]),
        observation("o3", "p1"),
    ]
    told = await imported(admin, ndjson(every))
    assert (counts(told), told["noted"]) == ((4, 0, 0, 0), 2)
    places = {each["extension"][0]["valueString"]: each["issue"] for each in await lines(admin, told["error"])}
    assert set(places) == {"body:1", "body:3"}
    assert [issue["expression"] for issue in places["body:3"]] == [["Observation.contained[0]"]]


async def test_a_change_is_a_version_and_is_found_by_what_it_says_now(admin: Client) -> None:
    assert counts(await imported(admin, ndjson([patient("p1"), observation("o1", "p1")]))) == (2, 0, 0, 0)
    changed = observation("o1", "p1", status="amended")
    assert counts(await imported(admin, ndjson([changed, patient("p1"), observation("o1", "p1", status="corrected")]))) == (
        0,
        2,
        1,
        0,
    )
    assert (await admin.get("/fhir/Observation?status=final&_summary=count")).json()["total"] == 0
    assert (await admin.get("/fhir/Observation?status=corrected&_summary=count")).json()["total"] == 1
    assert (await admin.get("/fhir/Observation/o1")).json()["meta"]["versionId"] == "3"


async def test_a_form_holds_several_files(admin: Client) -> None:
    files = [("f", ("patients.ndjson", ndjson([patient("p1")]))), ("f", ("results.ndjson", ndjson([observation("o1", "p1")] * 2)))]
    answer = await admin.http.post("/fhir/$import", files=files)
    told = (await waited(admin, answer.headers["content-location"])).json()
    assert told["output"] == [{"inputUrl": "patients.ndjson", "count": 1}, {"inputUrl": "results.ndjson", "count": 2}]


async def test_a_facility_writes_its_own_and_about_whom_it_sees(hub: Served) -> None:
    own, other = hub.client("system", "CTY"), hub.client("system", "TWN")
    await other.put(patient("theirs"))
    told = await imported(
        own,
        ndjson(
            [patient("mine"), observation("o1", "mine"), observation("o2", "theirs"), patient("theirs"), observation("o3", "none")]
        ),
    )
    assert counts(told) == (2, 0, 0, 3)
    refused = await lines(own, told["error"])
    assert sorted(each["extension"][0]["valueString"] for each in refused) == ["body:3", "body:4", "body:5"]
    stored = (await own.get("/fhir/Observation/o1")).json()
    assert stored["meta"]["tag"][0]["code"] == "CTY"
    assert (await other.get("/fhir/Observation/o1")).status_code == 404


async def test_what_follows_from_a_resource_follows(hub: Served, admin: Client) -> None:
    """Who treats whom, and who is one person."""
    tag = {"tag": [{"system": "urn:hub:facility", "code": "TWN"}]}
    card = {"identifier": [{"system": "urn:oid:2.16.156.10011.1.3", "value": "110101199003070038"}]}
    twins = [patient("a", birthDate="1990-03-07", meta=tag, **card), patient("b", birthDate="1990-03-07", **card)]
    assert counts(await imported(admin, ndjson(twins)))[0] == 2
    treating = {"tag": [{"system": "urn:hub:facility", "code": "CTY"}]}
    assert (await hub.client("clinician", "CTY").get("/fhir/Patient/a")).status_code == 404
    await imported(admin, ndjson([encounter("e", "a", meta=treating)]))
    assert (await hub.client("clinician", "CTY").get("/fhir/Patient/a")).status_code == 200


async def test_one_that_can_only_be_refused_alone_holds_up_nothing(admin: Client) -> None:
    search = {
        "resourceType": "SearchParameter",
        "id": "s",
        "url": "http://x/s",
        "name": "s",
        "status": "active",
        "description": "s",
    }
    broken = {**search, "code": "s", "base": ["Patient"], "type": "token", "expression": "Patient.nothing.("}
    told = await imported(admin, ndjson([patient("p1"), broken, patient("p2")]))
    assert counts(told) == (2, 0, 0, 1)
    good = {**broken, "expression": "Patient.maritalStatus"}
    await imported(admin, ndjson([patient("p3"), good, *(patient(f"q{n}", maritalStatus={"text": "M"}) for n in range(600))]))
    assert (await admin.get("/fhir/SearchParameter/s")).status_code == 200


async def test_who_may_not_write_may_not_import(hub: Served) -> None:
    for client, status in ((hub.client("reader", "CTY"), 403), (hub.bearer(""), 401)):
        answer = await client.http.post("/fhir/$import", content=b"{}", headers=NDJSON)
        assert answer.status_code == status


async def test_other_bodies_are_refused(admin: Client) -> None:
    for kind, content in (("text/csv", b"a,b"), ("multipart/form-data", b"x"), ("multipart/form-data; boundary=b", b"--b--\r\n")):
        answer: httpx.Response = await admin.http.post("/fhir/$import", content=content, headers={"content-type": kind})
        assert answer.status_code in (400, 415), answer.text
    packed = {**NDJSON, "content-encoding": "deflate"}
    assert (await admin.http.post("/fhir/$import", content=b"x", headers=packed)).status_code == 415
    assert counts(await imported(admin, b"")) == (0, 0, 0, 0)
    assert counts(await imported(admin, b"\n\n")) == (0, 0, 0, 0)


async def test_an_import_is_its_callers_alone_and_audited(admin: Client, hub: Served) -> None:
    answer = await admin.http.post("/fhir/$import", content=ndjson([patient("p1")]), headers=NDJSON)
    address = answer.headers["content-location"]
    assert (await hub.client("admin", name="another").get(address)).status_code == 404
    await waited(admin, address)
    events = await admin.walk("/fhir/AuditEvent?subtype=batch")
    assert [entity["what"]["reference"] for entity in events[0]["resource"]["entity"] if "what" in entity] == ["Patient/p1"]
