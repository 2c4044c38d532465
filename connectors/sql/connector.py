"""Rows of a source's views that changed since the cursor, oldest change first.

A cursor holds one entry a view, `progress.Progress` as text. A row is sent once a change: repeats inside the overlap are known
by digest, and what a crash or a full memory lets through twice is an update that changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from connectors.base import Cursor, Page, SourceDenied, SourceRecord, SourceUnavailable
from connectors.sql.config import SqlConfig
from connectors.sql.progress import NotATime, Progress, Stamp, as_time, clamp, digest, earlier, from_text, to_text
from connectors.sql.rows import is_set, key_text, row_json
from connectors.sql.source import Database, View

DEFAULT_ZONE = "+08:00"
OFFSET = re.compile(r"[+-]\d{1,2}(:?\d{2})?")


def zone_of(text: str) -> tzinfo:
    """ "+08:00" or "Asia/Shanghai"."""
    if not OFFSET.fullmatch(text):
        return ZoneInfo(text)
    sign = -1 if text.startswith("-") else 1
    digits = text[1:].replace(":", "").rjust(2, "0")
    hours, minutes = (digits[:-2], digits[-2:]) if len(digits) > 2 else (digits, "0")
    return timezone(sign * timedelta(hours=int(hours), minutes=int(minutes)))


class SqlConnector:
    """One database of one facility. `hints["zone"]` is the zone of its times."""

    def __init__(
        self,
        config: SqlConfig,
        *,
        source: str,
        facility: str,
        hints: Mapping[str, str] | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.source = source
        self._config = config
        self._facility = facility
        self._hints = dict(hints or {})
        self._clock = clock
        self._overlap = timedelta(seconds=config.overlap)
        self._zone = zone_of(self._hints.get("zone") or DEFAULT_ZONE)
        self._database_opened: Database | None = None

    def check(self) -> None:
        """Every view can be read and its columns are there, a row of each is fetched."""
        with self._database().reading() as connection:
            for config in self._config.views:
                view = self._database().view(connection, config)
                stamp = view.table.c[view.changed_at]
                row = self._database().select(connection, sa.select(stamp).where(stamp.is_not(None)).limit(1))
                if row:
                    self._time(view, row[0][view.changed_at])

    def fetch(self, cursor: Cursor) -> Iterator[Page]:
        state = dict(cursor)
        with self._database().reading() as connection:
            for config in self._config.views:
                view = self._database().view(connection, config)
                for records, progress in self._scans(connection, view, from_text(state.get(config.name, ""))):
                    state[config.name] = to_text(progress)
                    yield Page(records, dict(state))

    def done(self, page: Page) -> None:
        """A database has nothing to put away."""

    def _database(self) -> Database:
        if self._database_opened is None:
            try:
                self._database_opened = Database(self._config.read_url(), timeout=self._config.timeout)
            except LookupError as error:
                raise SourceDenied(str(error)) from None
        return self._database_opened

    def _scans(
        self, connection: sa.Connection, view: View, progress: Progress
    ) -> Iterator[tuple[tuple[SourceRecord, ...], Progress]]:
        """Finish the scan a restart broke off, then read what has come since."""
        if progress.until is not None:
            for records, progress in self._scan(connection, view, progress, progress.until):  # noqa: B020, PLR1704  the scan's own progress
                yield records, progress
        stamp = view.table.c[view.changed_at]
        (newest,) = self._database().select(connection, sa.select(sa.func.max(stamp).label("newest")))
        until = newest["newest"]
        if until is None or (progress.settled and until == progress.mark):
            return
        self._time(view, until)
        yield from self._scan(connection, view, progress.begin(until), until)

    def _scan(
        self, connection: sa.Connection, view: View, progress: Progress, until: Stamp
    ) -> Iterator[tuple[tuple[SourceRecord, ...], Progress]]:
        window = self._aware(as_time(earlier(clamp(until, self._now()), self._overlap)))
        while True:
            rows = self._database().select(connection, self._page(view, progress))
            now = self._now()
            records, progress = self._take(view, rows, progress, window, now)
            last = len(rows) < self._config.batch
            if last:
                progress = progress.end(until, now, self._overlap)
            yield records, progress
            if last:
                return

    def _page(self, view: View, progress: Progress) -> sa.Select[Any]:
        """The next rows by (changed_at, key). A row without key or change time has no place in that order and is not read."""
        columns = [view.table.c[name] for name in (view.changed_at, *view.key)]
        stamp = columns[0]
        statement = (
            sa.select(*(view.table.c[name] for name in view.names))
            .where(stamp <= progress.until, *(column.is_not(None) for column in columns[1:]))
            .order_by(*columns)
            .limit(self._config.batch)
        )
        if progress.after is not None:
            return statement.where(behind(columns, progress.after))
        if progress.mark is None:
            return statement
        if progress.settled:
            return statement.where(stamp > progress.mark)
        return statement.where(stamp >= earlier(progress.mark, self._overlap))

    def _take(
        self, view: View, rows: list[dict[str, Any]], progress: Progress, window: datetime, now: datetime
    ) -> tuple[tuple[SourceRecord, ...], Progress]:
        _one_shape(view, [*(progress.after or ())[:1], progress.mark, *(row[view.changed_at] for row in rows)])
        fresh = dict(progress.fresh)
        records: list[SourceRecord] = []
        for row in rows:
            key = tuple(row[name] for name in view.key)
            content = row_json(row)
            name, state = digest(key_text(key).encode()), digest(content)
            if progress.known.get(name) != state:
                records.append(self._record(view, row, key, content, now))
            if self._aware(self._time(view, row[view.changed_at])) >= window:
                fresh.pop(name, None)
                fresh[name] = state
        for forgotten in list(fresh)[: max(0, len(fresh) - self._config.remember)]:
            del fresh[forgotten]  # the oldest go first; their rows come again, which is harmless
        after = progress.after
        if rows:
            after = tuple(rows[-1][name] for name in (view.changed_at, *view.key))
            if after == progress.after:
                raise SourceUnavailable(
                    f"view {view.config.name}: {view.changed_at} has finer digits than its driver gives; round it"
                )
        return tuple(records), replace(progress, after=after, fresh=fresh)

    def _record(self, view: View, row: Mapping[str, Any], key: tuple[Any, ...], content: bytes, now: datetime) -> SourceRecord:
        deleted = view.deleted is not None and is_set(row[view.deleted])
        return SourceRecord(
            source=self.source,
            facility=self._facility,
            kind=view.kind,
            key=key_text(key),
            content=content,
            received_at=now,
            changed_at=self._aware(self._time(view, row[view.changed_at])),
            hints={**self._hints, "deleted": "1"} if deleted else self._hints,
        )

    def _now(self) -> datetime:
        return self._clock().astimezone(self._zone)

    def _aware(self, time: datetime) -> datetime:
        return time if time.tzinfo else time.replace(tzinfo=self._zone)

    def _time(self, view: View, value: Any) -> datetime:
        try:
            return as_time(value)
        except NotATime as error:
            raise SourceDenied(f"view {view.config.name}: {view.changed_at} is no time ({error})") from None


def _one_shape(view: View, stamps: list[Any]) -> None:
    """Text times sort only if all are written alike; with both shapes a change would be passed over in silence."""
    if {stamp[10:11] for stamp in stamps if isinstance(stamp, str)} >= {"T", " "}:
        raise SourceDenied(
            f"view {view.config.name}: {view.changed_at} is text that mixes T and a space, which do not sort: give it one shape"
        )


def behind(columns: list[sa.ColumnClause[Any]], place: tuple[Any, ...]) -> sa.ColumnElement[bool]:
    """(a, b, c) > (x, y, z), spelled out: not every dialect compares rows."""
    ladder = []
    for depth, (column, value) in enumerate(zip(columns, place, strict=True)):
        same = [c == v for c, v in zip(columns[:depth], place[:depth], strict=True)]
        ladder.append(sa.and_(*same, column > value))
    return sa.or_(*ladder)
