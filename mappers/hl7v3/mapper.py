"""A V3 message → FHIR: its action, else its interaction, says what it is. One without a map is kept whole and named.

| Interaction | Here |
|---|---|
| PRPA_IN201311UV02, 201314UV02, 201306UV02 (answer to a query) | Patient |
| PRPA_IN201304UV02 | Patient.link |
| PRPA_IN400001UV, 400002, 400003 | Encounter, Condition |
| POOR_IN200901UV, 200902UV | ServiceRequest, MedicationRequest, Specimen |
| RCMR_IN000002UV02 | the document within, as a document |
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from connectors.base import SourceRecord
from connectors.xml import Element, NotXml, attribute, child, local, read_xml, text_of_bytes
from mappers.base import CannotMap, Line, Mapped, MappingContext
from mappers.cda import map_document
from mappers.datatypes import instant
from mappers.hl7v3.orders import map_request
from mappers.hl7v3.patient import map_merge, map_registration
from mappers.hl7v3.reader import Message
from mappers.hl7v3.visit import map_visit

Map = Callable[[Message], None]
# By interaction, the release's suffix left out
INTERACTIONS: dict[str, Map] = {
    "PRPA_IN201311": map_registration,
    "PRPA_IN201314": map_registration,
    "PRPA_IN201306": map_registration,
    "PRPA_IN201304": map_merge,
    "PRPA_IN400001": map_visit,
    "PRPA_IN400002": map_visit,
    "PRPA_IN400003": map_visit,
    "POOR_IN200901": map_request,
    "POOR_IN200902": map_request,
}
DOCUMENT = "RCMR_IN000002"
# What carries the message and says nothing of a patient
TRANSPORT = frozenset({"receiver", "sender", "interactionId", "processingCode", "processingModeCode", "acceptAckCode", "id"})
MOST_LINES = 5000


def map_message(record: SourceRecord, context: MappingContext) -> Mapped:
    """Raise CannotMap: no XML, an interaction without a map, or one that names no patient."""
    try:
        root = read_xml(text_of_bytes(record.content))
    except NotXml as error:
        raise CannotMap(f"the message: {error}") from None
    interaction = attribute(child(root, "interactionId"), "extension").strip() or local(root)
    if interaction.startswith(DOCUMENT):
        return _document(root, record, context)
    work = next((each for name, each in INTERACTIONS.items() if interaction.startswith(name)), None)
    if work is None:
        raise CannotMap(f"no map for the interaction {interaction[:40]}: the message is kept whole")
    message = Message(root, record, context)
    work(message)
    lines = _ledger(message)
    counts = {state: sum(line.state == state for line in lines) for state in ("mapped", "kept", "unmapped")}
    return Mapped(
        tuple(message.changes),
        tuple(message.issues),
        changed_at=_created(root, context),
        ledger=counts,
        lines=lines if context.explain else (),
    )


def _created(root: Element, context: MappingContext) -> datetime | None:
    return instant(attribute(child(root, "creationTime"), "value"), context.zone)


def _document(root: Element, record: SourceRecord, context: MappingContext) -> Mapped:
    """storageCode/originalText@value: the document's bytes as base64."""
    holder = child(root, "controlActProcess", "subject", "clinicalDocument", "storageCode", "originalText")
    text = attribute(holder, "value") or ((holder.text or "").strip() if holder is not None else "")
    try:
        content = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise CannotMap("storageCode/originalText is no base64") from None
    if not content:
        raise CannotMap("the registration holds no document")
    return map_document(replace(record, kind="cda", content=content), context)


def _ledger(message: Message) -> tuple[Line, ...]:
    """Each element that states something: a value, a code, a number, or text."""
    lines: list[Line] = []
    for element in message.root.iter():
        if len(lines) >= MOST_LINES:
            break
        if not local(element) or not _states(element):
            continue
        path = _path(element)
        to = message.used.get(element)
        transport = path.split("/")[0] in TRANSPORT or path == "creationTime"
        lines.append(Line(path, "mapped" if to else "kept" if transport else "unmapped", to or ""))
    return tuple(lines)


def _states(element: Element) -> bool:
    return any(attribute(element, name) for name in ("value", "code", "extension")) or bool((element.text or "").strip())


def _path(element: Element) -> str:
    names = [local(element), *(local(each) for each in element.iterancestors())]
    return "/".join(reversed(names[:-1])) or names[0]
