"""Patient/$match by the front door: grades and scores, what it takes, and what it says to whom."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from hub.app import create_app, open_hub
from tests.hub.api.county import COUNTY, Client, Served
from tests.hub.identity.test_rules import HERS, HOME, OTHERS, patient

pytestmark = pytest.mark.anyio
PHONE = "13812345678"
GRADE = "http://hl7.org/fhir/StructureDefinition/match-grade"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Asked and never written."""
    opened = open_hub(tmp_path_factory.mktemp("match"), COUNTY)
    made = Served(opened, httpx.ASGITransport(create_app(opened)))
    asyncio.run(_fill(made))
    yield made
    opened.close()


async def _fill(made: Served) -> None:
    for facility, resources in STORED.items():
        client = made.client("system", facility)
        for resource in resources:
            assert (await client.put(resource)).status_code == 201


STORED = {
    "CTY": [
        patient("c1", card=HERS, phone=PHONE, own="C001"),
        patient("c2", name="李军", born="1968-01-02", sex="male", address=HOME),
        patient("c3", name="李军", born="1968-02-01", sex="male", address=HOME, phone="13900001111"),
    ],
    "TWN": [patient("t1", card=HERS, name="王晓芳"), patient("t2", card=OTHERS, name="赵敏", born="")],
}


async def ask(client: Client, wanted: dict[str, Any], **more: Any) -> dict[str, Any]:
    kinds = {bool: "valueBoolean", int: "valueInteger"}
    parts = [{"name": "resource", "resource": wanted}, *({"name": name, kinds[type(v)]: v} for name, v in more.items())]
    answer = await client.post({"resourceType": "Parameters", "parameter": parts}, "/fhir/Patient/$match")
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    assert (body["resourceType"], body["type"]) == ("Bundle", "searchset")
    return body


def graded(answer: dict[str, Any]) -> list[tuple[str, str, float]]:
    found = [entry for entry in answer.get("entry", ()) if entry["search"]["mode"] == "match"]
    assert answer["total"] == len(found)
    scores = [entry["search"]["score"] for entry in found]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    return [
        (entry["resource"]["id"], extension["valueCode"], entry["search"]["score"])
        for entry in found
        for extension in entry["search"]["extension"]
        if extension["url"] == GRADE
    ]


async def test_grades_and_scores_the_likeliest_first(hub: Served) -> None:
    admin = hub.client("admin")
    assert graded(await ask(admin, patient("", card=HERS))) == [("c1", "certain", 1.0), ("t1", "certain", 1.0)]
    assert graded(await ask(admin, patient("", phone="+86 138-1234-5678"))) == [("c1", "certain", 0.99)]
    stated = patient("", name="李军", born="1968-02-01", sex="male", address=HOME, phone="13900001111")
    assert [each[:2] for each in graded(await ask(admin, stated))] == [("c3", "certain"), ("c2", "possible")]
    assert graded(await ask(admin, patient("", name="钱七", born="1999-09-09"))) == []


async def test_by_number_alone_somebody_must_look(hub: Served) -> None:
    """A card tells whose it is, not who brought it."""
    admin = hub.client("admin")
    numbers = {"resourceType": "Patient", "identifier": [{"system": "urn:oid:2.16.156.10011.1.3", "value": OTHERS}]}
    assert [each[:2] for each in graded(await ask(admin, numbers))] == [("t2", "probable")]
    local = {"resourceType": "Patient", "identifier": [{"system": "urn:hub:CTY:patient", "value": "C001"}]}
    assert [each[:2] for each in graded(await ask(admin, local))] == [("c1", "probable")]


async def test_only_certain_matches_is_one_person_or_none(hub: Served) -> None:
    admin = hub.client("admin")
    one = await ask(admin, patient("", card=HERS), onlyCertainMatches=True)
    assert [grade for _, grade, _ in graded(one)] == ["certain"]
    golden = one["entry"][0]["resource"]
    assert {link["other"]["reference"] for link in golden["link"]} == {"Patient/c1", "Patient/t1"}
    unsure = await ask(admin, patient("", name="李军", born="1968-02-01", sex="male", phone="13900001111"), onlyCertainMatches=True)
    assert [each[1] for each in graded(unsure)] == ["certain"]
    unsure = await ask(admin, patient("", name="李军", born="1968-02-01", sex="male", address=HOME), onlyCertainMatches=True)
    assert graded(unsure) == []
    assert unsure["entry"][0]["search"]["mode"] == "outcome"
    assert "issue" in unsure["entry"][0]["resource"]


async def test_count_bounds_the_answer(hub: Served) -> None:
    assert len(graded(await ask(hub.client("admin"), patient("", card=HERS), count=1))) == 1


async def test_no_facility_learns_of_anothers_patients(hub: Served) -> None:
    town, county = hub.client("clinician", "TWN"), hub.client("clinician", "CTY")
    assert [id for id, _, _ in graded(await ask(town, patient("", card=HERS)))] == ["t1"]
    assert [id for id, _, _ in graded(await ask(county, patient("", card=HERS), onlyCertainMatches=True))] == ["c1"]
    assert await ask(town, patient("", name="李军", born="1968-02-01")) | {"meta": 0} == (
        await ask(town, patient("", name="钱七", born="1968-02-01")) | {"meta": 0}
    )
    refused = await hub.client("it").post(patient("x"), "/fhir/Patient/$match")
    assert refused.status_code == 403


async def test_what_it_takes(hub: Served) -> None:
    admin = hub.client("admin")
    plain = await admin.post(patient("x", card=HERS), "/fhir/Patient/$match?count=1")
    assert (plain.status_code, len(graded(plain.json()))) == (200, 1)
    little = await ask(admin, {"resourceType": "Patient", "gender": "male"})
    assert graded(little) == []
    assert "identifier" in little["entry"][0]["resource"]["issue"][0]["diagnostics"]
    for parts in (
        [],
        [{"name": "resource", "resource": {"resourceType": "Practitioner"}}],
        [{"name": "resource", "resource": patient("x")}, {"name": "count", "valueInteger": 0}],
        [{"name": "resource", "resource": patient("x")}, {"name": "onlyCertainMatches", "valueString": "perhaps"}],
        [{"name": "resource", "resource": patient("x")}, {"name": "threshold", "valueDecimal": 1}],
        [{"name": "resource", "resource": patient("x")}, {"name": "resource", "resource": patient("y")}],
    ):
        sent = {"resourceType": "Parameters", **({"parameter": parts} if parts else {})}
        refused = await admin.post(sent, "/fhir/Patient/$match")
        assert (refused.status_code, refused.json()["resourceType"]) == (400, "OperationOutcome"), parts
    stated = (await admin.get("/fhir/metadata")).json()["rest"][0]["resource"]
    operations = next(each for each in stated if each["type"] == "Patient")["operation"]
    assert {"name": "match", "definition": "http://hl7.org/fhir/OperationDefinition/Patient-match"} in operations
