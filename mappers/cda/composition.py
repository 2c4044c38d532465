"""The document itself: Composition with its sections, DocumentReference, and the original bytes as Binary.

https://hl7.org/fhir/R4/composition.html, https://hl7.org/fhir/R4/documentreference.html#cda
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Any

from mappers.base import Attachment, Change, Resource
from mappers.cda.codes import DOCUMENT_LOINC, DOCUMENT_NAMES, DOCUMENT_SYSTEM, LABEL_MEANS, LOINC_CODE, SECTION_TITLES
from mappers.cda.entries import every, items_of, lines
from mappers.cda.header import Document, authors, person, stated_time, type_key
from mappers.cda.narrative import div_from_lines, div_from_text
from mappers.cda.reader import Element, Id, attribute, child, children, id_of, text_of
from mappers.datatypes import fhir_instant
from mappers.identity_keys import resource_id
from profiles.names import LOINC

EMPTY = '<div xmlns="http://www.w3.org/1999/xhtml"><p>—</p></div>'
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
MEDIA_TYPES = frozenset(
    {"application/pdf", "image/jpeg", "image/png", "image/tiff", "image/gif", "text/plain", "text/rtf", "text/html"}
)


def document_type(document: Document) -> dict[str, Any]:
    code = child(document.root, "code")
    codings = []
    if document.code in DOCUMENT_LOINC:
        loinc, display = DOCUMENT_LOINC[document.code]
        codings.append({"system": LOINC, "code": loinc, "display": display})
    if document.code:
        codings.append({"system": f"urn:oid:{DOCUMENT_SYSTEM}", "code": document.code, "display": DOCUMENT_NAMES[document.code]})
    elif stated := attribute(code, "code"):
        display = attribute(code, "displayName")
        system = document.uri(attribute(code, "codeSystem"))
        codings.append({"system": system, "code": stated, **({"display": display} if display else {})})
    return {**({"coding": codings} if codings else {}), "text": title_of(document)}


def title_of(document: Document) -> str:
    stated = text_of(child(document.root, "title"))
    return stated or DOCUMENT_NAMES.get(document.code, "") or attribute(child(document.root, "code"), "displayName") or "临床文档"


def identifier_of(document: Document, found: Id) -> dict[str, str]:
    if found.extension:
        return {"system": document.uri(found.root), "value": found.extension}
    return {"system": "urn:ietf:rfc:3986", "value": document.uri(found.root)}


# ---------------------------------------------------------------- sections


def section_code(document: Document, section: Element) -> str:
    """What a section means, as LOINC code: a label that says otherwise than its code is believed."""
    code = child(section, "code")
    stated, label = attribute(code, "code"), attribute(code, "displayName").upper()
    means = LABEL_MEANS.get(label)
    if means and stated and means != stated and LOINC_CODE.fullmatch(stated):
        document.note("conflict", f"section {stated}", f"labelled as {means}; the label counts")
        return means
    return means or (stated if LOINC_CODE.fullmatch(stated) else "")


def section_title(document: Document, section: Element) -> str:
    code = child(section, "code")
    loinc = section_code(document, section) if document.code else attribute(code, "code")
    title = text_of(child(section, "title"))
    return title or (SECTION_TITLES.get(loinc, "") if document.code else "") or attribute(code, "displayName") or loinc or "—"


def sections_of(holder: Element | None) -> list[Element]:
    return [section for component in children(holder, "component") for section in children(component, "section")]


def section_from(document: Document, section: Element) -> Resource:
    items = items_of(section)
    code = child(section, "code")
    result: Resource = {"title": section_title(document, section)}
    if stated := attribute(code, "code"):
        display = attribute(code, "displayName")
        system = LOINC if LOINC_CODE.fullmatch(stated) else document.uri(attribute(code, "codeSystem"))
        result["code"] = {"coding": [{"system": system, "code": stated, **({"display": display} if display else {})}]}
    elif display := attribute(code, "displayName"):
        result["code"] = {"text": display}
    inner = [section_from(document, below) for below in sections_of(section)]
    written, made = div_from_text(child(section, "text")), div_from_lines(lines(items))
    if written:
        result["text"] = {"status": "additional", "div": written}
    elif made:
        result["text"] = {"status": "generated", "div": made}
    elif not inner:
        result["text"] = {"status": "empty", "div": EMPTY}
    if section in document.entries:
        result["entry"] = document.entries[section]
    if inner:
        result["section"] = inner
    return result


def count_sections(document: Document) -> dict[str, int]:
    """The ledger: coded entries that became resources, what the narrative keeps, and what nothing maps."""
    ledger = {"mapped": 0, "kept": 0, "unmapped": 0}
    stack = sections_of(child(document.root, "component", "structuredBody"))
    while stack:
        section = stack.pop(0)
        stack = sections_of(section) + stack
        entries = len(list(children(section, "entry")))
        observations = [item.element for item in every(items_of(section))]
        used = sum(element in document.used for element in observations)
        ledger["mapped"] += used
        in_words = document.code != "" and bool(observations)  # WS/T 500 entries are words, and the narrative holds them all
        ledger["kept"] += len(observations) - used if in_words else 1 if not entries else 0
        if entries and not in_words:
            ledger["unmapped"] += entries
            name = attribute(child(section, "code"), "code") or attribute(child(section, "code"), "displayName") or "?"
            document.note(
                "not-mapped", f"section {name}", f"{entries} coded entries; its narrative is kept", severity="information"
            )
    return ledger


# ---------------------------------------------------------------- Composition


def _parents(document: Document) -> list[Id]:
    """The documents that this one replaces. An empty relatedDocument is a template left in place."""
    return [
        parent
        for related in children(document.root, "relatedDocument")
        if attribute(related, "typeCode") == "RPLC" and (parent := id_of(child(related, "parentDocument", "id")))
    ]


def _attesters(document: Document) -> list[dict[str, Any]]:
    result = []
    for name, mode in (("legalAuthenticator", "legal"), ("authenticator", "professional")):
        for element in children(document.root, name):
            party = person(document, child(element, "assignedEntity"))
            time = document.time(attribute(child(element, "time"), "value"))
            if party:
                result.append({"mode": mode, **({"time": time} if time else {}), "party": party})
    return result


def _version(document: Document) -> int:
    text = attribute(child(document.root, "versionNumber"), "value")
    return int(text) if text.isdecimal() and len(text) < 6 else 0


def state_composition(document: Document) -> None:
    own = id_of(child(document.root, "id"))
    when = document.time(stated_time(document))
    if when is None:
        document.note("missing", "ClinicalDocument/effectiveTime", "neither it nor the author's time: dated by its receipt")
        when = document.record.received_at.isoformat(timespec="seconds")
    amended = _version(document) > 1 or bool(_parents(document))
    composition: Resource = {
        "resourceType": "Composition",
        "id": document.id("Composition"),
        "status": "entered-in-error" if document.withdrawn else "amended" if amended else "final",
        "type": document_type(document),
        "subject": document.patient,
        "date": when,
        "author": authors(document),
        "title": title_of(document),
        "custodian": document.organization,
    }
    if own:
        composition["identifier"] = identifier_of(document, own)
    if document.encounter_reference:
        composition["encounter"] = document.encounter_reference
    code = attribute(child(document.root, "confidentialityCode"), "code")
    if code in ("U", "L", "M", "N", "R", "V"):
        composition["confidentiality"] = code
    if language := attribute(child(document.root, "languageCode"), "code"):
        composition["language"] = language
    if attesters := _attesters(document):
        composition["attester"] = attesters
    if parents := _parents(document):
        composition["relatesTo"] = [{"code": "replaces", "targetIdentifier": identifier_of(document, p)} for p in parents]
    body = child(document.root, "component", "structuredBody")
    if sections := [section_from(document, section) for section in sections_of(body)]:
        composition["section"] = sections
    document.changes.append(Change(composition))


# ---------------------------------------------------------------- DocumentReference and bytes


def _binary(document: Document, content: bytes, content_type: str) -> Attachment:
    name = hashlib.sha256(content).hexdigest()
    binary = {"resourceType": "Binary", "id": name, "contentType": content_type, "securityContext": document.patient}
    document.changes.append(Change(binary))
    return Attachment(name, content_type, content)


def _embedded(document: Document) -> Attachment | None:
    """nonXMLBody: a scan or a PDF inside the document. What it only points to is not fetched."""
    text = child(document.root, "component", "nonXMLBody", "text")
    if text is None:
        return None
    if attribute(text, "representation") != "B64":
        document.note("unsupported", "nonXMLBody", "a body by reference or as plain text; the document is kept as it came")
        return None
    media = attribute(text, "mediaType").lower()
    try:
        content = base64.b64decode("".join(str(part) for part in text.itertext()), validate=False)
    except (binascii.Error, ValueError):
        document.note("invalid-value", "nonXMLBody", "not base64")
        return None
    return _binary(document, content, media if media in MEDIA_TYPES else "application/octet-stream") if content else None


def _content(attachment: Attachment, title: str, language: str, created: str | None) -> dict[str, Any]:
    result = {
        "contentType": attachment.content_type,
        "url": f"Binary/{attachment.sha256}",
        "size": len(attachment.content),
        "title": title,
    }
    return {"attachment": {**result, **({"language": language} if language else {}), **({"creation": created} if created else {})}}


def state_document_reference(document: Document) -> tuple[Attachment, ...]:
    original = _binary(document, document.record.content, "application/xml")
    embedded = _embedded(document)
    attachments = (original, *((embedded,) if embedded else ()))
    own = id_of(child(document.root, "id"))
    language = attribute(child(document.root, "languageCode"), "code")
    when = fhir_instant(stated_time(document), document.context.zone)
    created = document.time(stated_time(document))
    reference: Resource = {
        "resourceType": "DocumentReference",
        "id": document.id("DocumentReference"),
        "status": "entered-in-error" if document.withdrawn else "current",
        "docStatus": "entered-in-error" if document.withdrawn else "amended" if _version(document) > 1 else "final",
        "type": document_type(document),
        "subject": document.patient,
        "author": authors(document),
        "custodian": document.organization,
        "description": title_of(document),
        "content": [_content(attachment, title_of(document), language, created) for attachment in attachments],
    }
    if own:
        reference["masterIdentifier"] = identifier_of(document, own)
    if own_set := id_of(child(document.root, "setId")):
        reference["identifier"] = [identifier_of(document, own_set)]
    if when:
        reference["date"] = when
    if document.encounter_reference:
        reference["context"] = {"encounter": [document.encounter_reference]}
    code = attribute(child(document.root, "confidentialityCode"), "code")
    if code in ("U", "L", "M", "N", "R", "V"):
        reference["securityLabel"] = [{"coding": [{"system": CONFIDENTIALITY, "code": code}]}]
    if parents := _parents(document):
        reference["relatesTo"] = [{"code": "replaces", "target": _replaced(document, parent)} for parent in parents]
    document.changes.append(Change(reference))
    return attachments


def _replaced(document: Document, parent: Id) -> dict[str, Any]:
    """A former version of our own set is this resource's own history: it is named, not linked."""
    target: dict[str, Any] = {"type": "DocumentReference", "identifier": identifier_of(document, parent)}
    if document.key[0] != "set":
        former = resource_id("DocumentReference", document.facility, "id", parent.text, type_key(document))
        target["reference"] = f"DocumentReference/{former}"
    return target
