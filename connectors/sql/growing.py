"""A view without a change time, but with a column that grows: a number given to every new row, or to every write (rowversion).

Numbers are given before their rows are committed, so the last `tail` rows are read again each time and known by digest.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import sqlalchemy as sa

from connectors.base import SourceRecord
from connectors.sql.progress import digest, plain_value, typed_value
from connectors.sql.reader import Found, Source, behind


class Growing:
    def __init__(self, source: Source, *, tail: int) -> None:
        self._source = source
        self._view = source.view
        self._tail = tail

    def pages(self, state: str) -> Iterator[Found]:
        progress: dict[str, Any] = msgspec.json.decode(state) if state else {}
        known: dict[str, str] = progress.get("known", {})
        fresh: dict[str, list[Any]] = progress.get("fresh", {})
        while True:
            rows = self._source.rows(self.page(progress))
            records: list[SourceRecord] = []
            for row in rows:
                key, content = self._source.read(row)
                name, state_now = digest(key.encode()), digest(content)
                if known.get(name) != state_now:
                    records.append(self._source.record(row, key, content, None))
                fresh.pop(name, None)
                fresh[name] = [state_now, plain_value(row[self._view.grows])]
            for forgotten in list(fresh)[: max(0, len(fresh) - max(1, self._tail))]:
                del fresh[forgotten]
            if rows:
                place = [plain_value(rows[-1][name]) for name in (self._view.grows, *self._view.key)]
                progress = {**progress, "after": place, "fresh": fresh}
            last = len(rows) < self._source.batch
            if last:
                progress = self._rest(fresh) or progress
            if records or last:
                yield tuple(records), msgspec.json.encode(progress).decode()
            if last:
                return

    @staticmethod
    def _rest(fresh: dict[str, list[Any]]) -> dict[str, Any]:
        """Where the next look begins: at the oldest of the tail."""
        if not fresh:
            return {}
        oldest = next(iter(fresh.values()))[1]
        return {"from": oldest, "known": {key: state for key, (state, _) in fresh.items()}}

    def page(self, progress: dict[str, Any]) -> sa.Select[Any]:
        columns: list[sa.ColumnElement[Any]] = [self._view.table.c[name] for name in (self._view.grows, *self._view.key)]
        statement = (
            self._view.select().where(*(column.is_not(None) for column in columns)).order_by(*columns).limit(self._source.batch)
        )
        if "after" in progress:
            return statement.where(behind(columns, tuple(map(typed_value, progress["after"]))))
        return statement.where(columns[0] >= typed_value(progress["from"])) if "from" in progress else statement
