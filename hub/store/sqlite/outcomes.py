"""What became of each journal record, and how far the journal is finished without a gap."""

# ruff: noqa: S608 - every text joined into SQL here is our own; values are bound
from __future__ import annotations

from dataclasses import astuple
from pathlib import Path
from typing import Any

import apsw
import msgspec

from hub.store.port import Outcome, SourceTally, UnmappedCode

_COLUMNS = "seq, state, source, facility, kind, finished, attempts, detail"


class Detail(msgspec.Struct):
    reason: str
    resources: tuple[str, ...]
    issues: tuple[dict[str, str], ...]
    ledger: dict[str, int]
    note: str = ""


def record(connection: apsw.Connection, outcome: Outcome) -> None:
    former = read(connection, outcome.seq)
    if former:
        _count(connection, former, -1)
    _count(connection, outcome, 1)
    detail = Detail(outcome.reason, outcome.resources, tuple(map(dict, outcome.issues)), dict(outcome.ledger), outcome.note)
    row = (
        *(outcome.seq, outcome.state, outcome.source, outcome.facility, outcome.kind, outcome.finished, outcome.attempts),
        msgspec.json.encode(detail),
    )
    connection.execute(f"INSERT OR REPLACE INTO outcome ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
    _finish(connection, outcome.seq)


def _count(connection: apsw.Connection, outcome: Outcome, sign: int) -> None:
    connection.execute(
        "INSERT INTO tally VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT(source) DO UPDATE SET done = done + excluded.done,"
        " dead = dead + excluded.dead, issues = issues + excluded.issues, resources = resources + excluded.resources,"
        " discarded = discarded + excluded.discarded",
        (outcome.source, *(sign * count for count in astuple(SourceTally.of(outcome)))),
    )
    for (system, code), display in outcome.unmapped.items():
        connection.execute(
            "INSERT INTO unmapped VALUES (?, ?, ?, ?) ON CONFLICT(system, code) DO UPDATE SET records = records + excluded.records",
            (system, code, display, sign),
        )


def unmapped(connection: apsw.Connection, limit: int) -> list[UnmappedCode]:
    select = "SELECT system, code, display, records FROM unmapped WHERE records > 0 ORDER BY records DESC, system, code LIMIT ?"
    return [UnmappedCode(*row) for row in connection.execute(select, (limit,))]


def tallies(connection: apsw.Connection) -> dict[str, SourceTally]:
    select = "SELECT source, done, dead, issues, resources, discarded FROM tally"
    return {row[0]: SourceTally(*row[1:]) for row in connection.execute(select)}


def _finish(connection: apsw.Connection, seq: int) -> None:
    """Join the number to its neighbours' runs."""
    first, last = _run_at(connection, seq) or (seq, seq - 1)
    if last >= seq:
        return
    before = _run_at(connection, seq - 1)
    after = _run_at(connection, seq + 1)
    if after:
        connection.execute("DELETE FROM finished WHERE first = ?", (after[0],))
    first, last = (before or (seq, seq))[0], (after or (seq, seq))[1]
    connection.execute("INSERT OR REPLACE INTO finished VALUES (?, ?)", (first, last))


def _run_at(connection: apsw.Connection, seq: int) -> tuple[int, int] | None:
    select = "SELECT first, last FROM finished WHERE first <= ? ORDER BY first DESC LIMIT 1"
    row = connection.execute(select, (seq,)).get
    return row if row and row[1] >= seq else None


def finished_after(connection: apsw.Connection, seq: int) -> int:
    run = _run_at(connection, seq + 1)
    return run[1] if run else seq


def read(connection: apsw.Connection, seq: int) -> Outcome | None:
    row = connection.execute(f"SELECT {_COLUMNS} FROM outcome WHERE seq = ?", (seq,)).get
    return _outcome(row) if row else None


def listed(
    connection: apsw.Connection, *, state: str, source: str, after: int, before: int = 0, limit: int, newest: bool = False
) -> list[Outcome]:
    wanted = {"state": state, "source": source}
    conditions = [f"{name} = :{name}" for name, value in wanted.items() if value]
    where = " AND ".join([*conditions, "seq > :after", *(["seq < :before"] if before else [])])
    select = f"SELECT {_COLUMNS} FROM outcome WHERE {where} ORDER BY seq{' DESC' * newest} LIMIT :limit"
    return [_outcome(row) for row in connection.execute(select, {**wanted, "after": after, "before": before, "limit": limit})]


def _outcome(row: tuple[Any, ...]) -> Outcome:
    seq, state, source, facility, kind, finished, attempts, text = row
    detail = msgspec.json.decode(text, type=Detail)
    return Outcome(
        seq=seq,
        state=state,
        reason=detail.reason,
        note=detail.note,
        attempts=attempts,
        resources=detail.resources,
        issues=detail.issues,
        ledger=detail.ledger,
        finished=finished,
        source=source,
        facility=facility,
        kind=kind,
    )


class StoredOutcomes:
    """The outcomes in `folder` while another process owns its store: to count, never to change."""

    def __init__(self, folder: Path) -> None:
        self._connection = apsw.Connection(str(folder / "store.sqlite"), flags=apsw.SQLITE_OPEN_READONLY)

    def outcomes(
        self, *, state: str = "", source: str = "", after: int = 0, before: int = 0, limit: int = 1000, newest: bool = False
    ) -> list[Outcome]:
        return listed(self._connection, state=state, source=source, after=after, before=before, limit=limit, newest=newest)

    def outcome(self, seq: int) -> Outcome | None:
        return read(self._connection, seq)

    def finished_after(self, seq: int) -> int:
        return finished_after(self._connection, seq)

    def tallies(self) -> dict[str, SourceTally]:
        return tallies(self._connection)

    def unmapped(self, limit: int = 50) -> list[UnmappedCode]:
        return unmapped(self._connection, limit)

    def close(self) -> None:
        self._connection.close()
