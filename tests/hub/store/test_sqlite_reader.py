"""A second process beside the writing one."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager

import apsw
import pytest

from hub.errors import Unavailable
from hub.store.port import EVERYTHING, Key
from hub.store.sqlite import SqliteReader, SqliteStore
from hub.store.sqlite.schema import VERSION
from tests.contracts.resources import delete, patient, save


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "store"


@contextmanager
def reading_process(folder):
    """Ask it a line, get a line."""
    command = [sys.executable, "-m", "tests.hub.store.reading_process", str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:

        def ask(line=""):
            process.stdin.write(line + "\n")
            return process.stdout.readline().strip()

        yield ask
        process.stdin.close()
    assert process.returncode == 0


def test_another_process_reads_what_was_committed_last_and_never_writes(folder):
    store = SqliteStore(folder)
    with reading_process(folder) as ask:
        assert ask() == ""
        for number in range(5):
            save(store, patient(number), f"p{number}")
            assert ask().split() == [f"p{n}" for n in range(number, -1, -1)]
        delete(store, "Patient", "p3")
        assert ask() == "p4 p2 p1 p0"
        assert ask("write") == "Unavailable: this process only reads the store"
        store.close()
        assert ask() == "p4 p2 p1 p0", "the owner is gone, its records are not"
        store = SqliteStore(folder)
        save(store, patient(9), "p9")
        assert ask() == "p9 p4 p2 p1 p0"
    store.close()


def test_a_reader_finds_what_a_killed_writer_had_committed(folder):
    store = SqliteStore(folder)
    save(store, patient(1), "p1")
    program = (
        "import os, sys, pathlib; from hub.store.sqlite import SqliteStore; from tests.contracts.resources import *; "
        "s = SqliteStore(pathlib.Path(sys.argv[1])); save(s, patient(2), 'p2'); os.kill(os.getpid(), 9)"
    )
    store.close()
    subprocess.run([sys.executable, "-c", program, str(folder)], check=False)
    reader = SqliteReader(folder)
    assert reader.read(Key("Patient", "p2")).version == 1
    assert len(reader.changes(EVERYTHING, count=5).versions) == 2
    reader.close()


def test_a_reader_needs_a_store_that_is_there_and_up_to_date(folder):
    with pytest.raises(Unavailable, match="holds no store"):
        SqliteReader(folder)
    SqliteStore(folder).close()
    connection = apsw.Connection(str(folder / "store.sqlite"))
    connection.execute("UPDATE meta SET value = '1' WHERE name = 'schema'")
    connection.close()
    with pytest.raises(Unavailable, match=f"schema 1; this program reads schema {VERSION}"):
        SqliteReader(folder)


def test_a_store_of_the_first_release_is_brought_up_to_date_when_it_is_opened(folder):
    store = SqliteStore(folder)
    for number in range(3):
        save(store, patient(number), "p1")
    delete(store, "Patient", "p1")
    store.close()
    connection = apsw.Connection(str(folder / "store.sqlite"))
    connection.execute("""
        DROP TABLE item; DROP INDEX reference_of; DROP INDEX history_updated; ALTER TABLE history DROP COLUMN type;
        DROP INDEX resource_updated; ALTER TABLE tally DROP COLUMN discarded;
        CREATE INDEX resource_updated ON resource (type, updated) WHERE deleted = 0;
        UPDATE meta SET value = '2' WHERE name = 'schema'""")
    connection.close()
    store = SqliteStore(folder)
    assert [v.version for v in store.changes(EVERYTHING, type="Patient", count=9).versions] == [4, 3, 2, 1]
    store.write(lambda t: t.put_item("s", "k", b"v")).result(30)
    assert save(store, patient(7), "p1").version.version == 5
    assert store.changes(EVERYTHING, count=1).versions[0].version == 5
    assert store.check() == []
    store.close()
