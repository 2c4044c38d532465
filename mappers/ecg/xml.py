"""XML from an ECG cart → its root element, read as connectors/xml.py reads every stranger's XML."""

from __future__ import annotations

from connectors.xml import Element, NotXml, read_xml
from mappers.ecg.model import EcgError


def root_of(content: bytes) -> Element:
    """Raise EcgError if the bytes are no well-formed XML, or carry a document type declaration."""
    try:
        return read_xml(content, long_texts=True)
    except NotXml as error:
        raise EcgError(str(error)) from None
