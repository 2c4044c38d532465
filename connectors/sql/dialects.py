"""Where the databases differ: how a session is made read-only and patient, and how a change time is written without loss.

Oracle and SQL Server keep finer times than their drivers give, and compare a bound time by rules of their own (an Oracle DATE
has no fraction, a SQL Server datetime is rounded to 1/300 s). There a change time leaves the database as text with every digit,
and comes back through the conversion to the column's own type: a page begins exactly behind the last row of the one before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mssql

READ_ONLY = {  # said once a connection, before anything else
    "postgresql": "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    "mysql": "SET SESSION TRANSACTION READ ONLY",
    "mariadb": "SET SESSION TRANSACTION READ ONLY",
    "sqlite": "PRAGMA query_only = ON",
}
READ_ONLY_EACH_TIME = {"oracle": "SET TRANSACTION READ ONLY"}  # Oracle forgets it with the transaction
# Each server executes the comment that is meant for it: MariaDB counts seconds, MySQL (from 5.7.8) milliseconds
MYSQL_TIMEOUT = "SET @yitong = 1 /*M!, SESSION max_statement_time = {0} */ /*!50708 , SESSION max_execution_time = {0}000 */"
PATIENCE: Mapping[str, str] = {
    "mysql": MYSQL_TIMEOUT,
    "mariadb": MYSQL_TIMEOUT,
    "mssql": "SET LOCK_TIMEOUT {0}000",
}
CONNECT_ARGUMENTS: dict[str, Callable[[int], dict[str, Any]]] = {
    "pymysql": lambda seconds: {"connect_timeout": 10, "read_timeout": seconds + 5, "write_timeout": seconds},
    "psycopg": lambda seconds: {"connect_timeout": 10, "options": f"-c statement_timeout={seconds * 1000}"},
    "pymssql": lambda seconds: {"login_timeout": 10, "timeout": seconds},
    "oracledb": lambda _: {"tcp_connect_timeout": 10},
    "pysqlite": lambda seconds: {"timeout": seconds},
}
PORTS = {"mysql": 3306, "mariadb": 3306, "postgresql": 5432, "oracle": 1521, "mssql": 1433}


def prepare(dialect: str, connection: Any, seconds: int) -> None:
    """A new DB-API connection: it only reads, and gives up a statement after `seconds`."""
    for statements in (READ_ONLY, PATIENCE):
        if statement := statements.get(dialect):
            cursor = connection.cursor()
            cursor.execute(statement.format(seconds))
            cursor.close()
            connection.commit()
    if dialect == "oracle":
        connection.call_timeout = seconds * 1000


@dataclass(frozen=True, slots=True)
class TimeForm:
    """How a change time leaves the database, and how it goes back into a condition."""

    out: Callable[[sa.ColumnElement[Any]], sa.ColumnElement[Any]]
    into: Callable[[Any], Any]
    is_text: bool


AS_IT_IS = TimeForm(lambda column: column, lambda value: value, is_text=False)

ORACLE_SECONDS = 'YYYY-MM-DD"T"HH24:MI:SS'
ORACLE_FRACTION = ORACLE_SECONDS + ".FF9"


def _oracle_date() -> TimeForm:
    return TimeForm(
        lambda column: sa.func.to_char(column, ORACLE_SECONDS),
        lambda value: sa.func.to_date(_text(value)[:19], ORACLE_SECONDS),
        is_text=True,
    )


def _oracle_timestamp() -> TimeForm:
    return TimeForm(
        lambda column: sa.func.to_char(column, ORACLE_FRACTION),
        lambda value: sa.func.to_timestamp(_with_fraction(value), ORACLE_FRACTION),
        is_text=True,
    )


def _oracle_zoned() -> TimeForm:
    """In UTC, so that texts of one column have one shape."""
    return TimeForm(
        lambda column: sa.func.to_char(sa.func.sys_extract_utc(column), ORACLE_FRACTION).concat("+00:00"),
        lambda value: sa.func.from_tz(sa.func.to_timestamp(_with_fraction(value), ORACLE_FRACTION), "UTC"),
        is_text=True,
    )


def _sql_server(own: sa.types.TypeEngine[Any]) -> TimeForm:
    """Style 126 is ISO 8601 with every digit that the type has."""
    return TimeForm(
        lambda column: sa.func.convert(sa.literal_column("VARCHAR(33)"), column, sa.literal_column("126")),
        lambda value: sa.cast(sa.literal(_text(value), sa.String()), own),
        is_text=True,
    )


def _with_fraction(value: Any) -> str:
    """As the format wants it: a time that was reckoned with has whole seconds; the zone, always UTC, is said beside it."""
    bare = _text(value).split("+")[0]
    return bare if "." in bare else f"{bare}.000000000"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value.isoformat())


# The precision that a column was reflected with may be less than its digits: the finest compares all of them
FINEST: dict[str, sa.types.TypeEngine[Any]] = {
    "DATETIME2": mssql.DATETIME2(7),  # type: ignore[no-untyped-call]
    "DATETIMEOFFSET": mssql.DATETIMEOFFSET(7),  # type: ignore[no-untyped-call]
}


def time_form(dialect: str, type_: sa.types.TypeEngine[Any] | None) -> TimeForm:
    """By the reflected type of the change column."""
    name = type(type_).__name__.upper()
    if dialect == "oracle":
        zoned = bool(getattr(type_, "timezone", False) or getattr(type_, "local_timezone", False))
        forms = {"DATE": _oracle_date, "TIMESTAMP": _oracle_zoned if zoned else _oracle_timestamp}
        return forms[name]() if name in forms else AS_IT_IS
    if dialect == "mssql" and name in {"DATETIME", "DATETIME2", "SMALLDATETIME", "DATETIMEOFFSET", "DATE"} and type_ is not None:
        return _sql_server(FINEST.get(name, type_))
    return AS_IT_IS
