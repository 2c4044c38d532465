"""SCP-ECG records made to order: what no sample has (beat subtraction, bimodal compression, own Huffman tables, GBK names)."""

from __future__ import annotations

import struct
from binascii import crc_hqx

import numpy as np

DEFAULT = 19999
LEAD_CODES = {"I": 1, "II": 2, "V1": 3, "V2": 4, "V3": 5, "V4": 6, "V5": 7, "V6": 8}


def default_code(value: int) -> str:
    size = abs(value)
    if size == 0:
        return "0"
    if size <= 8:
        return "1" * size + "0" + ("1" if value < 0 else "0")
    if -128 <= value < 128:
        return "1111111110" + f"{value & 0xFF:08b}"
    return "1111111111" + f"{value & 0xFFFF:016b}"


def packed(bits: str) -> bytes:
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big") if bits else b""


def differences(values, order: int) -> list[int]:
    """The first `order` values as they are, then first or second differences."""
    values = list(map(int, values))
    return values[:order] + [int(step) for step in np.diff(values, order)]


def coded(values, order: int, code=default_code) -> bytes:
    return packed("".join(code(value) for value in differences(values, order)))


def section(number: int, content: bytes) -> bytes:
    content += bytes(len(content) % 2)
    head = struct.pack("<HIBB6x", number, 16 + len(content), 20, 20)
    body = head + content
    return struct.pack("<H", crc_hqx(body, 0xFFFF)) + body


def record(sections: dict[int, bytes]) -> bytes:
    pointers = 16 + 12 * 10
    at, table, bodies = 6 + pointers, b"", b""
    for number in range(12):
        body = section(number, sections[number]) if number in sections else b""
        size, index = (pointers, 7) if number == 0 else (len(body), at + 1 if body else 0)
        table += struct.pack("<HII", number, size, index)
        bodies += body
        at += len(body)
    zero = struct.pack("<HIBB6s", 0, pointers, 20, 20, b"SCPECG") + table
    whole = struct.pack("<H", crc_hqx(zero, 0xFFFF)) + zero + bodies
    whole = struct.pack("<I", len(whole) + 2 + 4) + whole
    return struct.pack("<H", crc_hqx(whole, 0xFFFF)) + whole


def tags(**values: bytes) -> bytes:
    """Section 1: t0=b"..." is tag 0."""
    body = b"".join(struct.pack("<BH", int(name[1:]), len(value)) + value for name, value in values.items())
    return body + b"\xff\0\0"


def person(family: bytes, number: bytes = b"P1") -> bytes:
    return tags(t0=family + b"\0", t2=number + b"\0", t5=struct.pack("<HBB", 1970, 2, 3), t8=b"\2",
                t25=struct.pack("<HBB", 2026, 11, 1), t26=bytes([8, 3, 4]))  # fmt: skip


def leads(names, count: int, *, subtracted: bool = False) -> bytes:
    flags = (1 if subtracted else 0) | 4 | len(names) << 3
    return bytes([len(names), flags & 0xFF]) + b"".join(struct.pack("<IIB", 1, count, LEAD_CODES[name]) for name in names)


def signal(data: list[bytes], *, step: int = 2500, interval: int = 2000, order: int = 0, bimodal: int = 0) -> bytes:
    data = [each + bytes(len(each) % 2) for each in data]
    return struct.pack(f"<HHBB{len(data)}H", step, interval, order, bimodal, *map(len, data)) + b"".join(data)


def locations(length_ms: int, fiducial: int, beats: list[tuple[int, int, int, int]], protected: list[tuple[int, int]]) -> bytes:
    """All sample numbers from 1, as in the record."""
    body = struct.pack("<HHH", length_ms, fiducial, len(beats))
    body += b"".join(struct.pack("<HIII", *beat) for beat in beats)
    return body + b"".join(struct.pack("<II", *zone) for zone in protected)


def decimated(values: np.ndarray, protected: list[tuple[int, int]], rate: int) -> list[int]:
    """Protected zones whole, means of `rate` samples elsewhere."""
    stored, at = [], 0
    for first, last in [*protected, (len(values) + 1, len(values) + 1)]:
        for begin in range(at, first - 1, rate):
            stored.append(round(float(values[begin : min(begin + rate, first - 1)].mean())))
        stored += [int(v) for v in values[first - 1 : last]]
        at = last
    return stored
