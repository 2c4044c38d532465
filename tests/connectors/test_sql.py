"""The SQL connector against SQLite files and real MariaDB and PostgreSQL servers."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from connectors.base import Cursor, SourceDenied, SourceRecord, SourceUnavailable
from connectors.registry import build
from connectors.sql.config import SqlConfig
from connectors.sql.connector import SqlConnector
from connectors.zone import zone_of
from hub.settings import load_county

DAY = datetime.fromisoformat("2024-05-01T08:00:00")  # the source's wall clock states no zone
DIALECTS = [
    "sqlite",
    pytest.param("mariadb", marks=pytest.mark.servers),
    pytest.param("postgresql", marks=pytest.mark.servers),
]


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2024, 5, 1, 12, 0, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


class Source:
    """A HIS database with one view, and what its engineer would do to it."""

    def __init__(self, url: str, overlap: float = 300, batch: int = 3, **options: Any) -> None:
        self.url = url
        self.clock = Clock()
        self.skew = timedelta()  # by which the source's clock is ahead of ours
        self.options = {"overlap": overlap, "batch": batch, **options}
        self.engine = sa.create_engine(url)
        time = {"sqlite": "TEXT", "postgresql": "TIMESTAMP(6)"}.get(self.engine.dialect.name, "DATETIME(6)")
        with self.engine.begin() as connection:
            connection.execute(sa.text("DROP VIEW IF EXISTS v_item"))
            connection.execute(sa.text("DROP TABLE IF EXISTS item"))
            connection.execute(
                sa.text(
                    "CREATE TABLE item (ward VARCHAR(20) NOT NULL, no INTEGER NOT NULL, name VARCHAR(80), amount DECIMAL(12,2),"
                    f" secret VARCHAR(20), gone CHAR(1), changed {time}, PRIMARY KEY (ward, no))"
                )
            )
            connection.execute(sa.text("CREATE VIEW v_item AS SELECT ward, no, name, amount, gone, changed FROM item"))

    def put(self, no: int, at: datetime | None, name: str | None = "阿莫西林", ward: str = "内科", **more: Any) -> None:
        """Write one row, as an update does: the old one goes."""
        stamp: Any = at
        if at is not None and self.engine.dialect.name == "sqlite":
            stamp = at.isoformat(sep=" ")
        row = {"ward": ward, "no": no, "name": name, "amount": None, "gone": None, "changed": stamp, **more}
        if self.engine.dialect.name == "sqlite" and row["amount"] is not None:
            row["amount"] = str(row["amount"])
        with self.engine.begin() as connection:
            connection.execute(sa.text("DELETE FROM item WHERE ward = :ward AND no = :no"), {"ward": ward, "no": no})
            connection.execute(
                sa.text(
                    "INSERT INTO item (ward, no, name, amount, gone, changed) VALUES (:ward, :no, :name, :amount, :gone, :changed)"
                ),
                row,
            )

    def connector(self, **changes: Any) -> SqlConnector:
        view = {"name": "v_item", "key": ("ward", "no"), "changed_at": "changed", "deleted": "gone"}
        config = SqlConfig.model_validate({"url": self.url, "views": [{**view, **changes}], **self.options})
        there = lambda *_: self.clock.now + self.skew  # noqa: E731
        return SqlConnector(config, source="his", facility="CTY", hints={"zone": "+08:00"}, clock=self.clock, there=there)

    def poll(self, cursor: Cursor, pages: int = 10_000) -> tuple[list[SourceRecord], Cursor]:
        """Read up to `pages` pages and stop, as a killed process does; the cursor is what it had saved."""
        records: list[SourceRecord] = []
        for number, page in enumerate(self.connector().fetch(cursor), 1):
            records.extend(page.records)
            cursor = page.cursor
            if number == pages:
                break
        return records, json.loads(json.dumps(dict(cursor)))

    def rows(self) -> dict[str, str | None]:
        with self.engine.connect() as connection:
            return {f"{w}|{n}": name for w, n, name in connection.execute(sa.text("SELECT ward, no, name FROM v_item"))}


@pytest.fixture(params=DIALECTS)
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Source]:
    name = request.param
    url = f"sqlite:///{tmp_path / 'his.db'}" if name == "sqlite" else request.getfixturevalue(f"{name}_url")
    made = Source(url)
    yield made
    made.engine.dispose()


def names(records: list[SourceRecord]) -> list[str]:
    return [record.key for record in records]


def content(record: SourceRecord) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(record.content, parse_float=Decimal)
    return value


def test_the_first_load_comes_oldest_change_first_with_every_value_intact(source: Source) -> None:
    source.put(2, DAY + timedelta(hours=1), name=None)
    source.put(1, DAY, name="【全国HR】钾 𠮷", amount=Decimal("72.50"))
    first, second = source.poll({})[0]
    assert (first.key, first.kind, first.facility, first.source) == ("内科|1", "row/v_item", "CTY", "his")
    assert content(first)["name"] == "【全国HR】钾 𠮷"
    assert content(second)["name"] is None
    if source.engine.dialect.name != "sqlite":  # SQLite itself keeps 72.50 as 72.5
        assert b'"amount":72.50' in first.content
    assert first.changed_at is not None
    assert first.changed_at.isoformat() == "2024-05-01T08:00:00+08:00"


def test_only_what_changed_comes_again(source: Source) -> None:
    for no in range(8):
        source.put(no, DAY + timedelta(minutes=no))
    records, cursor = source.poll({})
    assert names(records) == [f"内科|{no}" for no in range(8)]
    assert source.poll(cursor)[0] == []
    source.put(3, DAY + timedelta(minutes=9), name="新名")
    records, cursor = source.poll(cursor)
    assert names(records) == ["内科|3"]
    assert source.poll(cursor)[0] == []


def test_ties_at_the_watermark_are_neither_lost_nor_sent_twice(source: Source) -> None:
    for no in range(7):  # more rows of one change time than a page holds
        source.put(no, DAY)
    records, cursor = source.poll({})
    assert sorted(names(records)) == [f"内科|{no}" for no in range(7)]
    source.put(9, DAY, ward="外科")
    source.put(-1, DAY)
    records, cursor = source.poll(cursor)
    assert sorted(names(records)) == ["内科|-1", "外科|9"]
    assert source.poll(cursor)[0] == []


def test_a_commit_that_comes_late_is_found_inside_the_overlap(source: Source) -> None:
    source.put(1, DAY)
    source.put(2, DAY + timedelta(minutes=10))
    _, cursor = source.poll({})
    source.put(3, DAY + timedelta(minutes=6))  # stamped before row 2, committed after it was read
    records, cursor = source.poll(cursor)
    assert names(records) == ["内科|3"]
    source.put(4, DAY + timedelta(minutes=10), name="同刻")
    assert names(source.poll(cursor)[0]) == ["内科|4"]


def test_a_quiet_view_settles_and_its_cursor_is_small(source: Source) -> None:
    for no in range(6):
        source.put(no, DAY)
    _, cursor = source.poll({})
    source.clock.now += timedelta(minutes=6)  # longer than the overlap: whoever stamped an earlier time has committed
    _, cursor = source.poll(cursor)
    assert len(json.dumps(cursor)) < 300
    source.put(8, DAY + timedelta(seconds=1))
    assert names(source.poll(cursor)[0]) == ["内科|8"]


def test_a_change_time_in_the_far_future_does_not_hide_what_follows(source: Source) -> None:
    source.put(1, DAY)
    source.put(2, DAY.replace(year=2124))
    _, cursor = source.poll({})
    source.clock.now += timedelta(days=3)
    source.put(3, DAY + timedelta(days=3))
    assert "内科|3" in names(source.poll(cursor)[0])


def test_a_row_flagged_as_deleted_says_so(source: Source) -> None:
    source.put(1, DAY, gone="1")
    source.put(2, DAY, gone="0")
    assert [record.hints.get("deleted") for record in source.poll({})[0]] == ["1", None]


def test_rows_without_a_change_time_are_not_read(source: Source) -> None:
    source.put(1, None)
    source.put(2, DAY)
    assert names(source.poll({})[0]) == ["内科|2"]


@pytest.mark.parametrize("pages", [1, 2, 3, 4])
def test_a_restart_at_any_page_loses_nothing(source: Source, pages: int) -> None:
    for no in range(10):
        source.put(no, DAY + timedelta(seconds=no // 4))
    first, cursor = source.poll({}, pages)
    source.put(0, DAY + timedelta(seconds=1), name="改")  # behind the place it had come to
    second, cursor = source.poll(cursor)
    latest = {record.key: content(record)["name"] for record in first + second}
    assert latest == source.rows()
    assert source.poll(cursor)[0] == []


def test_the_source_cannot_be_written_through_the_connection(source: Source) -> None:
    source.put(1, DAY)
    database = source.connector()._database()
    with pytest.raises((SourceDenied, SourceUnavailable)), database.reading() as connection:
        connection.execute(sa.text("DELETE FROM item"))
    with pytest.raises(TypeError, match="only SELECT"), database.reading() as connection:
        database.select(connection, sa.delete(sa.table("item")))  # type: ignore[arg-type]
    assert source.rows()


def test_a_view_or_column_that_is_not_there_is_refused_by_name(source: Source) -> None:
    with pytest.raises(SourceDenied, match="v_none"):
        source.connector(name="v_none").check()
    with pytest.raises(SourceDenied, match="no column nothing"):
        source.connector(columns=("nothing",)).check()
    source.put(1, DAY)
    source.connector().check()
    with pytest.raises(SourceDenied, match="name is no time"):
        source.connector(changed_at="name").check()


@pytest.mark.parametrize("name", ["v_item; DROP TABLE item", "v_item--", '"v_item"', "a.b.c", "v item", "1v", ""])
def test_a_name_that_is_not_an_identifier_never_reaches_the_database(name: str) -> None:
    with pytest.raises(ValidationError):
        SqlConfig.model_validate({"url": "sqlite://", "views": [{"name": name, "key": ["a"], "changed_at": "b"}]})


def check(url: str) -> None:
    view = {"name": "v_item", "key": ["no"], "changed_at": "changed"}
    SqlConnector(SqlConfig.model_validate({"url": url, "views": [view]}), source="his", facility="CTY").check()


@pytest.mark.servers
@pytest.mark.parametrize("server", ["mariadb", "postgresql"])
def test_bad_credentials_are_told_from_a_server_that_is_down(server: str, request: pytest.FixtureRequest) -> None:
    url = sa.make_url(request.getfixturevalue(f"{server}_url"))
    with pytest.raises(SourceDenied) as denied:
        check(url.set(username="nobody", password="hunter2").render_as_string(hide_password=False))
    assert "hunter2" not in str(denied.value)
    with pytest.raises(SourceUnavailable):
        check(url.set(port=1).render_as_string(hide_password=False))


GRANTS = {
    "mariadb": ("CREATE USER lurker@'127.0.0.1' IDENTIFIED BY 'pw'",),
    "postgresql": ("CREATE ROLE lurker LOGIN PASSWORD 'pw'",),
}


@pytest.mark.servers
@pytest.mark.parametrize("server", ["mariadb", "postgresql"])
def test_an_account_without_rights_is_denied(server: str, request: pytest.FixtureRequest) -> None:
    owner = request.getfixturevalue(f"{server}_url")
    source = Source(owner)
    source.put(1, DAY)
    with source.engine.begin() as connection:
        for statement in GRANTS[server]:
            connection.execute(sa.text(statement))
    source.engine.dispose()
    with pytest.raises(SourceDenied):
        check(sa.make_url(owner).set(username="lurker", password="pw").render_as_string(hide_password=False))


@pytest.mark.parametrize(
    ("text", "minutes"), [("+08:00", 480), ("+8", 480), ("+8:00", 480), ("-0330", -210), ("Asia/Shanghai", 480), ("+00:00", 0)]
)
def test_a_zone_may_be_an_offset_or_a_name(text: str, minutes: int) -> None:
    assert zone_of(text).utcoffset(DAY) == timedelta(minutes=minutes)


def test_a_missing_sqlite_file_is_unavailable_and_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable):
        check(f"sqlite:///{tmp_path / 'none.db'}")
    assert not list(tmp_path.iterdir())


def test_the_url_may_come_from_a_file_or_the_environment_and_is_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    views = [{"name": "v", "key": ["k"], "changed_at": "c"}]
    (tmp_path / "url").write_text("sqlite:///secret.db\n")
    monkeypatch.setenv("HIS_URL", "sqlite:///other.db")
    by_file = SqlConfig.model_validate({"url_file": tmp_path / "url", "views": views})
    by_name = SqlConfig.model_validate({"url_env": "HIS_URL", "views": views})
    assert (by_file.read_url(), by_name.read_url()) == ("sqlite:///secret.db", "sqlite:///other.db")
    assert "secret" not in repr(SqlConfig.model_validate({"url": "sqlite:///secret.db", "views": views}))
    with pytest.raises(ValidationError, match="exactly one"):
        SqlConfig.model_validate({"url": "sqlite://", "url_env": "X", "views": views})


COUNTY = """
[[channel]]
name = "cty-his"
connector = "sql"
facility = "CTY"
zone = "Asia/Shanghai"
url = "sqlite:///{path}"
batch = 2
[[channel.views]]
name = "v_item"
key = ["ward", "no"]
changed_at = "changed"
"""


def test_a_channel_of_county_toml_becomes_a_connector(tmp_path: Path) -> None:
    source = Source(f"sqlite:///{tmp_path / 'his.db'}")
    for no in range(5):
        source.put(no, DAY)
    (tmp_path / "county.toml").write_text(COUNTY.format(path=tmp_path / "his.db"), "utf-8")
    (channel,) = load_county(tmp_path / "county.toml").channels
    polling = build(channel, lambda *records: ())
    polling.check()
    records = [record for page in polling.fetch({}) for record in page.records]  # type: ignore[union-attr]
    assert len(records) == 5
    assert records[0].changed_at
    assert records[0].changed_at.isoformat() == "2024-05-01T08:00:00+08:00"


Step = tuple[str, int, int]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 5), st.integers(-4, 3)),  # which row; seconds around the front, late ones too
        st.tuples(st.just("poll"), st.integers(1, 4), st.just(0)),  # how many pages before the process is killed
        st.tuples(st.just("wait"), st.integers(1, 8), st.just(0)),  # seconds that pass
    ),
    max_size=25,
)


@pytest.fixture(scope="module")
def fresh_source(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Source]:
    url = f"sqlite:///{tmp_path_factory.mktemp('sql') / 'his.db'}"
    return lambda: Source(url, overlap=5, batch=2, remember=3)


@settings(max_examples=35, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS)
def test_how_the_feed_is_cut_never_changes_what_is_got(fresh_source: Callable[[], Source], steps: list[Step]) -> None:
    source = fresh_source()
    got: dict[str, Any] = {}
    cursor: Cursor = {}
    front = DAY
    source.clock.now = DAY.replace(tzinfo=UTC) - timedelta(hours=8)  # the source's wall clock is +08:00
    for turn, (kind, number, seconds) in enumerate(steps):
        if kind == "write":
            source.put(number, front + timedelta(seconds=min(0, seconds)), name=str(turn))
        elif kind == "wait":
            front += timedelta(seconds=number)
            source.clock.now += timedelta(seconds=number)
        else:
            records, cursor = source.poll(cursor, number)
            got.update({record.key: content(record)["name"] for record in records})
    records, cursor = source.poll(cursor)
    got.update({record.key: content(record)["name"] for record in records})
    source.engine.dispose()
    assert got == source.rows()


def test_text_times_of_two_shapes_are_refused_by_name(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "his.db")
    database.execute("CREATE TABLE v_patient (patient_id TEXT, changed_at TEXT)")
    database.executemany("INSERT INTO v_patient VALUES (?, ?)", [("1", "2026-05-01 09:00:00"), ("2", "2026-05-01T08:00:00")])
    database.commit()
    view = {"name": "v_patient", "key": ["patient_id"], "changed_at": "changed_at"}
    config = SqlConfig.model_validate({"url": f"sqlite:///{tmp_path / 'his.db'}", "views": [view]})
    with pytest.raises(SourceDenied, match="v_patient: changed_at is text that mixes T and a space"):
        list(SqlConnector(config, source="his", facility="CTY").fetch({}))
