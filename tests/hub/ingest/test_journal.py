"""What the journal promises a sender: returned means kept, refused means not claimed, twice means once."""

from __future__ import annotations

import resource
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connectors.base import JournalUnavailable, SourceRecord
from hub.ingest.journal import INLINE, Journal, JournalCheckpoints, Selection
from hub.store.blobs import BlobStore

NOW = datetime(2024, 5, 1, 8, tzinfo=UTC)
ONE = SourceRecord("cty-lis", "CTY", "hl7v2", "M1", b"MSH|1", NOW, hints={"charset": "GB18030"})


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path, BlobStore(tmp_path / "blobs"))
    yield opened
    opened.close()


def test_records_are_numbered_without_gaps_and_come_back_as_they_were(journal):
    other = replace(ONE, key="M2", content=b"\xff\x00\x81", changed_at=NOW)
    assert journal(ONE, other) == (1, 2)
    assert [entry.record for entry in journal.after(0)] == [ONE, other]
    assert journal.after(1)[0].seq == 2
    assert journal.read(3) is None


def test_a_long_body_lies_in_the_blobs(journal, tmp_path):
    long = replace(ONE, content=b"x" * (INLINE + 1))
    (seq,) = journal(long)
    (entry,) = journal.after(0)
    assert entry.in_blobs
    assert entry.record.content == b""
    assert journal.read(seq).record == long
    assert BlobStore(tmp_path / "blobs").read(entry.sha256) == long.content


def test_the_same_record_again_is_counted_and_the_same_key_with_another_body_is_kept(journal):
    assert journal(ONE, ONE, replace(ONE, content=b"MSH|2")) == (1, 1, 2)
    assert journal.read(1).duplicates == 1
    assert journal.counts()["cty-lis"][:2] == (2, 1)


def test_a_row_that_goes_there_and_back_has_changed_twice(journal):
    there = replace(ONE, content=b"B")
    assert journal(ONE, there, ONE) == (1, 2, 3)
    assert journal(ONE) == (3,)


def test_an_old_statement_with_its_own_time_is_not_news(journal):
    first, second = replace(ONE, changed_at=NOW), replace(ONE, content=b"B", changed_at=NOW)
    assert journal(first, second, first) == (1, 2, 1)


def test_many_threads_share_the_journal(journal):
    numbers: list[int] = []
    threads = [
        threading.Thread(target=lambda t=t: numbers.extend(journal(*(replace(ONE, key=f"{t}-{i}") for i in range(25)))))
        for t in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(1, 201))


def test_it_is_all_there_after_opening_it_again(journal, tmp_path):
    journal(ONE)
    JournalCheckpoints(journal.file).save("his", {"v_patient": "2024"})
    journal.close()
    again = Journal(tmp_path, BlobStore(tmp_path / "blobs"))
    assert again.newest() == 1
    assert JournalCheckpoints(again.file).load("his") == {"v_patient": "2024"}
    assert JournalCheckpoints(again.file).load("other") == {}
    again.close()


def test_a_second_reader_sees_what_the_first_one_keeps(journal, tmp_path):
    beside = Journal(tmp_path, BlobStore(tmp_path / "blobs"))
    journal(ONE)
    assert beside.wait_for_more(0, timeout=0)
    assert beside.after(0)[0].record == ONE
    beside.close()


def test_selecting_by_what_records_are(journal):
    journal(ONE, replace(ONE, source="cty-his", kind="row/v_patient", key="7", received_at=NOW.replace(hour=9)))
    assert journal.select(Selection(source="cty-lis")) == [1]
    assert journal.select(Selection(kind="row/v_patient")) == [2]
    assert journal.select(Selection(since="2024-05-01T16:30:00+08:00")) == [2]
    assert journal.count(Selection(facility="CTY")) == 2


@pytest.mark.parametrize("size", [100, INLINE + 1])
def test_without_room_nothing_is_acknowledged_and_with_room_it_goes_on(journal, size, tmp_path):
    journal(ONE)
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard[1]))
    try:
        for key in ("M2", "M3"):
            with pytest.raises(JournalUnavailable):
                journal(replace(ONE, key=key, content=b"x" * size))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, hard)
    assert [entry.record.key for entry in journal.after(0)] == ["M1"]
    assert journal(replace(ONE, key="M4", content=b"x" * size)) == (2,)


def test_a_closed_journal_refuses(journal):
    journal.close()
    with pytest.raises(JournalUnavailable):
        journal(ONE)
