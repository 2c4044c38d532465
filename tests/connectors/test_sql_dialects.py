"""The statements for databases that cannot be started here, compiled as SQLAlchemy would send them to Oracle and SQL Server."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import mssql, oracle
from sqlalchemy.dialects.oracle.base import OracleDialect

from connectors.base import SourceDenied, SourceUnavailable
from connectors.sql.changes import Changes
from connectors.sql.checks import RIGHTS
from connectors.sql.compare import Compare
from connectors.sql.config import ViewConfig
from connectors.sql.growing import Growing
from connectors.sql.progress import Progress, as_time, earlier
from connectors.sql.reader import Source
from connectors.sql.source import CHANGED, View, translated

MSSQL: Any = mssql  # its types carry no annotations
SQL_SERVER: sa.Dialect = MSSQL.dialect()

PLACE = Progress(
    mark="2024-05-06T08:00:00.1234567", until="2024-05-06T09:00:00.7654321", after=("2024-05-06T08:30:00.1234567", "A01   ")
)


@dataclass
class OracleSays:
    """python-oracledb's error, as it stands in an exception's arguments."""

    code: int
    full_code: str


def compiled(statement: sa.Select[Any], dialect: sa.Dialect) -> tuple[str, dict[str, Any]]:
    done = statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
    return re.sub(r"\s+", " ", str(done)), dict(done.params)


def view(dialect: str, stamp: sa.types.TypeEngine[Any] | None, **config: Any) -> View:
    columns = {"BRID": sa.CHAR(6), "姓名": sa.VARCHAR(40), "level": sa.Integer(), "XGSJ": stamp, "rv": MSSQL.ROWVERSION()}
    options = {"name": "ZLHIS.病人信息", "key": ["BRID"], **config}
    return View(
        ViewConfig.model_validate(options), columns, dialect=dialect, stored_as=cast(Any, "bytes" if config.get("columns") else "")
    )


def source(of: View) -> Source:
    now = datetime(2024, 5, 6, tzinfo=UTC)
    return Source("his", "CTY", {}, UTC, lambda: now, cast(Any, None), cast(Any, None), of, 500)


def changes(of: View) -> Changes:
    return Changes(source(of), overlap=timedelta(minutes=5), remember=10, there=lambda: datetime(2024, 5, 6, tzinfo=UTC))


def test_oracle_pages_by_fetch_first_and_older_ones_by_rownum() -> None:
    statement = changes(view("oracle", oracle.TIMESTAMP(), changed_at="xgsj")).page(PLACE)
    new = OracleDialect()
    new.server_version_info = (19, 0)
    sql, bound = compiled(statement, new)
    assert 'FROM "ZLHIS"."病人信息"' in sql
    assert sql.endswith('ORDER BY "ZLHIS"."病人信息"."XGSJ", "ZLHIS"."病人信息"."BRID" FETCH FIRST 500 ROWS ONLY')
    assert f'to_char("ZLHIS"."病人信息"."XGSJ", :to_char_1) AS {CHANGED}' in sql
    assert '"XGSJ" <= to_timestamp(' in sql
    assert '"BRID" IS NOT NULL' in sql
    assert "2024-05-06T09:00:00.7654321" in bound.values()
    assert 'YYYY-MM-DD"T"HH24:MI:SS.FF9' in bound.values()
    old = OracleDialect(enable_offset_fetch=False)  # what SQLAlchemy sets for a server before 12
    sql, _ = compiled(statement, old)
    assert "ROWNUM <= 500" in sql
    assert "FETCH FIRST" not in sql


@pytest.mark.parametrize(
    ("type_", "out", "into", "value"),
    [
        (oracle.DATE(), 'to_char("XGSJ", ', "to_date(", "2024-05-06T08:30:00"),  # a DATE has seconds and no fraction
        (oracle.TIMESTAMP(), 'to_char("XGSJ", ', "to_timestamp(", "2024-05-06T08:30:00.1234567"),
        (
            oracle.TIMESTAMP(timezone=True),
            'to_char(sys_extract_utc("XGSJ"), ',
            "from_tz(to_timestamp(",
            "2024-05-06T08:30:00.1234567",
        ),
    ],
)
def test_an_oracle_time_leaves_and_returns_with_every_digit_it_has(
    type_: sa.types.TypeEngine[Any], out: str, into: str, value: str
) -> None:
    form = view("oracle", type_, changed_at="XGSJ").time
    leaving, _ = compiled(sa.select(form.out(sa.column("XGSJ"))), OracleDialect())
    returning, bound = compiled(sa.select(form.into("2024-05-06T08:30:00.1234567")), OracleDialect())
    assert out in leaving
    assert into in returning
    assert returning.endswith("FROM DUAL")
    assert value in bound.values()


def test_oracle_text_of_a_us7ascii_database_is_asked_for_as_bytes() -> None:
    of = view("oracle", oracle.DATE(), changed_at="XGSJ", columns=["姓名", "level"])
    sql, _ = compiled(of.select(), OracleDialect())
    assert 'utl_raw.cast_to_raw("ZLHIS"."病人信息"."姓名") AS "姓名"' in sql
    assert sql.count("cast_to_raw") == 1  # numbers are none, and the key is compared by the database
    row = {"BRID": "A01   ", "姓名": "李雷".encode("gbk"), "level": 3, "XGSJ": "x", CHANGED: "y"}
    assert of.whole(row) == {"BRID": "A01   ", "姓名": "李雷", "level": 3, "XGSJ": "x"}
    assert source(of).read(row)[0] == "A01"  # without the blanks that fill a CHAR


@pytest.mark.parametrize(
    ("type_", "own"),
    [
        (mssql.DATETIME(), "DATETIME)"),  # the text .997 as DATETIME is the very 1/300 s that the row holds; as DATETIME2 it is not
        (MSSQL.DATETIME2(precision=3), "DATETIME2(7))"),
        (MSSQL.DATETIMEOFFSET(), "DATETIMEOFFSET(7))"),
        (mssql.SMALLDATETIME(), "SMALLDATETIME)"),
    ],
)
def test_a_sql_server_time_is_compared_as_its_columns_own_type(type_: sa.types.TypeEngine[Any], own: str) -> None:
    sql, bound = compiled(changes(view("mssql", type_, changed_at="XGSJ")).page(PLACE), SQL_SERVER)
    assert sql.startswith("SELECT TOP 500 ")
    assert f"convert(VARCHAR(33), [ZLHIS].[病人信息].[XGSJ], 126) AS {CHANGED}" in sql.replace("病人信息_1", "病人信息")
    assert f"<= CAST(:param_1 AS {own}" in sql or re.search(rf"<= CAST\(:\w+ AS {re.escape(own)}", sql)
    assert "2024-05-06T08:30:00.1234567" in bound.values()
    assert "ORDER BY" in sql


def test_a_rowversion_and_a_comparison_page_in_order_of_their_columns() -> None:
    growing = Growing(source(view("mssql", mssql.DATETIME(), grows="rv")), tail=9)
    sql, bound = compiled(growing.page({"after": [{"bytes": "00000000000007d1"}, "A01"]}), SQL_SERVER)
    assert b"\x00\x00\x00\x00\x00\x00\x07\xd1" in bound.values()
    assert re.search(r"ORDER BY \S*rv\]?, \S*BRID", sql)
    compare = Compare(source(view("oracle", None)), every=timedelta(hours=1))
    sql, bound = compiled(compare.page(["A01   "]), OracleDialect())
    assert '"BRID" > :' in sql
    assert "A01   " in bound.values()  # as the database gave it: so it is compared


@pytest.mark.parametrize("dialect", [OracleDialect(), SQL_SERVER])
def test_the_question_for_rights_is_one_select(dialect: sa.Dialect) -> None:
    sql, _ = compiled(RIGHTS[dialect.name], dialect)
    assert sql.startswith("SELECT ")
    assert ";" not in sql


@pytest.mark.parametrize("name", ["order", "用户", 'a"b', "x]y", "select"])
def test_a_name_that_the_database_stated_is_quoted(name: str) -> None:
    quoted = {"oracle": '"' + name.replace('"', '""') + '"', "mssql": "[" + name.replace("]", "]]") + "]"}
    of = View(ViewConfig(name="v", key=("k",)), {"k": None, name: None})
    for dialect in (OracleDialect(), SQL_SERVER):
        assert quoted[dialect.name] in compiled(of.select(), dialect)[0]


def test_a_time_as_text_can_be_reckoned_with_and_keeps_its_shape() -> None:
    assert as_time("2024-05-06T08:30:00.1234567").microsecond == 123456
    assert earlier("2024-05-06T08:30:00.1234567", timedelta(minutes=5)) == "2024-05-06T08:25:00"
    assert earlier("2024-05-06T08:30:00.123456789+00:00", timedelta(minutes=5)) == "2024-05-06T08:25:00+00:00"
    zoned = view("oracle", oracle.TIMESTAMP(timezone=True), changed_at="XGSJ").time
    assert (
        "2024-05-06T08:25:00.000000000" in compiled(sa.select(zoned.into("2024-05-06T08:25:00+00:00")), OracleDialect())[1].values()
    )


@pytest.mark.parametrize(
    ("cause", "told", "says"),
    [
        (Exception((18456, b"Login failed for user 'x'")), SourceDenied, "18456"),
        (Exception((20009, b"Unable to connect: Adaptive Server is unavailable or does not exist")), SourceUnavailable, "20009"),
        (Exception(OracleSays(1017, "ORA-01017")), SourceDenied, "ORA-01017"),
        (Exception(OracleSays(0, "DPY-6005")), SourceUnavailable, "DPY-6005"),
    ],
)
def test_what_a_driver_says_is_told_by_its_number_and_never_by_its_words(
    cause: Exception, told: type[Exception], says: str
) -> None:
    error = translated(sa.exc.OperationalError("SELECT 1", {"name": "王小明"}, cause))
    assert type(error) is told
    assert says in str(error)
    assert "user" not in str(error)
    assert "王小明" not in str(error)
