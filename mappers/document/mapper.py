"""A file for people to read → DocumentReference and Binary.

https://hl7.org/fhir/R4/documentreference.html. Whose it is stands in the record's hints (`document.patient` …), as the connector
read it from the file's name or from the words beside it; the file itself is not looked into.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from connectors.base import SourceRecord
from mappers.base import Attachment, CannotMap, Change, Issue, Line, Mapped, MappingContext, Resource
from mappers.datatypes import fhir_datetime, fhir_instant
from mappers.identity_keys import local_system, organization_id, reference, resource_id

# word of the hints → where it goes
PLACES = {
    "patient": "DocumentReference.subject",
    "visit": "DocumentReference.context.encounter",
    "report": "DocumentReference.identifier",
    "order": "DocumentReference.context.related",
    "date": "DocumentReference.content.attachment.creation",
    "title": "DocumentReference.content.attachment.title",
    "type": "DocumentReference.type",
}


def map_document_file(record: SourceRecord, context: MappingContext) -> Mapped:
    """Raise CannotMap when nobody said whose document it is, or of which facility."""
    facts = {word: record.hints.get(f"document.{word}", "") for word in PLACES}
    if not facts["patient"]:
        raise CannotMap("whose document it is, is not stated")
    if not record.facility:
        raise CannotMap("the channel states no facility")
    sha256 = hashlib.sha256(record.content).hexdigest()
    content_type = record.hints.get("content_type", "application/octet-stream")
    issues: list[Issue] = []
    subject = reference("Patient", record.facility, facts["patient"])
    document = _document(record, facts, sha256, content_type, issues, context)
    binary = {"resourceType": "Binary", "id": sha256, "contentType": content_type, "securityContext": subject}
    lines = (*_lines(facts, document), Line("content", "mapped", "DocumentReference.content.attachment.url"))
    ledger = {state: sum(line.state == state for line in lines) for state in ("mapped", "kept", "unmapped")}
    return Mapped(
        (Change(document), Change(binary)),
        tuple(issues),
        (Attachment(sha256, content_type, record.content),),
        changed_at=record.changed_at,
        ledger=ledger,
        lines=lines if context.explain else (),
    )


def _document(
    record: SourceRecord, facts: dict[str, str], sha256: str, content_type: str, issues: list[Issue], context: MappingContext
) -> Resource:
    facility = record.facility
    creation = fhir_datetime(facts["date"], context.zone) if facts["date"] else None
    if facts["date"] and creation is None:
        issues.append(Issue("invalid-value", "document.date", "not a time"))
    related: dict[str, Any] = {}
    if facts["visit"]:
        related["encounter"] = [reference("Encounter", facility, facts["visit"])]
    if facts["order"]:
        related["related"] = [reference("ServiceRequest", facility, facts["order"])]
    document: Resource = {
        "resourceType": "DocumentReference",
        # a corrected file under the same report number takes the place of the first; without a number each file is its own
        "id": resource_id("DocumentReference", facility, facts["patient"], facts["report"] or sha256),
        "status": "current",
        "type": {"text": facts["type"]} if facts["type"] else None,
        "identifier": [{"system": local_system(facility, "report"), "value": facts["report"]}] if facts["report"] else None,
        "subject": reference("Patient", facility, facts["patient"]),
        "date": fhir_instant(facts["date"], context.zone) if creation else None,
        "custodian": {"reference": f"Organization/{organization_id(facility)}"},
        "content": [{"attachment": _attachment(record.content, facts, sha256, content_type, creation)}],
        "context": related or None,
    }
    return {name: value for name, value in document.items() if value is not None}


def _attachment(content: bytes, facts: dict[str, str], sha256: str, content_type: str, creation: str | None) -> dict[str, Any]:
    sha1 = hashlib.sha1(content, usedforsecurity=False).digest()  # Attachment.hash is SHA-1
    attachment = {
        "contentType": content_type,
        "url": f"Binary/{sha256}",
        "size": len(content),
        "hash": base64.b64encode(sha1).decode(),
        "title": facts["title"],
        "creation": creation,
    }
    return {name: value for name, value in attachment.items() if value}


def _lines(facts: dict[str, str], document: Resource) -> tuple[Line, ...]:
    dated = "creation" in document["content"][0]["attachment"]
    return tuple(
        Line(f"document.{word}", "mapped", PLACES[word]) if word != "date" or dated else Line("document.date", "kept")
        for word, text in facts.items()
        if text
    )
