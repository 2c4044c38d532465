"""JSON and XML both ways, pretty or not, deflated or not. https://hl7.org/fhir/R4/http.html#mime-type"""

from __future__ import annotations

import gzip
import zlib
from typing import Any

import pytest
from lxml import etree

from hub import fhir_json, fhir_xml
from tests.hub.api.county import Client, bundle, entry, observation, patient

pytestmark = pytest.mark.anyio

NAMED = {"f": "http://hl7.org/fhir"}
XML = "application/fhir+xml"


def sent(resource: dict[str, Any]) -> bytes:
    return fhir_xml.from_json(fhir_json.dump(resource))


async def send_xml(client: Client, method: str, path: str, resource: dict[str, Any], **headers: str):
    stated = {"content-type": XML, "accept": XML} | headers
    return await client.http.request(method, path, content=sent(resource), headers=stated)


async def test_what_is_written_as_xml_is_read_as_json_and_the_other_way(admin: Client) -> None:
    pressure = observation("o1", "p1", valueQuantity={"value": 1, "unit": "mmHg"})
    text = sent(pressure).replace(b'<value value="1"/>', b'<value value="72.50"/>')
    assert (await admin.put(patient("p1"))).status_code == 201
    answer = await admin.http.put("/fhir/Observation/o1", content=text, headers={"content-type": f"{XML}; charset=UTF-8"})
    assert answer.status_code == 201
    assert answer.headers["content-type"] == "application/fhir+json; charset=utf-8"
    read = await admin.get("/fhir/Observation/o1")
    assert '"value":72.50' in read.text
    read = await admin.get("/fhir/Observation/o1", accept=XML)
    assert read.headers["content-type"] == f"{XML}; charset=utf-8"
    assert read.headers["etag"] == 'W/"1"'
    assert '<value value="72.50"/>' in read.text


async def test_every_interaction_speaks_xml(admin: Client) -> None:
    made = await send_xml(admin, "POST", "/fhir/Patient", patient("any"))
    assert made.status_code == 201
    id = etree.fromstring(made.content).find("f:id", NAMED).get("value")
    updated = await send_xml(admin, "PUT", f"/fhir/Patient/{id}", patient(id, gender="female"))
    assert b'<gender value="female"/>' in updated.content
    for path in (
        f"Patient/{id}",
        f"Patient/{id}/_history/1",
        f"Patient/{id}/_history",
        f"Patient/{id}/$everything",
        "Patient?gender=female",
        "metadata",
    ):
        answer = await admin.get(f"/fhir/{path}", accept=XML)
        assert answer.status_code == 200, path
        assert answer.headers["content-type"].startswith(XML), path
        etree.fromstring(answer.content)
    done = await send_xml(
        admin,
        "POST",
        "/fhir",
        bundle("transaction", entry("POST", "Patient", patient("x"), "urn:uuid:3fdc72f4-a11d-4a9d-9260-a9f745779e1d")),
    )
    assert fhir_xml.parse(done.content)["entry"][0]["response"]["status"].startswith("201")


async def test_errors_come_in_the_format_that_was_asked(admin: Client) -> None:
    for path, status in (("Patient/none", 404), ("Patient?nonsense=1", 400), ("Nothing/1", 404), ("$nothing", 404)):
        answer = await admin.get(f"/fhir/{path}", accept=XML)
        assert answer.status_code == status, path
        assert etree.QName(etree.fromstring(answer.content)).localname == "OperationOutcome"
    broken = await admin.http.post("/fhir/Patient", content=b"<Patient", headers={"content-type": XML})
    assert broken.status_code == 400
    assert broken.json()["issue"][0]["code"] == "structure"
    strange = await admin.http.post(
        "/fhir/Patient",
        content=sent({"resourceType": "Patient"})[:-2] + b'><nick value="x"/></Patient>',
        headers={"content-type": XML},
    )
    assert strange.status_code == 400


async def test_nobody_unknown_has_xml_parsed(hub: Any) -> None:
    answer = await hub.bearer("").http.post("/fhir/Patient", content=b"<Patient", headers={"content-type": XML, "accept": XML})
    assert answer.status_code == 401
    assert answer.headers["content-type"].startswith(XML)


@pytest.mark.parametrize(
    ("query", "accept", "kind"),
    [
        ("", "*/*", "json"),
        ("", "application/fhir+xml", "xml"),
        ("", "text/xml", "xml"),
        ("", "application/xml;q=0.9, application/json;q=0.5", "xml"),
        ("", "application/xml;q=0.5, application/fhir+json", "json"),
        ("", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "json"),
        ("?_format=json", XML, "json"),
        ("?_format=html", XML, "json"),
        ("?_format=xml", "application/fhir+json", "xml"),
        ("?_format=application/fhir%2Bxml", "text/csv", "xml"),
        ("?_format=application/fhir+xml", "*/*", "xml"),
        ("?_format=text/xml", "*/*", "xml"),
        ("", "application/fhir+xml; fhirVersion=4.0", "xml"),
    ],
)
async def test_format_outranks_accept_and_weights_decide(admin: Client, query: str, accept: str, kind: str) -> None:
    await admin.put(patient("p1"))
    answer = await admin.get(f"/fhir/Patient/p1{query}", accept=accept)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(f"application/fhir+{kind}")


@pytest.mark.parametrize(
    ("query", "accept"),
    [("?_format=csv", "*/*"), ("?_format=", "*/*"), ("", "text/csv"), ("", "application/fhir+xml; fhirVersion=3.0")],
)
async def test_what_we_do_not_speak_is_406(admin: Client, query: str, accept: str) -> None:
    answer = await admin.get(f"/fhir/Patient{query}", accept=accept)
    assert answer.status_code == 406
    assert answer.json()["resourceType"] == "OperationOutcome"


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "",
        "application/fhir+xml; charset=gb18030",
        "application/fhir+json; charset=gbk",
        "application/fhir+json; fhirVersion=3.0",
    ],
)
async def test_what_we_cannot_read_is_415(admin: Client, content_type: str) -> None:
    answer = await admin.http.post("/fhir/Patient", content=b"<Patient/>", headers={"content-type": content_type})
    assert answer.status_code == 415


async def test_pretty_is_indented_and_says_the_same(admin: Client) -> None:
    text = b'{"resourceType":"Observation","id":"o","status":"final","code":{"text":"a"},"valueQuantity":{"value":1.50}}'
    await admin.http.put("/fhir/Observation/o", content=text, headers={"content-type": "application/fhir+json"})
    plain = await admin.get("/fhir/Observation/o")
    pretty = await admin.get("/fhir/Observation/o?_pretty=true")
    assert '\n  "status": "final"' in pretty.text
    assert '"value": 1.50' in pretty.text
    assert pretty.json() == plain.json()
    assert int(pretty.headers["content-length"]) == len(pretty.content)
    xml = await admin.get("/fhir/Observation/o?_pretty=true&_format=xml")
    assert '\n  <status value="final"/>' in xml.text
    assert '\n    <value value="1.50"/>' in xml.text


async def test_page_links_keep_the_format(admin: Client) -> None:
    for number in range(3):
        await admin.put(patient(f"p{number}"))
    first = fhir_xml.parse((await admin.get("/fhir/Patient?_count=2&_format=xml")).content)
    following = next(link["url"] for link in first["link"] if link["relation"] == "next")
    second = await admin.get(following)
    assert second.status_code == 200
    assert second.headers["content-type"].startswith(XML)
    assert len(fhir_xml.parse(second.content)["entry"]) == 1


async def test_a_search_by_post_may_name_the_format_in_its_form(admin: Client) -> None:
    answer = await admin.http.post("/fhir/Patient/_search", data={"gender": "male", "_format": "xml", "_pretty": "true"})
    assert answer.headers["content-type"].startswith(XML)
    assert "\n  <type" in answer.text
    assert (await admin.http.post("/fhir/Patient/_search", data={"_format": "csv"})).status_code == 406


async def test_a_binary_is_a_resource_in_xml_only_when_asked_by_name(admin: Client) -> None:
    resource = {"resourceType": "Binary", "id": "b", "contentType": "application/xml", "data": "PGEvPg=="}
    assert (await send_xml(admin, "PUT", "/fhir/Binary/b", resource)).status_code == 201
    assert (await admin.get("/fhir/Binary/b", accept="application/xml")).content == b"<a/>"
    for answer in (await admin.get("/fhir/Binary/b", accept=XML), await admin.get("/fhir/Binary/b?_format=xml")):
        assert fhir_xml.parse(answer.content)["data"] == "PGEvPg=="
    made = await admin.http.post("/fhir/Binary", content=b"<b/>", headers={"content-type": "application/xml"})
    assert made.json()["contentType"] == "application/xml"


async def test_long_answers_are_deflated_for_who_can_inflate(admin: Client) -> None:
    for number in range(20):
        await admin.put(patient(f"p{number}"))
    answer = await admin.get("/fhir/Patient", accept_encoding="gzip")
    assert answer.headers["content-encoding"] == "gzip"
    assert len(answer.json()["entry"]) == 20
    plain = await admin.get("/fhir/Patient", accept_encoding="identity")
    assert "content-encoding" not in plain.headers
    assert int(answer.headers["content-length"]) < len(plain.content) / 3
    assert "content-encoding" not in (await admin.get("/fhir/Patient/p1", accept_encoding="gzip")).headers


async def test_a_deflated_body_is_taken(admin: Client) -> None:
    body = fhir_json.dump(patient("p1", name=[{"text": "a" * 600_000}]))
    stated = {"content-type": "application/fhir+json", "content-encoding": "gzip"}
    answer = await admin.http.put("/fhir/Patient/p1", content=gzip.compress(body), headers=stated)
    assert answer.status_code == 201
    assert len(answer.json()["name"][0]["text"]) == 600_000
    xml = gzip.compress(sent(patient("p2")))
    assert (await admin.http.put("/fhir/Patient/p2", content=xml, headers={**stated, "content-type": XML})).status_code == 201


@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        (b"no gzip", "gzip", 415),
        pytest.param(gzip.compress(b"{}" * 5000)[:-9], "gzip", 415, id="cut short"),
        (b"{}", "br", 415),
        (b"bomb", "gzip", 413),
    ],
)
async def test_a_bomb_or_a_broken_body_is_refused(admin: Client, body: bytes, encoding: str, status: int) -> None:
    body = zlib.compress(b" " * 100_000_000, 1, wbits=31) if body == b"bomb" else body
    for kind in ("application/fhir+json", XML):
        headers = {"content-type": kind, "content-encoding": encoding}
        answer = await admin.http.post("/fhir/Patient", content=body, headers=headers)
        assert answer.status_code == status
        assert answer.json()["resourceType"] == "OperationOutcome"
