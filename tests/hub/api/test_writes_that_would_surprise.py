"""Requests that a server could carry out in a way the client did not mean: each is refused, or does what the standard says."""

from __future__ import annotations

import json

import pytest

from tests.hub.api.county import Client, Served, bundle, entry, link, observation, patient

pytestmark = pytest.mark.anyio
PART = {"tag": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}]}
NUMBERED = {"identifier": [{"system": "urn:mrn", "value": "7"}]}


async def test_criteria_where_no_write_looks_at_them_are_refused(admin: Client) -> None:
    await admin.put(patient("p1"))
    made = await admin.post(patient(""), "/fhir/Patient?identifier=urn:mrn|7")
    assert (made.status_code, made.json()["issue"][0]["expression"]) == (400, ["identifier"])
    assert "If-None-Exist" in made.json()["issue"][0]["diagnostics"]
    assert (await admin.delete("/fhir/Patient/p1?name=nobody")).status_code == 400
    assert (await admin.patch("/fhir/Patient/p1?name=nobody", [{"op": "remove", "path": "/gender"}])).status_code == 400
    assert (await admin.http.put("/fhir/Patient/p1?name=nobody", json=patient("p1"))).status_code == 400
    assert (await admin.http.post("/fhir/Binary?contenttype=a", content=b"a")).status_code == 400
    for wrong in (entry("POST", "Patient?name=x", patient("")), entry("DELETE", "Patient/p1?name=nobody")):
        answer = await admin.post(bundle("transaction", wrong), "/fhir")
        assert (answer.status_code, answer.json()["issue"][0]["code"]) == (400, "invalid"), answer.text
    assert (await admin.get("/fhir/Patient/p1")).headers["etag"] == 'W/"1"'
    without_id = {name: value for name, value in patient("").items() if name != "id"}
    assert (await admin.post(without_id, "/fhir/Patient?_format=json&_pretty=true")).status_code == 201


async def test_a_part_of_a_resource_never_replaces_the_whole(admin: Client) -> None:
    await admin.put(patient("p1", **NUMBERED))
    part = (await admin.get("/fhir/Patient/p1?_elements=gender")).json()
    answers = [
        await admin.put(part),
        await admin.http.put("/fhir/Patient?identifier=urn:mrn|7", json=part),
        await admin.post(bundle("transaction", entry("PUT", "Patient/p1", part)), "/fhir"),
        await admin.put({"resourceType": "Binary", "id": "b1", "contentType": "text/plain", "meta": PART}),
    ]
    for answer in answers:
        issue = answer.json()["issue"][0]
        assert (answer.status_code, issue["code"]) == (422, "business-rule"), answer.text
        assert "SUBSETTED" in issue["diagnostics"]
    assert (await admin.get("/fhir/Patient/p1")).json()["name"]


async def test_if_match_star_asks_for_any_version_that_is_there(hub: Served, admin: Client) -> None:
    assert (await admin.put(patient("p1"), if_match="*")).status_code == 412
    await admin.put(patient("p1"))
    assert (await admin.put(patient("p1", active=True), if_match="*")).status_code == 200
    assert (await admin.patch("/fhir/Patient/p1", [{"op": "remove", "path": "/active"}], if_match="*")).status_code == 200
    changed = bundle("transaction", entry("PUT", "Patient/p1", patient("p1", active=False), ifMatch="*"))
    assert (await admin.post(changed, "/fhir")).status_code == 200
    assert (await admin.delete("/fhir/Patient/p1", if_match="*")).status_code == 204
    assert (await admin.delete("/fhir/Patient/p1", if_match="*")).status_code == 412
    assert (await admin.put(patient("p1"), if_match="*")).status_code == 412


async def test_if_match_tells_nothing_of_another_facility(hub: Served) -> None:
    county, town = hub.client("clinician", "CTY"), hub.client("clinician", "TWN")
    await county.put(patient("theirs"))
    for version in ('W/"1"', 'W/"2"', "*"):
        changed = [await town.put(patient(id), if_match=version) for id in ("theirs", "nobodys")]
        deleted = [await town.delete(f"/fhir/Patient/{id}", if_match=version) for id in ("theirs", "nobodys")]
        assert [answer.status_code for answer in (*changed, *deleted)] == [412] * 4
        assert changed[0].json() == changed[1].json()
        assert deleted[0].json() == deleted[1].json()
    assert (await hub.client("reader", "TWN").put(patient("theirs"), if_match='W/"1"')).status_code == 403


async def test_a_version_is_read_in_part_as_a_resource_is(admin: Client) -> None:
    await admin.put(patient("p1"))
    part = (await admin.get("/fhir/Patient/p1/_history/1?_elements=gender")).json()
    assert set(part) == {"resourceType", "id", "meta", "gender"}
    assert part["meta"]["tag"] == PART["tag"]
    assert (await admin.get("/fhir/Patient/p1/_history/1?_summary=most")).status_code == 400


async def test_binary_is_created_once_where_if_none_exist_says_so(admin: Client) -> None:
    binary = {"resourceType": "Binary", "contentType": "text/plain", "data": "YQ==", "meta": {"tag": [{"code": "scan-1"}]}}
    answers = [await admin.post(binary, if_none_exist="_tag=scan-1") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 200]
    assert answers[0].headers["location"] == answers[1].headers["location"]


async def test_a_binary_keeps_the_whole_of_its_media_type(admin: Client) -> None:
    stated = {"content-type": "text/plain;  charset=gbk"}
    made = await admin.http.put("/fhir/Binary/b1", content="张".encode("gbk"), headers=stated)
    assert made.json()["contentType"] == "text/plain; charset=gbk"
    got = await admin.get("/fhir/Binary/b1")
    assert (got.headers["content-type"], got.text) == ("text/plain; charset=gbk", "张")


async def test_a_version_of_a_binary_is_read_as_the_binary_is(admin: Client) -> None:
    await admin.put({"resourceType": "Binary", "id": "b1", "contentType": "text/plain", "data": "YQ=="})
    await admin.put({"resourceType": "Binary", "id": "b1", "contentType": "text/plain", "data": "Yg=="})
    contents = [await admin.get(f"/fhir/Binary/b1/_history/{number}", accept="text/plain") for number in (1, 2)]
    assert [(content.text, content.headers["etag"]) for content in contents] == [("a", 'W/"1"'), ("b", 'W/"2"')]
    assert (await admin.get("/fhir/Binary/b1/_history/1?_format=json")).json()["data"] == "YQ=="
    assert (await admin.get("/fhir/Binary/b1/_history/3")).status_code == 404


async def test_a_method_not_taken_is_answered_with_those_that_are(admin: Client) -> None:
    answer = await admin.http.post("/fhir/Patient/p1", json={})
    assert (answer.status_code, answer.headers["allow"]) == (405, "DELETE, GET, HEAD, PATCH, PUT")
    answer = await admin.delete("/fhir/Patient/p1/$everything")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, POST")
    for address, taken in (
        ("metadata", "GET, HEAD"),
        ("Patient/_search", "POST"),
        ("Patient", "DELETE, GET, HEAD, PATCH, POST, PUT"),
    ):
        answer = await admin.http.options(f"/fhir/{address}")
        assert (answer.status_code, answer.headers["allow"]) == (405, taken)


async def test_an_operation_that_is_not_served_is_called_that(admin: Client) -> None:
    for address in ("/fhir/$nothing", "/fhir/Patient/$nothing"):
        answer = await admin.get(address)
        assert answer.status_code == 404
        assert "operation" in answer.json()["issue"][0]["diagnostics"]


async def test_a_conditional_reference_means_what_the_transaction_itself_writes(admin: Client) -> None:
    """https://hl7.org/fhir/R4/http.html#trules: conditional references are resolved last."""
    asked = {"subject": {"reference": "Patient?identifier=urn:mrn|7"}}
    names = [{"system": "urn:results", "value": "1"}]
    member = [{"reference": "Observation?identifier=urn:results|1"}]
    entries = [
        entry("PUT", "Observation/o2", observation("o2", "", **asked, hasMember=member)),
        entry("PUT", "Observation/o1", observation("o1", "", **asked, identifier=names)),
        entry("PUT", "Patient/p1", patient("p1", **NUMBERED)),
    ]
    answer = await admin.post(bundle("transaction", *entries), "/fhir")
    assert answer.status_code == 200, answer.text
    kept = (await admin.get("/fhir/Observation/o2")).json()
    assert (kept["subject"]["reference"], kept["hasMember"][0]["reference"]) == ("Patient/p1", "Observation/o1")


async def test_conditional_references_that_wait_for_one_another_are_refused(admin: Client) -> None:
    def waiting(id: str, other: str) -> dict[str, object]:
        names = [{"system": "urn:results", "value": id}]
        member = [{"reference": f"Observation?identifier=urn:results|{other}"}]
        return entry("PUT", f"Observation/{id}", observation(id, "p1", identifier=names, hasMember=member))

    answer = await admin.post(bundle("transaction", waiting("o1", "o2"), waiting("o2", "o1")), "/fhir")
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (412, "not-found")
    assert answer.json()["issue"][0]["expression"] == ["Bundle.entry[0]"]
    twice = [entry("PUT", f"Patient/{id}", patient(id, **NUMBERED)) for id in ("p1", "p2")]
    asks = entry("POST", "Observation", observation("", "") | {"subject": {"reference": "Patient?identifier=urn:mrn|7"}})
    del asks["resource"]["id"]
    answer = await admin.post(bundle("transaction", *twice, asks), "/fhir")
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (412, "multiple-matches")
    assert (await admin.get("/fhir/Patient?_summary=count")).json()["total"] == 0


async def test_a_reference_by_the_servers_own_address_is_a_reference_to_its_resource(hub: Served, admin: Client) -> None:
    await admin.put(patient("p1"))
    absolute = {
        "subject": {"reference": "http://hub/fhir/Patient/p1"},
        "performer": [{"reference": "http://other/fhir/Patient/p1"}],
    }
    await admin.put(observation("o1", "", **absolute))
    await admin.post(bundle("transaction", entry("PUT", "Observation/o2", observation("o2", "", **absolute))), "/fhir")
    for asked in ("patient=p1", "subject=http://hub/fhir/Patient/p1", "subject:Patient=p1"):
        found = (await admin.get(f"/fhir/Observation?{asked}")).json()
        assert {match["resource"]["id"] for match in found["entry"]} == {"o1", "o2"}, asked
        assert link(found, "self")
    escaped = json.dumps(observation("o1", "", **absolute)).replace("/", "\\/").encode()
    again = await admin.http.put("/fhir/Observation/o1", content=escaped, headers={"content-type": "application/fhir+json"})
    assert again.headers["etag"] == 'W/"1"'
    kept = (await admin.get("/fhir/Observation/o1")).json()
    assert (kept["subject"]["reference"], kept["performer"][0]["reference"]) == ("Patient/p1", "http://other/fhir/Patient/p1")
    stranger = observation("o3", "") | {"subject": {"reference": "http://hub/fhir/Patient/p1"}}
    assert (await hub.client("clinician", "TWN").put(stranger)).status_code == 422
