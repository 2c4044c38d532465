"""The operations on identities over HTTP, as their clients see them."""

from __future__ import annotations

from typing import Any

import pytest

from profiles.names import ID_CARD
from tests.hub.api.county import Client, Served, observation
from tests.hub.identity.test_rules import HERS, OTHERS, patient

pytestmark = pytest.mark.anyio
WHY = {"name": "reason", "valueString": "compared with the household register"}


def parameters(**stated: Any) -> dict[str, Any]:
    parts = [
        {"name": name.replace("_", "-"), f"value{kind}": value}
        for name, values in stated.items()
        for kind, value in (values if isinstance(values, list) else [values])
    ]
    return {"resourceType": "Parameters", "parameter": [*parts, WHY]}


def to(id: str) -> tuple[str, dict[str, str]]:
    return "Reference", {"reference": f"Patient/{id}"}


async def records(client: Client, id: str) -> set[str]:
    found = await client.walk(f"/fhir/Observation?patient={id}")
    return {entry["resource"]["id"] for entry in found}


def parts(answer: Any, name: str) -> list[Any]:
    assert answer.status_code == 200, answer.text
    return [next(v for k, v in part.items() if k != "name") for part in answer.json()["parameter"] if part["name"] == name]


async def test_persons_are_joined_parted_and_restored_over_fhir(hub: Served) -> None:
    admin, cty, twn = hub.client("admin"), hub.client("clinician", "CTY"), hub.client("clinician", "TWN")
    for client, id, card in ((cty, "a", HERS), (twn, "b", HERS), (cty, "c", ""), (cty, "d", "")):
        assert (await client.put(patient(id, card=card, name="" if card else "王小方"))).status_code == 201
        assert (await client.put(observation(f"o-{id}", id))).status_code == 201
    assert await records(admin, "a") == {"o-a", "o-b"}

    linked = await admin.post(parameters(patient=[to("a"), to("c")]), "/fhir/Patient/$link")
    assert await records(admin, "c") == {"o-a", "o-b", "o-c"}
    (task,) = parts(linked, "task")
    assert (await admin.get(f"/fhir/Task/{task['id']}")).json()["reasonCode"]["text"] == WHY["valueString"]
    events = await admin.walk(f"/fhir/AuditEvent?entity=Task/{task['id']}&action=E")
    assert [event["resource"]["purposeOfEvent"] for event in events] == [[{"text": WHY["valueString"]}]]
    assert (await admin.get("/fhir/Observation/o-c")).json()["meta"]["versionId"] == "1"
    assert (await admin.get("/fhir/Patient/c")).json()["meta"]["versionId"] == "1"

    unlinked = await admin.post(parameters(), "/fhir/Patient/b/$unlink")
    assert await records(admin, "b") == {"o-b"}
    twice = await admin.post(parameters(), "/fhir/Patient/b/$unlink")
    assert (twice.status_code, "nothing to take apart" in twice.text) == (409, True)
    (undone,) = parts(unlinked, "task")
    assert parts(await admin.post(parameters(), f"/fhir/Task/{undone['id']}/$undo"), "task")[0]["status"] == "cancelled"
    assert await records(admin, "b") == {"o-a", "o-b", "o-c"}

    shown = parameters(source_patient=to("d"), target_patient_identifier=("Identifier", {"system": ID_CARD, "value": HERS}))
    shown["parameter"].append({"name": "preview", "valueBoolean": True})
    assert not parts(await admin.post(shown, "/fhir/Patient/$merge"), "task")
    assert await records(admin, "d") == {"o-d"}
    shown["parameter"].pop()
    (merged,) = parts(await admin.post(shown, "/fhir/Patient/$merge"), "task")
    assert await records(admin, "d") == {"o-a", "o-b", "o-c", "o-d"}
    assert (await admin.post(parameters(patient=[to("b"), to("d")]), "/fhir/Patient/a/$split")).status_code == 200
    again = await admin.post(parameters(), f"/fhir/Task/{merged['id']}/$undo")
    assert again.status_code in (200, 409)
    assert await records(admin, "b") >= {"o-b"}


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)  # what is refused never comes to a store
async def test_what_is_wrong_is_said_and_what_is_not_ones_own_is_unknown(hub: Served) -> None:
    admin, office = hub.client("admin"), hub.client("it")
    registrar, clinician = hub.client("it", "CTY"), hub.client("clinician", "CTY")
    await clinician.put(patient("a"))
    await clinician.put(patient("b"))
    await hub.client("clinician", "TWN").put(patient("t", card=OTHERS))
    refusals = {
        "compared": (admin, "/fhir/Patient/$link", {"resourceType": "Patient", "id": "x"}, 400),
        "say why": (admin, "/fhir/Patient/$link", {"resourceType": "Parameters", "parameter": []}, 400),
        "two different": (admin, "/fhir/Patient/$link", parameters(patient=[to("a"), to("a")]), 400),
        "no parameter": (admin, "/fhir/Patient/$link", parameters(patients=to("a")), 400),
        "reference to a Patient": (admin, "/fhir/Patient/$link", parameters(patient=("Reference", {"reference": "Group/a"})), 400),
        "no Patient": (admin, "/fhir/Patient/$link", parameters(patient=[to("a"), to("none")]), 404),
        "does not decide": (clinician, "/fhir/Patient/$link", parameters(patient=[to("a"), to("b")]), 403),
        "decided by the county": (registrar, "/fhir/Patient/$link", parameters(patient=[to("a"), to("t")]), 404),
        "one source-patient": (admin, "/fhir/Patient/$merge", parameters(target_patient=to("a")), 400),
        "leave out": (
            admin,
            "/fhir/Patient/$merge",
            parameters(source_patient=to("a"), target_patient=to("b"), delete_source=("Boolean", True)),
            400,
        ),
        "nobody has": (
            admin,
            "/fhir/Patient/$merge",
            parameters(source_patient=to("a"), target_patient_identifier=("Identifier", {"value": "nobody's"})),
            404,
        ),
        "no operation": (admin, "/fhir/Task/none/$undo", parameters(), 404),
    }
    for said, (client, path, sent, status) in refusals.items():
        answer = await client.post(sent, path)
        assert answer.status_code == status, (said, answer.text)
        assert answer.json()["resourceType"] == "OperationOutcome"
        assert said in answer.text or said == "compared", (said, answer.text)

    (doubt,) = await registrar.walk("/fhir/Patient/$doubts?state=open&_count=1")  # both are its own
    assert doubt["resource"]["input"][0]["valueReference"]["reference"] == "Patient/a"
    assert (await registrar.get("/fhir/Task/" + doubt["resource"]["id"])).status_code in (403, 404)
    assert await office.walk("/fhir/Patient/$doubts?reason=same-name-birth-sex&facility=CTY&patient=b") != []
    assert len(await office.walk("/fhir/Patient/$doubts?facility=TWN&_count=1")) == 2  # the township's own, with each
    assert (await office.get("/fhir/Patient/$doubts?state=maybe")).status_code == 400
    assert (await clinician.get("/fhir/Patient/$doubts")).status_code == 403
    apart = parameters(**{"from": to("b")})
    (task,) = parts(await registrar.post(apart, "/fhir/Patient/a/$unlink"), "task")
    assert "output" not in task
    assert await registrar.walk("/fhir/Patient/$doubts") == []
    assert len(await registrar.walk("/fhir/Patient/$doubts?state=apart")) == 1
    later = await registrar.post(parameters(patient=[to("a"), to("b")]), "/fhir/Patient/$postpone")
    assert later.status_code == 409
