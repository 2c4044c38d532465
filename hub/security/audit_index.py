"""Index entries of the hub's own AuditEvents, without evaluating expressions: every read waits for one of these events.

The same entries as `hub.search.extract` finds, which a test holds it to; an AuditEvent of another shape goes the general way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Any

from hub.search.entries import Date, Entry, Reference, String, Token
from hub.search.folding import fold, fold_code
from hub.security.audit import ENTITY_TYPE, EVENT_TYPE, INTERACTION, OBJECT_ROLE, OBSERVER, SECURITY_ROLE
from hub.store.indexer import Indexer

Resource = dict[str, Any]

ACTION = "http://hl7.org/fhir/audit-event-action"
OUTCOME = "http://hl7.org/fhir/audit-event-outcome"
_REST = Entry("type", Token("rest", EVENT_TYPE))


def with_audit(indexer: Indexer, customised: Callable[[str], bool] = lambda _: False) -> Indexer:
    """The indexer, with the short way for AuditEvents that the hub made, while no custom parameter asks more of them."""
    extract = indexer.extract

    def extracted(resource: Resource) -> list[Entry]:
        short = own_event(resource) and not customised("AuditEvent")
        return entries_of(resource) if short else extract(resource)

    def compartment(resource: Resource) -> str:
        """None, so that a facility sees its own events alone: treating a person is no right to know who else looked."""
        return "" if own_event(resource) else indexer.compartment_of(resource)

    return replace(indexer, extract=extracted, compartment_of=compartment)


def own_event(resource: Resource) -> bool:
    return resource["resourceType"] == "AuditEvent" and resource.get("source") == OBSERVER


def entries_of(event: Resource) -> list[Entry]:
    agent = event["agent"][0]
    recorded = round(datetime.fromisoformat(event["recorded"]).timestamp() * 1000)
    entries = [
        _REST,
        _token("subtype", event["subtype"][0]["code"], INTERACTION),
        _token("action", event["action"], ACTION),
        Entry("date", Date(recorded, recorded + 1)),
        _token("outcome", event["outcome"], OUTCOME),
        _token("agent-role", agent["role"][0]["coding"][0]["code"], SECURITY_ROLE),
        _string("agent-name", agent["name"]),
        _token("agent:identifier", agent["who"]["identifier"]["value"], agent["who"]["identifier"]["system"]),
    ]
    if "network" in agent:
        entries.append(_string("address", agent["network"]["address"]))
    for entity in event.get("entity", ()):
        entries.append(_token("entity-type", entity["type"]["code"], ENTITY_TYPE))
        entries.append(_token("entity-role", entity["role"]["code"], OBJECT_ROLE))
        if "what" in entity:
            kind, _, id = entity["what"]["reference"].partition("/")
            entries.append(Entry("entity", Reference(kind, id)))
            if kind == "Patient":
                entries.append(Entry("patient", Reference(kind, id)))
    entries += [_token("_tag", tag["code"], tag["system"]) for tag in event.get("meta", {}).get("tag", ())]
    return entries


@lru_cache(maxsize=1024)
def _token(parameter: str, code: str, system: str) -> Entry:
    """A few codes, and the names of who asks, return in every event."""
    return Entry(parameter, Token(fold_code(code), system))


@lru_cache(maxsize=1024)
def _string(parameter: str, text: str) -> Entry:
    return Entry(parameter, String(fold(text), text))
