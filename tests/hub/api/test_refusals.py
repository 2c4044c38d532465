"""Every refusal is an OperationOutcome without values and leaves its trace in the audit: bounded, so that nobody fills the disk."""

from __future__ import annotations

import base64
import dataclasses
from typing import Any

import httpx
import pytest

from hub.app import create_app
from tests.hub.api.county import FHIR, Client, Served, patient

pytestmark = pytest.mark.anyio


async def refusals(admin: Client, role: str) -> list[dict[str, Any]]:
    """AuditEvents of what was refused to callers of this role."""
    found = (await admin.get(f"/fhir/AuditEvent?outcome=4&agent-role={role}")).json()
    return [entry["resource"] for entry in found.get("entry", ())]


def within_a_minute(hub: Served) -> tuple[Served, list[int]]:
    """The same hub, with a clock that stands at the beginning of a minute until a test moves it."""
    now = [hub.hub.clock() // 60_000 * 60_000]
    door = type(hub.hub.door)(hub.hub.store, hub.hub.county, lambda: now[0], hub.hub.trail)
    held = Served(dataclasses.replace(hub.hub, door=door), hub.transport)
    held.transport = httpx.ASGITransport(create_app(held.hub))
    return held, now


async def test_a_stranger_is_written_down_once_a_minute(hub: Served, admin: Client) -> None:
    held, _ = within_a_minute(hub)
    nobody, guess = held.bearer(""), held.bearer("no-such-token")
    for number in range(20):
        assert (await nobody.get(f"/fhir/Patient/secret{number}?name=zhang")).status_code == 401
        assert (await guess.http.patch("/fhir/Patient/p", content=b"[]")).status_code == 401
        assert (await guess.get("/fhir/nothing/is/served/here")).status_code == 401
    (event,) = await refusals(admin, "none")
    assert (event["outcome"], event["action"], event["subtype"][0]["code"]) == ("4", "R", "read")
    assert event["agent"][0]["network"]["address"] == "127.0.0.1"
    assert base64.b64decode(event["entity"][0]["query"]).decode() == "/fhir/Patient/secret0"  # the path, never the criteria


async def test_a_minute_later_there_is_another(hub: Served) -> None:
    later, now = within_a_minute(hub)
    nobody, admin = later.bearer(""), later.client("admin")
    for expected in (1, 1, 2):
        await nobody.get("/fhir/Patient/p")
        assert len(await refusals(admin, "none")) == expected
        now[0] += 30_000


async def test_what_a_known_caller_sends_wrong_is_written_down(hub: Served, admin: Client) -> None:
    clinician = hub.client("clinician", "CTY")
    for body in (b"{", b'{"resourceType":"Patient","nickname":"x"}', b"[]"):
        assert (await clinician.http.post("/fhir/Patient", content=body, headers=FHIR)).status_code == 400
    (event,) = await refusals(admin, "clinician")
    assert (event["action"], event["agent"][0]["name"]) == ("C", "clinician CTY")


async def test_what_the_door_refuses_is_written_down_every_time_and_once(hub: Served, admin: Client) -> None:
    clinician = hub.client("clinician", "CTY")
    for _ in range(3):
        assert (await clinician.get("/fhir/Patient/never")).status_code == 404
        assert (await clinician.delete("/fhir/AuditEvent/x")).status_code == 403
    events = await refusals(admin, "clinician")
    assert sorted(event["subtype"][0]["code"] for event in events) == ["delete"] * 3 + ["read"] * 3


REFUSED = [
    ("GET", "Patient/secret-id-of-someone", b"", 404),
    ("GET", "Patient?birthdate=secret", b"", 400),
    ("GET", "Patient?secret=1", b"", 400),
    ("GET", "Patient/p/_history/secret", b"", 404),
    ("GET", "Patient/_history?_since=secret", b"", 400),
    ("POST", "Patient", b'{"resourceType":"Patient","birthDate":"secret"}', 422),
    ("POST", "Patient", b'{"resourceType":"Patient","gender":"secret"}', 422),
    ("POST", "Patient", b'{"resourceType":"Patient","name":"secret"}', 400),
    ("PUT", "Patient/p", b'{"resourceType":"Patient","id":"secret"}', 400),
    ("PUT", "Patient?birthdate=secret", b'{"resourceType":"Patient"}', 400),
    ("PATCH", "Patient/p", b'{"resourceType":"Parameters","parameter":[{"name":"secret","valueCode":"x"}]}', 400),
    ("DELETE", "Patient?birthdate=secret", b"", 400),
    ("POST", "", b'{"resourceType":"Bundle","type":"secret"}', 400),
    ("POST", "", b'{"resourceType":"Bundle","type":"batch-response"}', 400),
    ("POST", "", b'{"resourceType":"Patient"}', 400),
]


@pytest.mark.parametrize(("method", "path", "body", "status"), REFUSED)
async def test_a_refusal_says_what_is_wrong_and_repeats_no_value(
    admin: Client, method: str, path: str, body: bytes, status: int
) -> None:
    await admin.put(patient("p"))
    answer = await admin.http.request(method, f"/fhir/{path}", content=body, headers=FHIR)
    assert answer.status_code == status, answer.text
    (issue,) = answer.json()["issue"]
    assert issue["severity"] == "error"
    assert issue["diagnostics"]
    assert "secret" not in answer.text.replace("secret=1", "") or "?secret=1" in path  # a parameter's name is named
