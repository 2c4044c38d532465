"""Nothing is lost and nothing overtakes: failing receivers, what they ask, and when the hub gives up."""

from __future__ import annotations

import itertools

import pytest

from hub.subscriptions.status import subscriptions_status
from tests.hub.api.county import observation, patient, served
from tests.hub.subscriptions.receiver import OUTWARD, SETTINGS, becomes, subscription

pytestmark = pytest.mark.anyio


async def state(client, id):
    return (await client.get(f"/fhir/Subscription/{id}")).json()["status"]


async def observed(client, count, first=0):
    await client.put(patient("P"))
    for number in range(first, first + count):
        assert (await client.put(observation(f"o{number}", "P"))).status_code == 201


async def test_a_receiver_that_fails_and_recovers_hears_everything_in_order_and_the_other_one_waits_for_nobody(hub, receiver):
    turns = itertools.count()
    receiver.answer = lambda call: (503 if call.path == "/hook" and next(turns) < 4 else 200, {})
    client = hub.client("clinician", "CTY")
    await client.put(subscription("S", receiver.url()))
    await client.put(subscription("T", receiver.url("/other")))
    await observed(client, 5)
    other = await receiver.hears(5, "/other")
    assert [call.number for call in other] == [1, 2, 3, 4, 5]
    calls = await receiver.hears(9)
    assert [call.number for call in calls] == [1, 1, 1, 1, 1, 2, 3, 4, 5]


async def test_a_receiver_that_is_gone_switches_the_subscription_off(hub, receiver):
    receiver.answer = lambda _: (410, {})
    client = hub.client("clinician", "CTY")
    await client.put(subscription("S", receiver.url()))
    await observed(client, 2)
    await becomes(lambda: _is(client, "S", "off"))
    found = (await client.get("/fhir/Subscription/S")).json()
    assert found["error"] == "the endpoint is gone (410)"
    await observed(client, 1, first=5)
    assert len(receiver.of("/hook")) == 1


async def test_after_the_longest_time_of_failing_it_is_an_error_and_goes_on_where_it_stopped(tmp_path, store, receiver):
    county = OUTWARD.model_copy(
        update={"subscriptions": OUTWARD.subscriptions.model_validate({**SETTINGS, "give_up_hours": 0.3 / 3600})}
    )
    receiver.answer = lambda _: (500, {})
    async with served(tmp_path / "data", county, store=store) as hub:
        client = hub.client("clinician", "CTY")
        await client.put(subscription("S", receiver.url()))
        await observed(client, 3)
        await becomes(lambda: _is(client, "S", "error"))
        assert (await client.get("/fhir/Subscription/S")).json()["error"].endswith("HTTP 500")
        await observed(client, 1, first=3)
        failed = len(receiver.of("/hook"))
        receiver.answer = lambda _: (200, {})
        assert (await client.put(subscription("S", receiver.url()))).status_code == 200
        calls = await receiver.hears(failed + 4)
        assert [call.number for call in calls[failed:]] == [1, 2, 3, 4]


async def test_redirects_are_not_followed_and_retry_after_is_kept_to(hub, receiver):
    answers = iter([(302, {"location": receiver.url("/elsewhere")}), (429, {"retry-after": "1"})])
    receiver.answer = lambda _: next(answers, (200, {}))
    client = hub.client("clinician", "CTY")
    await client.put(subscription("S", receiver.url()))
    await observed(client, 1)
    calls = await receiver.hears(3)
    assert [call.number for call in calls] == [1, 1, 1]
    assert receiver.of("/elsewhere") == []


async def test_what_waited_while_the_hub_was_down_is_delivered_when_it_is_back(tmp_path, store, receiver):
    receiver.answer = lambda _: (503, {})
    async with served(tmp_path / "data", OUTWARD, store=store) as hub:
        client = hub.client("clinician", "CTY")
        await client.put(subscription("S", receiver.url()))
        await observed(client, 3)
        await receiver.hears(1)
    receiver.answer = lambda _: (200, {})
    failed = len(receiver.of("/hook"))
    async with served(tmp_path / "data", OUTWARD, store=store):
        calls = await receiver.hears(failed + 3)
    assert [call.number for call in calls[failed:]] == [1, 2, 3]


async def test_a_deleted_subscription_hears_nothing_and_one_of_the_same_name_begins_anew(hub, receiver):
    client = hub.client("clinician", "CTY")
    await client.put(subscription("S", receiver.url()))
    await observed(client, 1)
    await receiver.hears(1)
    await client.delete("/fhir/Subscription/S")
    await observed(client, 1, first=1)
    await client.put(subscription("S", receiver.url("/new")))
    await observed(client, 1, first=2)
    (call,) = await receiver.hears(1, "/new")
    assert call.json["id"] == "o2"
    assert len(receiver.of("/hook")) == 1


async def test_the_end_switches_it_off(hub, receiver):
    client = hub.client("clinician", "CTY")
    await client.put({**subscription("S", receiver.url()), "end": "2020-01-01T00:00:00Z"})
    await becomes(lambda: _is(client, "S", "off"))


async def _is(client, id, status):
    return await state(client, id) == status


async def test_what_waits_and_why_is_told_without_an_address(hub, receiver):
    receiver.answer = lambda _: (503, {})
    client = hub.client("clinician", "CTY")
    await client.put(subscription("S", receiver.url("/hook?key=of-the-receiver")))
    await observed(client, 3)
    await receiver.hears(2, "/hook?key=of-the-receiver")
    (told,) = subscriptions_status(hub.hub.store)
    assert (told["pending"], told["problem"], told["status"], told["failures"] > 0) == (3, "HTTP 503", "active", True)
    assert "127.0.0.1" not in str(told)
    assert "of-the-receiver" not in str(told)
