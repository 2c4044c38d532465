"""XML from an ECG cart → its root element: no document type, nothing fetched, nothing expanded."""

from __future__ import annotations

from lxml import etree

from mappers.ecg.model import EcgError

MAX_BYTES = 64 * 1024 * 1024
_FORBIDDEN = tuple(text.encode(codec) for text in ("<!DOCTYPE", "<!ENTITY") for codec in ("ascii", "utf-16-le", "utf-16-be"))


def root_of(content: bytes) -> etree._Element:
    """Raise EcgError if the bytes are no well-formed XML, or carry a document type declaration."""
    if len(content) > MAX_BYTES:
        raise EcgError(f"an XML file of {len(content)} bytes; the limit is {MAX_BYTES}")
    if any(mark in content[:8192] for mark in _FORBIDDEN):
        raise EcgError("a document type declaration")
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=len(content) > 8_000_000)
    try:
        root = etree.fromstring(content, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise EcgError(f"no well-formed XML ({type(error).__name__})") from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise EcgError("a document type declaration")
    return root
