"""batch and transaction. https://hl7.org/fhir/R4/http.html#transaction"""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest

from tests.hub.api.county import Client, Served, bundle, entry, observation, patient

pytestmark = pytest.mark.anyio

URN = "urn:uuid:61ebe359-bfdc-4613-8bf2-c5e300945f0a"
OID = "urn:oid:2.25.1"


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


# -- every interaction in a bundle


def known(id: str, number: str, **more: Any) -> dict[str, Any]:
    return patient(id, identifier=[{"system": "urn:x", "value": number}], **more)


def json_patch(*operations: dict[str, Any]) -> dict[str, Any]:
    data = base64.b64encode(json.dumps(operations).encode()).decode()
    return {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": data}


def fhirpath_patch(path: str, code: str) -> dict[str, Any]:
    parts = [{"name": "type", "valueCode": "replace"}, {"name": "path", "valueString": path}, {"name": "value", "valueCode": code}]
    return {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": parts}]}


def statuses(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [entry["response"]["status"][:3] for entry in answer.json()["entry"]]


BOTH = pytest.mark.parametrize("kind", ["batch", "transaction"])


@BOTH
async def test_bundles_carry_out_every_interaction(admin: Client, kind: str) -> None:
    for number in "1234":
        await admin.put(known(f"p{number}", number))
    sent = bundle(
        kind,
        entry("GET", "Patient?identifier=urn:x|1&_summary=count"),
        entry("GET", "Patient/p1/_history"),
        entry("PATCH", "Patient/p1", json_patch({"op": "replace", "path": "/gender", "value": "other"})),
        entry("PATCH", "Patient?identifier=urn:x|2", fhirpath_patch("Patient.gender", "female")),
        entry("PUT", "Patient?identifier=urn:x|3", unnamed(known("x", "3", gender="unknown"))),
        entry("PUT", "Patient?identifier=urn:x|5", known("p5", "5")),
        entry("DELETE", "Patient?identifier=urn:x|4"),
        entry("DELETE", "Patient?identifier=urn:x|9"),
        entry("POST", "Patient", unnamed(known("x", "6")), ifNoneExist="identifier=urn:x|6"),
    )
    answer = await admin.post(sent, "/fhir")
    assert statuses(answer) == ["200", "200", "200", "200", "200", "201", "204", "204", "201"]
    counted, history = (e["resource"] for e in answer.json()["entry"][:2])
    assert counted["total"] == 1
    assert [e["response"]["etag"] for e in history["entry"]] == ['W/"2"', 'W/"1"']  # reads see what the writes made
    genders = [(await admin.get(f"/fhir/Patient/p{number}")).json().get("gender") for number in "12345"]
    assert genders == ["other", "female", "unknown", None, "male"]


@BOTH
async def test_conditions_of_an_entry(admin: Client, kind: str) -> None:
    made = await admin.put(known("p1", "1"))
    now = made.json()["meta"]["lastUpdated"]
    reads = bundle(
        kind,
        entry("GET", "Patient/p1", ifNoneMatch='W/"1"'),
        entry("GET", "Patient/p1", ifModifiedSince=now),
        entry("GET", "Patient/p1", ifNoneMatch='W/"2"'),
        entry("HEAD", "Patient/p1"),
        entry("HEAD", "Patient/none"),
    )
    answer = await admin.post(reads, "/fhir")
    assert statuses(answer) == ["304", "304", "200", "200", "404"]
    assert ["resource" in e for e in answer.json()["entry"]] == [False, False, True, False, False]
    assert answer.json()["entry"][4]["response"]["outcome"]["resourceType"] == "OperationOutcome"
    assert answer.json()["entry"][2]["response"]["lastModified"] == now
    change = json_patch({"op": "remove", "path": "/gender"})
    for method, url, resource in (
        ("PUT", "Patient/p1", known("p1", "1")),
        ("DELETE", "Patient/p1", None),
        ("PATCH", "Patient/p1", change),
    ):
        stale = await admin.post(bundle(kind, entry(method, url, resource, ifMatch='W/"9"')), "/fhir")
        issue = stale.json()["issue"][0] if kind == "transaction" else stale.json()["entry"][0]["response"]["outcome"]["issue"][0]
        assert (stale.status_code, issue["code"]) == (412 if kind == "transaction" else 200, "conflict")
    taken = await admin.post(bundle(kind, entry("PUT", "Patient/p1", known("p1", "1"), ifNoneMatch="*")), "/fhir")
    assert taken.status_code == 412 if kind == "transaction" else statuses(taken) == ["412"]
    assert (await admin.get("/fhir/Patient/p1")).headers["etag"] == 'W/"1"'


@BOTH
@pytest.mark.parametrize("preference", ["", "minimal", "representation", "OperationOutcome"])
async def test_response_bundles_heed_prefer(admin: Client, kind: str, preference: str) -> None:
    await admin.put(patient("old"))
    sent = bundle(
        kind,
        entry("POST", "Patient", unnamed(patient("x"))),
        entry("DELETE", "Patient/old"),
        entry("PUT", "Patient/p", patient("p")),
    )
    made = (await admin.post(sent, "/fhir", **({"prefer": f"return={preference}"} if preference else {}))).json()
    created, deleted, updated = made["entry"]
    for written in (created, updated):
        assert ("resource" in written) == (preference == "representation")
        assert ("outcome" in written["response"]) == (preference == "OperationOutcome")
        assert written["response"]["location"] == f"{written['fullUrl']}/_history/1"
        assert written["response"]["etag"] == 'W/"1"'
        stored = (await admin.get(written["fullUrl"])).json()
        assert written["response"]["lastModified"][:19] == stored["meta"]["lastUpdated"][:19]
    assert deleted["response"]["status"][:3] in ("200", "204")
    assert "resource" not in deleted


async def test_a_transaction_is_done_in_the_order_of_the_specification(admin: Client) -> None:
    """DELETE before POST: the criteria of the create no longer find what the bundle deletes."""
    await admin.put(known("old", "1"))
    sent = bundle(
        "transaction",
        entry("GET", "Patient/old"),
        entry("POST", "Patient", unnamed(known("x", "1")), ifNoneExist="identifier=urn:x|1"),
        entry("DELETE", "Patient/old"),
    )
    assert statuses(await admin.post(sent, "/fhir")) == ["410", "201", "204"]


@pytest.mark.parametrize(
    "entries",
    [
        [entry("PUT", "Patient/p1", known("p1", "1")), entry("DELETE", "Patient/p1")],
        [entry("PATCH", "Patient/p1", json_patch()), entry("PUT", "Patient/p1", known("p1", "1"))],
        [entry("PUT", "Patient/p1", known("p1", "1")), entry("PUT", "Patient?identifier=urn:x|1", known("p1", "1"))],
        [entry("PATCH", "Patient/p1", json_patch()), entry("PATCH", "Patient?gender=male", json_patch())],
        [entry("DELETE", "Patient?identifier=urn:x|1"), entry("DELETE", "Patient?identifier=urn:x%7C1")],
        [entry("POST", "Patient", known("", "7"), ifNoneExist="identifier=urn:x|7") for _ in range(2)],
    ],
    ids=lambda entries: " ".join(f"{e['request']['method']} {e['request']['url']}" for e in entries),
)
async def test_one_identity_by_two_ways_is_refused_whole(admin: Client, entries: list[dict[str, Any]]) -> None:
    await admin.put(known("p1", "1"))
    answer = await admin.post(bundle("transaction", *(named_or_not(e) for e in entries)), "/fhir")
    assert (answer.status_code, answer.json()["issue"][0]["expression"]) == (400, ["Bundle.entry[1]"])
    assert (await admin.get("/fhir/Patient/p1")).headers["etag"] == 'W/"1"'
    assert (await admin.get("/fhir/Patient?_summary=count")).json()["total"] == 1


def named_or_not(made: dict[str, Any]) -> dict[str, Any]:
    return {**made, "resource": unnamed(made["resource"])} if made.get("resource", {}).get("id") == "" else made


@pytest.mark.parametrize(
    ("failing", "status", "where"),
    [
        (entry("PUT", "Patient/p2", patient("p9")), 400, "Bundle.entry[1].resource.id"),
        (entry("PUT", "Observation/p2", patient("p2")), 400, "Bundle.entry[1].resource"),
        (entry("POST", "Patient/p2", patient("p2")), 400, "Bundle.entry[1].request.url"),
        (entry("POST", "Patient/", patient("p2")), 400, "Bundle.entry[1].request.url"),
        (entry("PUT", "Patient", patient("p2")), 400, "Bundle.entry[1].request.url"),
        (entry("DELETE", "Patient"), 400, "Bundle.entry[1].request.url"),
        (entry("DELETE", "Nothing/1"), 400, "Bundle.entry[1].request.url"),
        (entry("GET", "http://elsewhere.example/fhir/Patient/1"), 400, "Bundle.entry[1].request.url"),
        (entry("OPTIONS", "Patient/1"), 400, "Bundle.entry[1].request.method"),
        (entry("POST", "Patient/$validate", patient("p2")), 400, "Bundle.entry[1].request.url"),
        (entry("POST", "Patient/_search"), 400, "Bundle.entry[1].request.url"),
        (entry("PATCH", "Patient/p1", patient("p1")), 400, "Bundle.entry[1].resource"),
        (entry("PATCH", "Patient/never", json_patch()), 404, "Bundle.entry[1]"),
        (entry("PATCH", "Patient?identifier=urn:x|9", json_patch()), 404, "Bundle.entry[1]"),
        (entry("PATCH", "Patient/p1", json_patch({"op": "remove", "path": "/photo"})), 422, "Bundle.entry[1].resource"),
        (entry("PATCH", "Patient/p1", {**json_patch(), "contentType": "text/plain"}), 400, "Bundle.entry[1].resource"),
        (entry("PATCH", "Patient/p1", fhirpath_patch("Patient.gender", "never")), 422, "Bundle.entry[1].resource"),
        (entry("PUT", "Patient?nonsense=1", patient("p2")), 400, "Bundle.entry[1]"),
        (entry("PUT", "Patient?gender=male", unnamed(patient("x"))), 412, "Bundle.entry[1]"),
        (entry("DELETE", "Patient?gender=male"), 412, "Bundle.entry[1]"),
        (entry("PUT", "Patient/p2", patient("p2"), ifMatch="two"), 400, "Bundle.entry[1]"),
        (
            entry("PUT", "Observation/o1", observation("o1", "x", subject={"reference": "Patient?gender=male"})),
            412,
            "Bundle.entry[1]",
        ),
        (
            entry("PUT", "Observation/o1", observation("o1", "x", subject={"reference": "Patient?nonsense=1"})),
            400,
            "Bundle.entry[1]",
        ),
    ],
    ids=lambda value: f"{value['request']['method']} {value['request']['url']}" if isinstance(value, dict) else None,
)
async def test_the_entry_that_fails_is_named_and_nothing_is_done(
    admin: Client, failing: dict[str, Any], status: int, where: str
) -> None:
    await admin.put(known("p1", "1"))
    await admin.put(known("p0", "0"))
    answer = await admin.post(bundle("transaction", entry("PUT", "Patient/new", patient("new")), failing), "/fhir")
    outcome = answer.json()
    assert (answer.status_code, outcome["resourceType"], len(outcome["issue"])) == (status, "OperationOutcome", 1), answer.text
    assert outcome["issue"][0]["expression"][0].startswith(where)
    assert (await admin.get("/fhir/Patient/new")).status_code == 404
    assert (await admin.get("/fhir/Patient/p1")).headers["etag"] == 'W/"1"'


async def test_a_batch_serves_what_is_served_alone(admin: Client) -> None:
    await admin.put(patient("p1"))
    sent = bundle(
        "batch",
        entry("GET", "metadata"),
        entry("GET", "Patient/p1/$everything"),
        entry("GET", "Patient/p1/_history/1"),
        entry("GET", "Patient?name=张三&_elements=gender"),
        entry("GET", "http://hub/fhir/Patient/p1"),
        entry("GET", "/Patient/p1"),
        entry("GET", "Patient?nonsense=1"),
        entry("POST", "Patient/p1"),
        entry("GET", "Patient/p1/$nothing"),
    )
    answer = await admin.post(sent, "/fhir")
    assert statuses(answer) == ["200"] * 6 + ["400", "405", "404"]
    types = [e["resource"]["resourceType"] for e in answer.json()["entry"][:6]]
    assert types == ["CapabilityStatement", "Bundle", "Patient", "Bundle", "Patient", "Patient"]
    assert all(e["response"]["outcome"]["issue"][0]["diagnostics"] for e in answer.json()["entry"][6:])
    lenient = await admin.post(bundle("batch", entry("GET", "Patient?nonsense=1")), "/fhir", prefer="handling=lenient")
    assert statuses(lenient) == ["200"]


async def test_every_link_into_the_bundle_follows_its_resource(admin: Client) -> None:
    """References anywhere, elements of type uri and url, the narrative; no canonical, no string. #trules"""
    asked = {"reference": URN}
    more: dict[str, Any] = {
        "text": {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><a href="{URN}">x</a> {URN}</div>'},
        "extension": [
            {"url": "urn:e", name: value}
            for name, value in {
                "valueReference": asked,
                "valueUri": URN,
                "valueUrl": URN,
                "valueCanonical": URN,
                "valueUuid": URN,
                "valueString": URN,
            }.items()
        ],
        "contained": [{"resourceType": "Specimen", "id": "s", "subject": asked}],
        "specimen": {"reference": "#s"},
        "performer": [{"reference": OID}],
    }
    sent = bundle(
        "transaction",
        entry("POST", "Patient", unnamed(patient("x")), URN),
        entry("POST", "Organization", {"resourceType": "Organization", "name": "x"}, OID),
        entry("PUT", "Observation/o1", observation("o1", "x", subject=asked, **more)),
        entry("PUT", "CarePlan/c1", care_plan("c1", URN)),
    )
    answer = await admin.post(sent, "/fhir")
    assert statuses(answer) == ["201"] * 4
    person, organization = (e["fullUrl"].removeprefix("http://hub/fhir/") for e in answer.json()["entry"][:2])
    stored = (await admin.get("/fhir/Observation/o1")).json()
    assert stored["text"]["div"] == more["text"]["div"].replace(f'"{URN}"', f'"{person}"')
    values = [next(value for name, value in each.items() if name != "url") for each in stored["extension"]]
    assert values == [{"reference": person}, person, person, URN, URN, URN]
    assert [stored["subject"], stored["contained"][0]["subject"]] == [{"reference": person}] * 2
    assert stored["performer"] == [{"reference": organization}]
    assert (await admin.get("/fhir/CarePlan/c1")).json()["instantiatesUri"] == ["urn:other", person]


def care_plan(id: str, instantiated: str) -> dict[str, Any]:
    plan = {"resourceType": "CarePlan", "id": id, "status": "active", "intent": "plan", "subject": {"reference": instantiated}}
    return {**plan, "instantiatesUri": ["urn:other", instantiated]}


async def test_references_are_read_as_the_entrys_own_server_would(admin: Client) -> None:
    """https://hl7.org/fhir/R4/bundle.html#references"""
    stated = ["Patient/7", "http://other/fhir/Patient/7", "Patient/7/_history/3", "http://other/fhir/Patient/7/_history/3"]
    results = [
        entry(
            "POST", "Observation", unnamed(observation("x", "x", subject={"reference": each})), f"http://other/fhir/Observation/{n}"
        )
        for n, each in enumerate(stated)
    ]
    stays = entry("POST", "Observation", unnamed(observation("x", "7")), f"{URN[:-1]}b")
    sent = bundle("transaction", *results, stays, entry("POST", "Patient", unnamed(patient("x")), "http://other/fhir/Patient/7"))
    answer = await admin.post(sent, "/fhir", prefer="return=representation")
    *resources, stayed, person = (e["resource"] for e in answer.json()["entry"])
    assert [each["subject"]["reference"] for each in resources] == [f"Patient/{person['id']}"] * 4
    assert stayed["subject"]["reference"] == "Patient/7"


async def test_a_patch_may_refer_to_what_the_bundle_creates(admin: Client) -> None:
    await admin.put(observation("o1", "x", subject=None) | {"subject": {"display": "?"}})
    value = {"name": "value", "valueReference": {"reference": URN}}
    parts = [{"name": "type", "valueCode": "replace"}, {"name": "path", "valueString": "Observation.subject"}, value]
    change = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": parts}]}
    sent = bundle("transaction", entry("PATCH", "Observation/o1", change), entry("POST", "Patient", unnamed(patient("x")), URN))
    made = await admin.post(sent, "/fhir")
    assert statuses(made) == ["200", "201"]
    stored = (await admin.get("/fhir/Observation/o1")).json()
    assert made.json()["entry"][1]["fullUrl"].endswith(stored["subject"]["reference"])
    await admin.put(known("p1", "1"))
    named = [{"reference": URN}, {"reference": "Patient?identifier=urn:x|1"}]
    change = json_patch(
        {"op": "add", "path": "/performer", "value": named[:1]}, {"op": "add", "path": "/focus", "value": named[1:]}
    )
    organization = entry("POST", "Organization", {"resourceType": "Organization", "name": "x"}, URN)
    made = await admin.post(bundle("transaction", entry("PATCH", "Observation/o1", change), organization), "/fhir")
    assert statuses(made) == ["200", "201"]
    stored = (await admin.get("/fhir/Observation/o1")).json()
    assert made.json()["entry"][1]["fullUrl"].endswith(stored["performer"][0]["reference"])
    assert stored["focus"] == [{"reference": "Patient/p1"}]


@BOTH
async def test_a_condition_that_an_entry_would_not_heed_is_refused(admin: Client, kind: str) -> None:
    wrong = [
        entry("PUT", "Patient/p", patient("p"), ifNoneExist="identifier=urn:x|1"),
        entry("DELETE", "Patient/p", ifNoneExist="identifier=urn:x|1"),
        entry("POST", "Patient", unnamed(patient("p")), ifMatch='W/"1"'),
        entry("POST", "Patient", unnamed(patient("p")), ifNoneMatch="*"),
        entry("PATCH", "Patient/p", json_patch(), ifMatch="one"),
    ]
    for each in wrong:
        answer = await admin.post(bundle(kind, each), "/fhir")
        status = answer.json()["entry"][0]["response"]["status"][:3] if kind == "batch" else str(answer.status_code)
        assert status == "400", answer.text
    assert (await admin.get("/fhir/Patient?_summary=count")).json()["total"] == 0


async def test_an_entrys_answer_is_fhir_whatever_it_asked_for(admin: Client) -> None:
    await admin.put(patient("p1"))
    asked = [entry("GET", "Patient/p1?_format=xml"), entry("GET", "Patient/p1/$graphql?query={id}&_format=json")]
    for accept in ("application/fhir+json", "application/fhir+xml"):
        answer = await admin.post(bundle("batch", *asked), "/fhir", accept=accept)
        assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, accept)
    one, other = (e["resource"] for e in (await admin.post(bundle("batch", *asked), "/fhir")).json()["entry"])
    assert (one["id"], other["resourceType"], other["contentType"]) == ("p1", "Binary", "application/json")
    assert json.loads(base64.b64decode(other["data"])) == {"data": {"id": "p1"}}


async def test_a_strangers_patient_is_named_by_its_entry(hub: Served) -> None:
    await hub.client("clinician", "CTY").put(patient("c"))
    sent = [
        entry("POST", "Observation", unnamed(observation("x", "x", subject={"reference": URN}))),
        entry("PUT", "Observation/o", observation("o", "c")),
        entry("POST", "Patient", unnamed(patient("x")), URN),
    ]
    answer = await hub.client("clinician", "TWN").post(bundle("transaction", *sent), "/fhir")
    assert (answer.status_code, answer.json()["issue"][0]["expression"]) == (422, ["Bundle.entry[1]"])


async def test_a_search_parameter_that_a_transaction_writes_is_known_at_once(admin: Client) -> None:
    definition = {
        "resourceType": "SearchParameter",
        "id": "hair",
        "url": "urn:search:hair",
        "name": "hair",
        "status": "active",
        "description": "x",
        "code": "hair",
        "base": ["Patient"],
        "type": "string",
        "expression": "Patient.extension.where(url='urn:hair').value",
    }
    asked = entry("GET", "Patient?hair=black")
    made = await admin.post(bundle("transaction", entry("PUT", "SearchParameter/hair", definition), asked), "/fhir")
    answer = made.json()["entry"][1]["response"]
    assert answer["status"] == "200 OK" or "being built" in answer["outcome"]["issue"][0]["diagnostics"]
    gone = await admin.post(bundle("transaction", entry("DELETE", "SearchParameter/hair"), asked), "/fhir")
    assert "has no search parameter" in gone.json()["entry"][1]["response"]["outcome"]["issue"][0]["diagnostics"]


async def test_batches_of_two_facilities_stay_apart(hub: Served) -> None:
    county, town = hub.client("clinician", "CTY"), hub.client("clinician", "TWN")
    await county.put(known("c", "1"))
    sent = bundle(
        "batch",
        entry("GET", "Patient/c"),
        entry("PATCH", "Patient/c", json_patch()),
        entry("DELETE", "Patient?identifier=urn:x|1"),
        entry("GET", "Patient?_id=c"),
    )
    answer = await town.post(sent, "/fhir")
    assert statuses(answer) == ["404", "404", "204", "200"]
    assert "entry" not in answer.json()["entry"][3]["resource"]
    assert (await county.get("/fhir/Patient/c")).status_code == 200
