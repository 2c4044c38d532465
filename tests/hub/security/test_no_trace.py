"""What a label closes leaves no trace: whoever treats the person is answered alike, to the letter, before and after it is recorded.

Totals, pages of a search, includes, chains, history, $everything, $summary, GraphQL, exports, what waits for a subscriber, the
front page with its timeline, laboratory trends, cards at order time, candidates of a match, figures. The hub's clock stands still,
so that nothing but the closed records differs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from hub.app import create_app, open_hub
from tests.hub.api.county import encounter
from tests.hub.bulk.exports import exported
from tests.hub.security.persons import CLOSED_CODE, COUNTY, HER, HIV, Site, filled, signed_in, told
from tests.hub.security.probes import BY_NUMBER, SIGN, hook
from tests.hub.security.test_noninterference import BY_CHANCE
from tests.hub.web.county import NOW

pytestmark = pytest.mark.anyio

WHO = {"doctor": "c-p", "permitted": "t-p"}
"""Of another facility than the one that records, and the id by which each knows her."""
READS = """
Observation?patient=HER&_total=accurate&_count=100
Observation?patient=HER&_summary=count
Observation?encounter.reason-code=B20
Observation?patient._has:Condition:patient:code=B20&_total=accurate
Observation?_security:not=x&_total=accurate
Observation?_sort=-date&_count=1&_total=accurate
Observation?_lastUpdated=gt2020&_total=estimate
Observation/_history?_count=50
Observation/$meta
Observation/$lastn?patient=HER&max=9
Condition?patient=HER&_total=accurate
MedicationRequest?patient=HER&_total=accurate
Encounter?reason-code=B20&_total=accurate
Provenance?_total=accurate
Task?patient=HER&_total=accurate
DiagnosticReport?patient=HER&_include=DiagnosticReport:result&_include=DiagnosticReport:encounter
Patient?_id=HER&_revinclude=Observation:subject&_revinclude=Condition:subject&_revinclude=Encounter:subject
Patient?_has:Condition:patient:code=B20
Patient?_has:Observation:patient:_security=HIV&_total=accurate
Patient/HER/$everything
Patient/HER/*
Patient/HER/$summary
Patient/HER/$meta
Patient/HER/$recognizable-results?code=2823-3,89365-1
Encounter/c-e/$everything
Observation/v-closed
Observation/v-closed/_history
Encounter/v-closed/$everything
?_type=Observation,Condition,Encounter,DocumentReference&_total=accurate&_count=50
_history?_count=50
$meta
""".split()  # noqa: SIM905
PAGES = """
/p/HER
/p/HER?visits=50&kind=diagnosis
/p/HER/labs?code=http://loinc.org|89365-1
/p/HER/doc/DiagnosticReport/v-closed
/p/HER/recognition?item=L0101
/measures
""".split()  # noqa: SIM905
COUNTS = (
    '{PatientConnection(_id:"HER"){count} ObservationConnection(patient:"Patient/HER"){count} ConditionList(patient:"HER"){id}}'
)
MATCH = {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": {"resourceType": "Patient", **HER}}]}
WAITING: dict[str, Any] = {
    "resourceType": "Subscription",
    "id": "p-waits",
    "status": "requested",
    "reason": "r",
    "criteria": "Observation?_security:not=x",
    "channel": {"type": "websocket"},
}


def closed_records() -> list[dict[str, Any]]:
    """Of the village clinic about her, each closed by its label or by its code."""
    subject = {"reference": "Patient/v-p"}
    aids = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": "B20"}], "text": "secret-v"}
    drug, today = {"text": "secret-v"}, "2026-03-10"
    result = {"status": "final", "code": CLOSED_CODE, "valueString": "secret-v", "encounter": {"reference": "Encounter/v-closed"}}
    file = [{"attachment": {"contentType": "text/plain", "data": "c2VjcmV0"}}]
    by_code: dict[str, dict[str, Any]] = {
        "Observation": {**result, "effectiveDateTime": today},
        "Condition": {"code": aids, "recordedDate": today},
        "ServiceRequest": {"status": "active", "intent": "order", "code": CLOSED_CODE, "authoredOn": today},
    }
    by_label: dict[str, dict[str, Any]] = {
        "MedicationRequest": {"status": "active", "intent": "order", "medicationCodeableConcept": drug, "authoredOn": today},
        "Procedure": {"status": "completed", "code": drug},
        "DiagnosticReport": {"status": "final", "code": drug, "result": [{"reference": "Observation/v-closed"}]},
        "DocumentReference": {"status": "current", "content": file},
    }
    origin = {"recorded": f"{today}T09:00:00+08:00", "agent": [{"who": {"display": "x"}}]}
    return [
        encounter("v-closed", "v-p", reasonCode=[aids], period={"start": today, "end": today}, status="finished"),
        *({"resourceType": kind, "id": "v-closed", "subject": subject, **more} for kind, more in by_code.items()),
        *(
            {"resourceType": kind, "id": "v-closed", "meta": {"security": [HIV]}, "subject": subject, **more}
            for kind, more in by_label.items()
        ),
        {"resourceType": "Provenance", "id": "v-closed", "target": [{"reference": "Observation/v-closed"}], **origin},
    ]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    hub = open_hub(tmp_path_factory.mktemp("traces") / "data", COUNTY, clock=lambda: int(NOW.timestamp() * 1000))
    yield await filled(hub, create_app(hub))
    hub.close()


async def asked(site: Site, who: str, browser: httpx.AsyncClient) -> list[tuple[str, int, str]]:
    her, client = WHO[who], site.clients[who].http
    answers = [(path, await client.get(f"/fhir/{path}".replace("HER", her).replace("/?", "?"))) for path in READS]
    answers += [(path, await browser.get(path.replace("HER", her))) for path in PAGES]
    for path, body in (
        ("/fhir/Patient/$match", MATCH),
        ("/fhir/$graphql", {"query": COUNTS.replace("HER", her)}),
        (SIGN, hook("order-sign", patient=her)),
        (SIGN, hook("order-sign", "89365-1", patient=her)),
        ("/recognition/ask", {"patient": her, "items": ["2823-3", "89365-1"]}),
    ):
        answers.append((path, await client.post(path, json=body)))
    found = await exported(site.clients[who], "/fhir/Patient/$export")
    assert all(answer.status_code < 500 for _, answer in answers)
    shown = [(path, answer.status_code, BY_CHANCE.sub("…", answer.text)) for path, answer in answers]
    return [*shown, ("$export", 200, str(sorted(found)))]


async def test_what_a_label_closes_leaves_no_trace(site: Site) -> None:
    browsers = {who: (await signed_in(site.served, site.tokens[who]))[0] for who in WHO}
    assert (await site.clients["permitted"].put(WAITING)).status_code == 201
    for who, her in WHO.items():
        await site.clients[who].http.post(SIGN, json=hook("order-sign", patient=her))  # the prompt is there
    before = {who: await asked(site, who, browsers[who]) for who in WHO}
    clinic = site.served.client("system", "VIL")
    for resource in closed_records():
        answer = await clinic.put(resource)
        assert answer.status_code == 201, (resource["resourceType"], answer.text)
    for who in WHO:
        after = await asked(site, who, browsers[who])
        assert [(one, other) for one, other in zip(before[who], after, strict=True) if one != other] == [], who
    waiting = (await site.clients["permitted"].get("/fhir/Subscription/p-waits/$events")).text
    assert "v-closed" not in waiting
    hers = await site.clients["resident"].get("/fhir/Patient/t-p/$everything?_count=500")
    assert "v-h" in told(hers)
    missing = [each["resourceType"] for each in closed_records()[:-1] if f"/{each['resourceType']}/v-closed" not in hers.text]
    assert missing == [], "she herself sees all of it"
    assert (await site.clients["village"].get(f"/fhir/Patient?{BY_NUMBER}&_has:Condition:patient:code=B20")).json()["total"] > 0
