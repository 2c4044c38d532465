"""What the three ways of reading a view share: the database, the view, and how a row becomes a record."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Protocol

import sqlalchemy as sa

from connectors.base import SourceRecord
from connectors.sql.rows import key_text, row_json
from connectors.sql.source import Database, View

Found = tuple[tuple[SourceRecord, ...], str]
"""Records, and the view's part of the cursor that is safe once they are journaled."""


class Reader(Protocol):
    def pages(self, state: str) -> Iterator[Found]:
        """`state`: the view's part of the cursor; "" from the beginning."""


@dataclass(frozen=True, slots=True)
class Source:
    """One view of one channel, open for reading."""

    name: str
    facility: str
    hints: Mapping[str, str]
    zone: tzinfo
    clock: Callable[[], datetime]
    database: Database
    connection: sa.Connection
    view: View
    batch: int

    def rows(self, statement: sa.Select[Any]) -> list[dict[str, Any]]:
        return self.database.select(self.connection, statement)

    def now(self) -> datetime:
        return self.clock().astimezone(self.zone)

    def read(self, row: Mapping[str, Any]) -> tuple[str, bytes]:
        """A row's key and its content."""
        whole = self.view.whole(row)
        return key_text(tuple(whole[name] for name in self.view.key)), row_json(whole)

    def record(self, row: Mapping[str, Any], key: str, content: bytes, changed_at: datetime | None) -> SourceRecord:
        return SourceRecord(
            source=self.name,
            facility=self.facility,
            kind=self.view.kind,
            key=key,
            content=content,
            received_at=self.now(),
            changed_at=changed_at,
            hints={**self.hints, "deleted": "1"} if self.view.is_deleted(row) else self.hints,
        )


def behind(columns: list[sa.ColumnElement[Any]], place: tuple[Any, ...]) -> sa.ColumnElement[bool]:
    """(a, b, c) > (x, y, z), spelled out: not every dialect compares rows. `a >= x` first, for an index to be used."""
    ladder = []
    for depth, (column, value) in enumerate(zip(columns, place, strict=True)):
        same = [c == v for c, v in zip(columns[:depth], place[:depth], strict=True)]
        ladder.append(sa.and_(*same, column > value))
    return sa.and_(columns[0] >= place[0], sa.or_(*ladder)) if len(columns) > 1 else ladder[0]
