"""What only the embedded store promises: its file, its lock, its one writer."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from hub.clock import instant
from hub.errors import Unavailable
from hub.search.entries import Date, Entry, String
from hub.search.query import Criterion, SearchQuery, Sort, StringValue
from hub.store.indexer import standard_indexer
from hub.store.port import EVERYTHING, Key, TooCostly
from hub.store.sqlite import SqliteStore
from tests.contracts.resources import every_id, observation, patient, reference, save, token


@pytest.fixture
def store(tmp_path):
    opened = SqliteStore(tmp_path / "store", clock=lambda: 1_700_000_000_000)
    yield opened
    opened.close()


def until(condition):
    pause = threading.Event()
    for _ in range(3000):
        if condition():
            return
        pause.wait(0.02)
    raise AssertionError("it did not come")


def test_an_instant_has_milliseconds_and_is_utc():
    assert [instant(ms) for ms in (0, 1_700_000_000_007)] == ["1970-01-01T00:00:00.000Z", "2023-11-14T22:13:20.007Z"]


def test_a_second_process_is_refused_and_told_who_has_the_folder(tmp_path, store):
    program = (
        "import sys; from pathlib import Path; from hub.store.sqlite import SqliteStore; "
        "SqliteStore(Path(sys.argv[1]), lock_seconds=0.1)"
    )
    second = subprocess.run([sys.executable, "-c", program, str(tmp_path / "store")], capture_output=True, text=True, check=False)
    assert second.returncode != 0
    assert "is in use by another process (process " in second.stderr


def test_the_folder_is_free_again_after_close_and_everything_is_there(tmp_path):
    for number in range(3):
        store = SqliteStore(tmp_path / "store")
        save(store, patient(number), f"p{number}")
        store.close()
        with pytest.raises(Unavailable):
            store.write(lambda t: None)
        with pytest.raises(Unavailable):
            store.read(Key("Patient", "p0"))
    assert not (tmp_path / "store" / "store.sqlite-wal").exists() or not (tmp_path / "store" / "store.sqlite-wal").stat().st_size
    store = SqliteStore(tmp_path / "store")
    assert every_id(store, SearchQuery("Patient")) == ["p2", "p1", "p0"]
    store.close()


def test_a_file_of_another_schema_is_refused(tmp_path, store):
    store.close()
    connection = apsw.Connection(str(tmp_path / "store" / "store.sqlite"))
    connection.execute("UPDATE meta SET value = '99' WHERE name = 'schema'")
    connection.close()
    with pytest.raises(Unavailable, match="schema 99"):
        SqliteStore(tmp_path / "store")
    (tmp_path / "other").mkdir()
    foreign = apsw.Connection(str(tmp_path / "other" / "store.sqlite"))
    foreign.execute("CREATE TABLE t (a)")
    foreign.close()
    with pytest.raises(Unavailable, match="not of this hub"):
        SqliteStore(tmp_path / "other")


def test_a_damaged_file_is_named_and_the_folder_let_go(tmp_path, store):
    store.close()
    (tmp_path / "store" / "store.sqlite").write_bytes(b"no database at all" * 1000)
    for _ in range(2):
        with pytest.raises(Unavailable, match="damaged: restore a backup"):
            SqliteStore(tmp_path / "store", lock_seconds=0.1)


def test_a_file_that_cannot_be_opened_is_named_and_the_folder_let_go(tmp_path):
    (tmp_path / "store.sqlite").mkdir()
    for _ in range(2):
        with pytest.raises(Unavailable, match=r"store\.sqlite cannot be opened to write: CantOpenError"):
            SqliteStore(tmp_path, lock_seconds=0.1)


def test_writes_that_wait_together_share_a_commit_and_close_finishes_them(tmp_path):
    store = SqliteStore(tmp_path / "store")
    started, go = threading.Event(), threading.Event()
    first = store.write(lambda t: (started.set(), go.wait(30)))
    started.wait(30)
    futures = [store.write(lambda t, n=n: t.save(patient(n), id=f"p{n}")) for n in range(100)]
    assert not any(future.done() for future in futures)
    go.set()
    store.close()
    assert first.result(0)
    assert all(future.result(0).created for future in futures)


def test_nobody_hears_of_success_before_the_commit(store):
    """Two jobs of one group: when the first one's future is done, the second one's change is committed too."""
    started, go = threading.Event(), threading.Event()
    store.write(lambda t: (started.set(), go.wait(30)))
    started.wait(30)
    seen = []
    one = store.write(lambda t: t.save(patient(1), id="p1"))
    one.add_done_callback(lambda _: seen.append(store.read_many([Key("Patient", "p1"), Key("Patient", "p2")])))
    store.write(lambda t: t.save(patient(2), id="p2"))
    go.set()
    store.write(lambda t: None).result(30)
    assert [len(versions) for versions in seen] == [2]


def test_a_write_inside_a_write_is_an_error_and_not_a_deadlock(store):
    with pytest.raises(RuntimeError):
        store.write(lambda t: store.write(lambda t: None).result()).result(30)


def test_a_search_past_its_limit_is_stopped_and_the_store_goes_on(tmp_path):
    store = SqliteStore(tmp_path / "store", statement_seconds=0.0)
    store.write(lambda t: [t.save(observation(when=f"20{n % 90 + 10}"), id=f"o{n}") for n in range(3000)]).result(60)
    costly = SearchQuery("Observation", (token("code", "718-7", modifier="not"),), (Sort("date", "date"), Sort("code", "token")))
    with pytest.raises(TooCostly):
        store.search(costly, EVERYTHING)
    with pytest.raises(TooCostly):
        store.write(lambda t: t.find(costly)).result(30)
    assert store.read(Key("Observation", "o1")).version == 1
    assert save(store, patient(), "p1").created
    store.close()


def test_a_backup_is_a_store_of_its_own_while_writes_go_on(tmp_path, store):
    store.write(lambda t: [t.save(patient(n), id=f"p{n}") for n in range(500)]).result(30)
    (tmp_path / "copy").mkdir()
    later = [store.write(lambda t, n=n: t.save(patient(n), id=f"q{n}")) for n in range(50)]
    store.backup(tmp_path / "copy" / "store.sqlite")
    for future in later:
        future.result(30)
    copy = SqliteStore(tmp_path / "copy")
    assert copy.check() == []
    assert len([name for name in every_id(copy, SearchQuery("Patient", count=1000)) if name.startswith("p")]) == 500
    assert save(copy, patient(), "new").created
    copy.close()


def test_reindexing_finds_by_what_is_extracted_now(tmp_path):
    full = standard_indexer()
    poor = replace(full, extract=lambda resource: [], compartment_of=lambda resource: "")
    store = SqliteStore(tmp_path / "store", indexer=poor)
    save(store, observation(), "o1")
    save(store, {**patient(), "name": [{"text": "王小明"}]}, "p1")
    by_patient = SearchQuery("Observation", (reference("subject", "Patient", "p1"),))
    by_name = SearchQuery("Patient", (Criterion("name", "string", (StringValue("王"),)),))
    assert every_id(store, by_patient) == every_id(store, by_name) == []
    store.close()
    store = SqliteStore(tmp_path / "store")
    told = []
    assert store.reindex(lambda done, total: told.append((done, total))) == 2
    assert told == [(2, 2)]
    assert (every_id(store, by_patient), every_id(store, by_name)) == (["o1"], ["p1"])
    assert store.read(Key("Observation", "o1")).patient == "p1"
    store.close()


def test_reindexing_in_pieces_removes_what_is_no_longer_extracted(tmp_path):
    full = standard_indexer()
    stray = [Entry("name", String("stray", "Stray")), Entry("birthdate", Date(0, 86_400_000))]
    store = SqliteStore(tmp_path / "store", indexer=replace(full, extract=lambda resource: [*full.extract(resource), *stray]))
    save(store, {**patient(), "name": [{"text": "王小明"}]}, "p1")
    store.close()
    store = SqliteStore(tmp_path / "store")
    by_name = {name: SearchQuery("Patient", (Criterion("name", "string", (StringValue(name),)),)) for name in ("stray", "王")}
    assert every_id(store, by_name["stray"]) == ["p1"]
    assert store.write(lambda transaction: transaction.reindex("Patient")).result().done == 1
    assert {name: every_id(store, query) for name, query in by_name.items()} == {"stray": [], "王": ["p1"]}
    assert store.check_index(sample=None) == (1, [])
    store.close()


def test_a_full_disk_fails_the_write_clearly_and_the_store_goes_on_when_there_is_room(tmp_path, store):
    store.write(lambda t: t.save(patient(), id="p0")).result(30)
    pages = int(store._writing.execute("PRAGMA page_count").get)
    store._writing.execute(f"PRAGMA max_page_count = {pages}")  # as good as a full disk, for SQLite
    big = {**patient(), "text": {"status": "generated", "div": "x" * 500_000}}
    with pytest.raises(Unavailable, match="disk is full"):
        store.write(lambda t: t.save(big, id="big")).result(30)
    assert store.read(Key("Patient", "p0")).version == 1
    store._writing.execute(f"PRAGMA max_page_count = {pages * 1000}")
    assert store.write(lambda t: t.save(big, id="big")).result(30).created


def test_a_long_read_keeps_its_snapshot_and_holds_up_no_write(store):
    save(store, patient(), "p0")
    with store._readers.snapshot() as reading:
        assert reading.execute("SELECT count(*) FROM resource").get == 1
        for number in range(1, 4):
            store.write(lambda t, number=number: t.save(patient(number), id=f"p{number}")).result(30)
            until(lambda: store._writer._log_pages == 0)  # the idle writer turns to the log
        assert reading.execute("SELECT count(*) FROM resource").get == 1
    assert len(every_id(store, SearchQuery("Patient"))) == 4


def test_the_log_is_folded_into_the_file_when_the_writer_is_idle(tmp_path, store):
    store.write(lambda t: [t.save(patient(n), id=f"p{n}") for n in range(300)]).result(30)
    log = Path(tmp_path / "store" / "store.sqlite-wal")
    until(lambda: log.stat().st_size == 0)


def test_a_log_whose_index_finds_no_room_to_grow_is_a_full_disk_and_no_broken_one(store):
    """SQLite says SQLITE_IOERR_SHMSIZE there, which is an I/O error and yet means that nothing was written."""

    def no_room(_: object) -> None:
        raise apsw.exception_for(apsw.SQLITE_IOERR_SHMSIZE)

    with pytest.raises(Unavailable, match="disk is full"):
        store.write(no_room).result(30)
    assert store.write(lambda t: t.save(patient(), id="p1")).result(30).created
