"""What the workbench needs of a running hub beside its pages: the job that maps records again, and the requests of commands."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hub.directory import bring as directory
from hub.identity import desk as identities
from hub.ingest.discarding import Decision, decide
from hub.ingest.gaps import Confirmation, confirm, serve_remapping
from hub.ingest.run import IntakeService
from hub.outbox.queue import Choice, replay
from hub.recognition.publishing import desk as recognition
from hub.security.access import Access
from hub.store.port import ResourceStore
from hub.terminology.importing import bringing as importing

if TYPE_CHECKING:
    from hub.app import Hub

CONFIRM = "confirm-codes"
OUTBOX = "send-again"
DISCARD = "discard-records"


def serve_workbench(hub: Hub, intake: IntakeService) -> None:
    serve_remapping(hub.jobs, intake.journal, intake.contexts)
    intake.requests.serve(CONFIRM, lambda body: confirmed(hub, body))
    intake.requests.serve(DISCARD, lambda body: discarded(hub, body))
    intake.requests.serve(OUTBOX, lambda body: sent_again(hub.store, body))
    intake.requests.serve(directory.REQUEST, lambda body: directory.brought(hub, body))
    intake.requests.serve(identities.REQUEST, lambda body: identities.decided(hub, body))
    intake.requests.serve(recognition.REQUEST, lambda body: recognition.done(hub, intake.beside or hub.data, body))
    intake.requests.serve(importing.REQUEST, lambda body: importing.brought(hub, body, intake.beside))


def confirmed(hub: Hub, body: Mapping[str, Any]) -> dict[str, Any]:
    """{"who": …, "codes": [a Confirmation's members]} → the maps written and the job that follows. Raise HubError."""
    who = Access(name=str(body["who"]), role="it", purpose="HOPERAT", address="127.0.0.1")
    decisions = [Confirmation(*map(str, each)) for each in body["codes"]]
    return asdict(asyncio.run(confirm(hub.door, hub.store, who, decisions, hub.clock)))


def discarded(hub: Hub, body: Mapping[str, Any]) -> dict[str, Any]:
    """{"who", "decision": discard or restore, "numbers", "reason"} → how many were changed. Raise HubError."""
    who = Access(name=str(body["who"]), role="it", purpose="HOPERAT", address="127.0.0.1")
    decision: Decision = "restore" if body["decision"] == "restore" else "discard"
    numbers = [int(number) for number in body["numbers"]]
    return {"changed": asyncio.run(decide(hub.door, hub.store, who, decision, numbers, str(body["reason"])))}


def sent_again(store: ResourceStore, body: Mapping[str, Any]) -> dict[str, Any]:
    """{"destination", "states", "numbers"} → how many were queued, and how many gave way to a newer version."""
    return asdict(replay(store, choice_of(body)))


def choice_of(body: Mapping[str, Any]) -> Choice:
    numbers = frozenset(map(int, body["numbers"]))
    return Choice(destination=str(body["destination"]), states=frozenset(body["states"]), numbers=numbers)
