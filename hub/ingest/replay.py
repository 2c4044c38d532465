"""Doing records again from their stored bytes: after a mapper was mended, or for those set aside.

A request is a row in the journal's file, so the command works whether the hub runs or not: a running pipeline picks it up,
otherwise the next start does. What was mapped as before makes no new version.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

import apsw

from hub.ingest.journal import Journal, Selection
from hub.store.port import Outcome

PAGE = 64
State = Literal["", "done", "dead"]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which records to do again: by number, or by what they are and what became of them."""

    seqs: tuple[int, ...] = ()
    state: State = ""
    selection: Selection = field(default_factory=Selection)
    up_to: int = 0  # records after it came when the request was made; 0: none yet
    found: tuple[int, ...] = ()  # numbers that a search gave; what is held stays held, unlike with `seqs`
    rate: float = 0  # records a second at most; 0: as fast as it goes
    paused: bool = False  # until `resume`

    def text(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_text(cls, text: str) -> Filter:
        values = json.loads(text)
        values |= {"seqs": tuple(values["seqs"]), "found": tuple(values.get("found", ()))}
        return cls(**{**values, "selection": Selection(**values["selection"])})

    @property
    def numbers(self) -> tuple[int, ...]:
        return self.seqs or self.found


@dataclass(frozen=True, slots=True)
class Request:
    id: int
    filter: Filter
    position: int
    replayed: int
    finished: str = ""
    requested: str = ""

    def covers(self, seq: int, source: str, kind: str, facility: str) -> bool:
        """Whether a record, as far as its number and envelope tell, was among those asked for and has been done."""
        wanted, chosen = self.filter, self.filter.selection
        if seq > (wanted.up_to or seq) or (not self.finished and seq > self.position):
            return False
        if wanted.numbers:
            return seq in wanted.numbers
        narrowed = ((chosen.source, source), (chosen.kind, kind), (chosen.facility, facility))
        return not wanted.state and all(asked in ("", own) for asked, own in narrowed)


class Outcomes(Protocol):
    """What became of records: a ResourceStore, or what can be read of one that another process owns."""

    def outcomes(self, *, state: str = "", source: str = "", after: int = 0, limit: int = 1000) -> list[Outcome]: ...


class NoOutcomes:
    """For who only looks at requests, or changes them."""

    def outcomes(self, **_: Any) -> list[Outcome]:
        return []


class Replays:
    def __init__(self, journal: Journal, store: Outcomes, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._journal = journal
        self._store = store
        self._monotonic = monotonic
        self._due = 0.0  # of the next page of a request that has a rate

    def count(self, wanted: Filter) -> int:
        """How many records a request would do: look before you leap."""
        if not wanted.numbers and not wanted.state:
            return self._journal.count(wanted.selection)
        return sum(len(page) for page in self._pages(wanted))

    def request(self, wanted: Filter) -> int:
        """Ask for it; returns the request's number. Done by the running hub, or by the next start."""
        number = ask(self._journal, wanted)
        self._journal.wake()
        return number

    def open(self) -> Request | None:
        """The oldest request that is neither finished nor paused; None too while its rate forbids more."""
        return None if self._monotonic() < self._due else self._oldest()

    def waiting(self) -> bool:
        """Whether any is neither finished nor paused; also between two pages of one that has a rate."""
        return self._oldest() is not None

    def _oldest(self) -> Request | None:
        rows = self._journal.file.query(
            "SELECT id, filter, position, replayed FROM replay_request WHERE finished IS NULL ORDER BY id"
        )
        requests = (Request(row[0], Filter.from_text(row[1]), row[2], row[3]) for row in rows)
        return next((request for request in requests if not request.filter.paused), None)

    def resume(self, number: int) -> bool:
        """Let a paused request begin; False if there is none."""
        return self._change(number, lambda wanted: replace(wanted, paused=False))

    def pause(self, number: int) -> bool:
        """After the page under way."""
        return self._change(number, lambda wanted: replace(wanted, paused=True))

    def cancel(self, number: int) -> bool:
        """What was done stays done."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        sql = "UPDATE replay_request SET finished = ? WHERE id = ? AND finished IS NULL"
        return bool(self._journal.file.write(lambda connection: _changed(connection, sql, (now, number))))

    def _change(self, number: int, change: Callable[[Filter], Filter]) -> bool:
        request = self.status(number)
        if request is None or request.finished:
            return False
        text = change(request.filter).text()
        sql = "UPDATE replay_request SET filter = ? WHERE id = ? AND finished IS NULL"
        done = self._journal.file.write(lambda connection: _changed(connection, sql, (text, number)))
        self._journal.wake()
        return bool(done)

    def listed(self, limit: int = 50) -> list[Request]:
        """The newest requests first, finished or not."""
        sql = "SELECT id, filter, position, replayed, finished, requested FROM replay_request ORDER BY id DESC LIMIT ?"
        rows = self._journal.file.query(sql, limit)
        return [Request(row[0], Filter.from_text(row[1]), row[2], row[3], row[4] or "", row[5]) for row in rows]

    def status(self, number: int) -> Request | None:
        sql = "SELECT id, filter, position, replayed, finished FROM replay_request WHERE id = ?"
        rows = self._journal.file.query(sql, number)
        if not rows:
            return None
        return Request(rows[0][0], Filter.from_text(rows[0][1]), rows[0][2], rows[0][3], rows[0][4] or "")

    def next(self, request: Request) -> list[int]:
        """The request's next records; [] at its end."""
        rate = request.filter.rate
        numbers = self._page(request.filter, request.position)[0]
        if rate:
            numbers = numbers[: max(1, min(PAGE, int(rate)))]
            self._due = self._monotonic() + len(numbers) / rate
        return numbers

    def advance(self, request: Request, numbers: Sequence[int]) -> None:
        """These are done. A kill before this line only repeats work."""
        position, done = (max(numbers), "") if numbers else (request.position, datetime.now(UTC).isoformat(timespec="seconds"))
        self._journal.file.write(
            lambda connection: connection.execute(
                "UPDATE replay_request SET position = ?, replayed = replayed + ?, finished = nullif(?, '') WHERE id = ?",
                (position, len(numbers), done, request.id),
            )
        )

    def _pages(self, wanted: Filter) -> Iterator[list[int]]:
        position = 0
        while True:
            numbers, position = self._page(wanted, position)
            if not numbers:
                return
            yield numbers

    def _page(self, wanted: Filter, after: int) -> tuple[list[int], int]:
        """The next numbers and how far was looked; numbers that do not match are passed over until some do."""
        limit = wanted.up_to or self._journal.newest()
        if wanted.numbers:
            numbers = [n for n in sorted(set(wanted.numbers)) if after < n <= limit][:PAGE]
            return numbers, max(numbers, default=after)
        if not wanted.state:
            numbers = [n for n in self._journal.select(wanted.selection, after=after, limit=PAGE) if n <= limit]
            return numbers, max(numbers, default=after)
        while outcomes := self._store.outcomes(state=wanted.state, source=wanted.selection.source, after=after, limit=PAGE):
            after = outcomes[-1].seq
            numbers = [outcome.seq for outcome in outcomes if outcome.seq <= limit]
            chosen = self._chosen(numbers, wanted.selection)
            if chosen:
                return chosen, after
        return [], after

    def _chosen(self, numbers: list[int], selection: Selection) -> list[int]:
        if not numbers:
            return []
        first, last = min(numbers), max(numbers)
        matching = set(self._journal.select(selection, after=first - 1, limit=last - first + 1))
        return [number for number in numbers if number in matching]


def ask(journal: Journal, wanted: Filter) -> int:
    """Write the request; it covers what is in the journal now."""
    fixed = replace(wanted, up_to=wanted.up_to or journal.newest())

    def work(connection: object) -> int:
        connection.execute(  # type: ignore[attr-defined]
            "INSERT INTO replay_request(filter, requested) VALUES (?, ?)",
            (fixed.text(), datetime.now(UTC).isoformat(timespec="seconds")),
        )
        return int(connection.last_insert_rowid())  # type: ignore[attr-defined]

    return journal.file.write(work)


def _changed(connection: apsw.Connection, sql: str, values: tuple[object, ...]) -> int:
    connection.execute(sql, values)
    return connection.changes()
