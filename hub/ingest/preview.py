"""What a record would become, and what a changed map would change: neither stores anything.

`preview` maps a file that somebody holds in their hand; `diff` maps stored messages by two contexts and tells, resource by
resource, what differs: to be looked at before a map goes live.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, NamedTuple

from connectors.base import SourceRecord
from connectors.hl7v2_mllp.header import split_messages
from hub.errors import Invalid
from hub.ingest.explaining import Contexts, Explainer
from hub.ingest.journal import Entry, Journal
from hub.ingest.mapping import Attempt
from hub.ingest.masking import MASK, masked_resource
from hub.ingest.tree import Node, leaves, show
from mappers.base import Issue, Line, MappingContext

LARGEST_FILE = 256 * 1024 * 1024
LOOKED_THROUGH = 64 * 1024  # bytes, for what an XML document is
MOST_RECORDS = 1000  # of one file
MOST_CHANGES = 200  # elements told of one resource
MOST_TOLD = 1000  # messages with a difference that are told one by one
BATCH = 64
RECEIVED = datetime(2000, 1, 1, tzinfo=UTC)  # a preview has no time of arrival


# ---------------------------------------------------------------- a file in the hand


@dataclass(frozen=True, slots=True)
class Preview:
    """One record of the file."""

    kind: str
    resources: tuple[Mapping[str, Any], ...]
    issues: tuple[Issue, ...]
    lines: tuple[Line, ...]
    ledger: Mapping[str, int]
    reason: str = ""  # why nothing can be made of it
    tree: tuple[Node, ...] = ()
    text: str = ""


def preview(
    content: bytes,
    context: MappingContext,
    *,
    name: str = "",
    kind: str = "",
    facility: str = "",
    masked: bool = True,
) -> tuple[Preview, ...]:
    """The file's records, mapped by `context` within the worker's limits.

    `kind`: of the records; "" tells it from the bytes (`kind_of`). A batch of HL7 v2 messages and a JSON array or NDJSON of rows
    are several records. Raise Invalid for a file that is too large or of no known kind.
    """
    if len(content) > LARGEST_FILE:
        raise Invalid(f"the file has more than {LARGEST_FILE >> 20} MB")
    if not content.strip():
        raise Invalid("the file is empty")
    kind = kind or kind_of(content, name)
    records = [
        SourceRecord("preview", facility, kind, f"{name or 'file'}#{number}", each, RECEIVED)
        for number, each in enumerate(_records(content, kind), 1)
    ]
    return previewed(records, context, masked=masked)


def previewed(records: Sequence[SourceRecord], context: MappingContext, *, masked: bool = True) -> tuple[Preview, ...]:
    """The same of records that a connector has read."""
    entries = [
        Entry(number, record, hashlib.sha256(record.content).hexdigest(), len(record.content), in_blobs=False, duplicates=0)
        for number, record in enumerate(records, 1)
    ]
    sources = {record.source for record in records}
    with TemporaryDirectory(prefix="yitong-preview-") as folder:  # attachments of a file that is not stored
        explainer = Explainer(lambda: dict.fromkeys(sources, context), Path(folder))
        with closing(explainer):
            attempts = explainer.explain_all(entries)
    return tuple(_preview(entry.record, attempt, context, masked) for entry, attempt in zip(entries, attempts, strict=True))


def _preview(record: SourceRecord, attempt: Attempt, context: MappingContext, masked: bool) -> Preview:
    mapped = attempt.mapped
    shown = show(record, opened=not masked, charset=context.charset)
    resources = tuple(mapped.resources) if mapped else ()
    return Preview(
        kind=record.kind,
        resources=tuple(masked_resource(each) for each in resources) if masked else resources,
        issues=mapped.issues if mapped else (),
        lines=mapped.lines if mapped else (),
        ledger=dict(mapped.ledger) if mapped else {},
        reason=attempt.reason,
        tree=shown.tree,
        text=shown.raw.text,
    )


_V2_START = re.compile(rb"\s*\x0b?(?:\xef\xbb\xbf)?\s*(?:MSH|FHS|BHS)[^A-Za-z0-9\s]")
_XML_START = re.compile(rb"(?:\xef\xbb\xbf)?\s*<")


def kind_of(content: bytes, name: str = "") -> str:
    """hl7v2, cda, hl7v3, dicom, ecg, fhir or row/NAME, by the bytes; a row by its file's name: v_patient.json. Raise Invalid."""
    head = content[:4096]
    if head[128:132] == b"DICM" or head[:4] in (b"DICM", b"\x02\x00\x00\x00"):
        return "dicom"
    if _V2_START.match(head):
        return "hl7v2"
    if _XML_START.match(head):
        if b"AnnotatedECG" in head:
            return "ecg"
        return "hl7v3" if b"interactionId" in content[:LOOKED_THROUGH] and b"<ClinicalDocument" not in head else "cda"
    if b'"resourceType"' in head and head.lstrip()[:1] == b"{":
        return "fhir"
    if head.lstrip()[:1] in (b"{", b"["):
        return f"row/{Path(name).name.partition('.')[0].lower()}" if name else "row"
    raise Invalid("not HL7 v2 (MSH|…), XML (CDA), DICOM or a JSON row: say what it is with --kind")


def _records(content: bytes, kind: str) -> list[bytes]:
    if kind == "hl7v2":
        found = list(split_messages(content)) or [content]
    elif kind.startswith("row"):
        found = list(_rows(content))
    else:
        found = [content]
    if len(found) > MOST_RECORDS:
        raise Invalid(f"the file holds more than {MOST_RECORDS} records: preview a part of it")
    return found


def _rows(content: bytes) -> Iterator[bytes]:
    """A JSON object, an array of them, or one a line."""
    try:
        whole = json.loads(content)
    except ValueError:
        lines = [line for line in content.splitlines() if line.strip()]
        if len(lines) < 2:
            raise Invalid("the row is not JSON") from None
        yield from lines
        return
    for row in whole if isinstance(whole, list) else [whole]:
        yield json.dumps(row, ensure_ascii=False).encode()


# ---------------------------------------------------------------- a changed map over stored messages


class Element(NamedTuple):
    path: str  # code.coding[0].code
    before: Any  # None: it was not there
    after: Any  # None: it is gone


@dataclass(frozen=True, slots=True)
class ResourceDiff:
    reference: str
    change: Literal["added", "removed", "changed"]
    elements: tuple[Element, ...] = ()  # of a changed one; values masked


@dataclass(frozen=True, slots=True)
class MessageDiff:
    seq: int
    resources: tuple[ResourceDiff, ...]
    issues_added: tuple[Issue, ...] = ()
    issues_removed: tuple[Issue, ...] = ()
    reason_before: str = ""
    reason_after: str = ""
    regression: str = ""  # why it is worse than before: "" if it is not


@dataclass(slots=True)
class MapDiff:
    """`messages`: those that differ, the first MOST_TOLD of them; the counts are of all."""

    looked: int = 0
    same: int = 0
    differing: int = 0
    regressions: int = 0
    resources: Counter[str] = field(default_factory=Counter)  # "Observation added" → how many
    elements: Counter[str] = field(default_factory=Counter)  # "Observation.code.coding added" → how many
    issues: Counter[str] = field(default_factory=Counter)  # "unmapped-code removed" → how many
    messages: list[MessageDiff] = field(default_factory=list)


def diff(
    before: Contexts,
    after: Contexts,
    entries: Iterable[Sequence[Entry]],
    blobs: Path,
    *,
    told: Callable[[int], None] = lambda _: None,
) -> MapDiff:
    """Map every entry by both, `before` and `after` (by channel), and say what differs. `told` hears how many are done."""
    found = MapDiff()
    with closing(Explainer(lambda: before, blobs)) as old, closing(Explainer(lambda: after, blobs)) as new:
        for batch in entries:
            for entry, was, now in zip(batch, old.explain_all(batch), new.explain_all(batch), strict=True):
                _count(found, _compared(entry.seq, was, now))
            told(found.looked)
    return found


def stored(journal: Journal, numbers: Sequence[int]) -> Iterator[list[Entry]]:
    """Journal entries in batches; long bodies stay in the blobs."""
    for start in range(0, len(numbers), BATCH):
        yield journal.entries(numbers[start : start + BATCH])


def _count(found: MapDiff, message: MessageDiff | None) -> None:
    found.looked += 1
    if message is None:
        found.same += 1
        return
    found.differing += 1
    found.regressions += bool(message.regression)
    for resource in message.resources:
        type = resource.reference.partition("/")[0]
        found.resources[f"{type} {resource.change}"] += 1
        found.elements.update({f"{type}.{_INDEX.sub('', each.path)} {_how(each)}" for each in resource.elements})
    found.issues.update(f"{issue.code} added" for issue in message.issues_added)
    found.issues.update(f"{issue.code} removed" for issue in message.issues_removed)
    if len(found.messages) < MOST_TOLD or (message.regression and len(found.messages) < 2 * MOST_TOLD):
        found.messages.append(message)


_INDEX = re.compile(r"\[\d+\]")


def _how(element: Element) -> str:
    return "added" if element.before is None else "removed" if element.after is None else "changed"


def _compared(seq: int, was: Attempt, now: Attempt) -> MessageDiff | None:
    old, new = _by_reference(was), _by_reference(now)
    resources = [ResourceDiff(name, "removed") for name in old if name not in new]
    resources += [ResourceDiff(name, "added") for name in new if name not in old]
    for name in old:
        if name in new and old[name] != new[name]:
            resources.append(ResourceDiff(name, "changed", tuple(_elements(old[name], new[name]))))
    issues_before = Counter(was.mapped.issues if was.mapped else ())
    issues_after = Counter(now.mapped.issues if now.mapped else ())
    added, removed = issues_after - issues_before, issues_before - issues_after
    if not resources and not added and not removed and was.reason == now.reason:
        return None
    regression = _regression(was, now, old, new, added, removed)
    return MessageDiff(
        seq, tuple(resources), tuple(added.elements()), tuple(removed.elements()), was.reason, now.reason, regression
    )


def _regression(
    was: Attempt,
    now: Attempt,
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    added: Counter[Issue],
    removed: Counter[Issue],
) -> str:
    """The first of what a person must look at before it goes live."""
    if now.reason and not was.reason:
        return f"can no longer be mapped: {now.reason}"
    if len(new) < len(old):
        return f"{len(old) - len(new)} fewer resources"
    more = added.total() - removed.total()
    if more > 0:
        return f"{more} more issues: {next(iter(added)).code} {next(iter(added)).where}"
    return ""


def _by_reference(attempt: Attempt) -> dict[str, Any]:
    resources = attempt.mapped.resources if attempt.mapped else ()
    return {f"{each['resourceType']}/{each['id']}": each for each in resources}


def _elements(before: Any, after: Any) -> Iterator[Element]:
    """Leaves that differ, their values masked where they are about a person."""
    old, new = dict(leaves(before)), dict(leaves(after))
    hidden = dict(leaves(masked_resource(before))), dict(leaves(masked_resource(after)))
    differing = [path for path in {**old, **new} if old.get(path) != new.get(path)]
    for path in differing[:MOST_CHANGES]:
        yield Element(path, *(_told(shown.get(path), plain.get(path)) for shown, plain in zip(hidden, (old, new), strict=True)))


def _told(shown: Any, plain: Any) -> Any:
    return plain if shown == plain else None if plain is None else MASK * 3
