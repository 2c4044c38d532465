"""Whatever is sent, the answer is an OperationOutcome with the right status: never our own failure, never an echo of values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hub.settings import Validation
from tests.hub.api.county import COUNTY, Client, Served, bundle, entry, observation, patient, served

pytestmark = pytest.mark.anyio

JSON = {"content-type": "application/fhir+json"}
FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b"-5", 400),
        (b"0.5", 400),
        (b"true", 400),
        (b"null", 400),
        (b'"text"', 400),
        (b'{"resourceType":"Observation","resourceType":"Observation"}', 400),
        (b'{"resourceType":"Observation","x":NaN}', 400),
        (b'{"resourceType":"Observation","x":1e99999999999999999999}', 400),
        (b'{"resourceType":"Observation","x":' + b"9" * 401 + b"}", 400),
        (b'{"resourceType":"Observation","x":"\xff"}', 400),
        (b'{"resourceType":"Observation","x":"\\ud800"}', 400),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, 400),
        (b'{"resourceType":["Observation"]}', 400),
        (b"x" * (16 * 1024 * 1024 + 1), 413),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_bodies(admin: Client, body: bytes, status: int) -> None:
    answer = await admin.http.post("/fhir/Observation", content=body, headers=JSON)
    assert (answer.status_code, answer.json()["resourceType"]) == (status, "OperationOutcome")


@pytest.mark.parametrize("body", [b"name=\xff", b"name=%ff", b"a" * 300_000, b"_count=-1", b"name"])
async def test_forms(admin: Client, body: bytes) -> None:
    answer = await admin.http.post("/fhir/Patient/_search", content=body, headers=FORM)
    assert answer.status_code in (400, 413)
    assert answer.json()["resourceType"] == "OperationOutcome"


@pytest.mark.parametrize(
    "url", ["Patient/p/_history/" + "9" * 23, "Patient/p/_history/²", "Patient/p/_history/-1", "Patient/" + "9" * 5000]
)
@pytest.mark.parametrize("kind", ["batch", "transaction"])
async def test_versions_in_bundles(admin: Client, kind: str, url: str) -> None:
    await admin.put(patient("p"))
    answer = await admin.post(bundle(kind, entry("GET", url)), "/fhir")
    assert answer.status_code == 200
    assert answer.json()["entry"][0]["response"]["status"][:3] in ("400", "404")


@pytest.mark.parametrize("request_", [{}, None, {"method": ["GET"], "url": "Patient"}, {"method": "GET", "url": 5}])
async def test_entries_without_sense(admin: Client, request_: Any) -> None:
    answer = await admin.post(bundle("batch", {"request": request_}, entry("POST", "Patient", patient("x"))), "/fhir")
    assert [e["response"]["status"][:3] for e in answer.json()["entry"]] == ["400", "201"]


@pytest.mark.parametrize("stated", ["文本", "text", "a b", "text/plain\u00e9"])
async def test_a_binary_of_a_type_that_no_header_can_say(tmp_path: Path, store: str, stated: str) -> None:
    """Refused where the county is strict; one that came in all the same goes out as bytes of no type."""
    county = COUNTY.model_copy(update={"validation": Validation(api="report")})
    async with served(tmp_path / "data", county, store) as hub:
        admin = hub.client("admin")
        assert (await admin.put({"resourceType": "Binary", "id": "b", "contentType": stated, "data": "YQ=="})).status_code == 201
        answer = await admin.get("/fhir/Binary/b")
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, b"a", "application/octet-stream")


ADDRESSES = [
    "/fhir/Patient/",
    "/fhir/Patient/p/",
    "/fhir//Patient",
    "/fhir/Patient/%00",
    "/fhir/Patient/%ff",
    "/fhir/Patient/p%0d%0aX: y",
    "/fhir/Patient/" + "a" * 65,
    "/fhir/Foo",
    "/fhir/Patient/p/$foo",
    "/fhir/Patient/p/a/b/c",
    "/fhir/Patient/p/_history/x",
]


@pytest.mark.parametrize("address", ADDRESSES)
async def test_addresses(hub: Served, admin: Client, address: str) -> None:
    answer = await admin.get(address)
    assert (answer.status_code, answer.json()["resourceType"]) == (404, "OperationOutcome")
    stranger = await hub.bearer("").get(address)
    assert (stranger.status_code, stranger.json()["resourceType"]) == (401, "OperationOutcome")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("OPTIONS", "Patient"),
        ("POST", "Patient/1"),
        ("TRACE", "Patient/1"),
        ("DELETE", "Patient/1/_history"),
        ("PUT", "Patient/1/_history/1"),
    ],
)
async def test_methods(hub: Served, admin: Client, method: str, path: str) -> None:
    answer = await admin.http.request(method, f"/fhir/{path}")
    assert (answer.status_code, answer.json()["resourceType"]) == (405, "OperationOutcome")
    assert (await hub.bearer("").http.request(method, f"/fhir/{path}")).status_code == 401


@pytest.mark.parametrize("method", ["PATCH", "DELETE", "PUT"])
async def test_conditional_writes_without_a_condition(hub: Served, admin: Client, method: str) -> None:
    await admin.put(patient("p"))
    for query in ("", "?", "?_format=json"):
        answer = await admin.http.request(method, f"/fhir/Patient{query}", headers=JSON, json=patient("p"))
        assert (answer.status_code, answer.json()["resourceType"]) == (400, "OperationOutcome")
    assert (await admin.get("/fhir/Patient/p")).status_code == 200
    assert (await hub.bearer("").http.request(method, "/fhir/Patient?_id=p")).status_code == 401


HOSTILE = [*"'\"%_\\*($|,;\0", "' OR 1=1--", "NEAR(", '" OR "', "||", "|||", "a$b$c", "😀", "\u2028", "\r\n", "a" * 5000]
HOSTILE += ["1e400", "1e9999999999999", "NaN", "٣", "2020-02-30", "2020-01-01T10:00:00+99:00", "9999-12-31", "0001-01-01", "ap0001"]
HOSTILE += ["Patient/x/y/z", "Patient/q/_history/", "http://", "urn:uuid:", "#x", "5|http://unitsofmeasure.org|mg", "5|"]
PARAMETERS = [
    *("Patient?name", "Patient?name:exact", "Patient?name:contains", "Patient?identifier", "Patient?identifier:not"),
    *(
        "Patient?birthdate",
        "Patient?_lastUpdated",
        "Patient?link",
        "Patient?_id",
        "Patient?_tag",
        "Patient?_sort",
        "Patient?_count",
    ),
    *("Patient?_include", "Patient?_revinclude", "Patient?$where", "Patient?name:missing", "Observation?value-quantity"),
    *("Observation?code-value-quantity", "Observation?subject", "ValueSet?url", "RiskAssessment?probability"),
]


@pytest.mark.parametrize("parameter", PARAMETERS)
async def test_injections_find_nothing_and_break_nothing(admin: Client, parameter: str) -> None:
    """With a modifier that excludes, everything; else nothing. An error repeats no value of a criterion."""
    await admin.put(patient("p", birthDate="1970-01-01", identifier=[{"value": "1"}]))
    await admin.put(observation("o", "p", valueQuantity={"value": 7, "unit": "mg"}))
    path, _, name = parameter.partition("?")
    for value in HOSTILE:
        answer = await admin.http.get(f"/fhir/{path}", params=[(name, value)])
        assert answer.status_code in (200, 400), (value, answer.text)
        body = answer.json()
        if answer.status_code == 400:
            assert body["resourceType"] == "OperationOutcome"
            if name[0] not in "_$" and len(value) > 8:
                assert value not in answer.text
        elif name not in ("identifier:not", "birthdate", "_lastUpdated", "_sort", "_count", "_include", "_revinclude"):
            assert "entry" not in body, value


@pytest.mark.parametrize("address", ["/fhir/Patient?name=%F0%28", "/fhir?_type=Patient&name=%FF", "/fhir/_history?_since=%FF"])
async def test_an_address_that_is_not_utf8_is_refused_as_a_form_is(admin: Client, address: str) -> None:
    answer = await admin.get(address)
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (400, "invalid")
    assert "UTF-8" in answer.json()["issue"][0]["diagnostics"]


async def test_a_filter_within_has_is_refused_by_that_name(admin: Client) -> None:
    answer = await admin.get("/fhir/Patient?_has:Observation:patient:_filter=code eq x")
    assert answer.status_code == 400
    assert "within a chain or _has" in answer.json()["issue"][0]["diagnostics"]
