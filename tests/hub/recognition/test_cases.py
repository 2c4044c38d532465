"""The hand-checked cases of cases.toml and borders.toml, asked of a hub over HTTP on both stores: every step, and the answer."""

from __future__ import annotations

import asyncio
import json
import tomllib
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from hub.app import Hub, create_app, open_hub
from hub.keep import keep
from hub.settings import County
from profiles.names import LOINC, RECOGNITION_MARK, STORED_OBJECT, UCUM

TABLE, MORE = (tomllib.loads((Path(__file__).parent / f"{name}.toml").read_text("utf-8")) for name in ("cases", "borders"))
TABLE["county"]["facility"] += MORE["facility"]
TABLE["item"] += MORE["item"]
TABLE["evidence"][0]["rows"] += MORE["evidence"]["rows"]
TABLE["like"] |= MORE["like"]
CASES = TABLE["case"] + MORE["case"]
CODES = {item["code"]: item["match"][0]["code"] for item in TABLE["item"]}
ID_NUMBER = "339900196803120120"


def item_of(case):
    return case.get("item") or (case["ask"] if case.get("ask") in CODES else "L0101")


@dataclass
class Bench:
    hub: Hub
    app: object
    token: str
    now: str = TABLE["now"]


@pytest.fixture(scope="module", params=["sqlite", "mongodb"])
def bench(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cases")
    county = County.model_validate({**TABLE["county"], "catalogue": "cases"})
    write_facts(folder)
    with ExitStack() as stack:
        store = stack.enter_context(request.getfixturevalue("mongodb").address()) if request.param == "mongodb" else ""
        bench = Bench(None, None, "")
        clock = lambda: int(datetime.fromisoformat(bench.now).timestamp() * 1000)  # noqa: E731
        bench.hub = open_hub(folder / "data", county, clock=clock, store=store)
        stack.callback(bench.hub.close)
        bench.app = create_app(bench.hub, beside=folder)
        bench.token = bench.hub.tokens.create("office", "admin", "")
        images = bench.hub.blobs.put(b"DICOM")
        records = [record for number, case in enumerate(CASES) for record in records_of(number, case, images)]
        bench.hub.store.write(lambda transaction: save(transaction, [*records, *crowd(request.param)], bench.hub)).result()
        yield bench


def save(transaction, records, hub):
    for facility, resource in records:
        keep(transaction, resource, id=resource["id"], facility=facility, now=hub.clock(), policy=hub.county.policy)


def write_facts(folder):
    rows = [
        dict(zip(("organization", "item", "scope", "passed", "valid_from", "valid_to"), row, strict=True), scheme="EQA", round="1")
        for row in TABLE["evidence"][0]["rows"]
    ]
    facts = {
        "catalogues": {"catalogue": TABLE["catalogue"], "items": TABLE["item"]},
        "evidence": {"evidence": {"id": "cases", "version": "1", "published": "2026-01-01"}, "rows": rows},
    }
    for name, content in facts.items():
        (folder / "recognition" / name).mkdir(parents=True)
        (folder / "recognition" / name / "cases.json").write_text(json.dumps(content), "utf-8")


def records_of(number, case, images):
    """The person of a case, at the county hospital, and each result as its facility would have sent it."""
    yield "CTY", patient(f"case-{number}", case, number)
    for place, differs in enumerate(case.get("results", ())):
        result = {**TABLE["like"][item_of(case)], **differs}
        id, owner = f"case-{number}-{place}", f"case-{number}"
        if "link" in result:
            owner = f"{owner}-other"
            yield result["facility"], patient(owner, case, number, named=result["link"] != "stranger")
        make = observation if not item_of(case).startswith("R") else lone_report if result.get("alone") else study
        for resource in make(id, CODES[item_of(case)], result, owner, images):
            yield result["facility"], resource


def patient(id, case, number, *, named=True):
    links = [result["link"] for result in case.get("results", ()) if "link" in result] if named else []
    stated = {"resourceType": "Patient", "id": id}
    if links:
        stated |= {"name": [{"text": f"曾小{'甲乙丙丁戊'[number % 5]}"}], "gender": "female", "birthDate": "1968-03-12"}
    if "second" in links:
        stated["identifier"] = [{"system": "urn:oid:2.16.156.10011.1.3", "value": ID_NUMBER}]
    return stated


def mark_of(result):
    if not result.get("mark"):
        return {}
    concept = {"coding": [{"system": "urn:hub:mark-scope", "code": "national"}], "text": result["mark"]}
    return {"extension": [{"url": RECOGNITION_MARK, "extension": [{"url": "scope", "valueCodeableConcept": concept}]}]}


def observation(id, code, result, owner, _):
    resource = {
        "resourceType": "Observation",
        "id": id,
        "status": result.get("status", "final"),
        "code": {"coding": [{"system": LOINC, "code": code}]},
        "subject": {"reference": f"Patient/{owner}"},
        **mark_of(result),
    }
    for name, key in (("effectiveDateTime", "at"), ("issued", "issued")):
        if result.get(key):
            resource[name] = result[key]
    if result.get("period"):
        resource["effectivePeriod"] = {"start": result["period"]}
    if result.get("absent"):
        resource["dataAbsentReason"] = {"text": "标本溶血"}
    elif "text" in result:
        resource["valueString"] = result["text"]
    else:
        coded = {"system": UCUM, "code": result["unit"]} if result["unit"] and result.get("unit_coded", True) else {}
        unit = {"unit": result["unit"]} if result["unit"] else {}
        comparator = {"comparator": result["comparator"]} if "comparator" in result else {}
        resource["valueQuantity"] = {**comparator, "value": Decimal(str(result["value"])), **unit, **coded}
    if result.get("range"):
        resource["referenceRange"] = [{"low": {"value": Decimal("3.5")}, "high": {"value": Decimal("5.3")}}]
    if result.get("method"):
        resource["method"] = {"text": result["method"]}
    if result.get("specimen"):
        taken = {"collection": {"collectedDateTime": result["collected"]}} if "collected" in result else {}
        drawn = {"type": {"text": result["specimen"]}, "subject": resource["subject"], **taken}
        yield {"resourceType": "Specimen", "id": f"{id}-s", **drawn}
        resource["specimen"] = {"reference": f"Specimen/{id}-s"}
    yield resource


def study(id, code, result, owner, images):
    gone = "0" * 64
    files = {"reachable": [images], "unreachable": [gone], "part": [images, gone], "none": [""]}[result["images"]]
    dicom = "http://dicom.nema.org/resources/ontology/DCM"
    series = {"modality": {"system": dicom, "code": result["modality"]}}
    if result["body_part"]:
        series["bodySite"] = {"system": "urn:hub:body", "code": result["body_part"]}
    sides = result.get("sides") or [result.get("laterality")]
    procedure = {"procedureCode": [{"coding": [{"system": LOINC, "code": result["procedure"]}]}]} if "procedure" in result else {}
    if "report" in result:
        yield from report_on(id, code, owner, result["report"], imagingStudy=[{"reference": f"ImagingStudy/{id}"}])
    yield {
        "resourceType": "ImagingStudy",
        "id": id,
        "status": result.get("status", "available"),
        **procedure,
        "subject": {"reference": f"Patient/{owner}"},
        "started": result["at"],
        "description": result.get("title", "片"),
        "modality": [{"system": dicom, "code": result["modality"]}],
        "numberOfSeries": result["series"],
        "series": [
            {**series, "uid": f"1.2.3.{n}", **side(sides[n % len(sides)]), "instance": [instance(files[n % len(files)])]}
            for n in range(result["series"])
        ],
    }


def side(code):
    return {"laterality": {"system": "urn:hub:side", "code": code}} if code else {}


def instance(file):
    stored = {"extension": [{"url": STORED_OBJECT, "valueReference": {"reference": f"Binary/{file}"}}]} if file else {}
    return {"uid": "1.2.3.4", "sopClass": {"system": "urn:ietf:rfc:3986", "code": "urn:oid:1.2.840.10008.5.1.4.1.1.1"}, **stored}


def report_on(id, code, owner, status, **more):
    yield {
        "resourceType": "DiagnosticReport",
        "id": f"{id}-r",
        "status": status,
        "code": {"coding": [{"system": LOINC, "code": code}]},
        "subject": {"reference": f"Patient/{owner}"},
        "conclusion": "心肺未见异常",
        **more,
    }


def lone_report(id, code, result, owner, _):
    yield from report_on(id, code, owner, "final", effectiveDateTime=result["at"])


def asked(bench, number, case, answers=1):
    async def run():
        query = {
            "code": case.get("ask", "L0101"),
            "context": case.get("context", "outpatient"),
            "orderer": f"Organization/{case.get('orderer', 'TWP')}",
        }
        transport = httpx.ASGITransport(bench.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://hub.test") as http:
            headers = {"authorization": f"Bearer {bench.token}"}
            return await http.get(f"/fhir/Patient/case-{number}/$recognizable-results", params=query, headers=headers)

    bench.now = case.get("now", TABLE["now"])
    answer = asyncio.run(run())
    assert answer.status_code == 200, answer.text
    results = [part["part"] for part in answer.json()["parameter"]]
    assert len(results) == answers
    return results[0] if answers == 1 else results


def crowd(store):
    """One person with more results of one item than are looked at, all newer than the one of another."""
    yield "CTY", {"resourceType": "Patient", "id": "case-crowd"}
    for item, count in (("L0101", 1), ("L0501", 205 if store == "sqlite" else 3)):
        for number in range(count):
            for resource in observation(f"crowd-{item}-{number}", CODES[item], TABLE["like"][item], "case-crowd", None):
                yield "CTY", resource


def test_many_results_of_one_item_hide_none_of_another(bench):
    potassium, cells = asked(bench, "crowd", {"ask": "L0101,L0501"}, 2)
    assert [value(each, "verdict") for each in (potassium, cells)] == ["recognisable", "recognisable"]
    assert [len(groups(each, "candidate")) for each in (potassium, cells)] in ([1, 100], [1, 3])


def value(parts, name, default=""):
    part = next((part for part in parts if part["name"] == name), {})
    return next((v for k, v in part.items() if k.startswith("value")), default)


def groups(parts, name):
    return [part["part"] for part in parts if part["name"] == name]


def letters(candidate):
    """One for each of the nine steps: F if a rule of it fails, P if one passes, else -."""
    found = dict.fromkeys(range(1, 10), "-")
    for step in groups(candidate, "step"):
        number, outcome = value(step, "number"), value(step, "outcome")
        found[number] = "F" if outcome == "fail" else "P" if outcome == "pass" and found[number] != "F" else found[number]
    return "".join(found.values())


def failed(candidate):
    return [value(step, "rule") for step in groups(candidate, "step") if value(step, "outcome") == "fail"]


@pytest.mark.parametrize("number", range(len(CASES)), ids=[case["name"] for case in CASES])
def test_the_rules_say_what_was_worked_out_by_hand(bench, number):
    case = CASES[number]
    result = asked(bench, number, case)
    candidates = groups(result, "candidate")
    count = len(case["steps"])
    assert [letters(each) for each in candidates] == case["steps"]
    assert [failed(each) for each in candidates] == case.get("fails", [[]] * count)
    assert [value(each, "verdict") for each in candidates] == case.get("verdicts", [case["answer"]] * count)
    assert [value(each, "duty") for each in candidates] == case.get("duty", [""] * count)
    assert (value(result, "verdict"), value(result, "prompt")) == (case["answer"], case["prompt"])
    assert value(result, "reason") == case.get("reason", value(result, "reason"))
    if "age" in case:
        assert [value(each, "age-days", None) for each in candidates] == case["age"]
    marks = groups(candidates[0], "mark") if candidates else []
    if "claimed" in case:
        assert value(marks[0] if marks else [], "claimed") == case["claimed"]
    if "conclusion" in case:
        assert value(candidates[0], "conclusion") == case["conclusion"]
    if "verified" in case:
        assert [part["valueString"] for part in (marks[0] if marks else []) if part["name"] == "verified"] == case["verified"]
