"""What a command on the hub's own machine asks for: publish, or try on past orders. Who may write into its folder may do both."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hub.recognition.facts import recognition_service
from hub.recognition.publishing.drafts import draft_of, keep_draft
from hub.recognition.publishing.library import Facts, Kind, facts_of
from hub.recognition.publishing.service import publish_facts
from hub.recognition.publishing.what_if import submit_what_if
from hub.security.access import Access
from hub.store.port import Transaction

if TYPE_CHECKING:
    from hub.app import Hub

REQUEST = "recognition"


def done(hub: Hub, beside: Path, body: Mapping[str, Any]) -> dict[str, Any]:
    """{"who", "act": publish or try, "kind", "blob", "file", "first", "last"} → {"library", "changed"} or {"draft", "job"}.

    `blob`: SHA-256 of the JSON of a catalogue or evidence. Raise HubError.
    """
    who = Access(name=str(body["who"]), role="admin", purpose="HOPERAT", address="127.0.0.1")
    facts = facts_of(cast("Kind", body["kind"]), hub.blobs.read(str(body["blob"])))
    if body["act"] == "publish":
        saved = asyncio.run(publish_facts(hub, recognition_service(hub, beside), who, facts))
        return {"library": saved.version.id, "changed": saved.changed}
    return _tried(hub, who, facts, body)


def _tried(hub: Hub, who: Access, facts: Facts, body: Mapping[str, Any]) -> dict[str, Any]:
    """The draft stays, so that /ops/recognition shows it too."""
    first, last = date.fromisoformat(str(body["first"])), date.fromisoformat(str(body["last"]))
    draft = draft_of(facts, str(body["file"]), who.name, hub.clock())

    def work(transaction: Transaction) -> str:
        job = submit_what_if(transaction, draft.id, first, last, hub.clock())
        keep_draft(transaction, draft.tried_by(job.id))
        return job.id

    job = hub.store.write(work).result()
    asyncio.run(hub.door.note(who, action="E", interaction="operation", type="recognition-what-if", query=f"{first}/{last}"))
    hub.jobs.wake()
    return {"draft": draft.id, "job": job}
