"""The drop folder, entered as its senders do: by writing files."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connectors.base import Page, SourceDenied, SourceRecord, SourceUnavailable
from connectors.files.config import FilesConfig
from connectors.files.connector import FilesConnector

BY_NAME = {"*.xml": "cda", "*.hl7": "hl7v2", "*.dcm": "dicom"}


class Clock:
    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def connector(folder: Path, clock: Clock, **options: object) -> FilesConnector:
    config = FilesConfig.model_validate({"folder": folder, "settle_seconds": 2, "patterns": BY_NAME, **options})
    split = {"hl7v2": lambda content: [b"MSH" + part for part in content.split(b"MSH") if part]}
    return FilesConnector(config, source="emr", facility="CTY", hints={"zone": "+08:00"}, clock=clock, splitters=split)


def drop(folder: Path, name: str, content: bytes, clock: Clock, age: float = 10) -> Path:
    path = folder / name
    path.write_bytes(content)
    at = clock.now.timestamp() - age
    os.utime(path, (at, at))
    return path


def pages(source: FilesConnector) -> list[Page]:
    return list(source.fetch({}))


def records(source: FilesConnector) -> list[SourceRecord]:
    return [record for page in pages(source) for record in page.records]


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def test_a_complete_file_is_read_byte_for_byte_and_moved_once_it_is_journaled(tmp_path: Path, clock: Clock) -> None:
    drop(tmp_path, "病历.XML", b"<a/>\r\n", clock)
    source = connector(tmp_path, clock)
    source.check()
    (page,) = pages(source)
    (record,) = page.records
    assert (record.kind, record.content, record.facility, dict(page.cursor)) == ("cda", b"<a/>\r\n", "CTY", {})
    assert record.key.startswith("病历.XML#")
    assert files(tmp_path) == ["病历.XML"]
    source.done(page)
    assert files(tmp_path) == ["done/病历.XML"]
    assert records(source) == []


def test_a_file_still_being_written_waits(tmp_path: Path, clock: Clock) -> None:
    source = connector(tmp_path, clock)
    drop(tmp_path, "a.xml", b"<a", clock, age=0)
    assert records(source) == []
    clock.now += timedelta(seconds=1)
    drop(tmp_path, "a.xml", b"<a/>", clock, age=0)
    assert records(source) == []
    clock.now += timedelta(seconds=3)
    assert [record.content for record in records(source)] == [b"<a/>"]


def test_a_file_dated_in_the_future_is_taken_once_it_rests(tmp_path: Path, clock: Clock) -> None:
    source = connector(tmp_path, clock)
    drop(tmp_path, "a.xml", b"<a/>", clock, age=-86400)
    assert records(source) == []
    clock.now += timedelta(seconds=3)
    assert len(records(source)) == 1


@pytest.mark.parametrize("name", [".a.xml", "a.xml.part", "a.tmp", "a.xml~", "notes.txt"])
def test_names_that_are_not_meant_for_us_are_left_alone(tmp_path: Path, clock: Clock, name: str) -> None:
    drop(tmp_path, name, b"<a/>", clock)
    assert records(connector(tmp_path, clock)) == []
    assert files(tmp_path) == [name]


def test_several_messages_of_one_file_are_records_of_their_own(tmp_path: Path, clock: Clock) -> None:
    drop(tmp_path, "day.hl7", b"MSH|1\rMSH|2\rMSH|2\r", clock)
    source = connector(tmp_path, clock)
    (page,) = pages(source)
    assert [record.content for record in page.records] == [b"MSH|1\r", b"MSH|2\r", b"MSH|2\r"]
    assert len({record.key for record in page.records}) == 3
    source.done(page)
    assert files(tmp_path) == ["done/day.hl7"]


def test_a_batch_file_is_split_as_the_hl7_listener_splits(tmp_path: Path, clock: Clock) -> None:
    first, second = (f"MSH|^~\\&|LIS|CTY|HUB|CTY|20240506||ACK|{n}|P|2.4\rMSA|AA|{n}\r".encode() for n in (1, 2))
    drop(tmp_path, "day.hl7", first + second, clock)
    source = FilesConnector(FilesConfig(folder=tmp_path), source="lis", facility="CTY", clock=clock)
    assert [record.content.strip() for record in records(source)] == [first.strip(), second.strip()]


def test_the_same_file_again_has_the_same_key_and_both_copies_are_kept(tmp_path: Path, clock: Clock) -> None:
    source = connector(tmp_path, clock)
    keys = []
    for _ in range(3):
        drop(tmp_path, "a.xml", b"<a/>", clock)
        (page,) = pages(source)
        keys += [record.key for record in page.records]
        source.done(page)
    assert len(set(keys)) == 1
    assert files(tmp_path) == ["done/a.2.xml", "done/a.3.xml", "done/a.xml"]


def test_a_file_written_anew_before_it_was_moved_is_read_again(tmp_path: Path, clock: Clock) -> None:
    source = connector(tmp_path, clock)
    drop(tmp_path, "a.xml", b"<a/>", clock)
    (page,) = pages(source)
    drop(tmp_path, "a.xml", b"<b/>", clock, age=5)
    source.done(page)
    assert [record.content for record in records(source)] == [b"<b/>"]


def test_a_kill_before_the_move_only_repeats(tmp_path: Path, clock: Clock) -> None:
    drop(tmp_path, "a.xml", b"<a/>", clock)
    first, again = records(connector(tmp_path, clock)), records(connector(tmp_path, clock))
    assert [record.key for record in first] == [record.key for record in again]


def test_what_cannot_be_taken_goes_to_failed_with_a_reason(tmp_path: Path, clock: Clock) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    secret = drop(outside, "secret.txt", b"shadow", clock)
    folder = tmp_path / "drop"
    folder.mkdir()
    drop(folder, "big.xml", b"x" * 101, clock)
    drop(folder, "empty.xml", b"", clock)
    drop(folder, "good.xml", b"<a/>", clock)
    (folder / "link.xml").symlink_to(secret)
    os.mkfifo(folder / "pipe.xml")
    clock.now += timedelta(seconds=3)
    source = connector(folder, clock, max_bytes=100, settle_seconds=0)
    assert [record.content for record in records(source)] == [b"<a/>"]
    failed = [name for name in files(folder) if name.endswith(".reason.txt")]
    assert failed == [f"failed/{name}.xml.reason.txt" for name in ("big", "empty", "link", "pipe")]
    assert "101 bytes" in (folder / "failed/big.xml.reason.txt").read_text("utf-8")
    assert secret.read_bytes() == b"shadow"
    assert files(outside) == ["secret.txt"]


def test_done_that_is_a_link_to_elsewhere_is_refused(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "elsewhere").mkdir()
    folder = tmp_path / "drop"
    folder.mkdir()
    (folder / "done").symlink_to(tmp_path / "elsewhere")
    drop(folder, "a.xml", b"<a/>", clock)
    source = connector(folder, clock)
    (page,) = pages(source)
    with pytest.raises(SourceDenied):
        source.done(page)
    assert files(tmp_path / "elsewhere") == []


def test_pages_end_by_size_and_never_inside_a_file(tmp_path: Path, clock: Clock) -> None:
    for number in range(5):
        drop(tmp_path, f"{number}.hl7", b"MSH|1\rMSH|2\r", clock, age=100 - number)
    source = connector(tmp_path, clock, page_bytes=20)
    sizes = []
    for page in source.fetch({}):
        sizes.append(len(page.records))
        source.done(page)
    assert sizes == [4, 4, 2]


def test_a_missing_folder_is_unavailable(tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(SourceUnavailable):
        connector(tmp_path / "none", clock).check()
