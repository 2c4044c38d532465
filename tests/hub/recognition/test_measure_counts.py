"""The measures of two hundred seeded events, on both stores, beside a count that knows nothing of the program's."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta

import httpx
import pytest

from hub.app import create_app, open_hub
from hub.keep import keep
from hub.settings import County

FACILITIES, ITEMS = ("CTY", "TWP"), {"L0101": 300, "L0201": 500}  # code → the demonstration's price, in fen
LOINC = {"L0101": "2823-3", "L0201": "14682-9", "": "0000-0"}
REASONS = ("R01", "R02", "R06", "R12")
BORDERS = ("2026-02-28T15:59:59Z", "2026-02-28T16:00:00Z", "2026-03-31T15:59:59Z", "2026-03-31T16:00:00Z")
FIRST, LAST = "2026-03-01", "2026-03-31"
COUNTY = County.model_validate({"facility": [{"code": code, "name": code, "community": "yt"} for code in FACILITIES]})
SYSTEM = {"decision": "urn:hub:recognition-decision", "reason": "urn:hub:repeat-reason"}


def local(stated):
    """The county's day, by hand: eight hours after UTC."""
    return (
        (datetime.fromisoformat(stated.replace("Z", "+00:00")) + timedelta(hours=8)).date()
        if "T" in stated
        else date.fromisoformat(stated)
    )


def moments(chance, count):
    start = datetime(2026, 2, 20, tzinfo=UTC)
    drawn = (start + timedelta(minutes=chance.randrange(60 * 24 * 50)) for _ in range(count))
    return [*BORDERS, *(f"{at:%Y-%m-%dT%H:%M:%S}Z" for at in drawn)]


def prompted(chance):
    """(facility, item, when, what became of it, reason, saved, days until it lapsed)."""
    for at in moments(chance, 120):
        item = chance.choice(list(ITEMS))
        fate = chance.choice(("recognised", "refused", "open", "lapsed", "recognised too late"))
        saved = ITEMS[item] if fate == "recognised" else 0
        yield chance.choice(FACILITIES), item, at, fate, chance.choice(REASONS), saved, chance.choice((0, 0, 3))


def task(number, event):
    facility, item, at, fate, reason, saved, days = event
    stated = {
        "resourceType": "Task",
        "id": f"{facility}-{number}",
        "status": "completed" if fate.startswith(("recog", "refus")) else "requested",
        "intent": "proposal",
        "code": {"coding": [{"system": "urn:hub:tag", "code": "recognition-decision"}]},
        "authoredOn": at,
        "lastModified": f"{datetime.fromisoformat(at.replace('Z', '+00:00')) + timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}",
        "input": [typed("item", "valueCoding", {"code": item}), typed("orderer", "valueCode", facility)],
    }
    if fate == "lapsed":
        stated["businessStatus"] = {"coding": [{"system": SYSTEM["decision"], "code": "lapsed"}], "text": "mark-lapsed"}
    if stated["status"] == "completed":
        decision = "refused" if fate == "refused" else "recognised"
        stated["output"] = [
            typed("decision", "valueCodeableConcept", coded("decision", decision)),
            typed("saved-fen", "valueInteger", saved),
        ]
        stated["output"] += [typed("reason", "valueCodeableConcept", coded("reason", reason))] if fate == "refused" else []
    return facility, stated


def typed(name, key, value):
    return {"type": {"text": name}, key: value}


def coded(kind, code):
    return {"coding": [{"system": SYSTEM[kind], "code": code}]}


def placed(chance):
    """(facility, item, when, status, person)."""
    for at in [*moments(chance, 70), "2026-03-01", "2026-03-31", "2026-04-01", "2026-02-28"]:
        status = chance.choice(("active", "active", "completed", "revoked", "entered-in-error"))
        yield chance.choice(FACILITIES), chance.choice(list(LOINC)), at, status, chance.randrange(12)


def order(number, event):
    facility, item, at, status, person = event
    return facility, {
        "resourceType": "ServiceRequest",
        "id": f"order-{number}",
        "status": status,
        "intent": "order",
        "code": {"coding": [{"system": "http://loinc.org", "code": LOINC[item]}]},
        "subject": {"reference": f"Patient/person-{person}"},
        "authoredOn": at,
    }


PROMPTS, ORDERS = list(prompted(random.Random(11))), list(placed(random.Random(12)))


@pytest.fixture(scope="module", params=["sqlite", "mongodb"])
def ask(request, tmp_path_factory):
    records = [task(*each) for each in enumerate(PROMPTS)] + [order(*each) for each in enumerate(ORDERS)]
    now = int(datetime(2026, 4, 20, tzinfo=UTC).timestamp() * 1000)
    with ExitStack() as stack:
        store = stack.enter_context(request.getfixturevalue("mongodb").address()) if request.param == "mongodb" else ""
        hub = open_hub(tmp_path_factory.mktemp("counts"), COUNTY, clock=lambda: now, store=store)
        stack.callback(hub.close)
        app, token = create_app(hub), hub.tokens.create("office", "admin", "")

        def save(transaction):
            for facility, resource in records:
                keep(transaction, resource, id=resource["id"], facility=facility, now=now, policy=COUNTY.policy)

        hub.store.write(save).result()

        async def get(measure, first, last):
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://hub.test") as http:
                query = f"periodStart={first}&periodEnd={last}"
                headers = {"authorization": f"Bearer {token}"}
                answer = await http.get(f"/fhir/Measure/{measure}/$evaluate-measure?{query}", headers=headers)
            assert answer.status_code == 200, answer.text
            return answer.json()["group"][0]

        yield lambda measure, first=FIRST, last=LAST: asyncio.run(get(measure, first, last))


def within(at, first=FIRST, last=LAST):
    return first <= local(at).isoformat() <= last


def counts_of(group):
    return {each["code"]["coding"][0]["code"]: each["count"] for each in group["population"]}


def strata(group, name):
    found = next((each["stratum"] for each in group["stratifier"] if each["code"][0]["text"] == name), [])
    return {(each["value"].get("text") or each["value"]["coding"][0]["code"]): counts_of(each) for each in found}


def test_prompts_refusals_and_money(ask):
    march = [each for each in PROMPTS if within(each[2])]
    gone = [each for each in march if each[3] == "lapsed" and each[6] == 0]  # before anybody could answer
    left = [each for each in march if each not in gone]
    recognised = [each for each in left if each[3].startswith("recognised")]
    refused = [each for each in left if each[3] == "refused"]
    assert len(gone) > 5
    assert any(each[3] == "lapsed" for each in left)  # these were unanswered when the visit ended
    rate = ask("recognition-rate")
    assert counts_of(rate) == {"numerator": len(recognised), "denominator": len(left), "denominator-exclusion": len(gone)}
    assert rate["measureScore"]["value"] == round(len(recognised) / len(left), 4)
    for place, name in enumerate(("facility", "item")):
        by = {value: [each for each in left if each[place] == value] for value in {each[place] for each in left}}
        told = {value: (found["numerator"], found["denominator"]) for value, found in strata(rate, name).items()}
        assert told == {value: (sum(e[3].startswith("recognised") for e in every), len(every)) for value, every in by.items()}
    refusals = ask("recognition-refusals")
    assert counts_of(refusals)["numerator"] == len(refused)
    assert {code: found["numerator"] for code, found in strata(refusals, "reason").items()} == Counter(each[4] for each in refused)
    assert counts_of(ask("recognition-saved")) == {"numerator": sum(each[5] for each in recognised)}
    assert counts_of(ask("recognition-prompts")) == {"numerator": len(left)}


def test_a_month_ends_at_the_countys_midnight(ask):
    told = strata(ask("recognition-prompts", "2026-02-01", "2026-04-30"), "month")
    gone = [each for each in PROMPTS if each[3] == "lapsed" and each[6] == 0]
    by_month = Counter(local(each[2]).isoformat()[:7] for each in PROMPTS if each not in gone)
    assert {month: found["numerator"] for month, found in told.items()} == by_month


def test_repeats(ask):
    windows = {"L0101": 7, "L0201": 30}
    days = defaultdict(list)
    for _, item, at, status, person in ORDERS:
        if item and status in ("active", "completed"):
            days[person, item].append(local(at))
    every = [(item, sorted(found)) for (_, item), found in days.items()]
    march = [
        (item, earlier, day)
        for item, found in every
        for earlier, day in zip([None, *found], found, strict=False)
        if within(day.isoformat())
    ]
    again = sum(earlier is not None and (day - earlier).days <= windows[item] for item, earlier, day in march)
    withdrawn = sum(1 for _, item, at, status, _ in ORDERS if item and status == "revoked" and within(at))
    assert again
    assert counts_of(ask("recognition-repeats")) == {
        "numerator": again,
        "denominator": len(march),
        "denominator-exclusion": withdrawn,
    }
