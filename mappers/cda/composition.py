"""The document itself: Composition with its sections, DocumentReference, and the original bytes as Binary.

https://hl7.org/fhir/R4/composition.html, https://hl7.org/fhir/R4/documentreference.html#cda
"""

from __future__ import annotations

import re
from typing import Any

from connectors.xml import Element
from mappers.base import Attachment, Change, Resource
from mappers.cda.catalogue import section_labels
from mappers.cda.codes import DOCUMENT_SYSTEM, TEMPLATE_ROOT
from mappers.cda.document import Document
from mappers.cda.entries import LOINC_CODE, Section, body_sections, lines, sections_of
from mappers.cda.header import stated_time, type_key, version_of
from mappers.cda.media import attachment_hash, embedded, state_binary
from mappers.cda.narrative import div_from_lines, div_from_text
from mappers.cda.people import authors, custodian, person
from mappers.cda.reader import Id, attribute, child, children, id_of, ids, text_of
from mappers.datatypes import fhir_instant
from mappers.identity_keys import resource_id
from profiles.names import LOINC

EMPTY = '<div xmlns="http://www.w3.org/1999/xhtml"><p>—</p></div>'
LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}")
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"


def document_type(document: Document) -> dict[str, Any]:
    code = child(document.root, "code")
    codings = []
    kind = document.kind
    if kind is not None:
        if kind.loinc:
            codings.append({"system": LOINC, "code": kind.loinc[0], "display": kind.loinc[1]})
        codings.append(_own_code(document.code, kind.name))
    elif stated := attribute(code, "code"):
        display = attribute(code, "displayName")
        system = document.uri(attribute(code, "codeSystem"))
        codings.append({"system": system, "code": stated, **({"display": display} if display else {})})
    return {**({"coding": codings} if codings else {}), "text": title_of(document)}


def _own_code(code: str, name: str) -> dict[str, str]:
    """C00nn of WS/T 500; a document of WS/T 483 by the number of its template, for its code was not read."""
    if code.startswith("C"):
        return {"system": f"urn:oid:{DOCUMENT_SYSTEM}", "code": code, "display": name}
    return {"system": f"urn:oid:{TEMPLATE_ROOT.rstrip('.')}", "code": str(int(code[1:])), "display": name}


def title_of(document: Document) -> str:
    stated = text_of(child(document.root, "title"))
    return (
        stated
        or (document.kind.name if document.kind else "")
        or attribute(child(document.root, "code"), "displayName")
        or "临床文档"
    )


def identifier_of(document: Document, found: Id) -> dict[str, str]:
    if found.extension:
        return {"system": document.uri(found.root), "value": found.extension}
    return {"system": "urn:ietf:rfc:3986", "value": document.uri(found.root)}


# ---------------------------------------------------------------- sections


def section_title(document: Document, section: Section) -> str:
    named = section_labels().get(section.code, ("",))[0] if document.code else ""
    return section.title or named or section.label or section.stated or "—"


def section_from(document: Document, section: Section, by_element: dict[Element, Section]) -> Resource:
    code = child(section.element, "code")
    result: Resource = {"title": section_title(document, section)}
    if section.stated:
        system = LOINC if LOINC_CODE.fullmatch(section.stated) else document.uri(attribute(code, "codeSystem"))
        own = {"system": system, "code": section.stated, **({"display": section.label} if section.label else {})}
        result["code"] = {"coding": [own]}
    elif section.label:
        result["code"] = {"text": section.label}
    inner = [section_from(document, by_element[below], by_element) for below in sections_of(section.element)]
    if text := _narrative(document, section, empty=not inner):
        result["text"] = text
    if section.element in document.entries:
        result["entry"] = [{"reference": reference} for reference in document.entries[section.element]]
    if inner:
        result["section"] = inner
    return result


def _narrative(document: Document, section: Section, *, empty: bool) -> dict[str, str] | None:
    """The section's own text, and of a Chinese document what its entries say beyond it; else their words alone."""
    text = child(section.element, "text")
    written = "".join(text_of(text).split())
    said = [line for line in lines(section.statements) if "".join(line[1].split()) not in written] if document.code else []
    if written:
        div = div_from_text(text, said)
        return {"status": "additional", "div": div} if div else None
    made = div_from_lines(said if document.code else lines(section.statements))
    if made:
        return {"status": "generated", "div": made}
    return {"status": "empty", "div": EMPTY} if empty else None


# ---------------------------------------------------------------- Composition


def _parents(document: Document) -> list[Id]:
    """The documents that this one replaces. An empty relatedDocument, or one with a set alone, is a template left in place."""
    replaced = (e for e in children(document.root, "relatedDocument") if attribute(e, "typeCode") == "RPLC")
    return [parent for e in replaced if (parent := _parent(child(e, "parentDocument")))]


def _parent(element: Element | None) -> Id | None:
    """By its id; by set and version where it has no id."""
    version = attribute(child(element, "versionNumber"), "value")
    return id_of(child(element, "id")) or (id_of(child(element, "setId")) if version else None)


def _attesters(document: Document) -> list[dict[str, Any]]:
    result = []
    for name, mode in (("legalAuthenticator", "legal"), ("authenticator", "professional")):
        for element in children(document.root, name):
            party = person(document, child(element, "assignedEntity"))
            time = document.time(attribute(child(element, "time"), "value"))
            if party:
                result.append({"mode": mode, **({"time": time} if time else {}), "party": party})
    return result


def _language(document: Document) -> str:
    """languageCode, if it is one: zh-CN, zh_CN."""
    stated = attribute(child(document.root, "languageCode"), "code").replace("_", "-")
    return stated if LANGUAGE.fullmatch(stated) else ""


def _version(document: Document) -> int:
    return version_of(document.root) or 0


def _events(document: Document) -> list[dict[str, Any]]:
    """documentationOf/serviceEvent: what was done, and when."""
    found = []
    for event in children(document.root, "documentationOf"):
        service = child(event, "serviceEvent")
        code, time = child(service, "code"), child(service, "effectiveTime")
        start = document.time(attribute(child(time, "low"), "value") or attribute(time, "value"))
        end = document.time(attribute(child(time, "high"), "value"))
        name = attribute(code, "displayName")
        coded = {"system": document.uri(attribute(code, "codeSystem")), "code": attribute(code, "code")}
        kind = {"coding": [coded | ({"display": name} if name else {})]} if attribute(code, "code") else None
        period = document.period(start, end)
        if kind or period:
            found.append({**({"code": [kind]} if kind else {}), **({"period": period} if period else {})})
    return found


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
        "custodian": custodian(document),
    }
    if own:
        composition["identifier"] = identifier_of(document, own)
    if document.encounter_reference:
        composition["encounter"] = document.encounter_reference
    code = attribute(child(document.root, "confidentialityCode"), "code")
    if code in ("U", "L", "M", "N", "R", "V"):
        composition["confidentiality"] = code
    if language := _language(document):
        composition["language"] = language
    if attesters := _attesters(document):
        composition["attester"] = attesters
    if parents := _parents(document):
        composition["relatesTo"] = [{"code": "replaces", "targetIdentifier": identifier_of(document, p)} for p in parents]
    if events := _events(document):
        composition["event"] = events
    by_element = {section.element: section for section in document.sections}
    if sections := [section_from(document, by_element[element], by_element) for element in body_sections(document.root)]:
        composition["section"] = sections
    document.changes.append(Change(composition))


# ---------------------------------------------------------------- DocumentReference and bytes


def _content(attachment: Attachment, title: str, language: str, created: str | None) -> dict[str, Any]:
    result = {
        "contentType": attachment.content_type,
        "url": f"Binary/{attachment.sha256}",
        "size": len(attachment.content),
        "hash": attachment_hash(attachment.content),
        "title": title,
    }
    return {"attachment": {**result, **({"language": language} if language else {}), **({"creation": created} if created else {})}}


def state_document_reference(document: Document) -> tuple[Attachment, ...]:
    attachments = (state_binary(document, document.record.content, "application/xml"), *embedded(document))
    own = id_of(child(document.root, "id"))
    language = _language(document)
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
        "custodian": custodian(document),
        "description": title_of(document),
        "content": [_content(attachment, title_of(document), language, created) for attachment in attachments],
    }
    if own:
        reference["masterIdentifier"] = identifier_of(document, own)
    if own_set := id_of(child(document.root, "setId")):
        reference["identifier"] = [identifier_of(document, own_set)]
    if when:
        reference["date"] = when
    if context := _context(document):
        reference["context"] = context
    code = attribute(child(document.root, "confidentialityCode"), "code")
    if code in ("U", "L", "M", "N", "R", "V"):
        reference["securityLabel"] = [{"coding": [{"system": CONFIDENTIALITY, "code": code}]}]
    if parents := _parents(document):
        reference["relatesTo"] = [{"code": "replaces", "target": _replaced(document, parent)} for parent in parents]
    document.changes.append(Change(reference))
    return attachments


def _context(document: Document) -> dict[str, Any]:
    """The visit, and the orders that the document answers."""
    orders = [number for e in children(document.root, "inFulfillmentOf") for number in ids(child(e, "order"))]
    related = [{"identifier": identifier_of(document, number)} for number in orders]
    encounter = document.encounter_reference
    return {**({"encounter": [encounter]} if encounter else {}), **({"related": related} if related else {})}


def _replaced(document: Document, parent: Id) -> dict[str, Any]:
    """A former version of our own set is this resource's own history: it is named, not linked."""
    target: dict[str, Any] = {"type": "DocumentReference", "identifier": identifier_of(document, parent)}
    if document.key[0] != "set":
        former = resource_id("DocumentReference", document.facility, "id", parent.text, type_key(document))
        target["reference"] = f"DocumentReference/{former}"
    return target
