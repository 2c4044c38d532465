"""One message opened: its bytes, its parts, where each field went, the FHIR it made, what became of it and who else touched that.

What identifies a person is masked until someone opens it with a reason, which the audit keeps.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hub.errors import HubError, Invalid, NotAllowed, NotFound
from hub.fhir_json import load
from hub.ingest.explaining import Explainer
from hub.ingest.journal import Entry, Journal
from hub.ingest.mapping import Attempt
from hub.ingest.masking import masked_resource
from hub.ingest.message_index import Wanted
from hub.ingest.messages import Message, Outcomes, index_of, message_at
from hub.ingest.replay import NoOutcomes, Replays, Request
from hub.ingest.summary import summary_of
from hub.ingest.tree import LONGEST_SHOWN, Shown, show
from hub.ingest.unions import key_of
from hub.security.access import Access
from hub.security.door import Door
from hub.store.port import Key, Outcome, ResourceStore, Version
from mappers.base import Issue, Line

MOST_RELATIVES = 300  # messages of the same patient that are looked at for lineage
MOST_SHOWN = 200  # resources of one message
SHORTEST_REASON = 4
LONGEST_REASON = 200
OPENERS = frozenset({"admin", "it"})


@dataclass(frozen=True, slots=True)
class Made:
    """One resource that the record states."""

    reference: str  # Patient/0a1b…
    mode: str  # replace, patch, fill, union
    stated: Mapping[str, Any]  # what the record says of it now, by today's maps; masked unless opened
    stored: Mapping[str, Any] | None = None  # as it stands in the store; None: it is not there
    version: int = 0
    updated: int = 0  # UTC ms


@dataclass(frozen=True, slots=True)
class Touch:
    """Another message that touched a resource of this one."""

    reference: str
    seq: int
    source: str
    type: str
    state: str


@dataclass(frozen=True, slots=True)
class Opened:
    message: Message
    shown: Shown
    lines: tuple[Line, ...]  # the ledger, line by line, as it is mapped today
    ledger: Mapping[str, int]
    issues: tuple[Issue, ...]  # of mapping it today
    reason: str  # why it cannot be mapped today; "" if it can
    made: tuple[Made, ...]
    outcome: Outcome | None  # as it was stored
    lineage: tuple[Touch, ...] = ()
    replays: tuple[Request, ...] = ()
    unmasked: bool = False
    patients: tuple[str, ...] = field(default=())  # ids of the Patients it touched


def inspect(
    journal: Journal,
    store: ResourceStore | Outcomes,
    explainer: Explainer,
    seq: int,
    *,
    unmasked: bool = False,
    charset: str = "",
) -> Opened:
    """`unmasked`: the caller leaves the audit, see `open_message`. Raise NotFound for a number that the journal has not."""
    message = message_at(journal, store, seq)
    entries = journal.entries((seq,))
    if message is None or not entries:
        raise NotFound(f"the journal has no message {seq}")
    entry = _whole(journal, entries[0])
    attempt = explainer.explain(entries[0])
    outcome = store.outcome(seq)
    mapped = attempt.mapped
    return Opened(
        message=message,
        shown=show(entry.record, opened=unmasked, charset=charset),
        lines=mapped.lines if mapped else (),
        ledger=dict(mapped.ledger) if mapped else {},
        issues=mapped.issues if mapped else (),
        reason=attempt.reason,
        made=_made(store, attempt, unmasked),
        outcome=outcome,
        lineage=_lineage(journal, store, entry, outcome),
        replays=_replays(journal, seq, message),
        unmasked=unmasked,
        patients=_patients(outcome),
    )


async def open_message(
    journal: Journal, store: ResourceStore, explainer: Explainer, door: Door, access: Access, seq: int, *, reason: str = ""
) -> Opened:
    """As `inspect`, for who may: masked; with a `reason` unmasked, and an AuditEvent names who, which message, whose and why.

    Raise NotAllowed for other roles than admin and it, Invalid for a reason that says nothing, NotFound.
    """
    if access.role not in OPENERS:
        raise NotAllowed("messages are for the roles admin and it")
    reason = checked_reason(reason) if reason else ""
    opened = await asyncio.to_thread(inspect, journal, store, explainer, seq, unmasked=bool(reason))
    if reason:
        await note_opened(door, access, opened, reason)
    return opened


def checked_reason(reason: str) -> str:
    text = " ".join(reason.split())
    if not SHORTEST_REASON <= len(text) <= LONGEST_REASON:
        raise Invalid(f"say in {SHORTEST_REASON} to {LONGEST_REASON} characters why: the audit keeps it")
    return text


async def note_opened(door: Door, access: Access, opened: Opened, reason: str) -> None:
    """The audit comes first: without it nothing is shown."""
    asked = f"seq={opened.message.seq}&reason={reason}"
    for patient in opened.patients or ("",):
        await door.note(access, action="R", interaction="read", type="journal", query=asked, patient=patient)


def _whole(journal: Journal, entry: Entry) -> Entry:
    try:
        return journal.loaded(entry)
    except (HubError, OSError):  # the blob is gone: the rest is still to be seen
        return entry


def _made(store: object, attempt: Attempt, unmasked: bool) -> tuple[Made, ...]:
    if attempt.mapped is None:
        return ()
    changes = attempt.mapped.changes[:MOST_SHOWN]
    stored = _stored(store, [key_of(change) for change in changes])
    found = []
    for change in changes:
        key = key_of(change)
        version = stored.get(key)
        body = load(version.body) if version else None
        found.append(
            Made(
                reference=f"{key.type}/{key.id}",
                mode=change.mode,
                stated=change.resource if unmasked else masked_resource(change.resource),
                stored=body if body is None or unmasked else masked_resource(body),
                version=version.version if version else 0,
                updated=version.updated if version else 0,
            )
        )
    return tuple(found)


def _stored(store: object, keys: list[Key]) -> dict[Key, Version]:
    read_many = getattr(store, "read_many", None)
    if read_many is None or not keys:
        return {}
    return {Key(version.type, version.id): version for version in read_many(dict.fromkeys(keys))}


def _lineage(journal: Journal, store: Outcomes, entry: Entry, outcome: Outcome | None) -> tuple[Touch, ...]:
    """Among the newest messages of the same patients, those whose outcomes name a resource of this one."""
    ours = set(outcome.resources) if outcome else set()
    terms = summary_of(entry.record).terms
    if not ours or not terms:
        return ()
    found = []
    for row in index_of(journal).search(Wanted(terms=terms), before=0, limit=MOST_RELATIVES):
        other = store.outcome(row.seq) if row.seq != entry.seq else None
        for reference in other.resources if other else ():
            if other and reference in ours:
                found.append(Touch(reference, row.seq, row.source, row.type, other.state))
    return tuple(dict.fromkeys(sorted(found, key=lambda touch: (-touch.seq, touch.reference))))


def _replays(journal: Journal, seq: int, message: Message) -> tuple[Request, ...]:
    """Requests for a replay that covered it."""
    replays = Replays(journal, NoOutcomes())
    return tuple(request for request in replays.listed() if request.covers(seq, message.source, message.kind, message.facility))


def _patients(outcome: Outcome | None) -> tuple[str, ...]:
    named = (reference.partition("/") for reference in (outcome.resources if outcome else ()))
    return tuple(id for type, _, id in named if type == "Patient")


__all__ = ["LONGEST_SHOWN", "Made", "Opened", "Touch", "checked_reason", "inspect", "note_opened", "open_message"]
