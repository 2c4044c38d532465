"""An encapsulated document (PDF, CDA) → the document itself as Binary and a DocumentReference to it.

https://dicom.nema.org/medical/dicom/current/output/chtml/part03/sect_A.45.html
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from mappers.base import Attachment, Change, Issue, Resource
from mappers.dicom.codes import codeable
from mappers.dicom.header import tag_name
from mappers.dicom.instance import CONCEPT_NAME, SOP_INSTANCE_UID, STATED_AT, Instance
from mappers.identity_keys import resource_id
from profiles.names import DICOM_UID, LOINC

ENCAPSULATED_DOCUMENT, MIME_TYPE, DOCUMENT_LENGTH = 0x00420011, 0x00420012, 0x00420015
DOCUMENT_TITLE, STUDY_DESCRIPTION = 0x00420010, 0x00081030

# SOP class → what the bytes are, and how they begin
DOCUMENTS = {
    "1.2.840.10008.5.1.4.1.1.104.1": ("application/pdf", b"%PDF-"),
    "1.2.840.10008.5.1.4.1.1.104.2": ("application/xml", b"<"),
}
_IMAGING_REPORT = {"coding": [{"system": LOINC, "code": "18748-4", "display": "Diagnostic imaging study"}], "text": "检查报告"}


def document_from_instance(instance: Instance, issues: list[Issue]) -> tuple[tuple[Change, ...], tuple[Attachment, ...]]:
    """Nothing where the class holds something else (a surface), or the bytes are not what they say."""
    expected = DOCUMENTS.get(instance.header.uid(0x00080016))
    if expected is None:
        return (), ()
    content_type, opening = expected
    content = _content(instance)
    if not content:
        issues.append(Issue("missing", tag_name(ENCAPSULATED_DOCUMENT), "no document in it"))
        return (), ()
    if opening not in content[:1024]:
        issues.append(Issue("invalid-value", tag_name(ENCAPSULATED_DOCUMENT), f"not the {content_type} it should be"))
        content_type = "application/octet-stream"
    sha256 = hashlib.sha256(content).hexdigest()
    binary = {"resourceType": "Binary", "id": sha256, "contentType": content_type, "securityContext": instance.subject}
    changes = (Change(_reference(instance, content, content_type, sha256, issues)), Change(binary))
    return changes, (Attachment(sha256, content_type, content),)


def _content(instance: Instance) -> bytes:
    """The value without the byte that makes its length even."""
    element = instance.dataset.get_item(ENCAPSULATED_DOCUMENT) if ENCAPSULATED_DOCUMENT in instance.dataset else None
    value = element.value if element is not None else b""
    content = value if isinstance(value, bytes) else b""
    stated = instance.header.integer(DOCUMENT_LENGTH)
    if stated is not None and 0 < stated == len(content) - 1:
        return content[:stated]
    return content[:-1] if content.endswith(b"\0") else content


def _reference(instance: Instance, content: bytes, content_type: str, sha256: str, issues: list[Issue]) -> Resource:
    header = instance.header
    title = header.text(DOCUMENT_TITLE) or header.text(STUDY_DESCRIPTION)
    attachment: dict[str, Any] = {
        "contentType": content_type,
        "url": f"Binary/{sha256}",
        "size": len(content),
        "hash": base64.b64encode(hashlib.sha1(content, usedforsecurity=False).digest()).decode(),
    }
    created = next(filter(None, (instance.stated_datetime(day, clock, issues) for day, clock in STATED_AT[1:])), "")
    if title:
        attachment["title"] = title
    if created:
        attachment["creation"] = created
    kinds = [concept for item in instance.items(CONCEPT_NAME) if (concept := codeable(instance, item))]
    reference: Resource = {
        "resourceType": "DocumentReference",
        "id": resource_id("DocumentReference", instance.facility, "dicom", instance.instance_uid),
        "masterIdentifier": {"system": DICOM_UID, "value": f"urn:oid:{header.uid(SOP_INSTANCE_UID)}"},
        "status": "current",
        "type": kinds[0] if kinds else _IMAGING_REPORT,
        "subject": instance.subject,
        "author": [instance.organization],
        "custodian": instance.organization,
        "content": [{"attachment": attachment}],
        "context": {"related": [{"reference": f"ImagingStudy/{instance.study_id}"}]},
    }
    if "T" in created:
        reference["date"] = created
    if title:
        reference["description"] = title
    return reference
