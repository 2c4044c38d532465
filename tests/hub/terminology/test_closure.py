"""$closure: a client's table of what lies below what. https://hl7.org/fhir/R4/terminology-service.html#closure"""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.hub.api.county import Client, Served
from tests.hub.terminology.tables import DIAGNOSES, DIAGNOSIS_TABLE, parameters

pytestmark = pytest.mark.anyio


async def asked(client: Client, *codes: str, system: str = DIAGNOSES, at: str = "/fhir/$closure", **stated: Any) -> httpx.Response:
    question = parameters(name="problems", **stated)
    question["parameter"] += [{"name": "concept", "valueCoding": {"system": system, "code": code}} for code in codes]
    return await client.post(question, at)


def edges(answer: httpx.Response) -> list[tuple[str, str]]:
    """(code, what subsumes it)."""
    assert answer.status_code == 200, answer.text
    found = []
    for group in answer.json().get("group", []):
        assert group["source"] == group["target"] == DIAGNOSES
        for element in group["element"]:
            assert {target["equivalence"] for target in element["target"]} == {"subsumes"}
            found += [(element["code"], target["code"]) for target in element["target"]]
    return sorted(found)


async def test_a_table_grows_by_what_each_code_adds(admin: Client) -> None:
    await admin.put(DIAGNOSIS_TABLE)
    begun = await asked(admin, at="/fhir/ConceptMap/$closure")
    assert (begun.json()["id"], begun.json()["version"], edges(begun)) == ("problems", "0", [])
    assert edges(await asked(admin, "K35.301")) == [], "what is alone lies below nothing, and never below itself"
    assert edges(await asked(admin, "K35", "E11")) == [("K35.301", "K35")]
    third = await asked(admin, "K35.3", "k35.301")
    assert (third.json()["version"], edges(third)) == ("3", [("K35.3", "K35"), ("K35.301", "K35.3")])
    assert edges(await asked(admin, "K35")) == []
    assert edges(await asked(admin, version="2")) == [("K35.3", "K35"), ("K35.301", "K35.3")]
    whole = await asked(admin, version="0")
    assert (whole.json()["version"], len(edges(whole))) == ("4", 3)
    assert edges(await asked(admin, version="4")) == []


async def test_a_table_ends_with_the_code_system_that_it_was_made_of(admin: Client) -> None:
    await admin.put(DIAGNOSIS_TABLE)
    await asked(admin)
    await asked(admin, "K35.301")
    await admin.put({**DIAGNOSIS_TABLE, "concept": DIAGNOSIS_TABLE["concept"][:1]})
    for refused in (await asked(admin, "K35"), await asked(admin, version="0")):
        assert refused.status_code == 422
        assert "must be reinitialized" in refused.json()["issue"][0]["diagnostics"]
    assert (await asked(admin)).json()["version"] == "0"
    assert edges(await asked(admin, "K35.301", "K35")) == [("K35.301", "K35")]


async def test_a_table_is_its_holder_s_own_and_must_have_been_begun(hub: Served, admin: Client, nurse: Client) -> None:
    await admin.put(DIAGNOSIS_TABLE)
    assert (await asked(admin, "K35")).status_code == 404
    await asked(admin)
    assert (await asked(nurse, "K35")).status_code == 404, "of the same name, and another's"
    for answer, status in (
        (await asked(admin, "none"), 404),
        (await asked(admin, "1", system="urn:hub:test:none"), 404),
        (await asked(admin, "1", system=" "), 422),
        (await asked(admin, "K35", version="0"), 400),
        (await asked(admin, version="7"), 400),
        (await asked(admin, version="last"), 400),
        (await admin.post(parameters(name="no name!"), "/fhir/$closure"), 400),
        (await admin.post(parameters(version="1"), "/fhir/$closure"), 400),
        (await admin.post(parameters(name="problems", concept="K35"), "/fhir/$closure"), 400),
        (await asked(hub.bearer("")), 401),
    ):
        assert (answer.status_code, answer.json()["resourceType"]) == (status, "OperationOutcome"), answer.text
    assert (await asked(admin, version="0")).json()["version"] == "0", "what was refused added nothing"
