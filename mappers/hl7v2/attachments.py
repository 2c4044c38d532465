"""Documents inside an OBX: ED as bytes behind a Binary, RP as the pointer it is.

https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-datatype-ed-to-attachment.html
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Any

from mappers.base import Resource
from mappers.hl7v2.draft import Draft
from mappers.hl7v2.message import Segment
from mappers.hl7v2.types import codeable_concept
from mappers.identity_keys import resource_id

DOCUMENT_KINDS = frozenset({"ED", "RP"})  # HL7 table 0125
# ED.2 and ED.3 (tables 0834, 0291 and what sources write) → media type, when the bytes do not say it themselves
MEDIA_TYPES = {
    "PDF": "application/pdf",
    "JPEG": "image/jpeg",
    "JPG": "image/jpeg",
    "PNG": "image/png",
    "GIF": "image/gif",
    "TIFF": "image/tiff",
    "XML": "application/xml",
    "HTML": "text/html",
    "RTF": "application/rtf",
    "X-HL7-CDA-LEVEL-ONE": "application/xml",
    "X-HL7-CDA-LEVEL-ONE_MULTIPART": "multipart/related",
    "DICOM": "application/dicom",
    "PLAIN": "text/plain",
    "TEXT": "text/plain",
    "TXT": "text/plain",
}
MAGIC = (
    (b"%PDF-", "application/pdf"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF8", "image/gif"),
    (b"<?xml", "application/xml"),
    (b"{\\rtf", "application/rtf"),
)
PLAIN = frozenset({"A", "ASCII", "NONE"})  # ED.4: the data is text as it stands
_MEDIA = re.compile(r"[a-z]+/[a-z0-9.+-]+")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+")


def is_document(obx: Segment) -> bool:
    return obx.value(2).upper() in DOCUMENT_KINDS


def attachments_of(draft: Draft, obx: Segment) -> list[dict[str, Any]]:
    """One Attachment a repetition of OBX-5."""
    title = obx.value(3, 2) or obx.value(3)
    read = _pointer if obx.value(2).upper() == "RP" else _enclosed
    found = [read(draft, obx, n) for n in range(1, obx.count(5) + 1)]
    return [attachment | ({"title": title} if title else {}) for attachment in found if attachment]


def _pointer(draft: Draft, obx: Segment, repetition: int) -> dict[str, Any]:
    """RP: pointer ^ application ^ type ^ subtype. A path or a UID is no URL of ours: it is kept as one word of a urn."""
    pointer, _, kind, subtype = obx.parts(5, 4, repetition)
    whole = obx.text(5, repetition).split("^")[0].strip() if "&" in obx[5] else pointer  # an & of a query string is no subcomponent
    if not pointer:
        return {}
    media = _named(subtype.upper()) or _named(kind.upper())
    found: dict[str, Any] = {"contentType": media} if media else {}
    address = (whole or pointer).replace(" ", "%20")
    if re.fullmatch(r"[0-2](\.\d+)+", address):
        address = f"urn:oid:{address}"
    elif not _URI.fullmatch(address):
        draft.note("invalid-value", f"{obx.where}-5", "the pointer is not a URL: kept as written", "information")
    return found | {"url": address}


def _enclosed(draft: Draft, obx: Segment, repetition: int) -> dict[str, Any]:
    document = enclosed_document(draft, obx, repetition)
    if document is None:
        return {}
    url = draft.attach(document.content, document.content_type)
    return {"contentType": document.content_type, "url": url, "size": len(document.content)}


def state_enclosed(draft: Draft, obx: Segment, key: tuple[str, ...]) -> list[dict[str, Any]]:
    """Documents that hang below an order or a charge → a DocumentReference; → references."""
    attachments = attachments_of(draft, obx)
    if not attachments:
        return []
    document: Resource = {
        "resourceType": "DocumentReference",
        "id": resource_id("DocumentReference", *key, str(obx.number)),
        "status": "entered-in-error" if obx.value(11).upper() in {"D", "W"} else "current",
        "subject": draft.patient,
        "custodian": draft.organization,
        "content": [{"attachment": attachment} for attachment in attachments],
    }
    if kind := codeable_concept(draft, obx, 3, "item"):
        document["type"] = kind
    if draft.encounter:
        document["context"] = {"encounter": [draft.encounter]}
    draft.state(document)
    return [{"reference": f"DocumentReference/{document['id']}"}]


# ---------------------------------------------------------------- ED


@dataclass(frozen=True, slots=True)
class Enclosed:
    content: bytes
    content_type: str


def enclosed_document(draft: Draft, obx: Segment, repetition: int = 1) -> Enclosed | None:
    """ED (source ^ type ^ subtype ^ encoding ^ data) → bytes. None, with an issue, when they cannot be decoded."""
    parts = obx.components(5, repetition)
    if len(parts) < 5:
        return _bare(draft, obx, parts)
    kind, subtype, encoding = (part.strip().upper() for part in parts[1:4])
    content = _decoded("^".join(parts[4:]).rstrip("^"), encoding, draft.message.charset)
    if not content:
        draft.refuse(obx, 5)
        draft.note("invalid-value", f"{obx.where}-5", f"ED data is not {encoding[:16] or 'base64'}")
        return None
    return Enclosed(content, _magic(content) or _named(subtype) or _named(kind) or "application/octet-stream")


def _bare(draft: Draft, obx: Segment, parts: list[str]) -> Enclosed | None:
    """Data without the four components before it: taken only when the bytes themselves say what they are."""
    content = _decoded(parts[-1], "", "") if parts else b""
    if media := _magic(content):
        draft.note("invalid-value", f"{obx.where}-5", "ED without type and encoding: known by its bytes", "information")
        return Enclosed(content, media)
    draft.refuse(obx, 5)
    draft.note("invalid-value", f"{obx.where}-5", "ED without data")
    return None


def _magic(content: bytes) -> str | None:
    return next((media for magic, media in MAGIC if content.startswith(magic)), None)


def _named(text: str) -> str | None:
    """PDF, or a whole media type: application/pdf."""
    return MEDIA_TYPES.get(text) or (text.lower() if _MEDIA.fullmatch(text.lower()) else None)


def _decoded(data: str, encoding: str, charset: str) -> bytes:
    if encoding in PLAIN:
        return data.encode(charset if charset != "ascii" else "utf-8")
    compact = "".join(data.split())
    try:
        if encoding == "HEX":
            return bytes.fromhex(compact)
        return base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b""
