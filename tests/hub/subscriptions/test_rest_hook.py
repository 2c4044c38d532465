"""R4's rest-hook: what matches is posted, in order, once it was acknowledged not again. https://hl7.org/fhir/R4/subscription.html"""

from __future__ import annotations

import pytest

from hub import fhir_xml
from tests.hub.api.county import bundle, entry, observation, patient
from tests.hub.subscriptions.receiver import becomes, subscription

pytestmark = pytest.mark.anyio


async def active(client, id):
    async def look():
        return (await client.get(f"/fhir/Subscription/{id}")).json()["status"] == "active"

    await becomes(look)


async def test_a_requested_subscription_becomes_active_and_hears_of_what_matches(hub, receiver):
    client = hub.client("clinician", "CTY")
    made = await client.put(subscription("S", receiver.url()))
    assert made.status_code == 201, made.text
    assert made.json()["status"] == "requested"
    await active(client, "S")
    history = (await client.get("/fhir/Subscription/S/_history")).json()
    assert [each["resource"]["status"] for each in history["entry"]] == ["active", "requested"]

    await client.put(patient("P"))
    await client.put(observation("other", "P", code={"coding": [{"system": "http://loinc.org", "code": "718-7"}]}))
    await client.put(observation("O", "P"))
    await client.put(observation("O", "P", status="amended"))
    first, second = await receiver.hears(2)
    assert (first.number, second.number) == (1, 2)
    assert first.headers["content-type"] == "application/fhir+json;charset=UTF-8"
    assert [(call.json["id"], call.json["status"], call.json["meta"]["versionId"]) for call in (first, second)] == [
        ("O", "final", "1"),
        ("O", "amended", "2"),
    ]


async def test_without_a_payload_the_call_is_empty_and_with_xml_it_is_xml(hub, receiver):
    client = hub.client("clinician", "CTY")
    await client.put(subscription("empty", receiver.url("/empty"), payload=None))
    await client.put(subscription("xml", receiver.url("/xml"), payload="application/fhir+xml"))
    await client.put(patient("P"))
    await client.put(observation("O", "P"))
    (empty,) = await receiver.hears(1, "/empty")
    assert (empty.body, empty.headers["x-event-number"]) == (b"", "1")
    (xml,) = await receiver.hears(1, "/xml")
    assert fhir_xml.parse(xml.body)["id"] == "O"


async def test_everything_in_one_transaction_is_heard_and_what_failed_is_not(hub, receiver):
    client = hub.client("clinician", "CTY")
    await client.put(subscription("S", receiver.url()))
    await client.put(patient("P"))
    entries = [entry("PUT", f"Observation/o{n}", observation(f"o{n}", "P")) for n in range(20)]
    broken = bundle("transaction", *entries[:5], entry("PUT", "Observation/x", observation("x", "stranger")))
    assert (await client.post(broken, "/fhir")).status_code == 422
    assert (await client.post(bundle("transaction", *entries), "/fhir")).status_code == 200
    calls = await receiver.hears(20)
    assert [call.number for call in calls] == list(range(1, 21))
    assert {call.json["id"] for call in calls} == {f"o{n}" for n in range(20)}


@pytest.mark.parametrize(
    ("criteria", "matching"),
    [
        ("Observation?subject:Patient.gender=female", "of-her"),
        ("Observation?patient=her", "of-her"),
        ("Observation?subject=Patient/him&status=final", "of-him"),
        ("Observation?_has:DiagnosticReport:result:status=final", ""),
    ],
)
async def test_criteria_that_other_resources_decide(hub, receiver, criteria, matching):
    client = hub.client("clinician", "CTY")
    await client.put(subscription("S", receiver.url(), criteria))
    await client.put(subscription("all", receiver.url("/all"), "Observation?"))
    await client.put(patient("her", gender="female"))
    await client.put(patient("him"))
    await client.put(observation("of-her", "her"))
    await client.put(observation("of-him", "him"))
    await receiver.hears(2, "/all")
    if matching:
        (call,) = await receiver.hears(1)
        assert call.json["id"] == matching
    assert len(receiver.of("/hook")) == bool(matching)
