"""One person at three facilities, and everybody who may ask for her: the columns of docs/guides/who-sees-what-by-route.md.

The county hospital treats her now; the town's health centre once registered her; the village clinic signed a contract with her; a
reading centre is asked to report on her images; she permits one hospital to see her record, and a doctor of another one broke the
glass. Each facility that knows her has recorded a result that the catalogue of recognition knows and one that a label closes, and a
report on both. What stands in them is told apart by its value: `told` finds it in JSON, in a page and in a card alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import httpx
from starlette.types import ASGIApp

from hub.app import Hub
from hub.keep import keep
from hub.security.access import Role
from hub.settings import County
from hub.store.port import Transaction
from profiles.names import ID_CARD
from tests.hub.api.county import Client, Served, encounter, patient
from tests.hub.web import county as web

AREAS = ("county:339900", "prefecture:3399", "province:33", "national")
CODES = ("CTY", "TWN", "VIL", "FAR", "PER", "RAD")
COUNTY = County.model_validate(
    {
        "name": "示范县医共体",
        "facility": [{"code": code, "name": f"机构{code}", "community": "yt", "areas": AREAS} for code in CODES],
        "recognition": {"answer_seconds": 10},  # of a machine that many tests share
    }
)
NAME, NUMBER = "王小芳", "110101199003078515"
HER = {
    "birthDate": "1990-03-07",
    "gender": "female",
    "identifier": [{"system": ID_CARD, "value": NUMBER}],
    "name": [{"text": NAME}],
}
HIV = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "HIV"}
CLOSED_CODE = {"coding": [{"system": "http://loinc.org", "code": "89365-1"}]}
OWN = {"CTY": "c", "TWN": "t", "VIL": "v"}
VALUES = {"3.261": "c-o", "3.262": "t-o", "3.263": "v-o", "secret-c": "c-h", "secret-t": "t-h", "secret-v": "v-h"}
PLAIN, CLOSED = frozenset({"c-o", "t-o", "v-o"}), frozenset({"c-h", "t-h", "v-h"})
_TOLD = re.compile("|".join(map(re.escape, VALUES)))
WHY = {"reason": "emergency", "text": "昏迷送医，需要了解用药与过敏情况"}


def told(answer: httpx.Response) -> frozenset[str]:
    return frozenset(VALUES[each] for each in _TOLD.findall(answer.text))


def parameters(**stated: str) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": [{"name": name, "valueString": value} for name, value in stated.items()]}


def records(prefix: str, number: int) -> Iterator[dict[str, Any]]:
    her = f"{prefix}-p"
    subject = {"reference": f"Patient/{her}"}
    yield patient(her, **HER)
    result = web.observation("CTY", "C", "K", f"3.26{number}", 2)
    result.pop("encounter", None)
    result["code"]["coding"] = [{"system": "http://loinc.org", "code": "2823-3"}]
    yield {**result, "id": f"{prefix}-o", "subject": subject, "performer": [{"reference": "Organization/CTY"}]}
    closed = {"status": "final", "code": CLOSED_CODE, "subject": subject, "effectiveDateTime": "2026-03-01"}
    laboratory = {"category": result["category"], "valueString": f"阳性 secret-{prefix}"}
    meta = {"meta": {"security": [HIV]}} if prefix == "c" else {}
    yield {"resourceType": "Observation", "id": f"{prefix}-h", **closed, **laboratory, **meta}
    results = [{"reference": f"Observation/{prefix}-{kind}"} for kind in "oh"]
    report = {
        "status": "final",
        "code": {"text": "血"},
        "subject": subject,
        "result": results,
        "issued": "2026-03-09T10:00:00+08:00",
    }
    yield {"resourceType": "DiagnosticReport", "id": f"{prefix}-r", **report}


def imaging(hub: Hub) -> tuple[list[dict[str, Any]], Files]:
    """A radiograph, a tracing and the file of a document, as the intake leaves them."""
    subject = {"reference": "Patient/c-p"}
    files = Files(*(web.put(hub, content) for content in (web.picture(), web.tracing(), web.DISCHARGE_FILE)))
    attachment = {"contentType": "application/xml", "url": f"Binary/{files.document}"}
    document = {"status": "current", "description": "出院小结", "date": web.day(1), "subject": subject}
    return [
        web.study("CTY", "c-dx", "DX", "胸部正位片", "CHEST", files.picture, subject, 5),
        web.study("CTY", "c-ecg", "ECG", "心电图", "", files.tracing, subject, 4),
        {"resourceType": "Binary", "id": files.document, "contentType": "application/xml", "securityContext": subject},
        {"resourceType": "DocumentReference", "id": "c-d", **document, "content": [{"attachment": attachment}]},
    ], files


class Files(NamedTuple):
    """SHA-256 of each."""

    picture: str
    tracing: str
    document: str


PERMISSION: dict[str, Any] = {
    "resourceType": "Consent",
    "id": "t-permits",
    "status": "active",
    "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]},
    "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
    "policyRule": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "OPTIN"}]},
    "patient": {"reference": "Patient/t-p"},
    "verification": [{"verified": True}],
    "provision": {
        "type": "permit",
        "actor": [{"role": {"text": "被授权机构"}, "reference": {"reference": "Organization/PER"}}],
    },
}
PROOFS = (
    ("CTY", encounter("c-e", "c-p", period={"start": web.day(0)})),
    ("CTY", {"resourceType": "Task", "id": "c-asks", "status": "requested", "intent": "order",
             "for": {"reference": "Patient/c-p"}, "owner": {"reference": "Organization/RAD"}}),
    ("VIL", {"resourceType": "EpisodeOfCare", "id": "v-c", "status": "active", "patient": {"reference": "Patient/v-p"}}),
    ("TWN", PERMISSION),
)  # fmt: skip
"""What opens her record, and whose it is."""
ACCOUNTS: Mapping[str, tuple[Role, str]] = {
    "doctor": ("clinician", "CTY"),
    "village": ("clinician", "VIL"),
    "town": ("clinician", "TWN"),
    "stranger": ("clinician", "FAR"),
    "emergency": ("clinician", "FAR"),
    "permitted": ("clinician", "PER"),
    "reader": ("reader", "CTY"),
    "remote": ("reader", "RAD"),
    "bureau": ("bureau", ""),
    "it": ("it", "CTY"),
    "admin": ("admin", ""),
}


@dataclass
class Site:
    served: Served
    clients: dict[str, Client]
    tokens: dict[str, str]
    files: Files

    @property
    def golden(self) -> str:
        return self.served.hub.store.person_of("c-p")


async def filled(hub: Hub, app: ASGIApp) -> Site:
    """The records as the intake leaves them; what opens them by the front door."""
    served = Served(hub, httpx.ASGITransport(app))
    images, files = imaging(hub)
    kept = [("CTY", image) for image in images]
    kept += [(code, each) for n, (code, prefix) in enumerate(OWN.items(), start=1) for each in records(prefix, n)]

    def fill(transaction: Transaction) -> None:
        for facility, each in kept:
            keep(transaction, each, id=each["id"], facility=facility, now=hub.clock(), policy=hub.county.policy)

    hub.store.write(fill).result()
    for facility, proof in PROOFS:
        answer = await served.client("clinician", facility, "filling").put(proof)
        assert answer.status_code == 201, answer.text
    assert (await served.client("admin", "", "filling").put(patient("other"))).status_code == 201
    tokens = {who: hub.tokens.create(who, role, facility) for who, (role, facility) in ACCOUNTS.items()}
    tokens |= {who: hub.tokens.create(who, "resident", patient=id) for who, id in (("resident", "t-p"), ("neighbour", "other"))}
    site = Site(served, {who: served.bearer(token) for who, token in tokens.items()}, tokens, files)
    broken = await site.clients["emergency"].post(parameters(**WHY), "/fhir/Patient/c-p/$break-glass")
    assert broken.status_code == 200, broken.text
    return site


async def signed_in(served: Served, token: str) -> tuple[httpx.AsyncClient, str]:
    """A browser with a session, and the session's form token."""
    http = httpx.AsyncClient(transport=served.transport, base_url="http://hub")
    form = re.search(r'name="csrf" value="([^"]+)"', (await http.get("/login")).text)
    assert form is not None
    await http.post("/login", data={"token": token, "csrf": form[1]})
    session = re.search(r'name="csrf" value="([^"]+)"', (await http.get("/p")).text)
    assert session is not None
    return http, session[1]
