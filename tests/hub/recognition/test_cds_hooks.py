"""CDS Hooks 2.0 as a client meets it: the bodies are shaped as the public sandbox sends them, with and without prefetch."""

from __future__ import annotations

import asyncio
import json
import threading
import uuid
from contextlib import contextmanager
from dataclasses import replace

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from hub.recognition.callers import Callers
from hub.recognition.facts import recognition_of
from hub.recognition.http import Desk
from hub.settings import RecognitionClient
from tests.hub.web.conftest import site  # noqa: F401  the county with its three facilities
from tests.hub.web.county import ID_NUMBER, NOW, NUMBERS

SANDBOX = "https://sandbox.cds-hooks.org"
SELECT, SIGN = "/cds-services/mutual-recognition-order-select", "/cds-services/mutual-recognition-order-sign"
KEY_ID = "d9cd3c4f-eb08-4304-b973-44f352fd2ca2"


def order(id, code, system="http://loinc.org", **more):
    return {
        "resourceType": "ServiceRequest",
        "id": id,
        "status": "draft",
        "intent": "order",
        "code": {"coding": [{"system": system, "code": code}]},
        "subject": {"reference": "Patient/x"},
        **more,
    }


def medication(id):
    """As the sandbox's prescription view drafts it."""
    coding = {"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "857001", "display": "Acetaminophen"}
    return {
        "resourceType": "MedicationRequest",
        "id": id,
        "status": "draft",
        "intent": "order",
        "subject": {"reference": "Patient/x"},
        "medicationCodeableConcept": {"text": "Acetaminophen", "coding": [coding]},
    }


def body(site, *orders, hook="order-select", selections=None, patient="", **context):  # noqa: F811
    """What the sandbox posts: no encounter, a Bundle without type, its own FHIR server."""
    drafts = {"resourceType": "Bundle", "entry": [{"resource": each} for each in orders]}
    stated = {"patientId": patient or site.person, "userId": "Practitioner/SMART-1234", "draftOrders": drafts, **context}
    if hook == "order-select":
        stated["selections"] = selections or [f"{each['resourceType']}/{each['id']}" for each in orders]
    return {
        "hookInstance": str(uuid.uuid4()),
        "hook": hook,
        "fhirServer": "https://launch.smarthealthit.org/v/r4/fhir",
        "context": stated,
    }


def call(site, method, path, content=None, who="TWP", headers=(), after=lambda: None):  # noqa: F811
    """`after`: run once the answer is there; only then the threads beside the event loop are waited for."""

    async def run():
        transport = httpx.ASGITransport(site.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://hub.test") as http:
            stated = {"accept": "application/json", **dict(headers)}
            if who:
                stated.setdefault("authorization", f"Bearer {site.tokens[who]}")
            answer = await http.request(method, path, json=content, headers=stated)
            after()
            return answer

    return asyncio.run(run())


def cards(answer):
    assert answer.status_code == 200, answer.text
    found = answer.json()["cards"]
    for card in found:
        uuid.UUID(card["uuid"])
        assert 0 < len(card["summary"]) < 140
        assert card["indicator"] in ("info", "warning")
        assert card["source"]["label"]
        assert all(link["type"] == "absolute" and link["label"] and link["url"] for link in card.get("links", ()))
        assert "selectionBehavior" in card or "suggestions" not in card
        assert None not in card.values()
        assert [] not in card.values()
    return found


def prompts(site):  # noqa: F811
    found = call(site, "GET", f"/fhir/Task?code=recognition-decision&patient={site.person}&_count=100").json()
    return [entry["resource"] for entry in found.get("entry", ())]


def test_discovery_is_free_and_names_both_hooks(site):  # noqa: F811
    services = call(site, "GET", "/cds-services", who="").json()["services"]
    assert {(each["id"], each["hook"]) for each in services} == {
        ("mutual-recognition-order-select", "order-select"),
        ("mutual-recognition-order-sign", "order-sign"),
    }
    assert all(each["description"] and each["prefetch"]["patient"] == "Patient/{{context.patientId}}" for each in services)


def test_a_result_that_counts_is_a_card_to_decide_on(site):  # noqa: F811
    (card,) = cards(
        call(site, "POST", SELECT, body(site, order("o1", "2823-3"), medication("m1")), headers={"accept-language": "en"})
    )
    assert card["summary"] == "Potassium: a result that need not be repeated: 3.2 mmol/L (County Hospital, 2 days ago)"
    assert card["indicator"] == "warning"
    for told in (
        "3.2 mmol/L",
        "2026-03-08 08:00",
        "2 days ago",
        "County Hospital",
        "verified: national",
        "NCCL-EQA demo · valid today",
    ):
        assert told in card["detail"]
    (suggestion,) = card["suggestions"]
    assert suggestion["isRecommended"] is True
    assert suggestion["actions"] == [
        {"type": "delete", "description": "Take the order back", "resourceId": "ServiceRequest/o1"},
    ]
    assert [reason["code"] for reason in card["overrideReasons"]] == [f"R{n:02d}" for n in range(1, 13)]
    assert {reason["system"] for reason in card["overrideReasons"]} == {"urn:hub:repeat-reason"}
    report, page = (link["url"] for link in card["links"])
    assert report.startswith(f"http://hub.test/p/{site.person}/doc/DiagnosticReport/")
    assert page.startswith(f"http://hub.test/embed/prompt/{card['uuid']}?ticket=")


def test_only_what_was_just_selected_is_answered_but_all_that_is_signed(site):  # noqa: F811
    drafts = (order("o1", "2823-3"), order("o2", "14682-9"))
    (one,) = cards(call(site, "POST", SELECT, body(site, *drafts, selections=["ServiceRequest/o2"])))
    assert "肌酐" in one["summary"]
    assert len(cards(call(site, "POST", SIGN, body(site, *drafts, hook="order-sign")))) == 2


def test_the_same_question_within_a_visit_is_the_same_prompt(site):  # noqa: F811
    asked = body(site, order("o7", "2823-3"), encounterId="visit-7")
    (first,), (again,) = (cards(call(site, "POST", SELECT, asked)) for _ in range(2))
    (other,) = cards(call(site, "POST", SELECT, body(site, order("o7", "2823-3"), encounterId="visit-8")))
    assert first["uuid"] == again["uuid"] != other["uuid"]
    assert len([task for task in prompts(site) if task["groupIdentifier"]["value"] == "visit-7"]) == 1


def test_what_does_not_count_says_why_and_asks_nothing(site):  # noqa: F811
    (card,) = cards(
        call(site, "POST", SIGN, body(site, order("o1", "14933-6"), hook="order-sign"), headers={"accept-language": "en"})
    )
    assert card["indicator"] == "info"
    assert "for reference" in card["summary"]
    assert "not in date when performed" in card["detail"]
    assert "suggestions" not in card
    assert "overrideReasons" not in card


def test_an_emergency_is_one_line_and_never_stopped(site):  # noqa: F811
    urgent = (order("o1", "2823-3", priority="stat"), order("o2", "14682-9", priority="stat"))
    (card,) = cards(call(site, "POST", SIGN, body(site, *urgent, hook="order-sign")))
    assert set(card) == {"uuid", "summary", "indicator", "source"}
    assert card["summary"].startswith("急诊参考（不影响开单）：钾 3.2 mmol/L")
    stated = body(site, order("o1", "2823-3"), hook="order-sign", encounterId="E1")
    stated["prefetch"] = {"encounter": {"resourceType": "Encounter", "id": "E1", "class": {"code": "EMER"}}, "patient": None}
    assert set(cards(call(site, "POST", SIGN, stated))[0]) == {"uuid", "summary", "indicator", "source"}


def test_an_order_may_state_its_setting_and_its_encounter_is_looked_up(site):  # noqa: F811
    extension = [{"url": "urn:hub:ext:recognition-context", "valueCode": "forensic"}]
    (card,) = cards(call(site, "POST", SIGN, body(site, order("o1", "2823-3", extension=extension), hook="order-sign")))
    assert "不适用互认" in card["detail"]
    encounter = f"{NUMBERS['CTY']}-2"  # an inpatient stay at the county hospital, by its own number
    stated = body(site, order("o1", "2823-3"), hook="order-sign", encounterId=encounter)
    (card,) = cards(call(site, "POST", SIGN, stated, who="CTY"))
    (task,) = [task for task in prompts(site) if task["groupIdentifier"]["value"] == encounter]
    assert next(each["valueCode"] for each in task["input"] if each["type"]["text"] == "context") == "inpatient"
    assert task["focus"]["identifier"] == {"system": "urn:hub:CTY:order", "value": "o1"}


@pytest.mark.parametrize("by", ["own number", "national number"])
def test_a_station_that_knows_the_person_by_other_numbers(site, by):  # noqa: F811
    if by == "own number":
        stated = body(site, order("o1", "2823-3"), patient=NUMBERS["TWP"])
    else:
        stated = body(site, order("o1", "2823-3"), patient="smart-1482713")
        stated["prefetch"] = {"patient": {"identifier": [{"system": "urn:oid:2.16.156.10011.1.3", "value": ID_NUMBER}]}}
    assert len(cards(call(site, "POST", SELECT, stated))) == 1


@pytest.mark.parametrize(("who", "patient"), [("TWP", "smart-1482713"), ("FAR", "")])
def test_nobody_that_the_caller_may_see_has_no_cards(site, who, patient):  # noqa: F811
    assert cards(call(site, "POST", SELECT, body(site, order("o1", "2823-3"), patient=patient), who=who)) == []


def test_what_maps_to_no_item_has_no_cards(site):  # noqa: F811
    assert (
        cards(call(site, "POST", SELECT, body(site, order("example-request-id", "72133", "http://www.ama-assn.org/go/cpt")))) == []
    )
    assert cards(call(site, "POST", SELECT, body(site, medication("m1")))) == []


def test_feedback_is_the_decision(site):  # noqa: F811
    asked = body(site, order("o3", "2823-3"), order("o4", "14682-9"), hook="order-sign", encounterId="visit-f")
    potassium, creatinine = cards(call(site, "POST", SIGN, asked))
    feedback = [
        {
            "card": potassium["uuid"],
            "outcome": "accepted",
            "acceptedSuggestions": [{"id": potassium["suggestions"][0]["uuid"]}],
            "outcomeTimestamp": "2026-03-10T02:01:00Z",
        },
        {
            "card": creatinine["uuid"],
            "outcome": "overridden",
            "overrideReason": {"reason": {"code": "R01", "system": "urn:hub:repeat-reason"}, "userComment": "乏力加重"},
            "outcomeTimestamp": "2026-03-10T02:01:00Z",
        },
        {"card": str(uuid.uuid4()), "outcome": "overridden", "outcomeTimestamp": "2026-03-10T02:01:00Z"},
    ]
    assert call(site, "POST", f"{SIGN}/feedback", {"feedback": feedback}).status_code == 200
    tasks = {t["identifier"][0]["value"]: t for t in prompts(site)}
    recognised, refused = (tasks[f"urn:uuid:{card['uuid']}"] for card in (potassium, creatinine))
    told = {each["type"]["text"]: each for each in recognised["output"]}
    assert recognised["status"] == refused["status"] == "completed"
    assert told["decision"]["valueCodeableConcept"]["coding"][0]["code"] == "recognised"
    assert told["saved-fen"]["valueInteger"] == 300
    told = {each["type"]["text"]: each for each in refused["output"]}
    assert told["reason"]["valueCodeableConcept"]["coding"][0]["code"] == "R01"
    assert told["reason"]["valueCodeableConcept"]["text"] == "乏力加重"
    assert told["saved-fen"]["valueInteger"] == 0
    assert recognised["owner"]["identifier"] == {"system": "urn:hub:TWP:practitioner", "value": "SMART-1234"}
    (again,) = cards(call(site, "POST", SIGN, asked))  # what was refused is not asked again in this visit
    assert "已互认" in again["summary"]
    assert "suggestions" not in again


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda b: b.update(hook="patient-view"), "hook must be order-select"),
        (lambda b: b.pop("hookInstance"), "hookInstance"),
        (lambda b: b.pop("context"), "context must be"),
        (lambda b: b["context"].pop("patientId"), "context.patientId is missing"),
        (lambda b: b["context"].pop("draftOrders"), "context.draftOrders"),
        (lambda b: b["context"].pop("selections"), "context.selections"),
        (lambda b: b["context"]["draftOrders"].update(entry=[3]), "entry[0]"),
        (lambda b: b["context"].update(patientId="no/such id"), "FHIR id"),
    ],
)
def test_a_wrong_request_says_what_is_wrong(site, change, says):  # noqa: F811
    stated = body(site, order("o1", "2823-3"))
    change(stated)
    answer = call(site, "POST", SELECT, stated)
    assert answer.status_code == 400
    assert says in answer.json()["issue"][0]["diagnostics"]


@pytest.mark.parametrize(("reason", "comment"), [("R13", ""), ("R06", "")], ids=["none of ours", "other, without saying which"])
def test_feedback_with_a_reason_that_is_none_is_refused(site, reason, comment):  # noqa: F811
    stated = {
        "card": str(uuid.uuid4()),
        "outcome": "overridden",
        "overrideReason": {"reason": {"code": reason}, "userComment": comment},
    }
    assert call(site, "POST", f"{SIGN}/feedback", {"feedback": [stated]}).status_code == 422


def test_who_may_not_order_gets_no_cards(site):  # noqa: F811
    assert call(site, "POST", SELECT, body(site, order("o1", "2823-3")), who="").status_code == 401
    assert call(site, "POST", SELECT, body(site, order("o1", "2823-3")), who="reader").status_code == 403
    assert call(site, "POST", "/cds-services/nothing", body(site)).status_code == 404


def test_the_sandbox_may_call_from_a_browser_and_other_pages_may_not(site):  # noqa: F811
    asked = {
        "origin": SANDBOX,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
    }
    answer = call(site, "OPTIONS", SELECT, who="", headers=asked)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == SANDBOX
    assert "authorization" in answer.headers["access-control-allow-headers"]
    answer = call(site, "POST", SELECT, body(site, order("o1", "2823-3")), headers={"origin": "https://evil.example"})
    assert "access-control-allow-origin" not in answer.headers


@contextmanager
def trusted(site, folder):  # noqa: F811
    """The county trusts the sandbox's key for orders of the health centre."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key()))
    (folder / "sandbox.json").write_text(json.dumps({"keys": [{**public, "kid": KEY_ID, "use": "enc", "alg": "ES256"}]}), "utf-8")
    call(site, "OPTIONS", SELECT, who="")
    desk = site.app.state.recognition_desk = Desk(site.app.state)
    desk.callers = Callers.of((RecognitionClient(issuer=SANDBOX, jwks="sandbox.json", facility="TWP"),), folder)
    yield key
    del site.app.state.recognition_desk


def signed(key, **claims):
    now = int(NOW.timestamp())
    stated = {
        "iss": SANDBOX,
        "sub": "48163c5e",
        "aud": f"http://hub.test{SELECT}",
        "exp": now + 300,
        "iat": now,
        "jti": str(uuid.uuid4()),
    }
    return {"authorization": f"Bearer {jwt.encode({**stated, **claims}, key, 'ES256', headers={'kid': KEY_ID})}"}


def test_a_client_that_signs_its_requests(site, tmp_path):  # noqa: F811
    asked = body(site, order("o1", "2823-3"))
    with trusted(site, tmp_path) as key:
        fresh = signed(key)
        assert len(cards(call(site, "POST", SELECT, asked, who="", headers=fresh))) == 1
        assert call(site, "POST", SELECT, asked, who="", headers=fresh).status_code == 401  # once
        behind = signed(key, aud=f"https://hub.county.example{SELECT}")
        assert call(site, "POST", SELECT, asked, who="", headers=behind).status_code == 401
        known_as = site.hub.county.recognition.model_copy(update={"base": "https://hub.county.example/"})
        county = site.hub.county.model_copy(update={"recognition": known_as})
        site.app.state.hub = replace(site.hub, county=county)  # a proxy stands before it
        try:
            assert len(cards(call(site, "POST", SELECT, asked, who="", headers=behind))) == 1
        finally:
            site.app.state.hub = site.hub
        for wrong in (
            signed(key, aud="http://hub.test/elsewhere"),
            signed(key, iss="https://evil.example"),
            signed(key, exp=int(NOW.timestamp()) - 61),
            signed(key, exp=int(NOW.timestamp()) + 86_400),
            signed(ec.generate_private_key(ec.SECP256R1())),
            {"authorization": "Bearer a.b.c"},
        ):
            assert call(site, "POST", SELECT, asked, who="", headers=wrong).status_code == 401


def test_an_order_of_several_items_is_answered_item_by_item_and_none_takes_it_back(site):  # noqa: F811
    service, profile = recognition_of(site.app.state), ("urn:hub:TWP:item", "急诊生化")
    service.concept_maps[profile] = tuple({"system": "http://loinc.org", "code": code} for code in ("2823-3", "14682-9"))
    try:
        asked = body(site, order("o9", "急诊生化", profile[0]), encounterId="profile")
        found = cards(call(site, "POST", SELECT, asked))
    finally:
        del service.concept_maps[profile]
    assert ["钾" in found[0]["summary"], "肌酐" in found[1]["summary"]] == [True, True]
    assert all("actions" not in suggestion for card in found for suggestion in card["suggestions"])


@pytest.mark.parametrize(("system", "code"), [("http://loinc.org", "24320-4"), ("urn:hub:TWP:item", "急诊生化八项")])
def test_an_order_of_a_laboratory_panel_is_answered_item_by_item(site, system, code):  # noqa: F811
    """By its LOINC code, or by a facility's own code that is mapped to it."""
    service, known = recognition_of(site.app.state), ("urn:hub:TWP:item", "急诊生化八项")
    service.concept_maps[known] = ({"system": "http://loinc.org", "code": "24320-4"},)
    try:
        found = cards(call(site, "POST", SELECT, body(site, order("o10", code, system), encounterId="panel")))
    finally:
        del service.concept_maps[known]
    assert {name for name in ("钾", "肌酐") if any(name in card["summary"] for card in found)} == {"钾", "肌酐"}
    assert all("actions" not in suggestion for card in found for suggestion in card["suggestions"])
    item = service.catalogue.matching("http://loinc.org", "2823-3")
    assert ("http://loinc.org", "24320-4") not in service.codes_of(item), "no result of potassium carries the panel's code"


@pytest.mark.parametrize(
    "prefetch",
    [
        {},
        {"prefetch": None},
        {"prefetch": {}},
        {"prefetch": {"patient": None, "encounter": None}},
        {"prefetch": {"patient": {"resourceType": "OperationOutcome", "issue": []}, "encounter": []}},
        {
            "prefetch": {
                "patient": {"resourceType": "Patient", "identifier": [{"value": "x"}, None, 3]},
                "encounter": {"class": "AMB"},
            }
        },
        {"fhirAuthorization": {"access_token": "t", "token_type": "Bearer", "expires_in": 300, "scope": "*", "subject": "s"}},
        {"extension": {"org.example": 1}, "unknown": [1]},
    ],
)
def test_what_a_station_sends_besides_is_not_needed(site, prefetch):  # noqa: F811
    asked = body(site, medication("m1"), order("o1", "2823-3"), medication("m2"), order("o2", "x", "urn:none"))
    assert len(cards(call(site, "POST", SELECT, {**asked, **prefetch}))) == 1


def test_only_what_is_meant_is_asked(site):  # noqa: F811
    drafts = (order("o1", "2823-3"), medication("o2"), order("o2", "14682-9"), order("o3", "14682-9", doNotPerform=True))
    assert cards(call(site, "POST", SELECT, body(site, *drafts, selections=["MedicationRequest/o2"]))) == []
    assert len(cards(call(site, "POST", SELECT, body(site, *drafts, selections=["o2"])))) == 1
    assert cards(call(site, "POST", SELECT, body(site, *drafts, selections=["ServiceRequest/o3"]))) == []


def test_each_order_may_have_its_own_setting(site):  # noqa: F811
    forensic = [{"url": "urn:hub:ext:recognition-context", "valueCode": "forensic"}]
    drafts = (order("o1", "2823-3", extension=forensic), order("o2", "14682-9"), order("o4", "14682-9", priority="stat"))
    excluded, counts, urgent = cards(call(site, "POST", SIGN, body(site, *drafts, hook="order-sign", encounterId="settings")))
    assert ["suggestions" in card for card in (excluded, counts, urgent)] == [False, True, False]
    assert "急诊参考" in urgent["summary"]
    wrong = [{"url": "urn:hub:ext:recognition-context", "valueCode": "none of ours"}]
    answer = call(site, "POST", SIGN, body(site, order("o1", "2823-3", extension=wrong), hook="order-sign"))
    assert (answer.status_code, "context must be one of" in answer.text) == (400, True)


def test_what_is_no_call_of_ours_is_refused_and_says_so(site):  # noqa: F811
    assert call(site, "GET", SELECT).status_code == 405
    assert call(site, "POST", "/cds-services").status_code == 405
    assert call(site, "POST", SELECT, body(site, *(order(f"o{n}", "2823-3") for n in range(101)))).status_code == 400
    assert call(site, "POST", SELECT, {"hook": "x" * 3_000_000}).status_code == 413
    for content in ([], None, "text", 3):
        assert call(site, "POST", SELECT, content).status_code == 400
    for path in (SELECT, f"{SELECT}/feedback", "/cds-services"):
        answer = call(site, "OPTIONS", path, who="", headers={"origin": SANDBOX})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (204, SANDBOX)


@contextmanager
def impatient(site):  # noqa: F811
    """A desk of its own that waits a moment only."""
    desk = Desk(site.app.state)
    desk.order_time.seconds = 0.05
    site.app.state.recognition_desk = desk
    try:
        yield desk
    finally:
        del site.app.state.recognition_desk


class Stalled:
    """The store as a server that has stopped to answer, until `again`."""

    shared = True

    def __init__(self, store):
        self._store, self.again = store, threading.Event()

    def __getattr__(self, name):
        self.again.wait()
        return getattr(self._store, name)


def test_a_store_that_does_not_answer_holds_no_order_up(site):  # noqa: F811
    asked = body(site, order("o1", "2823-3"), encounterId="stalled")
    stalled = site.hub.door._store = Stalled(site.hub.store)
    try:
        with impatient(site) as desk:
            assert cards(call(site, "POST", SELECT, asked, after=stalled.again.set)) == []
            assert desk.order_time.late == 1
            told = call(site, "POST", "/recognition/ask", {"patient": NUMBERS["TWP"], "items": ["钾"], "visit": "stalled"})
    finally:
        site.hub.door._store = site.hub.store
    assert told.status_code == 200


def test_a_prompt_that_nobody_was_shown_is_not_kept(site):  # noqa: F811
    asked = body(site, order("o1", "2823-3"), encounterId="busy")
    again = threading.Event()
    held = site.hub.store.write(lambda _: again.wait())  # the writer has something else to do
    try:
        with impatient(site) as desk:
            assert cards(call(site, "POST", SELECT, asked)) == []
            assert desk.order_time.late == 1
    finally:
        again.set()
    held.result()
    site.hub.store.write(lambda _: None).result()  # comes after all that waited
    assert not [task for task in prompts(site) if task["groupIdentifier"]["value"] == "busy"]
    (card,) = cards(call(site, "POST", SELECT, asked))  # asked again, it is a prompt as any other
    assert card["suggestions"]
