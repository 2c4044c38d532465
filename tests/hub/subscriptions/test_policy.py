"""A subscription tells its owner nothing that a read would not, its secrets nobody, and ends with the token it belongs to."""

from __future__ import annotations

import pytest

from tests.hub.api.county import encounter, observation, patient
from tests.hub.subscriptions.receiver import becomes, subscription

pytestmark = pytest.mark.anyio
SECRET = "Bearer of-the-receiver"


async def test_events_about_persons_of_others_begin_with_the_treatment(hub, receiver):
    county, township = hub.client("clinician", "CTY"), hub.client("clinician", "TWN")
    await township.put(subscription("S", receiver.url()))
    await county.put(subscription("own", receiver.url("/own")))
    person = [{"system": "http://hospital.example/id", "value": "1"}]
    await county.put(patient("P", identifier=person))
    await county.put(observation("before", "P"))
    await receiver.hears(1, "/own")
    assert receiver.of("/hook") == []

    admin = hub.client("admin")
    tagged = {"meta": {"tag": [{"system": "urn:hub:facility", "code": "TWN"}]}}
    assert (await admin.put(encounter("E", "P", **tagged))).status_code == 201
    await county.put(observation("after", "P"))
    (call,) = await receiver.hears(1)
    assert (call.json["id"], call.number) == ("after", 1)
    assert [each.json["id"] for each in await receiver.hears(2, "/own")] == ["before", "after"]


async def test_a_revoked_token_ends_its_subscription(hub, receiver):
    client, admin = hub.client("clinician", "CTY", name="leaving"), hub.client("admin")
    await client.put(subscription("S", receiver.url()))
    await client.put(patient("P"))
    await client.put(observation("O", "P"))
    await receiver.hears(1)
    other = hub.client("clinician", "CTY")
    hub.hub.tokens.revoke(next(each.id for each in hub.hub.tokens.list() if each.name == "leaving"))
    await other.put(observation("O2", "P"))

    async def ended():
        return (await admin.get("/fhir/Subscription/S")).json()["status"] == "error"

    await becomes(ended)
    assert "token" in (await admin.get("/fhir/Subscription/S")).json()["error"]
    assert len(receiver.of("/hook")) == 1


async def test_headers_are_sent_and_never_shown(hub, receiver, caplog):
    client = hub.client("clinician", "CTY")
    made = await client.put(subscription("S", receiver.url(), header=[f"Authorization: {SECRET}"]))
    assert made.json()["channel"]["header"] == ["Authorization: ********"]
    await client.put(patient("P"))
    await client.put(observation("O", "P"))
    (call,) = await receiver.hears(1)
    assert call.headers["authorization"] == SECRET
    for path in ("Subscription/S", "Subscription/S/_history", "Subscription", "Subscription/S/$status", "Subscription/S/$events"):
        answer = await hub.client("admin").get(f"/fhir/{path}")
        assert answer.status_code == 200, answer.text
        assert SECRET not in answer.text
    assert SECRET not in caplog.text

    kept = (await client.get("/fhir/Subscription/S")).json()
    assert (await client.put({**kept, "reason": "another"})).status_code == 200
    await client.put(observation("O2", "P"))
    assert (await receiver.hears(2))[1].headers["authorization"] == SECRET


async def test_a_masked_header_does_not_follow_to_another_endpoint_or_owner(hub, receiver):
    client = hub.client("clinician", "CTY")
    await client.put(subscription("S", receiver.url(), header=[f"Authorization: {SECRET}"]))
    masked = ["Authorization: ********"]
    moved = await client.put(subscription("S", receiver.url("/thief"), header=masked))
    taken = await hub.client("clinician", "CTY").put(subscription("S", receiver.url(), header=masked))
    assert (moved.status_code, taken.status_code) == (422, 422)


async def test_who_may_write_one_and_who_may_see_it(hub, receiver):
    client = hub.client("clinician", "CTY")
    await client.put(subscription("S", receiver.url()))
    assert (await hub.client("clinician", "TWN").get("/fhir/Subscription/S")).status_code == 404
    assert (await hub.client("reader", "CTY").put(subscription("R", receiver.url()))).status_code == 403
    assert (await hub.client("it").put(subscription("R", receiver.url()))).status_code == 403
    assert (await hub.client("reader", "CTY").get("/fhir/Subscription/S")).status_code == 404


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"criteria": "Observation?nonsense=1"}, 400),
        ({"criteria": "AuditEvent?"}, 400),
        ({"criteria": "Observation?code:in=http://county.example/none"}, 422),
        ({"criteria": "Patient?_list=none"}, 422),
        ({"criteria": "Observation?_sort=date"}, 400),
        ({"criteria": "urn:hub:topic:none"}, 422),
        ({"status": "error"}, 422),
        ({"channel": {"type": "email", "endpoint": "mailto:a@b.example"}}, 422),
        ({"channel": {"type": "rest-hook"}}, 422),
        ({"channel": {"type": "rest-hook", "endpoint": "http://10.1.2.3/"}}, 422),
        ({"channel": {"type": "rest-hook", "endpoint": "https://a:b@x.example/"}}, 422),
        ({"channel": {"type": "rest-hook", "endpoint": "https://x.example/", "payload": "text/csv"}}, 422),
        ({"channel": {"type": "rest-hook", "endpoint": "https://x.example/", "header": ["Host: y.example"]}}, 422),
        ({"channel": {"type": "rest-hook", "endpoint": "https://x.example/", "header": ["A: b\r\nC: d"]}}, 422),
    ],
)
async def test_what_could_not_work_is_refused_when_it_is_written(hub, change, status):
    client = hub.client("clinician", "CTY")
    answer = await client.put({**subscription("S", "https://x.example/"), **change})
    assert answer.status_code == status, answer.text
    assert answer.json()["resourceType"] == "OperationOutcome"
