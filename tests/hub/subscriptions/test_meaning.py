"""Criteria that stand for something else: value sets, hierarchies of codes, Lists, and search parameters of the county's own."""

from __future__ import annotations

import itertools

import pytest

from tests.hub.api.county import observation, patient
from tests.hub.api.test_search_parameters import answered, definition, nation
from tests.hub.subscriptions.receiver import becomes, subscription

pytestmark = pytest.mark.anyio

SYSTEM = "http://county.example/codes"
CODES = {
    "resourceType": "CodeSystem",
    "id": "codes",
    "url": SYSTEM,
    "status": "active",
    "content": "complete",
    "hierarchyMeaning": "is-a",
    "concept": [{"code": "blood", "concept": [{"code": "glucose"}, {"code": "lactate"}]}, {"code": "urine"}],
}


def value_set(*codes):
    include = {"system": SYSTEM, "concept": [{"code": code} for code in codes]}
    url = "http://county.example/watched"
    return {"resourceType": "ValueSet", "id": "watched", "url": url, "status": "active", "compose": {"include": [include]}}


def result(id, code, about="P"):
    return observation(id, about, code={"coding": [{"system": SYSTEM, "code": code}]})


def on_list(*ids):
    entries = [{"item": {"reference": f"Patient/{id}"}} for id in ids]
    return {"resourceType": "List", "id": "L", "status": "current", "mode": "working", "entry": entries}


async def put(client, *resources):
    for each in resources:
        answer = await client.put(each)
        assert answer.status_code in (200, 201), answer.text


async def test_value_sets_and_hierarchies_are_kept_up_with(hub, receiver):
    admin = hub.client("admin")
    await put(admin, CODES, value_set("glucose"), patient("P"))
    await put(admin, subscription("in", receiver.url("/in"), "Observation?code:in=http://county.example/watched"))
    await put(admin, subscription("not", receiver.url("/not"), "Observation?code:not-in=http://county.example/watched"))
    await put(admin, subscription("below", receiver.url("/below"), f"Observation?code:below={SYSTEM}|blood"))
    await put(admin, result("g", "glucose"), result("l", "lactate"), result("u", "urine"))
    for path, ids in (("/in", ["g"]), ("/not", ["l", "u"]), ("/below", ["g", "l"])):
        assert [call.json["id"] for call in await receiver.hears(len(ids), path)] == ids

    await put(admin, value_set("urine"))

    numbers = itertools.count()

    async def noticed():
        await put(admin, result(f"u{next(numbers)}", "urine"))
        return len(receiver.of("/in")) > 1

    await becomes(noticed)
    assert receiver.of("/in")[1].json["code"]["coding"][0]["code"] == "urine"


async def test_those_on_a_list(hub, receiver):
    admin = hub.client("admin")
    await put(admin, patient("a"), patient("b"), on_list("a"))
    await put(admin, subscription("S", receiver.url(), "Patient?_list=L"))
    await put(admin, patient("b", gender="female"), patient("a", gender="female"))
    assert [call.json["id"] for call in await receiver.hears(1)] == ["a"]
    foreign = subscription("T", receiver.url(), "Patient?_list=L")
    assert (await hub.client("clinician", "TWN").put(foreign)).status_code == 422


async def test_search_parameters_of_ones_own(hub, receiver):
    admin = hub.client("admin")
    await put(admin, definition())
    await answered(admin, "/fhir/Patient?nation=yi")
    await put(admin, subscription("S", receiver.url(), "Patient?nation=yi"))
    await put(admin, nation("han", "han"), nation("yi", "yi"))
    assert [call.json["id"] for call in await receiver.hears(1)] == ["yi"]
    await admin.delete("/fhir/SearchParameter/nation")

    async def ended():
        return (await admin.get("/fhir/Subscription/S")).json()["status"] == "error"

    await becomes(ended)
    assert "not understood any more" in (await admin.get("/fhir/Subscription/S")).json()["error"]
