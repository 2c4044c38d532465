"""What the store itself writes into a resource: id, meta.versionId, meta.lastUpdated and the facility's tag.

https://hl7.org/fhir/R4/resource.html#Meta
"""

from __future__ import annotations

from typing import Any

from hub.clock import instant
from hub.fhir_json import dump
from profiles.names import FACILITY_TAG

Resource = dict[str, Any]
OWNED = ("versionId", "lastUpdated")


def owned(resource: Resource, *, id: str, facility: str) -> Resource:
    """The resource without a version, its `meta` in place: a facility tag from outside is nobody's statement and goes."""
    meta = resource.get("meta") or {}
    tags = [tag for tag in meta.get("tag", ()) if tag.get("system") != FACILITY_TAG]
    if facility:
        tags.append({"system": FACILITY_TAG, "code": facility})
    kept = {name: value for name, value in meta.items() if name not in OWNED}
    kept["tag"] = tags
    if not tags:
        del kept["tag"]
    head = {"resourceType": resource["resourceType"], "id": id, "meta": kept}
    return {**head, **{name: value for name, value in resource.items() if name not in head}}


def stamped(resource: Resource, version: int, updated: int) -> bytes:
    """JSON of the owned resource as this version; the same content, version and time give the same bytes."""
    meta = {"versionId": str(version), "lastUpdated": instant(updated), **resource["meta"]}
    return dump({**resource, "meta": meta})


_NO_VERSION = b'"versionId":"0","lastUpdated":"1970-01-01T00:00:00.000Z"'


def halves(resource: Resource) -> tuple[bytes, bytes]:
    """What comes before and after the version in the JSON of an owned resource."""
    front, _, rest = stamped(resource, 0, 0).partition(_NO_VERSION)
    return front, rest


def joined(front: bytes, rest: bytes, version: int, updated: int) -> bytes:
    """The same bytes as `stamped` gives."""
    return b'%s"versionId":"%d","lastUpdated":"%s"%s' % (front, version, instant(updated).encode(), rest)
