"""The conformance report of a document: what its template asks for and is not there, what was tolerated, what was not used.

As issues of the record, so that a person sees per vendor what to mend. Codes and places only, never what a document says.
"""

from __future__ import annotations

from mappers.base import Line
from mappers.cda.catalogue import DocumentType, folded, section_labels
from mappers.cda.codes import CN, DATA_ELEMENTS, FRONT_SHEET
from mappers.cda.document import Document
from mappers.cda.entries import LOINC_CODE, Section
from mappers.cda.reader import attribute, below, child, text_of

LOINC_OID = "2.16.840.1.113883.6.1"
NOT_CDA = ("patientType", "age", "asEducationLevelCode", "asNationality")  # what vendors add, read by intent or left alone
MAX_NAMED = 12  # codes named in one issue


def report(document: Document, lines: list[Line]) -> None:
    if document.kind is not None:
        _missing(document, document.kind)
        _tolerated(document)
    _unused(document, lines)


def _says(section: Section) -> bool:
    return bool(text_of(child(section.element, "text"))) or any(found.says_something for found in section.every())


def _missing(document: Document, kind: DocumentType) -> None:
    filled = [section for section in document.sections if _says(section)]
    there = {section.code for section in filled} | {
        folded(text) for section in filled for text in (section.label, section.title) if text
    }
    for asked in kind.sections:
        if asked not in there and folded(asked) not in there:
            name = section_labels().get(asked, ("",))[0]
            told = f"{document.code} asks for it"
            document.note("missing", f"section {asked} {name}".strip(), told, severity="information")
    stated = {found.code for section in document.sections for found in section.every() if found.says_something}
    for element in kind.elements:
        if element not in stated:
            document.note("missing", element, f"{document.code} asks for it", severity="information")


def _tolerated(document: Document) -> None:
    for section in document.sections:
        code = child(section.element, "code")
        system = attribute(code, "codeSystem")
        if section.contradicts:
            told = f"labelled as {section.code}; the label counts"
            document.note("conflict", f"section {section.stated}", told)
        elif not section.stated and section.code:  # some have none in the standard either
            told = "a section without its code; read by its label"
            document.note("missing", f"section {section.name}", told, severity="information")
        elif LOINC_CODE.fullmatch(section.stated) and system != LOINC_OID:
            told = "a LOINC code under another code system; read as LOINC"
            document.note("invalid-value", f"section {section.stated}", told, severity="information")
        for found in section.every():
            stated = attribute(child(found.element, "code"), "codeSystem")
            if found.what == "observation" and found.code and stated not in (DATA_ELEMENTS, FRONT_SHEET) and stated.startswith(CN):
                told = "data elements under another code system"
                document.note("invalid-value", f"section {section.name}", told, severity="information")
    for name in NOT_CDA:
        if next(below(document.root, name), None) is not None:
            document.note("moved", name, "not an element of CDA", severity="information")


def _unused(document: Document, lines: list[Line]) -> None:
    """What nothing maps, by section; its words are in the narrative."""
    unused: dict[str, list[str]] = {}
    for line in lines:
        if line.state == "unmapped":
            place, _, what = line.where.rpartition(", ")
            unused.setdefault(place or "header", []).append(what)
    for place, found in unused.items():
        named = ", ".join(list(dict.fromkeys(found))[:MAX_NAMED])
        document.note("not-mapped", place, f"{len(found)} parts that the document alone keeps: {named}", severity="information")
