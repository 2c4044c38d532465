"""What somebody tries who means to see more than they may: each way by itself, and what the person is told of it afterwards."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from hub.app import create_app, open_hub
from tests.hub.api.county import FHIR, bundle, encounter, entry, observation, patient
from tests.hub.bulk.exports import exported
from tests.hub.security.persons import (
    CLOSED,
    COUNTY,
    HER,
    HIV,
    NAME,
    NUMBER,
    PERMISSION,
    PLAIN,
    WHY,
    Site,
    filled,
    parameters,
    records,
    signed_in,
    told,
)
from tests.hub.security.probes import BY_NUMBER, SIGN, VISIT, hook
from tests.hub.web.county import NOW

pytestmark = pytest.mark.anyio

HOUR = 3_600_000


class Clock:
    """The hub's, moved by hand: UTC ms."""

    def __init__(self) -> None:
        self.now = int(NOW.timestamp() * 1000)

    def __call__(self) -> int:
        return self.now


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory, clock: Clock) -> AsyncIterator[Site]:
    hub = open_hub(tmp_path_factory.mktemp("attacks") / "data", COUNTY, clock=clock)
    yield await filled(hub, create_app(hub))
    hub.close()


async def hooked(site: Site, who: str, body: dict[str, Any]) -> httpx.Response:
    text = json.dumps(body).replace("{her}", "c-p")
    return await site.clients[who].http.post(SIGN, content=text, headers={"content-type": "application/json"})


async def seen(site: Site, who: str) -> frozenset[str]:
    return told(await site.clients[who].get("/fhir/Observation?patient=c-p&_count=100"))


async def prompted(site: Site) -> tuple[str, str]:
    """The uuid and the ticket of a prompt of the county hospital."""
    (card,) = (await hooked(site, "doctor", hook("order-sign"))).json()["cards"]
    page = next(link["url"] for link in card["links"] if "/embed/prompt/" in link["url"])
    return card["uuid"], page.partition("ticket=")[2]


async def test_a_stranger_at_order_time_learns_nothing_by_what_is_prefetched(site: Site) -> None:
    """The patient's number in the prefetch, an id of ours, a number that might be the own one: all of them nobody."""
    her = {"resourceType": "Patient", "id": "c-p", **HER}
    for body in (
        hook("order-sign"),
        hook("order-sign", patient="c-p", encounter=VISIT),
        hook("order-sign", "89365-1"),
        {**hook("order-sign", patient="0012345"), "prefetch": {"patient": her, "encounter": {**VISIT, "id": "c-e"}}},
    ):
        answer = await hooked(site, "stranger", body)
        assert (answer.status_code, answer.json()) == (200, {"cards": []})
    stated = {"patient": "c-p", "id_number": NUMBER, "items": ["2823-3"], "visit": "c-e"}
    asked = await site.clients["stranger"].http.post("/recognition/ask", json=stated)
    assert asked.json() == {"known": False, "answers": []}
    elsewhere = await site.clients["stranger"].http.post("/recognition/ask", json={**stated, "orderer": "Organization/CTY"})
    assert told(elsewhere) == frozenset()


async def test_a_prompt_is_its_orderers_alone(site: Site) -> None:
    uuid, ticket = await prompted(site)
    before = (await site.clients["admin"].get(f"/fhir/Task?identifier=urn:uuid:{uuid}")).json()["entry"][0]["resource"]
    for who in ("stranger", "village", "town", "emergency", "permitted"):
        client = site.clients[who].http
        assert (await client.get(f"/recognition/prompt/{uuid}")).status_code == 404, who
        for decision in ({"decision": "recognise"}, {"decision": "repeat", "reason": "R02"}):
            assert (await client.post("/recognition/decide", json={"prompt": uuid, **decision})).status_code == 404, who
        await client.post(f"{SIGN}/feedback", json={"feedback": [{"card": uuid, "outcome": "accepted"}]})
        await client.put(f"/fhir/Task/{before['id']}", json={**before, "status": "completed"}, headers=FHIR)
    after = (await site.clients["admin"].get(f"/fhir/Task?identifier=urn:uuid:{uuid}")).json()["entry"][0]["resource"]
    assert after["meta"]["versionId"] == before["meta"]["versionId"]
    nobody = httpx.AsyncClient(transport=site.served.transport, base_url="http://hub")
    payload, _, signature = ticket.partition(".")
    other = "00000000-0000-5000-8000-000000000000"
    for address in (
        f"{uuid}",
        f"{uuid}?ticket=",
        f"{uuid}?ticket={payload}.{signature[::-1]}",
        f"{uuid}?ticket={payload[:-4]}AAAA.{signature}",
        f"{other}?ticket={ticket}",
    ):
        answer = await nobody.get(f"/embed/prompt/{address}")
        assert answer.status_code in (401, 403, 404), address
        assert not told(answer)


async def test_a_prompt_on_a_closed_result_is_as_closed_as_it(site: Site) -> None:
    """Else the item of the Task would tell of the result."""
    result = next(each for each in records("c", 1) if each["id"] == "c-o")
    result |= {
        "id": "c-sodium",
        "meta": {"security": [HIV]},
        "code": {"coding": [{"system": "http://loinc.org", "code": "2951-2"}]},
    }
    result["valueQuantity"] |= {"value": 140}
    for limits in result["referenceRange"]:
        limits |= {"low": {"value": 135, "unit": "mmol/L"}, "high": {"value": 145, "unit": "mmol/L"}, "text": "135-145"}
    put = await site.clients["doctor"].put(result)
    assert put.status_code == 201, put.text
    (card,) = (await hooked(site, "doctor", hook("order-sign", "2951-2"))).json()["cards"]
    task = f"/fhir/Task?identifier=urn:uuid:{card['uuid']}"
    for who, many in (("doctor", 1), ("resident", 1), ("village", 0), ("permitted", 0), ("emergency", 0)):
        assert (await site.clients[who].get(task)).json()["total"] == many, who
        cards = (await hooked(site, who, hook("order-sign", "2951-2"))).json().get("cards", [])
        assert who in ("doctor", "resident") or cards == []
    assert (await site.clients["doctor"].delete("/fhir/Observation/c-sodium")).status_code == 204


async def test_nobody_gives_themselves_a_permission(site: Site) -> None:
    """A clinician writes down no permission for the own facility; least of all one that names a label."""
    doctor = site.clients["doctor"]
    for provision in (
        {"actor": [{"role": {"text": "x"}, "reference": {"reference": "Organization/CTY"}}], "securityLabel": [HIV]},
        {
            "type": "permit",
            "provision": [{"type": "permit", "actor": [{"role": {"text": "x"}, "reference": {"reference": "Organization/CTY"}}]}],
        },
    ):
        own = {**PERMISSION, "id": "c-forged", "patient": {"reference": "Patient/c-p"}, "provision": provision}
        assert (await doctor.put(own)).status_code == 403
        assert (await doctor.post(bundle("transaction", entry("POST", "Consent", {**own, "id": ""})), "/fhir")).status_code in (
            400,
            403,
            422,
        )
    unverified = {
        **PERMISSION,
        "id": "c-unverified",
        "patient": {"reference": "Patient/c-p"},
        "verification": [{"verified": False}],
    }
    assert (await doctor.put(unverified)).status_code == 201, "it opens nothing"
    stranger = site.clients["stranger"]
    for resource in (
        encounter("f-e", "c-p"),
        {**PERMISSION, "id": "f-c", "patient": {"reference": "Patient/c-p"}},
        patient("f-p", link=[{"other": {"reference": "Patient/c-p"}, "type": "seealso"}]),
        observation("f-o", "t-p"),
    ):
        assert (await stranger.put(resource)).status_code in (403, 404, 422), resource["resourceType"]
    assert await seen(site, "stranger") == frozenset()
    assert await seen(site, "doctor") == PLAIN | {"c-h"}


async def test_breaking_the_glass_takes_a_reason_and_ends(site: Site, clock: Clock) -> None:
    stranger = site.clients["stranger"]
    blank, wide = " " * 40, "\u3000" * 40
    for reason, text in (
        *(("emergency", text) for text in ("", blank, wide, "急", "x" * 501)),
        *((reason, WHY["text"]) for reason in ("", " ", "curious")),
    ):
        answer = await stranger.post(parameters(reason=reason, text=text), "/fhir/Patient/c-p/$break-glass")
        assert answer.status_code in (400, 422), (reason, text)
    assert (await stranger.post(parameters(reason="emergency"), "/fhir/Patient/c-p/$break-glass")).status_code == 400
    assert await seen(site, "stranger") == frozenset()
    assert await seen(site, "emergency") == PLAIN, "and nothing that a label closes"
    clock.now += 24 * HOUR - 1
    assert await seen(site, "emergency") == PLAIN
    clock.now += 1
    assert await seen(site, "emergency") == frozenset()
    again = await site.clients["emergency"].post(parameters(**WHY), "/fhir/Patient/c-p/$break-glass")
    assert again.status_code == 200
    assert await seen(site, "emergency") == PLAIN


async def test_an_emergency_is_told_to_the_person_and_to_the_county_alone_and_is_reviewed_once(site: Site, clock: Clock) -> None:
    waiting = "/fhir/Task?code=break-glass-review&status=requested&_sort=-authored-on"
    for who in ("stranger", "emergency", "doctor", "village", "permitted", "neighbour"):
        assert (await site.clients[who].get(waiting)).json()["total"] == 0, who
    task = (await site.clients["resident"].get(waiting)).json()["entry"][0]["resource"]
    where = f"/fhir/Task/{task['id']}/$review"
    good = parameters(finding="unjustified", text="没有急诊记录，与当事人核实无诊疗关系")
    for who in ("emergency", "doctor", "reader", "bureau", "it", "resident"):
        assert (await site.clients[who].post(good, where)).status_code in (403, 404), who
    admin = site.clients["admin"]
    for wrong in (
        parameters(finding="fine", text=WHY["text"]),
        parameters(finding="justified", text="短"),
        parameters(finding="justified"),
    ):
        assert (await admin.post(wrong, where)).status_code == 400
    assert (await admin.post(good, "/fhir/Task/c-asks/$review")).status_code == 409
    reviewed = await admin.post(good, where)
    assert reviewed.status_code == 200, reviewed.text
    assert reviewed.json()["status"] == "rejected"
    assert reviewed.json()["note"][0]["authorString"] == "admin"
    assert await seen(site, "emergency") == frozenset(), "it ends at once"
    assert (await admin.post(good, where)).status_code == 409
    log = (await site.clients["resident"].get("/fhir/Patient/t-p/$access-log?_count=1000")).json()["entry"]
    assert any("unjustified" in str(each["resource"].get("purposeOfEvent")) for each in log)


async def test_the_person_sees_who_looked_and_who_was_refused(site: Site) -> None:
    await site.clients["stranger"].get("/fhir/Observation/c-o")
    await site.clients["stranger"].get("/fhir/Patient/c-p")
    await site.clients["stranger"].get("/fhir/Condition?patient=c-p")
    await site.clients["reader"].post(parameters(**WHY), "/fhir/Patient/c-p/$break-glass")
    assert await exported(site.clients["permitted"], "/fhir/Patient/$export?_type=Observation")
    log = (await site.clients["resident"].get("/fhir/Patient/t-p/$access-log?_count=1000")).json()["entry"]
    looks = {(each["resource"]["agent"][0]["name"], each["resource"]["subtype"][0]["code"], each["resource"]["outcome"],
              each["resource"]["agent"][0]["purposeOfUse"][0]["coding"][0]["code"]) for each in log}  # fmt: skip
    assert ("stranger", "read", "4", "TREAT") in looks
    assert ("stranger", "search-type", "0", "TREAT") in looks
    assert ("emergency", "search-type", "0", "BTG") in looks, "what was looked at meanwhile is marked"
    assert ("doctor", "search-type", "0", "TREAT") in looks
    assert ("permitted", "operation", "0", "TREAT") in looks, "what left by an export is a look too"
    assert any(name == "reader" and outcome == "4" and purpose == "BTG" for name, _, outcome, purpose in looks)


async def test_a_token_that_is_revoked_ends_what_was_begun_with_it(site: Site) -> None:
    """A session, a ticket, a page of a search."""
    tokens = site.served.hub.tokens
    token = tokens.create("leaving", "clinician", "CTY")
    client = site.served.bearer(token)
    following = (await client.get("/fhir/Observation?_count=1")).json()["link"]
    following = next(link["url"] for link in following if link["relation"] == "next")
    (card,) = (await client.http.post(SIGN, content=json.dumps(hook("order-sign")).replace("{her}", "c-p"))).json()["cards"]
    page = next(link["url"] for link in card["links"] if "/embed/prompt/" in link["url"])
    browser, _ = await signed_in(site.served, token)
    assert (await browser.get("/p/c-p")).status_code == 200
    assert (await browser.get(page)).status_code == 200
    tokens.revoke(next(info.id for info in tokens.list() if info.name == "leaving"))
    assert (await client.get(following)).status_code == 401
    assert (await browser.get("/p/c-p")).status_code == 303
    assert (await browser.get(page)).status_code == 401
    assert (await client.get(f"/fhir/Patient?{BY_NUMBER}")).status_code == 401


async def test_a_resident_asks_for_nobody_else(site: Site) -> None:
    """And changes nothing, not even what is said of their own record."""
    for who, id in (("neighbour", "c-p"), ("resident", "other")):
        client = site.clients[who]
        for path in (f"Patient/{id}", f"Patient/{id}/$everything", f"Patient/{id}/$summary", f"Patient/{id}/$access-log"):
            assert (await client.get(f"/fhir/{path}")).status_code == 404, (who, path)
        assert (await client.get(f"/fhir/Observation?patient={id}&_total=accurate")).json()["total"] == 0
        assert (await client.put(patient("mine"))).status_code == 403
        assert (await client.put({**PERMISSION, "id": "mine"})).status_code == 403
    found = await site.clients["neighbour"].get(f"/fhir/Patient?{BY_NUMBER}&_total=accurate")
    assert found.json()["total"] == 0
    assert NAME not in found.text


async def test_what_the_person_decided_holds_from_that_moment(site: Site) -> None:
    """A denial with an exception, a permission that is withdrawn, and one that ends."""
    system = site.served.client("system", "TWN", "authorisation")
    actor = [{"role": {"text": "x"}, "reference": {"reference": "Organization/VIL"}}]
    deny = {**PERMISSION, "id": "t-denies", "provision": {"type": "deny", "provision": [{"type": "permit", "actor": actor}]}}
    assert (await system.put(deny)).status_code == 201
    assert await seen(site, "doctor") == {"c-o", "c-h"}, "what it recorded itself"
    assert await seen(site, "remote") == frozenset()
    assert await seen(site, "village") == PLAIN | {"v-h"}, "the exception"
    assert await seen(site, "resident") == PLAIN | CLOSED
    assert await seen(site, "permitted") == PLAIN, "a permission by name outranks a denial of everyone"
    assert (await system.put({**PERMISSION, "status": "inactive"})).status_code == 200
    assert await seen(site, "permitted") == frozenset()
    assert (await system.delete("/fhir/Consent/t-denies")).status_code == 204
    assert await seen(site, "doctor") == PLAIN | {"c-h"}
    over = {**PERMISSION, "id": "t-over", "provision": {**PERMISSION["provision"], "period": {"end": "2026-03-09"}}}
    assert (await system.put(over)).status_code == 201
    assert await seen(site, "permitted") == frozenset()
