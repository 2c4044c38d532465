"""Conditional read, create, update and delete, and the headers around them. https://hl7.org/fhir/R4/http.html#cond-update"""

from __future__ import annotations

import asyncio
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from hub.settings import Policy
from tests.hub.api.county import COUNTY, FHIR, Client, Served, bundle, entry, observation, patient, served

pytestmark = pytest.mark.anyio

ONE = "identifier=urn:x|1"


def known(id: str, number: str = "1", **more: Any) -> dict[str, Any]:
    return patient(id, identifier=[{"system": "urn:x", "value": number}], **more)


def nameless(resource: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in resource.items() if name != "id"}


async def put_where(client: Client, resource: dict[str, Any], criteria: str, **headers: str) -> Any:
    named = FHIR | {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.http.put(f"/fhir/{resource['resourceType']}?{criteria}", json=resource, headers=named)


# -- conditional update: the outcomes of the specification


async def test_no_match_and_no_id_creates(admin: Client) -> None:
    answer = await put_where(admin, nameless(known("x")), ONE)
    assert answer.status_code == 201
    assert answer.headers["location"].endswith(f"/fhir/Patient/{answer.json()['id']}/_history/1")


async def test_no_match_with_an_id_creates_under_that_id(admin: Client) -> None:
    answer = await put_where(admin, known("mine"), ONE)
    assert (answer.status_code, answer.json()["id"]) == (201, "mine")
    assert (await admin.get("/fhir/Patient/mine")).status_code == 200


async def test_no_match_with_an_id_that_is_taken_is_a_conflict(admin: Client) -> None:
    await admin.put(known("mine", "2"))
    answer = await put_where(admin, known("mine"), ONE)
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (409, "conflict")
    assert (await admin.get("/fhir/Patient/mine")).headers["etag"] == 'W/"1"'


@pytest.mark.parametrize("named", [True, False])
async def test_one_match_is_updated(admin: Client, named: bool) -> None:
    await admin.put(known("a"))
    sent = known("a", gender="other")
    answer = await put_where(admin, sent if named else nameless(sent), ONE)
    assert (answer.status_code, answer.json()["id"], answer.headers["etag"]) == (200, "a", 'W/"2"')
    again = await put_where(admin, sent if named else nameless(sent), ONE)
    assert (again.status_code, again.headers["etag"]) == (200, 'W/"2"')


async def test_one_match_with_another_id_is_refused(admin: Client) -> None:
    await admin.put(known("a"))
    answer = await put_where(admin, known("b"), ONE)
    assert (answer.status_code, answer.json()["issue"][0]["expression"]) == (400, ["Patient.id"])


async def test_several_matches_are_refused(admin: Client) -> None:
    await admin.put(known("a"))
    await admin.put(known("b"))
    answer = await put_where(admin, nameless(known("x")), ONE)
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (412, "multiple-matches")


async def test_a_conditional_update_heeds_if_match(admin: Client) -> None:
    await admin.put(known("a"))
    assert (await put_where(admin, nameless(known("a", gender="other")), ONE, if_match='W/"9"')).status_code == 412
    assert (await put_where(admin, nameless(known("a", gender="other")), ONE, if_match='W/"1"')).status_code == 200


async def test_criteria_are_never_read_leniently(admin: Client) -> None:
    await admin.put(known("a"))
    for criteria in ("nonsense=1", f"nonsense=1&{ONE}", ""):
        answer = await put_where(admin, nameless(known("x")), criteria, prefer="handling=lenient")
        assert (answer.status_code, answer.json()["resourceType"]) == (400, "OperationOutcome")
        assert (await admin.delete(f"/fhir/Patient?{criteria}", prefer="handling=lenient")).status_code == 400
        created = await admin.post(nameless(known("x")), if_none_exist=criteria, prefer="handling=lenient")
        assert created.status_code == 400


async def test_criteria_find_nothing_that_the_caller_may_not_see(hub: Served) -> None:
    county, town = hub.client("clinician", "CTY"), hub.client("clinician", "TWN")
    await county.put(known("c"))
    answer = await put_where(town, nameless(known("x")), ONE)
    assert answer.status_code == 201
    assert answer.json()["id"] != "c"
    assert (await county.get("/fhir/Patient/c")).headers["etag"] == 'W/"1"'


# -- conditional delete


async def test_a_conditional_delete_deletes_the_one_that_matches(admin: Client) -> None:
    await admin.put(known("a"))
    await admin.put(known("b", "2"))
    assert (await admin.delete(f"/fhir/Patient?{ONE}")).status_code == 204
    assert (await admin.get("/fhir/Patient/a")).status_code == 410
    assert (await admin.get("/fhir/Patient/b")).status_code == 200
    assert (await admin.delete(f"/fhir/Patient?{ONE}")).status_code == 204


async def test_a_conditional_delete_of_several_deletes_none(admin: Client) -> None:
    await admin.put(known("a"))
    await admin.put(known("b"))
    answer = await admin.delete(f"/fhir/Patient?{ONE}")
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (412, "multiple-matches")
    assert (await admin.get("/fhir/Patient?_summary=count")).json()["total"] == 2


async def test_deletes_heed_if_match(admin: Client) -> None:
    await admin.put(known("a"))
    assert (await admin.delete("/fhir/Patient/a", if_match='W/"2"')).status_code == 412
    assert (await admin.delete(f"/fhir/Patient?{ONE}", if_match='W/"2"')).status_code == 412
    gone = await admin.delete("/fhir/Patient/a", if_match='W/"1"')
    assert (gone.status_code, gone.headers["etag"]) == (204, 'W/"2"')


async def test_a_delete_says_what_it_did_when_asked(admin: Client) -> None:
    await admin.put(known("a"))
    for said in ("deleted", "there was nothing to delete"):
        answer = await admin.delete("/fhir/Patient/a", prefer="return=OperationOutcome")
        assert (answer.status_code, answer.json()["issue"][0]["diagnostics"]) == (200, said)


# -- conditional create


async def test_a_conditional_create_finds_or_makes(admin: Client) -> None:
    made = await admin.post(nameless(known("x")), if_none_exist=ONE)
    assert made.status_code == 201
    same = await admin.post(nameless(known("x", gender="other")), if_none_exist=ONE)
    assert (same.status_code, same.json()["id"], same.headers["etag"]) == (200, made.json()["id"], 'W/"1"')
    await admin.put(known("b"))
    assert (await admin.post(nameless(known("x")), if_none_exist=ONE)).status_code == 412


async def test_eight_conditional_creates_and_updates_at_once_make_one_resource(admin: Client) -> None:
    creates = [admin.post(nameless(known("x")), if_none_exist=ONE) for _ in range(4)]
    updates = [put_where(admin, nameless(known("x")), ONE) for _ in range(4)]
    answers = await asyncio.gather(*(task for pair in zip(creates, updates, strict=True) for task in pair))
    assert sorted(a.status_code for a in answers) == [200] * 7 + [201]
    assert len({a.json()["id"] for a in answers}) == 1
    assert (await admin.get("/fhir/Patient?_summary=count")).json()["total"] == 1


async def test_only_where_nothing_is_yet(admin: Client) -> None:
    assert (await admin.put(known("a"), if_none_match="*")).status_code == 201
    second = await admin.put(known("a", gender="other"), if_none_match="*")
    assert (second.status_code, second.json()["issue"][0]["code"]) == (412, "conflict")
    assert (await admin.get("/fhir/Patient/a")).headers["etag"] == 'W/"1"'
    taken = await put_where(admin, nameless(known("a", gender="other")), ONE, if_none_match="*")
    assert (taken.status_code, taken.json()["issue"][0]["code"]) == (412, "conflict")
    assert (await put_where(admin, nameless(known("b", "2")), "identifier=urn:x|2", if_none_match="*")).status_code == 201


WRITES = {
    "PUT": {"json": known("a", gender="other"), "headers": FHIR},
    "PATCH": {
        "json": [{"op": "replace", "path": "/gender", "value": "other"}],
        "headers": {"content-type": "application/json-patch+json"},
    },
    "DELETE": {"headers": {}},
}


@pytest.mark.parametrize("method", WRITES)
async def test_conditions_are_lists_of_versions(admin: Client, method: str) -> None:
    """https://www.rfc-editor.org/rfc/rfc9110#section-13.1: weak or strong, several, or a star."""
    await admin.put(known("a"))

    async def write(**conditions: str) -> int:
        sent = WRITES[method]
        headers = sent["headers"] | {name.replace("_", "-"): value for name, value in conditions.items()}
        answer = await admin.http.request(method, "/fhir/Patient/a", **{**sent, "headers": headers})
        return answer.status_code

    for stale in ('W/"2"', '"2", W/"7"', 'W/"01"', 'W/"abc"', 'W/"0"'):
        assert await write(if_match=stale) == 412, stale
    for known_already in ("*", 'W/"1"', '"3", "1"'):
        assert await write(if_none_match=known_already) == 412, known_already
    for wrong in ("1", "two", "", 'W/"1" W/"2"', '"1'):
        assert (await write(if_match=wrong), await write(if_none_match=wrong)) == (400, 400), wrong
    assert await write(if_none_exist=ONE) == 400
    assert (await admin.get("/fhir/Patient/a")).headers["etag"] == 'W/"1"'
    assert await write(if_match='W/"9", "1"', if_none_match='"2"') in (200, 204)


async def test_a_create_heeds_none_of_the_conditions_of_what_is_there(admin: Client) -> None:
    for header in ({"if_match": 'W/"1"'}, {"if_none_match": "*"}):
        answer = await admin.post(nameless(known("x")), **header)
        assert (answer.status_code, answer.json()["issue"][0]["code"]) == (400, "invalid")
    assert (await admin.get("/fhir/Patient?_summary=count")).json()["total"] == 0


@pytest.mark.parametrize("address", ["", "?", "Patient?", "/Patient?", "http://hub/fhir/Patient?"])
async def test_if_none_exist_may_state_the_whole_address(admin: Client, address: str) -> None:
    """As HAPI's client does."""
    made = [await admin.post(nameless(known("x")), if_none_exist=f"{address}{ONE}") for _ in range(2)]
    assert [answer.status_code for answer in made] == [201, 200]
    entries = [entry("POST", "Patient", nameless(known("x")), ifNoneExist=f"{address}{ONE}")]
    answer = await admin.post(bundle("transaction", *entries), "/fhir")
    assert answer.json()["entry"][0]["response"]["status"] == "200 OK"
    for elsewhere in ("Observation", "http://other/fhir/Patient"):
        assert (await admin.post(nameless(known("x")), if_none_exist=f"{elsewhere}?{ONE}")).status_code == 400


async def test_several_lines_of_a_header_are_one_list(admin: Client) -> None:
    await admin.put(known("a"))
    lines = [("if-none-match", 'W/"7"'), ("if-none-match", '"1"')]
    assert (await admin.http.get("/fhir/Patient/a", headers=lines)).status_code == 304
    lines = [("accept", "application/pdf"), ("accept", "application/fhir+xml")]
    assert (await admin.http.get("/fhir/Patient/a", headers=lines)).headers["content-type"].startswith("application/fhir+xml")
    lines = [*FHIR.items(), ("prefer", "handling=strict"), ("prefer", "return=minimal")]
    assert (await admin.http.put("/fhir/Patient/a", json=known("a"), headers=lines)).content == b""


# -- conditional read


async def test_a_read_of_what_the_client_has_is_304(admin: Client) -> None:
    made = await admin.put(known("a"))
    etag, modified = made.headers["etag"], made.headers["last-modified"]
    for headers in ({"if_none_match": etag}, {"if_none_match": f'W/"7", {etag}'}, {"if_modified_since": modified}):
        same = await admin.get("/fhir/Patient/a", **headers)
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", etag)
        assert (await admin.get("/fhir/Patient/a/_history/1", **headers)).status_code == 304


async def test_a_read_of_something_newer_is_200(admin: Client) -> None:
    made = await admin.put(known("a"))
    before = formatdate(parsedate_to_datetime(made.headers["last-modified"]).timestamp() - 60, usegmt=True)
    assert (await admin.get("/fhir/Patient/a", if_modified_since=before)).status_code == 200
    assert (await admin.get("/fhir/Patient/a", if_modified_since="yesterday")).status_code == 200
    newer = await admin.get("/fhir/Patient/a", if_none_match='W/"9"', if_modified_since=made.headers["last-modified"])
    assert newer.status_code == 200  # If-None-Match outranks If-Modified-Since


# -- HEAD


@pytest.mark.parametrize(
    "path",
    ["Patient/a", "Patient/a/_history/1", "Patient/a/_history", "Patient", "Patient/_history", "_history", "metadata", "Binary/b"],
)
async def test_head_is_get_without_a_body(admin: Client, path: str) -> None:
    await admin.put(known("a"))
    await admin.http.put("/fhir/Binary/b", content=b"bytes", headers={"content-type": "text/plain"})
    head, get = await admin.http.head(f"/fhir/{path}"), await admin.get(f"/fhir/{path}")
    assert (head.status_code, head.content) == (200, b"")
    moving = {"date", "content-length"}  # what a Bundle says of its own time may differ in length
    assert {n: v for n, v in head.headers.items() if n not in moving} == {n: v for n, v in get.headers.items() if n not in moving}
    assert (await admin.http.head("/fhir/Patient/never")).status_code == 404


# -- client-assigned ids, and whose they are


async def test_an_update_with_a_new_id_creates(admin: Client) -> None:
    answer = await admin.put(known("my-own.id"))
    assert (answer.status_code, answer.headers["location"]) == (201, "http://hub/fhir/Patient/my-own.id/_history/1")
    assert (await admin.put({**known("no_such"), "id": "under_score"})).status_code in (400, 422)


async def test_a_read_after_each_write_has_the_headers_due(admin: Client) -> None:
    made = await admin.put(observation("o", "p"))
    got = await admin.get("/fhir/Observation/o")
    assert {name: got.headers[name] for name in ("etag", "last-modified")} == {
        name: made.headers[name] for name in ("etag", "last-modified")
    }


async def test_ids_of_ones_own_tell_nothing_of_others(tmp_path: Path) -> None:
    """county.toml `policy.facility_ids`: what another facility has stored cannot be found out by trying ids."""
    county = COUNTY.model_copy(update={"policy": Policy(facility_ids=True)})
    async with served(tmp_path / "own", county) as hub:
        one, other = hub.client("clinician", "CTY"), hub.client("clinician", "TWN")
        assert (await one.put(patient("CTY-1"))).status_code == 201
        assert (await one.put(patient("CTY-1", gender="other"))).status_code == 200
        tries = [await other.put(patient(id)) for id in ("CTY-1", "CTY-2", "free")]
        assert {(answer.status_code, answer.text) for answer in tries} == {(404, tries[0].text)}
        assert "begins with TWN-" in tries[0].text
        assert (await other.put(patient("TWN-1"))).status_code == 201
        assert (await other.post(patient("x"))).status_code == 201
        assert (await hub.client("admin").put(patient("free"))).status_code == 201
