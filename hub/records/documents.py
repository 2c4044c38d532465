"""A report or a clinical document as a page shows it: results, findings, conclusion, the sections' own narrative made harmless,
the picture beside the words, and the original file for who wants it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import nh3
from markupsafe import Markup, escape

from hub.errors import NotFound
from hub.recognition.candidates import Blobs
from hub.records.dates import date_of
from hub.records.events import document_keys
from hub.records.labs import Result, is_laboratory, result_of
from hub.records.reader import Found, Reader, code_text, reference_id
from hub.records.studies import Study, reports_on, studies
from hub.records.timeline import Record, record_of

TYPES = frozenset({"DiagnosticReport", "Composition", "DocumentReference", "ImagingStudy"})

_INLINE = "b br code em i small span strong sub sup u"
_BLOCKS = "blockquote dd div dl dt h1 h2 h3 h4 h5 h6 hr li ol p pre ul"
_TABLES = "caption col colgroup table tbody td tfoot th thead tr"
NARRATIVE_TAGS = frozenset(f"{_INLINE} {_BLOCKS} {_TABLES}".split())
NARRATIVE_ATTRIBUTES = {"td": {"colspan", "rowspan"}, "th": {"colspan", "rowspan", "scope"}}
MOST_DEPTH = 8

SAFE_TYPES: Mapping[str, str] = {"application/xml": "xml", "text/xml": "xml", "application/pdf": "pdf"}
"""What is handed out under its own type; anything else is a file of bytes."""


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    html: Markup


@dataclass(frozen=True, slots=True)
class Original:
    """The file that was received, by its Binary."""

    binary: str
    content_type: str
    suffix: str


@dataclass(frozen=True, slots=True)
class Document:
    type: str
    id: str
    title: str
    at: str
    facility: str
    status: str
    authors: tuple[str, ...]
    conclusion: str
    machine: str
    results: tuple[Result, ...]
    findings: tuple[Result, ...]  # what a report describes in words
    sections: tuple[Section, ...]
    study: Study | None
    originals: tuple[Original, ...]


async def document_of(reader: Reader, type: str, id: str, blobs: Blobs) -> Document:
    """Raise NotFound unless the document is this person's and the caller may see it."""
    if type not in TYPES:
        raise NotFound("no such kind of document")
    asked = await reader.read_one(type, id)
    if reference_id(asked.resource.get("subject"), "Patient") not in (reader.person, reader.patient, *reader.linked):
        raise NotFound(f"no {type} with this id")
    record = await record_of(reader, sorted(TYPES))
    found = _told_by(asked, record)
    ids = [reference_id(reference, "Observation") for reference in found.resource.get("result", ())]
    observations = await reader.read("Observation", filter(None, ids))
    study = _study(asked, found, record, blobs)
    resource = found.resource
    return Document(
        type=type,
        id=id,
        title=str(resource.get("title") or resource.get("description") or "")
        or code_text(resource.get("code") or resource.get("type")),
        at=date_of(found),
        facility=found.facility,
        status=str(resource.get("status", "")),
        authors=_authors(resource),
        conclusion=str(resource.get("conclusion", "")) if found.type == "DiagnosticReport" else "",
        machine=study.machine if study else "",
        results=tuple(result_of(o) for o in observations if not _in_words(o)),
        findings=tuple(result_of(o) for o in observations if _in_words(o)),
        sections=tuple(sections_of(resource)),
        study=study,
        originals=tuple(_originals(found, record)),
    )


def _told_by(asked: Found, record: Record) -> Found:
    """A study is told by the report on it, a file by the Composition that the hub read out of it."""
    if asked.type == "ImagingStudy":
        return reports_on([asked], record.of("DiagnosticReport")).get(asked.id, asked)
    if asked.type == "DocumentReference":
        keys = document_keys(asked)
        return next((c for c in record.of("Composition") if keys & document_keys(c)), asked)
    return asked


def _study(asked: Found, found: Found, record: Record, blobs: Blobs) -> Study | None:
    shown = studies(record.of("ImagingStudy"), record.of("DiagnosticReport"), blobs)
    return next((s for s in shown if s.id == asked.id or (found.type == "DiagnosticReport" and s.report == found.id)), None)


def _in_words(observation: Found) -> bool:
    return "valueString" in observation.resource and not is_laboratory(observation.resource)


def _authors(resource: Mapping[str, Any]) -> tuple[str, ...]:
    stated = resource.get("author") or resource.get("resultsInterpreter") or ()
    return tuple(dict.fromkeys(str(a["display"]) for a in stated if a.get("display")))


def _originals(found: Found, record: Record) -> Iterator[Original]:
    attachments = list(found.resource.get("presentedForm", ()))
    keys = document_keys(found) if found.type in ("Composition", "DocumentReference") else set()
    for document in record.of("DocumentReference"):
        if keys & document_keys(document):
            attachments += [content.get("attachment", {}) for content in document.resource.get("content", ())]
    for attachment in attachments:
        binary = reference_id({"reference": attachment.get("url", "")}, "Binary")
        kind = str(attachment.get("contentType", "")).partition(";")[0].strip().lower()
        if binary:
            yield Original(binary, kind if kind in SAFE_TYPES else "application/octet-stream", SAFE_TYPES.get(kind, "bin"))


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
            said_by_the_heading = Markup("<p><b>{}</b>：").format(title)
            yield Section(title, html.replace(said_by_the_heading, Markup("<p>"), 1))
        yield from _sections(section.get("section", ()), depth + 1)


def narrative(text: object) -> Markup:
    """Narrative.div with nothing left that loads, runs, styles or links: https://hl7.org/fhir/R4/narrative.html#security"""
    div = text.get("div", "") if isinstance(text, Mapping) else ""
    if not isinstance(div, str) or not div.strip():
        return Markup("")
    clean = nh3.clean(div, tags=set(NARRATIVE_TAGS), attributes=NARRATIVE_ATTRIBUTES, url_schemes=set(), link_rel=None)
    return Markup(clean) if "<" in clean else escape(clean)  # noqa: S704  cleaned in the line above
