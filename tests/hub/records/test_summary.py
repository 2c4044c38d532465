"""$summary: an International Patient Summary over all linked Patients, complete in itself and valid, in two languages.

What is checked of the guide: https://hl7.org/fhir/uv/ips/StructureDefinition-Composition-uv-ips.html#constraints
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from lxml import etree

from profiles.validation import validate
from tests.hub.api.conftest import admin, anyio_backend, hub, store
from tests.hub.api.county import Client, Served, bundle, encounter, entry, patient

__all__ = ["admin", "anyio_backend", "hub", "store"]
pytestmark = pytest.mark.anyio

REQUIRED = {"48765-2", "11450-4", "10160-0"}
CARD = {"system": "urn:oid:2.16.156.10011.1.3", "value": "339900196803120120"}
ACTIVE = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]}
RESOLVED = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "resolved"}]}
ALLERGIC = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": "active"}]}
LABORATORY = [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}]}]


def about(type: str, id: str, who: str, **more: Any) -> dict[str, Any]:
    named = "patient" if type in ("AllergyIntolerance", "Immunization") else "subject"
    return {"resourceType": type, "id": id, named: {"reference": f"Patient/{who}"}, **more}


def potassium(id: str, who: str, day: str, value: str, **more: Any) -> dict[str, Any]:
    quantity = {"value": value, "unit": "mmol/L", "system": "http://unitsofmeasure.org", "code": "mmol/L"}
    code = {"coding": [{"system": "http://loinc.org", "code": "2823-3", "display": "Potassium"}], "text": "钾"}
    return about("Observation", id, who, status="final", category=LABORATORY, code=code, effectiveDateTime=day,
                 valueQuantity=quantity, **more)  # fmt: skip


async def recorded(hub: Served) -> tuple[Client, Client]:
    """One person at two facilities, who treats only one of them by now; the other has records of its own of that person."""
    county, town = hub.client("clinician", "CTY"), hub.client("clinician", "TWN")
    for client, id in ((county, "c1"), (town, "t1")):
        assert (await client.put(patient(id, identifier=[CARD], birthDate="1968-03-12", name=[{"text": "曾<晓>燕"}]))).is_success
    penicillin = {"coding": [{"system": "http://snomed.info/sct", "code": "764146007"}], "text": "青霉素"}
    year = hub.hub.clock() // 31_556_952_000 + 1970
    records = (
        (county, encounter("ce", "c1")),
        (town, about("AllergyIntolerance", "ta", "t1", code=penicillin, criticality="high", clinicalStatus=ALLERGIC)),
        (town, about("Condition", "tc", "t1", code={"text": "原发性高血压"}, clinicalStatus=ACTIVE, recordedDate="2024-02-01")),
        (county, about("Condition", "cc", "c1", code={"text": "原发性高血压"}, clinicalStatus=ACTIVE, recordedDate="2025-03-01",
                       encounter={"reference": "Encounter/ce"})),
        (town, about("Condition", "tp", "t1", code={"text": "肺炎"}, clinicalStatus=RESOLVED, recordedDate="2020-02-01")),
        (town, potassium("to", "t1", f"{year - 1}-02-01", 4.1)),
        (county, potassium("co", "c1", f"{year - 1}-03-01", 3.2, method={"text": "离子选择电极法"})),
        (county, potassium("co2", "c1", f"{year - 1}-01-01", 3.0, method={"text": "离子选择电极法"})),
        (county, potassium("old", "c1", "2001-01-01", 9.9)),
        (county, {**about("Immunization", "ci", "c1", status="completed", vaccineCode={"text": "流感疫苗"}),
                  "occurrenceDateTime": "2024-10-01", "performer": [{"actor": {"reference": "Organization/CTY"}}]}),
    )  # fmt: skip
    for client, resource in records:
        answer = await client.put(resource)
        assert answer.is_success, answer.text
    return county, town


def composition(document: dict[str, Any]) -> dict[str, Any]:
    return document["entry"][0]["resource"]


def section(document: dict[str, Any], code: str) -> dict[str, Any]:
    (found,) = [s for s in composition(document)["section"] if s["code"]["coding"][0]["code"] == code]
    return found


def check(document: dict[str, Any]) -> None:
    """R4's rules, and those of the guide that can be told without its package."""
    assert [issue for issue in validate(document) if issue.severity in ("error", "fatal")] == []
    assert (document["type"], document["identifier"]["system"]) == ("document", "urn:ietf:rfc:3986")
    named = {each["fullUrl"]: each["resource"] for each in document["entry"]}
    assert len(named) == len(document["entry"])
    made = composition(document)
    assert (made["resourceType"], made["type"]["coding"][0]["code"], made["status"]) == ("Composition", "60591-5", "final")
    codes = [s["code"]["coding"][0]["code"] for s in made["section"]]
    assert set(codes) >= REQUIRED
    assert len(codes) == len(set(codes))
    directly = [made["subject"], made["custodian"], *made["author"]]
    for part in made["section"]:
        assert bool(part.get("entry")) != bool(part.get("emptyReason")), "ips-comp-1 and cmp-2"
        etree.fromstring(part["text"]["div"])
        directly += part.get("entry", [])
    assert all(reference["reference"] in named for reference in directly)
    (person,) = [r for r in named.values() if r["resourceType"] == "Patient"]
    assert person.get("birthDate") or person["_birthDate"]
    whose = set(re.findall(r'"(?:subject|patient)": {"reference": "([^"]+)"', __import__("json").dumps(document)))
    assert whose == {made["subject"]["reference"]}
    for reference in re.findall(r"'reference': '([^']+)'", str(document)):
        assert reference in named, reference


async def test_a_document_of_one_person_over_all_facilities(hub: Served) -> None:
    county, town = await recorded(hub)
    answer = await county.get("/fhir/Patient/c1/$summary")
    assert (answer.status_code, answer.headers["content-language"]) == (200, "zh-CN"), answer.text
    document = answer.json()
    check(document)
    by_id = {each["resource"]["id"]: each["resource"] for each in document["entry"]}
    assert {"ta", "cc", "tp", "to", "co", "ci"} <= set(by_id)
    assert not {"tc", "co2", "old", "c1", "t1"} & set(by_id), "the newest of a fact stands for it; one Patient for the person"
    assert by_id["to"]["valueQuantity"]["value"] == 4.1
    address = {"system": "urn:ietf:rfc:3986", "value": "http://hub/fhir/Encounter/ce"}
    assert by_id["cc"]["encounter"] == {"type": "Encounter", "identifier": address}
    allergies = section(document, "48765-2")["text"]["div"]
    assert all(said in allergies for said in ("青霉素", "高危", "青石镇卫生院", 'lang="zh-CN"'))
    assert "曾&lt;晓&gt;燕" in composition(document)["text"]["div"]
    assert section(document, "10160-0")["emptyReason"]["coding"][0]["code"] == "unavailable"
    assert [entry["reference"] for entry in section(document, "11348-0")["entry"]]
    assert "3.2 mmol/L" in section(document, "30954-2")["text"]["div"]
    english = (await county.get("/fhir/Patient/c1/$summary", accept_language="en-GB,en;q=0.9")).json()
    check(english)
    assert english["language"] == "en"
    assert {"Allergies and intolerances", "Problems"} <= {s["title"] for s in composition(english)["section"]}
    assert "County Hospital" in section(english, "30954-2")["text"]["div"]
    xml = await county.get("/fhir/Patient/c1/$summary?_format=xml")
    assert etree.fromstring(xml.content).tag == "{http://hl7.org/fhir}Bundle"
    assert "TWN" not in str((await town.get("/fhir/Patient/c1/$summary")).json()), "no relation, no word of it"
    own = (await town.get("/fhir/Patient/t1/$summary")).json()
    check(own)
    assert {"ta", "tc", "to"} <= {each["resource"]["id"] for each in own["entry"]}
    assert not {"cc", "co", "ci"} & {each["resource"]["id"] for each in own["entry"]}


async def test_how_it_is_asked_and_what_it_does_not_take(hub: Served, admin: Client) -> None:
    county, _ = await recorded(hub)
    parts = [{"name": "identifier", "valueIdentifier": CARD}, {"name": "profile", "valueCanonical": PROFILE}]
    posted = await county.post({"resourceType": "Parameters", "parameter": parts}, "/fhir/Patient/$summary")
    asked = await county.get(f"/fhir/Patient/$summary?identifier={CARD['system']}|{CARD['value']}")
    for answer in (posted, asked, await county.post({"resourceType": "Parameters"}, "/fhir/Patient/c1/$summary")):
        assert answer.status_code == 200, answer.text
        check(answer.json())
    refused = {
        "Patient/nobody/$summary": 404,
        "Patient/t1x/$summary": 404,
        "Patient/$summary": 400,
        "Patient/$summary?identifier=urn:x|none": 404,
        "Patient/c1/$summary?profile=http://example.org/other": 400,
        "Patient/c1/$summary?graph=x": 400,
        "Patient/c1/$summary?profile=&profile=": 400,
    }
    for path, status in refused.items():
        answer = await county.get(f"/fhir/{path}")
        assert (answer.status_code, answer.json()["resourceType"]) == (status, "OperationOutcome"), path
    await admin.put(patient("bare"))
    nothing = (await admin.get("/fhir/Patient/bare/$summary")).json()
    check(nothing)
    assert all("emptyReason" in part for part in composition(nothing)["section"])
    reader = (await hub.client("reader", "CTY").get("/fhir/Patient/c1/$summary")).json()
    check(reader)
    assert section(reader, "48765-2")["emptyReason"]["coding"][0]["code"] == "withheld"
    audited = (await admin.get("/fhir/AuditEvent?subtype=operation&patient=Patient/c1&_count=50")).json()["entry"]
    assert any(e["resource"]["entity"][0]["what"]["reference"] for e in audited)
    stated = (await admin.get("/fhir/metadata")).json()["rest"][0]["resource"]
    (of_patient,) = [r for r in stated if r["type"] == "Patient"]
    assert {"name": "summary", "definition": "http://hl7.org/fhir/uv/ips/OperationDefinition/summary"} in of_patient["operation"]
    assert (await county.post(bundle("batch", entry("GET", "Patient/c1")), "/fhir")).is_success


async def test_what_is_denied_closed_missing_or_over(hub: Served, admin: Client) -> None:
    county = hub.client("clinician", "CTY")
    denial = {"coding": [{"system": "http://snomed.info/sct", "code": "716186003", "display": "No known allergy"}]}
    closed = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}]}
    records = (
        {"resourceType": "Patient", "id": "d1", "deceasedDateTime": "2026-01-02T03:04:05+08:00"},
        encounter("de", "d1"),
        about("AllergyIntolerance", "no", "d1", code=denial, clinicalStatus=ALLERGIC),
        about("Condition", "hiv", "d1", code={"text": "不可示人"}, clinicalStatus=ACTIVE, meta=closed),
        about("DiagnosticReport", "dr", "d1", status="final", code={"text": "胸部CT"}, conclusion="未见异常",
              result=[{"reference": "Observation/gone"}], basedOn=[{"reference": "ServiceRequest/s", "display": "申请单"}]),
        {**about("Procedure", "pr", "d1", status="completed", code={"text": "阑尾切除术"}), "performedString": "1998年"},
    )  # fmt: skip
    for resource in records:
        assert (await county.put(resource)).is_success
    document = (await county.get("/fhir/Patient/d1/$summary")).json()
    check(document)
    by_id = {each["resource"]["id"]: each["resource"] for each in document["entry"]}
    assert "2026-01-02" in composition(document)["text"]["div"], "deceased"
    assert by_id["d1"]["name"] == [{"_text": {"extension": [UNKNOWN]}}], "ips-pat-1"
    assert section(document, "48765-2")["entry"], "a denial is an entry of its own"
    assert by_id["dr"]["basedOn"][0]["display"] == "申请单"
    reader = (await hub.client("reader", "CTY").get("/fhir/Patient/d1/$summary")).text
    assert "不可示人" not in reader, "nothing of a closed record to who is not cleared, nor that there is one"
    assert '"R"' not in reader
    await county.put(about("AllergyIntolerance", "yes", "d1", code={"text": "头孢"}, clinicalStatus=ALLERGIC))
    named = (await county.get("/fhir/Patient/d1/$summary")).json()
    assert [section(named, "48765-2")["text"]["div"].count(said) for said in ("头孢", "No known allergy")] == [1, 0]
    for path, accept in (("d1/$summary", "application/pdf"), ("d1/$summary?_format=application/pdf", "*/*")):
        paper = await county.get(f"/fhir/Patient/{path}", accept=accept)
        assert (paper.status_code, paper.headers["content-type"], paper.content[:5]) == (200, "application/pdf", b"%PDF-")
    assert (await county.get("/fhir/Patient/none/$summary", accept="application/pdf")).status_code == 404
    assert (await county.get("/fhir/Patient/d1/$summary", accept="image/png")).status_code == 406


UNKNOWN = {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}
PROFILE = "http://hl7.org/fhir/uv/ips/StructureDefinition/Composition-uv-ips|2.0.0"
