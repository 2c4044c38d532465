"""The coded samples of an SCP-ECG record → numbers: Huffman codes, differences, bimodal decimation, reference beats.

EN 1064:2005+A1:2007, 5.5 (section 2, tables), 5.7 (section 4, QRS locations), 5.8 and 5.9 (sections 5 and 6), annex C (how the
methods follow each other). Sample numbers in the record count from 1; here from 0.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mappers.ecg.model import EcgError

Numbers = NDArray[np.int32]

DEFAULT_TABLE_MARK = 19999  # instead of a number of tables: the one of annex C
MAX_TABLES, MAX_CODES = 64, 4096
_MAX_PREFIX, _MAX_EXTRA = 32, 24
_WINDOW = 8  # bytes that hold the longest code wherever in a byte it begins


@dataclass(frozen=True, slots=True)
class Code:
    prefix_bits: int
    extra_bits: int  # two's complement, added to the base
    base: int
    switches: bool  # to table number `base`, counted from 1


HuffmanTable = dict[tuple[int, int], Code]
"""(bits of the prefix, the prefix) → what it stands for."""


def _default_table() -> HuffmanTable:
    """Annex C.3.7.6: ones end at a zero, then comes the sign; nine ones and a bit say that 8 or 16 plain bits follow."""
    table: HuffmanTable = {(1, 0): Code(1, 0, 0, False)}
    for size in range(1, 9):
        prefix = ((1 << size) - 1) << 2  # ones, the zero, and room for the sign
        for sign, bit in ((1, 0), (-1, 1)):
            table[size + 2, prefix | bit] = Code(size + 2, 0, sign * size, False)
    table[10, 0b1111111110] = Code(10, 8, 0, False)
    table[10, 0b1111111111] = Code(10, 16, 0, False)
    return table


DEFAULT_TABLE = _default_table()


def huffman_tables(section: bytes) -> tuple[HuffmanTable, ...]:
    """The tables of section 2; none when samples are stored as plain 16 bit numbers."""
    if len(section) < 2:
        return ()
    (count,) = struct.unpack_from("<H", section)
    if count == DEFAULT_TABLE_MARK:
        return (DEFAULT_TABLE,)
    if count > MAX_TABLES:
        raise EcgError(f"section 2: {count} Huffman tables")
    tables, position = [], 2
    for _ in range(count):
        table, position = _huffman_table(section, position)
        tables.append(table)
    return tuple(tables)


def _huffman_table(section: bytes, position: int) -> tuple[HuffmanTable, int]:
    if len(section) - position < 2:
        raise EcgError("section 2 is cut off")
    (count,) = struct.unpack_from("<H", section, position)
    position += 2
    if not 0 < count <= MAX_CODES or len(section) - position < count * 9:
        raise EcgError(f"section 2: a table of {count} codes in {len(section) - position} bytes")
    table: HuffmanTable = {}
    for number in range(count):
        prefix, whole, mode, base, code = struct.unpack_from("<BBBhI", section, position + 9 * number)
        if not 0 < prefix <= _MAX_PREFIX or not 0 <= whole - prefix <= _MAX_EXTRA:
            raise EcgError(f"section 2: a code of {prefix} and {whole} bits")
        table[prefix, _reversed(code, prefix)] = Code(prefix, whole - prefix, base, mode == 0)
    return table, position + 9 * count


def _reversed(code: int, bits: int) -> int:
    """The record writes a prefix with its first bit lowest."""
    return int(f"{code & ((1 << bits) - 1):0{bits}b}"[::-1], 2)


def decoded(data: bytes, tables: Sequence[HuffmanTable], count: int, differences: int) -> Numbers:
    """At most `count` samples. `differences`: 0 none, 1 first, 2 second differences."""
    if differences not in (0, 1, 2):
        raise EcgError(f"samples coded by differences of order {differences}")
    if tables:
        numbers = np.array(_huffman_decoded(data, tables, count), np.int64)
    else:
        numbers = np.frombuffer(data[: len(data) // 2 * 2], "<i2", min(count, len(data) // 2)).astype(np.int64)
    with np.errstate(over="ignore"):
        return _summed(numbers, differences).astype(np.int32)


def _summed(numbers: NDArray[np.int64], order: int) -> NDArray[np.int64]:
    """The first `order` samples are stored as they are."""
    if order == 1:
        return np.cumsum(numbers)
    if order == 2 and len(numbers) > 2:
        steps = numbers.copy()
        steps[1] -= steps[0]  # so that both sums give the first two samples back
        return np.cumsum(np.concatenate(([steps[0]], np.cumsum(steps[1:]))))
    return numbers


def _huffman_decoded(data: bytes, tables: Sequence[HuffmanTable], count: int) -> list[int]:
    end = len(data) * 8
    padded = data + bytes(_WINDOW)
    lengths = [sorted({bits for bits, _ in table}) for table in tables]
    selected = position = 0
    numbers: list[int] = []
    while len(numbers) < count and position < end:
        window = int.from_bytes(padded[position >> 3 : (position >> 3) + _WINDOW], "big") & ((1 << (64 - (position & 7))) - 1)
        left = 64 - (position & 7)
        code = _code(window, left, tables[selected], lengths[selected])
        if code is None or position + code.prefix_bits + code.extra_bits > end:
            break  # the last byte's padding
        position += code.prefix_bits + code.extra_bits
        if code.switches:
            if not 1 <= code.base <= len(tables):
                raise EcgError(f"section 6: a switch to Huffman table {code.base} of {len(tables)}")
            selected = code.base - 1
            continue
        numbers.append(code.base + _extra(window, left - code.prefix_bits, code.extra_bits))
    return numbers


def _code(window: int, left: int, table: HuffmanTable, lengths: Sequence[int]) -> Code | None:
    for bits in lengths:
        if (code := table.get((bits, window >> (left - bits)))) is not None:
            return code
    return None


def _extra(window: int, left: int, bits: int) -> int:
    if not bits:
        return 0
    value = (window >> (left - bits)) & ((1 << bits) - 1)
    return value - (1 << bits) if value >> (bits - 1) else value


@dataclass(frozen=True, slots=True)
class Beat:
    """One QRS of section 4, samples counted from 0, ends included."""

    kind: int  # 0: the reference beat of section 5
    begin: int
    fiducial: int
    end: int
    protected: tuple[int, int] | None  # what bimodal compression leaves at the full rate


@dataclass(frozen=True, slots=True)
class Beats:
    length_ms: int = 0  # of the reference beat
    fiducial: int = 0  # within it
    each: tuple[Beat, ...] = ()


def beats(section: bytes) -> Beats:
    """Section 4; the protected zones stand after all subtraction zones and may be missing."""
    if len(section) < 6:
        return Beats()
    length, fiducial, count = struct.unpack_from("<HHH", section)
    if len(section) < 6 + 14 * count:
        raise EcgError(f"section 4: {count} QRS in {len(section)} bytes")
    zones = len(section) >= 6 + 22 * count
    each = []
    for number in range(count):
        kind, begin, centre, end = struct.unpack_from("<HIII", section, 6 + 14 * number)
        first, last = struct.unpack_from("<II", section, 6 + 14 * count + 8 * number) if zones else (0, 0)
        protected = (first - 1, last - 1) if 0 < first <= last else None
        each.append(Beat(kind, begin - 1, centre - 1, end - 1, protected))
    return Beats(length, fiducial - 1, tuple(each))


def stored_count(zones: Sequence[tuple[int, int, bool]], rate: int) -> int:
    """How many samples a bimodal lead stores."""
    return sum(end - begin if full else -(-(end - begin) // rate) for begin, end, full in zones)


def zones_of(count: int, beats: Beats, start: int = 0) -> list[tuple[int, int, bool]]:
    """(begin, end, at the full rate) over a lead of `count` samples whose first is number `start`."""
    zones: list[tuple[int, int, bool]] = []
    at = 0
    for begin, last in sorted(beat.protected for beat in beats.each if beat.protected):
        low, high = max(begin - start, at), min(last - start + 1, count)
        if high <= low:
            continue
        if low > at:
            zones.append((at, low, False))
        zones.append((low, high, True))
        at = high
    if at < count:
        zones.append((at, count, False))
    return zones


def expanded(stored: Numbers, zones: Sequence[tuple[int, int, bool]], rate: int) -> NDArray[np.float64]:
    """Decimated zones at the full rate again: a stored sample stands in the middle of its `rate`, straight lines between."""
    whole, at = np.full(zones[-1][1], np.nan) if zones else np.empty(0), 0
    for begin, end, full in zones:
        size = end - begin if full else -(-(end - begin) // rate)
        part = stored[at : at + size]
        at += size
        if full:
            whole[begin : begin + len(part)] = part
        elif len(part):
            middles = begin + rate * np.arange(len(part)) + (rate - 1) / 2
            held = min(end, begin + rate * len(part))
            whole[begin:held] = np.interp(np.arange(begin, held), middles, part)
    return whole


def with_beats(residual: NDArray[np.float64], reference: NDArray[np.float64], beats: Beats, start: int) -> NDArray[np.float64]:
    """The reference beat added where it was subtracted, fiducial on fiducial."""
    whole = residual.copy()
    for beat in beats.each:
        if beat.kind != 0:
            continue
        shift = beat.fiducial - beats.fiducial - start  # sample n of the reference beat stands at n + shift
        begin = max(beat.begin - start, shift, 0)
        end = min(beat.end - start + 1, shift + len(reference), len(whole))
        if end > begin:
            whole[begin:end] += reference[begin - shift : end - shift]
    return whole
