"""batch and transaction. https://hl7.org/fhir/R4/http.html#transaction"""

from __future__ import annotations

import pytest

from tests.hub.api.county import Client, Served, bundle, entry, observation, patient

pytestmark = pytest.mark.anyio

URN = "urn:uuid:61ebe359-bfdc-4613-8bf2-c5e300945f0a"


def unnamed(resource: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in resource.items() if name != "id"}


async def test_a_transaction_joins_its_resources(admin: Client) -> None:
    result = observation("x", "x", subject={"reference": URN})
    sent = bundle(
        "transaction",
        entry("POST", "Observation", unnamed(result)),
        entry("POST", "Patient", unnamed(patient("x")), URN),
        entry("GET", "Patient?name=张三"),
    )
    answer = await admin.post(sent, "/fhir")
    assert answer.status_code == 200, answer.text
    made = answer.json()
    assert made["type"] == "transaction-response"
    assert [e["response"]["status"] for e in made["entry"]] == ["201 Created", "201 Created", "200 OK"]
    observation_url, patient_url = (e["response"]["location"].split("/_history")[0] for e in made["entry"][:2])
    stored = (await admin.get(observation_url)).json()
    assert f"http://hub/fhir/{stored['subject']['reference']}" == patient_url
    assert len(made["entry"][2]["resource"]["entry"]) == 1


async def test_a_transaction_is_all_or_nothing_and_names_the_entry(admin: Client) -> None:
    sent = bundle(
        "transaction",
        entry("PUT", "Patient/p1", patient("p1")),
        entry("PUT", "Patient/p2", patient("p2"), ifMatch='W/"4"'),
    )
    answer = await admin.post(sent, "/fhir/")
    assert answer.status_code == 412
    assert answer.json()["issue"][0]["expression"] == ["Bundle.entry[1]"]
    assert (await admin.get("/fhir/Patient/p1")).status_code == 404


async def test_an_invalid_entry_is_named_by_its_element(admin: Client) -> None:
    sent = bundle("transaction", entry("PUT", "Patient/p1", patient("p1")), entry("PUT", "Patient/p2", patient("p2", gender="x")))
    answer = await admin.post(sent, "/fhir")
    assert answer.status_code == 422
    assert answer.json()["issue"][0]["expression"] == ["Bundle.entry[1].resource.gender"]
    assert (await admin.get("/fhir/Patient/p1")).status_code == 404


async def test_one_identity_twice_is_refused_whole(admin: Client) -> None:
    twice = bundle(
        "transaction", entry("PUT", "Patient/p1", patient("p1")), entry("PUT", "Patient/p1", patient("p1", gender="other"))
    )
    assert (await admin.post(twice, "/fhir")).status_code == 400
    names = bundle("transaction", *(entry("POST", "Patient", unnamed(patient("x")), URN) for _ in range(2)))
    assert (await admin.post(names, "/fhir")).json()["issue"][0]["expression"] == ["Bundle.entry[1]"]


async def test_conditional_references_find_exactly_one(admin: Client) -> None:
    identifier = [{"system": "urn:hub:CTY:patient", "value": "7"}]
    await admin.put(patient("p1", identifier=identifier))
    sent = bundle("transaction", entry("PUT", "Observation/o1", observation("o1", "x", subject=_where("urn:hub:CTY:patient|7"))))
    assert (await admin.post(sent, "/fhir")).status_code == 200
    assert (await admin.get("/fhir/Observation/o1")).json()["subject"] == {"reference": "Patient/p1"}
    none = bundle("transaction", entry("PUT", "Observation/o2", observation("o2", "x", subject=_where("urn:hub:CTY:patient|8"))))
    answer = await admin.post(none, "/fhir")
    assert (answer.status_code, answer.json()["issue"][0]["expression"]) == (412, ["Bundle.entry[0]"])


def _where(value: str) -> dict[str, str]:
    return {"reference": f"Patient?identifier={value}"}


async def test_a_conditional_create_in_a_transaction_links_to_what_was_there(admin: Client) -> None:
    identifier = [{"system": "urn:hub:CTY:patient", "value": "7"}]
    await admin.put(patient("p1", identifier=identifier))
    condition = "identifier=urn:hub:CTY:patient|7"
    new = unnamed(patient("x", identifier=identifier))
    sent = bundle(
        "transaction",
        entry("POST", "Patient", new, URN, ifNoneExist=condition),
        entry("PUT", "Observation/o1", observation("o1", "x", subject={"reference": URN})),
    )
    made = (await admin.post(sent, "/fhir")).json()
    assert made["entry"][0]["response"]["status"] == "200 OK"
    assert (await admin.get("/fhir/Observation/o1")).json()["subject"] == {"reference": "Patient/p1"}


async def test_a_batch_answers_each_entry_for_itself(admin: Client) -> None:
    await admin.put(patient("old"))
    sent = bundle(
        "batch",
        entry("GET", "Patient/p1"),
        entry("PUT", "Patient/p1", patient("p1")),
        entry("PUT", "Patient/p2", patient("p2", gender="x")),
        entry("DELETE", "Patient/old"),
        entry("GET", "Patient/never"),
        {"request": {"method": "PUT"}},
    )
    made = (await admin.post(sent, "/fhir")).json()
    assert [e["response"]["status"] for e in made["entry"]] == [
        *("200 OK", "201 Created", "422 Unprocessable Entity", "204 No Content", "404 Not Found", "400 Bad Request")
    ]
    assert made["entry"][2]["response"]["outcome"]["resourceType"] == "OperationOutcome"


async def test_a_bundle_of_another_type_or_size_is_refused(admin: Client) -> None:
    assert (await admin.post(bundle("collection"), "/fhir")).status_code == 400
    many = bundle("batch", *(entry("GET", "Patient/x") for _ in range(5001)))
    assert (await admin.post(many, "/fhir")).status_code == 413


async def test_a_facility_cannot_write_into_another_by_bundle(hub: Served) -> None:
    county, town = hub.client("clinician", "CTY"), hub.client("clinician", "TWN")
    await county.put(patient("p1"))
    sent = bundle("transaction", entry("PUT", "Patient/t1", patient("t1")), entry("PUT", "Patient/p1", patient("p1")))
    assert (await town.post(sent, "/fhir")).status_code == 404
    assert (await town.get("/fhir/Patient/t1")).status_code == 404
