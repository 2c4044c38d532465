"""Whether a database can be read, told step by step: the first step that fails names the cause."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from connectors.base import SourceUnavailable
from connectors.ports import connected
from connectors.sql.dialects import PORTS
from connectors.sql.source import Database

SECONDS = 5
WRITES = ("INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER")
WRITES_ANYWHERE = tuple(f"{verb} ANY TABLE" for verb in ("INSERT", "UPDATE", "DELETE", "DROP", "ALTER"))


@dataclass(frozen=True, slots=True)
class Step:
    """Something that was found to be well; `warning`: not quite."""

    name: str  # address, port, login, rights, view v_patient
    detail: str
    warning: bool = False


def reach(database: Database) -> Iterator[Step]:
    """The server's name and port. Raise SourceUnavailable saying which of them it is."""
    url = database.url
    if not url.host:
        return
    port = url.port or PORTS.get(database.dialect, 0)
    try:
        found = sorted({str(entry[4][0]) for entry in socket.getaddrinfo(url.host, port or None, type=socket.SOCK_STREAM)})
    except (OSError, UnicodeError):
        raise SourceUnavailable(f"address: no computer of the name {url.host} is known here (DNS)") from None
    yield Step("address", f"{url.host} is {', '.join(found[:3])}")
    if not port:
        return
    try:
        connected(url.host, port, SECONDS).close()
    except SourceUnavailable as reason:
        raise SourceUnavailable(f"port: {reason}") from None
    yield Step("port", f"{url.host}:{port} accepts connections")


def may_write(database: Database, connection: sa.Connection) -> bool | None:
    """Whether the account has rights to write. None: the database does not tell such an account."""
    statement = RIGHTS.get(database.dialect)
    if statement is None:
        return None
    try:
        (row,) = database.select(connection, statement)
    except sa.exc.DBAPIError:
        connection.rollback()
        return None
    return bool(row["rights"])


def _information_schema(table: str) -> sa.ScalarSelect[Any]:
    """MySQL names a grantee as 'user'@'host', in quotation marks."""
    grants = sa.table(table, sa.column("grantee"), sa.column("privilege_type"), schema="information_schema")
    me = sa.func.concat("'", sa.func.replace(sa.func.current_user(), "@", "'@'"), "'")
    return sa.select(sa.func.count()).where(grants.c.grantee == me, grants.c.privilege_type.in_(WRITES)).scalar_subquery()


def _mysql() -> sa.Select[Any]:
    tables = ("USER_PRIVILEGES", "SCHEMA_PRIVILEGES", "TABLE_PRIVILEGES")
    first, *rest = map(_information_schema, tables)
    total: sa.ColumnElement[Any] = first
    for more in rest:
        total = total + more
    return sa.select(total.label("rights"))


def _postgresql() -> sa.Select[Any]:
    """Any table or view outside the catalogue that it could write to; a superuser could to all."""
    tables = sa.table("pg_class", sa.column("oid"), sa.column("relkind"), sa.column("relnamespace"), schema="pg_catalog")
    spaces = sa.table("pg_namespace", sa.column("oid"), sa.column("nspname"), schema="pg_catalog")
    return (
        sa.select(sa.func.count().label("rights"))
        .select_from(tables.join(spaces, tables.c.relnamespace == spaces.c.oid))
        .where(
            tables.c.relkind.in_(("r", "p", "v", "m")),
            spaces.c.nspname.not_in(("pg_catalog", "information_schema")),
            sa.not_(spaces.c.nspname.like("pg_toast%")),
            sa.func.has_table_privilege(tables.c.oid, "INSERT, UPDATE, DELETE"),
        )
    )


def _oracle() -> sa.Select[Any]:
    privileges = sa.table("session_privs", sa.column("privilege"))
    received = sa.table("user_tab_privs_recd", sa.column("privilege"))
    own = sa.table("user_tables", sa.column("table_name"))
    counts = (
        sa.select(sa.func.count()).select_from(privileges).where(privileges.c.privilege.in_(WRITES_ANYWHERE)),
        sa.select(sa.func.count()).select_from(received).where(received.c.privilege.in_(WRITES[:3])),
        sa.select(sa.func.count()).select_from(own),
    )
    first, second, third = (count.scalar_subquery() for count in counts)
    return sa.select((first + second + third).label("rights"))


def _sql_server() -> sa.Select[Any]:
    whole = [sa.func.has_perms_by_name(sa.null(), "DATABASE", verb) for verb in WRITES[:3]]
    total: sa.ColumnElement[Any] = sa.func.is_srvrolemember("sysadmin")
    for right in whole:
        total = total + right
    return sa.select(total.label("rights"))


RIGHTS = {"mysql": _mysql(), "mariadb": _mysql(), "postgresql": _postgresql(), "oracle": _oracle(), "mssql": _sql_server()}
