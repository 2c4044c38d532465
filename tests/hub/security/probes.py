"""What is asked at every address that the hub serves, by method and address; and what those addresses are.

A probe says whose results its answer tells, if any. What would write changes nothing: it expects a version that never was, names
nobody, or states what is refused to whoever may write.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute

from profiles.names import ID_CARD
from tests.hub.api.county import bundle, entry
from tests.hub.security.persons import CLOSED, HER, NAME, NUMBER, PLAIN, WHY, parameters

EVERY = PLAIN | CLOSED
NONE: frozenset[str] = frozenset()
BY_NUMBER = f"identifier={ID_CARD}|{NUMBER}"
GRAPHQL = '{ObservationList(patient:"Patient/{her}",_count:100){id valueString valueQuantity{value}}}'
OF_HER = "{ObservationList(_reference:subject,_count:100){id valueString valueQuantity{value}}}"


class Probe(NamedTuple):
    """`path` "": the address itself. {her}, {own} … in path and body stand for what the account knows."""

    path: str = ""
    body: Any = None
    tells: frozenset[str] = NONE
    headers: dict[str, str] = {}  # noqa: RUF012
    form: bool = False
    page: bool = False  # with the session of a browser, not with a token
    some: bool = False  # of what it may tell it tells one at least: the newest, the one that is recognised
    cut: bool = False  # it tells as much as its page holds


def addresses(routes: Iterable[BaseRoute], prefix: str = "") -> Iterator[str]:
    """`METHOD address` of everything that is served, however it was mounted. HEAD is GET without its body."""
    for route in routes:
        included = getattr(route, "original_router", None)
        if included is not None:
            yield from addresses(included.routes, prefix + route.include_context.prefix)  # type: ignore[attr-defined]
        elif isinstance(route, Mount):
            yield f"GET {prefix}{route.path}/{{file}}"
        elif isinstance(route, WebSocketRoute):
            yield f"WS {prefix}{route.path}"
        elif isinstance(route, Route):
            yield from (f"{method} {prefix}{route.path}" for method in route.methods or () if method != "HEAD")
        else:
            raise TypeError(f"who may use {route!r}?")


def hook(name: str, code: str = "2823-3", *, patient: str = "{her}", **prefetch: Any) -> dict[str, Any]:
    """A call of CDS Hooks 2.0 for one order."""
    order = {
        "resourceType": "ServiceRequest",
        "id": "o1",
        "status": "draft",
        "intent": "order",
        "subject": {"reference": "Patient/x"},
    }
    coded = {**order, "code": {"coding": [{"system": "http://loinc.org", "code": code}]}}
    drafts = {"resourceType": "Bundle", "entry": [{"resource": coded}]}
    stated = {"patientId": patient, "userId": "Practitioner/7", "draftOrders": drafts, "selections": ["ServiceRequest/o1"]}
    return {"hook": name, "hookInstance": str(uuid.UUID(int=7)), "context": stated, "prefetch": prefetch}


def _get(tells: frozenset[str], *paths: str, some: bool = False) -> tuple[Probe, ...]:
    return tuple(Probe(path, tells=tells, some=some) for path in paths)


def _pages(tells: frozenset[str], *paths: str) -> tuple[Probe, ...]:
    return tuple(Probe(path, tells=tells, page=True) for path in paths)


def _each(address: str) -> tuple[Probe, ...]:
    """Of every result by its id."""
    return tuple(Probe(address.format(id), tells=frozenset({id})) for id in sorted(EVERY))


def _form(path: str = "", **fields: str) -> tuple[Probe, ...]:
    return (Probe(path, fields, form=True, page=True),)


def _post(path: str, body: Any = None, tells: frozenset[str] = NONE, *, some: bool = False, **headers: str) -> tuple[Probe, ...]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return (Probe(path, {} if body is None else body, tells, named, some=some),)


def _either_way(address: str, path: str, tells: frozenset[str] = NONE, *, some: bool = False) -> dict[str, tuple[Probe, ...]]:
    """An operation that changes nothing, by GET and by POST."""
    empty = {"resourceType": "Parameters"}
    return {f"GET {address}": _get(tells, path, some=some), f"POST {address}": _post(path, empty, tells, some=some)}


def _naming(*references: str, **texts: str) -> dict[str, Any]:
    """Parameters: each name followed by a Patient's id, and texts."""
    named = zip(references[::2], references[1::2], strict=True)
    parts = [{"name": name, "valueReference": {"reference": f"Patient/{id}"}} for name, id in named]
    return {"resourceType": "Parameters", "parameter": [*parts, *parameters(**texts)["parameter"]]}


MATCH = {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": {"resourceType": "Patient", **HER}}]}
REASON = "a test of who may decide"
PAIR = _naming("patient", "nobody", "patient", "none", reason=REASON)
MERGE = _naming("source-patient", "nobody", "target-patient", "none", reason=REASON)
META = {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"tag": [{"code": "x"}]}}]}
NOBODYS = {"resourceType": "Observation", "status": "final", "code": {"text": "K"}, "subject": {"reference": "Patient/nobody"}}
FILE = {"resourceType": "Binary", "contentType": "text/plain", "data": "eA==", "securityContext": {"reference": "Patient/nobody"}}
HERS = {
    "resourceType": "Observation",
    "id": "c-o",
    "status": "final",
    "code": {"text": "K"},
    "subject": {"reference": "Patient/c-p"},
}
NEVER = {"if_match": 'W/"99"'}
PATCH = {"content_type": "application/json-patch+json"}
FORM = {"content_type": "application/x-www-form-urlencoded"}
TERMS = "url=http://hl7.org/fhir/ValueSet/administrative-gender"
TABLE = "http://hl7.org/fhir/administrative-gender"
EXPORT = {"prefer": "respond-async"}
PROMPT = "/recognition/prompt/{prompt}"
SIGN = "/cds-services/mutual-recognition-order-sign"
VISIT = {"resourceType": "Encounter", "class": {"code": "AMB"}, "serviceProvider": {"reference": "Organization/CTY"}}
ASK = {"patient": "{her}", "items": ["2823-3"], "orderer": "{facility}"}
MEASURE = "/fhir/Measure/recognition-prompts/$evaluate-measure?periodStart=2026-01-01&periodEnd=2026-03-31"

_PUBLIC: dict[str, tuple[Probe, ...]] = {
    "GET /health": _get(NONE, ""),
    "GET /static/{file}": _get(NONE, "/static/hub.css"),
    "GET /fhir/metadata": _get(NONE, ""),
    "GET /fhir/openapi.json": _get(NONE, ""),
    "GET /cds-services": _get(NONE, ""),
    "OPTIONS /cds-services": _get(NONE, ""),
    "OPTIONS /cds-services/{service}": _get(NONE, SIGN),
    "OPTIONS /cds-services/{service}/feedback": _get(NONE, f"{SIGN}/feedback"),
    "OPTIONS /recognition/{rest:path}": _get(NONE, "/recognition/ask"),
    "GET /": _pages(NONE, ""),
    "GET /login": _pages(NONE, ""),
    "POST /logout": (Probe(body={"csrf": "none"}, form=True),),
}
_READS: dict[str, tuple[Probe, ...]] = {
    "GET /fhir/{type}/{id}": (*_each("/fhir/Observation/{}"), *_get(NONE, "/fhir/Patient/{her}", "/fhir/DiagnosticReport/c-r")),
    "GET /fhir/{type}/{id}/_history": _each("/fhir/Observation/{}/_history")[::2],
    "GET /fhir/{type}/{id}/_history/{version}": _each("/fhir/Observation/{}/_history/1")[1::2],
    "GET /fhir/Binary/{id}": _get(NONE, "/fhir/Binary/{document}"),
    "GET /fhir/Binary/{id}/_history/{version}": _get(NONE, "/fhir/Binary/{document}/_history/1"),
    "GET /fhir/{type}/_history": _get(EVERY, "/fhir/Observation/_history?_count=100"),
    "GET /fhir/_history": (Probe("/fhir/_history?_count=1000", tells=EVERY, cut=True),),
    "GET /fhir/{type}": (
        *_get(
            EVERY,
            "/fhir/Observation?_count=100&_total=accurate",
            "/fhir/Observation?patient={her}&_total=accurate",
            f"/fhir/Observation?patient.name={NAME}&_sort=-date&_count=100",
            "/fhir/Observation?subject={her}&_count=100",
            "/fhir/DiagnosticReport?_include=DiagnosticReport:result",
        ),
        *_get(CLOSED, "/fhir/Observation?code=http://loinc.org|89365-1&_total=accurate"),
        *_get(
            NONE, "/fhir/Observation?patient={her}&_summary=count", f"/fhir/Patient?{BY_NUMBER}", "/fhir/Encounter?patient={her}"
        ),
    ),
    "POST /fhir/{type}/_search": _post("/fhir/Observation/_search", "patient={her}", EVERY, **FORM),
    "POST /fhir/_search": _post("/fhir/_search", "_type=Observation", EVERY, **FORM),
    "GET /fhir": _get(EVERY, "/fhir?_type=Observation&_count=100"),
    "GET /fhir/": _get(EVERY, "/fhir/?_type=Observation&_count=100"),
    "GET /fhir/{type}/{id}/{kind:compartment}": _get(
        EVERY, "/fhir/Patient/{her}/Observation", "/fhir/Patient/{her}/*?_type=Observation"
    ),
    "POST /fhir/{type}/{id}/{kind:compartment}/_search": _post(
        "/fhir/Patient/{her}/Observation/_search", "_count=100", EVERY, **FORM
    ),
    "POST /fhir": _post(
        "/fhir", bundle("batch", entry("GET", "Observation?patient={her}"), entry("GET", "Observation/c-h")), EVERY
    ),
    "POST /fhir/": _post("/fhir/", bundle("transaction", entry("GET", "Observation?patient={her}")), EVERY),
    **_either_way("/fhir/Patient/$everything", "/fhir/Patient/$everything?_type=Observation&_count=100", EVERY),
    **_either_way("/fhir/Patient/{id}/$everything", "/fhir/Patient/{her}/$everything?_type=Observation", EVERY),
    **_either_way("/fhir/Encounter/{id}/$everything", "/fhir/Encounter/c-e/$everything"),
    **_either_way("/fhir/Patient/$summary", f"/fhir/Patient/$summary?{BY_NUMBER}", EVERY, some=True),
    **_either_way("/fhir/Patient/{id}/$summary", "/fhir/Patient/{her}/$summary", EVERY, some=True),
    **_either_way("/fhir/Observation/$lastn", "/fhir/Observation/$lastn?patient={her}&max=100", EVERY),
    "POST /fhir/Patient/$match": _post("/fhir/Patient/$match", MATCH),
    **_either_way("/fhir/$meta", "/fhir/$meta"),
    **_either_way("/fhir/{type}/$meta", "/fhir/Observation/$meta"),
    **_either_way("/fhir/{type}/{id}/$meta", "/fhir/Observation/c-o/$meta"),
    "GET /fhir/{type}/{id}/$validate": _get(NONE, "/fhir/Observation/c-o/$validate"),
    "POST /fhir/{type}/{id}/$validate": _post("/fhir/Observation/c-o/$validate?mode=delete"),
    "GET /fhir/$graphql": _get(EVERY, f"/fhir/$graphql?query={GRAPHQL}"),
    "POST /fhir/$graphql": _post("/fhir/$graphql", {"query": GRAPHQL}, EVERY, content_type="application/json"),
    "GET /fhir/{type}/{id}/$graphql": _get(EVERY, f"/fhir/Patient/{{her}}/$graphql?query={OF_HER}"),
    "POST /fhir/{type}/{id}/$graphql": _post(
        "/fhir/Patient/{her}/$graphql", {"query": OF_HER}, EVERY, content_type="application/json"
    ),
    "GET /fhir/Patient/{id}/$recognizable-results": _get(
        PLAIN, "/fhir/Patient/{her}/$recognizable-results?code=2823-3&orderer={facility}"
    ),
}
_PAGES: dict[str, tuple[Probe, ...]] = {
    "GET /p": _pages(NONE, ""),
    "POST /p": _form(q=NAME),
    "GET /p/{id}": _pages(EVERY, "/p/{her}"),
    "GET /p/{id}/summary.pdf": _pages(NONE, "/p/{her}/summary.pdf"),
    "GET /p/{id}/labs": (
        *_pages(PLAIN, "/p/{her}/labs?code=http://loinc.org|2823-3"),
        *_pages(CLOSED, "/p/{her}/labs?code=http://loinc.org|89365-1"),
    ),
    "GET /p/{id}/recognition": _pages(PLAIN, "/p/{her}/recognition?item=L0101&orderer={facility}"),
    "GET /p/{id}/doc/{type}/{document_id}": (
        *_pages(frozenset({"c-o", "c-h"}), "/p/{her}/doc/DiagnosticReport/c-r"),
        *_pages(NONE, "/p/{her}/doc/DocumentReference/c-d"),
    ),
    "GET /p/{id}/doc/{type}/{document_id}/original/{binary}": _pages(
        NONE, "/p/{her}/doc/DocumentReference/c-d/original/{document}"
    ),
    "GET /p/{id}/image/{sha}.jpg": _pages(NONE, "/p/{her}/image/{picture}.jpg"),
    "GET /p/{id}/ecg/{sha}.svg": _pages(NONE, "/p/{her}/ecg/{tracing}.svg"),
}
_WRITES: dict[str, tuple[Probe, ...]] = {
    "PUT /fhir/{type}/{id}": _post("/fhir/Observation/c-o", HERS, **NEVER),
    "PATCH /fhir/{type}/{id}": _post("/fhir/Observation/c-o", [{"op": "test", "path": "/status", "value": "x"}], **PATCH),
    "DELETE /fhir/{type}/{id}": _post("/fhir/Observation/c-o", **NEVER),
    "PATCH /fhir/{type}": _post("/fhir/Observation?_id=c-o", [{"op": "test", "path": "/status", "value": "x"}], **PATCH),
    "POST /fhir/{type}/{id}/$meta-add": _post("/fhir/Observation/c-o/$meta-add", META, **NEVER),
    "POST /fhir/{type}/{id}/$meta-delete": _post("/fhir/Observation/c-o/$meta-delete", META, **NEVER),
    "PUT /fhir/Binary/{id}": _post("/fhir/Binary/{document}", {**FILE, "id": "{document}"}, **NEVER),
    "POST /fhir/{type}": _post("/fhir/Observation", NOBODYS),
    "PUT /fhir/{type}": _post("/fhir/Observation?_id=none", NOBODYS),
    "DELETE /fhir/{type}": _post("/fhir/Observation?_id=none"),
    "POST /fhir/Binary": _post("/fhir/Binary", FILE),
    "POST /fhir/$import": _post("/fhir/$import", {}),
    "POST /fhir/{type}/$validate": _post("/fhir/Observation/$validate", NOBODYS),
}
_ACCOUNT: dict[str, tuple[Probe, ...]] = {
    "GET /emergency": _pages(NONE, "/emergency?person={her}"),
    "POST /emergency": _form(person="nobody", **WHY),
    "POST /fhir/Patient/$break-glass": _post("", parameters(identifier="urn:x|nobody", **WHY)),
    "POST /fhir/Patient/{id}/$break-glass": _post("/fhir/Patient/nobody/$break-glass", parameters(**WHY)),
    "POST /fhir/Task/{id}/$review": _post(
        "/fhir/Task/none/$review", parameters(finding="justified", text="a test of who may review")
    ),
    "GET /ops/emergencies": _pages(NONE, "/ops/emergencies?state=all"),
    "POST /ops/emergencies": _form(emergency="none", finding="justified", text="a test of who may review"),
    "GET /my/looks": _pages(NONE, "/my/looks?person=c-p"),
    "GET /fhir/Patient/{id}/$access-log": _get(NONE, "/fhir/Patient/c-p/$access-log"),
    "GET /fhir/$job/{job}": _get(NONE, "/fhir/$job/{job}"),
    "DELETE /fhir/$job/{job}": _get(NONE, "/fhir/$job/{job}"),
    "GET /fhir/$export": (Probe("/fhir/$export?_type=Nothing", headers=EXPORT),),
    "POST /fhir/$export": (Probe("/fhir/$export?_type=Nothing", headers=EXPORT),),
    "GET /fhir/Patient/$export": (Probe("/fhir/Patient/$export?_type=Nothing", headers=EXPORT),),
    "POST /fhir/Patient/$export": (Probe("/fhir/Patient/$export?_type=Nothing", headers=EXPORT),),
    "GET /fhir/Group/{id}/$export": (Probe("/fhir/Group/none/$export", headers=EXPORT),),
    "POST /fhir/Group/{id}/$export": (Probe("/fhir/Group/none/$export", headers=EXPORT),),
    "GET /fhir/$export/{job}": _get(NONE, "/fhir/$export/{export}"),
    "GET /fhir/$export/{job}/{file}": (Probe("/fhir/$export/{export}/{exported}", tells=EVERY),),
    "DELETE /fhir/$export/{job}": (Probe("/fhir/$export/{job}"),),
    "GET /fhir/$import/{job}": _get(NONE, "/fhir/$import/{job}"),
    "DELETE /fhir/$import/{job}": _get(NONE, "/fhir/$import/{job}"),
    "GET /fhir/$import/{job}/outcomes.ndjson": _get(NONE, "/fhir/$import/{job}/outcomes.ndjson"),
    **_either_way("/fhir/Subscription/$status", "/fhir/Subscription/$status"),
    **_either_way("/fhir/Subscription/{id}/$status", "/fhir/Subscription/none/$status"),
    **_either_way("/fhir/Subscription/{id}/$events", "/fhir/Subscription/none/$events"),
    **_either_way("/fhir/Subscription/$get-ws-binding-token", "/fhir/Subscription/$get-ws-binding-token?id=none"),
    **_either_way("/fhir/Subscription/{id}/$get-ws-binding-token", "/fhir/Subscription/none/$get-ws-binding-token"),
}
_ORDERS: dict[str, tuple[Probe, ...]] = {
    "POST /cds-services/{service}": (
        *_post(SIGN, hook("order-sign", encounter=VISIT), PLAIN, some=True),
        *_post("/cds-services/mutual-recognition-order-select", hook("order-select", encounter=VISIT), PLAIN, some=True),
        *_post(SIGN, hook("order-sign", "89365-1", encounter=VISIT)),
    ),
    "POST /recognition/ask": _post("", ASK, PLAIN),
    "GET /recognition/prompt/{uuid}": _get(NONE, PROMPT),
    "POST /recognition/decide": _post("", {"prompt": "{prompt}", "decision": "repeat", "reason": "R02"}),
    "POST /cds-services/{service}/feedback": _post(f"{SIGN}/feedback", {"feedback": [{"card": "{prompt}", "outcome": "accepted"}]}),
    "GET /embed/prompt/{uuid}": _get(PLAIN, "/embed/prompt/{prompt}?ticket={ticket}", some=True),
    "POST /embed/prompt/{uuid}": (Probe("/embed/prompt/{prompt}", {"ticket": "{ticket}", "decision": "none"}, form=True),),
}
_OFFICE: dict[str, tuple[Probe, ...]] = {
    "GET /measures": _pages(NONE, ""),
    "GET /measures.xlsx": _pages(NONE, ""),
    "GET /fhir/Measure/{id}/$evaluate-measure": _get(NONE, MEASURE),
    "POST /fhir/$reindex": _post("", parameters(type="Nothing")),
    "GET /fhir/Patient/$doubts": _get(NONE, ""),
    "POST /fhir/Patient/$link": _post("", PAIR),
    "POST /fhir/Patient/$postpone": _post("", PAIR),
    "POST /fhir/Patient/$merge": _post("", MERGE),
    "POST /fhir/Patient/{id}/$unlink": _post("/fhir/Patient/none/$unlink", parameters(reason=REASON)),
    "POST /fhir/Patient/{id}/$split": _post("/fhir/Patient/none/$split", _naming("patient", "nobody", reason=REASON)),
    "POST /fhir/Task/{id}/$undo": _post("/fhir/Task/none/$undo", parameters(reason=REASON)),
    "GET /ops/identity": _pages(NONE, "/ops/identity?state=all"),
    "POST /ops/identity": _form(operation="none", reason=REASON),
    "GET /ops/identity/pair": _pages(NONE, "/ops/identity/pair?one=c-p&other=t-p"),
    "POST /ops/identity/pair": _form(one="c-p", other="t-p", act="none"),
    "GET /ops/identity/person/{id}": _pages(NONE, "/ops/identity/person/c-p"),
    "POST /ops/identity/person/{id}": _form("/ops/identity/person/c-p", act="none"),
    "GET /metrics": _get(NONE, ""),
    "GET /ops/status": _get(NONE, ""),
    "POST /hl7v2/{channel}": (Probe("/hl7v2/none", "MSH|"),),
    "GET /ops/connectors/{name}": _pages(NONE, "/ops/connectors/none"),
    "POST /ops/connectors/{name}": _form("/ops/connectors/none"),
    "GET /ops/messages/{seq:int}": _pages(NONE, "/ops/messages/1"),
    "POST /ops/messages/{seq:int}": _form("/ops/messages/1"),
    "POST /ops/codes.csv": _form(),
    "GET /ops/recognition": _pages(NONE, ""),
    "GET /ops/recognition.xlsx": _pages(NONE, "/ops/recognition.xlsx?kind=evidence&library=file"),
    "GET /ops/recognition/draft/{id}": _pages(NONE, "/ops/recognition/draft/none"),
    "POST /ops/recognition": _form(),
    "POST /ops/recognition/draft/{id}": _form("/ops/recognition/draft/none", act="publish"),
    **{
        f"GET /ops{page}": _pages(NONE, "")
        for page in ("", "/messages", "/dead", "/discard", "/codes", "/codes.csv", "/codes/tables", "/codes/table", "/mappings",
                     "/outbox", "/quality", "/replay", "/replays")
    },
    **{f"POST /ops{page}": _form() for page in ("/messages", "/discard", "/codes", "/mappings", "/outbox", "/replay", "/replays")},
}  # fmt: skip
_TERMS: dict[str, tuple[Probe, ...]] = {
    **_either_way("/fhir/ValueSet/$expand", f"/fhir/ValueSet/$expand?{TERMS}"),
    **_either_way("/fhir/ValueSet/{id}/$expand", "/fhir/ValueSet/none/$expand"),
    **_either_way("/fhir/ValueSet/$validate-code", f"/fhir/ValueSet/$validate-code?{TERMS}&code=male&system={TABLE}"),
    **_either_way("/fhir/ValueSet/{id}/$validate-code", "/fhir/ValueSet/none/$validate-code?code=x"),
    **_either_way("/fhir/CodeSystem/$lookup", f"/fhir/CodeSystem/$lookup?system={TABLE}&code=male"),
    **_either_way("/fhir/CodeSystem/$validate-code", f"/fhir/CodeSystem/$validate-code?url={TABLE}&code=male"),
    **_either_way("/fhir/CodeSystem/{id}/$validate-code", "/fhir/CodeSystem/none/$validate-code?code=x"),
    **_either_way("/fhir/CodeSystem/$subsumes", f"/fhir/CodeSystem/$subsumes?system={TABLE}&codeA=male&codeB=female"),
    **_either_way("/fhir/CodeSystem/{id}/$subsumes", "/fhir/CodeSystem/none/$subsumes?codeA=x&codeB=y"),
    **_either_way("/fhir/ConceptMap/$translate", f"/fhir/ConceptMap/$translate?system={TABLE}&code=male"),
    **_either_way("/fhir/ConceptMap/{id}/$translate", "/fhir/ConceptMap/none/$translate?system=x&code=y"),
    "POST /fhir/$closure": _post("", parameters(name="none", version="none")),
    "POST /fhir/ConceptMap/$closure": _post("", parameters(name="none", version="none")),
}
PROBES = _PUBLIC | _READS | _PAGES | _WRITES | _ACCOUNT | _ORDERS | _OFFICE | _TERMS
ELSEWHERE = {
    "WS /fhir/$websocket": "tests/hub/subscriptions/test_websocket.py",
    "GET /ops/live": "tests/hub/web/test_ops.py",
    "POST /login": "tests/hub/web/test_pages.py",
}
"""What never ends, or belongs to no session yet: the tests that ask it."""
