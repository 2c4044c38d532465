"""An event of a destination → everything that is needed to say it there: the record, what it refers to, its documents.

Read as the destination's own access, now: what its facility may not see is not in the parcel, whatever refers to it.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hub import fhir_json
from hub.errors import Gone, NotFound
from hub.security.reads import Reads
from hub.store.binaries import binary_content
from hub.store.blobs import BlobStore
from hub.store.port import Key, Version
from hub.subscriptions.outbox import Event
from profiles.names import FACILITY_TAG

Resource = dict[str, Any]
PDF = "application/pdf"
DEPTH = 2  # the report, its results and order; then who asked, and the results within results
MOST_RESOURCES = 500
MOST_DOCUMENT_BYTES = 64 * 1024 * 1024
LOCAL = re.compile(r"([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})", re.ASCII)


@dataclass(frozen=True)
class Parcel:
    """`focus` is the record as it was; for a deletion as it last was. `around`: what it refers to, by "Type/id", as it is now."""

    event: Event
    facility: str  # whose record it is
    focus: Resource
    around: Mapping[str, Resource] = field(default_factory=dict)
    person: tuple[Resource, ...] = ()  # the same person's other Patients, those of the destination's facility first
    documents: Mapping[str, bytes] = field(default_factory=dict)  # by the URL of its Attachment
    patients: tuple[str, ...] = ()  # whose records it holds, for the audit

    @property
    def withdrawn(self) -> bool:
        return self.event.change == "delete"


def parcel_of(event: Event, reads: Reads, blobs: BlobStore, facility: str) -> Parcel | None:
    """None: the destination may not see it any more."""
    version = _version(event, reads)
    if version is None:
        return None
    focus = fhir_json.load(version.body)
    around = _around(focus, reads)
    person = _person(focus, around, reads, facility)
    return Parcel(
        event=event,
        facility=version.facility,
        focus=focus,
        around=around,
        person=person,
        documents=dict(_documents(focus, reads, blobs)),
        patients=tuple(patient for patient in reads.patients if patient),
    )


def _version(event: Event, reads: Reads) -> Version | None:
    key = Key(event.type, event.id)
    try:
        return reads.vread(key, event.version - 1 if event.change == "delete" else event.version)
    except (NotFound, Gone):
        return None


def _around(focus: Resource, reads: Reads) -> dict[str, Resource]:
    found: dict[str, Resource] = {}
    asked = {f"{focus['resourceType']}/{focus['id']}"}
    layer = [focus]
    for _ in range(DEPTH):
        names = [name for resource in layer for name in references_in(resource) if name not in asked]
        wanted = list(dict.fromkeys(names))[: MOST_RESOURCES - len(found)]
        if not wanted:
            break
        asked.update(wanted)
        keys = [Key(*name.split("/")) for name in wanted if not name.startswith("Binary/")]
        layer = [fhir_json.load(version.body) for version in reads.read_many(keys)]
        found |= {f"{each['resourceType']}/{each['id']}": each for each in layer}
    return found


def references_in(value: Any) -> Iterator[str]:
    """Relative references, "Type/id"."""
    if isinstance(value, dict):
        reference = value.get("reference")
        if isinstance(reference, str) and (match := LOCAL.match(reference)):
            yield f"{match[1]}/{match[2]}"
        for each in value.values():
            yield from references_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from references_in(each)


def _person(focus: Resource, around: Mapping[str, Resource], reads: Reads, facility: str) -> tuple[Resource, ...]:
    """A receiver knows the person by its own number, which another Patient of the same person bears."""
    subject = focus if focus["resourceType"] == "Patient" else around.get(_subject(focus), {})
    if not subject:
        return ()
    ids = [id for id in reads.person(subject["id"]) if id != subject["id"]]
    others = [fhir_json.load(version.body) for version in reads.read_many([Key("Patient", id) for id in ids])]
    return tuple(sorted(others, key=lambda each: facility_of(each) != facility))


def _subject(resource: Resource) -> str:
    stated = resource.get("subject") or resource.get("patient") or {}
    return str(stated.get("reference", "")) if isinstance(stated, dict) else ""


def facility_of(resource: Resource) -> str:
    tags = (resource.get("meta") or {}).get("tag") or []
    return next((str(tag.get("code", "")) for tag in tags if tag.get("system") == FACILITY_TAG), "")


def attachments_in(resource: Resource) -> Iterator[Resource]:
    """Of a report, a DocumentReference, a Media."""
    stated = [*resource.get("presentedForm", ()), resource.get("content")]
    for each in stated:
        for content in each if isinstance(each, list) else [each]:
            if isinstance(content, dict):
                yield content.get("attachment", content)


def _documents(focus: Resource, reads: Reads, blobs: BlobStore) -> Iterator[tuple[str, bytes]]:
    """What lies in the hub; an address elsewhere is not followed."""
    left = MOST_DOCUMENT_BYTES
    for attachment in attachments_in(focus):
        url = str(attachment.get("url", ""))
        match = LOCAL.fullmatch(url)
        if match is None or match[1] != "Binary" or attachment.get("size", 0) > left:
            continue
        try:
            resource = fhir_json.load(reads.read(Key("Binary", match[2])).body)
            content = binary_content(resource, blobs)
        except (NotFound, Gone):
            continue
        if len(content) <= left:
            left -= len(content)
            yield url, content


def content_of(attachment: Resource, documents: Mapping[str, bytes]) -> bytes | None:
    """An Attachment's bytes, in it or beside it; None when they are not here."""
    if "data" in attachment:
        try:
            return base64.b64decode(attachment["data"], validate=True)
        except (binascii.Error, ValueError):
            return None
    return documents.get(str(attachment.get("url", "")))
