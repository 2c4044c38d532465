"""A database that is only read: connecting, the schema it shows us, and SELECT as the one statement there is.

Three guards, for the account we get is often more than we asked for: the session is set read-only where the dialect can
(PostgreSQL, MariaDB, MySQL, Oracle, SQLite), only a Select made of identifiers found in the inspected schema is ever executed,
and values are always bound.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, NoSuchTableError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from connectors.base import SourceDenied, SourceUnavailable
from connectors.sql.config import ViewConfig
from connectors.sql.dialects import AS_IT_IS, CONNECT_ARGUMENTS, READ_ONLY_EACH_TIME, prepare, time_form
from connectors.sql.rows import is_set
from connectors.sql.text import StoredAs, as_bytes, repaired

# The source is there and says no: MySQL/MariaDB, SQL Server and Oracle numbers; PostgreSQL SQLSTATE classes.
DENIED_NUMBERS = frozenset({1044, 1045, 1049, 1142, 1143, 1227, 1370, 1698, 229, 4060, 18452, 18456, 1017, 1031, 942, 28000})
DENIED_STATES = ("28", "42501", "3D000")
DENIED_WORDS = ("authentication failed", "no pg_hba.conf entry", "permission denied", "does not exist", "access denied")


def number_of(error: BaseException) -> int | None:
    first = error.args[0] if error.args else None
    if isinstance(first, tuple) and first:  # pymssql: ((18456, b"Login failed …"),)
        first = first[0]
    code = getattr(first, "code", first)  # oracledb's _Error carries its number
    return code if isinstance(code, int) else None


def translated(error: SQLAlchemyError | OSError) -> SourceDenied | SourceUnavailable:
    """Our two errors. The text names the driver's error type and number and never repeats its message: it may quote a row."""
    cause = getattr(error, "orig", None) or error
    state = str(getattr(cause, "sqlstate", None) or "")
    number = number_of(cause)
    code = getattr(cause.args[0], "full_code", "") if cause.args else ""  # ORA-12514, DPY-6005
    said = (
        f"{type(cause).__name__}"
        + (f" {code}" if code else "")
        + (f" {number}" if number is not None else "")
        + (f" {state}" if state else "")
    )
    text = str(cause).lower()
    # a driver may state no number while it connects: then the words of its message decide
    words = any(word in text for word in DENIED_WORDS)
    if number in DENIED_NUMBERS or state.startswith(DENIED_STATES) or (number is None and not state and words):
        return SourceDenied(f"the database refuses us ({said})")
    return SourceUnavailable(f"the database does not answer ({said})")


CHANGED = "yitong_changed"  # the change time as text, where a driver would lose digits of it


class View:
    """A view as it was found: only names the database itself stated are used in a statement."""

    def __init__(
        self,
        config: ViewConfig,
        columns: Mapping[str, sa.types.TypeEngine[Any] | None],
        *,
        dialect: str = "",
        stored_as: StoredAs = "",
        charset: str = "",
    ) -> None:
        self.config = config
        self.kind = config.kind
        self._stored_as, self._charset = stored_as, charset
        folded = {name.lower(): name for name in columns}
        order = (config.changed_at or config.grows,) if config.changed_at or config.grows else ()
        wanted = config.columns or tuple(columns)
        needed = (*config.key, *(name for name in (*order, config.deleted) if name), *wanted)
        missing = sorted({name for name in needed if name not in columns and name.lower() not in folded})
        if missing:
            raise SourceDenied(f"view {config.name}: no column {', '.join(missing)}, or no right to read it")

        def found(name: str) -> str:
            return name if name in columns else folded[name.lower()]

        self.key = tuple(map(found, config.key))
        self.changed_at = found(config.changed_at) if config.changed_at else ""
        self.grows = found(config.grows) if config.grows else ""
        self.deleted = found(config.deleted) if config.deleted else None
        self.names = tuple(dict.fromkeys(map(found, needed)))
        self.texts = frozenset(name for name in self.names if isinstance(columns[name], sa.types.String))
        schema, _, name = config.name.rpartition(".")
        # untyped columns: a row comes as the driver gives it, SQLite's text included
        self.table = sa.table(name, *(sa.column(n) for n in self.names), schema=schema or None)
        self.time = time_form(dialect, columns[self.changed_at]) if self.changed_at else AS_IT_IS
        places = {*self.key, self.deleted, self.grows, self.changed_at}  # compared by the database, so they stay as they are
        self._selected = [
            (self.table.c[n] if n in places else as_bytes(dialect, self.table.c[n], columns[n], stored_as)).label(n)
            for n in self.names
        ]
        if self.time.is_text:
            self._selected.append(self.time.out(self.table.c[self.changed_at]).label(CHANGED))

    @property
    def stamp(self) -> str:
        """The name under which a row holds its change time."""
        return CHANGED if self.time.is_text else self.changed_at

    def select(self) -> sa.Select[Any]:
        return sa.select(*self._selected)

    def is_deleted(self, row: Mapping[str, Any]) -> bool:
        return self.deleted is not None and is_set(self.whole({self.deleted: row[self.deleted]})[self.deleted])

    def whole(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """A row as its record keeps it."""
        return repaired({name: value for name, value in row.items() if name != CHANGED}, self.texts, self._stored_as, self._charset)


class Database:
    """One source database; connections are opened for a run and closed after it."""

    def __init__(self, url: str, *, timeout: int, stored_as: StoredAs = "") -> None:
        try:
            self.url = sa.make_url(url)
            dialect = self.url.get_dialect()
        except (ArgumentError, NoSuchModuleError):
            raise SourceDenied("the database URL cannot be read; it begins with dialect+driver://") from None
        except ImportError as error:
            raise SourceUnavailable(f"the driver {error.name} is not installed") from None
        self.dialect = dialect.name
        self._timeout = timeout
        make = CONNECT_ARGUMENTS.get(dialect.driver)
        arguments = make(timeout) if make else {}
        if dialect.driver == "psycopg" and stored_as == "latin1":
            arguments["client_encoding"] = "latin1"  # a SQL_ASCII server converts nothing: each byte comes as a letter
        try:
            # parameters never reach a log: they may name a patient
            self._engine = sa.create_engine(self.url, poolclass=NullPool, hide_parameters=True, connect_args=arguments)
        except ImportError as error:
            raise SourceUnavailable(f"the driver {error.name} is not installed") from None
        sa.event.listen(self._engine, "connect", self._prepare)

    def _prepare(self, connection: Any, _record: Any) -> None:
        prepare(self.dialect, connection, self._timeout)

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection. Errors leave as SourceDenied or SourceUnavailable."""
        if self.dialect == "sqlite" and self.url.database and not Path(self.url.database).is_file():
            raise SourceUnavailable("the database file is not there")  # SQLite would make an empty one
        try:
            with self._engine.connect() as connection:
                yield connection
        except (DBAPIError, OSError) as error:
            raise translated(error) from None

    def view(self, connection: sa.Connection, config: ViewConfig, *, stored_as: StoredAs = "", charset: str = "") -> View:
        schema, _, name = config.name.rpartition(".")
        try:
            columns = sa.inspect(connection).get_columns(name, schema=schema or None)
        except NoSuchTableError:
            raise SourceDenied(f"view {config.name}: not there, or no right to read it") from None
        finally:
            connection.rollback()
        types = {str(column["name"]): column["type"] for column in columns}
        return View(config, types, dialect=self.dialect, stored_as=stored_as, charset=charset)

    def select(self, connection: sa.Connection, statement: sa.Select[Any]) -> list[dict[str, Any]]:
        """Run a SELECT in a transaction of its own, short enough not to hold back the source's own work."""
        if not isinstance(statement, sa.Select):
            raise TypeError("only SELECT is sent to a source")
        if each_time := READ_ONLY_EACH_TIME.get(self.dialect):
            connection.exec_driver_sql(each_time)
        rows = [dict(row) for row in connection.execute(statement).mappings()]
        connection.rollback()
        return rows

    def now(self, connection: sa.Connection) -> datetime:
        """The source's own clock: its zone does not matter, only how far it goes between two looks."""
        (row,) = self.select(connection, sa.select(sa.func.current_timestamp().label("now")))
        now = row["now"]
        read = datetime.fromisoformat(now) if isinstance(now, str) else now
        return read if read.tzinfo else read.replace(tzinfo=UTC)
