"""Which message does what: MSH-9 → the parts of the mapper that its structure needs.

https://build.fhir.org/ig/HL7/v2-to-fhir/message_maps.html. A structure without a map is kept whole and named, never half-mapped.
"""

from __future__ import annotations

from collections import Counter

from connectors.base import SourceRecord
from mappers.base import CannotMap, Change, Mapped, MappingContext
from mappers.hl7v2.admission import ADMISSIONS, map_admission, map_deleted_person, map_link, map_merge, map_new_person, map_swap
from mappers.hl7v2.clinical import CLINICAL_MAPS, USUAL_TRIGGER, Map
from mappers.hl7v2.declared import state_declared
from mappers.hl7v2.draft import Draft
from mappers.hl7v2.ledger import close, lines
from mappers.hl7v2.merge import MERGES
from mappers.hl7v2.message import Message, parse, split_messages
from mappers.hl7v2.remembered import memory_of
from mappers.hl7v2.stated import stated_at

# (message code, trigger) → the map
MAPS: dict[tuple[str, str], Map] = {
    **{("ADT", trigger): map_admission for trigger in ADMISSIONS},
    **{("ADT", trigger): map_merge for trigger in MERGES},
    ("ADT", "A17"): map_swap,
    ("ADT", "A24"): map_link,
    ("ADT", "A28"): map_new_person,
    ("ADT", "A29"): map_deleted_person,
    ("ADT", "A37"): map_link,
    **CLINICAL_MAPS,
}

# Structures (MSH-9.3) that only one trigger has: where the trigger is missing they name it
ONE_TRIGGER = {f"ADT_A{number}" for number in ("02", "03", "12", "15", "16", "17", "18", "20", "24", "37", "52", "54", "60", "61")}


def kind_of(message: Message) -> tuple[str, str]:
    """Message code and trigger: MSH-9, for ADT else EVN-1."""
    code, trigger = message.code.upper(), message.trigger.upper()
    if "_" in code and not trigger:  # ORU_R01 written into one component
        code, trigger = code.split("_", 1)
    event = message.first("EVN")
    if not trigger and code == "ADT" and event is not None:
        trigger = event.value(1).upper()
    if not trigger and (structure := message.header.value(9, 3).upper()) in ONE_TRIGGER:
        trigger = structure.partition("_")[2]
    return code, trigger or USUAL_TRIGGER.get(code, "")


def _check_header(draft: Draft) -> None:
    header = draft.message.header
    version = header.value(12)
    if version and not version.startswith("2"):
        raise CannotMap(f"version {version[:8]!r} is not HL7 v2")
    if header.value(11) in {"T", "D"}:
        draft.note("conflict", "MSH-11", f"processing id {header.value(11)}: not declared as production data")
    if draft.message.repaired_charset:
        detail = f"declared {draft.message.declared_charset[:32]!r}, used {draft.message.charset}"
        draft.note("charset-repaired", "MSH-18", detail)
    if draft.zone != draft.context.zone:
        draft.note(
            "conflict", "MSH-7", "another offset than the channel's zone: times without one are in that of MSH-7", "information"
        )
    event = draft.message.first("EVN")
    if draft.trigger and event is not None and event.value(1).upper() not in {"", draft.trigger}:
        draft.note("conflict", "EVN-1", "names another event than MSH-9, which counts", "information")
    for repair in draft.message.repairs:
        draft.note("moved", repair.where, repair.detail)


def _gathered(changes: list[Change]) -> tuple[Change, ...]:
    """Patches of one resource in one message are one statement."""
    found: dict[tuple[str, str, str], Change] = {}
    for change in changes:
        key = (change.resource["resourceType"], change.resource["id"], change.mode)
        earlier = found.get(key)
        if earlier is None or change.mode == "replace":
            found[key] = change
        else:
            links = {"link": [*earlier.resource["link"], *change.resource["link"]]} if _both_link(earlier, change) else {}
            found[key] = Change({**earlier.resource, **change.resource, **links}, change.mode)
    return tuple(found.values())


def _both_link(one: Change, other: Change) -> bool:
    return bool(one.resource.get("link") and other.resource.get("link"))


def _map_one(content: bytes, record: SourceRecord, context: MappingContext) -> Mapped:
    message = parse(content, context.charset or record.hints.get("charset", ""), traced=context.explain)
    code, trigger = kind_of(message)
    map_structure = MAPS.get((code, trigger))
    if map_structure is None:
        raise CannotMap(f"no map for this structure {code[:8]}^{trigger[:8]}")
    draft = Draft(message, record.facility, context, trigger, mode="patch" if code == "ADT" else "fill")
    draft.memory = memory_of(message, record.facility, context)
    _check_header(draft)
    map_structure(draft)
    state_declared(draft)
    return Mapped(
        changes=_gathered(draft.changes),
        ledger=close(draft),
        lines=tuple(lines(draft)) if context.explain else (),
        issues=tuple(draft.issues),
        attachments=tuple(draft.attachments.values()),
        changed_at=stated_at(message, draft.zone) or record.changed_at,
    )


def map_message(record: SourceRecord, context: MappingContext) -> Mapped:
    """A record of kind "hl7v2" → what it states. Raise CannotMap with a reason when nothing of it can be used.

    A connector hands over one message a record. Where a record holds several, all are mapped or none is.
    """
    several = record.content.count(b"MSH") > 1  # most records cannot hold two: asked first, as splitting reads every line
    contents = split_messages(record.content) if several else [record.content]
    parts = [_map_one(content, record, context) for content in contents]
    if len(parts) == 1:
        return parts[0]
    times = [part.changed_at for part in parts if part.changed_at]
    ledger: Counter[str] = Counter()
    for part in parts:
        ledger.update(part.ledger)
    return Mapped(
        changes=_gathered([change for part in parts for change in part.changes]),
        issues=tuple(issue for part in parts for issue in part.issues),
        attachments=tuple(attachment for part in parts for attachment in part.attachments),
        changed_at=max(times, default=None),
        ledger=dict(ledger),
        lines=tuple(line for part in parts for line in part.lines),
    )
