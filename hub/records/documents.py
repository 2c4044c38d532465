"""A report or a clinical document as a page shows it: results, conclusion, and the sections' own narrative, made harmless."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import nh3
from markupsafe import Markup, escape

from hub.errors import NotFound
from hub.records.labs import Result, result_of
from hub.records.reader import Found, Reader, code_text, reference_id
from hub.records.timeline import date_of

TYPES = frozenset({"DiagnosticReport", "Composition", "DocumentReference"})

_INLINE = "b br code em i small span strong sub sup u"
_BLOCKS = "blockquote dd div dl dt h1 h2 h3 h4 h5 h6 hr li ol p pre ul"
_TABLES = "caption col colgroup table tbody td tfoot th thead tr"
NARRATIVE_TAGS = frozenset(f"{_INLINE} {_BLOCKS} {_TABLES}".split())
NARRATIVE_ATTRIBUTES = {"td": {"colspan", "rowspan"}, "th": {"colspan", "rowspan", "scope"}}
MOST_DEPTH = 8


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    html: Markup


@dataclass(frozen=True, slots=True)
class Document:
    title: str
    at: str
    facility: str
    status: str
    conclusion: str
    results: tuple[Result, ...]
    sections: tuple[Section, ...]


async def document_of(reader: Reader, type: str, id: str) -> Document:
    """Raise NotFound unless the document is this person's and the caller may see it."""
    if type not in TYPES:
        raise NotFound("no such kind of document")
    found = await reader.read_one(type, id)
    if reference_id(found.resource.get("subject"), "Patient") not in (reader.person, reader.patient, *reader.linked):
        raise NotFound(f"no {type} with this id")
    if type == "DocumentReference":
        found = await _composition_of(reader, found)
    resource = found.resource
    ids = [reference_id(reference, "Observation") for reference in resource.get("result", ())]
    results = await reader.read("Observation", filter(None, ids))
    return Document(
        title=str(resource.get("title") or resource.get("description") or "")
        or code_text(resource.get("code") or resource.get("type")),
        at=date_of(found),
        facility=found.facility,
        status=str(resource.get("status", "")),
        conclusion=str(resource.get("conclusion", "")) if type == "DiagnosticReport" else "",
        results=tuple(result_of(result) for result in results),
        sections=tuple(sections_of(resource)),
    )


async def _composition_of(reader: Reader, document: Found) -> Found:
    """A DocumentReference tells of a file; where the hub read the file into a Composition, that is what can be shown."""
    related = [reference_id(r, "Composition") for r in document.resource.get("context", {}).get("related", ())]
    compositions = await reader.read("Composition", filter(None, related))
    return compositions[0] if compositions else document


def sections_of(resource: Mapping[str, Any]) -> Iterator[Section]:
    """Sections in order, nested ones after their parent; without sections the resource's own narrative."""
    stated = resource.get("section", ())
    if stated:
        yield from _sections(stated, 0)
    elif html := narrative(resource.get("text")):
        yield Section("", html)


def _sections(stated: Any, depth: int) -> Iterator[Section]:
    for section in stated if depth < MOST_DEPTH else ():
        html = narrative(section.get("text"))
        title = str(section.get("title") or code_text(section.get("code")))
        if html:
            yield Section(title, html)
        yield from _sections(section.get("section", ()), depth + 1)


def narrative(text: object) -> Markup:
    """Narrative.div with nothing left that loads, runs, styles or links: https://hl7.org/fhir/R4/narrative.html#security"""
    div = text.get("div", "") if isinstance(text, Mapping) else ""
    if not isinstance(div, str) or not div.strip():
        return Markup("")
    clean = nh3.clean(div, tags=set(NARRATIVE_TAGS), attributes=NARRATIVE_ATTRIBUTES, url_schemes=set(), link_rel=None)
    return Markup(clean) if "<" in clean else escape(clean)  # noqa: S704  cleaned in the line above
