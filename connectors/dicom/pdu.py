"""Protocol data units of the DICOM upper layer, as bytes.

https://dicom.nema.org/medical/dicom/current/output/chtml/part08/chapter_9.html
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)
HEADER: Final = struct.Struct(">BxI")
MAX_ASSOCIATE: Final = 1 << 20  # bytes of an association request: 128 contexts with all transfer syntaxes are a tenth of it

APPLICATION_CONTEXT: Final = "1.2.840.10008.3.1.1.1"
# A UID of ours, made from a UUID: https://dicom.nema.org/medical/dicom/current/output/chtml/part05/sect_B.2.html
IMPLEMENTATION_CLASS: Final = "2.25.262867042836294190563423386294721087403"
IMPLEMENTATION_VERSION: Final = "YITONG_HUB"

# A-ASSOCIATE-RJ: result, source, reason (PS3.8 table 9-21)
REJECT_CONTEXT, REJECT_CALLING, REJECT_CALLED = (1, 1, 2), (1, 1, 3), (1, 1, 7)
REJECT_PROTOCOL, REJECT_CONGESTION = (1, 2, 2), (2, 3, 2)
# A-ABORT by the service provider: reasons of PS3.8 table 9-26
UNRECOGNISED_PDU, UNEXPECTED_PDU, INVALID_PARAMETER = 1, 2, 6

ACCEPTED, NO_REASON, NO_ABSTRACT_SYNTAX, NO_TRANSFER_SYNTAX = 0, 2, 3, 4


class BadPdu(Exception):
    """Bytes that are no PDU of this kind. Says which rule, never what they hold."""


@dataclass(frozen=True, slots=True)
class Proposed:
    """A presentation context as the requestor proposes it."""

    id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AssociateRequest:
    called: str
    calling: str
    application_context: str
    contexts: tuple[Proposed, ...]
    version: int = 1
    max_length: int = 0  # 0: no limit
    invoked: int = 1  # operations that the requestor would have outstanding; 0: no limit
    asked_window: bool = False  # whether it asked for an asynchronous window at all
    roles: tuple[bytes, ...] = field(default=())  # role selection items, answered as they came


def title(value: bytes) -> str:
    return value.decode("ascii", "replace").strip(" \0")


def _items(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    at = 0
    while len(data) - at >= 4:
        kind, length = data[at], int.from_bytes(data[at + 2 : at + 4], "big")
        if length > len(data) - at - 4:
            raise BadPdu("an item longer than what holds it")
        yield kind, data[at + 4 : at + 4 + length]
        at += 4 + length


def _uid(data: memoryview) -> str:
    return title(bytes(data))


def read_request(body: bytes) -> AssociateRequest:
    """A-ASSOCIATE-RQ without its header. Raise BadPdu."""
    if len(body) < 68:
        raise BadPdu("an association request of less than 68 bytes")
    contexts: list[Proposed] = []
    application, user = "", memoryview(b"")
    for kind, item in _items(memoryview(body)[68:]):
        if kind == 0x10:
            application = _uid(item)
        elif kind == 0x20:
            contexts.append(_proposed(item))
        elif kind == 0x50:
            user = item
    version, called, calling = int.from_bytes(body[:2], "big"), title(body[4:20]), title(body[20:36])
    return AssociateRequest(called, calling, application, tuple(contexts), version, *_user_information(user))


def _proposed(item: memoryview) -> Proposed:
    if len(item) < 4:
        raise BadPdu("a presentation context of less than 4 bytes")
    abstract, transfer = "", []
    for kind, part in _items(item[4:]):
        if kind == 0x30:
            abstract = _uid(part)
        elif kind == 0x40:
            transfer.append(_uid(part))
    return Proposed(item[0], abstract, tuple(transfer))


def _user_information(data: memoryview) -> tuple[int, int, bool, tuple[bytes, ...]]:
    max_length, invoked, asked, roles = 0, 1, False, []
    for kind, item in _items(data):
        if kind == 0x51 and len(item) == 4:
            max_length = int.from_bytes(item, "big")
        elif kind == 0x53 and len(item) == 4:
            invoked, asked = int.from_bytes(item[:2], "big"), True
        elif kind == 0x54:
            roles.append(bytes(item))
    return max_length, invoked, asked, tuple(roles)


def _item(kind: int, data: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(data)) + data


@dataclass(frozen=True, slots=True)
class Answered:
    """A presentation context as we answer it."""

    id: int
    result: int
    transfer_syntax: str


def acceptance(request: AssociateRequest, contexts: tuple[Answered, ...], *, max_length: int, window: int, titles: bytes) -> bytes:
    """A-ASSOCIATE-AC. `titles`: the 32 bytes of called and calling title, sent back as they came."""
    answered = b"".join(
        _item(0x21, bytes([each.id, 0, each.result, 0]) + _item(0x40, each.transfer_syntax.encode("ascii", "replace")))
        for each in contexts
    )
    user = _item(0x51, struct.pack(">I", max_length)) + _item(0x52, IMPLEMENTATION_CLASS.encode())
    if request.asked_window:
        user += _item(0x53, struct.pack(">HH", window, 1))
    user += b"".join(_item(0x54, role) for role in request.roles) + _item(0x55, IMPLEMENTATION_VERSION.encode())
    body = struct.pack(">Hxx", 1) + titles + bytes(32) + _item(0x10, APPLICATION_CONTEXT.encode()) + answered + _item(0x50, user)
    return HEADER.pack(ASSOCIATE_AC, len(body)) + body


def rejection(result: int, source: int, reason: int) -> bytes:
    return HEADER.pack(ASSOCIATE_RJ, 4) + bytes([0, result, source, reason])


def abortion(reason: int = 0, *, provider: bool = True) -> bytes:
    return HEADER.pack(ABORT, 4) + bytes([0, 0, 2 if provider else 0, reason if provider else 0])


def release_reply() -> bytes:
    return HEADER.pack(RELEASE_RP, 4) + bytes(4)


@dataclass(frozen=True, slots=True)
class Fragment:
    """One presentation data value: a piece of a command or of a data set."""

    context: int
    command: bool
    last: bool
    data: memoryview


def fragments(body: memoryview) -> Iterator[Fragment]:
    """P-DATA-TF without its header. Raise BadPdu."""
    at = 0
    while at < len(body):
        length = int.from_bytes(body[at : at + 4], "big") if len(body) - at >= 6 else 0
        if not 2 <= length <= len(body) - at - 4:
            raise BadPdu("a presentation data value longer than its PDU")
        control = body[at + 5]
        yield Fragment(body[at + 4], bool(control & 1), bool(control & 2), body[at + 6 : at + 4 + length])
        at += 4 + length


def command_data(context: int, command: bytes) -> bytes:
    """A whole command in one P-DATA-TF: answers are a few hundred bytes."""
    return HEADER.pack(P_DATA, len(command) + 6) + struct.pack(">IBB", len(command) + 2, context, 3) + command
