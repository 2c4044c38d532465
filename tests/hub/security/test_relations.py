"""Who only registered a person sees nothing of others; a visit opens the person's record, and its end closes it."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from mappers.identity_keys import resource_id
from profiles.names import ID_CARD
from tests.hub.api.county import Client, Served, bundle, encounter, entry, observation, patient
from tests.hub.bulk.exports import waited

pytestmark = pytest.mark.anyio

NUMBER = [{"system": ID_CARD, "value": "110101199003078515"}]
SECRETS = ("绝密路9号", "13911112222", "LOCAL77", "secret-code", '"id":"a1"', '"id":"o1"')
ROUTES = (
    "Patient/{golden}",
    "Patient/{golden}/_history",
    "Patient/{golden}/_history/1",
    "Patient/a1",
    "Patient/a1/_history",
    "Observation/o1",
    "Observation/o1/_history/1",
    "Patient/{golden}/$everything",
    "Patient/t1/$everything",
    "Observation?patient={golden}",
    "Observation?patient=t1",
    "Observation?subject=Patient/a1&_include=Observation:subject",
    "Patient?_id=t1,a1,{golden}",
    "Patient?_id=t1&_revinclude=Observation:subject",
    "Patient?link=Patient/t1",
    "Patient?phone=13911112222",
    "Patient?_tag=urn:hub:tag|golden",
    "Observation?code=secret-code&_total=accurate",
    "Patient/t1/$recognizable-results?code=1",
    "Patient/{golden}/$recognizable-results?code=1",
)
OPENS = ("Patient/{golden}", "Observation/o1", "Patient/{golden}/$everything", "Patient/t1/$everything")
OPENS += ("Observation?patient={golden}", "Observation?patient=t1", "Observation?code=secret-code&_total=accurate")


@pytest.fixture
async def golden(hub: Served) -> str:
    """One person at both facilities, with a result at CTY; TWN has registered her and no more."""
    county, town = hub.client("clinician", "CTY"), hub.client("clinician", "TWN")
    told = {"telecom": [{"system": "phone", "value": "13911112222"}], "address": [{"text": "绝密路9号"}]}
    local = {"system": "urn:hub:CTY:patient", "value": "LOCAL77"}
    assert (await county.put(patient("a1", birthDate="1990-03-07", identifier=[*NUMBER, local], **told))).status_code == 201
    assert (await county.put(observation("o1", "a1", code={"coding": [{"code": "secret-code"}]}))).status_code == 201
    assert (await town.put(patient("t1", birthDate="1990-03-07", identifier=NUMBER))).status_code == 201
    assert hub.hub.store.person_of("t1") == hub.hub.store.person_of("a1") != "t1"
    return hub.hub.store.person_of("t1")


async def told(client: Client, route: str, golden: str) -> list[str]:
    answer = await client.get(f"/fhir/{route.format(golden=golden)}")
    assert answer.status_code in (200, 404), answer.text
    body = answer.json()
    body.pop("link" if "link" in body and body["resourceType"] == "Bundle" else "", None)  # the self link says what was asked
    shown = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return [secret for secret in SECRETS if secret in shown]


@pytest.mark.parametrize("role", ["clinician", "reader", "system", "it"])
async def test_registering_a_person_shows_nothing_of_others(hub: Served, golden: str, role: Any) -> None:
    client = hub.client(role, "TWN")
    routes = ROUTES if role != "it" else [route for route in ROUTES if "?" not in route]
    assert {route: found for route in routes if (found := await told(client, route, golden))} == {}


async def test_a_hidden_id_tells_not_whom_it_is_linked_to(hub: Served, golden: str) -> None:
    town = hub.client("clinician", "TWN")
    assert (await town.put(observation("own", "t1"))).status_code == 201
    for route in ("Observation?patient={}&_total=accurate", "Patient/{}/$recognizable-results?code=1", "Patient/{}/$everything"):
        foreign, unknown = [await town.get("/fhir/" + route.format(id)) for id in ("a1", "zz")]
        assert content(foreign, "a1") == content(unknown, "zz")


def content(answer: httpx.Response, id: str) -> tuple[int, Any]:
    body = answer.json()
    return answer.status_code, [e["resource"] for e in body.get("entry", [])] or body.get("issue") or body["total"]


@pytest.mark.parametrize("closing", ["finished", "cancelled", "entered-in-error", "deleted", "of-another"])
async def test_a_visit_opens_the_record_and_its_end_closes_it(hub: Served, golden: str, closing: str) -> None:
    town = hub.client("clinician", "TWN")
    assert (await town.put(encounter("te", "t1"))).status_code == 201
    assert [route for route in OPENS if not await told(town, route, golden)] == []
    if closing == "deleted":
        assert (await town.delete("/fhir/Encounter/te")).status_code == 204
    elif closing == "of-another":
        assert (await town.put(patient("t2"))).status_code == 201
        assert (await town.put(encounter("te", "t2"))).status_code == 200
    else:
        past = {"start": "2019-01-01", "end": "2019-01-02"}
        assert (await town.put(encounter("te", "t1", status=closing, period=past))).status_code == 200
    assert [route for route in ROUTES if await told(town, route, golden)] == []


async def test_nobody_takes_an_id_that_another_facilitys_system_will_be_given(hub: Served) -> None:
    """Ids are derived from local numbers: whoever guesses the next number must not have opened the record beforehand."""
    town, county = hub.client("clinician", "TWN"), hub.client("clinician", "CTY")
    known, next_one = (resource_id("Patient", "CTY", number) for number in ("900001", "900002"))
    system = hub.client("system")
    tag = {"tag": [{"system": "urn:hub:facility", "code": "CTY"}]}
    assert (await system.put(patient(known, meta=tag))).status_code == 201
    taken, free = [await town.put(patient(id)) for id in (known, next_one)]
    assert (taken.status_code, taken.content) == (404, free.content)
    assert free.status_code == 404
    assert (await county.put(patient(known, active=True))).status_code == 200
    assert (await town.put({"resourceType": "Binary", "id": "a" * 64, "contentType": "text/plain"})).status_code == 404
    made = (await town.post(patient("x"))).json()
    assert (await town.put(patient(made["id"], active=True))).status_code == 200
    assert (await town.delete(f"/fhir/Patient/{made['id']}")).status_code == 204
    assert (await town.put(patient(made["id"]))).status_code == 201, "one's own may come back"


async def test_who_treats_a_person_learns_not_who_else_looked(hub: Served, golden: str) -> None:
    town, county = hub.client("clinician", "TWN"), hub.client("clinician", "CTY", "doctor of CTY")
    assert (await town.put(encounter("te", "t1"))).status_code == 201
    assert (await county.get("/fhir/Patient/a1")).status_code == 200
    assert "doctor of CTY" in (await hub.client("admin").get("/fhir/AuditEvent?_count=1000")).text
    seen = (await hub.client("admin", "TWN").get("/fhir/AuditEvent?_count=1000")).text
    assert "CTY" not in seen
    assert "Patient/t1" in seen


async def test_a_link_to_a_strangers_patient_opens_nothing_however_it_is_written(hub: Served) -> None:
    """Who is replaced by a stranger would be one person with the stranger, and a visit of the one would open the other's record."""
    county, town = hub.client("clinician", "CTY"), hub.client("clinician", "TWN")
    for client, resource in (
        (county, patient("a1")),
        (county, observation("o1", "a1")),
        (town, patient("t1")),
        (town, patient("t2")),
    ):
        assert (await client.put(resource)).status_code == 201
    link = [{"other": {"reference": "Patient/a1"}, "type": "replaced-by"}]
    stranger = patient("t1", active=False, link=link)
    operations = [{"op": "add", "path": "/active", "value": False}, {"op": "add", "path": "/link", "value": link}]
    refused = [
        await town.put(stranger),
        await town.post(stranger),
        await town.patch("/fhir/Patient/t1", operations),
        await town.post(bundle("transaction", entry("PUT", "Patient/t1", stranger)), "/fhir"),
    ]
    assert [answer.status_code for answer in refused] == [422] * 4
    lines = {"content": json.dumps(stranger), "headers": {"content-type": "application/fhir+ndjson"}}
    job = await waited(town, (await town.http.post("/fhir/$import", **lines)).headers["content-location"])
    assert (job.json()["updated"], job.json()["refused"]) == (0, 1)
    assert (await town.put(encounter("te", "t1"))).status_code == 201
    assert (await town.get("/fhir/Observation/o1")).status_code == 404
    own = patient("t1", active=False, link=[{"other": {"reference": "Patient/t2"}, "type": "replaced-by"}])
    assert (await town.put(own)).status_code == 200


async def test_a_doubt_whether_two_are_one_is_for_those_who_see_both(hub: Served, admin: Client) -> None:
    county, town = hub.client("clinician", "CTY"), hub.client("clinician", "TWN")
    assert (await county.put(patient("b1", birthDate="1990-03-07"))).status_code == 201
    assert (await town.put(patient("a0", birthDate="1990-03-07"))).status_code == 201
    assert (await town.put(encounter("te", "a0"))).status_code == 201
    totals = [(await client.get("/fhir/Task?_total=accurate")).json()["total"] for client in (admin, county, town)]
    assert totals == [1, 0, 0]
