"""What the store itself writes into a resource (id, version, time, the facility's tag), and which version follows on which.

https://hl7.org/fhir/R4/resource.html#Meta
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from hub.clock import instant
from hub.errors import VersionConflict
from hub.fhir_json import dump, same_content
from hub.search.entries import Entry
from hub.store.indexer import Indexer
from hub.store.port import Key, Prepared, Version, Writing
from profiles.names import FACILITY_TAG

Resource = dict[str, Any]
Prepare = Callable[[str, Iterable[Entry]], Any]  # ResourceStore.prepare
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


# -- versions


@dataclass(frozen=True, slots=True)
class Draft:
    """A version but for its number and its time. `render` makes its JSON of these two."""

    key: Key
    method: Writing
    facility: str
    render: Callable[[int, int], bytes]
    patient: Callable[[], str]

    def after(self, former: Version | None, clock: Callable[[], int]) -> Version | None:
        """None: `former` says the same already. A clock that went back makes no version older than the one before it."""
        there = former is not None and not former.deleted
        if former and there and same_content(self.render(former.version, former.updated), former.body):
            return None
        return self._numbered(*_next(former, clock))

    def first(self, now: int) -> Version:
        return self._numbered(1, now)

    def _numbered(self, number: int, updated: int) -> Version:
        body = self.render(number, updated)
        return Version(*self.key, number, updated, False, body, self.method, self.facility, self.patient())


def made_ready(resource: Resource, *, id: str, facility: str, method: Writing, indexer: Indexer, prepare: Prepare) -> Prepared:
    content = owned(resource, id=id, facility=facility)
    kind = content["resourceType"]
    index = prepare(kind, indexer.extract(content))
    return Prepared(kind, id, facility, indexer.compartment_of(content), *halves(content), index, method)


def drafted(resource: Prepared) -> Draft:
    """Of what was made ready."""
    render = partial(joined, resource.front, resource.rest)
    return Draft(Key(resource.type, resource.id), resource.method, resource.facility, render, lambda: resource.patient)


def deletion(former: Version, clock: Callable[[], int]) -> Version:
    number, updated = _next(former, clock)
    return replace(former, version=number, updated=updated, deleted=True, body=b"", method="DELETE")


def _next(former: Version | None, clock: Callable[[], int]) -> tuple[int, int]:
    return (former.version + 1, max(clock(), former.updated)) if former else (1, clock())


def check_match(key: Key, current: int | None, if_match: int | None) -> None:
    """Raise VersionConflict if the current version is not the one that the caller knows."""
    if if_match is not None and current != if_match:
        raise VersionConflict(f"the current version of {key.type}/{key.id} is not {if_match}")
