"""Every record as its source sent it, numbered, on disk before the sender is told so.

Journal numbers have no gaps, so "everything up to n has an outcome" says where to go on after a kill. The same statement again
(same source, key, bytes and change time) is counted on its first entry and has no new effect; the same key with another body is a
new entry.
"""

from __future__ import annotations

import errno
import hashlib
import json
import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import apsw

from connectors.base import Cursor, SourceRecord
from hub.ingest.journal_file import JournalFile

PRESSED = 3  # callers at one time: more than a few senders that wait for one answer each
INLINE = 64 * 1024  # a longer body goes to the blobs: rows stay small and a DICOM file is written once
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
COLUMNS = "seq, source, facility, kind, key, sha256, size, content, received, changed, hints, duplicates"


class Blobs(Protocol):
    def put(self, content: bytes) -> str:
        """Keep the bytes, synced; return their SHA-256 in hex."""

    def read(self, sha256: str, *, verify: bool = True) -> bytes:
        """`verify` compares the bytes with their name, which costs more than to read them."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One journal record. A long body is not loaded with it: `in_blobs` says that it lies there, named `sha256`.

    `fresh`: it came while this process ran, which took the digest from the very bytes that were synced.
    """

    seq: int
    record: SourceRecord
    sha256: str
    size: int
    in_blobs: bool
    duplicates: int
    fresh: bool = False


class _Senders:
    """How many are inside."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.waiting = 0

    def __enter__(self) -> None:
        with self._lock:
            self.waiting += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.waiting -= 1


class SourceCount(NamedTuple):
    received: int  # distinct records
    duplicates: int
    last: datetime  # when the newest came, a duplicate included


@dataclass(frozen=True, slots=True)
class Selection:
    """Which journal records; an empty field does not narrow."""

    source: str = ""
    kind: str = ""
    facility: str = ""
    since: str = ""  # received at or after, ISO with offset
    until: str = ""  # received before

    def where(self) -> tuple[str, tuple[Any, ...]]:
        tests = (
            ("source = ?", self.source),
            ("kind = ?", self.kind),
            ("facility = ?", self.facility),
            ("julianday(received) >= julianday(?)", self.since),
            ("julianday(received) < julianday(?)", self.until),
        )
        given = [(sql, value) for sql, value in tests if value]
        return " AND ".join(["seq > ?", *(sql for sql, _ in given)]), tuple(value for _, value in given)


_CONTRADICTED = """
SELECT seq, (SELECT CASE WHEN first.sha256 = later.sha256 THEN NULL ELSE first.seq END FROM record AS first
             WHERE first.source = later.source AND first.key = later.key AND first.seq < later.seq
               AND json_extract(first.hints, '$.control_id_days') IS NOT NULL
               AND json_extract(first.hints, '$.control_id_of') IS json_extract(later.hints, '$.control_id_of')
               AND julianday(later.received) - julianday(first.received) <= json_extract(later.hints, '$.control_id_days')
             ORDER BY first.seq LIMIT 1)
FROM record AS later
WHERE seq IN (SELECT value FROM json_each(?)) AND json_extract(hints, '$.control_id_days') IS NOT NULL"""


class Journal:
    """The intake of every connector. Calls from any thread share one sync."""

    def __init__(self, folder: Path, blobs: Blobs) -> None:
        self.folder = folder
        self.file = JournalFile(folder)
        self._blobs = blobs
        self._more = threading.Condition()
        self._senders = _Senders()
        self._last = self._found = self._newest()  # what was there before this process

    def __call__(self, *records: SourceRecord) -> tuple[int, ...]:
        """Keep the records, synced, and return their numbers. Raise JournalUnavailable: then nothing was acknowledged."""
        if not records:
            return ()
        with self._senders:
            rows = [self._row(record) for record in records]
            numbers: tuple[int, ...] = self.file.write(lambda connection: tuple(_append(connection, row) for row in rows))
        with self._more:
            self._last = max(self._last, *numbers)
            self._more.notify_all()
        return numbers

    append = __call__

    @property
    def problem(self) -> str:
        """Why nothing is taken in at this moment, "" while all is well."""
        return self.file.problem

    @property
    def pressed(self) -> bool:
        """Several callers wait at this moment for their records to be synced."""
        return self._senders.waiting >= PRESSED

    def read(self, seq: int) -> Entry | None:
        """One entry, its body loaded."""
        rows = self.file.query(f"SELECT {COLUMNS} FROM record WHERE seq = ?", seq)  # noqa: S608
        return self.loaded(_entry(rows[0])) if rows else None

    def loaded(self, entry: Entry, *, verify: bool = True) -> Entry:
        if not entry.in_blobs:
            return entry
        content = self._blobs.read(entry.sha256, verify=verify)
        return replace(entry, record=replace(entry.record, content=content), in_blobs=False)

    def after(self, seq: int, limit: int = 100) -> list[Entry]:
        """The next entries in order; long bodies stay in the blobs."""
        sql = f"SELECT {COLUMNS} FROM record WHERE seq > ? ORDER BY seq LIMIT ?"  # noqa: S608
        return [_entry(row, fresh=row[0] > self._found) for row in self.file.query(sql, seq, limit)]

    def entries(self, numbers: Iterable[int]) -> list[Entry]:
        """The entries with these numbers that exist, in order; none counts as fresh, for who asks so asks again."""
        wanted = json.dumps(sorted(set(numbers)))
        sql = f"SELECT {COLUMNS} FROM record WHERE seq IN (SELECT value FROM json_each(?)) ORDER BY seq"  # noqa: S608
        return [_entry(row) for row in self.file.query(sql, wanted)]

    def facts(self, numbers: Iterable[int]) -> dict[int, tuple[int, int]]:
        """Number → (bytes, duplicates) of those that exist, without their bodies."""
        sql = "SELECT seq, size, duplicates FROM record WHERE seq IN (SELECT value FROM json_each(?))"
        return {row[0]: (row[1], row[2]) for row in self.file.query(sql, json.dumps(list(numbers)))}

    def contradicted(self, numbers: Iterable[int]) -> dict[int, int]:
        """Of these, the entries whose key names one record of its source and named another one first: number → that one's."""
        wanted = json.dumps(sorted(set(numbers)))
        found = self.file.query(_CONTRADICTED, wanted)
        return {int(seq): int(first) for seq, first in found if first is not None}

    def select(self, selection: Selection, *, after: int = 0, limit: int = 1000) -> list[int]:
        where, values = selection.where()
        rows = self.file.query(f"SELECT seq FROM record WHERE {where} ORDER BY seq LIMIT ?", after, *values, limit)  # noqa: S608
        return [int(row[0]) for row in rows]

    def count(self, selection: Selection) -> int:
        where, values = selection.where()
        return int(self.file.query(f"SELECT count(*) FROM record WHERE {where}", 0, *values)[0][0])  # noqa: S608

    def counts(self) -> dict[str, SourceCount]:
        rows = self.file.query("SELECT source, received, duplicates, last FROM source ORDER BY source")
        return {str(row[0]): SourceCount(int(row[1]), int(row[2]), datetime.fromisoformat(str(row[3]))) for row in rows}

    @property
    def last(self) -> int:
        """The newest number given by this process; `newest` asks the file."""
        return self._last

    def newest(self) -> int:
        self._last = max(self._last, self._newest())
        return self._last

    def wait_for_more(self, seq: int, timeout: float) -> bool:
        """True as soon as there is an entry after `seq`."""
        with self._more:
            return self._more.wait_for(lambda: self._last > seq, timeout) or self.newest() > seq

    def wake(self) -> None:
        with self._more:
            self._more.notify_all()

    def close(self) -> None:
        self.file.close()

    def _newest(self) -> int:
        return int(self.file.query("SELECT coalesce(max(seq), 0) FROM record")[0][0])

    def _row(self, record: SourceRecord) -> tuple[Any, ...]:
        content: bytes | None = record.content
        if len(record.content) > INLINE:
            try:
                digest = self._blobs.put(record.content)
            except OSError as error:
                cause = "the disk is full" if error.errno in NO_ROOM else f"{type(error).__name__} {error.errno}"
                raise self.file.refuse(f"the body cannot be kept: {cause}") from None
            content = None
        else:
            digest = hashlib.sha256(record.content).hexdigest()
        changed = record.changed_at.isoformat() if record.changed_at else None
        envelope = (record.source, record.facility, record.kind, record.key, digest, len(record.content), content)
        return (*envelope, record.received_at.isoformat(), changed, json.dumps(dict(record.hints), ensure_ascii=False))


class JournalCheckpoints:
    """How far each asking connector has read; beside the records, so that one sync orders both."""

    def __init__(self, file: JournalFile) -> None:
        self._file = file

    def load(self, source: str) -> Cursor:
        rows = self._file.query("SELECT cursor FROM checkpoint WHERE source = ?", source)
        return dict(json.loads(str(rows[0][0]))) if rows else {}

    def save(self, source: str, cursor: Cursor) -> None:
        text = json.dumps(dict(cursor), ensure_ascii=False)
        self._file.write(lambda connection: connection.execute("INSERT OR REPLACE INTO checkpoint VALUES (?, ?)", (source, text)))


def _append(connection: apsw.Connection, row: tuple[Any, ...]) -> int:
    source, key, digest, received, changed = row[0], row[3], row[4], row[7], row[8]
    first = _same_statement(connection, source, key, digest, changed)
    new = first is None
    if first is None:
        values = ", ".join("?" * len(row))
        sql = f"INSERT INTO record(source, facility, kind, key, sha256, size, content, received, changed, hints) VALUES ({values})"  # noqa: S608
        connection.execute(sql, row)
        first = connection.last_insert_rowid()
    else:
        connection.execute("UPDATE record SET duplicates = duplicates + 1 WHERE seq = ?", (first,))
    connection.execute(
        "INSERT INTO source VALUES (?, ?, ?, ?) ON CONFLICT(source) DO UPDATE SET"
        " received = received + excluded.received, duplicates = duplicates + excluded.duplicates, last = excluded.last",
        (source, int(new), int(not new), received),
    )
    return first


def _same_statement(connection: apsw.Connection, source: str, key: str, digest: str, changed: str | None) -> int | None:
    """The entry that says the same.

    Without a change time only the newest entry of the key counts: a row that goes A, B, A has changed twice.
    """
    newest = True
    for seq, its_digest, its_changed in connection.execute(
        "SELECT seq, sha256, changed FROM record WHERE source = ? AND key = ? ORDER BY seq DESC", (source, key)
    ):
        if its_digest == digest and its_changed == changed and (newest or changed is not None):
            return int(seq)
        newest = False
    return None


def _entry(row: tuple[Any, ...], *, fresh: bool = False) -> Entry:
    seq, source, facility, kind, key, sha256, size, content, received, changed, hints, duplicates = row
    record = SourceRecord(
        source=source,
        facility=facility,
        kind=kind,
        key=key,
        content=content or b"",
        received_at=datetime.fromisoformat(received),
        changed_at=datetime.fromisoformat(changed) if changed else None,
        hints=json.loads(hints),
    )
    return Entry(seq, record, sha256, size, content is None, duplicates, fresh)
