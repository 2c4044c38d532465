"""The SQL connector beside databases that are busy, step their clocks, fail, or hold text wrongly: real MariaDB and PostgreSQL."""

from __future__ import annotations

import itertools
import json
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from connectors.base import Cursor, SourceDenied, SourceRecord, SourceUnavailable
from connectors.sql.config import SqlConfig
from connectors.sql.connector import SqlConnector
from tests.connectors.test_sql import DAY, Source, content, names

SERVERS = ["mariadb", "postgresql"]


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.servers) for name in SERVERS])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def engine(url: str) -> Iterator[sa.Engine]:
    made = sa.create_engine(url)
    yield made
    made.dispose()


def connector(url: str, view: dict[str, Any], hints: dict[str, str] | None = None, **options: Any) -> SqlConnector:
    config = SqlConfig.model_validate({"url": url, "views": [view], "batch": 200, **options})
    return SqlConnector(config, source="his", facility="CTY", hints=hints or {"zone": "+00:00"})


def read(source: SqlConnector, cursor: Cursor) -> tuple[list[SourceRecord], Cursor]:
    records: list[SourceRecord] = []
    for page in source.fetch(cursor):
        records.extend(page.records)
        cursor = page.cursor
    return records, json.loads(json.dumps(dict(cursor)))


def run(engine: sa.Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))


# ---------------------------------------------------------------- writers at work


class Writers:
    """Transactions of a busy HIS: stamped when they write, committed later, in another order, or not at all."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        postgresql = engine.dialect.name == "postgresql"
        time_type = "TIMESTAMP(6)" if postgresql else "DATETIME(6)"
        self._now = "clock_timestamp()" if postgresql else "SYSDATE(6)"
        run(
            engine,
            "DROP TABLE IF EXISTS busy",
            f"CREATE TABLE busy (no INTEGER PRIMARY KEY, version INTEGER NOT NULL, changed {time_type} NOT NULL)",
            "CREATE INDEX busy_changed ON busy (changed, no)",
        )
        self.failed: list[BaseException] = []

    def work(self, seed: int, until: float) -> None:
        chance = random.Random(seed)
        number = seed * 100_000
        try:
            while time.monotonic() < until:
                number = self._transaction(chance, seed, number)
        except BaseException as error:
            self.failed.append(error)

    def _transaction(self, chance: random.Random, seed: int, number: int) -> int:
        with self._engine.connect() as connection:
            before = number
            for _ in range(chance.randint(1, 8)):
                number += 1
                self._put(connection, number)
            if before > seed * 100_000:
                again = chance.randint(seed * 100_000 + 1, before)
                connection.execute(sa.text(f"UPDATE busy SET version = version + 1, changed = {self._now} WHERE no = {again}"))
            threading.Event().wait(chance.choice((0, 0, 0.02, 0.3)))  # committed after others that began later
            if chance.random() < 0.1:
                connection.rollback()
                return before
            connection.commit()
        return number

    def _put(self, connection: sa.Connection, number: int) -> None:
        connection.execute(sa.text(f"INSERT INTO busy VALUES ({number}, 1, {self._now})"))

    def load(self, count: int) -> None:
        """A bulk load: every row has the same time."""
        with self._engine.begin() as connection:
            at = connection.execute(sa.text(f"SELECT {self._now}")).scalar_one()
            rows = [{"no": 900_000 + n, "at": at} for n in range(count)]
            connection.execute(sa.text("INSERT INTO busy VALUES (:no, 1, :at)"), rows)

    def rows(self) -> dict[str, int]:
        with self._engine.connect() as connection:
            return {str(no): version for no, version in connection.execute(sa.text("SELECT no, version FROM busy"))}


def test_nothing_is_lost_or_doubled_while_others_write_and_the_reader_is_killed(engine: sa.Engine, url: str) -> None:
    writers = Writers(engine)
    until = time.monotonic() + 2.5
    threads = [threading.Thread(target=writers.work, args=(seed, until)) for seed in range(1, 5)]
    view = {"name": "busy", "key": ["no"], "changed_at": "changed"}
    options: dict[str, Any] = {"overlap": 10, "remember": 50_000}  # far longer than any transaction, also on a busy machine
    latest: dict[str, tuple[str, int]] = {}
    sent: Counter[tuple[str, int]] = Counter()
    cursor: Cursor = {}
    for thread in threads:
        thread.start()
    writers.load(3_000)
    over = False
    for scan in itertools.count():
        last, over = over, not any(thread.is_alive() for thread in threads)
        for page in connector(url, view, **options).fetch(cursor):
            for record in page.records:
                version = json.loads(record.content)["version"]
                sent[record.key, version] += 1
                latest[record.key] = max(latest.get(record.key, ("", 0)), (str(record.changed_at), version))
            if scan % 2 == 0 and not over:  # killed: what was journaled comes again, for the cursor was not saved
                sent.subtract((record.key, json.loads(record.content)["version"]) for record in page.records)
                break
            cursor = json.loads(json.dumps(dict(page.cursor)))
        if last:
            break
    for thread in threads:
        thread.join()
    assert writers.failed == []
    assert {key: version for key, (_, version) in latest.items()} == writers.rows()
    assert [twice for twice, count in sent.items() if count > 1] == []


def test_a_session_that_is_ended_in_the_middle_goes_on_where_it_was(engine: sa.Engine, url: str) -> None:
    writers = Writers(engine)
    writers.load(900)
    view = {"name": "busy", "key": ["no"], "changed_at": "changed"}
    source = connector(url, view)
    pages = source.fetch({})
    first = next(pages)
    _end_sessions(engine)
    with pytest.raises((SourceUnavailable, SourceDenied)):
        next(pages)
    assert len(first.records) == 200
    rest, _ = read(source, first.cursor)
    assert sorted(names([*first.records, *rest])) == sorted(writers.rows())


def _end_sessions(engine: sa.Engine) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if engine.dialect.name == "postgresql":
            others = "pid <> pg_backend_pid() AND backend_type = 'client backend'"
            connection.execute(sa.text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"))
            return
        own = connection.execute(sa.text("SELECT connection_id()")).scalar_one()
        for row in connection.execute(sa.text("SHOW PROCESSLIST")).all():
            if row[0] != own and row[1] == "owner":
                connection.execute(sa.text(f"KILL {row[0]}"))


def test_a_statement_that_takes_too_long_is_given_up(engine: sa.Engine, url: str) -> None:
    postgresql = engine.dialect.name == "postgresql"
    slow = "pg_sleep(30) IS NOT NULL" if postgresql else "BENCHMARK(2000000000, MD5(no)) = 0"
    day = f"CAST('2024-05-06' AS {'TIMESTAMP' if postgresql else 'DATETIME'})"
    run(
        engine,
        "DROP VIEW IF EXISTS slow",
        "DROP TABLE IF EXISTS slow_base",
        "CREATE TABLE slow_base (no INTEGER PRIMARY KEY)",
        "INSERT INTO slow_base VALUES (1)",
        f"CREATE VIEW slow AS SELECT no, CASE WHEN {slow} THEN {day} END AS changed FROM slow_base",
    )
    begun = time.monotonic()
    with pytest.raises(SourceUnavailable):
        read(connector(url, {"name": "slow", "key": ["no"], "changed_at": "changed"}, timeout=1), {})
    assert time.monotonic() - begun < 20
    run(engine, "DROP VIEW slow")


# ---------------------------------------------------------------- rights and steps


ACCOUNT = {  # how an account that may only read is made …
    "mysql": ("CREATE OR REPLACE USER reading@'127.0.0.1' IDENTIFIED BY 'pw'", "GRANT SELECT ON his.one TO reading@'127.0.0.1'"),
    "postgresql": ("CREATE ROLE reading LOGIN PASSWORD 'pw'", "GRANT SELECT ON one TO reading"),
}
ACCOUNT_GONE = {  # … and how it goes again
    "mysql": ("DROP USER reading@'127.0.0.1'",),
    "postgresql": ("DROP OWNED BY reading", "DROP ROLE reading"),
}


def test_a_check_goes_step_by_step_and_tells_an_account_that_may_write(
    engine: sa.Engine, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    made, gone = ACCOUNT[engine.dialect.name], ACCOUNT_GONE[engine.dialect.name]
    table = "CREATE TABLE one (no INTEGER PRIMARY KEY, at TIMESTAMP NULL)"
    run(engine, "DROP TABLE IF EXISTS one", table, "INSERT INTO one VALUES (1, '2024-05-06 08:00:00')", *made)
    view = {"name": "one", "key": ["no"], "changed_at": "at"}
    try:
        steps = list(connector(url, view).steps())
        assert [step.name for step in steps] == ["address", "port", "login", "rights", "view one"]
        assert [step.name for step in steps if step.warning] == ["rights"]
        with caplog.at_level("WARNING"):
            connector(url, view).check()
        assert "the account may also write" in caplog.text
        with pytest.raises(SourceDenied, match="rights: the account may also write"):
            connector(url, view, writer="refuse").check()
        reader = sa.make_url(url).set(username="reading", password="pw").render_as_string(hide_password=False)
        steps = list(connector(reader, view, writer="refuse").steps())
        assert [step for step in steps if step.warning] == []
        with pytest.raises(SourceDenied, match="view one: no column nothing"):
            list(connector(reader, {**view, "key": ["nothing"]}).steps())
    finally:
        run(engine, *gone)


def test_a_server_that_cannot_be_reached_is_told_by_the_step_that_failed() -> None:
    view = {"name": "v", "key": ["k"], "changed_at": "c"}
    with pytest.raises(SourceUnavailable, match=r"address: no computer of the name his\.invalid"):
        connector("postgresql+psycopg://u:hunter2@his.invalid/x", view).check()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        with pytest.raises(SourceUnavailable, match=r"port: nothing listens on 127\.0\.0\.1") as told:
            connector(f"mysql+pymysql://u:hunter2@127.0.0.1:{probe.getsockname()[1]}/x", view).check()
    assert "hunter2" not in str(told.value)
    with pytest.raises(SourceUnavailable, match="the driver oracledb is not installed"):
        connector("oracle+oracledb://u:p@127.0.0.1/x", view).check()


# ---------------------------------------------------------------- clocks


def test_rows_written_after_the_sources_clock_was_set_back_are_found(tmp_path: Path) -> None:
    source = Source(f"sqlite:///{tmp_path / 'his.db'}", overlap=60)

    def at() -> datetime:
        return (source.clock.now + source.skew + timedelta(hours=8)).replace(tzinfo=None)

    source.put(1, at())
    _, cursor = source.poll({})
    source.clock.now += timedelta(minutes=5)
    _, cursor = source.poll(cursor)  # settled: nothing before row 1 is looked for any more
    source.skew = timedelta(hours=-1)
    seen: list[str] = []
    for no in range(2, 12):
        source.clock.now += timedelta(minutes=10)
        source.put(no, at())
        records, cursor = source.poll(cursor)
        seen += names(records)
    assert set(seen) >= {f"内科|{no}" for no in range(2, 12)}
    _, cursor = source.poll(cursor)
    source.clock.now += timedelta(hours=2)
    assert source.poll(cursor)[0] == []
    _, cursor = source.poll(cursor)
    assert "left" not in cursor["v_item"]  # made up for, and forgotten


# ---------------------------------------------------------------- views without a change time


@pytest.fixture
def plain(tmp_path: Path) -> Source:
    return Source(f"sqlite:///{tmp_path / 'his.db'}")


def test_a_column_that_grows_brings_new_rows_and_those_that_commit_late(plain: Source) -> None:
    def poll(cursor: Cursor) -> tuple[list[str], Cursor]:
        records, after = read(
            connector(plain.url, {"name": "v_item", "key": ["ward", "no"], "grows": "no", "tail": 5}, batch=3), cursor
        )
        return names(records), after

    for no in (1, 2, 3, 5, 6, 7, 8, 9):
        plain.put(no, None)
    got, cursor = poll({})
    assert got == [f"内科|{no}" for no in (1, 2, 3, 5, 6, 7, 8, 9)]
    assert poll(cursor)[0] == []
    plain.put(10, None)
    plain.put(7, None, ward="外科")  # numbered before 10, committed with it
    plain.put(8, None, name="改")
    assert sorted(poll(cursor)[0]) == ["内科|10", "内科|8", "外科|7"]
    pages = connector(plain.url, {"name": "v_item", "key": ["ward", "no"], "grows": "no", "tail": 5}, batch=3).fetch({})
    cut = next(pages)
    rest, _ = poll(cut.cursor)
    assert sorted(names(list(cut.records)) + rest) == sorted(plain.rows())


def test_rows_with_neither_are_compared_and_only_blocks_that_differ_are_sent(plain: Source) -> None:
    view = {"name": "v_item", "key": ["ward", "no"], "compare_every": 60, "columns": ["name"]}
    with plain.engine.begin() as connection:
        rows = [{"no": n} for n in range(4_000)]
        connection.execute(sa.text("INSERT INTO item (ward, no, name) VALUES ('内科', :no, '甲')"), rows)

    def reader() -> SqlConnector:
        config = SqlConfig.model_validate({"url": plain.url, "views": [view], "batch": 700})
        return SqlConnector(config, source="his", facility="CTY", clock=plain.clock)

    first, cursor = read(reader(), {})
    assert len(first) == len(set(names(first))) == 4_000
    assert read(reader(), cursor)[0] == []  # not yet time
    plain.clock.now += timedelta(seconds=61)
    assert read(reader(), cursor)[0] == []
    plain.put(1_234, None, name="乙")
    plain.put(4_321, None)
    changed, after = read(reader(), cursor)
    assert {"内科|1234", "内科|4321"} <= set(names(changed))
    assert len(changed) < 3_000
    plain.clock.now += timedelta(seconds=61)
    assert read(reader(), after)[0] == []
    pages = reader().fetch({})
    cut = [next(pages), next(pages)]
    rest, _ = read(reader(), cut[1].cursor)
    assert sorted(names([record for page in cut for record in page.records] + rest)) == sorted(plain.rows())


# ---------------------------------------------------------------- text under a character set that it is not


def test_gbk_held_as_latin1_is_read_as_what_it_is(mariadb_url: str) -> None:
    engine = sa.create_engine(mariadb_url)
    latin1, utf8 = "VARCHAR(80) CHARACTER SET latin1", "VARCHAR(80) CHARACTER SET utf8mb4"
    made = f"CREATE TABLE old (no INT PRIMARY KEY, name {latin1}, plain {utf8}, gone {latin1})"
    run(engine, "DROP TABLE IF EXISTS old", made)
    with engine.begin() as connection:
        gbk = tuple(text.encode("gb18030") for text in ("王小明、镕𠮷", "是"))
        connection.exec_driver_sql("INSERT INTO old VALUES (1, %s, '已是', %s)", gbk)
        connection.exec_driver_sql("INSERT INTO old VALUES (2, 'ASCII', NULL, '0')")
    engine.dispose()
    view = {"name": "old", "key": ["no"], "deleted": "gone"}
    hints = {"charset": "GB18030", "zone": "+08:00"}
    records, _ = read(connector(mariadb_url, view, hints, stored_as="latin1"), {})
    assert [(content(record)["name"], content(record)["plain"]) for record in records] == [
        ("王小明、镕𠮷", "已是"),
        ("ASCII", None),
    ]
    assert [record.hints.get("deleted") for record in records] == ["1", None]


def test_bytes_of_an_sql_ascii_database_are_read_as_what_they_are(postgresql_url: str) -> None:
    owner = sa.create_engine(postgresql_url, isolation_level="AUTOCOMMIT")
    with owner.connect() as connection:
        connection.execute(sa.text("DROP DATABASE IF EXISTS old"))
        connection.execute(sa.text("CREATE DATABASE old ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"))
    owner.dispose()
    old = sa.make_url(postgresql_url).set(database="old")
    engine = sa.create_engine(old, connect_args={"client_encoding": "latin1"})
    run(engine, "CREATE TABLE old (no INT PRIMARY KEY, name TEXT)")
    with engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO old VALUES (1, :name)"), {"name": "王小明".encode("gbk").decode("latin1")})
    engine.dispose()
    url = old.render_as_string(hide_password=False)
    records, _ = read(connector(url, {"name": "old", "key": ["no"]}, {"charset": "gbk"}, stored_as="latin1"), {})
    assert content(records[0])["name"] == "王小明"


def test_a_day_of_rows_is_read_within_a_few_pages_of_memory(plain: Source) -> None:
    """A page at a time, and a cursor that does not grow with the view."""
    with plain.engine.begin() as connection:
        rows = ({"no": n, "at": (DAY + timedelta(seconds=n)).isoformat(sep=" ")} for n in range(10_000))
        connection.execute(sa.text("INSERT INTO item (ward, no, name, changed) VALUES ('内科', :no, '甲', :at)"), list(rows))
    plain.clock.now = datetime(2024, 6, 1, tzinfo=UTC)
    sizes = [(len(page.records), len(json.dumps(dict(page.cursor)))) for page in _paged(plain)]
    assert sum(count for count, _ in sizes) == 10_000
    assert max(count for count, _ in sizes) == 2_000
    assert max(size for _, size in sizes) < 50_000


def _paged(plain: Source) -> Iterator[Any]:
    plain.options = {"overlap": 300, "batch": 2_000}
    return plain.connector().fetch({})
