"""Two hubs, each with its own data folder, on one MongoDB store: what one gives out, the other accepts."""

from __future__ import annotations

import asyncio
import time

import pytest

from hub.ingest.run import IntakeService
from hub.settings import Channel
from tests.hub.api.county import COUNTY, link, patient, served

pytestmark = pytest.mark.anyio


@pytest.fixture
def shared(mongodb):
    with mongodb.address() as address:
        yield address


async def test_a_token_and_a_page_link_of_one_hub_work_at_the_other(tmp_path, shared):
    async with served(tmp_path / "a", store=shared) as one, served(tmp_path / "b", store=shared) as other:
        token = one.hub.tokens.create("both", "admin")
        here, there = one.bearer(token), other.bearer(token)
        for number in range(5):
            assert (await (here, there)[number % 2].put(patient(f"p{number}"))).status_code == 201
        page = (await here.get("/fhir/Patient?_count=2")).json()
        assert [entry["resource"]["id"] for entry in page["entry"]] == ["p4", "p3"]
        following = (await there.get(link(page, "next"))).json()
        assert [entry["resource"]["id"] for entry in following["entry"]] == ["p2", "p1"]
        assert [entry["resource"]["id"] for entry in await here.walk(link(following, "next"))] == ["p0"]
        other.hub.tokens.revoke(other.hub.tokens.list()[0].id)
        assert (await there.get("/fhir/Patient")).status_code == 401


async def test_a_channel_is_owned_by_one_hub_and_taken_over_when_it_stops(tmp_path, shared):
    (tmp_path / "inbox").mkdir()
    inbox = Channel(name="inbox", connector="files", options={"folder": str(tmp_path / "inbox"), "every": 1})
    county = COUNTY.model_copy(update={"channels": (inbox,)})
    async with served(tmp_path / "a", store=shared) as one, served(tmp_path / "b", store=shared) as other:
        first, second = (IntakeService(hub.data, county, hub.store, hub.blobs, clock=hub.clock) for hub in (one.hub, other.hub))
        first.start()
        second.start()
        try:
            assert first.states()[0].up
            assert second.states()[0].problem == "another hub on this store has the channel"
            first.stop()
            until = time.monotonic() + 60
            while not second.states()[0].up and time.monotonic() < until:
                await asyncio.sleep(0.05)
            assert second.states()[0].up
        finally:
            second.stop()
