"""create, read, vread, update, delete, history: as a client sees them."""

from __future__ import annotations

import asyncio
import base64
import json

import pytest

from tests.hub.api.county import FHIR, Client, Served, link, observation, patient

pytestmark = pytest.mark.anyio


async def test_a_created_resource_is_read_back_with_its_decimals_and_member_order(admin: Client) -> None:
    text = (
        '{"resourceType":"Observation","status":"final","valueQuantity":{"unit":"mmol/L","value":72.50},'
        '"code":{"text":"葡萄糖"},"referenceRange":[{"low":{"value":3.90},"high":{"value":6.10}}],"issued":"2025-01-02T03:04:05.100+08:00"}'
    )
    made = await admin.http.post("/fhir/Observation", content=text.encode(), headers=FHIR)
    assert made.status_code == 201
    assert made.headers["etag"] == 'W/"1"'
    location = made.headers["location"]
    assert location.startswith("http://hub/fhir/Observation/")
    assert location.endswith("/_history/1")
    got = await admin.get(location.removesuffix("/_history/1"))
    assert got.headers["content-type"].startswith("application/fhir+json")
    assert '"value":72.50' in got.text
    assert '"value":3.90' in got.text
    assert [name for name in got.json() if name not in ("id", "meta")] == list(json.loads(text))
    assert got.headers["last-modified"].endswith("GMT")


async def test_an_update_makes_a_version_and_the_same_content_makes_none(admin: Client) -> None:
    assert (await admin.put(patient("p1"))).status_code == 201
    second = await admin.put(patient("p1", gender="female"))
    assert (second.status_code, second.headers["etag"]) == (200, 'W/"2"')
    same = await admin.put(patient("p1", gender="female"))
    assert (same.status_code, same.headers["etag"]) == (200, 'W/"2"')
    meta = {"versionId": "9", "lastUpdated": "2020-01-01T00:00:00Z"}
    other_order = dict(reversed(patient("p1", gender="female", meta=meta).items()))
    assert (await admin.put(other_order)).headers["etag"] == 'W/"2"'
    assert (await admin.put(patient("p1", gender="female", name=[{"family": "张", "given": ["三"]}]))).headers["etag"] == 'W/"3"'
    as_xml = await admin.get("/fhir/Patient/p1", accept="application/fhir+xml")
    back = {"content": as_xml.content, "headers": {"content-type": "application/fhir+xml"}}
    assert (await admin.http.put("/fhir/Patient/p1", **back)).headers["etag"] == 'W/"3"'
    assert (await admin.get("/fhir/Patient/p1/_history/1")).json()["gender"] == "male"
    assert (await admin.get("/fhir/Patient/p1/_history/7")).status_code == 404


async def test_if_match_refuses_a_stale_version(admin: Client) -> None:
    await admin.put(patient("p1"))
    await admin.put(patient("p1", gender="female"))
    stale = await admin.put(patient("p1", gender="other"), if_match='W/"1"')
    assert stale.status_code == 412
    assert stale.json()["issue"][0]["code"] == "conflict"
    assert (await admin.put(patient("p1", gender="other"), if_match='W/"2"')).status_code == 200
    assert (await admin.put(patient("p1"), if_match="two")).status_code == 400


async def test_a_deleted_resource_is_gone_but_its_history_remains(admin: Client) -> None:
    await admin.put(patient("p1"))
    assert (await admin.delete("/fhir/Patient/p1")).status_code == 204
    assert (await admin.get("/fhir/Patient/p1")).status_code == 410
    assert (await admin.delete("/fhir/Patient/p1")).status_code == 204
    assert (await admin.delete("/fhir/Patient/never")).status_code == 204
    history = (await admin.get("/fhir/Patient/p1/_history")).json()
    assert history["type"] == "history"
    assert history["total"] == 2
    assert [(e["request"]["method"], "resource" in e) for e in history["entry"]] == [("DELETE", False), ("PUT", True)]
    assert (await admin.put(patient("p1"))).status_code == 201


async def test_history_is_paged_by_signed_links(admin: Client) -> None:
    genders = ["male", "female", "other", "unknown", "male"]
    for gender in genders:
        await admin.put(patient("p1", gender=gender))
    entries = await admin.walk("/fhir/Patient/p1/_history?_count=2")
    assert [e["resource"]["gender"] for e in entries] == genders[::-1]
    assert [e["response"]["etag"] for e in entries] == [f'W/"{n}"' for n in (5, 4, 3, 2, 1)]


async def test_a_conditional_read_of_what_did_not_change_is_304(admin: Client) -> None:
    made = await admin.put(patient("p1"))
    same = await admin.get("/fhir/Patient/p1", if_none_match=made.headers["etag"])
    assert (same.status_code, same.content) == (304, b"")
    assert (await admin.get("/fhir/Patient/p1", if_none_match='W/"9"')).status_code == 200
    head = await admin.http.head("/fhir/Patient/p1")
    assert (head.status_code, head.headers["etag"]) == (200, 'W/"1"')


@pytest.mark.parametrize(("preference", "length"), [("minimal", 0), ("representation", 1), ("OperationOutcome", 1)])
async def test_a_client_says_what_it_wants_back_of_a_write(admin: Client, preference: str, length: int) -> None:
    made = await admin.put(patient("p1"), prefer=f"return={preference}")
    assert made.status_code == 201
    assert bool(made.content) == bool(length)
    if preference == "OperationOutcome":
        assert made.json()["resourceType"] == "OperationOutcome"


async def test_eight_conditional_creates_at_once_make_one_resource(admin: Client) -> None:
    body = {"resourceType": "Patient", "identifier": [{"system": "urn:hub:CTY:patient", "value": "0007"}]}
    condition = "identifier=urn:hub:CTY:patient|0007"
    answers = await asyncio.gather(*(admin.post(body, if_none_exist=condition) for _ in range(8)))
    assert sorted(a.status_code for a in answers) == [200] * 7 + [201]
    assert len({a.json()["id"] for a in answers}) == 1


@pytest.mark.parametrize(
    ("body", "status", "where"),
    [
        (b"{", 400, None),
        (b'{"resourceType":"Patient","id":"p1","id":"p1"}', 400, None),
        (b'{"resourceType":"Nothing"}', 400, "resourceType"),
        (b'{"resourceType":"Patient","id":"p1","gender":"foo"}', 422, "Patient.gender"),
        (b'{"resourceType":"Patient","id":"p1","birthDate":"1970-02-30"}', 422, "Patient.birthDate"),
        (b'{"resourceType":"Patient","id":"p1","name":[]}', 400, "Patient.name"),
        (b'{"resourceType":"Patient","id":"p1","name":[{"text":""}]}', 422, "Patient.name[0].text"),
        (b'{"resourceType":"Patient","id":"p1","nickname":"x"}', 400, "Patient"),
        (b'{"resourceType":"Patient","id":"p1","deceasedBoolean":true,"deceasedDateTime":"2020"}', 400, "Patient.deceasedDateTime"),
        (b'{"resourceType":"Patient","id":"p1","generalPractitioner":[{"reference":"Dr. Who"}]}', 422, None),
        (b'{"resourceType":"Patient","id":"p2"}', 400, "Patient.id"),
        (b'{"resourceType":"Observation","id":"p1","status":"final","code":{"text":"x"}}', 400, "resourceType"),
        (b"[1]", 400, None),
        (b'{"resourceType":"Patient","id":"p1","multipleBirthInteger":NaN}', 400, None),
    ],
)
async def test_bad_input_gets_an_outcome_that_says_where(admin: Client, body: bytes, status: int, where: str | None) -> None:
    answer = await admin.http.put("/fhir/Patient/p1", content=body, headers=FHIR)
    assert answer.status_code == status
    issue = answer.json()["issue"][0]
    assert where is None or issue["expression"][0] == where
    assert "1970-02-30" not in answer.text
    assert "Dr. Who" not in answer.text


async def test_media_types(admin: Client) -> None:
    await admin.put(patient("p1"))
    assert (await admin.get("/fhir/Patient/p1", accept="application/pdf")).status_code == 406
    assert (await admin.get("/fhir/Patient/p1?_format=pdf")).status_code == 406
    assert (await admin.get("/fhir/Patient/p1?_format=json", accept="application/pdf")).status_code == 200
    assert (await admin.get("/fhir/Patient/p1?_format=application/fhir%2Bjson")).status_code == 200
    sent = await admin.http.post("/fhir/Patient", content=b"Patient", headers={"content-type": "text/plain"})
    assert sent.status_code == 415
    assert sent.json()["resourceType"] == "OperationOutcome"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/fhir/Patient/unknown", 404),
        ("GET", "/fhir/Nothing/1", 404),
        ("GET", "/fhir/a/b/c/d/e", 404),
        ("PATCH", "/fhir/Patient/1", 415),
        ("DELETE", "/fhir/Patient", 400),
        ("GET", "/fhir/Patient/" + "x" * 65, 404),
        ("GET", "/fhir/Patient?nonsense=1", 400),
        ("GET", "/fhir/Patient?_count=many", 400),
    ],
)
async def test_every_error_is_an_operation_outcome(admin: Client, method: str, path: str, status: int) -> None:
    answer = await admin.http.request(method, path)
    assert answer.status_code == status
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_body_beyond_the_limit_is_refused(admin: Client) -> None:
    answer = await admin.http.post("/fhir/Patient", content=b" " * (16 * 1024 * 1024 + 1), headers=FHIR)
    assert answer.status_code == 413


async def test_metadata_and_health_need_no_token(hub: Served) -> None:
    nobody = hub.bearer("")
    assert (await nobody.get("/health")).json() == {"status": "ok"}
    statement = (await nobody.get("/fhir/metadata")).json()
    assert statement["fhirVersion"] == "4.0.1"
    resources = {r["type"]: r for r in statement["rest"][0]["resource"]}
    assert len(resources) == 146 or len(resources) > 140
    assert "birthdate" in {p["name"] for p in resources["Patient"]["searchParam"]}


async def test_binary_goes_in_and_out_as_bytes_and_as_json(admin: Client) -> None:
    sent = bytes(range(256))
    made = await admin.http.post("/fhir/Binary", content=sent, headers={"content-type": "application/pdf"})
    assert made.status_code == 201
    path = made.headers["location"].removesuffix("/_history/1")
    raw = await admin.get(path)
    assert (raw.content, raw.headers["content-type"]) == (sent, "application/pdf")
    assert "sandbox" in raw.headers["content-security-policy"]
    as_json = (await admin.get(path, accept="application/fhir+json")).json()
    again = await admin.post(as_json)
    assert again.status_code == 201
    assert again.json()["data"] == as_json["data"]


async def test_a_binary_kept_as_a_blob_is_served_from_there(hub: Served, admin: Client) -> None:
    content = b"%PDF-1.7 the report"
    sha256 = hub.hub.blobs.put(content)
    await admin.put({"resourceType": "Binary", "id": sha256, "contentType": "application/pdf"})
    raw = await admin.get(f"/fhir/Binary/{sha256}")
    assert (raw.content, raw.headers["content-type"]) == (content, "application/pdf")
    as_json = (await admin.get(f"/fhir/Binary/{sha256}", accept="application/fhir+json")).json()
    assert base64.b64decode(as_json["data"]) == content


async def test_everything_can_be_narrowed(admin: Client) -> None:
    await admin.put(patient("p1"))
    await admin.put(observation("o1", "p1", performer=[{"reference": "Organization/CTY"}]))
    whole = await admin.walk("/fhir/Patient/p1/$everything?_count=1")
    assert {e["resource"]["resourceType"] for e in whole} == {"Patient", "Observation", "Organization"}
    results = (await admin.get("/fhir/Patient/p1/$everything?_type=Observation")).json()
    assert [(e["resource"]["id"], e["search"]["mode"]) for e in results["entry"]] == [("o1", "match")]
    assert (await admin.get("/fhir/Patient/p1/$everything?_since=2100-01-01")).json()["total"] == 0
    assert (await admin.get("/fhir/Patient/p1/$everything?_type=Nothing")).status_code == 400


async def test_search_pages_are_whole_and_carry_links(admin: Client) -> None:
    await admin.put(patient("p1"))
    for number in range(25):
        await admin.put(observation(f"o{number}", "p1", effectiveDateTime=f"2025-01-{number + 1:02d}"))
    first = (await admin.get("/fhir/Observation?subject=Patient/p1&_sort=-date&_count=10&_total=accurate")).json()
    assert (first["type"], first["total"], len(first["entry"])) == ("searchset", 25, 10)
    assert link(first, "self") is not None
    assert first["entry"][0]["fullUrl"] == "http://hub/fhir/Observation/o24"
    assert first["entry"][0]["search"]["mode"] == "match"
    entries = await admin.walk("/fhir/Observation?subject=Patient/p1&_sort=-date&_count=10")
    assert [e["resource"]["id"] for e in entries] == [f"o{n}" for n in range(24, -1, -1)]
    counted = (await admin.get("/fhir/Observation?subject=Patient/p1&_summary=count")).json()
    assert counted["total"] == 25
    assert "entry" not in counted


async def test_search_by_post_finds_the_same(admin: Client) -> None:
    await admin.put(patient("p1"))
    answer = await admin.http.post("/fhir/Patient/_search", data={"name": "张三"})
    assert [e["resource"]["id"] for e in answer.json()["entry"]] == ["p1"]
    assert (await admin.post({"resourceType": "Patient"}, "/fhir/Patient/_search")).status_code == 415


async def test_lenient_handling_says_what_it_left_out(admin: Client) -> None:
    await admin.put(patient("p1"))
    assert (await admin.get("/fhir/Patient?nonsense=1", prefer="handling=strict")).status_code == 400
    answer = (await admin.get("/fhir/Patient?nonsense=1", prefer="handling=lenient")).json()
    assert [e["search"]["mode"] for e in answer["entry"]] == ["match", "outcome"]
    assert "nonsense" not in (link(answer, "self") or "")


async def test_parts_on_demand_are_marked(admin: Client) -> None:
    await admin.put(patient("p1", telecom=[{"system": "phone", "value": "1"}]))
    part = (await admin.get("/fhir/Patient/p1?_elements=gender")).json()
    assert set(part) == {"resourceType", "id", "meta", "gender"}
    assert part["meta"]["tag"][-1]["code"] == "SUBSETTED"
    entries = (await admin.get("/fhir/Patient?_summary=true")).json()["entry"]
    assert "name" in entries[0]["resource"]
    assert (await admin.get("/fhir/Patient?_summary=true&_elements=gender")).status_code == 400
