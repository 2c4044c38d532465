"""Topics after the R5 backport: handshake, events in Bundles, three contents, heartbeats, and what was missed asked for."""

from __future__ import annotations

import pytest

from hub.subscriptions.accept import CONTENT, FILTER, HEARTBEAT, MOST
from hub.subscriptions.topics import topics
from profiles.names import ID_CARD
from tests.hub.api.county import encounter, observation, patient
from tests.hub.subscriptions.receiver import becomes, subscription

pytestmark = pytest.mark.anyio


def about(topic, endpoint, *filters, content="full-resource", most=0, heartbeat=0):
    made = subscription("T", endpoint, f"urn:hub:topic:{topic}")
    made["channel"]["_payload"] = {"extension": [{"url": CONTENT, "valueCode": content}]}
    extensions = [{"url": MOST, "valuePositiveInt": most}] if most else []
    extensions += [{"url": HEARTBEAT, "valueUnsignedInt": heartbeat}] if heartbeat else []
    if extensions:
        made["channel"]["extension"] = extensions
    if filters:
        made["_criteria"] = {"extension": [{"url": FILTER, "valueString": each} for each in filters]}
    return made


def said(bundle):
    """The status: parameter → value, and the numbers and focus of its events."""
    parameters = bundle["entry"][0]["resource"]["parameter"]
    values = {each["name"]: next((v for k, v in each.items() if k.startswith("value")), None) for each in parameters}
    events = [
        {part["name"]: next(v for k, v in part.items() if k.startswith("value")) for part in each["part"]}
        for each in parameters
        if each["name"] == "notification-event"
    ]
    return values, events


async def told(receiver, count):
    """The first events, however they were put together."""

    def events():
        found = [event for call in receiver.of("/hook") for event in said(call.json)[1]]
        return found if len(found) >= count else None

    return await becomes(events)


def report(id, status="final", **more):
    return {
        "resourceType": "DiagnosticReport",
        "id": id,
        "status": status,
        "code": {"text": "CT"},
        "subject": {"reference": "Patient/P"},
        **more,
    }


async def test_handshake_then_events_in_batches(hub, receiver):
    client = hub.client("clinician", "CTY")
    answers = iter([500])
    receiver.answer = lambda _: (next(answers, 200), {})
    made = await client.put(about("report-final", receiver.url(), most=2))
    assert made.status_code == 201, made.text
    await client.put(patient("P"))
    for number in range(3):
        await client.put(report(f"r{number}"))
    await client.put(report("draft", "preliminary"))
    calls = await receiver.hears(2)
    assert [said(call.json)[0]["type"] for call in calls[:2]] == ["handshake", "handshake"]

    async def all_told():
        return sum(len(said(call.json)[1]) for call in receiver.of("/hook")) >= 3

    await becomes(all_told)
    told = [said(call.json) for call in receiver.of("/hook")[2:]]
    assert [event["event-number"] for _, events in told for event in events] == ["1", "2", "3"]
    assert all(len(events) <= 2 and values["type"] == "event-notification" for values, events in told)
    assert told[-1][0]["events-since-subscription-start"] == "3"
    bundle = receiver.of("/hook")[2].json
    assert bundle["type"] == "history"
    assert bundle["entry"][1]["resource"]["id"] == "r0"
    assert (await client.get("/fhir/Subscription/T")).json()["status"] == "active"


@pytest.mark.parametrize(("content", "focus", "resources"), [("empty", False, 0), ("id-only", True, 0), ("full-resource", True, 1)])
async def test_the_content_says_how_much_is_told(hub, receiver, content, focus, resources):
    client = hub.client("clinician", "CTY")
    await client.put(about("report-final", receiver.url(), content=content))
    await client.put(patient("P"))
    await client.put(report("R"))
    call = (await receiver.hears(2))[1]
    _, (event,) = said(call.json)
    assert ("focus" in event) is focus
    assert sum("resource" in each for each in call.json["entry"][1:]) == resources
    assert (b"DiagnosticReport/R" in call.body) is focus


async def test_an_encounter_starts_and_ends_once_each(hub, receiver):
    client = hub.client("clinician", "CTY")
    await client.put(patient("P"))
    await client.put(about("encounter-end", receiver.url(), "Encounter?class=AMB", "patient=P"))
    await client.put(encounter("E", "P"))
    await client.put(encounter("E", "P", status="finished"))
    await client.put(encounter("E", "P", status="finished", period={"start": "2024-01-01"}))
    await client.put(patient("Q"))
    await client.put(encounter("of-another", "Q", status="finished"))
    await client.put(encounter("E2", "P", status="finished"))
    assert [event["focus"]["reference"] for event in await told(receiver, 2)] == ["Encounter/E", "Encounter/E2"]


async def test_a_critical_result_is_told_and_a_normal_one_is_not(hub, receiver):
    client = hub.client("clinician", "CTY")
    made = await client.put(about("lab-critical", receiver.url()))
    assert made.status_code == 201, made.text
    await client.put(patient("P"))
    for id, code in (("normal", "N"), ("critical", "HH")):
        coding = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation", "code": code}
        await client.put(observation(id, "P", interpretation=[{"coding": [coding]}]))
    calls = await receiver.hears(2)
    assert [event["focus"]["reference"] for event in said(calls[1].json)[1]] == ["Observation/critical"]


async def test_linked_patients_are_told_of(hub, receiver):
    admin = hub.client("admin")
    await admin.put(about("patient-linked", receiver.url()))
    card = {"system": ID_CARD, "value": "11010519491231002X"}
    for id, facility in (("a", "CTY"), ("b", "TWN")):
        one = patient(id, identifier=[card], birthDate="1949-12-31", name=[{"text": "张三"}])
        await admin.put({**one, "meta": {"tag": [{"system": "urn:hub:facility", "code": facility}]}})
    event = (await told(receiver, 1))[0]
    assert event["focus"]["reference"] == f"Patient/{hub.hub.store.person_of('a')}"


async def test_what_was_missed_can_be_asked_for(hub, receiver):
    client = hub.client("clinician", "CTY")
    await client.put(about("report-final", receiver.url(), content="id-only"))
    await client.put(patient("P"))
    for number in range(4):
        await client.put(report(f"r{number}"))
    path = "/fhir/Subscription/T/$events?eventsSinceNumber=2&untilNumber=3&content=full-resource"
    missed = (await client.get(path)).json()
    values, events = said(missed)
    assert values["type"] == "query-event"
    assert [event["event-number"] for event in events] == ["2", "3"]
    assert [each["resource"]["id"] for each in missed["entry"][1:]] == ["r1", "r2"]
    for path in ("Subscription/T/$status", "Subscription/$status?id=T", "Subscription/$status"):
        found = (await client.get(f"/fhir/{path}")).json()
        assert (found["total"], said(found)[0]["events-since-subscription-start"]) == (1, "4")
    assert (await hub.client("clinician", "TWN").get("/fhir/Subscription/T/$events")).status_code == 404
    assert (await hub.client("clinician", "TWN").get("/fhir/Subscription/T/$status")).status_code == 404


async def test_metadata_lists_topics_operations_and_the_websocket(hub):
    rest = (await hub.bearer("").get("/fhir/metadata")).json()["rest"][0]
    assert rest["extension"][0]["valueUri"] == "ws://hub/fhir/$websocket"
    offered = next(each for each in rest["resource"] if each["type"] == "Subscription")
    assert "urn:hub:topic:report-final" in [each["valueCanonical"] for each in offered["extension"]]
    assert {each["name"] for each in offered["operation"]} >= {"status", "events", "get-ws-binding-token"}


@pytest.mark.parametrize("filters", [("DiagnosticReport?_content=x",), ("Observation?code=1",), ("DiagnosticReport?nonsense=1",)])
async def test_a_topic_is_filtered_only_by_what_it_offers(hub, receiver, filters):
    answer = await hub.client("clinician", "CTY").put(about("report-final", receiver.url(), *filters))
    assert answer.status_code == 400, answer.text


@pytest.mark.parametrize("topic", sorted(topics()))
async def test_every_topic_on_offer_can_be_subscribed_to(hub, receiver, topic):
    made = await hub.client("admin").put(about(topic.removeprefix("urn:hub:topic:"), receiver.url()))
    assert made.status_code == 201, made.text
    (call,) = await receiver.hears(1)
    assert said(call.json)[0] | {"subscription": None} == {
        "subscription": None,
        "topic": topic,
        "status": "requested",
        "type": "handshake",
        "events-since-subscription-start": "0",
    }
