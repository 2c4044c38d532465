"""$validate, levels and profiles, as a client meets them. https://hl7.org/fhir/R4/resource-operation-validate.html"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hub.settings import County, Validation
from tests.hub.api.county import COUNTY, Client, Served, bundle, entry, observation, patient, served

pytestmark = pytest.mark.anyio

CORE = "http://hl7.org/fhir/StructureDefinition"
TOGETHER = {"valueQuantity": {"value": 5, "unit": "mmol/L"}, "dataAbsentReason": {"text": "unknown"}}  # breaks obs-6


def parameters(**named: Any) -> dict[str, Any]:
    listed = [
        {"name": n, "resource" if isinstance(v, dict) else "valueCode" if n == "mode" else "valueUri": v} for n, v in named.items()
    ]
    return {"resourceType": "Parameters", "parameter": listed}


async def told(client: Client, sent: dict[str, Any], path: str = "/fhir/Observation/$validate") -> list[dict[str, Any]]:
    answer = await client.post(sent, path)
    assert answer.status_code == 200, answer.text
    assert answer.json()["resourceType"] == "OperationOutcome"
    return answer.json()["issue"]


def errors(issues: list[dict[str, Any]]) -> list[str]:
    return [f"{issue['expression'][0]}: {issue['diagnostics']}" for issue in issues if issue["severity"] == "error"]


async def test_what_is_right_is_said_to_be_right(admin: Client) -> None:
    await admin.put(patient("p1"))
    text = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">glucose</div>'}
    (issue,) = await told(admin, observation("o1", "p1", text=text))
    assert issue["severity"] == "information"
    assert (await admin.get("/fhir/Observation/o1")).status_code == 404  # nothing was stored


async def test_an_invariant_names_its_rule_and_element_and_no_value(admin: Client) -> None:
    await admin.put(patient("p1"))
    issues = await told(admin, observation("o1", "p1", **TOGETHER))
    (error,) = errors(issues)
    assert error.startswith("Observation: obs-6: dataAbsentReason SHALL only be present if")
    refused = await admin.put(observation("o1", "p1", **TOGETHER))
    assert refused.status_code == 422
    assert errors(refused.json()["issue"]) == [error]
    assert "mmol" not in refused.text


async def test_all_issues_come_at_once_with_advice_and_absent_references(admin: Client) -> None:
    wrong = observation("o1", "nobody", status="done", component=[{"valueString": "x"}])
    wrong["subject"]["reference"] = "Patient/nobody"
    issues = await told(admin, wrong)
    assert {issue["expression"][0] for issue in issues} >= {"Observation.status", "Observation.component[0].code"}
    right = observation("o1", "nobody")
    issues = await told(admin, right)
    assert {(issue["severity"], issue["expression"][0]) for issue in issues} == {
        ("warning", "Observation"),  # dom-6: no narrative
        ("warning", "Observation.subject.reference"),
    }


async def test_a_reference_points_to_a_type_that_the_element_allows(admin: Client) -> None:
    issues = await told(admin, observation("o1", "p1", specimen={"reference": "Patient/p1"}))
    assert errors(issues) == ["Observation.specimen: a reference to Patient is not allowed here: Specimen"]


async def test_a_narrative_cannot_run_anything(admin: Client) -> None:
    div = '<div xmlns="http://www.w3.org/1999/xhtml"><script>alert(1)</script></div>'
    issues = await told(admin, patient("p1", text={"status": "generated", "div": div}), "/fhir/Patient/$validate")
    assert errors(issues) == ["Patient.text.div: txt-1: the narrative has an element that R4 does not allow"]


async def test_modes_say_whether_it_may_be_done(hub: Served, admin: Client) -> None:
    await admin.put(patient("p1"))
    assert errors(await told(admin, parameters(resource=patient("p2"), mode="delete"), "/fhir/Patient/p2/$validate")) == [
        "Patient: no Patient with this id"
    ]
    assert not errors(await told(admin, parameters(mode="delete"), "/fhir/Patient/p1/$validate"))
    assert errors(await told(admin, parameters(resource=patient("p9"), mode="update"), "/fhir/Patient/p1/$validate")) == [
        "Patient.id: the resource needs the id that the address says"
    ]
    for mode in ("update", "delete"):
        sent = parameters(resource={"resourceType": "Patient"}, mode=mode)
        assert errors(await told(admin, sent, "/fhir/Patient/$validate")) == [f"Patient.id: the mode {mode} needs an id"]
    event = {"resourceType": "AuditEvent", "type": {"code": "rest"}, "recorded": "2026-01-01T00:00:00Z"}
    found = errors(await told(admin, parameters(resource=event, mode="create"), "/fhir/AuditEvent/$validate"))
    assert "AuditEvent: AuditEvent is written by the hub alone" in found


async def test_what_is_stored_can_be_checked_against_a_profile(admin: Client) -> None:
    await admin.put(patient("p1"))
    await admin.put(observation("o1", "p1"))
    answer = await admin.get(f"/fhir/Observation/o1/$validate?profile={CORE}/bp")
    found = errors(answer.json()["issue"])
    assert any(error.startswith("Observation.component: slice SystolicBP of it stands at least 1 times") for error in found)


async def test_a_profile_that_is_asked_for_and_not_known_is_an_error(admin: Client) -> None:
    """R4: if a profile is nominated, and the server cannot validate against it, it SHALL return an error."""
    sent = parameters(resource=patient("p1"), profile="http://nobody/knows")
    for issues in (
        await told(admin, sent, "/fhir/Patient/$validate"),
        await told(admin, patient("p1"), "/fhir/Patient/$validate?profile=http://nobody/knows"),
    ):
        assert errors(issues) == ["Patient: the profile is not known here and was not checked (profile http://nobody/knows)"]


async def test_an_issue_says_of_which_kind_it_is(admin: Client) -> None:
    wrong = observation("o1", "p1", **TOGETHER, issued="x", nonsense=1, specimen={"reference": "nothing"})
    wrong["status"] = "done"
    del wrong["code"]
    kinds = {issue["code"] for issue in await told(admin, wrong)}
    assert kinds == {"required", "value", "structure", "code-invalid", "not-found"}
    assert "invariant" in {issue["code"] for issue in await told(admin, observation("o1", "p1", **TOGETHER))}


async def test_the_profiles_of_the_specification_are_known(admin: Client) -> None:
    await admin.put(patient("p1"))
    refused = await admin.put(observation("o1", "p1", meta={"profile": [f"{CORE}/bodyweight"]}))
    assert refused.status_code == 422
    assert any("Observation.category" in error for error in errors(refused.json()["issue"]))


async def test_extensions_that_are_known_are_checked_and_others_are_named(admin: Client) -> None:
    published = {"url": f"{CORE}/patient-birthPlace", "valueString": "秘"}
    unknown = {"url": "http://nobody/knows", "valueString": "秘"}
    issues = await told(admin, patient("p1", extension=[unknown, published]), "/fhir/Patient/$validate")
    assert [(issue["severity"], issue["expression"][0]) for issue in issues] == [
        ("error", "Patient.extension[1].valueString"),
        ("warning", "Patient"),
        ("information", "Patient.extension[0]"),
    ]
    assert "秘" not in str(issues)


async def test_a_code_beside_an_extensible_value_set_is_told(admin: Client) -> None:
    absent = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
    for system, code, expected in ((absent, "unknown", []), (absent, "gone", ["warning"]), ("urn:own", "gone", ["warning"])):
        sent = observation("o1", "p1", dataAbsentReason={"coding": [{"system": system, "code": code}]})
        issues = await told(admin, sent)
        about = [issue for issue in issues if issue["expression"][0] == "Observation.dataAbsentReason"]
        assert [issue["severity"] for issue in about] == expected
        assert all(issue["code"] == "code-invalid" and "data-absent-reason" in issue["diagnostics"] for issue in about)


async def test_an_unknown_profile_is_told_and_stored(admin: Client) -> None:
    stored = await admin.put(patient("p1", meta={"profile": ["http://nobody/knows"]}), prefer="return=OperationOutcome")
    assert stored.status_code == 201
    assert stored.headers["x-validation-issues"] == "1"
    assert [issue["severity"] for issue in stored.json()["issue"]] == ["information", "warning"]


def resident_patient() -> dict[str, Any]:
    """A county's own profile: an ID card number of the right form, a gender, one official name at most, no photograph."""
    identifier = {"id": "Patient.identifier", "path": "Patient.identifier", "min": 1}
    identifier["slicing"] = {"discriminator": [{"type": "value", "path": "system"}], "rules": "open"}
    card = {"id": "Patient.identifier:card", "path": "Patient.identifier", "sliceName": "card", "min": 1, "max": "1"}
    constraint = {
        "key": "card-1",
        "severity": "error",
        "human": "18 characters",
        "expression": "value.matches('^[0-9]{17}[0-9X]$')",
    }
    card["constraint"] = [constraint]
    system = {"id": "Patient.identifier:card.system", "path": "Patient.identifier.system", "fixedUri": "urn:id-card"}
    return {
        "resourceType": "StructureDefinition",
        "id": "resident",
        "url": "http://county/resident",
        "name": "Resident",
        "status": "active",
        "kind": "resource",
        "abstract": False,
        "type": "Patient",
        "baseDefinition": f"{CORE}/Patient",
        "derivation": "constraint",
        "differential": {
            "element": [
                {"id": "Patient", "path": "Patient"},
                identifier,
                card,
                system,
                {"id": "Patient.gender", "path": "Patient.gender", "min": 1},
                {"id": "Patient.photo", "path": "Patient.photo", "max": "0"},
            ]
        },
    }


async def test_a_profile_kept_in_the_hub_is_enforced(admin: Client) -> None:
    assert (await admin.put(resident_patient())).status_code == 201
    meta = {"profile": ["http://county/resident"]}
    good = patient("p1", meta=meta, gender="female", identifier=[{"system": "urn:id-card", "value": "110101199003071233"}])
    assert (await admin.put(good)).status_code == 201
    refused = await admin.put({**good, "identifier": [{"system": "urn:other", "value": "1"}]})
    assert errors(refused.json()["issue"]) == [
        "Patient.identifier: slice card of it stands at least 1 times, not 0 (profile http://county/resident)"
    ]
    refused = await admin.put({**good, "identifier": [{"system": "urn:id-card", "value": "12"}], "photo": [{"title": "x"}]})
    assert errors(refused.json()["issue"]) == [
        "Patient.identifier[0]: card-1: 18 characters (profile http://county/resident)",
        "Patient.photo: stands at most 0 times, not 1 (profile http://county/resident)",
    ]


async def test_where_the_county_asks_for_reports_a_broken_rule_is_stored_and_told(tmp_path: Path) -> None:
    county = County.model_validate(
        {**COUNTY.model_dump(by_alias=True), "validation": Validation(api="report").model_dump(by_alias=True)}
    )
    async with served(tmp_path / "data", county) as hub:
        admin = hub.client("admin")
        await admin.put(patient("p1"))
        stored = await admin.put(observation("o1", "p1", **TOGETHER), prefer="return=OperationOutcome")
        assert stored.status_code == 201
        assert stored.headers["x-validation-issues"] == "1"
        assert "obs-6" in stored.json()["issue"][1]["diagnostics"]
        assert (await admin.put(observation("o2", "p1", component={}))).status_code == 400  # no level lets a wrong structure in
        sent = bundle("transaction", entry("PUT", "Observation/o3", observation("o3", "p1", **TOGETHER)))
        assert (await admin.post(sent, "/fhir")).status_code == 422  # transactions are strict all the same


@pytest.mark.parametrize("kind", ["batch", "transaction"])
async def test_bundles_tell_of_each_entry_what_it_was_let_through_with(tmp_path: Path, store: str, kind: str) -> None:
    levels = {"validation": Validation(api="report", transaction="report").model_dump(by_alias=True)}
    county = County.model_validate({**COUNTY.model_dump(by_alias=True), **levels})
    async with served(tmp_path / "data", county, store) as hub:
        admin = hub.client("admin")
        await admin.put(observation("o3", "p1", **TOGETHER))
        parts = {"type": "replace", "path": "Observation.status", "value": "amended"}
        change = parameters(operation="")
        change["parameter"][0] = {"name": "operation", "part": [{"name": n, "valueString": v} for n, v in parts.items()]}
        sent = bundle(
            kind,
            entry("PUT", "Observation/o1", observation("o1", "p1", **TOGETHER)),
            entry("PUT", "Observation/o2", observation("o2", "p1")),
            entry("PATCH", "Observation/o3", change),
        )
        for preference, told, shown in (
            ("", [1, 0, 1], False),
            ("return=representation", [1, 0, 1], True),
            ("return=minimal", [0, 0, 0], False),
            ("return=OperationOutcome", [2, 1, 2], False),
        ):
            answer = await admin.post(sent, "/fhir", **({"prefer": preference} if preference else {}))
            assert (answer.status_code, answer.headers["x-validation-issues"]) == (200, "2"), answer.text
            made = answer.json()["entry"]
            issues = [each["response"].get("outcome", {}).get("issue", []) for each in made]
            assert [len(each) for each in issues] == told, preference
            assert ["resource" in each for each in made] == [shown] * 3
            assert all("obs-6" in issues[number][-1]["diagnostics"] for number in (0, 2) if issues[number])


@pytest.mark.parametrize("expression", ["matches('(a+)+$')", "name.all($this.descendants().descendants().exists())"])
async def test_a_profile_cannot_make_the_hub_work_for_ever(admin: Client, expression: str) -> None:
    definition = resident_patient()
    constraint = {"key": "slow-1", "severity": "error", "human": "slow", "expression": expression}
    definition["differential"]["element"] = [{"id": "Patient", "path": "Patient", "constraint": [constraint]}]
    await admin.put(definition)
    issues = await told(admin, patient("p1", meta={"profile": ["http://county/resident"]}), "/fhir/Patient/$validate")
    assert any("slow-1 is not checked" in issue["diagnostics"] for issue in issues)
    assert not errors(issues)


async def test_the_profiles_that_come_with_the_hub_are_claimed_and_checked(admin: Client) -> None:
    rest = (await admin.get("/fhir/metadata")).json()["rest"][0]
    claimed = {resource["type"]: resource.get("supportedProfile", []) for resource in rest["resource"]}
    assert claimed["Encounter"] == ["urn:hub:profile:encounter", "urn:hub:profile:referral-ready-encounter"]
    assert claimed["Basic"] == []
    bare = patient("p1", name=[{"family": "王"}])
    assert any(
        "hub-nam-1" in each for each in errors(await told(admin, bare, "/fhir/Patient/$validate?profile=urn:hub:profile:patient"))
    )
    assert any(
        "not known" in each for each in errors(await told(admin, bare, "/fhir/Patient/$validate?profile=urn:hub:profile:patient|9"))
    )
    mark = {"url": "urn:hub:ext:recognition-mark", "valueString": "HR"}
    assert errors(await told(admin, patient("p1", extension=[mark]), "/fhir/Patient/$validate"))
    expanded = await admin.get("/fhir/ValueSet/$expand?context=urn:hub:profile:patient%23Patient.maritalStatus")
    assert expanded.status_code == 200
    refused = await admin.put({**bare, "meta": {"profile": ["urn:hub:profile:patient"]}})
    assert refused.status_code == 422
