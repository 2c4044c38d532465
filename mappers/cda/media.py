"""What a document carries inside: a scan or PDF as its body, pictures and files in its entries → Binary, bytes kept apart.

What it only points to is not fetched.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator

from connectors.xml import Element
from mappers.base import Attachment, Change
from mappers.cda.document import Document
from mappers.cda.reader import attribute, child, text_of

MEDIA_TYPES = frozenset(
    {"application/pdf", "image/jpeg", "image/png", "image/tiff", "image/gif", "image/bmp", "text/plain", "text/rtf", "text/html"}
)
MAX_MEDIA = 50  # of one document


def state_binary(document: Document, content: bytes, content_type: str) -> Attachment:
    name = hashlib.sha256(content).hexdigest()
    binary = {"resourceType": "Binary", "id": name, "contentType": content_type, "securityContext": document.patient}
    document.changes.append(Change(binary))
    return Attachment(name, content_type, content)


def attachment_hash(content: bytes) -> str:
    """Attachment.hash as FHIR has it: SHA-1 in base64. What the bytes are kept under, and proved by, is SHA-256."""
    return base64.b64encode(hashlib.sha1(content, usedforsecurity=False).digest()).decode()


def embedded(document: Document) -> tuple[Attachment, ...]:
    """The body that is not XML, and each base64 value of the entries, the same bytes once."""
    found: dict[str, Attachment] = {}
    for element, holder in _media(document.root):
        if len(found) == MAX_MEDIA:
            document.note("unsupported", "observationMedia", f"more than {MAX_MEDIA} of them; the document keeps the rest")
            break
        content, content_type = _content(document, element)
        if content and hashlib.sha256(content).hexdigest() not in found:
            attachment = state_binary(document, content, content_type)
            found[attachment.sha256] = attachment
        if content:
            document.use("Binary", holder)
    return tuple(found.values())


def _media(root: Element) -> Iterator[tuple[Element, Element]]:
    """Elements that hold bytes, each with the part of the document that it is all of."""
    body = child(root, "component", "nonXMLBody")
    text = child(body, "text")
    if body is not None and text is not None:
        yield text, body
    for value in root.iter("value"):
        holder = value.getparent()
        if attribute(value, "representation") == "B64" and holder is not None:
            yield value, holder


def _content(document: Document, element: Element) -> tuple[bytes, str]:
    """Bytes and type; no bytes where there are none or they are not base64."""
    media, where = attribute(element, "mediaType").lower(), element.getparent()
    name = "" if where is None else str(where.tag)
    if attribute(element, "representation") != "B64":
        words = text_of(element) if child(element, "reference") is None else ""
        if not words:
            document.note("unsupported", name, "a body by reference; the document is kept as it came")
        return words.encode(), "text/plain"
    try:
        content = base64.b64decode("".join(str(part) for part in element.itertext()), validate=False)
    except (binascii.Error, ValueError):
        document.note("invalid-value", name, "not base64")
        return b"", ""
    return content, media if media in MEDIA_TYPES else "application/octet-stream"
