"""XLI, how Philips carts pack the samples of an ECG: LZW of 10 bit codes over bytes, high bytes before low ones, and differences.

Worked out by the sierra-ecg-tools project (MIT): https://github.com/sixlettervariables/sierra-ecg-tools
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from mappers.ecg.model import EcgError

_BITS = 10
_MAX_CODE = (1 << _BITS) - 2  # the last one says that nothing follows
_HEADER = 8  # size of the chunk, a number unknown, where the differences begin
_LEVEL = 64  # stored above every correction


def unpacked(data: bytes, *, leads: int, samples: int) -> list[NDArray[np.int32]]:
    """At most `leads` chunks of at most `samples` numbers each. Raise EcgError where the data break off."""
    found: list[NDArray[np.int32]] = []
    at = 0
    while at + _HEADER <= len(data) and len(found) < leads:
        size, _, first = struct.unpack_from("<ihh", data, at)
        at += _HEADER
        if not 0 < size <= len(data) - at:
            raise EcgError(f"XLI: a chunk of {size} bytes, {len(data) - at} left")
        found.append(_from_differences(_words(_lzw(data[at : at + size], 2 * samples)), first))
        at += size
    return found


def _lzw(data: bytes, limit: int) -> bytes:
    strings = [bytes([value]) for value in range(256)]
    whole, previous = bytearray(), b""
    buffer = bits = 0
    for byte in data:
        buffer, bits = (buffer << 8 | byte) & 0xFFFFFF, bits + 8
        if bits < _BITS:
            continue
        bits -= _BITS
        code = (buffer >> bits) & ((1 << _BITS) - 1)
        if code > _MAX_CODE or len(whole) >= limit:
            break
        if code > len(strings) or (code == len(strings) and not previous):
            raise EcgError(f"XLI: code {code} of {len(strings)}")
        part = strings[code] if code < len(strings) else previous + previous[:1]
        if previous and len(strings) <= _MAX_CODE:
            strings.append(previous + part[:1])
        whole += part
        previous = part
    return bytes(whole[:limit])


def _words(data: bytes) -> NDArray[np.int64]:
    """The first half holds the high bytes, the second half the low ones."""
    half = (len(data) + 1) // 2
    high = np.frombuffer(data[:half], np.int8).astype(np.int64)
    low = np.zeros(half, np.int64)
    low[: len(data) - half] = np.frombuffer(data[half:], np.uint8)
    return high * 256 + low


def _from_differences(stored: NDArray[np.int64], first: int) -> NDArray[np.int32]:
    """Two samples as they are; each further one from the two before and a correction that lags by one."""
    values = stored.tolist()
    correction = first
    for index in range(2, len(values)):
        value = 2 * values[index - 1] - values[index - 2] - correction
        correction, values[index] = values[index] - _LEVEL, _wrapped(value)
    return np.array(values, np.int32)


def _wrapped(value: int) -> int:
    return ((value + 0x8000) & 0xFFFF) - 0x8000
