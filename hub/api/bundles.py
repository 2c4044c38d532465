"""Bundles that the server makes: searchset, history and their links. https://hl7.org/fhir/R4/bundle.html"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from hub.clock import instant
from hub.store.port import Version

Mode = Literal["match", "include", "outcome"]


def bundle(
    kind: str, entries: list[dict[str, Any]], *, links: dict[str, str], now: int, total: int | None = None
) -> dict[str, Any]:
    made: dict[str, Any] = {"resourceType": "Bundle", "type": kind, "meta": {"lastUpdated": instant(now)}}
    if total is not None:
        made["total"] = total
    made["link"] = [{"relation": relation, "url": url} for relation, url in links.items()]
    if entries:  # FHIR knows no empty arrays
        made["entry"] = entries
    return made


def found(version: Version, base: str, mode: Mode, body: bytes | None = None) -> dict[str, Any]:
    resource = msgspec.Raw(version.body if body is None else body)
    return {"fullUrl": f"{base}/{version.type}/{version.id}", "resource": resource, "search": {"mode": mode}}


def warning(outcome: dict[str, Any]) -> dict[str, Any]:
    return {"resource": outcome, "search": {"mode": "outcome"}}


_STATUS = {"POST": "201 Created", "PUT": "200 OK", "PATCH": "200 OK", "DELETE": "204 No Content"}


def past(version: Version, base: str) -> dict[str, Any]:
    """One version in a history."""
    address = f"{version.type}/{version.id}"
    status = "201 Created" if version.version == 1 else _STATUS[version.method]
    entry: dict[str, Any] = {"fullUrl": f"{base}/{address}"}
    if not version.deleted:
        entry["resource"] = msgspec.Raw(version.body)
    entry["request"] = {"method": version.method, "url": version.type if version.method == "POST" else address}
    entry["response"] = {"status": status, "etag": version.etag, "lastModified": instant(version.updated)}
    return entry
