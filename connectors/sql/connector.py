"""Rows of a source's views: those that changed since the cursor, oldest change first.

A cursor holds one entry a view, written by the reader that the view's columns call for: `changes` by a change time, `growing`
by a number that grows, `compare` by neither. A row is sent once a change; what a crash lets through twice is an update that
changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from connectors.base import Cursor, Page, SourceDenied
from connectors.sql.changes import Changes
from connectors.sql.checks import Step, may_write, reach
from connectors.sql.compare import Compare
from connectors.sql.config import SqlConfig, ViewConfig
from connectors.sql.growing import Growing
from connectors.sql.reader import Reader, Source
from connectors.sql.source import Database, View
from connectors.zone import DEFAULT_ZONE, zone_of

log = logging.getLogger(__name__)


class SqlConnector:
    """One database of one facility. Hints: `zone` of its times, `charset` of text that it holds under another (`stored_as`)."""

    def __init__(
        self,
        config: SqlConfig,
        *,
        source: str,
        facility: str,
        hints: Mapping[str, str] | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        there: Callable[[Database, sa.Connection], datetime] = Database.now,
    ) -> None:
        """`there`: the source's own clock, by which its steps are found out."""
        self.source = source
        self._config = config
        self._facility = facility
        self._hints = dict(hints or {})
        self._clock = clock
        self._there = there
        self._zone = zone_of(self._hints.get("zone") or DEFAULT_ZONE)
        self._database_opened: Database | None = None

    def check(self) -> None:
        """Every step of `steps`. What is not quite well is logged."""
        for step in self.steps():
            if step.warning:
                log.warning("channel %s: %s: %s", self.source, step.name, step.detail)

    def steps(self) -> Iterator[Step]:
        """Address, port, login, rights, then each view with its columns and a row. Raise at the first that fails, saying why."""
        database = self._database()
        yield from reach(database)
        with database.reading() as connection:
            yield Step("login", f"{database.dialect} lets us in; the session only reads")
            yield self._rights(database, connection)
            for config in self._config.views:
                view = self._view(connection, config)
                found = database.select(connection, view.select().limit(1))
                if config.changed_at:
                    self._changes(connection, view).first()
                held = "it holds rows" if found else "it holds no row yet"
                yield Step(f"view {config.name}", f"{len(view.names)} columns; {held}", warning=not found)

    def fetch(self, cursor: Cursor) -> Iterator[Page]:
        state = dict(cursor)
        with self._database().reading() as connection:
            for config in self._config.views:
                reader = self._reader(connection, self._view(connection, config))
                for records, text in reader.pages(state.get(config.name, "")):
                    state[config.name] = text
                    yield Page(records, dict(state))

    def done(self, page: Page) -> None:
        """A database has nothing to put away."""

    def _database(self) -> Database:
        if self._database_opened is None:
            try:
                self._database_opened = Database(
                    self._config.read_url(), timeout=self._config.timeout, stored_as=self._config.stored_as
                )
            except LookupError as error:
                raise SourceDenied(str(error)) from None
        return self._database_opened

    def _view(self, connection: sa.Connection, config: ViewConfig) -> View:
        charset = self._hints.get("charset", "")
        return self._database().view(connection, config, stored_as=self._config.stored_as, charset=charset)

    def _source(self, connection: sa.Connection, view: View) -> Source:
        return Source(
            name=self.source,
            facility=self._facility,
            hints=self._hints,
            zone=self._zone,
            clock=self._clock,
            database=self._database(),
            connection=connection,
            view=view,
            batch=self._config.batch,
        )

    def _reader(self, connection: sa.Connection, view: View) -> Reader:
        if view.changed_at:
            return self._changes(connection, view)
        if view.grows:
            return Growing(self._source(connection, view), tail=view.config.tail)
        return Compare(self._source(connection, view), every=timedelta(seconds=view.config.compare_every))

    def _changes(self, connection: sa.Connection, view: View) -> Changes:
        database = self._database()
        return Changes(
            self._source(connection, view),
            overlap=timedelta(seconds=self._config.overlap),
            remember=self._config.remember,
            there=lambda: self._there(database, connection),
        )

    def _rights(self, database: Database, connection: sa.Connection) -> Step:
        writes = may_write(database, connection)
        if writes and self._config.writer == "refuse":
            raise SourceDenied('rights: the account may also write; ask for one that may only read (or set writer = "warn")')
        if writes:
            return Step("rights", "the account may also write: ask for one that may only read", warning=True)
        return Step(
            "rights",
            "no right to write was found" if writes is False else "the database does not tell whether the account may write",
        )
