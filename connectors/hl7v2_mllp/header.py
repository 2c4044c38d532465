"""What can be read of a message from its bytes alone, before it is decoded and even if nothing else of it parses.

No second byte of GBK is CR, LF or 0x0B, so lines are found safely; HL7 v2.5.1 chapter 2.15.9 (MSH) and 2.10.3 (batches).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

_MSH = re.compile(rb"(?:^|[\r\n])[ \t\x0b]*(?:\xef\xbb\xbf)?(MSH[^A-Za-z0-9\s])")


@dataclass(frozen=True, slots=True)
class Header:
    """The MSH segment as bytes, `fields[n]` is MSH-n; or another segment of the same message."""

    fields: tuple[bytes, ...]
    components: bytes = b""  # the separator, where the segment does not state it itself

    def __getitem__(self, number: int) -> bytes:
        return self.fields[number].strip() if number < len(self.fields) else b""

    @property
    def separator(self) -> bytes:
        return self.fields[1]

    @property
    def component(self) -> bytes:
        return self.components or self[2][:1] or b"^"

    def part(self, number: int, component: int) -> bytes:
        parts = self[number].split(self.component)
        return parts[component - 1].strip() if component <= len(parts) else b""


def read_header(content: bytes) -> Header | None:
    """The first MSH of some bytes. None: there is none."""
    line = _header_line(content)
    if not line:
        return None
    name, *fields = line.split(line[3:4])
    return Header((name, line[3:4], *fields))


def _header_line(content: bytes) -> bytes:
    match = _MSH.search(content)
    if match is None:
        return b""
    start = match.start(1)
    return content[start : start + 8192].split(b"\r", 1)[0].split(b"\n", 1)[0]


def segment(content: bytes, name: bytes, header: Header) -> Header | None:
    """The first segment of that name in a message whose header was read."""
    for line in re.split(rb"[\r\n]+", content):
        if line.startswith(name + header.separator):
            return Header(tuple(line.split(header.separator)), header.component)
    return None


def declared_charset(content: bytes) -> str:
    """MSH-18 as written: before decoding, for it says how to decode. Of several sets the first is the usual one."""
    line = _header_line(content)
    fields = line.split(line[3:4], 18) if line else []  # fields[17] is MSH-18, for MSH-1 is what separates them
    if len(fields) < 18 or not fields[17]:
        return ""
    repetition = fields[1].strip()[1:2] or b"~"
    names = [name.strip() for name in fields[17].split(repetition)]
    return next((name.decode("ascii", "backslashreplace") for name in names if name), "")


def split_messages(content: bytes) -> list[bytes]:
    """A file, block or batch → its messages, byte for byte: joined again they are `content`.

    Envelope segments stay with a message: FHS and BHS before an MSH with the message they announce, BTS and FTS with the one
    before. Content without any MSH comes back whole.
    """
    starts = [match.start(1) for match in _MSH.finditer(content)]
    if len(starts) < 2:
        return [content]
    cuts = [0]
    for previous, start in pairwise(starts):
        cuts.append(_envelope_start(content, previous, start))
    return [content[cut:end] for cut, end in zip(cuts, [*cuts[1:], len(content)], strict=True)]


_OPENING = re.compile(rb"[\r\n](?:FHS|BHS)[^A-Za-z0-9\s]")


def _envelope_start(content: bytes, previous: int, start: int) -> int:
    """Where the FHS or BHS that announce the message at `start` begin, or `start` itself."""
    opening = _OPENING.search(content, previous, start)
    return opening.start() + 1 if opening else start
