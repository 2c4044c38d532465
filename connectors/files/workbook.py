"""An Excel workbook (.xlsx, ECMA-376 part 1, transitional or strict) → the grids of its visible sheets.

Read as a stream and within limits: the file comes from outside, and a few kilobytes of it may claim to be gigabytes. Cells come as
text, dates as ISO text by their number format, merged cells with the value of their first in each.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from zipfile import BadZipFile, ZipFile

from lxml import etree

from connectors.files.folder import Refused
from connectors.files.sheets import GridRow, day_of

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
WIDEST = 1_000  # columns
LARGEST_MERGE = 100_000  # cells that one merged range may fill
SHEETS = 50
# Built-in number formats that show a date or a time: ECMA-376 18.8.30, East Asian ones included
DATE_FORMATS = frozenset((*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)))
NOT_LETTERS = re.compile(r'"[^"]*"|\[[^\]]*\]|\\.|_.|\*.|General|E[+-]', re.I)
PADDED = re.compile(r"(?:#,##)?(0{1,30})(?:\.(0{1,30}))?(?:_.)?(?:;.*)?")  # 0.00 shows 36.1 as 36.10, 000000 shows 42 as 000042
BUILT_IN = {1: "0", 2: "0.00", 3: "#,##0", 4: "#,##0.00"}
REFERENCE = re.compile(r"\$?([A-Z]{1,3})\$?(\d{1,7})")


class Parts:
    """The workbook's parts, unpacked within one allowance."""

    def __init__(self, content: bytes, allowance: int) -> None:
        try:
            self._archive = ZipFile(BytesIO(content))
        except (BadZipFile, ValueError, NotImplementedError):
            raise Refused("it is no workbook: its archive cannot be read") from None
        self._left = allowance

    def events(self, name: str, *wanted: str) -> Iterator[etree._Element]:
        """The part's elements of these names, each once it is whole. Nothing when there is no such part."""
        if name not in self._archive.namelist():
            return
        parser = etree.XMLPullParser(events=("end",), resolve_entities=False, no_network=True, huge_tree=False)
        try:
            with self._archive.open(name) as part:
                while chunk := part.read(65_536):
                    self._left -= len(chunk)
                    if self._left < 0:
                        raise Refused("it is larger unpacked than max_sheet_bytes allows")
                    parser.feed(chunk)
                    for _, element in parser.read_events():
                        if isinstance(element, etree._Element) and _name(element) in wanted:
                            yield element
                            _forget(element)
        except (BadZipFile, etree.XMLSyntaxError, RuntimeError, OSError, EOFError, ValueError, zlib.error) as error:
            raise Refused(f"its part {name} cannot be read ({type(error).__name__})") from None


@dataclass(frozen=True, slots=True)
class Style:
    """How a number is shown: as a date, or with zeros up to so many digits before and behind its point."""

    date: bool = False
    whole: int = 1
    decimals: int = 0

    @staticmethod
    def of(number: int, code: str) -> Style:
        """`code`: of a custom number format; "" for a built-in one. ECMA-376 part 1, 18.8.30 and 18.8.31."""
        shown = code or BUILT_IN.get(number, "")
        date = re.search("[ymdhs]", NOT_LETTERS.sub("", code), re.I) is not None if code else number in DATE_FORMATS
        padded = PADDED.fullmatch(shown)
        return Style(date) if padded is None else Style(date, len(padded[1]), len(padded[2] or ""))


PLAIN = Style()


@dataclass(frozen=True, slots=True)
class Format:
    """What is needed to read a cell: the shared strings, and how styles show numbers."""

    strings: Sequence[str]
    styles: Sequence[Style]
    since_1904: bool


def grids(content: bytes, *, allowance: int, max_rows: int) -> Iterator[tuple[str, Iterator[GridRow]]]:
    """(sheet name, rows) of every sheet that is not hidden. Raise Refused."""
    parts = Parts(content, allowance)
    sheets, since_1904 = _sheets(parts)
    form = Format(_strings(parts), _styles(parts), since_1904)
    for name, part in sheets[:SHEETS]:
        yield name, _grid(parts, part, form, max_rows)


def _name(element: etree._Element) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _forget(element: etree._Element) -> None:
    """What was read, and all before it: a sheet of a million cells is never in memory as a tree."""
    element.clear()
    above = element.getparent()
    while above is not None and element.getprevious() is not None:
        del above[0]


def _own(element: etree._Element, name: str) -> str:
    """An attribute, whatever namespace its prefix stands for: r:id is another URI in strict workbooks."""
    return next((str(value) for key, value in element.attrib.items() if str(key).rpartition("}")[2] == name), "")


def _sheets(parts: Parts) -> tuple[list[tuple[str, str]], bool]:
    targets = {
        _own(element, "Id"): _own(element, "Target").removeprefix("/xl/").removeprefix("xl/")
        for element in parts.events("xl/_rels/workbook.xml.rels", "Relationship")
    }
    found, since_1904 = [], False
    for element in parts.events("xl/workbook.xml", "sheet", "workbookPr"):
        if _name(element) == "workbookPr":
            since_1904 = _own(element, "date1904") in ("1", "true")
        elif _own(element, "state") in ("", "visible"):
            found.append((_own(element, "name"), f"xl/{targets.get(_own(element, 'id'), '')}"))
    if not found:
        raise Refused("it has no sheet")
    return found, since_1904


def _strings(parts: Parts) -> list[str]:
    """Runs of one text are joined; a phonetic guide is none of it."""
    return [_text(element) for element in parts.events("xl/sharedStrings.xml", "si")]


def _text(element: etree._Element) -> str:
    return "".join(part.text or "" for part in element.iter("{*}t") if (above := part.getparent()) is None or _name(above) != "rPh")


def _styles(parts: Parts) -> list[Style]:
    codes: dict[int, str] = {}
    styles: list[Style] = []
    for element in parts.events("xl/styles.xml", "numFmt", "cellXfs"):
        if _name(element) == "numFmt":
            codes[int(_own(element, "numFmtId") or 0)] = _own(element, "formatCode")
        else:
            numbers = [int(_own(style, "numFmtId") or 0) for style in element]
            styles = [Style.of(number, codes.get(number, "")) for number in numbers]
    return styles


def _grid(parts: Parts, part: str, form: Format, max_rows: int) -> Iterator[GridRow]:
    rows: dict[int, dict[int, str]] = {}
    problems: dict[int, str] = {}
    merged: list[str] = []
    for element in parts.events(part, "row", "mergeCell"):
        if _name(element) == "mergeCell":
            merged.append(_own(element, "ref"))
            continue
        number = int(_own(element, "r") or 0) or max(rows, default=0) + 1
        if len(rows) >= max_rows:
            raise Refused(f"a sheet has more than {max_rows} rows (max_rows)")
        cells: dict[int, str] = {}
        for place, cell in enumerate(element):
            column = _column(_own(cell, "r"), place)
            if column >= WIDEST:
                break
            cells[column] = _value(cell, form)
            if _own(cell, "t") == "e" and cells[column]:
                problems[number] = f"cell {_own(cell, 'r')} holds the error {cells[column][:10]}"
        rows[number] = cells
    for reference in merged:
        _fill(rows, reference)
    width = max((max(cells, default=-1) + 1 for cells in rows.values()), default=0)
    for number in sorted(rows):
        cells_of = tuple(rows[number].get(column, "") for column in range(width))
        if any(cells_of):
            yield GridRow(number, cells_of, problems.get(number, ""))


def _value(cell: etree._Element, form: Format) -> str:
    kind = _own(cell, "t")
    if kind == "inlineStr":
        return _text(cell).strip()
    text = "".join(part.text or "" for part in cell if _name(part) == "v").strip()
    if kind == "s":
        place = int(text) if text.isdecimal() else -1
        return form.strings[place].strip() if 0 <= place < len(form.strings) else ""
    if kind in ("str", "e", "d") or not text:
        return text
    if kind == "b":
        return text
    place = int(_own(cell, "s") or 0)
    return _number(text, form.styles[place] if place < len(form.styles) else PLAIN, since_1904=form.since_1904)


def _number(text: str, style: Style, *, since_1904: bool) -> str:
    """A number as Excel shows it: 5.6 is stored as 5.5999999999999996, a date as 45418, 36.10 as 36.1. Never rounded."""
    try:
        number = float(text)
    except ValueError:
        return text
    if style.date and 0 <= number < 2_958_466:
        return day_of(number, since_1904=since_1904)
    if number.is_integer() and abs(number) < 10**15:
        return _padded(str(int(number)), style)
    return text if number.is_integer() or "e" in repr(number) else _padded(repr(number), style)


def _padded(text: str, style: Style) -> str:
    whole, _, decimals = text.partition(".")
    decimals = decimals.ljust(style.decimals, "0")
    return whole.zfill(style.whole + whole.startswith("-")) + (f".{decimals}" if decimals else "")


def letters(place: int) -> str:
    """Of a column, counted from 0: A, B … Z, AA."""
    before, last = divmod(place, 26)
    return (letters(before - 1) if before else "") + chr(65 + last)


def _column(reference: str, place: int) -> int:
    match = REFERENCE.fullmatch(reference)
    if match is None:
        return place
    column = 0
    for letter in match[1]:
        column = column * 26 + ord(letter) - 64
    return column - 1


def _fill(rows: Mapping[int, dict[int, str]], reference: str) -> None:
    """Every cell of a merged range says what its first one says."""
    first, _, last = reference.partition(":")
    start, end = REFERENCE.fullmatch(first), REFERENCE.fullmatch(last)
    if start is None or end is None:
        return
    top, bottom = int(start[2]), int(end[2])
    left, right = _column(first, 0), min(_column(last, 0), WIDEST - 1)
    text = rows.get(top, {}).get(left, "")
    if not text or (bottom - top + 1) * (right - left + 1) > LARGEST_MERGE:
        return
    for number in range(top, bottom + 1):
        for column in range(left, right + 1):
            if number in rows:
                rows[number][column] = text
