"""No length is believed, no nesting followed for ever, and every way to encode a data set is read."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demo.pacs_objects import chest_film, head_ct
from mappers.base import CannotMap
from mappers.dicom.header import HeaderError, neutral_preamble, read_header
from tests.mappers.dicom.material import SAMPLES, exam, mapped, read

FILM = chest_film(exam(), size=16)[0]
NAME, STUDY = 0x00100010, 0x0020000D


def element(tag: int, vr: bytes, value: bytes) -> bytes:
    if vr in (b"SQ", b"OB", b"OW", b"UN"):
        return struct.pack("<HH2sHI", tag >> 16, tag & 0xFFFF, vr, 0, len(value)) + value
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value


def nested(depth: int, *, stated: bool) -> bytes:
    """A sequence in a sequence …, with stated or undefined lengths."""
    inner = element(0x00080100, b"SH", b"X ")
    for _ in range(depth):
        if stated:
            item = struct.pack("<HHI", 0xFFFE, 0xE000, len(inner)) + inner
            inner = element(0x0040A730, b"SQ", item)
        else:
            opened = struct.pack("<HH2sHI", 0x0040, 0xA730, b"SQ", 0, 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
            inner = opened + inner + struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return inner


@pytest.mark.parametrize(
    "file",
    ["MR_small_bigendian", "MR_small_implicit", "MR_small_RLE", "MR_small_jp2klossless", "MR_small_jpeg_ls_lossless"],
)
def test_every_transfer_syntax_gives_the_same_header(file):
    header = read_header(read(SAMPLES / "dicom" / "transfer-syntax" / f"{file}.dcm"))
    assert header.text(NAME) == "CompressedSamples^MR1"
    assert header.integer(0x00280010) == 64
    assert header.issues == ()


def test_a_deflated_data_set_is_inflated():
    body = zlib.compressobj(wbits=-15)
    dataset = element(STUDY, b"UI", b"1.2.3.4\0")
    meta = element(0x00020010, b"UI", b"1.2.840.10008.1.2.1.99")
    header = read_header(bytes(128) + b"DICM" + meta + body.compress(dataset) + body.flush())
    assert header.uid(STUDY) == "1.2.3.4"


def test_a_data_set_without_preamble_and_meta_is_read():
    start = FILM.index(b"\x08\x00\x05\x00CS")
    assert read_header(FILM[start:]).text(NAME) == "欧阳^晓燕"


@pytest.mark.parametrize("stated", [True, False])
def test_nesting_is_followed_to_32_levels_and_no_further(stated):
    start = element(0x00080005, b"CS", b"GB18030 ")
    assert [issue.code for issue in read_header(start + nested(32, stated=stated)).issues] == ["missing"]  # the transfer syntax
    with pytest.raises(HeaderError, match="deeper than 32"):
        read_header(start + nested(33, stated=stated))
    with pytest.raises(HeaderError, match="deeper than 32"):
        read_header(start + nested(5000, stated=False))


@pytest.mark.parametrize("length", [0xFFFE, 0x8000])
def test_a_length_beyond_the_end_is_an_issue_and_ends_the_reading(length):
    lying = element(0x00080005, b"CS", b"GB18030 ") + struct.pack("<HH2sH", 0x0010, 0x0010, b"PN", length) + b"ab"
    header = read_header(lying)
    assert [issue.where for issue in header.issues] == ["(0010,0010)", "(0002,0010)"]
    assert header.text(NAME) == ""


def test_a_program_hidden_in_the_preamble_is_removed_and_a_tiff_is_left():
    evil = b"MZ" + b"\x90" * 126 + FILM[128:]
    assert neutral_preamble(evil) == FILM
    tiff = b"II*\0" + bytes(124) + FILM[128:]
    assert neutral_preamble(tiff) == tiff
    assert mapped(evil).attachments[0].content == FILM


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_damaged_files_are_mapped_or_refused_with_a_reason(data):
    content = bytearray(head_ct(exam(), slices=1, size=16)[0])
    for _ in range(data.draw(st.integers(1, 8))):
        position = data.draw(st.integers(128, len(content) - 1))
        content[position] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    with suppress(CannotMap):
        mapped(bytes(content[:cut]))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=600))
def test_noise_behind_a_preamble_never_crashes(noise):
    for content in (noise, bytes(128) + b"DICM" + noise, b"\x08\x00" + noise):
        with suppress(CannotMap):
            mapped(content)
