"""A store that meets a conflict with another process runs the work of a write again: nothing of the first try may remain.

https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

import httpx
import pytest

from hub.app import create_app
from hub.errors import HubError
from hub.security.door import Door
from hub.store.port import Transaction
from tests.hub.api.county import Client, Served, bundle, entry, observation, patient

pytestmark = pytest.mark.anyio

URN = "urn:uuid:61ebe359-bfdc-4613-8bf2-c5e300945f0a"


class Conflict(Exception):
    """What another process did came first."""


class RunsAgain:
    """The hub's own store, whose every write is rolled back once at its end and then done again."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.tries = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def write(self, work: Callable[[Transaction], Any]) -> Future[Any]:
        def first(transaction: Transaction) -> None:
            self.tries += 1
            work(transaction)
            raise Conflict

        with suppress(Conflict, HubError):
            self._store.write(first).result()
        return self._store.write(work)  # type: ignore[no-any-return]


@pytest.fixture
async def twice(hub: Served) -> Client:
    """An administrator of a hub where every write meets a conflict."""
    store = RunsAgain(hub.hub.store)
    door = Door(store, hub.hub.county, hub.hub.clock, hub.hub.trail)
    again = dataclasses.replace(hub.hub, store=store, door=door)
    return Served(again, httpx.ASGITransport(create_app(again))).client("admin")


def known(id: str, **more: Any) -> dict[str, Any]:
    return patient(id, identifier=[{"system": "urn:x", "value": "1"}], **more)


async def test_single_writes(twice: Client) -> None:
    assert (await twice.put(known("p"))).headers["etag"] == 'W/"1"'
    assert (await twice.patch("/fhir/Patient/p", [{"op": "add", "path": "/name/-", "value": {"text": "2"}}])).headers[
        "etag"
    ] == 'W/"2"'
    assert len((await twice.get("/fhir/Patient/p")).json()["name"]) == 2
    assert (await twice.post(known("x"), if_none_exist="identifier=urn:x|1")).status_code == 200
    assert (await twice.put(known("p", gender="other"), if_match='W/"2"')).headers["etag"] == 'W/"3"'
    assert (await twice.delete("/fhir/Patient?identifier=urn:x|1")).headers["etag"] == 'W/"4"'
    assert (await twice.post(known("x"), if_none_exist="identifier=urn:x|1")).status_code == 201
    assert (await twice.get("/fhir/Patient?_summary=count")).json()["total"] == 1


async def test_transactions(twice: Client) -> None:
    await twice.put(known("old"))
    sent = bundle(
        "transaction",
        entry("DELETE", "Patient/old"),
        entry("POST", "Patient", {"resourceType": "Patient", "gender": "male"}, URN, ifNoneExist="identifier=urn:x|1"),
        entry("PUT", "Observation/o", observation("o", "x", subject={"reference": URN})),
    )
    answer = await twice.post(sent, "/fhir")
    assert [e["response"]["status"][:3] for e in answer.json()["entry"]] == ["204", "201", "201"]
    subject = (await twice.get("/fhir/Observation/o")).json()["subject"]["reference"]
    assert answer.json()["entry"][1]["fullUrl"].endswith(subject)
    assert (await twice.get(f"/fhir/{subject}")).status_code == 200
    assert (await twice.get("/fhir/Patient?_summary=count")).json()["total"] == 1


async def test_each_write_leaves_one_audit_event(twice: Client) -> None:
    await twice.put(known("p"))
    await twice.patch("/fhir/Patient/p", [{"op": "remove", "path": "/gender"}])
    found = (await twice.get("/fhir/AuditEvent?entity=Patient/p&action=C,U")).json()
    assert sorted(e["resource"]["subtype"][0]["code"] for e in found["entry"]) == ["create", "patch"]
