"""History of a resource, of a type and of everything. https://hl7.org/fhir/R4/http.html#history"""

from __future__ import annotations

from typing import Any

import pytest

from tests.hub.api.county import Client, Served, encounter, link, observation, patient

pytestmark = pytest.mark.anyio

Entry = dict[str, Any]


def what(entries: list[Entry], *types: str) -> list[tuple[str, str, str]]:
    """(method, url, version) of the entries of these types."""
    listed = [(e["request"]["method"], e["request"]["url"], e["response"]["etag"]) for e in entries]
    return [entry for entry in listed if not types or entry[1].partition("/")[0] in types]


async def three_patients(admin: Client) -> None:
    await admin.put(patient("a"))
    await admin.put(patient("b"))
    await admin.put(patient("a", gender="other"))
    await admin.put(observation("o", "a"))
    await admin.delete("/fhir/Patient/b")


NEWEST_FIRST = [
    ("DELETE", "Patient/b", 'W/"2"'),
    ("PUT", "Patient/a", 'W/"2"'),
    ("PUT", "Patient/b", 'W/"1"'),
    ("PUT", "Patient/a", 'W/"1"'),
]


async def test_a_types_history_is_newest_first_with_deletions(admin: Client) -> None:
    await three_patients(admin)
    history = (await admin.get("/fhir/Patient/_history")).json()
    assert (history["resourceType"], history["type"], history["total"]) == ("Bundle", "history", 4)
    assert what(history["entry"]) == NEWEST_FIRST
    deleted, updated = history["entry"][:2]
    assert "resource" not in deleted
    assert (updated["fullUrl"], updated["response"]["status"]) == ("http://hub/fhir/Patient/a", "200 OK")
    assert updated["resource"]["meta"]["versionId"] == "2"
    assert updated["response"]["lastModified"] == updated["resource"]["meta"]["lastUpdated"]


async def test_the_systems_history_is_everything(admin: Client) -> None:
    await three_patients(admin)
    entries = await admin.walk("/fhir/_history?_count=3")
    assert what(entries, "Patient") == NEWEST_FIRST
    assert ("PUT", "Observation/o", 'W/"1"') in what(entries)
    times = [entry["response"]["lastModified"] for entry in entries]
    assert times == sorted(times, reverse=True)


@pytest.mark.parametrize("path", ["Patient/_history", "_history"])
async def test_pages_of_history_lose_nothing_while_others_write(admin: Client, path: str) -> None:
    await three_patients(admin)
    following: str | None = f"/fhir/{path}?_count=2"
    entries: list[Entry] = []
    number = 0
    while following:
        page = (await admin.get(following)).json()
        entries += page.get("entry", [])
        following = link(page, "next")
        number += 1
        if number < 3:
            await admin.put(patient(f"later{number}"))
    assert [e for e in what(entries, "Patient") if not e[1].startswith("Patient/later")] == NEWEST_FIRST


async def test_since_leaves_out_what_is_older(admin: Client) -> None:
    await three_patients(admin)
    changed = (await admin.get("/fhir/Patient/a")).json()["meta"]["lastUpdated"]
    for path in ("Patient/_history", "Patient/a/_history", "_history"):
        history = (await admin.get(f"/fhir/{path}?_since={changed}")).json()
        assert ("PUT", "Patient/a", 'W/"2"') in what(history["entry"])
        assert ("PUT", "Patient/a", 'W/"1"') not in what(history["entry"]) or changed == _first(history)
    assert (await admin.get("/fhir/Patient/_history?_since=2100-01-01T00:00:00Z")).json()["total"] == 0
    assert len((await admin.get("/fhir/Patient/_history?_since=2020-01-01T00:00:00+08:00")).json()["entry"]) == 4


def _first(history: dict[str, Any]) -> str:
    """Both versions may be of one millisecond."""
    first = next(e for e in history["entry"] if what([e]) == [("PUT", "Patient/a", 'W/"1"')])
    return str(first["response"]["lastModified"])


async def test_at_shows_what_was_current_then(admin: Client) -> None:
    await three_patients(admin)
    assert len((await admin.get("/fhir/Patient/_history?_at=2100")).json()["entry"]) == 2
    current = (await admin.get("/fhir/Patient/a/_history?_at=2100")).json()
    assert what(current["entry"]) == [("PUT", "Patient/a", 'W/"2"')]
    assert "entry" not in (await admin.get("/fhir/Patient/a/_history?_at=2000-01-01")).json()


async def test_page_links_belong_to_their_caller_and_their_history(hub: Served, admin: Client) -> None:
    await three_patients(admin)
    following = link((await admin.get("/fhir/Patient/_history?_count=2")).json(), "next") or ""
    assert (await admin.get(following)).status_code == 200
    assert (await hub.client("admin", name="another").get(following)).status_code == 400
    for other in ("/fhir/_history", "/fhir/Patient/a/_history", "/fhir/Observation/_history"):
        assert (await admin.get(following.replace("/fhir/Patient/_history", other))).status_code == 400
    assert (await admin.get(following.replace("_count=2", "_count=3"))).status_code == 400


@pytest.mark.parametrize("query", ["_since=yesterday", "_at=2020-02-30", "_count=-1", "_count=x", "name=x", "_at=2020&_at=2021"])
async def test_parameters_without_sense_are_refused(admin: Client, query: str) -> None:
    await admin.put(patient("a"))
    for path in ("Patient/a/_history", "Patient/_history", "_history"):
        answer = await admin.get(f"/fhir/{path}?{query}")
        assert (answer.status_code, answer.json()["resourceType"]) == (400, "OperationOutcome")
        assert "yesterday" not in answer.text


async def test_what_was_never_there_has_no_history(admin: Client) -> None:
    assert (await admin.get("/fhir/Patient/never/_history")).status_code == 404
    assert (await admin.get("/fhir/Nothing/_history")).status_code == 404
    assert (await admin.get("/fhir/Observation/_history")).json()["total"] == 0


async def test_a_facility_sees_its_own_history_only(hub: Served) -> None:
    county, town = hub.client("clinician", "CTY"), hub.client("clinician", "TWN")
    await county.put(patient("c"))
    await county.put(patient("c", gender="other"))
    await town.put(patient("t"))
    assert what((await town.get("/fhir/Patient/_history")).json()["entry"]) == [("PUT", "Patient/t", 'W/"1"')]
    assert what(await town.walk("/fhir/_history"), "Patient") == [("PUT", "Patient/t", 'W/"1"')]
    assert (await town.get("/fhir/Patient/c/_history")).status_code == 404
    assert (await hub.client("it").get("/fhir/Patient/_history")).status_code == 403
    await county.put(encounter("e", "c"))
    assert len((await county.get("/fhir/Patient/_history")).json()["entry"]) == 2


async def test_every_history_is_audited(admin: Client) -> None:
    await admin.put(patient("a"))
    for path, interaction in (("Patient/a/", "instance"), ("Patient/", "type"), ("", "system")):
        await admin.get(f"/fhir/{path}_history")
        found = (await admin.get(f"/fhir/AuditEvent?subtype=history-{interaction}&patient=Patient/a")).json()
        assert [e["resource"]["action"] for e in found["entry"]] == ["R"]
