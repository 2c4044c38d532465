"""Two doctors, a village doctor, a reader, a bureau user and a resident over what reads records of one person, on both stores.

One person at three facilities. The county hospital treats her now; the town's health centre once registered her; the village clinic
signed a contract with her; another hospital knows nothing. Each of them has recorded something ordinary and something closed by a
label. The table says who sees whose records; every route must say the same, in its matches, totals, includes and history.
test_every_route.py asks at all the others.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from hub.settings import County
from profiles.names import ID_CARD
from tests.hub.api.county import Client, Served, bundle, encounter, entry, observation, patient, served
from tests.mongod import Server

pytestmark = pytest.mark.anyio

CODES = ("CTY", "TWN", "VIL", "FAR")
COUNTY = County.model_validate({"name": "县", "facility": [{"code": code, "name": f"机构{code}"} for code in CODES]})
NUMBER = [{"system": ID_CARD, "value": "110101199003078515"}]
HER = {"birthDate": "1990-03-07", "gender": "female", "identifier": NUMBER, "name": [{"text": "王小芳"}]}
HIV = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "HIV"}
LABORATORY = [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}]}]
FOREIGN_IDS = ("{golden}", "c-p", "v-p")
PLAIN, CLOSED = "o", "h"  # observation c-o, closed observation c-h …
OWN = {"CTY": "c", "TWN": "t", "VIL": "v"}
ALL_PLAIN = {f"{prefix}-{PLAIN}" for prefix in OWN.values()}
ALL_CLOSED = {f"{prefix}-{CLOSED}" for prefix in OWN.values()}
WHO: dict[str, set[str]] = {
    "doctor": ALL_PLAIN | {"c-h"},  # of the county hospital, which treats her
    "village": ALL_PLAIN | {"v-h"},  # by the contract
    "town": {"t-o", "t-h"},  # registered her once: its own records alone
    "stranger": set(),
    "reader": ALL_PLAIN,  # a reading doctor is not of the treating team
    "bureau": set(),
    "it": set(),
    "resident": ALL_PLAIN | ALL_CLOSED,
    "neighbour": set(),  # another resident
    "admin": ALL_PLAIN | ALL_CLOSED,
}
ROUTES = (
    "Observation?_count=100&_total=accurate",
    "Observation?patient={golden}&_total=accurate",
    "Observation?patient=t-p&_summary=count",
    "Observation?_security=http://terminology.hl7.org/CodeSystem/v3-ActCode|HIV&_total=accurate",
    "Observation?code=http://loinc.org|89365-1",
    "Observation?subject.name=王小芳",
    "Patient?_has:Observation:patient:_security=HIV",
    "Patient?_id=c-p,t-p,v-p&_revinclude=Observation:subject",
    "DiagnosticReport?_include=DiagnosticReport:result",
    "Observation/_history?_count=100",
    "Patient/c-p/$everything?_type=Observation",
    "Patient/{golden}/$everything?_type=Observation",
    "Patient/v-p/$summary",
    "Patient/c-p/Observation",
    "Observation/$lastn?patient=c-p&max=100",
    *(f"Observation/{prefix}-{kind}{tail}" for prefix in "ctv" for kind in "oh" for tail in ("", "/_history", "/_history/1")),
)


def records(prefix: str) -> Iterator[dict[str, Any]]:
    """Of one facility: an ordinary result, one that a label closes, one that its code closes, and a report on all of them."""
    her = f"{prefix}-p"
    yield patient(her, **HER)
    told = {"category": LABORATORY, "effectiveDateTime": "2026-01-01"}
    yield observation(f"{prefix}-{PLAIN}", her, **told, method={"text": prefix})
    code = {"coding": [{"system": "http://loinc.org", "code": "89365-1"}]}
    closed = observation(f"{prefix}-{CLOSED}", her, **told, code=code, valueString="阳性-secret", method={"text": prefix})
    yield {**closed, "meta": {"security": [HIV]}} if prefix == "c" else closed
    results = [{"reference": f"Observation/{prefix}-{kind}"} for kind in "oh"]
    report = {"status": "final", "code": {"text": "血"}, "subject": {"reference": f"Patient/{her}"}, "result": results}
    yield {"resourceType": "DiagnosticReport", "id": f"{prefix}-r", **report}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module", params=["sqlite", "mongo"])
async def county(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder: Path = tmp_path_factory.mktemp("who") / "data"
    if request.param == "sqlite":
        async with served(folder, COUNTY) as hub:
            yield await filled(hub)
        return
    server: Server = request.getfixturevalue("mongodb")
    with server.address() as address:
        async with served(folder, COUNTY, store=address) as hub:
            yield await filled(hub)


async def filled(hub: Served) -> Served:
    for code, prefix in OWN.items():
        client = hub.client("system", code)
        for resource in records(prefix):
            assert (await client.put(resource)).status_code == 201
    now = {"subject": {"reference": "Patient/c-p"}}
    assert (await hub.client("clinician", "CTY").put(encounter("c-e", "c-p", **now))).is_success
    contract = {"resourceType": "EpisodeOfCare", "id": "v-c", "status": "active", "patient": {"reference": "Patient/v-p"}}
    assert (await hub.client("clinician", "VIL").put(contract)).is_success
    assert (await hub.client("admin").put(patient("other"))).is_success
    return hub


def clients(hub: Served) -> dict[str, Client]:
    resident = hub.hub.tokens.create("她", "resident", patient="t-p")
    neighbour = hub.hub.tokens.create("他", "resident", patient="other")
    return {
        "doctor": hub.client("clinician", "CTY"),
        "village": hub.client("clinician", "VIL"),
        "town": hub.client("clinician", "TWN"),
        "stranger": hub.client("clinician", "FAR"),
        "reader": hub.client("reader", "CTY"),
        "bureau": hub.client("bureau"),
        "it": hub.client("it", "CTY"),
        "resident": hub.bearer(resident),
        "neighbour": hub.bearer(neighbour),
        "admin": hub.client("admin"),
    }


def told(body: str) -> set[str]:
    """Observations whose content an answer holds, by "id"; a reference in somebody's report is no content."""
    return set(re.findall(r'"id":\s*"([ctv]-[oh])"', body))


def restated(route: str, seen: set[str]) -> set[str]:
    """What of it this route is about."""
    if found := re.match(r"Observation/([ctv]-[oh])", route):
        return seen & {found[1]}
    if "_security" in route and "_has" not in route:
        return seen & {"c-h"}  # the others are closed by their code
    if "89365-1" in route:
        return seen & ALL_CLOSED
    return set() if "_summary=count" in route or "_has" in route else seen


@pytest.mark.parametrize("who", list(WHO))
async def test_every_route_shows_exactly_what_the_table_says(county: Served, who: str) -> None:
    client, seen = clients(county)[who], WHO[who]
    golden = county.hub.store.person_of("c-p")
    for route in ROUTES:
        answer = await client.get(f"/fhir/{route.format(golden=golden)}")
        assert answer.status_code in (200, 400, 403, 404), (route, answer.text)
        expected = restated(route, seen)
        assert told(answer.text) <= expected, (route, who)
        assert seen & ALL_CLOSED or "secret" not in answer.text, (route, who)
        if who == "town" and any(name in route for name in FOREIGN_IDS):
            continue  # it asks by an id that it may not see, and is told of no link to its own
        if answer.status_code == 200 and "summary" not in route:
            assert told(answer.text) == expected, (route, who)
        if route.startswith("Observation?") and "total" in answer.json():
            assert answer.json()["total"] == len(seen if "_summary=count" in route else expected), (route, who)
    batch = await client.post(bundle("batch", *(entry("GET", route.format(golden=golden)) for route in ROUTES[:6])), "/fhir")
    assert told(batch.text) <= seen


async def test_the_residents_word_opens_and_closes(county: Served) -> None:
    """A permission opens the record, and what a label closes when it names it; a denial closes it; both at once."""
    all_clients = clients(county)
    far, town, admin = all_clients["stranger"], all_clients["town"], all_clients["admin"]
    actor = [{"role": {"text": "被授权机构"}, "reference": {"reference": "Organization/FAR"}}]

    def consent(id: str, **provision: Any) -> dict[str, Any]:
        scope = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]}
        category = [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}]
        rule = {"policyRule": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "OPTIN"}]}}
        return {"resourceType": "Consent", "id": id, "status": "active", "scope": scope, "category": category, **rule,
                "patient": {"reference": "Patient/t-p"}, "verification": [{"verified": True}], "provision": provision}  # fmt: skip

    async def seen(client: Client) -> set[str]:
        return told((await client.get("/fhir/Observation?patient=c-p&_count=100")).text)

    assert await seen(far) == set()
    assert (await town.put(consent("x1", type="permit", actor=actor))).is_success
    assert await seen(far) == ALL_PLAIN
    assert (await town.put(consent("x2", type="permit", actor=actor, securityLabel=[HIV]))).is_success
    assert await seen(far) == ALL_PLAIN | ALL_CLOSED
    assert (await town.put({**consent("x2", type="permit", actor=actor, securityLabel=[HIV]), "status": "inactive"})).is_success
    assert (await town.put(consent("x3", type="deny", actor=actor))).is_success
    assert await seen(far) == set(), "deny wins"
    assert (await town.put(consent("x4", type="deny"))).is_success
    assert await seen(all_clients["doctor"]) == {"c-o", "c-h"}, "what it recorded itself stays"
    for id in ("x1", "x3", "x4"):
        assert (await admin.delete(f"/fhir/Consent/{id}")).is_success
    assert await seen(all_clients["doctor"]) == WHO["doctor"]


async def test_breaking_the_glass(county: Served) -> None:
    """With a reason, for one account, one person and some hours; it is told to the resident; no client forges or prolongs it."""
    all_clients = clients(county)
    far, resident, admin = all_clients["stranger"], all_clients["resident"], all_clients["admin"]
    colleague = county.client("clinician", "FAR", "colleague")

    def asked(reason: str = "emergency", text: str = "昏迷送医，需要了解用药与过敏情况", **more: Any) -> dict[str, Any]:
        stated = {"reason": reason, "text": text, **more}
        return {"resourceType": "Parameters", "parameter": [{"name": k, "valueString": v} for k, v in stated.items()]}

    for client, body, status in (
        (far, asked(reason="curious"), 400),
        (far, asked(text="急"), 400),
        (all_clients["reader"], asked(), 403),
        (all_clients["bureau"], asked(), 403),
        (all_clients["resident"], asked(), 403),
    ):
        assert (await client.post(body, "/fhir/Patient/c-p/$break-glass")).status_code == status
    assert (await far.post(asked(), "/fhir/Patient/nobody/$break-glass")).status_code == 404
    assert (await far.get("/fhir/Patient/c-p")).status_code == 404
    by_number = asked(identifier=f"{ID_CARD}|110101199003078515")
    answer = await far.post(by_number, "/fhir/Patient/$break-glass")
    assert answer.status_code == 200, answer.text
    task = answer.json()
    assert told((await far.get("/fhir/Observation?patient=c-p&_count=100")).text) == ALL_PLAIN, "and nothing that a label closes"
    assert told((await colleague.get("/fhir/Observation?patient=c-p")).text) == set(), "one account alone"
    for forged in ({**task, "id": "forged"}, task):
        assert (await far.put(forged)).status_code in (403, 404)
    review = await admin.get("/fhir/Task?code=break-glass-review&status=requested")
    assert [e["resource"]["id"] for e in review.json()["entry"]] == [task["id"]]
    log = (await resident.get("/fhir/Patient/t-p/$access-log?_count=500")).json()["entry"]
    purposes = {e["resource"]["agent"][0]["purposeOfUse"][0]["coding"][0]["code"] for e in log}
    assert "BTG" in purposes
    assert {p["what"]["reference"] for e in log for p in e["resource"]["entity"] if "Patient/" in str(p.get("what"))} <= {
        f"Patient/{id}" for id in ("c-p", "t-p", "v-p", county.hub.store.person_of("c-p"))
    }
    for other in ("neighbour", "doctor", "bureau", "it"):
        assert (await all_clients[other].get("/fhir/Patient/t-p/$access-log")).status_code in (403, 404), other
    assert (await admin.put({**task, "status": "rejected"})).is_success
    assert told((await far.get("/fhir/Observation?patient=c-p")).text) == set(), "a rejected one ends at once"
