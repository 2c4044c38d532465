"""A record as a person reads it: its text, its parts with the places of their bytes, and what of it is masked.

HL7 v2.5.1 2.5 (segments, fields, components); CDA R2; DICOM PS3.5 7.1; a row's columns. Only shows: mapping is the mappers'.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from connectors.base import SourceRecord
from connectors.hl7v2_mllp.charset import Decoded, Undecodable, decode
from connectors.hl7v2_mllp.header import declared_charset
from connectors.xml import NotXml, read_xml, text_of_bytes
from hub.ingest.masking import (
    MASK,
    PUBLIC_ATTRIBUTES,
    PUBLIC_CDA,
    masked,
    masked_resource,
    private_column,
    private_element,
    private_field,
)
from mappers.base import CannotMap
from mappers.cda.reader import local
from mappers.cda.reader import parse as parse_cda
from mappers.dicom.header import TEXT_VRS, HeaderError, read_header, tag_name
from mappers.hl7v2.message import Delimiters, delimiters_of, unescape

MOST_NODES = 4000
LONGEST_SHOWN = 512 * 1024  # bytes of a record that are shown; the whole is in the journal
LONGEST_VALUE = 2000


@dataclass(frozen=True, slots=True)
class Node:
    """A part of a record: a segment, field, component, XML element, DICOM element or column."""

    where: str  # "PID-5.1", "ClinicalDocument/recordTarget", "(0010,0010)", "id_no"
    name: str = ""  # a keyword or title, where one is known
    value: str = ""  # as read; masked where `private` and not opened
    private: bool = False
    start: int = -1  # offset of its first byte in the record; -1: not known
    end: int = -1
    line: int = 0  # of an XML document; 0: none
    children: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True)
class Raw:
    """The record's bytes as text."""

    text: str  # masked unless opened; "" for binary ones
    charset: str = ""  # by which they were read
    declared: str = ""  # what the record says of itself
    repaired: bool = False  # the declaration was wrong
    size: int = 0
    binary: bool = False
    cut: bool = False  # only the beginning is shown
    failing: int = -1  # the first byte that no character set explains


@dataclass(frozen=True, slots=True)
class Shown:
    raw: Raw
    tree: tuple[Node, ...]
    problem: str = ""  # why there is no tree


def show(record: SourceRecord, *, opened: bool, charset: str = "") -> Shown:
    """`opened`: unmasked, which the caller answers for. Never raises for what a stranger wrote."""
    reader = _READERS.get(record.kind.partition("/")[0], _unknown)
    charset = charset or record.hints.get("charset", "")
    try:
        return reader(record, charset, opened)
    except (CannotMap, HeaderError, NotXml, ValueError, RecursionError) as error:
        shown = _unknown(record, charset, opened)
        return replace(
            shown, problem=str(error) if isinstance(error, CannotMap | HeaderError | Undecodable) else type(error).__name__
        )


# ---------------------------------------------------------------- text


def _decoded(content: bytes, declared: str, charset: str) -> tuple[Decoded | None, int]:
    """The text; or None and the place of the byte at which UTF-8 ends."""
    try:
        return decode(content, declared, charset), -1
    except Undecodable:
        try:
            content.decode("utf-8")
        except UnicodeDecodeError as error:
            return None, error.start
        return None, 0


def _raw(content: bytes, decoded: Decoded | None, failing: int, text: str, size: int) -> Raw:
    if decoded is None:
        return Raw(text, "", "", False, size, cut=size > len(content), failing=failing)
    return Raw(text, decoded.charset, decoded.declared, decoded.repaired, size, cut=size > len(content))


def _unknown(record: SourceRecord, charset: str, opened: bool) -> Shown:
    content = record.content[:LONGEST_SHOWN]
    size = len(record.content)
    if b"\0" in content[:1024]:
        return Shown(Raw("", size=size, binary=True), ())
    decoded, failing = _decoded(content, "", charset)
    text = decoded.text if decoded else content.decode("utf-8", "replace")
    return Shown(_raw(content, decoded, failing, text if opened else masked(text), size), ())


# ---------------------------------------------------------------- HL7 v2

_LINES = re.compile("[^\r\n]+")


def _v2(record: SourceRecord, charset: str, opened: bool) -> Shown:
    content = record.content[:LONGEST_SHOWN]
    decoded, failing = _decoded(content, declared_charset(content), charset)
    if decoded is None:
        text = content.decode("utf-8", "replace")
        raw = _raw(content, None, failing, text if opened else masked(text), len(record.content))
        return Shown(raw, (), f"no character set explains byte {failing}")
    lines = list(_LINES.finditer(decoded.text))
    header = next((match[0] for match in lines if match[0].startswith("MSH") and len(match[0]) > 4), None)
    if header is None:
        raise CannotMap("no MSH segment")
    reader = _Segments(decoded, delimiters_of(header), opened)
    nodes = tuple(reader.segment(match) for match in lines)
    raw = _raw(content, decoded, -1, reader.text(), len(record.content))
    return Shown(raw, nodes, "" if reader.left else f"more than {MOST_NODES} parts: the rest is in the raw message")


class _Segments:
    """Text of a message → nodes and masked text, together, so that both mask the same."""

    def __init__(self, decoded: Decoded, delimiters: Delimiters, opened: bool) -> None:
        self._text, self._codec = decoded.text, decoded.charset
        self._delimiters, self._opened = delimiters, opened
        self._pieces: list[str] = []
        self._taken = 0  # characters of the text that are in the pieces
        self._offset = 0  # and their bytes
        self.left = MOST_NODES

    def segment(self, match: re.Match[str]) -> Node:
        self._take(self._text[self._taken : match.start()])
        line, begin = match[0], self._offset
        separator = self._delimiters.field
        fields = line.split(separator)
        name = fields[0].strip()
        known = re.fullmatch("[A-Z][A-Z0-9]{2}", name) is not None
        self._take(fields[0] if known or self._opened else masked(fields[0]), fields[0])
        delimited = name in {"MSH", "FHS", "BHS"}
        children: list[Node] = []
        for place, field in enumerate(fields[1:], 2 if delimited else 1):
            self._take(separator)
            children += self._field(name, place, field)
        return Node(name if known else "?", start=begin, end=self._offset, children=tuple(children))

    def text(self) -> str:
        self._take(self._text[self._taken :])
        return "".join(self._pieces)

    def _field(self, segment: str, place: int, field: str) -> Iterator[Node]:
        private = private_field(segment, place)
        hidden = private and not self._opened and field != '""'
        start = self._offset
        self._take(masked(field) if hidden else field, field)
        if field.strip() == "" or self.left <= 0:
            return
        self.left -= 1
        where = f"{segment}-{place}"
        yield Node(where, "", self._value(field, hidden), private, start, self._offset, children=self._parts(where, field, hidden))

    def _parts(self, where: str, field: str, hidden: bool) -> tuple[Node, ...]:
        repetition, component = self._delimiters.repetition, self._delimiters.component
        if where == "MSH-2" or (component not in field and repetition not in field):
            return ()
        found = []
        for number, repeated in enumerate(field.split(repetition), 1):
            for place, part in enumerate(repeated.split(component), 1):
                if part.strip() and self.left > 0:
                    self.left -= 1
                    name = f"{where}.{place}" if number == 1 else f"{where}[{number}].{place}"
                    found.append(Node(name, "", self._value(part, hidden), hidden))
        return tuple(found)

    def _value(self, text: str, hidden: bool) -> str:
        return masked(text[:64]) if hidden else unescape(text[:LONGEST_VALUE], self._delimiters, self._codec)

    def _take(self, shown: str, original: str | None = None) -> None:
        original = shown if original is None else original
        self._pieces.append(shown)
        self._taken += len(original)
        self._offset += len(original.encode(self._codec, "replace"))


# ---------------------------------------------------------------- rows


def _row(record: SourceRecord, _: str, opened: bool) -> Shown:
    try:
        row = json.loads(record.content)
    except ValueError:
        raise CannotMap("the row is not JSON") from None
    if not isinstance(row, dict):
        raise CannotMap("the row is not a JSON object")
    nodes = tuple(_column(str(name), value, opened) for name, value in list(row.items())[:MOST_NODES])
    text = json.dumps({node.where: node.value for node in nodes}, ensure_ascii=False, indent=1)
    return Shown(Raw(text, "utf-8", size=len(record.content)), nodes)


def _column(name: str, value: Any, opened: bool) -> Node:
    private = private_column(name)
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return Node(name, "", masked(text[:64]) if private and not opened else text[:LONGEST_VALUE], private)


# ---------------------------------------------------------------- CDA


def _cda(record: SourceRecord, charset: str, opened: bool) -> Shown:
    parsed = parse_cda(record.content)
    walk = _Elements(opened)
    tree = walk.node(parsed.root, local(parsed.root), 0)
    content = record.content[:LONGEST_SHOWN]
    declared = re.search(rb'encoding\s*=\s*["\']([A-Za-z0-9_.\-]+)', content[:200])
    stated = declared[1].decode("ascii") if declared else ""
    decoded, failing = _decoded(content, stated or "UTF-8", charset)
    text = decoded.text if decoded else content.decode("utf-8", "replace")
    raw = _raw(content, decoded, failing, text if opened else _masked_xml(text), len(record.content))
    return Shown(replace(raw, repaired=bool(parsed.repaired)), (tree,))


class _Elements:
    def __init__(self, opened: bool) -> None:
        self._opened = opened
        self._left = MOST_NODES

    def node(self, element: Any, where: str, depth: int) -> Node:
        self._left -= 1
        name = local(element)
        attributes = "; ".join(self._attribute(str(key), str(value)) for key, value in element.attrib.items())
        text = (element.text or "").strip()
        private = bool(text) and name not in PUBLIC_CDA
        said = masked(text[:64]) if private and not self._opened else text[:LONGEST_VALUE]
        children: list[Node] = []
        for each in element:
            if not isinstance(each.tag, str) or self._left <= 0 or depth > 100:
                continue
            children.append(self.node(each, f"{where}/{local(each)}", depth + 1))
        line = int(element.sourceline or 0)
        return Node(where, attributes, said, private, line=line, children=tuple(children))

    def _attribute(self, key: str, value: str) -> str:
        name = key.rpartition("}")[2]
        return f"{name}={value if self._opened or name in PUBLIC_ATTRIBUTES else masked(value[:64])}"


_MARKUP = re.compile(r"(<[!?/]?[^<>]*>)")
_ATTRIBUTE = re.compile(r"([\w:.\-]+)(\s*=\s*)(\"[^\"]*\"|'[^']*')")


def _masked_xml(text: str) -> str:
    """Character data and every attribute that is not known to be harmless; what is not well formed is hidden wholly."""
    pieces = _MARKUP.split(text)
    return "".join(_masked_tag(piece) if place % 2 else _masked_data(piece) for place, piece in enumerate(pieces))


def _masked_data(text: str) -> str:
    return text if not text.strip() else re.sub(r"\S", MASK, text)


def _masked_tag(tag: str) -> str:
    if tag.startswith("<!"):
        return MASK * 3
    return _ATTRIBUTE.sub(_masked_attribute, tag)


def _masked_attribute(match: re.Match[str]) -> str:
    name = match[1].rpartition(":")[2]
    if name in PUBLIC_ATTRIBUTES or match[1].startswith("xmlns"):
        return match[0]
    quote = match[3][0]
    return f"{match[1]}{match[2]}{quote}{MASK * min(len(match[3]) - 2, 20)}{quote}"


# ---------------------------------------------------------------- DICOM


def _dicom(record: SourceRecord, charset: str, opened: bool) -> Shown:
    from pydicom.datadict import keyword_for_tag  # when a DICOM record is shown, not when the hub starts

    header = read_header(record.content, charset=charset)
    nodes = []
    for tag, element in list(header.elements.items())[:MOST_NODES]:
        private = private_element(tag, element.vr)
        textual = element.vr in TEXT_VRS or element.vr not in {"OB", "OW", "OF", "OD", "UN", "SQ"}
        value = "\\".join(header.texts(tag)) if textual and len(element.value) <= LONGEST_VALUE else f"{len(element.value)} bytes"
        shown = masked(value[:64]) if private and not opened else value[:LONGEST_VALUE]
        nodes.append(Node(tag_name(tag), keyword_for_tag(tag), f"{element.vr} {shown}".strip(), private))
    declared = "\\".join(header.declared_charset)
    decoder = header.decoder
    raw = Raw("", decoder.codec, declared, bool(decoder.repaired), len(record.content), binary=True)
    return Shown(raw, tuple(nodes))


# ---------------------------------------------------------------- HL7 V3, FHIR


def _v3(record: SourceRecord, charset: str, opened: bool) -> Shown:
    root = read_xml(text_of_bytes(record.content))
    decoded, failing = _decoded(record.content[:LONGEST_SHOWN], "UTF-8", charset)
    text = decoded.text if decoded else text_of_bytes(record.content)[:LONGEST_SHOWN]
    raw = _raw(record.content[:LONGEST_SHOWN], decoded, failing, text if opened else _masked_xml(text), len(record.content))
    return Shown(raw, (_Elements(opened).node(root, local(root), 0),))


def _fhir(record: SourceRecord, _: str, opened: bool) -> Shown:
    try:
        resource = json.loads(record.content)
    except ValueError:
        raise CannotMap("not JSON") from None
    if not isinstance(resource, dict):
        raise CannotMap("no resource")
    shown = resource if opened else masked_resource(resource)
    text = json.dumps(shown, ensure_ascii=False, indent=1)[:LONGEST_SHOWN]
    nodes = tuple(Node(path, "", _written(value)[:LONGEST_VALUE]) for path, value in islice(leaves(shown), MOST_NODES))
    return Shown(Raw(text, "utf-8", size=len(record.content)), nodes)


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The path and value of each part of a resource that has no parts itself: "name[0].given[0]"."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield from leaves(each, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for place, each in enumerate(value):
            yield from leaves(each, f"{path}[{place}]")
    else:
        yield path, value


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


_READERS: dict[str, Callable[[SourceRecord, str, bool], Shown]] = {
    "hl7v2": _v2,
    "row": _row,
    "cda": _cda,
    "dicom": _dicom,
    "hl7v3": _v3,
    "fhir": _fhir,
}
