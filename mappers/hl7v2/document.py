"""HL7 v2 TXA with its OBX → DocumentReference, enclosed files behind a Binary.

https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-segment-txa-to-documentreference.html; HL7 v2.5.1 chapter 9. The lines of one
text are one document, inside the resource: a Binary is named by its bytes, and two patients may have the same few words. A
replacement supersedes the document it names, a cancelled one was entered in error.
"""

from __future__ import annotations

import base64
from typing import Any

from mappers.base import CannotMap, Resource
from mappers.hl7v2.attachments import MEDIA_TYPES, attachments_of, is_document
from mappers.hl7v2.codes import note_local
from mappers.hl7v2.deletes import DOCUMENT, state_patch
from mappers.hl7v2.draft import Draft
from mappers.hl7v2.groups import Group, group_orders
from mappers.hl7v2.message import Segment
from mappers.hl7v2.observation import item_code
from mappers.hl7v2.request_shell import request_shell, shared_numbers
from mappers.hl7v2.types import codeable_concept, number_identifier, once, people
from mappers.identity_keys import resource_id

# HL7 table 0271 (TXA-17) → composition-status
COMPLETION = {
    **dict.fromkeys(("AU", "LA"), "final"),
    **dict.fromkeys(("DI", "DO", "IN", "IP", "PA"), "preliminary"),
}
# HL7 table 0273 (TXA-19) → document-reference-status
AVAILABILITY = {"AV": "current", "UN": "current", "CA": "entered-in-error", "OB": "superseded"}
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
SECURITY = {"U": "N", "R": "R", "V": "V"}  # HL7 table 0272 (TXA-18): usual control, restricted, very restricted
# The event → how the document relates to its parent (TXA-13)
RELATION = {**dict.fromkeys(("T05", "T06"), "appends"), **dict.fromkeys(("T09", "T10"), "replaces")}
CANCELLED = "T11"


def state_document(draft: Draft) -> None:
    """Raise CannotMap without TXA: nothing then says what document it is."""
    txas = draft.message.segments("TXA")
    if not txas:
        raise CannotMap("a document message without TXA")
    for place, txa in enumerate(txas):
        _state(draft, txa, _content_of(draft, txa, first=place == 0))


def _content_of(draft: Draft, txa: Segment, *, first: bool) -> list[Segment]:
    """The OBX behind a TXA; those before it too, where it is the only one to take them."""
    found: list[Segment] = []
    behind = False
    for segment in draft.message.all:
        if segment.name == "TXA":
            behind = segment is txa
        elif segment.name == "OBX" and (behind or (first and segment.number < _first_behind(draft, txa))):
            found.append(segment)
    if found and first and found[0].number < _first_behind(draft, txa):
        draft.note("moved", found[0].where, "content before its TXA", "information")
    return found


def _first_behind(draft: Draft, txa: Segment) -> int:
    place = draft.message.all.index(txa)
    return next((s.number for s in draft.message.all[place:] if s.name == "OBX"), 10**6) if txa.number == 1 else 0


def _key(draft: Draft, txa: Segment) -> tuple[str, ...]:
    """TXA-12; else filler or placer order number with the type; else patient, type and time. Raise CannotMap otherwise."""
    kind = txa.value(2) or txa.value(2, 2) or "-"
    if number := _document_number(txa, 12):
        return (draft.facility, number)
    if order := txa.value(15) or txa.value(14):
        draft.note("missing", f"{txa.where}-12", "no document number; its order and type identify it")
        return (draft.facility, order, kind)
    if when := txa.value(6) or txa.value(4):
        draft.note("missing", f"{txa.where}-12", "no document number; patient, type and time identify it")
        return (draft.facility, *draft.patient_key, kind, when)
    raise CannotMap("TXA-12 is empty: nothing tells this document from another")


def _document_number(txa: Segment, field: int) -> str:
    """EI; some write the number into the third component, the universal id."""
    return txa.value(field) or txa.value(field, 3) or txa.value(field, 2)


def _status(draft: Draft, txa: Segment) -> str:
    code = txa.value(19).upper()
    if draft.trigger == CANCELLED:
        return "entered-in-error"
    if not code:
        return "current"
    return draft.translate(AVAILABILITY, code, f"{txa.where}-19", "HL7 table 0273") or "current"


def _state(draft: Draft, txa: Segment, content: list[Segment]) -> None:
    key = _key(draft, txa)
    document: Resource = {"resourceType": "DocumentReference", "id": resource_id("DocumentReference", *key)}
    number = _document_number(txa, 12)
    if number:
        document["masterIdentifier"] = number_identifier(draft, number, "document")
    document["status"] = _status(draft, txa)
    kind = codeable_concept(draft, txa, 2, "document-type")
    if kind:
        note_local(draft, kind, f"{txa.where}-2")
    attachments = _attachments(draft, txa, content)
    completion = txa.value(17).upper()
    stated: dict[str, Any] = {
        "docStatus": _doc_status(draft, txa, completion),
        "type": kind,
        "subject": draft.patient,
        "date": draft.instant(txa, 6) or draft.instant(txa, 4),
        "author": once([person for field in (9, 5) for person in people(draft, txa, field)]),
        "authenticator": next(iter(people(draft, txa, 22) or people(draft, txa, 10)), None),
        "custodian": draft.organization,
        "relatesTo": _related(draft, txa),
        "description": txa.value(25),
        "securityLabel": _security(draft, txa),
        "content": [{"attachment": attachment} for attachment in attachments],
        "context": _context(draft, txa),
    }
    document |= {element: value for element, value in stated.items() if value}
    if not attachments:  # content is required: until a message brings it, its name stands for it
        title = txa.value(16) or txa.value(25) or (kind or {}).get("text") or number or "document"
        draft.state({**document, "content": [{"attachment": {"title": title}}]}, "fill")
    state_patch(draft, document, (txa, DOCUMENT))


def _doc_status(draft: Draft, txa: Segment, completion: str) -> str | None:
    if draft.trigger == CANCELLED:
        return "entered-in-error"
    if not completion:
        return None
    mapped = draft.translate(COMPLETION, completion, f"{txa.where}-17", "HL7 table 0271")
    return "amended" if mapped == "final" and draft.trigger in {"T05", "T06", "T07", "T08"} else mapped


def _security(draft: Draft, txa: Segment) -> list[dict[str, Any]]:
    code = txa.value(18).upper()
    mapped = draft.translate(SECURITY, code, f"{txa.where}-18", "HL7 table 0272") if code else None
    return [{"coding": [{"system": CONFIDENTIALITY, "code": mapped}]}] if mapped else []


def _related(draft: Draft, txa: Segment) -> list[dict[str, Any]]:
    """TXA-13, the parent. What is replaced is superseded from now on."""
    parent = _document_number(txa, 13)
    if not parent:
        if draft.trigger in RELATION:
            draft.note("missing", f"{txa.where}-13", "no parent document: what it replaces or extends is not said")
        return []
    target = resource_id("DocumentReference", draft.facility, parent)
    relation = RELATION.get(draft.trigger)
    if relation is None:
        return []
    if relation == "replaces":
        draft.state(_shell(draft, target, parent), "fill")
        draft.state({"resourceType": "DocumentReference", "id": target, "status": "superseded"}, "patch")
    return [{"code": relation, "target": {"reference": f"DocumentReference/{target}"}}]


def _shell(draft: Draft, id: str, number: str) -> Resource:
    return {
        "resourceType": "DocumentReference",
        "id": id,
        "masterIdentifier": number_identifier(draft, number, "document"),
        "status": "superseded",
        "subject": draft.patient,
        "content": [{"attachment": {"title": number}}],
    }


def _context(draft: Draft, txa: Segment) -> dict[str, Any]:
    """The visit, when the service was (TXA-4), and the orders it answers."""
    when = draft.datetime(txa, 4)
    groups = [group for group in group_orders(draft) if group.orc or group.obr]
    shared = shared_numbers(groups)
    orders = [found for group in groups if (found := request_shell(draft, group, _code(draft, group), shared))]
    for field in (14, 15):
        if number := txa.value(field):
            kind, code = ("order", "PLAC") if field == 14 else ("report", "FILL")
            orders.append({"type": "ServiceRequest", "identifier": number_identifier(draft, number, kind, code)})
    if (parent := _document_number(txa, 13)) and draft.trigger not in RELATION:  # how it relates to it is not said
        orders.append({"type": "DocumentReference", "identifier": number_identifier(draft, parent, "document")})
    stated = {
        "encounter": [draft.encounter] if draft.encounter else [],
        "period": {"start": when} if when else {},
        "related": orders,
    }
    return {element: value for element, value in stated.items() if value}


def _code(draft: Draft, group: Group) -> dict[str, Any] | None:
    return item_code(draft, group.obr, 4)[0] if group.obr else None


# ---------------------------------------------------------------- content


def _attachments(draft: Draft, txa: Segment, content: list[Segment]) -> list[dict[str, Any]]:
    """Enclosed documents as they are; all lines of text as one text."""
    found = [attachment for obx in content if is_document(obx) for attachment in attachments_of(draft, obx)]
    lines = [obx.text(5, n) for obx in content if not is_document(obx) for n in range(1, max(obx.count(5), 1) + 1)]
    text = "\n".join(lines).strip("\n")
    if text.strip():
        data = text.encode()
        media = _text_type(txa, text)
        attachment = {"contentType": media, "data": base64.b64encode(data).decode(), "size": len(data)}
        title = txa.value(16) or txa.value(2, 2)
        found.insert(0, attachment | ({"title": title} if title else {}))
    return found


def _text_type(txa: Segment, text: str) -> str:
    """TXA-3 where it names a kind of text; what looks like mark-up is taken at its word."""
    named = MEDIA_TYPES.get(txa.value(3).upper(), "text/plain")
    if text.lstrip().startswith("<?xml"):
        return "application/xml"
    return named if named.startswith("text/") else "text/plain; charset=utf-8"
