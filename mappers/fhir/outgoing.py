"""A record with what it refers to → a transaction Bundle for another FHIR server: each put under its own id, so that twice is once.

https://hl7.org/fhir/R4/http.html#transaction. What belongs to this hub alone (version, the time of its saving) is left out;
documents that lie beside the record are put into it, for an address here says nothing there.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from mappers.base import Resource
from profiles.names import GOLDEN, HUB_TAG

HERE_ONLY = ("versionId", "lastUpdated")
NOT_SENT = frozenset({"AuditEvent", "Subscription", "Binary"})


def transaction_of(
    focus: Resource, around: Mapping[str, Resource], documents: Mapping[str, bytes], *, withdrawn: bool = False
) -> Resource:
    """`withdrawn`: the focus is deleted there, and what it refers to stays as it is."""
    if withdrawn:
        return _bundle([{"request": {"method": "DELETE", "url": _name(focus)}}])
    others = [each for each in around.values() if each["resourceType"] not in NOT_SENT and not _golden(each)]
    sent = [*sorted(others, key=_name), focus]
    return _bundle([_put(stripped(each, documents)) for each in sent])


def stripped(resource: Resource, documents: Mapping[str, bytes]) -> Resource:
    """As another server takes it."""
    meta = {name: value for name, value in resource.get("meta", {}).items() if name not in HERE_ONLY}
    plain = {name: _enclosed(value, documents) for name, value in resource.items() if name not in ("meta", "text")}
    if text := resource.get("text"):
        plain["text"] = text
    return {"resourceType": resource["resourceType"], "id": resource["id"], **({"meta": meta} if meta else {}), **plain}


def _enclosed(value: Any, documents: Mapping[str, bytes]) -> Any:
    if isinstance(value, list):
        return [_enclosed(each, documents) for each in value]
    if not isinstance(value, dict):
        return value
    url = str(value.get("url", ""))
    if url in documents and "resourceType" not in value:
        rest = {name: each for name, each in value.items() if name != "url"}
        return {**rest, "data": base64.b64encode(documents[url]).decode()}
    return {name: _enclosed(each, documents) for name, each in value.items()}


def _golden(resource: Resource) -> bool:
    return any(tag.get("system") == HUB_TAG and tag.get("code") == GOLDEN for tag in resource.get("meta", {}).get("tag", ()))


def _put(resource: Resource) -> Resource:
    return {"resource": resource, "request": {"method": "PUT", "url": _name(resource)}}


def _name(resource: Resource) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


def _bundle(entries: list[Resource]) -> Resource:
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}
