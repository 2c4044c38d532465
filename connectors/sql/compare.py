"""A view without a change time or a number that grows: now and then all of its rows are read, and those that differ are sent.

What is remembered is a digest for a block of rows, not for each. A block ends with a row whose key's own digest says so, hence
a row that is put in or taken out changes its block and no other. A block that differs is sent whole: the journal knows the rows
that did not change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from connectors.base import SourceRecord
from connectors.sql.progress import digest, plain_value, typed_value
from connectors.sql.reader import Found, Source, behind

ROWS_OF_A_BLOCK = 256  # on average


class Read(NamedTuple):
    row: dict[str, Any]
    key: str
    content: bytes


def _ends(key: str) -> bool:
    """Whether a block ends with the row of that key: one in ROWS_OF_A_BLOCK does, always the same."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=2).digest(), "big") % ROWS_OF_A_BLOCK == 0


class Compare:
    def __init__(self, source: Source, *, every: timedelta) -> None:
        self._source = source
        self._view = source.view
        self._every = every

    def pages(self, state: str) -> Iterator[Found]:
        """blocks: last key's digest → block's digest, of the last whole reading; fresh: the same of the one under way."""
        progress: dict[str, Any] = msgspec.json.decode(state) if state else {}
        now = self._source.now()
        if "after" not in progress and "read_at" in progress and now - datetime.fromisoformat(progress["read_at"]) < self._every:
            return
        blocks: dict[str, str] = progress.get("blocks", {})
        fresh: dict[str, str] = progress.get("fresh", {})
        after = progress.get("after")
        while True:
            rows = self._source.rows(self.page(after))
            last = len(rows) < self._source.batch
            records: list[SourceRecord] = []
            for block in self._blocks(rows, whole=last):
                records.extend(self._changed(block, blocks, fresh))
                after = [plain_value(block[-1].row[name]) for name in self._view.key]
            if last:
                done = {"blocks": fresh, "read_at": now.isoformat()}
                yield tuple(records), msgspec.json.encode(done).decode()
                return
            if records:
                yield tuple(records), msgspec.json.encode({"blocks": blocks, "fresh": fresh, "after": after}).decode()

    def _blocks(self, rows: list[dict[str, Any]], *, whole: bool) -> Iterator[list[Read]]:
        """Whole blocks; the rest of a page is read again with the next one, unless a page holds no end of a block at all."""
        block: list[Read] = []
        cut = False
        for row in rows:
            block.append(Read(row, *self._source.read(row)))
            if _ends(block[-1].key):
                yield block
                block, cut = [], True
        if block and (whole or not cut):
            yield block

    def _changed(self, block: list[Read], blocks: dict[str, str], fresh: dict[str, str]) -> list[SourceRecord]:
        name, state = digest(block[-1].key.encode()), digest(b"\x1e".join(one.content for one in block))
        fresh[name] = state
        if blocks.get(name) == state:
            return []
        return [self._source.record(one.row, one.key, one.content, None) for one in block]

    def page(self, after: list[Any] | None) -> sa.Select[Any]:
        columns: list[sa.ColumnElement[Any]] = [self._view.table.c[name] for name in self._view.key]
        statement = (
            self._view.select().where(*(column.is_not(None) for column in columns)).order_by(*columns).limit(self._source.batch)
        )
        return statement.where(behind(columns, tuple(map(typed_value, after)))) if after else statement
