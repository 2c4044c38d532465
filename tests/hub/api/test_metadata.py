"""The CapabilityStatement says what the server does: every claim is tried, and nothing that is served goes unclaimed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import anyio
import pytest

from hub.api.claims import CONDITIONAL, INTERACTIONS, OTHER_WAYS, operation_of, plain
from hub.api.service import ROUTES
from hub.search.parameters import registry
from profiles.validation import validate
from tests.hub.api.county import Client, Served, entry, observation, patient

pytestmark = pytest.mark.anyio

DEFAULT = Path.home() / ".cache/yitong-hub/hl7.fhir.r4.examples-4.0.1/package"
EXAMPLES = Path(os.environ.get("YITONG_R4_EXAMPLES", DEFAULT))
VALUES = {
    "token": "a",
    "string": "a",
    "reference": "Patient/a",
    "date": "2024",
    "number": "1",
    "quantity": "1",
    "uri": "http://a.example",
    "special": "1|1|1|km",
}
TRIED = ("Patient", "Encounter", "Observation", "ValueSet", "CodeSystem", "ConceptMap", "Group", "Subscription", "AuditEvent")
OF_ANY_TYPE = {"_has": None, "_filter": "_id eq a", "_type": "Patient"}


async def statement(client: Client, query: str = "") -> dict[str, Any]:
    answer = await client.get(f"/fhir/metadata{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_it_is_valid_by_our_own_validator(admin: Client) -> None:
    for query in ("", "?mode=full", "?mode=normative", "?mode=terminology"):
        assert validate(await statement(admin, query)) == (), query


def test_every_route_is_claimed() -> None:
    claimed = set(INTERACTIONS) | set(CONDITIONAL) | set(OTHER_WAYS)
    for method, address, _, _ in ROUTES:
        known = (method, plain(address)) in claimed or operation_of(method, address) or address.startswith("/fhir/Binary")
        assert known or address == "/fhir/openapi.json", (method, address)


async def test_every_search_parameter_claimed_is_answered(admin: Client) -> None:
    rest = (await statement(admin))["rest"][0]
    refused = []
    for resource in rest["resource"]:
        for parameter in resource["searchParam"]:
            name = parameter["name"]
            known = registry().get(resource["type"], name)
            parts = [part.type for part in known.components] if known and known.components else [parameter["type"]]
            value = "$".join(VALUES[part] for part in parts)
            answer = await admin.get(f"/fhir/{resource['type']}?{name}={value}&_count=1")
            if answer.status_code != 200:
                refused.append((resource["type"], name, answer.json()["issue"][0]["diagnostics"]))
            assert parameter["documentation"]
            assert parameter["definition"]
    assert not refused
    await admin.put({"resourceType": "List", "id": "a", "status": "current", "mode": "working"})
    for parameter in rest["searchParam"]:
        name, value = parameter["name"], OF_ANY_TYPE.get(parameter["name"], "a")
        query = f"{name}={value}" if value else "_has:Observation:patient:code=a"
        path = "/fhir" if name == "_type" else "/fhir/Patient"
        assert (await admin.get(f"{path}?{query}")).status_code == 200, name


async def test_includes_claimed_are_answered(admin: Client) -> None:
    for resource in (await statement(admin))["rest"][0]["resource"]:
        kind = resource["type"]
        asked = "&".join(f"_include={each}" for each in resource["searchInclude"][:40])
        assert (await admin.get(f"/fhir/{kind}?{asked}")).status_code == 200, kind
        asked = "&".join(f"_revinclude={each}" for each in resource["searchRevInclude"][:40])
        assert (await admin.get(f"/fhir/{kind}?{asked}")).status_code == 200, kind


async def test_every_interaction_claimed_is_answered(admin: Client) -> None:
    rest = (await statement(admin))["rest"][0]
    for resource in rest["resource"]:
        kind = resource["type"]
        codes = {interaction["code"] for interaction in resource["interaction"]}
        wanted = {"read": 404, "vread": 404, "history-instance": 404, "history-type": 200, "search-type": 200}
        paths = {"read": "/none", "vread": "/none/_history/1", "history-instance": "/none/_history", "history-type": "/_history"}
        for code in codes & set(wanted):
            answer = await admin.get(f"/fhir/{kind}{paths.get(code, '')}")
            assert answer.status_code == wanted[code], (kind, code)
        body = {"resourceType": kind, "id": "none", "nonsense": 1}
        if "create" in codes:
            assert (await admin.post(body)).status_code in (400, 422), kind
            assert (await admin.put(body)).status_code in (400, 422), kind
            assert (await admin.delete(f"/fhir/{kind}/none")).status_code in (200, 204, 404), kind
            patched = await admin.http.patch(
                f"/fhir/{kind}/none", content=b"[]", headers={"content-type": "application/json-patch+json"}
            )
            assert patched.status_code == 404, kind
        else:
            assert (await admin.post({"resourceType": kind})).status_code in (400, 403, 422), kind


async def test_the_systems_interactions(admin: Client) -> None:
    rest = (await statement(admin))["rest"][0]
    codes = {interaction["code"] for interaction in rest["interaction"]}
    assert codes == {"transaction", "batch", "search-system", "history-system"}
    for kind in ("transaction", "batch"):
        sent = {"resourceType": "Bundle", "type": kind, "entry": [entry("POST", "Patient", patient("x"))]}
        assert (await admin.post(sent, "/fhir")).status_code == 200
    assert (await admin.get("/fhir?_type=Patient")).status_code == 200
    assert (await admin.get("/fhir/_history")).status_code == 200
    for compartment in rest["compartment"]:
        name = compartment.rpartition("/")[2]
        answer = await admin.get(f"/fhir/{name[0].upper()}{name[1:]}/none/Observation")
        assert answer.status_code == 404
        assert "compartment" not in answer.text


async def test_every_operation_claimed_is_answered_and_defined(admin: Client) -> None:
    rest = (await statement(admin))["rest"][0]
    stated = [("", operation) for operation in rest.get("operation", ())]
    stated += [(r["type"], operation) for r in rest["resource"] for operation in r.get("operation", ())]
    assert {"everything", "lastn", "meta", "meta-add", "meta-delete", "validate", "expand", "recognizable-results"} <= {
        operation["name"] for _, operation in stated
    }
    for type, operation in stated:
        url = operation["definition"]
        if not type or type in TRIED:
            assert await served_at(admin, type, operation["name"]), (type, operation["name"])
        if url.startswith("http://hl7.org/fhir/OperationDefinition/") and EXAMPLES.is_dir():
            assert (EXAMPLES / f"OperationDefinition-{url.rpartition('/')[2]}.json").exists(), (type, url)


async def served_at(client: Client, type: str, name: str) -> bool:
    """By one of the methods, at one of the levels that it is claimed for."""
    addresses = [f"/fhir/{type}/${name}", f"/fhir/{type}/none/${name}"] if type else [f"/fhir/${name}"]
    for address in addresses:
        for method in ("GET", "POST"):
            answer = await client.http.request(method, address)
            if answer.status_code != 405 and "served" not in answer.text:
                return True
    return False


async def test_a_part_of_it_may_be_asked(admin: Client) -> None:
    part = await statement(admin, "?_elements=software")
    assert "rest" not in part
    assert part["software"]["name"] == "Yitong Hub"
    assert [tag["code"] for tag in part["meta"]["tag"]] == ["SUBSETTED"]
    assert "rest" in await statement(admin, "?_summary=true")
    assert (await admin.get("/fhir/metadata?_summary=some")).status_code == 400


async def test_conditions_claimed_are_met(admin: Client) -> None:
    observations = next(r for r in (await statement(admin))["rest"][0]["resource"] if r["type"] == "Observation")
    assert (observations["conditionalCreate"], observations["conditionalUpdate"]) == (True, True)
    assert observations["conditionalDelete"] == "single"
    await admin.put(patient("p1"))
    sent = observation("o1", "p1", identifier=[{"value": "1"}])
    made = await admin.http.put("/fhir/Observation?identifier=1", json=sent, headers={"content-type": "application/fhir+json"})
    assert made.status_code == 201
    again = await admin.post(sent, if_none_exist="identifier=1")
    assert again.status_code == 200
    assert (await admin.delete("/fhir/Observation?identifier=1")).status_code in (200, 204)


async def test_it_is_kept_until_it_changes(admin: Client) -> None:
    first = await admin.get("/fhir/metadata")
    again = await admin.get("/fhir/metadata", if_none_match=first.headers["etag"])
    assert again.status_code == 304
    custom = {
        "resourceType": "SearchParameter",
        "id": "eye",
        "url": "http://county.example/eye",
        "name": "eye",
        "status": "active",
        "description": "the colour of the eyes",
        "code": "eye",
        "base": ["Patient"],
        "type": "token",
        "expression": "Patient.extension('http://county.example/eye').value.ofType(code)",
    }
    assert (await admin.put(custom)).status_code == 201
    with anyio.fail_after(30):  # until every Patient has been indexed by it
        while (changed := await admin.get("/fhir/metadata", if_none_match=first.headers["etag"])).status_code == 304:
            await anyio.sleep(0.02)
    assert changed.status_code == 200
    patients = next(r for r in changed.json()["rest"][0]["resource"] if r["type"] == "Patient")
    stated = next(p for p in patients["searchParam"] if p["name"] == "eye")
    assert stated["definition"] == "http://county.example/eye"


async def test_modes(admin: Client, hub: Served) -> None:
    normative = {r["type"] for r in (await statement(admin, "?mode=normative"))["rest"][0]["resource"]}
    assert "Patient" in normative
    assert "Encounter" not in normative
    assert (await statement(admin, "?mode=terminology"))["resourceType"] == "TerminologyCapabilities"
    assert (await admin.get("/fhir/metadata?mode=all")).status_code == 400
    assert (await hub.bearer("").get("/fhir/metadata")).status_code == 200
