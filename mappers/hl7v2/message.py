"""An HL7 v2 message: decoded, split into segments and fields; deeper levels only when asked for.

HL7 v2.5.1 chapter 2 (2.5 delimiters, 2.7 escape sequences, 2.10 batches). Terminators may be CR, LF, CRLF or mixed, MSH-2 may
be truncated or anything; no segment is ever lost: what is not understood is still in `Message.all`.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from connectors.hl7v2_mllp.charset import Decoded, Undecodable, decode
from connectors.hl7v2_mllp.header import declared_charset, split_messages
from mappers.base import CannotMap
from mappers.hl7v2.delimiters import Delimiters, Encoding, delimiters_of, escape, odd, unescape
from mappers.hl7v2.segment import DELIMITED, Segment, TracedSegment

__all__ = ["Delimiters", "Message", "Segment", "declared_charset", "delimiters_of", "escape", "parse", "split_messages", "unescape"]

_LINE_END = re.compile("\r\n|\r|\n")
_BASE64 = re.compile(r"[A-Za-z0-9+/]{1,}={0,2}", re.ASCII)
LONGEST_HEAD = 64  # OBX-1 and OBX-2
REJOINED = "line breaks inside its base64 data are taken out"
_NAME = re.compile(r"[A-Z][A-Z0-9]{2}")
ENVELOPE = frozenset({"FHS", "BHS", "BTS", "FTS"})
MAX_SEGMENTS = 100_000  # more than any source sends; beyond it a message is an attack on memory or time


@dataclass(frozen=True, slots=True)
class Repair:
    """Something the splitter set right, for the mapper to report."""

    where: str
    detail: str


class Message:
    """One message. `all` holds every segment in the order of arrival."""

    __slots__ = (
        "_by_name",
        "_encoding",
        "_segment",
        "all",
        "charset",
        "declared_charset",
        "delimiters",
        "header",
        "repaired_charset",
        "repairs",
    )

    def __init__(self, decoded: Decoded, *, traced: bool = False) -> None:
        self._segment = TracedSegment if traced else Segment
        self.charset = decoded.charset
        self.declared_charset = decoded.declared
        self.repaired_charset = decoded.repaired
        self.repairs: list[Repair] = []
        lines = _lines(decoded.text)
        if len(lines) > MAX_SEGMENTS:
            raise CannotMap(f"more than {MAX_SEGMENTS} segments")
        start = next((n for n, line in enumerate(lines) if _is_header(line)), None)
        if start is None:
            raise CannotMap("no MSH segment")
        self.delimiters = delimiters_of(lines[start])
        separator = self.delimiters.field
        if f"{separator}ED{separator}" in decoded.text:
            lines = self._rejoined(lines)
        self._encoding = Encoding(self.delimiters, decoded.charset, odd(self.delimiters))
        self._by_name: dict[str, list[Segment]] = {}
        self.all: list[Segment] = []
        glue = _glue_pattern(self.delimiters) if _may_be_glued(lines, separator) else None
        for line in lines:
            if glue is not None:
                self._unglue(line, glue)
            else:
                self._append(line)
        self.header = self._by_name["MSH"][0]

    def _rejoined(self, lines: list[str]) -> list[str]:
        """Base64 that its sender broke into lines is one value: a line that is no segment but goes on with it."""
        separator = self.delimiters.field
        marker = f"{separator}ED{separator}"
        whole: list[list[str]] = []
        results = 0
        for line in lines:
            results += line.startswith(f"OBX{separator}")
            open_document = whole and whole[-1][0].startswith(f"OBX{separator}") and marker in whole[-1][0][:LONGEST_HEAD]
            if open_document and not _starts_segment(line, separator) and _BASE64.fullmatch(line.split(separator, 1)[0].strip()):
                if len(whole[-1]) == 1:
                    self.repairs.append(Repair(f"OBX[{results}]", REJOINED))
                whole[-1].append(line.strip())
            else:
                whole.append([line])
        return ["".join(pieces) for pieces in whole]

    def _unglue(self, line: str, glue: re.Pattern[str]) -> None:
        start = 0
        for match in glue.finditer(line):
            self._append(line[start : match.start()])
            start = match.start()
            name = line[start : start + 3]
            self.repairs.append(Repair(f"{name}[{len(self._by_name.get(name, ())) + 1}]", "the segment break before it is missing"))
        self._append(line[start:] if start else line)

    def _append(self, line: str) -> None:
        separator = self.delimiters.field
        fields = line.split(separator)
        name = fields[0].rstrip()
        if name in DELIMITED and len(fields) > 1:
            fields.insert(1, separator)  # MSH-1 is the separator itself
        same = self._by_name.setdefault(name, [])
        segment = self._segment(self._encoding, line, fields, name, len(same) + 1)
        same.append(segment)
        self.all.append(segment)

    def part(self, segments: Iterable[Segment]) -> Message:
        """Some of the segments as a message of their own, for what is said of one of several patients."""
        part = copy.copy(self)
        part.all = list(segments)
        part._by_name = {}
        for segment in part.all:
            part._by_name.setdefault(segment.name, []).append(segment)
        return part

    def segments(self, name: str) -> list[Segment]:
        return self._by_name.get(name, [])

    def first(self, name: str) -> Segment | None:
        return next(iter(self._by_name.get(name, ())), None)

    def __iter__(self) -> Iterator[Segment]:
        return iter(self.all)

    def __len__(self) -> int:
        return len(self.all)

    @property
    def control_id(self) -> str:
        return self.header.value(10)

    @property
    def code(self) -> str:
        return self.header.value(9, 1)

    @property
    def trigger(self) -> str:
        return self.header.value(9, 2)


def _is_header(line: str) -> bool:
    return line.startswith("MSH") and len(line) > 4 and not line[3].isalnum() and not line[3].isspace()


def _lines(text: str) -> list[str]:
    """Segments as lines. In a message that ends its segments by CR, a lone LF inside OBX or NTE is text, not an end."""
    text = text.lstrip("﻿ \t\x0b\r\n")
    end = "\r"
    if "\n" in text:  # of most messages it is not
        first_end = _LINE_END.search(text)
        if first_end is not None and first_end[0] == "\r":
            return list(_lines_of_text(text))
        text, end = text.replace("\r", "\n"), "\n"
    return [stripped for line in text.split(end) if (stripped := line.lstrip(" \t\x1c\x0b﻿"))]


def _lines_of_text(text: str) -> Iterator[str]:
    for line in re.split("\r\n?", text):
        whole: list[str] = []
        for piece in line.split("\n"):
            if not piece.strip(" \t\x1c\x0b﻿"):
                continue
            if whole and len(whole[0]) > 3 and whole[0][:3] in {"OBX", "NTE"} and not _starts_segment(piece, whole[0][3]):
                whole.append(piece)
                continue
            if whole:
                yield "\n".join(whole)
            whole = [piece.lstrip(" \t﻿")]
        if whole:
            yield "\n".join(whole)


def _starts_segment(line: str, separator: str) -> bool:
    return _NAME.match(line) is not None and (len(line) == 3 or line[3] == separator)


# Segments that are met in the middle of a line when a terminator is lost, and begin with a number
_COUNTED = ("OBR", "OBX", "NTE", "SPM", "DG1", "PID", "PV1")


@lru_cache(maxsize=64)
def _marks(separator: str) -> tuple[re.Pattern[str], frozenset[str]]:
    """Each of these names with the separator behind it, to be found in one pass: eight took longer than all splitting."""
    names = (*_COUNTED, "ORC")
    return re.compile(f"(?:{'|'.join(names)}){re.escape(separator)}"), frozenset(name + separator for name in names)


def _may_be_glued(lines: list[str], separator: str) -> bool:
    """The cheap question first: does a segment's name with its separator stand anywhere but at a line's start?"""
    pattern, marks = _marks(separator)
    return len(pattern.findall("\n".join(lines))) > sum(line[:4] in marks for line in lines)


@lru_cache(maxsize=64)
def _glue_pattern(delimiters: Delimiters) -> re.Pattern[str]:
    """A segment's beginning in the middle of a line: its name after a value, then a first field of the kind it has."""
    field = re.escape(delimiters.field)
    before = rf"(?<=[^A-Za-z\s{''.join(re.escape(c) for c in delimiters)}])"
    counted = "|".join(_COUNTED)
    return re.compile(rf"{before}(?:(?:{counted}){field}\d{{1,4}}{field}|ORC{field}[A-Z]{{2}}{field})")


def parse(content: bytes, charset: str = "", *, traced: bool = False) -> Message:
    """Decode and split one message; `charset` is the channel's own default; `traced` remembers each component that is read.

    Raise CannotMap: undecodable, no MSH.
    """
    try:
        return Message(decode(content, declared_charset(content), charset), traced=traced)
    except Undecodable as error:
        raise CannotMap(str(error)) from None
