"""A DICOM file's header → its top-level elements as bytes, without trusting a single length.

Part 10 files, bare data sets, implicit, explicit, big endian and deflated ones:
https://dicom.nema.org/medical/dicom/current/output/chtml/part10/chapter_7.html and part05/chapter_7.html, A.

Reading stops at the pixel data; sequences are walked for their depth only. Values stay bytes until someone asks, because
which character set they are in is decided from all of them together.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from mappers.base import Issue
from mappers.dicom.charset import TextDecoder, decoder_for

IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED = (f"1.2.840.10008.1.2{tail}" for tail in ("", ".1", ".2", ".1.99"))
UID = re.compile(r"[0-9.]{1,64}")

MAX_DEPTH = 32
MAX_ELEMENTS = 1_000_000
MAX_INFLATED = 64 * 1024 * 1024
KEPT_VALUE = 64 * 1024  # a longer value is no header: its place is the stored file

TEXT_VRS = frozenset({"PN", "LO", "SH", "LT", "ST", "UC", "UT"})
_ONE_TEXT_VRS = frozenset({"LT", "ST", "UT"})  # a backslash is a character in these
_SHORT_VRS = frozenset(
    ["AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT", "PN", "SH", "SL", "SS", "ST", "TM", "UI", "UL", "US"]
)
_LONG_VRS = frozenset(["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"])
_NO_HEADER_VRS = frozenset(["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "UN"])
_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})

Endian = Literal["<", ">"]


class HeaderError(Exception):
    """The bytes are no DICOM that can be read. Says where, never what."""


@dataclass(frozen=True, slots=True)
class Element:
    vr: str
    value: bytes


def tag_name(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


@dataclass(frozen=True)
class Header:
    elements: dict[int, Element]
    transfer_syntax: str  # as stated, or as the bytes show it
    endian: Endian
    issues: tuple[Issue, ...] = ()
    default_charset: str = ""
    meta: dict[int, Element] = field(default_factory=dict)
    nested: frozenset[int] = frozenset()  # sequences of the top level that hold something

    @cached_property
    def declared_charset(self) -> tuple[str, ...]:
        element = self.elements.get(0x00080005)
        return tuple(_plain(element.value).split("\\")) if element else ()

    @cached_property
    def decoder(self) -> TextDecoder:
        return self.decoder_with(())

    def decoder_with(self, more: Iterable[bytes]) -> TextDecoder:
        """The decoder chosen with text of nested items as further evidence."""
        own = (e.value for e in self.elements.values() if e.vr in TEXT_VRS)
        return decoder_for(self.declared_charset, [*own, *more], self.default_charset)

    def text(self, tag: int) -> str:
        """The first value, without padding; empty if there is none."""
        return next(iter(self.texts(tag)), "")

    def texts(self, tag: int) -> list[str]:
        element = self.elements.get(tag)
        if element is None:
            return []
        whole = self.decoder.decode(element.value) if element.vr in TEXT_VRS else _plain(element.value)
        values = [whole] if element.vr in _ONE_TEXT_VRS else whole.split("\\")
        return [value.strip(" \0") for value in values]

    def uid(self, tag: int) -> str:
        """A UID made of digits and dots, or nothing: it is a stranger's text until then."""
        value = self.text(tag)
        return value if UID.fullmatch(value) else ""

    def integer(self, tag: int) -> int | None:
        """IS and DS as text, US and UL as bytes."""
        element = self.elements.get(tag)
        if element is None or not element.value:
            return None
        if element.vr in _BINARY:
            form = self.endian + _BINARY[element.vr]
            size = struct.calcsize(form)
            return int(struct.unpack(form, element.value[:size])[0]) if len(element.value) >= size else None
        try:
            return int(self.text(tag))
        except ValueError:
            return None


_BINARY = {"US": "H", "SS": "h", "UL": "I", "SL": "i"}


def _plain(value: bytes) -> str:
    return value.decode("ascii", "backslashreplace").strip(" \0")


def read_header(content: bytes, *, charset: str = "", deep: bool = True, until: int = 0xFFFFFFFF) -> Header:
    """Read up to the pixel data; `charset` is the channel's default. Raise HeaderError if the bytes are no DICOM.

    `deep` walks sequences of stated length too, to refuse what is nested deeper than 32 levels. `until` ends the reading
    after that tag: elements stand in ascending order.
    """
    meta: dict[int, Element] = {}
    start = 0
    if content[128:132] == b"DICM":
        meta, start = _read_meta(content, 132)
    elif content[:4] == b"DICM":
        meta, start = _read_meta(content, 4)
    elif content[:2] == b"\x02\x00":
        meta, start = _read_meta(content, 0)
    elif not _opens_data_set(content):
        raise HeaderError("neither a file preamble nor the first element of a data set")
    stated = _plain(meta[0x00020010].value) if 0x00020010 in meta else ""
    body = _inflate(content[start:]) if stated == DEFLATED else memoryview(content)[start:]
    syntax = stated or _seen_syntax(bytes(body[:8]))
    walk = _Walk(body, syntax, deep, until)
    walk.run()
    if not stated:
        walk.issues.append(Issue("missing", "(0002,0010)", "no transfer syntax stated; read as the bytes show it"))
    return Header(walk.elements, syntax, walk.endian, tuple(walk.issues), charset, meta, frozenset(walk.nested))


def neutral_preamble(content: bytes) -> bytes:
    """The file with its 128 byte preamble zeroed unless it is that of a TIFF: it could be a program (CVE-2019-11687)."""
    preamble = content[:128]
    if content[128:132] != b"DICM" or not preamble.strip(b"\0") or preamble[:4] in (b"II*\0", b"MM\0*"):
        return content
    return bytes(128) + content[128:]


def _opens_data_set(content: bytes) -> bool:
    """Group 0008, or a group length: any data set with a SOP Instance UID begins there."""
    return len(content) >= 8 and content[:4] != bytes(4) and (content[:2] == b"\x08\x00" or content[:2] == b"\x00\x08")


def _seen_syntax(first: bytes) -> str:
    if first[:2] == b"\x00\x08" or (first[:1] == b"\x00" and first[1:2] != b"\x00"):
        return BIG_ENDIAN
    return EXPLICIT if first[4:6].decode("ascii", "replace") in _SHORT_VRS | _LONG_VRS else IMPLICIT


def _inflate(body: bytes) -> memoryview:
    try:
        return memoryview(zlib.decompressobj(-zlib.MAX_WBITS).decompress(body, MAX_INFLATED))
    except zlib.error:
        raise HeaderError("the deflated data set cannot be inflated") from None


def _read_meta(content: bytes, start: int) -> tuple[dict[int, Element], int]:
    """File meta information: explicit little endian, as long as the group is 0002, whatever its length element says."""
    meta: dict[int, Element] = {}
    position = start
    while content[position : position + 2] == b"\x02\x00":
        if len(content) - position < 8:
            raise HeaderError("file meta information is cut off")
        element, vr = struct.unpack_from("<H2s", content, position + 2)
        if vr in (b"OB", b"UN", b"UT"):
            if len(content) - position < 12:
                raise HeaderError("file meta information is cut off")
            length, begin = struct.unpack_from("<I", content, position + 8)[0], position + 12
        else:
            length, begin = struct.unpack_from("<H", content, position + 6)[0], position + 8
        if length > len(content) - begin:
            raise HeaderError(f"(0002,{element:04X}): length {length}, {len(content) - begin} bytes left")
        meta[0x00020000 | element] = Element(vr.decode("ascii", "replace"), content[begin : begin + length])
        position = begin + length
    return meta, position


class _Inside:
    """What the items of a sequence hold: elements, or the fragments of encapsulated pixels."""

    __slots__ = ("fragments", "implicit")

    def __init__(self, vr: str, implicit: bool) -> None:
        self.implicit = implicit or vr == "UN"
        self.fragments = vr in ("OB", "OW")


class _Walk:
    """One pass over a data set; every length is checked against the bytes left."""

    def __init__(self, data: memoryview, syntax: str, deep: bool, until: int) -> None:
        self.data = data
        self.implicit = syntax == IMPLICIT
        self.endian: Endian = ">" if syntax == BIG_ENDIAN else "<"
        self.deep = deep
        self.until = until
        self.elements: dict[int, Element] = {}
        self.issues: list[Issue] = []
        self.nested: set[int] = set()
        self._count = 0
        self._tag = struct.Struct(self.endian + "HH")
        self._short = struct.Struct(self.endian + "H")
        self._long = struct.Struct(self.endian + "I")

    def run(self) -> None:
        position, end = 0, len(self.data)
        while end - position >= 8:
            tag, vr, length, begin = self._element(position, end, self.implicit)
            if tag in _PIXELS:
                if length != _UNDEFINED and length > end - begin:
                    self._cut_off(tag, length, end - begin)
                return
            if tag > self.until:
                return
            if tag == 0:
                raise HeaderError(f"no element at byte {position}")
            if length == _UNDEFINED or vr == "SQ":
                if length:
                    self.nested.add(tag)
                position = self._sequence(tag, vr, length, begin, end)
                if position < 0:
                    return
                continue
            if length > end - begin:
                self._cut_off(tag, length, end - begin)
                return
            if length <= KEPT_VALUE and vr not in _NO_HEADER_VRS:
                self.elements[tag] = Element(vr, bytes(self.data[begin : begin + length]))
            position = begin + length

    def _cut_off(self, tag: int, length: int, left: int) -> None:
        self.issues.append(Issue("invalid-value", tag_name(tag), f"length {length}, {left} bytes left"))

    def _element(self, position: int, end: int, implicit: bool) -> tuple[int, str, int, int]:
        """Tag, VR, length and where the value begins."""
        self._count += 1
        if self._count > MAX_ELEMENTS:
            raise HeaderError(f"more than {MAX_ELEMENTS} elements")
        group, element = self._tag.unpack_from(self.data, position)
        tag = group << 16 | element
        if group == 0xFFFE:
            return tag, "", self._long.unpack_from(self.data, position + 4)[0], position + 8
        if not implicit:
            vr = str(self.data[position + 4 : position + 6], "ascii", "replace")
            if vr in _SHORT_VRS:
                return tag, vr, self._short.unpack_from(self.data, position + 6)[0], position + 8
            if vr in _LONG_VRS or (vr.isalpha() and vr.isupper()):  # PS3.5 7.1.2: a VR yet unknown has a 32 bit length
                if end - position < 12:
                    raise HeaderError(f"{tag_name(tag)}: cut off")
                if vr not in _LONG_VRS:
                    self._unknown_vr(tag)
                return tag, vr, self._long.unpack_from(self.data, position + 8)[0], position + 12
            self._unknown_vr(tag)
        return tag, _dictionary_vr(tag), self._long.unpack_from(self.data, position + 4)[0], position + 8

    def _unknown_vr(self, tag: int) -> None:
        if len(self.issues) < 100:
            self.issues.append(Issue("invalid-value", tag_name(tag), "unknown value representation"))

    def _sequence(self, tag: int, vr: str, length: int, begin: int, end: int) -> int:
        """Where it ends; -1 if it is cut off. UN of undefined length is implicit inside (PS3.5 6.2.2 note)."""
        if length != _UNDEFINED and not self.deep:
            if length > end - begin:
                self._cut_off(tag, length, end - begin)
                return -1
            return begin + length
        try:
            return self._skip_sequence(begin, end, length, _Inside(vr, self.implicit), 1)
        except _CutOff:
            self._cut_off(tag, length, end - begin)
            return -1

    def _skip_sequence(self, begin: int, end: int, length: int, inside: _Inside, depth: int) -> int:
        if depth > MAX_DEPTH:
            raise HeaderError(f"sequences nested deeper than {MAX_DEPTH}")
        limit = self._limit(begin, end, length)
        position = begin
        while length == _UNDEFINED or position < limit:
            if limit - position < 8:
                raise _CutOff
            tag, _, item_length, item = self._element(position, limit, inside.implicit)
            if tag == _SEQUENCE_END:
                return item
            if tag != _ITEM:
                raise HeaderError(f"{tag_name(tag)} where an item of a sequence is expected")
            position = self._skip_item(item, limit, item_length, inside, depth)
        return limit

    def _skip_item(self, begin: int, end: int, length: int, inside: _Inside, depth: int) -> int:
        limit = self._limit(begin, end, length)
        if length != _UNDEFINED and (inside.fragments or not self.deep):
            return limit
        position = begin
        while length == _UNDEFINED or position < limit:
            if limit - position < 8:
                raise _CutOff
            tag, vr, value_length, value = self._element(position, limit, inside.implicit)
            if tag == _ITEM_END:
                return value
            if vr == "SQ" or value_length == _UNDEFINED:
                position = self._skip_sequence(value, limit, value_length, _Inside(vr, inside.implicit), depth + 1)
            else:
                position = self._limit(value, limit, value_length)
        return limit

    @staticmethod
    def _limit(begin: int, end: int, length: int) -> int:
        if length == _UNDEFINED:
            return end
        if length > end - begin:
            raise _CutOff
        return begin + length


class _CutOff(Exception):
    """A nested length is larger than the bytes left."""


def _dictionary_vr(tag: int) -> str:
    from pydicom._dicom_dict import DicomDictionary  # with it comes all of pydicom: fronts that show pages never need it

    entry = DicomDictionary.get(tag)
    return entry[0][:2] if entry else "UN"
