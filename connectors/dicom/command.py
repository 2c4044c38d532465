"""Command sets of DIMSE: implicit little endian elements of group 0000.

https://dicom.nema.org/medical/dicom/current/output/chtml/part07/chapter_E.html
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

from connectors.dicom.pdu import IMPLEMENTATION_CLASS, IMPLEMENTATION_VERSION

AFFECTED_CLASS, COMMAND_FIELD, MESSAGE_ID, RESPONDED_TO = 0x0002, 0x0100, 0x0110, 0x0120
DATA_SET_TYPE, STATUS, ERROR_COMMENT, AFFECTED_INSTANCE = 0x0800, 0x0900, 0x0902, 0x1000

C_STORE, C_ECHO, C_CANCEL, RESPONSE = 0x0001, 0x0030, 0x0FFF, 0x8000
NO_DATA_SET: Final = 0x0101
MAX_COMMAND: Final = 64 * 1024

_NUMBERS = frozenset({COMMAND_FIELD, MESSAGE_ID, RESPONDED_TO, DATA_SET_TYPE, STATUS})


class BadCommand(Exception):
    """Bytes that are no command set."""


class Command(dict[int, str | int]):
    """Element number of group 0000 → its value; others than those above are passed over."""

    def number(self, element: int) -> int:
        value = self.get(element, 0)
        return value if isinstance(value, int) else 0

    def text(self, element: int) -> str:
        return str(self.get(element, ""))


def read_command(data: bytes) -> Command:
    """Raise BadCommand."""
    command, at = Command(), 0
    while len(data) - at >= 8:
        group, element, length = struct.unpack_from("<HHI", data, at)
        at += 8
        if group != 0 or length > len(data) - at:
            raise BadCommand(f"({group:04X},{element:04X}) of {length} bytes, {len(data) - at} left")
        value = data[at : at + length]
        at += length
        if element in _NUMBERS and length == 2:
            command[element] = int.from_bytes(value, "little")
        elif element in (AFFECTED_CLASS, AFFECTED_INSTANCE):
            command[element] = value.decode("ascii", "replace").strip(" \0")
    if COMMAND_FIELD not in command or (MESSAGE_ID not in command and command.number(COMMAND_FIELD) != C_CANCEL):
        raise BadCommand("no command field or no message id")
    return command


def response(request: Command, status: int, comment: str = "") -> bytes:
    """The answer to a request that takes no data set."""
    values: dict[int, bytes] = {
        AFFECTED_CLASS: _uid(request.text(AFFECTED_CLASS)),
        COMMAND_FIELD: _number(request.number(COMMAND_FIELD) | RESPONSE),
        RESPONDED_TO: _number(request.number(MESSAGE_ID)),
        DATA_SET_TYPE: _number(NO_DATA_SET),
        STATUS: _number(status),
    }
    if comment:
        values[ERROR_COMMENT] = _even(comment.encode("ascii", "replace")[:64], b" ")
    if instance := request.text(AFFECTED_INSTANCE):
        values[AFFECTED_INSTANCE] = _uid(instance)
    return _written(values)


def _written(values: Mapping[int, bytes]) -> bytes:
    body = b"".join(struct.pack("<HHI", 0, element, len(value)) + value for element, value in sorted(values.items()))
    return struct.pack("<HHII", 0, 0, 4, len(body)) + body


def _number(value: int) -> bytes:
    return value.to_bytes(2, "little")


def _even(value: bytes, padding: bytes) -> bytes:
    return value + padding * (len(value) % 2)


def _uid(value: str) -> bytes:
    return _even(value.encode("ascii", "replace"), b"\0")


def file_head(sop_class: str, sop_instance: str, transfer_syntax: str) -> bytes:
    """What stands before a data set in a file: 128 zero bytes, DICM, file meta information (PS3.10 7.1)."""
    elements = (
        (0x0001, b"OB", b"\0\1"),
        (0x0002, b"UI", _uid(sop_class)),
        (0x0003, b"UI", _uid(sop_instance)),
        (0x0010, b"UI", _uid(transfer_syntax)),
        (0x0012, b"UI", _uid(IMPLEMENTATION_CLASS)),
        (0x0013, b"SH", _even(IMPLEMENTATION_VERSION.encode(), b" ")),
    )
    body = b"".join(_element(element, vr, value) for element, vr, value in elements)
    return bytes(128) + b"DICM" + _element(0x0000, b"UL", struct.pack("<I", len(body))) + body


def _element(element: int, vr: bytes, value: bytes) -> bytes:
    length = struct.pack("<HI", 0, len(value)) if vr == b"OB" else struct.pack("<H", len(value))
    return struct.pack("<HH2s", 2, element, vr) + length + value
