"""multipart/related bodies → their parts, within limits.

https://www.rfc-editor.org/rfc/rfc2387, https://www.rfc-editor.org/rfc/rfc2046#section-5.1; PS3.18 8.6.1.2
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message

MAX_PART_HEADERS = 16 * 1024
MAX_PARTS = 100_000


class BadMultipart(ValueError):
    """A body that is not what its Content-Type says."""


@dataclass(frozen=True, slots=True)
class Part:
    content_type: str  # in small letters, without parameters
    transfer_syntax: str  # of its parameters; "" if it states none
    content: bytes


def parameters(header: str) -> tuple[str, dict[str, str]]:
    """Content-Type → type in small letters, and parameters by name in small letters."""
    message = Message()
    message["content-type"] = header.replace("\r", " ").replace("\n", " ")
    found = message.get_params(failobj=[]) or []
    return message.get_content_type(), {name.lower(): value for name, value in found[1:]}


def parts(content_type: str, body: bytes) -> Iterator[Part]:
    """The parts of a multipart/related answer, or the one that a single-part answer is. Raise BadMultipart."""
    kind, stated = parameters(content_type)
    if kind != "multipart/related":
        yield Part(kind, stated.get("transfer-syntax", ""), body)
        return
    boundary = stated.get("boundary", "")
    if not 0 < len(boundary) <= 200 or not boundary.isascii():
        raise BadMultipart("no boundary")
    yield from _split(body, b"--" + boundary.encode())


def _split(body: bytes, delimiter: bytes) -> Iterator[Part]:
    at = 0 if body.startswith(delimiter) else body.find(b"\r\n" + delimiter) + 2
    if at == 1:
        raise BadMultipart("its boundary does not occur")
    for _ in range(MAX_PARTS):
        at += len(delimiter)
        if body[at : at + 2] == b"--":
            return
        begin = body.find(b"\r\n", at)
        if begin < 0:
            raise BadMultipart("cut off behind a boundary")
        end = _end(body, delimiter, begin)
        yield _part(body[begin + 2 : end])
        at = end + 2
    raise BadMultipart(f"more than {MAX_PARTS} parts")


def _end(body: bytes, delimiter: bytes, begin: int) -> int:
    """Where the line break before the next boundary stands; a boundary is a whole line, pixels may hold its letters."""
    at = begin
    while True:
        at = body.find(b"\r\n" + delimiter, at)
        if at < 0:
            raise BadMultipart("cut off: the last boundary is missing")
        after = body[at + 2 + len(delimiter) :][:2]
        if after in (b"\r\n", b"--") or after[:1] in (b" ", b"\t"):
            return at
        at += 2


def _part(data: bytes) -> Part:
    if data.startswith(b"\r\n"):
        return Part("application/dicom", "", data[2:])
    blank = data.find(b"\r\n\r\n", 0, MAX_PART_HEADERS)
    if blank < 0:
        raise BadMultipart(f"a part whose headers do not end within {MAX_PART_HEADERS} bytes")
    lines = data[:blank].decode("latin-1").split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    kind, stated = parameters(headers.get("content-type", "application/dicom"))
    return Part(kind, stated.get("transfer-syntax", ""), data[blank + 4 :])
