"""What a facility is told never depends on what another facility has stored.

Two counties differ in one thing: in one of them the county hospital keeps the record of a patient whom the town's clinic does not
treat. Whatever the clinic asks, writes or subscribes to must be answered alike in both, to the letter; only what an answer holds by
chance (random ids, instants, signatures) is left out of the comparison.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from hub.security.access import Role
from hub.store.port import Key
from profiles.names import FACILITY_TAG, ID_CARD
from tests.hub.api.county import COUNTY, FHIR, Client, Served, bundle, encounter, entry, observation, patient, served
from tests.hub.bulk.exports import exported
from tests.hub.security.persons import parameters, signed_in
from tests.hub.security.probes import hook
from tests.hub.subscriptions.receiver import becomes
from tests.mongod import Server

pytestmark = pytest.mark.anyio

POLICY = COUNTY.model_copy(update={"policy": COUNTY.policy.model_copy(update={"facility_ids": True})})
NUMBER = [{"system": ID_CARD, "value": "110101199003078515"}]
HER = {"birthDate": "1990-03-07", "gender": "female", "name": [{"text": "王小芳"}]}
BY_CHANCE = re.compile(
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9]{14}-[0-9a-f]{24}|\b[a-z2-7]{26}\b|\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)"
    r"|_after=[^&\"]*|_sig=[^&\"]*|\w{3}, \d\d \w{3} \d{4} [\d:]+ GMT|Wy[\w=.-]{40,}"
)


def about_her(id: str, kind: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": kind, "id": id, "subject": {"reference": "Patient/CTY-her"}, **more}


CODED = {"code": {"coding": [{"system": "urn:county:diseases", "code": "E11.5"}]}}
HIDDEN = [
    patient("CTY-her", identifier=NUMBER, telecom=[{"system": "phone", "value": "13911112222"}], **HER),
    encounter("CTY-visit", "CTY-her"),
    observation("CTY-result", "CTY-her", encounter={"reference": "Encounter/CTY-visit"}, effectiveDateTime="2024-05-01"),
    observation("CTY-gone", "CTY-her"),
    about_her("CTY-foot", "Condition", **CODED),
    about_her("CTY-list", "List", status="current", mode="working", entry=[{"item": {"reference": "Patient/TWN-his"}}]),
    about_her("CTY-basic", "Basic", code={"text": "x"}),
    {
        "resourceType": "Group",
        "id": "CTY-group",
        "type": "person",
        "actual": True,
        "member": [{"entity": {"reference": "Patient/CTY-her"}}],
    },
    {"resourceType": "Task", "id": "CTY-task", "status": "requested", "intent": "order", "for": {"reference": "Patient/CTY-her"}},
    {"resourceType": "Binary", "id": "CTY-binary", "contentType": "text/plain", "data": "c2VjcmV0"},
    {
        "resourceType": "Provenance",
        "id": "CTY-origin",
        "target": [{"reference": "Patient/TWN-his"}],
        "recorded": "2024-05-01T00:00:00Z",
        "agent": [{"who": {"display": "x"}}],
    },
    {
        "resourceType": "Subscription",
        "id": "CTY-waits",
        "status": "requested",
        "reason": "r",
        "criteria": "Observation?code=2345-7",
        "channel": {"type": "websocket"},
    },
]
OWN = [
    patient("TWN-his", birthDate="1980-01-01", identifier=[{"system": "urn:x", "value": "7"}]),
    observation("TWN-result", "TWN-his", effectiveDateTime="2024-05-01", performer=[{"reference": "Practitioner/TWN-doctor"}]),
    observation("TWN-other", "TWN-his", effectiveDateTime="2024-06-01", focus=[{"reference": "Patient/CTY-her"}]),
    {"resourceType": "Practitioner", "id": "TWN-doctor", "name": [{"text": "李"}]},
    {
        "resourceType": "Group",
        "id": "TWN-group",
        "type": "person",
        "actual": True,
        "member": [{"entity": {"reference": f"Patient/{id}"}} for id in ("CTY-her", "TWN-his")],
    },
    {
        "resourceType": "List",
        "id": "TWN-list",
        "status": "current",
        "mode": "working",
        "entry": [{"item": {"reference": f"Patient/{id}"}} for id in ("CTY-her", "TWN-his")],
    },
]
WAITING = [
    {**HIDDEN[-1], "id": f"TWN-waits{number}", "criteria": criteria}
    for number, criteria in enumerate(("Patient?gender=female", "Observation?subject.name=王小芳", "Condition?patient=CTY-her"))
]


class Asked(NamedTuple):
    method: str
    path: str
    body: Any = None
    headers: dict[str, str] = {}  # noqa: RUF012


READS = """
Patient/{her}  Patient/{her}/_history  Patient/{her}/_history/1  Patient/{her}/$everything  Patient/{her}/$meta
Patient/{her}?_summary=true  Patient/{her}/$validate  Patient/{her}/Observation  Patient/{her}/*  Encounter/{visit}/*
Encounter/{visit}/$everything  Observation/{gone}  Observation/{gone}/_history  Observation/{gone}/_history/1
Observation/{gone}/_history/2  Binary/{binary}  Binary/{binary}/_history/1  Subscription/{waits}  Subscription/{waits}/$status
Subscription/{waits}/$events  Group/{group}  Task/{task}  Provenance/{origin}  Observation?subject=Patient/{her}&_total=accurate
Observation?subject:Patient=her&_total=accurate  Observation?encounter={visit}  Patient?_id={her},TWN-his&_total=accurate
Patient?_list={list}  Observation/$lastn?patient={her}  Group/{group}/$everything  Patient/{her}/$summary
Patient/{her}/$access-log  Patient/{her}/$recognizable-results?code=2823-3  Patient/$doubts?patient={her}
Task?code=break-glass-review
""".split()  # noqa: SIM905
SEARCHES = """
Patient?_total=accurate  Patient?_summary=count  Patient?name=王小芳  Patient?name:exact=王小芳  Patient?phone=13911112222
Patient?birthdate=1990  Patient?identifier={number}  Patient?identifier:of-type=x|y|1
Patient?_sort=birthdate&_count=1&_total=accurate  Patient?_sort=-_lastUpdated
Patient?_has:Observation:patient:code=2345-7&_total=accurate  Patient?_has:Provenance:target:agent:missing=true
Patient?_has:List:item:status=current  Patient?_has:Condition:patient:code=E11.5
Patient?_has:Observation:patient:encounter.status=in-progress  Patient?_has:Group:member:_id=CTY-group
Patient?_revinclude=Observation:*&_revinclude=Provenance:target&_revinclude=List:item&_revinclude=Group:member
Patient?_filter=name co 芳  Patient?_filter=not (birthdate ge 1985)  Patient?_content=王小芳  Patient?_text=x
Patient?_list=TWN-list&_total=accurate  Patient?link:missing=false  Observation?subject.name=王小芳
Observation?subject.birthdate=gt1985&_total=accurate  Observation?patient._has:Condition:patient:code=E11.5
Observation?focus.name=王小芳  Observation?focus:Patient.birthdate=1990  Observation?_include=*&_include:iterate=*
Observation?subject:missing=true  Observation?_include=Observation:focus&_include:iterate=Patient:link
Observation?focus:identifier={number}  Observation?patient:not=TWN-his  Observation?_sort=-date&_count=1
Observation?date=2024-05-01&_total=accurate  Observation?code:in=urn:none  Observation?code:not=x&_total=accurate
Observation?_lastUpdated=gt2020&_total=estimate  Observation?_source=x  Observation?_security=x|y  Condition?_total=accurate  Task
Basic?author.name=x  Practitioner?_revinclude=Observation:performer  Practitioner?_has:Observation:performer:patient.name=王小芳
Group?member.name=王小芳  Group?member=Patient/CTY-her  Group?_include=Group:member  List?item.name=王小芳
List?_include=List:item  Location?near=30|120|5|km  Binary?_total=accurate  Provenance?target.name=张三
?_type=Patient,Observation,Condition&_total=accurate  ?_type=Patient,Observation&_sort=-_lastUpdated&_count=2  ?_content=王小芳
Subscription?_total=accurate  _history?_count=100  Patient/_history  Observation/_history?_since=2020-01-01  Condition/_history
Patient/_history?_at=2030  $meta  Patient/$meta  Subscription/$status  AuditEvent  SearchParameter?_total=accurate  metadata
Patient/TWN-his/$everything  Patient/TWN-his/*  Patient/TWN-his/List  Observation/TWN-other/$validate  Group/TWN-group/$validate
Observation/$lastn?patient=TWN-his&max=3  Patient/TWN-his/$recognizable-results?code=1
Patient/$summary?identifier={number}  Patient/TWN-his/$summary
Measure/recognition-prompts/$evaluate-measure?periodStart=2026-01-01&periodEnd=2026-12-31
ConceptMap/$translate?system=x&code=y
ValueSet/$expand?url=urn:none  CodeSystem/$lookup?system=x&code=y  $job/20240101000000-{nonce}  $export/20240101000000-{nonce}
""".replace("\n", "  ").split("  ")
QUERIES = (
    '{Patient(id:"CTY-her"){id name{text}}}',
    '{PatientList(name:"王小芳"){id}}',
    "{PatientConnection(_count:1){count pagesize edges{resource{id}}}}",
    '{ObservationList(focus:"Patient/CTY-her"){id focus{resource{...on Patient{birthDate}}} subject{resource{...on Patient{id}}}}}',
    "{GroupList{id member{entity{resource{...on Patient{birthDate}}}}}}",
    '{Patient(id:"TWN-his"){ObservationList(_reference:subject){id} ListList(_reference:item){id} TaskList(_reference:focus){id}}}',
)
PATCH = {"content-type": "application/json-patch+json"}
LINKED = [{"other": {"reference": "Patient/CTY-her"}, "type": "replaced-by"}]
UNDER_HER_NUMBER = patient("TWN-same", identifier=NUMBER, **HER)
TWIN = patient("TWN-twin", **HER)


def writes(id: str, criteria: str) -> list[Asked]:
    """Of a record that is hers, by id and by what only she fulfils."""
    hers = patient(id, **HER)
    return [
        Asked("PUT", f"Patient/{id}", hers),
        Asked("PUT", f"Patient/{id}", hers, {"if-match": 'W/"1"'}),
        Asked("PUT", f"Patient/{id}", hers, {"if-match": 'W/"7"'}),
        Asked("PUT", f"Patient/{id}", hers, {"if-none-match": "*"}),
        Asked("PATCH", f"Patient/{id}", [{"op": "test", "path": "/gender", "value": "female"}], PATCH),
        Asked("PATCH", f"Patient/{id}", [], PATCH | {"if-match": 'W/"1"'}),
        Asked("DELETE", f"Patient/{id}"),
        Asked("DELETE", f"Patient/{id}", None, {"if-match": 'W/"1"'}),
        Asked(
            "POST",
            f"Patient/{id}/$meta-add",
            {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"tag": [{"code": "x"}]}}]},
        ),
        Asked("GET", f"Patient/{id}", None, {"if-none-match": 'W/"1"'}),
        Asked("GET", f"Patient/{id}", None, {"if-modified-since": "Sat, 01 Jan 2050 00:00:00 GMT"}),
        Asked("HEAD", f"Patient/{id}"),
        Asked("GET", f"Patient/{id}?_format=xml"),
        Asked("PATCH", f"Patient?{criteria}", [{"op": "remove", "path": "/name"}], PATCH),
        Asked("DELETE", f"Patient?{criteria}"),
        Asked("PUT", f"Patient?{criteria}", {**hers, "id": "TWN-new"}),
        Asked("DELETE", "Patient/TWN-new"),
        Asked("POST", "Patient", hers, {"if-none-exist": criteria}),
        Asked("DELETE", f"Patient?{criteria}"),
        Asked("POST", "Encounter", encounter("x", id)),
        Asked("POST", "Observation", observation("x", id)),
        Asked("PUT", "Patient/TWN-link", patient("TWN-link", active=False, link=LINKED)),
        Asked("PUT", "Encounter/TWN-opens", encounter("TWN-opens", "TWN-link")),
        Asked("GET", "Observation?_total=accurate"),
        Asked("POST", "Patient/$validate?mode=update", hers),
        Asked("POST", "Observation/$validate", observation("TWN-x", id)),
        Asked("POST", "", bundle("transaction", entry("PUT", "Observation/TWN-t", observation("TWN-t", f"?{criteria}")))),
        Asked(
            "POST",
            "",
            bundle(
                "transaction",
                entry("POST", "Patient", hers, "urn:uuid:7b1f0b5e-6b1c-4f0e-8f5e-000000000001", ifNoneExist=criteria),
                entry("GET", f"Patient/{id}"),
            ),
        ),
        Asked("DELETE", f"Patient?{criteria}"),
        Asked(
            "POST", "", bundle("transaction", entry("DELETE", f"Patient/{id}"), entry("GET", f"Patient?{criteria}&_total=accurate"))
        ),
        Asked(
            "POST",
            "",
            bundle("batch", *(entry("GET", path) for path in (f"Patient/{id}", f"Patient?{criteria}", f"Patient/{id}/_history"))),
        ),
    ]


def at_order_time(id: str) -> list[Asked]:
    """Of her by an id, by her number in what is prefetched, and as an old station asks."""
    described = {"resourceType": "Patient", "id": id, "identifier": NUMBER, **HER}
    match = {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": described}]}
    certain = {"name": "onlyCertainMatches", "valueBoolean": True}
    service, uuid = "/cds-services/mutual-recognition-order-sign", "00000000-0000-5000-8000-000000000007"
    ask = {"patient": id, "id_number": NUMBER[0]["value"], "items": ["2345-7", "2823-3"]}
    return [
        Asked("POST", "Patient/$match", match),
        Asked("POST", "Patient/$match", {**match, "parameter": [*match["parameter"], certain]}),
        Asked("POST", service, hook("order-sign", "2345-7", patient=id)),
        Asked("POST", service, hook("order-sign", patient="0012345") | {"prefetch": {"patient": described}}),
        Asked("POST", f"{service}/feedback", {"feedback": [{"card": uuid, "outcome": "accepted"}]}),
        Asked("POST", "/recognition/ask", ask),
        Asked("POST", "/recognition/decide", {"prompt": uuid, "decision": "recognise"}),
        Asked("GET", f"/recognition/prompt/{uuid}"),
        Asked("POST", f"Patient/{id}/$break-glass", parameters(reason="curious", text="who is this")),
    ]


def requests() -> list[Asked]:
    gone = {name: f"CTY-{name}" for name in ("her", "visit", "gone", "binary", "waits", "group", "task", "origin", "list")}
    number = f"{ID_CARD}|{NUMBER[0]['value']}"
    return [
        *(Asked("GET", path.format(**gone)) for path in READS),
        *(Asked("GET", path.format(number=number, nonce="0" * 24)) for path in SEARCHES if path),
        *(Asked("POST", "$graphql", {"query": query}, {"content-type": "application/json"}) for query in QUERIES),
        *at_order_time("CTY-her"),
        *writes("CTY-her", f"identifier={number}"),
        Asked("PUT", "Patient/TWN-same", UNDER_HER_NUMBER),  # registered, not treated
        Asked("PUT", "Patient/TWN-twin", TWIN),
        Asked("PUT", "Encounter/TWN-visits", encounter("TWN-visits", "TWN-twin")),
        *(
            Asked("GET", path)
            for path in (
                "Task?_total=accurate",
                "Patient/TWN-twin/*",
                "Patient/TWN-same",
                "Patient/TWN-same/_history",
                "Patient/TWN-same/*",
                "Patient/TWN-same/$everything",
            )
        ),
        *at_order_time("TWN-same"),
        *(Asked("GET", path.format(number=number, nonce="0" * 24)) for path in SEARCHES if path),
        *(Asked("GET", f"Subscription/{each['id']}/{operation}") for each in WAITING for operation in ("$status", "$events")),
        Asked("POST", "Subscription/$get-ws-binding-token?id=CTY-waits"),
        Asked("PUT", "Subscription/CTY-waits", {**HIDDEN[-1], "id": "CTY-waits"}),
        Asked("POST", "$reindex"),
    ]


async def told(client: Client, asked: Asked) -> tuple[Any, ...]:
    body = {} if asked.body is None else {"json": asked.body}
    path = asked.path if asked.path[:1] == "/" else f"/fhir/{asked.path}" if asked.path[:1] != "?" else f"/fhir{asked.path}"
    answer = await client.http.request(asked.method, path.rstrip("/"), headers={**FHIR, **asked.headers}, **body)
    assert answer.status_code < 500, (asked, answer.text)
    shown = {name: answer.headers[name] for name in ("etag", "location", "last-modified", "content-type") if name in answer.headers}
    text = BY_CHANCE.sub("…", answer.text)
    if asked.path.endswith("$match"):  # of one score they stand in the order of their ids, and some ids are by chance
        text = "\n".join(sorted(part.rstrip(",]}") for part in text.split('{"fullUrl"')))
    return answer.status_code, BY_CHANCE.sub("…", str(shown)), text


def _active(hub: Served, id: str) -> bool:
    return hub.hub.store.read(Key("Subscription", id)).version == 2


@pytest.fixture
async def counties(tmp_path: Path, store: str, request: pytest.FixtureRequest) -> AsyncIterator[list[Served]]:
    """The one with her record, and the one without."""
    async with AsyncExitStack() as stack:
        found = []
        for name, kept in (("with", HIDDEN), ("without", [])):
            server: Server | None = request.getfixturevalue("mongodb") if store else None
            address = stack.enter_context(server.address()) if server is not None else ""
            hub = await stack.enter_async_context(served(tmp_path / name, POLICY, store=address))
            admin = hub.client("admin")  # may let one facility's records point at another's
            clinic = hub.client("clinician", "TWN")
            for resource in (*OWN, *WAITING, *kept):
                tag = {"system": FACILITY_TAG, "code": resource["id"][:3]}
                client = clinic if resource in WAITING else admin
                answer = await client.put({**resource, "meta": {"tag": [tag]}})
                assert answer.status_code == 201, (resource["id"], answer.text)
                if resource in WAITING:  # its second version is the hub's, and has its place in the history
                    await becomes(partial(_active, hub, resource["id"]))
            if kept:
                assert (await admin.delete("/fhir/Observation/CTY-gone")).status_code == 204
            found.append(hub)
        yield found


@pytest.mark.parametrize("role", ["clinician", "reader"])
async def test_every_answer_is_the_same_with_and_without_a_foreign_record(counties: list[Served], role: Role) -> None:
    one, other = (hub.client(role, "TWN", "same") for hub in counties)
    differ = [asked for asked in requests() if await told(one, asked) != await told(other, asked)]
    assert differ == []


PAGES = """
/p/TWN-his  /p/CTY-her  /p/TWN-same  /p/TWN-same/labs?code=http://loinc.org|2345-7  /p/TWN-same/recognition?item=L0101
/p/CTY-her/summary.pdf  /measures
""".split()  # noqa: SIM905
"""The front page with its timeline, and what hangs on it."""
OF_A_SESSION = re.compile(r'name="csrf" value="[^"]+"|\d\d:\d\d')


async def test_exports_and_pages_are_the_same_with_and_without_a_foreign_record(counties: list[Served]) -> None:
    one, other = (hub.client("clinician", "TWN", "same") for hub in counties)
    for level in ("$export", "Patient/$export", "Group/TWN-group/$export"):
        a, b = [await exported(client, f"/fhir/{level}?_type=Patient,Observation,Condition,Group,List") for client in (one, other)]
        assert sorted(a) == sorted(b), level
        assert not any("/CTY-" in key for key in a)
    shown = []
    for county in counties:
        clinic = county.client("clinician", "TWN", "same")
        assert (await clinic.put(UNDER_HER_NUMBER)).status_code == 201
        browser, csrf = await signed_in(county, county.hub.tokens.create("same", "clinician", "TWN"))
        pages = [await browser.get(page) for page in PAGES]
        pages += [await browser.post("/p", data={"csrf": csrf, "q": q}) for q in ("王小芳", "13911112222", NUMBER[0]["value"])]
        shown.append([(page.status_code, OF_A_SESSION.sub("…", BY_CHANCE.sub("…", page.text))) for page in pages])
    assert shown[0] == shown[1]
    assert "2345-7" not in shown[0][1][1]
