"""What became of each part of a document, so that the sum closes: nothing is in it that is not counted once.

Parts: each element of the header, of patientRole and of patient; each section; each clinical statement and organizer of the body;
a body that is not XML. mapped: it stands in a resource, words in a narrative too. kept: empty, or left in the document by decision.
unmapped: nothing maps it; a person finds it in the narrative, a machine only in the document.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from connectors.xml import Element
from mappers.base import Line
from mappers.cda.catalogue import words
from mappers.cda.document import Document
from mappers.cda.entries import Section, Statement, is_statement, sections_of
from mappers.cda.entries import lines as said
from mappers.cda.patient import is_contact
from mappers.cda.reader import attribute, child, children, id_of, local, text_of

State = Literal["mapped", "kept", "unmapped"]
HEADER = {
    "id": "DocumentReference.masterIdentifier", "code": "Composition.type", "title": "Composition.title",
    "effectiveTime": "Composition.date", "confidentialityCode": "Composition.confidentiality",
    "languageCode": "Composition.language", "setId": "DocumentReference.identifier", "versionNumber": "Composition.status",
    "author": "Composition.author", "custodian": "Composition.custodian", "legalAuthenticator": "Composition.attester",
    "authenticator": "Composition.attester", "relatedDocument": "DocumentReference.relatesTo", "componentOf": "Encounter",
    "documentationOf": "Composition.event", "inFulfillmentOf": "DocumentReference.context.related",
}  # fmt: skip
ROLE = {"id": "Patient.identifier", "addr": "Patient.address", "telecom": "Patient.telecom", "patientType": "Encounter.class"}
PERSON = {
    "id": "Patient.identifier", "name": "Patient.name", "administrativeGenderCode": "Patient.gender",
    "birthTime": "Patient.birthDate", "maritalStatusCode": "Patient.maritalStatus",
    "guardian": "Patient.contact", "languageCommunication": "Patient.communication",
}  # fmt: skip
BY_DECISION = frozenset({"realmCode", "typeId", "templateId", "age"})  # what kind of XML it is; an age is no birth date
SAYS = ("value", "code", "extension", "displayName")


def parts_of(root: Element) -> Iterator[Element]:
    """Every element that the ledger counts, in the document's order."""
    for element in root:
        name = local(element)
        if name == "recordTarget":
            role = child(element, "patientRole")
            person = child(role, "patient")
            yield from (e for e in (() if role is None else role) if local(e) and e is not person)
            yield from (e for e in (() if person is None else person) if local(e))
        elif name == "component":
            yield from _body(element)
        elif name:
            yield element


def _body(component: Element) -> Iterator[Element]:
    unstructured = child(component, "nonXMLBody")
    if unstructured is not None:
        yield unstructured
    holder = child(component, "structuredBody")
    stack = (sections_of(holder) if holder is not None else list(children(component, "section")))[::-1]
    while stack:
        section = stack.pop()
        yield section
        stack.extend(reversed(sections_of(section)))
        for entry in children(section, "entry"):
            yield from (e for e in entry.iter() if local(e) == "organizer" or is_statement(e))


def ledger_of(document: Document) -> list[Line]:
    """A line for each part. Every part is looked at once, so lines and counts are the same."""
    statements = {found.element: (section, found) for section in document.sections for found in section.every()}
    sections = {section.element: section for section in document.sections}
    result = []
    for element in parts_of(document.root):
        name = local(element)
        if element in sections:
            result.append(_section_line(sections[element]))
        elif element in statements:
            result.append(_statement_line(document, *statements[element]))
        elif name == "organizer" or is_statement(element):
            result.append(_group_line(document, element))
        else:
            result.append(_header_line(document, element))
    return result


def _section_line(section: Section) -> Line:
    says = text_of(child(section.element, "text")) or any(words for _, words in said(section.statements))
    where = f"section {section.name}"
    return Line(where, "mapped", "Composition.section") if says else Line(where, "kept")


def _where(section: Section, found: Statement) -> str:
    code = attribute(child(found.element, "code"), "code") or found.label
    return f"section {section.name}, {code or found.what}"


def _statement_line(document: Document, section: Section, found: Statement) -> Line:
    where = _where(section, found)
    if to := document.used.get(found.element):
        return Line(where, "mapped", to)
    if not _says_anything(document, found):
        inside = any(inner.element in document.used for inner in found.walk())
        return Line(where, "mapped", "around what is mapped") if inside else Line(where, "kept")
    if any(inner.element in document.used for inner in found.walk()) and found.what == "act":
        return Line(where, "mapped", "around what is mapped")
    if document.code and (found.code in words() or (found.what == "observation" and not found.coded and _is_prose(found))):
        return Line(where, "mapped", "Composition.section.text")
    return Line(where, "unmapped")


def _says_anything(document: Document, found: Statement) -> bool:
    """A value; in other families of documents a code alone says something too."""
    if found.what == "observation":
        coded = "" if document.code else attribute(child(found.element, "code"), "code")
        return found.says_something or bool(coded)
    return _has_words(found.element)


def _is_prose(found: Statement) -> bool:
    return found.kind in ("ST", "ED", "") and not found.unit


def _has_words(element: Element) -> bool:
    return any(attribute(e, name) for e in element.iter() for name in SAYS if local(e) != "statusCode") or bool(text_of(element))


def _group_line(document: Document, element: Element) -> Line:
    """An organizer, or a statement inside what is none: what it holds is counted on its own."""
    where = f"section, {local(element)}"
    if element in document.used:
        return Line(where, "mapped", document.used[element])
    if any(e in document.used for e in element.iter()):
        return Line(where, "mapped", "around what is mapped")
    return Line(where, "kept") if local(element) == "organizer" else Line(where, "unmapped")


def _header_line(document: Document, element: Element) -> Line:
    name, parent = local(element), local(element.getparent())  # type: ignore[arg-type]
    where = f"{parent}/{name}"
    table = {"patientRole": ROLE, "patient": PERSON}.get(parent, HEADER)
    if name == "nonXMLBody":
        to = document.used.get(element, "")
        return Line(where, "mapped" if to else "kept", to)
    if name in BY_DECISION or not _says(element):
        return Line(where, "kept")
    if to := document.used.get(element, ""):
        return Line(where, "mapped", to)
    if name == "participant" and is_contact(element):
        return Line(where, "mapped", "Patient.contact")
    if name in table and _was_taken(document, parent, name):
        return Line(where, "mapped", table[name])
    return Line(where, "kept" if name in table else "unmapped")


def _says(element: Element) -> bool:
    if local(element) == "id":
        return id_of(element) is not None
    return any(attribute(e, name) for e in element.iter() for name in SAYS) or bool(text_of(element))


def _was_taken(document: Document, parent: str, name: str) -> bool:
    """Whether what an element should become is there."""
    if parent == "patient":
        return PERSON[name].partition(".")[2] in document.patient_resource
    if name == "componentOf":
        return document.encounter is not None
    return True


def counts_of(lines: list[Line]) -> dict[str, int]:
    counts = {"mapped": 0, "kept": 0, "unmapped": 0}
    for line in lines:
        counts[line.state] += 1
    return counts
