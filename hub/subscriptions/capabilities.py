"""What `metadata` says of subscriptions: the websocket's address and the topics on offer."""

from __future__ import annotations

from typing import Any

from hub.subscriptions.topics import topics

WEBSOCKET = "http://hl7.org/fhir/StructureDefinition/capabilitystatement-websocket"
GUIDE = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"


def subscribing(base: str) -> dict[str, Any]:
    """Extensions of CapabilityStatement.rest."""
    return {"extension": [{"url": WEBSOCKET, "valueUri": websocket_address(base)}]}


def websocket_address(base: str) -> str:
    return base.replace("http", "ws", 1) + "/$websocket"


def offered_topics() -> dict[str, Any]:
    """Of CapabilityStatement.rest.resource for Subscription."""
    topic = f"{GUIDE}capabilitystatement-subscriptiontopic-canonical"
    return {
        "extension": [{"url": topic, "valueCanonical": url} for url in topics()],
        "supportedProfile": [f"{GUIDE}backport-subscription"],
    }
