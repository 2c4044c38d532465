"""The file by which messages are found: `messages.sqlite` beside the journal, made from it and never the only place of anything.

A file of its own, so that it shares neither lock nor sync with the journal: whoever waits for an acknowledgement never waits for
it. It may be deleted, and is made anew. Words are kept without positions (FTS5, detail=none): what matches is looked at again.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from heapq import merge
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from hub.ingest.journal import Entry
from hub.ingest.masking import masked_number
from hub.ingest.summary import Summary, words

NAME = "messages.sqlite"
LAYOUT = 1
BLOCK = 1024  # records of which the earliest and the latest time are kept
BUSY_MS = 5_000
BRIEFLY_MS = 200  # a question does not wait for the process that indexes; it does without the newest records
CHECKPOINT_PAGES = 8_000  # 32 MB: the fewer syncs, the less the journal's have to share the disk with
SCHEMA = f"""
CREATE TABLE origin (id INTEGER PRIMARY KEY, source TEXT, facility TEXT, kind TEXT, UNIQUE (source, facility, kind));
CREATE TABLE message (
    seq INTEGER PRIMARY KEY, origin INTEGER NOT NULL, type TEXT NOT NULL, control TEXT NOT NULL,
    received INTEGER NOT NULL,           -- UTC ms
    patient TEXT NOT NULL);              -- masked
CREATE INDEX message_origin ON message (origin);
CREATE INDEX message_control ON message (control);
CREATE TABLE term (term TEXT, seq INTEGER, PRIMARY KEY (term, seq)) WITHOUT ROWID;
CREATE TABLE span (block INTEGER PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL);
CREATE VIRTUAL TABLE words USING fts5 (
    said, content = '', detail = none, columnsize = 0, tokenize = 'unicode61 remove_diacritics 0');
PRAGMA user_version = {LAYOUT};
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the index itself can tell; an empty field does not narrow."""

    source: str = ""
    facility: str = ""
    kind: str = ""  # hl7v2, row or row/v_patient
    type: str = ""
    control: str = ""
    terms: tuple[str, ...] = ()  # any of them
    match: str = ""  # FTS5
    since: int = 0  # UTC ms, included
    until: int = 0  # excluded
    above: int = 0
    seqs: tuple[int, ...] | None = None  # only these


class Row(NamedTuple):
    seq: int
    source: str
    facility: str
    kind: str
    type: str
    control: str
    received: int
    patient: str


_COLUMNS = "message.seq, source, facility, kind, type, control, received, patient"


class MessageIndex:
    """Safe from any thread, and beside another process that adds to it."""

    def __init__(self, folder: Path, *, busy_ms: int = BUSY_MS) -> None:
        self.path = folder / NAME
        self._lock = threading.Lock()
        self._connection = _opened(self.path)
        self._connection.setbusytimeout(busy_ms)

    @property
    def position(self) -> int:
        """Every journal record up to here is in it."""
        return int(self._all("SELECT coalesce(max(seq), 0) FROM message")[0][0])

    def add(self, entries: Sequence[tuple[Entry, Summary]]) -> None:
        """Entries behind `position`, in order; those that are in it stay."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                newest = self._connection.execute("SELECT coalesce(max(seq), 0) FROM message").get
                for entry, summary in entries:
                    if entry.seq > newest:
                        self._add(entry, summary)
                self._connection.execute("COMMIT")
            except BaseException:
                with suppress(apsw.Error):
                    self._connection.execute("ROLLBACK")
                raise

    def optimise(self) -> None:
        """Join the parts in which the words were written: after a large backlog."""
        with self._lock:
            self._connection.execute("INSERT INTO words(words, rank) VALUES ('merge', 500)")

    def search(self, wanted: Wanted, *, before: int, limit: int) -> list[Row]:
        """The newest that match, below `before` (0: from the end)."""
        before = before or 1 << 62
        origins = self._origins(wanted)
        if origins is not None and not origins:
            return []
        low, high = self.between(wanted)
        if low >= high:
            return []
        before = min(before, high)
        above = max(low - 1, wanted.above)
        scans = self._scans(wanted, origins)
        found = [self._rows(*scan, wanted, above, before, limit) for scan in scans]
        if len(found) == 1:
            return found[0]
        rows = {row.seq: row for row in merge(*found, key=lambda row: -row.seq)}  # one that several scans found stands once
        return list(rows.values())[:limit]

    def count(self, wanted: Wanted, most: int) -> int:
        """How many match, counted up to `most`."""
        return len(self.search(wanted, before=0, limit=most))

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    # -- adding

    def _add(self, entry: Entry, summary: Summary) -> None:
        record, execute = entry.record, self._connection.execute
        origin = self._origin(record.source, record.facility, record.kind)
        received = int(record.received_at.timestamp() * 1000)
        shown = masked_number(summary.patient)
        execute(
            "INSERT INTO message VALUES (?, ?, ?, ?, ?, ?)",
            (entry.seq, origin, summary.type[:64], summary.control[:256], received, shown),
        )
        self._connection.executemany("INSERT OR IGNORE INTO term VALUES (?, ?)", ((each, entry.seq) for each in summary.terms))
        if tokens := words(summary.text):
            execute("INSERT INTO words(rowid, said) VALUES (?, ?)", (entry.seq, tokens))
        execute(
            "INSERT INTO span VALUES (?, ?, ?) ON CONFLICT (block) DO UPDATE SET"
            " first = min(first, excluded.first), last = max(last, excluded.last)",
            (entry.seq // BLOCK, received, received),
        )

    def _origin(self, *origin: str) -> int:
        select = "SELECT id FROM origin WHERE source = ? AND facility = ? AND kind = ?"
        known = self._connection.execute(select, origin).get
        if known is None:
            self._connection.execute("INSERT INTO origin(source, facility, kind) VALUES (?, ?, ?)", origin)
            known = self._connection.last_insert_rowid()
        return int(known)

    # -- asking

    def _all(self, sql: str, values: Any = ()) -> list[tuple[Any, ...]]:
        with self._lock:
            return list(self._connection.execute(sql, values))

    def _origins(self, wanted: Wanted) -> list[int] | None:
        """Those that a channel, facility or kind narrows to; None: none of these was asked for."""
        if not (wanted.source or wanted.facility or wanted.kind):
            return None
        rows = self._all("SELECT id, source, facility, kind FROM origin")
        return [
            row[0]
            for row in rows
            if wanted.source in ("", row[1])
            and wanted.facility in ("", row[2])
            and (wanted.kind in ("", row[3]) or row[3].startswith(wanted.kind + "/"))
        ]

    def between(self, wanted: Wanted) -> tuple[int, int]:
        """Numbers within which the asked times lie: [low, high). Records come nearly in order of time, never surely."""
        if not (wanted.since or wanted.until):
            return 0, 1 << 62
        sql = "SELECT min(block), max(block) FROM span WHERE last >= ? AND first < ?"
        first, last = self._all(sql, (wanted.since, wanted.until or 1 << 62))[0]
        return (0, 0) if first is None else (first * BLOCK, (last + 1) * BLOCK)

    def _scans(self, wanted: Wanted, origins: list[int] | None) -> list[tuple[str, list[tuple[str, Any]]]]:
        """The most telling of what is asked leads: each scan walks one index backwards and never sorts."""
        tests: list[tuple[str, Any]] = []
        if wanted.type:
            tests.append(("message.type = ?", wanted.type))
        if wanted.since:
            tests.append(("received >= ?", wanted.since))
        if wanted.until:
            tests.append(("received < ?", wanted.until))
        narrowed = [("message.origin IN (%s)" % ",".join(map(str, origins)), None)] if origins is not None else []  # noqa: UP031
        if wanted.seqs is not None:
            numbers = ",".join(map(str, wanted.seqs))
            return [(f"message WHERE message.seq IN ({numbers})", self._people(wanted, [*tests, *narrowed]))]
        if wanted.control:
            scan = "message WHERE control = ?"
            return [(scan, [("", wanted.control), *self._people(wanted, [*tests, *narrowed])])]
        if wanted.terms:
            return [
                ("term CROSS JOIN message ON message.seq = term.seq WHERE term.term = ?", [("", each), *tests, *narrowed])
                for each in wanted.terms
            ]
        if wanted.match:
            scan = "words CROSS JOIN message ON message.seq = words.rowid WHERE words MATCH ?"
            return [(scan, [("", wanted.match), *tests, *narrowed])]
        if origins is not None:
            return [("message INDEXED BY message_origin WHERE origin = ?", [("", each), *tests]) for each in origins]
        return [("message WHERE true", tests)]

    @staticmethod
    def _people(wanted: Wanted, tests: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
        if not wanted.terms:
            return tests
        among = "EXISTS (SELECT 1 FROM term WHERE term.seq = message.seq AND term.term IN (SELECT value FROM json_each(?)))"
        return [*tests, (among, json.dumps(wanted.terms))]

    def _rows(self, scan: str, tests: list[tuple[str, Any]], wanted: Wanted, above: int, before: int, limit: int) -> list[Row]:
        place = "words.rowid" if scan.startswith("words") else "term.seq" if scan.startswith("term") else "message.seq"
        where = " AND ".join([scan, f"{place} < ?", f"{place} > ?", *(sql for sql, _ in tests if sql)])
        leading = [value for sql, value in tests if not sql]
        values = [*leading, before, above, *(value for sql, value in tests if sql and value is not None), limit]
        head, _, condition = where.partition(" WHERE ")
        sql = f"SELECT {_COLUMNS} FROM {head} CROSS JOIN origin ON origin.id = message.origin WHERE {condition}"  # noqa: S608
        try:
            return [Row(*row) for row in self._all(f"{sql} ORDER BY {place} DESC LIMIT ?", values)]
        except apsw.SQLError:
            if wanted.match:
                return []
            raise


def _opened(path: Path) -> apsw.Connection:
    connection = _connect(path)
    try:
        layout = int(connection.pragma("user_version"))
        tables = connection.execute("SELECT count(*) FROM sqlite_schema").get
    except (apsw.NotADBError, apsw.CorruptError):
        layout, tables = -1, 1
    if layout != LAYOUT and tables:
        connection.close()
        for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
            path.with_name(name).unlink(missing_ok=True)
        connection = _connect(path)
        layout = 0
    if layout != LAYOUT:
        _prepare(connection)
    return connection


def _connect(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path))
    connection.setbusytimeout(BUSY_MS)
    with suppress(apsw.Error):
        connection.pragma("journal_mode", "wal")
        connection.pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        connection.pragma("synchronous", "normal")  # what a power cut takes is made again from the journal
    return connection


def _prepare(connection: apsw.Connection) -> None:
    """Whoever opens the new file first makes its tables; both the hub and its indexing process may be at it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        if int(connection.pragma("user_version")) != LAYOUT:
            connection.execute(SCHEMA)
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def instant_ms(text: str) -> int:
    """ISO 8601 with offset → UTC ms; one without is in the machine's zone. Raise ValueError."""
    moment = datetime.fromisoformat(text)
    return int(moment.astimezone().timestamp() * 1000)
