"""Every official R4 example is stored and read back as it was sent, or refused for a right reason.

The examples are HL7's npm package `hl7.fhir.r4.examples` 4.0.1. r4_examples_refused.json lists what is refused and why; a change of
the validator shows as a difference to it: run with YITONG_REWRITE_GOLDEN=1, then read what changed.

On SQLite all of them are sent; on MongoDB a part of each type, for what is refused is decided before the store is reached, and the
store's own promises have tests of their own. `make examples` sends all of them to both.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hub import fhir_json
from hub.subscriptions.accept import MASK
from tests.hub.api.county import Served

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300), pytest.mark.slow]

DEFAULT = Path.home() / ".cache/yitong-hub/hl7.fhir.r4.examples-4.0.1/package"
EXAMPLES = Path(os.environ.get("YITONG_R4_EXAMPLES", DEFAULT))
REFUSED = Path(__file__).with_name("r4_examples_refused.json")
ALL = "YITONG_ALL_EXAMPLES"
PART = 4  # on MongoDB each type's first, and each fourth after it
AT_ONCE = 24


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason=f"the R4 examples are not at {EXAMPLES}")
async def test_every_official_example_comes_back_or_is_refused_with_a_reason(hub: Served, store: str) -> None:
    whole = not store or ALL in os.environ
    sent_here = examples() if whole else part(examples())
    ask = Asking(hub.transport.app, hub.hub.tokens.create("examples", "admin"))
    refused: dict[str, str] = {}
    stored = 0
    waiting = asyncio.Semaphore(AT_ONCE)

    async def one_key(sent: list[tuple[str, bytes]]) -> None:
        """Examples of one identity, one after the other."""
        nonlocal stored
        async with waiting:
            for name, text in sent:
                reason = await stored_or_refused(ask, text)
                if reason is None:
                    stored += 1
                else:
                    refused[name] = reason

    await asyncio.gather(*(one_key(sent) for sent in sent_here.values()))
    print(f"{stored} stored and read back equal, {len(refused)} refused")
    found = dict(sorted(refused.items()))
    if os.environ.get("YITONG_REWRITE_GOLDEN") and whole:
        REFUSED.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
    names = {name for sent in sent_here.values() for name, _ in sent}
    assert found == {name: reason for name, reason in json.loads(REFUSED.read_text("utf-8")).items() if name in names}
    assert stored > (5000 if whole else 5000 // PART)


def examples() -> dict[tuple[str, str], list[tuple[str, bytes]]]:
    found: dict[tuple[str, str], list[tuple[str, bytes]]] = defaultdict(list)
    for path in sorted(EXAMPLES.glob("*.json")):
        text = path.read_bytes()
        head = msgspec.json.decode(text, type=Head)
        if head.resourceType:  # not the package's own index
            found[head.resourceType, head.id].append((path.name, text))
    return found


def part(everything: dict[tuple[str, str], list[tuple[str, bytes]]]) -> dict[tuple[str, str], list[tuple[str, bytes]]]:
    seen: Counter[str] = Counter()
    kept = {}
    for (kind, id), sent in everything.items():
        if seen[kind] % PART == 0:
            kept[kind, id] = sent
        seen[kind] += 1
    return kept


class Head(msgspec.Struct):
    resourceType: str = ""
    id: str = ""


class Asking:
    """Requests to the application itself: for ten thousand of them the client would cost more than the hub."""

    def __init__(self, app: Any, token: str) -> None:
        self._app = app
        self._headers = [(b"authorization", f"Bearer {token}".encode()), (b"content-type", b"application/fhir+json")]
        self._headers += [(b"host", b"hub"), (b"accept", b"application/fhir+json"), (b"prefer", b"return=minimal")]

    async def __call__(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http"}
        scope |= {"path": path, "raw_path": path.encode(), "root_path": "", "query_string": b"", "headers": self._headers}
        scope |= {"server": ("hub", 80), "client": ("127.0.0.1", 1)}
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


async def stored_or_refused(ask: Asking, text: bytes) -> str | None:
    sent = fhir_json.load(text)
    path = f"/fhir/{sent['resourceType']}/{sent.get('id', 'none')}"
    status, answer = await ask("PUT", path, text)
    if status not in (200, 201):
        issue = fhir_json.load(answer)["issue"][0]
        return f"{status} {', '.join(issue.get('expression', []))}: {issue['diagnostics']}"
    status, got = await ask("GET", path)
    assert status == 200, path
    assert without_meta(fhir_json.load(got)) == without_meta(as_shown(sent)), path
    return None


def as_shown(resource: dict[str, Any]) -> dict[str, Any]:
    """A Subscription's headers hold secrets: nobody reads them."""
    channel = resource.get("channel")
    if resource["resourceType"] != "Subscription" or not channel or "header" not in channel:
        return resource
    return {**resource, "channel": {**channel, "header": [f"{header.partition(':')[0]}: {MASK}" for header in channel["header"]]}}


def without_meta(resource: dict[str, Any]) -> tuple[Any, ...]:
    """Byte for byte: 1.0 is not 1.00, and order counts; the hub writes resourceType and id first, and a Subscription's status."""
    own = ("meta", "resourceType", "id", *(("status",) if resource["resourceType"] == "Subscription" else ()))
    content = {name: value for name, value in resource.items() if name not in own}
    return resource["resourceType"], resource["id"], fhir_json.dump(content)
