"""The messages of a hub as hospital IT lists them: found by patient, control id, time or words, each with its outcome.

The journal has the bytes, `messages.sqlite` finds them (hub.ingest.message_index), the store knows what became of them, be it
SQLite or MongoDB. Nothing here changes anything, and what identifies a person leaves only masked.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal, NamedTuple, Protocol, get_args
from weakref import WeakKeyDictionary

import apsw

from hub.errors import HubError, Invalid, Unavailable
from hub.fhir_json import load
from hub.ingest.indexing import catch_up
from hub.ingest.journal import Entry, Journal
from hub.ingest.message_index import BRIEFLY_MS, MessageIndex, Row, Wanted, instant_ms
from hub.ingest.summary import holds, match_of, summary_of, term
from hub.store.port import Key, Outcome, SourceTally, Version

State = Literal["waiting", "done", "dead", "conflict", "discarded"]
STATES: tuple[State, ...] = get_args(State)

DEFAULT_LIMIT = 50
MOST_LOOKED = 20_000  # candidates one question looks at, before it gives the page it has
MOST_COUNTED = 10_000
MOST_VERIFIED = 1_000  # counted, where the bytes of each must be looked at
FRESH = 400  # records indexed by the question itself, if the index is behind
CHUNK = 500


class Outcomes(Protocol):
    """What a store says of records; a reader of another process's store too."""

    def outcome(self, seq: int) -> Outcome | None: ...
    def outcomes(
        self, *, state: str = "", source: str = "", after: int = 0, before: int = 0, limit: int = 1000, newest: bool = False
    ) -> list[Outcome]: ...
    def finished_after(self, seq: int) -> int: ...
    def tallies(self) -> dict[str, SourceTally]: ...


@dataclass(frozen=True, slots=True)
class Message:
    """One record of the journal, as a line of a list. Holds nothing that identifies a person."""

    seq: int
    source: str
    facility: str
    kind: str  # hl7v2, cda, dicom, row/v_patient
    type: str  # ADT^A01, C0002, v_patient, CT
    control: str  # MSH-10, or the source's own key
    received: datetime  # UTC
    state: State
    cause: str = ""  # why it is dead: `cause_of`
    reason: str = ""  # the same in full
    patient: str = ""  # the end of the number by which the source knows the patient
    issues: int = 0
    resources: int = 0
    duplicates: int = 0
    size: int = 0  # bytes
    attempts: int = 0
    finished: int = 0  # UTC ms; 0: waiting


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for; an empty field does not narrow. `search` answers those below `before_seq`; 0: from the newest."""

    source: str = ""
    facility: str = ""
    kind: str = ""
    type: str = ""
    state: str = ""  # one of STATES
    cause: str = ""  # of dead or discarded ones, as `cause_of` writes it
    control_id: str = ""
    patient: str = ""  # a number, a name, or Patient/id of the hub
    text: str = ""  # words that all stand in it
    since: str = ""  # received at or after; ISO 8601
    until: str = ""  # received before
    before_seq: int = 0

    def __post_init__(self) -> None:
        if self.state not in ("", *STATES):
            raise Invalid(f"state {self.state}: one of {', '.join(STATES)}")
        for name in ("since", "until"):
            _instant(getattr(self, name), name)


class Found(NamedTuple):
    messages: tuple[Message, ...]
    next: int | None  # `before_seq` of the next page; None: there is none
    behind: int = 0  # records journaled that the index does not hold yet


class Count(NamedTuple):
    number: int
    more: bool  # there are more than were counted


class Cause(NamedTuple):
    cause: str
    source: str
    records: int
    first: int  # journal numbers
    last: int


def search(journal: Journal, store: Outcomes, query: Query, limit: int = DEFAULT_LIMIT) -> Found:
    """A page may be shorter than `limit` and have a `next`: then so many candidates were looked at without a match."""
    index = index_of(journal)
    catch_up(journal, index, FRESH)
    look = _Look(journal, store, index, query)
    found: list[Message] = []
    last = 0
    for looked, (row, outcome) in enumerate(look.candidates(), 1):
        last = row.seq
        message = look.message(row, outcome)
        if message is not None:
            found.append(message)
        if len(found) >= limit or looked >= MOST_LOOKED:
            break
    else:
        last = 0
    return Found(tuple(_filled(journal, found)), last or None, max(0, journal.newest() - index.position))


def count(journal: Journal, store: Outcomes, query: Query) -> Count:
    """How many a search would find in all, counted up to MOST_COUNTED."""
    query = replace(query, before_seq=0)
    index = index_of(journal)
    catch_up(journal, index, FRESH)
    look = _Look(journal, store, index, query)
    if look.index_alone:
        number = index.count(look.wanted, MOST_COUNTED + 1)
        return Count(min(number, MOST_COUNTED), number > MOST_COUNTED)
    number = 0
    for looked, (row, outcome) in enumerate(look.candidates(), 1):
        number += look.message(row, outcome) is not None
        if number > look.most_counted or looked >= MOST_LOOKED:
            return Count(min(number, look.most_counted), True)
    return Count(number, False)


def numbers(journal: Journal, store: Outcomes, query: Query, most: int) -> list[int]:
    """The journal numbers of all that match, ascending; for a replay. Raise Invalid when there are more than `most`."""
    found: list[int] = []
    before = query.before_seq
    while True:
        page = search(journal, store, replace(query, before_seq=before), 1000)
        found += [message.seq for message in page.messages]
        if len(found) > most:
            raise Invalid(f"more than {most} records match; narrow it by channel or time")
        if page.next is None:
            return sorted(found)
        before = page.next


def message_at(journal: Journal, store: Outcomes, seq: int) -> Message | None:
    """One message; None if the journal has no such number."""
    index = index_of(journal)
    catch_up(journal, index, FRESH)
    rows = index.search(Wanted(seqs=(seq,)), before=0, limit=1)
    row = rows[0] if rows else _unindexed(journal, seq)
    if row is None:
        return None
    look = _Look(journal, store, index, Query())
    message = look.message(row, store.outcome(seq))
    return next(iter(_filled(journal, [message])), None) if message else None


def causes(store: Outcomes, source: str = "", most: int = MOST_LOOKED) -> list[Cause]:
    """Dead records by cause and channel, the commonest first; of the newest `most`."""
    found: dict[tuple[str, str], Cause] = {}
    for looked, outcome in enumerate(_dead(store, source), 1):
        key = cause_of(outcome), outcome.source
        known = found.get(key)
        last = known.last if known else outcome.seq
        found[key] = Cause(*key, (known.records if known else 0) + 1, outcome.seq, last)
        if looked >= most:
            break
    return sorted(found.values(), key=lambda cause: (-cause.records, cause.cause, cause.source))


_NUMBERED = re.compile(r"\[\d+\]|(?<=record )\d+|(?<![A-Za-z\d])\d{3,}")


def cause_of(outcome: Outcome) -> str:
    """The reason of a dead record without the numbers that differ between records of one cause: 'OBX[3]-5' and 'OBX[7]-5'."""
    if outcome.state == "done":
        return ""
    return _NUMBERED.sub(_without_number, outcome.reason)[:200]


def _without_number(match: re.Match[str]) -> str:
    """Short numbers name fields and stay: OBX[n]-5."""
    text = match[0]
    return "[n]" if text[0] == "[" else "n"


_INDEXES: WeakKeyDictionary[Journal, MessageIndex] = WeakKeyDictionary()
_OPENING = threading.Lock()


def index_of(journal: Journal) -> MessageIndex:
    """The index beside this journal, opened once. Raise Unavailable where there is no room to make one."""
    with _OPENING:
        index = _INDEXES.get(journal)
        if index is None:
            try:
                index = _INDEXES[journal] = MessageIndex(journal.folder, busy_ms=BRIEFLY_MS)
            except apsw.FullError:
                raise Unavailable("messages cannot be searched: the disk is full") from None
        return index


class _Look:
    """One question under way."""

    def __init__(self, journal: Journal, store: Outcomes, index: MessageIndex, query: Query) -> None:
        self._journal, self._store, self._index, self._query = journal, store, index, query
        self._lowest = store.finished_after(0) if query.state == "waiting" else 0
        self.wanted = Wanted(
            source=query.source,
            facility=query.facility,
            kind=query.kind,
            type=query.type,
            control=query.control_id,
            terms=_terms(store, query.patient),
            match=match_of(query.text),
            since=_instant(query.since, "since"),
            until=_instant(query.until, "until"),
            above=self._lowest,
        )
        told = bool(query.patient.strip() and not self.wanted.terms) or bool(query.text.strip() and not self.wanted.match)
        self._nothing = told  # what was asked for has no letter or digit, or is a Patient that is not here
        self._verify = bool(query.text) and (re.search(r"[^\x00-\x7f]{3}", query.text) is not None or not self._text_leads)

    @property
    def index_alone(self) -> bool:
        """Whether the index can tell without the store and without the bytes."""
        return not self._nothing and not self._verify and not self._query.state and not self._query.cause

    @property
    def most_counted(self) -> int:
        return MOST_VERIFIED if self._verify else MOST_COUNTED

    @property
    def _text_leads(self) -> bool:
        return not (self.wanted.control or self.wanted.terms)

    def candidates(self) -> Iterator[tuple[Row, Outcome | None]]:
        if self._nothing:
            return
        leads = self.wanted.control or self.wanted.terms or self.wanted.match
        if (self._query.state in ("dead", "conflict", "discarded") or self._query.cause) and not leads:
            yield from self._among_dead()
            return
        before = self._query.before_seq
        limit = DEFAULT_LIMIT
        while rows := self._index.search(self.wanted, before=before, limit=limit):
            for row in rows:
                yield row, self._store.outcome(row.seq)
            if len(rows) < limit:
                return
            before, limit = rows[-1].seq, CHUNK

    def _among_dead(self) -> Iterator[tuple[Row, Outcome | None]]:
        """Few of many: the store leads."""
        low, high = self._index.between(self.wanted)
        before = min(self._query.before_seq or high, high) if high < 1 << 62 else self._query.before_seq
        state = "discarded" if self._query.state == "discarded" else "dead"
        for outcomes in _pages(self._store, state, self._query.source, before):
            if outcomes[0].seq < low:
                return
            by_number = {outcome.seq: outcome for outcome in outcomes}
            wanted = replace(self.wanted, seqs=tuple(by_number))
            for row in self._index.search(wanted, before=0, limit=CHUNK):
                yield row, by_number[row.seq]

    def message(self, row: Row, outcome: Outcome | None) -> Message | None:
        """None if what only the store or the bytes can tell does not match."""
        state = _state(outcome)
        query = self._query
        cause = cause_of(outcome) if outcome else ""
        if query.state not in ("", state) or query.cause not in ("", cause):
            return None
        if self._verify and not self._says(row.seq):
            return None
        return Message(
            seq=row.seq,
            source=row.source,
            facility=row.facility,
            kind=row.kind,
            type=row.type,
            control=row.control,
            received=datetime.fromtimestamp(row.received / 1000, UTC),
            state=state,
            cause=cause,
            reason=outcome.reason if outcome else "",
            patient=row.patient,
            issues=len(outcome.issues) if outcome else 0,
            resources=len(outcome.resources) if outcome else 0,
            attempts=outcome.attempts if outcome else 0,
            finished=outcome.finished if outcome else 0,
        )

    def _says(self, seq: int) -> bool:
        try:
            entry = self._journal.read(seq)
        except (HubError, OSError):
            return False
        return entry is not None and holds(summary_of(entry.record).text, self._query.text)


def _state(outcome: Outcome | None) -> State:
    """Conflict: set aside because its control id came before with another body (hub.ingest.holding)."""
    if outcome is None:
        return "waiting"
    if outcome.state != "dead":
        return outcome.state
    return "conflict" if outcome.reason.startswith("conflict:") else "dead"


def _filled(journal: Journal, messages: Iterable[Message]) -> Iterator[Message]:
    """With what the journal goes on counting."""
    messages = list(messages)
    facts = journal.facts([message.seq for message in messages])
    for message in messages:
        size, duplicates = facts.get(message.seq, (0, 0))
        yield replace(message, size=size, duplicates=duplicates)


def _unindexed(journal: Journal, seq: int) -> Row | None:
    """The index is behind: what the envelope says."""
    found: list[Entry] = journal.entries((seq,))
    if not found:
        return None
    record = found[0].record
    received = int(record.received_at.timestamp() * 1000)
    return Row(seq, record.source, record.facility, record.kind, "", record.key, received, "")


def _dead(store: Outcomes, source: str) -> Iterator[Outcome]:
    for page in _pages(store, "dead", source, 0):
        yield from page


def _pages(store: Outcomes, state: str, source: str, before: int) -> Iterator[list[Outcome]]:
    while page := store.outcomes(state=state, source=source, before=before, limit=CHUNK, newest=True):
        yield page
        before = page[-1].seq
        if before <= 1:
            return


def _terms(store: object, patient: str) -> tuple[str, ...]:
    """A number or name as it is; a Patient of the hub is asked for by all of its numbers."""
    if not patient.startswith("Patient/"):
        return tuple(filter(None, (term(patient),)))
    read = getattr(store, "read", None)
    if read is None:
        return ()
    try:
        version: Version = read(Key("Patient", patient.removeprefix("Patient/")))
    except HubError:
        return ()
    identifiers = load(version.body).get("identifier") or ()
    return tuple(dict.fromkeys(filter(None, (term(str(each.get("value", ""))) for each in identifiers))))


def _instant(text: str, name: str) -> int:
    if not text:
        return 0
    try:
        return instant_ms(text)
    except ValueError:
        raise Invalid(f"{name} {text[:40]}: not a time such as 2026-05-01T08:00:00+08:00 or 2026-05-01") from None
