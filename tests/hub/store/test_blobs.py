from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from hub.errors import Invalid, NotFound
from hub.store.blobs import BlobStore, Damaged


@pytest.fixture
def blobs(tmp_path):
    return BlobStore(tmp_path / "blobs")


def files(blobs, tmp_path):
    return [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]


def test_bytes_come_back_under_their_own_name(blobs, tmp_path):
    name = blobs.put(b"CT")
    assert name == hashlib.sha256(b"CT").hexdigest()
    assert blobs.read(name) == b"CT"
    assert blobs.open(name) == tmp_path / "blobs" / name[:2] / name
    assert blobs.exists(name)
    assert not blobs.exists("0" * 64)
    with pytest.raises(NotFound):
        blobs.read("0" * 64)


def test_the_same_bytes_are_one_file_however_they_come(blobs, tmp_path):
    with ThreadPoolExecutor(8) as pool:
        names = set(pool.map(lambda _: blobs.put_stream([b"a" * 1000, b"b"]), range(32)))
    assert names == {blobs.put(b"a" * 1000 + b"b")}
    assert len(files(blobs, tmp_path)) == 1


def test_a_stream_that_breaks_leaves_nothing(blobs, tmp_path):
    def broken():
        yield b"half"
        raise ConnectionError

    with pytest.raises(ConnectionError):
        blobs.put_stream(broken())
    assert files(blobs, tmp_path) == []


def test_a_damaged_file_is_never_served_as_true(blobs):
    name = blobs.put(b"0123456789")
    path = blobs.open(name)
    path.chmod(0o600)
    path.write_bytes(b"0123456780")
    with pytest.raises(Damaged):
        blobs.read(name)
    with pytest.raises(Damaged):
        blobs.check(name)
    assert blobs.read(name, verify=False) == b"0123456780"


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "A" * 64, "0" * 63 + "/", "0" * 64 + "\n"])
def test_a_name_from_outside_reaches_no_other_file(blobs, name):
    with pytest.raises(Invalid):
        blobs.open(name)


def test_what_a_killed_process_left_is_swept(tmp_path):
    first = BlobStore(tmp_path / "blobs")
    (tmp_path / "blobs" / "incoming" / "left").write_bytes(b"x")
    kept = first.put(b"kept")
    assert BlobStore(tmp_path / "blobs").read(kept) == b"kept"
    assert len(files(first, tmp_path)) == 1
