"""An export as a client has it done: kick-off, waiting, manifest, files."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import httpx

from tests.hub.api.county import Client

ASYNC = {"prefer": "respond-async"}
PATIENCE = 30.0


async def waited(client: Client, address: str) -> httpx.Response:
    """What a poll says when it is over."""
    end = time.monotonic() + PATIENCE
    while (answer := await client.get(address)).status_code == 202:
        assert answer.headers["x-progress"]
        assert int(answer.headers["retry-after"]) > 0
        assert time.monotonic() < end
        await asyncio.sleep(0.02)
    return answer


async def kicked_off(client: Client, path: str) -> str:
    answer = await client.get(path, **ASYNC)
    assert answer.status_code == 202, answer.text
    return str(answer.headers["content-location"])


async def manifest(client: Client, path: str) -> dict[str, Any]:
    answer = await waited(client, await kicked_off(client, path))
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def lines(client: Client, listed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The resources of some files, whose number is what the manifest states."""
    found: list[dict[str, Any]] = []
    for file in listed:
        answer = await client.get(file["url"])
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("application/fhir+ndjson")
        resources = [json.loads(line) for line in answer.text.splitlines()]
        assert len(resources) == file["count"]
        found += resources
    return found


async def exported(client: Client, path: str) -> dict[str, dict[str, Any]]:
    """Type/id → resource."""
    resources = await lines(client, (await manifest(client, path))["output"])
    by_key = {f"{each['resourceType']}/{each['id']}": each for each in resources}
    assert len(by_key) == len(resources)
    return by_key
