"""A view with a change time: what changed since the last look, oldest change first. How far it came is `progress.Progress`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from connectors.base import SourceDenied, SourceRecord, SourceUnavailable
from connectors.sql.progress import NotATime, Progress, Stamp, as_time, clamp, digest, earlier, from_text, to_text
from connectors.sql.reader import Found, Source, behind

Page = tuple[tuple[SourceRecord, ...], Progress]


class Changes:
    def __init__(self, source: Source, *, overlap: timedelta, remember: int, there: Callable[[], datetime]) -> None:
        """`there`: the source's own clock."""
        self._source = source
        self._view = source.view
        self._overlap = overlap
        self._remember = remember
        self._there = there
        self._stamp = source.view.table.c[source.view.changed_at]

    def pages(self, state: str) -> Iterator[Found]:
        for records, progress in self._scans(from_text(state)):
            yield records, to_text(progress)

    def first(self) -> None:
        """Raise SourceDenied unless the change column holds times."""
        time = self._view.time.out(self._stamp).label("stamp")
        for row in self._source.rows(sa.select(time).where(self._stamp.is_not(None)).limit(1)):
            self._time(row["stamp"])

    def _scans(self, progress: Progress) -> Iterator[Page]:
        """Finish the scan a restart broke off, then read what has come since."""
        if progress.until is not None:
            for records, progress in self._scan(progress, progress.until):  # noqa: B020, PLR1704  the scan's own progress
                yield records, progress
        newest = self._view.time.out(sa.func.max(self._stamp)).label("newest")
        until = self._source.rows(sa.select(newest))[0]["newest"]
        progress = progress.looked(here=self._source.now(), there=self._there())
        if until is None or (progress.settled and until == progress.mark):
            return
        self._time(until)
        yield from self._scan(progress.begin(until), until)

    def _scan(self, progress: Progress, until: Stamp) -> Iterator[Page]:
        overlap = self._overlap + timedelta(seconds=progress.back)
        window = self._aware(as_time(earlier(clamp(until, self._source.now()), overlap)))
        while True:
            rows = self._source.rows(self.page(progress))
            records, progress = self._take(rows, progress, window)
            last = len(rows) < self._source.batch
            if last:
                progress = progress.end(until, self._source.now(), self._overlap)
            yield records, progress
            if last:
                return

    def page(self, progress: Progress) -> sa.Select[Any]:
        """The next rows by (changed_at, key). A row without key or change time has no place in that order and is not read."""
        into = self._view.time.into
        columns: list[sa.ColumnElement[Any]] = [self._stamp, *(self._view.table.c[name] for name in self._view.key)]
        statement = (
            self._view.select()
            .where(self._stamp <= into(progress.until), *(column.is_not(None) for column in columns[1:]))
            .order_by(*columns)
            .limit(self._source.batch)
        )
        if progress.after is not None:
            stamp, *key = progress.after
            return statement.where(behind(columns, (into(stamp), *key)))
        if progress.mark is None:
            return statement
        if progress.settled:
            return statement.where(self._stamp > into(progress.mark))
        return statement.where(self._stamp >= into(earlier(progress.mark, self._overlap + timedelta(seconds=progress.back))))

    def _take(self, rows: list[dict[str, Any]], progress: Progress, window: datetime) -> Page:
        name = self._view.stamp
        _one_shape(
            self._view.config.name, self._view.changed_at, [*(progress.after or ())[:1], progress.mark, *(r[name] for r in rows)]
        )
        fresh = dict(progress.fresh)
        records: list[SourceRecord] = []
        for row in rows:
            key, content = self._source.read(row)
            changed_at = self._aware(self._time(row[name]))
            if changed_at < window and not progress.known:  # a first load: there is nothing to know it by, and no need to
                records.append(self._source.record(row, key, content, changed_at))
                continue
            known, state = digest(key.encode()), digest(content)
            if progress.known.get(known) != state:
                records.append(self._source.record(row, key, content, changed_at))
            if changed_at >= window:
                fresh.pop(known, None)
                fresh[known] = state
        for forgotten in list(fresh)[: max(0, len(fresh) - self._remember)]:
            del fresh[forgotten]  # the oldest go first; their rows come again, which is harmless
        after = progress.after
        if rows:
            after = tuple(rows[-1][column] for column in (name, *self._view.key))
            if after == progress.after:
                raise SourceUnavailable(
                    f"view {self._view.config.name}: {self._view.changed_at} has finer digits than its driver gives; round it"
                )
        return tuple(records), replace(progress, after=after, fresh=fresh)

    def _aware(self, time: datetime) -> datetime:
        return time if time.tzinfo else time.replace(tzinfo=self._source.zone)

    def _time(self, value: Any) -> datetime:
        try:
            return as_time(value)
        except NotATime as error:
            raise SourceDenied(f"view {self._view.config.name}: {self._view.changed_at} is no time ({error})") from None


def _one_shape(view: str, column: str, stamps: list[Any]) -> None:
    """Text times sort only if all are written alike; with both shapes a change would be passed over in silence."""
    if {stamp[10:11] for stamp in stamps if isinstance(stamp, str)} >= {"T", " "}:
        raise SourceDenied(f"view {view}: {column} is text that mixes T and a space, which do not sort: give it one shape")
