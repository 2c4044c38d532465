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
from typing import NamedTuple

from connectors.hl7v2_mllp.charset import Decoded, Undecodable, decode
from connectors.hl7v2_mllp.header import declared_charset, split_messages
from mappers.base import CannotMap

__all__ = ["Message", "Segment", "declared_charset", "escape", "parse", "split_messages", "unescape"]

NULL = '""'  # "delete what you hold"; an empty field says nothing

_LINE_END = re.compile("\r\n|\r|\n")
_BASE64 = re.compile(r"[A-Za-z0-9+/]{1,}={0,2}", re.ASCII)
LONGEST_HEAD = 64  # OBX-1 and OBX-2
REJOINED = "line breaks inside its base64 data are taken out"
_NAME = re.compile(r"[A-Z][A-Z0-9]{2}")
_DELIMITED = frozenset({"MSH", "FHS", "BHS"})  # begin with the delimiters themselves
ENVELOPE = frozenset({"FHS", "BHS", "BTS", "FTS"})


# More than any source sends; beyond it a message is an attack on memory or time
MAX_SEGMENTS = 100_000
MAX_REPETITIONS = 10_000


class Delimiters(NamedTuple):
    """MSH-1 and MSH-2. The fifth character (truncation, 2.7) needs no handling: it only ever ends a value."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"


def delimiters_of(header: str) -> Delimiters:
    """MSH-1 and MSH-2 of an MSH (or FHS, BHS) segment; what a truncated MSH-2 leaves out is the usual character."""
    field = header[3]
    return _delimiters(field, header[4:].split(field, 1)[0][:5])


@lru_cache(maxsize=64)
def _delimiters(field: str, characters: str) -> Delimiters:
    stated: list[str] = []
    for position, usual in enumerate("^~\\&"):
        character = characters[position] if position < len(characters) else usual
        if character.isalnum() or character.isspace() or character == field or character in stated:
            character = next((c for c in (usual, *"^~\\&") if c not in stated and c != field), usual)
        stated.append(character)
    return Delimiters(field, *stated)


@lru_cache(maxsize=64)
def _odd(delimiters: Delimiters) -> bool:
    """Whether a letter or a digit separates."""
    return any(character.isalnum() for character in delimiters)


_ESCAPED = {"F": 0, "S": 1, "R": 2, "E": 3, "T": 4}  # \S\ → the component separator itself
# Formatting of FT (2.7.2): a new line, or nothing that a plain text could show
_FORMATTING = {".br": "\n", ".sp": "\n", ".ce": "\n", ".fi": "", ".nf": "", ".in": "", ".ti": "", ".sk": " ", "H": "", "N": ""}


@lru_cache(maxsize=64)
def _escape_pattern(escape: str) -> re.Pattern[str]:
    mark = re.escape(escape)
    return re.compile(f"{mark}([^{mark}\r\n]{{1,512}}){mark}")


def unescape(text: str, delimiters: Delimiters, charset: str = "utf-8") -> str:
    """Undo escape sequences; one that is not defined (a Windows path, a lone backslash) stays as written."""
    if delimiters.escape not in text:
        return text

    def plain(match: re.Match[str]) -> str:
        body = match[1]
        if body in _ESCAPED:
            return delimiters[_ESCAPED[body]]
        if body[0] == "X" and re.fullmatch(r"X(?:[0-9A-Fa-f]{2})+", body):
            return _hexadecimal(body[1:], charset) or match[0]
        formatting = _FORMATTING.get(body) if body in {"H", "N"} else _FORMATTING.get(body[:3])
        if formatting is None or (body[0] == "." and not re.fullmatch(r"\.[a-z]{2}[+-]?\d{0,3}", body)):
            return match[0]
        return formatting * max(1, int(body[3:] or 1)) if body.startswith(".sp") else formatting

    return _escape_pattern(delimiters.escape).sub(plain, text)


def _hexadecimal(digits: str, charset: str) -> str:
    try:
        return bytes.fromhex(digits).decode(charset if charset != "ascii" else "utf-8")
    except UnicodeDecodeError:
        return ""


def escape(text: str, delimiters: Delimiters = Delimiters()) -> str:  # noqa: B008 - a tuple
    """The other way: a value as a sender must write it."""
    letters = {delimiters[place]: letter for letter, place in _ESCAPED.items()}
    return "".join(
        f"{delimiters.escape}{letters[c]}{delimiters.escape}"
        if c in letters
        else f"{delimiters.escape}X{ord(c):02X}{delimiters.escape}"
        if c in "\r\n"
        else c
        for c in text
    )


class Segment:
    """One segment. `segment[5]` is the raw field, `segment.value(5, 1, 2)` an unescaped part of its first repetition.

    Fields, components, subcomponents and repetitions count from 1, as the standard counts them.
    """

    __slots__ = ("_line", "_message", "_split", "fields", "ignored", "name", "number", "read", "refused")
    fields: list[str]  # fields[0] is the name; made when first asked for

    def __init__(self, message: Message, line: str, name: str, number: int) -> None:
        self._message = message
        self._line = line
        self._split: tuple[int, list[str]] | None = None  # the repeating field read last
        self.name = name
        self.number = number  # among the segments of its name, from 1
        self.read = 0  # bit n: someone asked for field n
        self.refused = 0  # bit n: what field n holds could not be used, and an issue says so
        self.ignored = 0  # bit n: a declared table says that field n means nothing to FHIR

    def __getattr__(self, name: str) -> list[str]:
        if name != "fields":
            raise AttributeError(name)
        separator = self._message.delimiters.field
        self.fields = fields = self._line.split(separator)
        if self.name in _DELIMITED and len(fields) > 1:
            fields.insert(1, separator)  # MSH-1 is the separator itself
        return fields

    @property
    def where(self) -> str:
        return f"{self.name}[{self.number}]"

    def __len__(self) -> int:
        return len(self.fields) - 1

    def __getitem__(self, field: int) -> str:
        return self._raw(field)

    def _raw(self, field: int) -> str:
        self.read |= 1 << field
        return self.fields[field] if field < len(self.fields) else ""

    def has(self, field: int) -> bool:
        """Whether the field states something, be it a deletion. Does not count as reading it."""
        return field < len(self.fields) and self.fields[field].strip() != ""

    def deleted(self, field: int) -> bool:
        """Whether the field holds "" : what is there is to be deleted."""
        return self.has(field) and self._raw(field).strip() == NULL

    def count(self, field: int) -> int:
        """How often the field repeats. Raise CannotMap beyond MAX_REPETITIONS."""
        raw = self._raw(field)
        if not raw:
            return 0
        repeats = raw.count(self._message.delimiters.repetition) + 1
        if repeats > MAX_REPETITIONS:
            raise CannotMap(f"{self.where}-{field}: more than {MAX_REPETITIONS} repetitions")
        return repeats

    def repetitions(self, field: int) -> list[str]:
        """Raw repetitions that are not empty."""
        raw = self[field]
        return [part for part in raw.split(self._message.delimiters.repetition) if part.strip()] if raw else []

    def components(self, field: int, repetition: int = 1) -> list[str]:
        """Unescaped components, subcomponents and all, of one repetition."""
        raw = self._repetition(field, repetition)
        return [self.plain(part) for part in raw.split(self._message.delimiters.component)] if raw else []

    def parts(self, field: int, size: int, repetition: int = 1) -> list[str]:
        """The first `size` components of a repetition, each as `value` gives it; shorter ones are filled up with ""."""
        raw = self._repetition(field, repetition)
        if not raw:
            return [""] * size
        delimiters = self._message.delimiters
        sub = delimiters.subcomponent
        found = [
            self.plain(part.split(sub, 1)[0] if sub in part else part) for part in raw.split(delimiters.component, size)[:size]
        ]
        return found if len(found) == size else found + [""] * (size - len(found))

    def value(self, field: int, component: int = 1, subcomponent: int = 1, repetition: int = 1) -> str:
        """One unescaped value without the spaces around it; "" when absent, empty or deleted."""
        fields = self.fields
        if field >= len(fields) or not (raw := fields[field]):
            return ""
        self.read |= 1 << field
        message = self._message
        if raw.isalnum() and not message.odd:  # no delimiter, no space: most fields of most messages
            return raw if component == subcomponent == repetition == 1 else ""
        _, between, again, escape, within = message.delimiters
        if again in raw:
            raw = self._repetition(field, repetition)
        elif repetition > 1:
            return ""
        if between in raw:
            parts = raw.split(between, component)  # what lies behind the component is not cut
            raw = parts[component - 1] if component <= len(parts) else ""
        elif component > 1:
            return ""
        if within in raw:
            parts = raw.split(within)
            raw = parts[subcomponent - 1] if subcomponent <= len(parts) else ""
        elif subcomponent > 1:
            return ""
        return self.plain(raw) if escape in raw or '"' in raw else raw.strip()

    def text(self, field: int, repetition: int = 1) -> str:
        """The whole repetition as text: for ST, TX and FT, whose senders forget to escape ^ and &."""
        return self.plain(self._repetition(field, repetition), strip=False).rstrip()

    def plain(self, raw: str, *, strip: bool = True) -> str:
        """Unescape a raw part."""
        if raw[:1] == '"' and raw.strip() == NULL:
            return ""
        message = self._message
        text = unescape(raw, message.delimiters, message.charset) if message.delimiters.escape in raw else raw
        return text.strip() if strip else text

    def stated(self) -> Iterator[int]:
        """Numbers of the fields that are not empty; MSH-1 and MSH-2 say how, not what."""
        first = 3 if self.name in _DELIMITED else 1
        return (number for number in range(first, len(self.fields)) if self.fields[number].strip())

    def cells(self) -> dict[str, str]:
        """What the first repetition of each field states: "3" its first component, "3.2" its second. Not counted as reading."""
        delimiters, cells = self._message.delimiters, dict[str, str]()
        for field in self.stated():
            parts = self.fields[field].split(delimiters.repetition, 1)[0].split(delimiters.component)
            values = [self.plain(part.split(delimiters.subcomponent, 1)[0]) for part in parts]
            cells |= {f"{field}.{place}": value for place, value in enumerate(values, 1) if value}
            cells |= {str(field): values[0]} if values[0] else {}
        return cells

    def _repetition(self, field: int, repetition: int) -> str:
        raw = self._raw(field)
        separator = self._message.delimiters.repetition
        if separator not in raw or (field == 2 and self.name == "MSH"):
            return raw if repetition == 1 else ""
        if self._split is None or self._split[0] != field:
            self._split = (field, raw.split(separator, MAX_REPETITIONS))
        parts = self._split[1]
        return parts[repetition - 1] if repetition <= len(parts) else ""

    def unread_parts(self, field: int) -> tuple[int, ...]:  # noqa: ARG002
        """Components of the field that nobody asked for; only a segment that is traced knows them."""
        return ()

    def __str__(self) -> str:
        """The segment as it came."""
        return self._line


class TracedSegment(Segment):
    """Remembers the components that were asked for, for the person who looks; the stream does without."""

    __slots__ = ("_asked",)

    def __init__(self, message: Message, line: str, name: str, number: int) -> None:
        super().__init__(message, line, name, number)
        self._asked: set[tuple[int, int]] = set()  # (field, component); component 0: all of it

    def __getitem__(self, field: int) -> str:
        self._asked.add((field, 0))
        return super().__getitem__(field)

    def components(self, field: int, repetition: int = 1) -> list[str]:
        self._asked.add((field, 0))
        return super().components(field, repetition)

    def parts(self, field: int, size: int, repetition: int = 1) -> list[str]:
        self._asked.update((field, component) for component in range(1, size + 1))
        return super().parts(field, size, repetition)

    def value(self, field: int, component: int = 1, subcomponent: int = 1, repetition: int = 1) -> str:
        self._asked.add((field, component))
        return super().value(field, component, subcomponent, repetition)

    def text(self, field: int, repetition: int = 1) -> str:
        self._asked.add((field, 0))
        return super().text(field, repetition)

    def unread_parts(self, field: int) -> tuple[int, ...]:
        if (field, 0) in self._asked:
            return ()
        delimiters = self._message.delimiters
        repetitions = (part.split(delimiters.component) for part in self.fields[field].split(delimiters.repetition))
        stated = {
            place for parts in repetitions for place, part in enumerate(parts, 1) if part.strip(f" {delimiters.subcomponent}")
        }
        return tuple(sorted(stated - {component for asked, component in self._asked if asked == field}))


@dataclass(frozen=True, slots=True)
class Repair:
    """Something the splitter set right, for the mapper to report."""

    where: str
    detail: str


class Message:
    """One message. `all` holds every segment in the order of arrival."""

    __slots__ = (
        "_by_name",
        "_segment",
        "all",
        "charset",
        "declared_charset",
        "delimiters",
        "header",
        "odd",
        "repaired_charset",
        "repairs",
    )

    def __init__(self, decoded: Decoded, *, traced: bool = False) -> None:
        self._segment = TracedSegment if traced else Segment
        self.charset = decoded.charset
        self.declared_charset = decoded.declared
        self.repaired_charset = decoded.repaired
        self.repairs: list[Repair] = []
        lines = list(_lines(decoded.text))
        if len(lines) > MAX_SEGMENTS:
            raise CannotMap(f"more than {MAX_SEGMENTS} segments")
        start = next((n for n, line in enumerate(lines) if _is_header(line)), None)
        if start is None:
            raise CannotMap("no MSH segment")
        self.delimiters = delimiters_of(lines[start])
        separator = self.delimiters.field
        if f"{separator}ED{separator}" in decoded.text:
            lines = self._rejoined(lines)
        self.odd = _odd(self.delimiters)
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
        name = line[:3] if line[3:4] == self.delimiters.field else line.split(self.delimiters.field, 1)[0].rstrip()
        same = self._by_name.setdefault(name, [])
        segment = self._segment(self, line, name, len(same) + 1)
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


def _lines(text: str) -> Iterator[str]:
    """Segments as lines. In a message that ends its segments by CR, a lone LF inside OBX or NTE is text, not an end."""
    text = text.lstrip("﻿ \t\x0b\r\n")
    first_end = _LINE_END.search(text)
    by_carriage_return = first_end is not None and first_end[0] == "\r" and "\n" in text
    if not by_carriage_return:
        for line in text.replace("\r", "\n").split("\n"):
            if stripped := line.lstrip(" \t\x1c\x0b﻿"):
                yield stripped
        return
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


def _may_be_glued(lines: list[str], separator: str) -> bool:
    """The cheap question first: does a segment's name with its separator stand anywhere but at a line's start?"""
    text = "\n".join(lines)
    begun = [line[:4] for line in lines]
    for name in (*_COUNTED, "ORC"):
        marked = name + separator
        if marked in text and text.count(marked) > begun.count(marked):
            return True
    return False


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
