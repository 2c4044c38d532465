"""A CDA document → Patient and Encounter of its header, Composition, DocumentReference, the bytes, and what its entries state.

WS/T 500 documents and C-CDA come through the same door. A document type without an entry map keeps its narrative, section by
section, and says so.
"""

from __future__ import annotations

from connectors.base import SourceRecord
from mappers.base import Mapped, MappingContext
from mappers.cda.codes import DOCUMENT_NAMES
from mappers.cda.composition import count_sections, state_composition, state_document_reference
from mappers.cda.documents import ENTRY_MAPS
from mappers.cda.header import changed_at, open_document
from mappers.cda.reader import parse


def map_document(record: SourceRecord, context: MappingContext) -> Mapped:
    """Raise CannotMap: not XML, not a clinical document, or one that names no patient."""
    parsed = parse(record.content)
    document = open_document(parsed.root, record, context)
    if parsed.repaired:
        document.note("charset-repaired", "xml declaration", f"used {parsed.repaired}", severity="information")
    if entry_map := ENTRY_MAPS.get(document.code):
        entry_map(document)
    elif document.code:
        document.note("not-mapped", document.code, f"{DOCUMENT_NAMES[document.code]}: kept as a document with its sections")
    state_composition(document)
    attachments = state_document_reference(document)
    ledger = count_sections(document)
    return Mapped(tuple(document.changes), tuple(document.issues), attachments, changed_at(document), ledger)
