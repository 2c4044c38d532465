"""The CDA header → who, where, when and which document: what Composition and DocumentReference share."""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256

from connectors.base import SourceRecord
from connectors.xml import Element
from mappers.base import CannotMap, MappingContext
from mappers.cda.document import Document
from mappers.cda.entries import read_sections
from mappers.cda.patient import state_patient
from mappers.cda.reader import attribute, child, id_of, ids
from mappers.cda.recognise import recognise
from mappers.cda.visit import state_encounter
from mappers.datatypes import instant

VERSIONS = range(-1, 100_000)  # one vendor counts 0 added, 1 changed, -1 deleted


def open_document(root: Element, record: SourceRecord, context: MappingContext) -> Document:
    custodian = child(root, "custodian", "assignedCustodian", "representedCustodianOrganization")
    facility = record.facility or next((found.extension or found.root for found in ids(custodian)), "")
    if not facility:
        raise CannotMap("neither the channel nor the document's custodian states a facility")
    document = Document(root, record, context, facility)
    document.code, told = recognise(root)
    for code, where, detail in told:
        document.note(code, where, detail, severity="information" if code == "missing" else "warning")
    state_patient(document)
    document.key = _document_key(document)
    state_encounter(document)
    document.sections = read_sections(root, by_label=bool(document.code))
    return document


def type_key(document: Document) -> str:
    return document.code or attribute(child(document.root, "code"), "code") or "-"


def version_of(root: Element) -> int | None:
    """versionNumber; None where there is none or it is no version."""
    text = attribute(child(root, "versionNumber"), "value")
    version = int(text) if text.removeprefix("-").isdecimal() and len(text) < 6 else None
    return version if version is not None and version in VERSIONS else None


def _document_key(document: Document) -> tuple[str, ...]:
    """What stays the same through a document's corrections.

    A set is one only within its document type and patient, and only with a root and a version: systems write one setId into
    every document they make. Else the id, which many systems count for each type anew; else the bytes themselves.
    """
    own_set = id_of(child(document.root, "setId"))
    if own_set and own_set.root and version_of(document.root) is not None:
        return ("set", own_set.text, type_key(document), document.patient_id)
    if own := id_of(child(document.root, "id")):
        return ("id", own.text, type_key(document))
    document.note("missing", "ClinicalDocument/id", "no id: the document is known by its bytes alone", severity="information")
    return ("sha256", sha256(document.record.content).hexdigest())


def stated_time(document: Document) -> str:
    """effectiveTime, else the author's time: as the document writes it."""
    effective = attribute(child(document.root, "effectiveTime"), "value")
    return effective or attribute(child(document.root, "author", "time"), "value")


def changed_at(document: Document) -> datetime | None:
    text = stated_time(document)
    return (instant(text, document.context.zone) if text else None) or document.record.changed_at
