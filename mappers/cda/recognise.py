"""Which document this is: by its code, its template and its title, for vendors get any one of them wrong.

WS/T 500.nn has code C00nn and template 2.16.156.10011.2.1.1.(20+nn); WS/T 483.n has template ….2.1.1.n. One vendor writes template
.21 for C0001-C0003 alike, another .52 for everything, so a template is the weakest of the three.
"""

from __future__ import annotations

import re
from functools import cache

from connectors.xml import Element
from mappers.cda.catalogue import document_types, folded
from mappers.cda.codes import DOCUMENT_SYSTEM, TEMPLATE_ROOT
from mappers.cda.reader import attribute, child, children, text_of

_CODE = re.compile(r"C00([0-5]\d)(?:\.\d+)?")
_RECORD = re.compile(r"EHR-(?:SD|DE)-(\d{1,2})\b.*")  # how a public-health system names WS/T 483 documents
_TRAILING = re.compile(r"(记录单|记录表|报告单|记录|报告|处方笺|单|表)$")

MAX_TITLE = 100

Told = tuple[str, str, str]  # issue code, where, detail


def recognise(root: Element) -> tuple[str, list[Told]]:
    """The type's code ("" for a document of another family), and what had to be tolerated to tell it."""
    code = child(root, "code")
    stated, titled, template = _of_code(code), _of_title(text_of(child(root, "title"))), _of_template(root)
    chosen = stated or titled or template
    return chosen, _told(code, chosen, stated, titled, template) if chosen else []


def _told(code: Element | None, chosen: str, stated: str, titled: str, template: str) -> list[Told]:
    told: list[Told] = []
    if not stated:
        told.append(("missing", "ClinicalDocument/code", f"no document type; read as {chosen} by its template and title"))
    elif (system := attribute(code, "codeSystem")) and system != DOCUMENT_SYSTEM:
        told.append(("invalid-value", "ClinicalDocument/code", "the code's system is not that of the document types"))
    if template and template != chosen:
        told.append(("conflict", "ClinicalDocument/templateId", f"template of {template} under {chosen}"))
    elif not template:
        told.append(("missing", "ClinicalDocument/templateId", f"no template of {chosen}"))
    if titled and titled != chosen:
        told.append(("conflict", "ClinicalDocument/title", f"the title is that of {titled}, the document is {chosen}"))
    return told


def _of_code(code: Element | None) -> str:
    for text in (attribute(code, "code"), attribute(code, "displayName")):
        if match := _CODE.fullmatch(text.upper().strip()):
            return found if (found := f"C00{match[1]}") in document_types() else ""
        if match := _RECORD.fullmatch(text.upper().strip()):
            return found if (found := f"W{int(match[1]):02}") in document_types() else ""
    return ""


def _of_template(root: Element) -> str:
    for template in children(root, "templateId"):
        number = attribute(template, "root").removeprefix(TEMPLATE_ROOT)
        if number.isdecimal() and len(number) < 4:
            found = f"C{int(number) - 20:04}" if int(number) > 20 else f"W{int(number):02}"
            if found in document_types():
                return found
    return ""


@cache
def _titles() -> dict[str, str]:
    """Titles, folded, to types. WS/T 500 goes before WS/T 483, which has some of its names."""
    known: dict[str, str] = {}
    kinds = list(document_types().values())
    for exact in (True, False):
        for kind in kinds:
            for name in (kind.name, *kind.also):
                title = folded(name)
                known.setdefault(title if exact else _TRAILING.sub("", title) or title, kind.code)
    return known


def _of_title(title: str) -> str:
    """By the whole title; else by its end, after a hospital's name; else without the word for a form (记录, 报告单, …)."""
    text = folded(title)[:MAX_TITLE]
    ends = [text[start:] for start in range(len(text) - 1)]
    bare = _TRAILING.sub("", text)
    return next((found for part in (*ends, bare) if (found := _titles().get(part))), "") if text else ""
