"""A database that is only read: connecting, the schema it shows us, and SELECT as the one statement there is.

Three guards, for the account we get is often more than we asked for: the session is set read-only where the dialect can
(PostgreSQL, MariaDB, MySQL, Oracle, SQLite), only a Select made of identifiers found in the inspected schema is ever executed,
and values are always bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, NoSuchTableError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from connectors.base import SourceDenied, SourceUnavailable
from connectors.sql.config import ViewConfig

READ_ONLY = {  # said once a connection, before anything else
    "postgresql": "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    "mysql": "SET SESSION TRANSACTION READ ONLY",
    "mariadb": "SET SESSION TRANSACTION READ ONLY",
    "sqlite": "PRAGMA query_only = ON",
}
READ_ONLY_EACH_TIME = {"oracle": "SET TRANSACTION READ ONLY"}  # Oracle forgets it with the transaction
CONNECT_ARGUMENTS: dict[str, Callable[[int], dict[str, Any]]] = {
    "pymysql": lambda seconds: {"connect_timeout": 10, "read_timeout": seconds, "write_timeout": seconds},
    "psycopg": lambda seconds: {"connect_timeout": 10, "options": f"-c statement_timeout={seconds * 1000}"},
    "pymssql": lambda seconds: {"login_timeout": 10, "timeout": seconds},
    "oracledb": lambda _: {"tcp_connect_timeout": 10},
    "pysqlite": lambda seconds: {"timeout": seconds},
}

# The source is there and says no: MySQL/MariaDB, SQL Server and Oracle numbers; PostgreSQL SQLSTATE classes.
DENIED_NUMBERS = frozenset({1044, 1045, 1049, 1142, 1143, 1227, 1370, 1698, 229, 4060, 18452, 18456, 1017, 1031, 942, 28000})
DENIED_STATES = ("28", "42501", "3D000")
DENIED_WORDS = ("authentication failed", "no pg_hba.conf entry", "permission denied", "does not exist", "access denied")


def number_of(error: BaseException) -> int | None:
    first = error.args[0] if error.args else None
    code = getattr(first, "code", first)  # oracledb's _Error carries its number
    return code if isinstance(code, int) else None


def translated(error: SQLAlchemyError | OSError) -> SourceDenied | SourceUnavailable:
    """Our two errors. The text names the driver's error type and number and never repeats its message: it may quote a row."""
    cause = getattr(error, "orig", None) or error
    state = str(getattr(cause, "sqlstate", None) or "")
    number = number_of(cause)
    said = f"{type(cause).__name__}" + (f" {number}" if number is not None else "") + (f" {state}" if state else "")
    text = str(cause).lower()
    # a driver may state no number while it connects: then the words of its message decide
    words = any(word in text for word in DENIED_WORDS)
    if number in DENIED_NUMBERS or state.startswith(DENIED_STATES) or (number is None and not state and words):
        return SourceDenied(f"the database refuses us ({said})")
    return SourceUnavailable(f"the database does not answer ({said})")


class View:
    """A view as it was found: only names the database itself stated are used in a statement."""

    def __init__(self, config: ViewConfig, columns: Sequence[str]) -> None:
        self.config = config
        self.kind = config.kind
        folded = {name.lower(): name for name in columns}
        wanted = config.columns or tuple(columns)
        needed = (*config.key, config.changed_at, *((config.deleted,) if config.deleted else ()), *wanted)
        missing = sorted({name for name in needed if name not in columns and name.lower() not in folded})
        if missing:
            raise SourceDenied(f"view {config.name}: no column {', '.join(missing)}, or no right to read it")

        def found(name: str) -> str:
            return name if name in columns else folded[name.lower()]

        self.key = tuple(map(found, config.key))
        self.changed_at = found(config.changed_at)
        self.deleted = found(config.deleted) if config.deleted else None
        self.names = tuple(dict.fromkeys(map(found, needed)))
        schema, _, name = config.name.rpartition(".")
        # untyped columns: a row comes as the driver gives it, SQLite's text included
        self.table = sa.table(name, *(sa.column(n) for n in self.names), schema=schema or None)


class Database:
    """One source database; connections are opened for a run and closed after it."""

    def __init__(self, url: str, *, timeout: int) -> None:
        try:
            self.url = sa.make_url(url)
            dialect = self.url.get_dialect()
        except (ArgumentError, NoSuchModuleError):
            raise SourceDenied("the database URL cannot be read; it begins with dialect+driver://") from None
        except ImportError as error:
            raise SourceUnavailable(f"the driver {error.name} is not installed") from None
        self._dialect = dialect.name
        make = CONNECT_ARGUMENTS.get(dialect.driver)
        try:
            # parameters never reach a log: they may name a patient
            self._engine = sa.create_engine(
                self.url, poolclass=NullPool, hide_parameters=True, connect_args=make(timeout) if make else {}
            )
        except ImportError as error:
            raise SourceUnavailable(f"the driver {error.name} is not installed") from None
        sa.event.listen(self._engine, "connect", self._read_only)

    def _read_only(self, connection: Any, _record: Any) -> None:
        if statement := READ_ONLY.get(self._dialect):
            cursor = connection.cursor()
            cursor.execute(statement)
            cursor.close()
            connection.commit()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection. Errors leave as SourceDenied or SourceUnavailable."""
        if self._dialect == "sqlite" and self.url.database and not Path(self.url.database).is_file():
            raise SourceUnavailable("the database file is not there")  # SQLite would make an empty one
        try:
            with self._engine.connect() as connection:
                yield connection
        except (DBAPIError, OSError) as error:
            raise translated(error) from None

    def view(self, connection: sa.Connection, config: ViewConfig) -> View:
        schema, _, name = config.name.rpartition(".")
        try:
            columns = sa.inspect(connection).get_columns(name, schema=schema or None)
        except NoSuchTableError:
            raise SourceDenied(f"view {config.name}: not there, or no right to read it") from None
        finally:
            connection.rollback()
        return View(config, tuple(str(column["name"]) for column in columns))

    def select(self, connection: sa.Connection, statement: sa.Select[Any]) -> list[dict[str, Any]]:
        """Run a SELECT in a transaction of its own, short enough not to hold back the source's own work."""
        if not isinstance(statement, sa.Select):
            raise TypeError("only SELECT is sent to a source")
        if each_time := READ_ONLY_EACH_TIME.get(self._dialect):
            connection.exec_driver_sql(each_time)
        rows = [dict(row) for row in connection.execute(statement).mappings()]
        connection.rollback()
        return rows
