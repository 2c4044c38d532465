"""An Excel workbook → a catalogue or evidence, or every cell that is wrong, named by sheet, row and column.

Which of the two it is its header says. The head may be a sheet of its own (a line for each field), or be stated beside the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from pydantic import ValidationError

from connectors.files.content import kind_of
from connectors.files.folder import Refused
from connectors.files.sheets import GridRow
from connectors.files.workbook import grids, letters
from hub.errors import Invalid
from hub.recognition.publishing.cells import Unreadable, parsed
from hub.recognition.publishing.columns import (
    AFTER_DAYS,
    BEFORE_DAYS,
    CONTEXTS,
    DAYS,
    HEADS,
    ROWS_OF_EVIDENCE,
    Column,
    bare,
    columns_of,
)
from hub.recognition.publishing.library import MODELS, Facts, Kind
from profiles.catalogue import EvidenceRow, Item, Table

LARGEST = 8 * 1024 * 1024
UNPACKED = 128 * 1024 * 1024
MOST_ROWS = 50_000
MOST_WRONG = 500  # told of one file
HEADER_WITHIN = 20
COMMON_CONTEXTS = tuple(CONTEXTS)
ROW: Mapping[Kind, type[Item] | type[EvidenceRow]] = {"catalogue": Item, "evidence": EvidenceRow}


class Place(NamedTuple):
    """Of a cell: sheet, row, letter and name of the column."""

    sheet: str
    row: int  # 0: the sheet as a whole
    column: str  # "" for the row as a whole
    name: str


@dataclass(frozen=True, slots=True)
class Wrong:
    """A `Place` and what is wrong there: `problem` is a key of `PROBLEMS`, or words of the model; `value` what the cell says."""

    sheet: str
    row: int
    column: str
    name: str
    problem: str
    value: str = ""

    def says(self, language: str) -> str:
        pair = PROBLEMS.get(self.problem, (self.problem, self.problem))
        return pair[1 if language.startswith("en") else 0].format(value=self.value, name=self.name)


PROBLEMS: Mapping[str, tuple[str, str]] = {
    "needed": ("必填，不能为空", "is needed"),
    "choice": ("“{value}”不在可选值中", "“{value}” is none of the choices"),
    "flag": ("“{value}”应为是或否", "“{value}” must be yes or no"),
    "whole": ("“{value}”应为非负整数", "“{value}” must be a whole number, 0 or more"),
    "yuan": ("“{value}”应为金额（元），至多两位小数", "“{value}” must be an amount in yuan with at most two decimals"),
    "day": ("“{value}”应为日期，例如 2026-03-01", "“{value}” must be a day, as 2026-03-01"),
    "match": ("“{value}”应为 系统|代码", "“{value}” must be system|code"),
    "area": ("“{value}”不是区域，例如 national、county:339900", "“{value}” is no area, as national or county:339900"),
    "areas": ("“{value}”应为 标识=区域", "“{value}” must be mark=area"),
    "twice": ("与第 {value} 行重复", "is stated in row {value} already"),
    "setting": ("“{value}”不在目录的就诊场景中", "“{value}” is none of the catalogue's settings"),
    "no-column": ("缺少列“{name}”", "the column “{name}” is missing"),
    "unknown-column": ("无法识别的列“{value}”", "the column “{value}” is not known"),
    "column-twice": ("列“{value}”出现两次", "the column “{value}” is there twice"),
    "no-head": ("缺少“{name}”：请在首页工作表或表单中填写", "“{name}” is missing: state it on the first sheet, or in the form"),
    "no-rows": ("没有任何数据行", "there is no row"),
    "error": ("单元格有错误", "a cell holds an error"),
    "an imaging or ECG item states its modality": ("检查和心电项目须写明检查类型", "an imaging or ECG item states its modality"),
    "same_method needs the accepted methods": ("须同方法时要写明可接受方法", "“same method” needs the accepted methods"),
    "valid_to lies before valid_from": ("有效期至早于有效期自", "ends before it begins"),
}
FILES: Mapping[str, tuple[str, str]] = {
    "large": (f"文件超过 {LARGEST >> 20} MB", f"the file is larger than {LARGEST >> 20} MB"),
    "old": ("这是旧版 Excel 文件（.xls）：请另存为 .xlsx", "this is an old Excel file (.xls): save it as .xlsx"),
    "other": ("这不是 Excel 工作簿（.xlsx）", "this is no Excel workbook (.xlsx)"),
    "broken": ("工作簿无法读取：{value}", "the workbook cannot be read: {value}"),
    "foreign": (
        "没有工作表含目录或质评证据的列：请先在此下载表格再填写",
        "no sheet has the columns of a catalogue or of evidence: export one here and fill it in",
    ),
}
PLACES = {  # what the model says of a row as a whole → the column that it is about
    "an imaging or ECG item states its modality": "modality",
    "same_method needs the accepted methods": "methods",
    "valid_to lies before valid_from": "valid_to",
}


class NoWorkbook(Invalid):
    """`problem` is a key of FILES."""

    def __init__(self, problem: str, value: str = "") -> None:
        super().__init__(FILES[problem][1].format(value=value))
        self._problem, self._value = problem, value

    def says(self, language: str) -> str:
        return FILES[self._problem][1 if language.startswith("en") else 0].format(value=self._value)


@dataclass(slots=True)
class Read:
    """`facts` is None if anything is wrong."""

    kind: Kind
    facts: Facts | None = None
    wrong: list[Wrong] = field(default_factory=list)
    rows: int = 0

    def add(self, wrong: Wrong) -> None:
        if len(self.wrong) < MOST_WRONG:
            self.wrong.append(replace(wrong, value=wrong.value[:60]))


@dataclass(frozen=True, slots=True)
class Sheet:
    name: str
    rows: tuple[GridRow, ...]


def read_workbook(content: bytes, stated: Mapping[str, str] = {}) -> Read:
    """`stated`: fields of the head that go before those of the file. Raise NoWorkbook."""
    sheets = _sheets(content)
    kind, sheet, begin = _table(sheets)
    read = Read(kind)
    head = _head(read, [each for each in sheets if each is not sheet], stated)
    contexts = head.get("contexts") or COMMON_CONTEXTS
    columns = _columns(read, sheet, begin, columns_of(kind, contexts))
    rows = list(_rows(read, sheet, begin, columns, contexts))
    if not rows and not read.wrong:
        read.add(Wrong(sheet.name, 0, "", "", "no-rows"))
    if not read.wrong:
        _whole(read, sheet, head, rows)
    return read


def _sheets(content: bytes) -> list[Sheet]:
    if len(content) > LARGEST:
        raise NoWorkbook("large")
    if (kind := kind_of(content)) != "workbook":
        raise NoWorkbook("old" if kind == "old-office" else "other")
    try:
        return [Sheet(name, tuple(rows)) for name, rows in grids(content, allowance=UNPACKED, max_rows=MOST_ROWS)]
    except Refused as error:
        raise NoWorkbook("broken", str(error)) from None


def _table(sheets: Iterable[Sheet]) -> tuple[Kind, Sheet, int]:
    """The sheet of rows, and where its header stands: the row that has most of a kind's needed columns. Raise NoWorkbook."""
    best: tuple[int, Kind, Sheet, int] | None = None
    needed: Mapping[Kind, tuple[Column, ...]] = {"catalogue": (*BEFORE_DAYS, *AFTER_DAYS), "evidence": ROWS_OF_EVIDENCE}
    for sheet in sheets:
        for place, row in enumerate(sheet.rows[:HEADER_WITHIN]):
            said = {bare(cell) for cell in row.cells}
            for kind, columns in needed.items():
                score = sum(any(bare(name) in said for name in column.names) for column in columns if column.needed)
                if score >= 3 and (best is None or score > best[0]):
                    best = (score, kind, sheet, place)
    if best is None:
        raise NoWorkbook("foreign")
    return best[1:]


def _head(read: Read, others: Sequence[Sheet], stated: Mapping[str, str]) -> dict[str, Any]:
    """Lines of label and value, of whichever sheet states a version."""
    columns = {bare(name): column for column in HEADS[read.kind] for name in column.names}
    found: dict[str, Any] = {}
    said: set[str] = set()
    for sheet in others:
        lines = [(row, columns[bare(row.cells[0])]) for row in sheet.rows if bare(row.cells[0]) in columns]
        if "version" not in {column.field for _, column in lines}:
            continue
        for row, column in lines:
            text = row.cells[1].strip() if len(row.cells) > 1 else ""
            if text and not stated.get(column.field):
                said.add(column.field)
                _into(read, found, column, text, Place(sheet.name, row.number, "B", row.cells[0]))
    for column in HEADS[read.kind]:
        both = Place("", 0, "", " / ".join(column.words))
        if text := stated.get(column.field, "").strip():
            _into(read, found, column, text, both)
        elif column.needed and column.field not in said:
            read.add(Wrong(*both, "no-head"))
    return found


def _into(read: Read, found: dict[str, Any], column: Column, text: str, place: Place) -> None:
    try:
        found[column.field] = parsed(column, text)
    except Unreadable as error:
        read.add(Wrong(*place, error.problem, error.value))


def _columns(read: Read, sheet: Sheet, begin: int, columns: Sequence[Column]) -> dict[int, Column]:
    """Place → column. An unknown header is wrong too: what somebody wrote there would be lost."""
    header = sheet.rows[begin]
    known = {bare(name): column for column in columns for name in column.names}
    found: dict[int, Column] = {}
    for place, cell in enumerate(header.cells):
        column, letter = known.get(bare(cell)), letters(place)
        if column is None and cell:
            read.add(Wrong(sheet.name, header.number, letter, cell[:60], "unknown-column", cell))
        elif column is not None and column in found.values():
            read.add(Wrong(sheet.name, header.number, letter, cell[:60], "column-twice", cell))
        elif column is not None:
            found[place] = column
    for column in columns:
        if column.needed and column not in found.values():
            read.add(Wrong(sheet.name, header.number, "", " / ".join(column.words), "no-column"))
    return found


def _places(sheet: Sheet, begin: int, columns: Mapping[int, Column]) -> dict[str, tuple[str, str]]:
    """Field → letter and name of its column, as the file's header says it."""
    cells = sheet.rows[begin].cells
    return {column.field: (letters(place), cells[place].rstrip("*")) for place, column in columns.items()}


def _rows(
    read: Read, sheet: Sheet, begin: int, columns: Mapping[int, Column], contexts: Sequence[str]
) -> Iterator[tuple[GridRow, Table]]:
    letters = _places(sheet, begin, columns)
    seen: dict[tuple[str, ...], int] = {}
    for row in sheet.rows[begin + 1 :]:
        read.rows += 1
        before = len(read.wrong)
        values = _values(read, sheet, row, columns, letters)
        if row.problem:
            read.add(Wrong(sheet.name, row.number, "", "", "error"))
        unknown = next((each for each in values.get("excluded_contexts", ()) if each not in contexts), None)
        if unknown is not None:
            read.add(Wrong(sheet.name, row.number, *letters["excluded_contexts"], "setting", unknown))
        key = _key(read.kind, values)
        if all(key) and seen.setdefault(key, row.number) != row.number:
            first = "code" if read.kind == "catalogue" else "organization"
            read.add(Wrong(sheet.name, row.number, *letters[first], "twice", str(seen[key])))
        if len(read.wrong) == before and (made := _made(read, sheet, row, values, letters)) is not None:
            yield row, made


def _key(kind: Kind, values: Mapping[str, Any]) -> tuple[str, ...]:
    """What no two rows may share."""
    names = ("code",) if kind == "catalogue" else ("organization", "item", "scope", "scheme", "round")
    return tuple(str(values.get(name, "")) for name in names)


def _values(
    read: Read, sheet: Sheet, row: GridRow, columns: Mapping[int, Column], letters: Mapping[str, tuple[str, str]]
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    days: dict[str, int] = {}
    for place, column in columns.items():
        text = row.cells[place].strip() if place < len(row.cells) else ""
        where = Place(sheet.name, row.number, *letters[column.field])
        if not text:
            if column.needed:
                read.add(Wrong(*where, "needed"))
            continue
        _into(read, values, column, text, where)
        if column.field.startswith(DAYS) and column.field in values:
            days[column.field.removeprefix(DAYS)] = values.pop(column.field)
    return {**values, "validity_days": days} if read.kind == "catalogue" else values


def _made(
    read: Read, sheet: Sheet, row: GridRow, values: Mapping[str, Any], letters: Mapping[str, tuple[str, str]]
) -> Table | None:
    try:
        return ROW[read.kind].model_validate(values)
    except ValidationError as error:
        for each in error.errors(include_input=False, include_url=False):
            says = each["msg"].removeprefix("Value error, ")
            name = PLACES.get(says, str(each["loc"][0]) if each["loc"] else "")
            read.add(Wrong(sheet.name, row.number, *letters.get(name, ("", name)), says))
        return None


def _whole(read: Read, sheet: Sheet, head: Mapping[str, Any], rows: Sequence[tuple[GridRow, Table]]) -> None:
    """What only shows when all of it is together."""
    content = {"catalogue": ("catalogue", "items"), "evidence": ("evidence", "rows")}[read.kind]
    try:
        read.facts = MODELS[read.kind].model_validate({content[0]: head, content[1]: [row for _, row in rows]})
    except ValidationError as error:
        for each in error.errors(include_input=False, include_url=False):
            read.add(Wrong(sheet.name, 0, "", ".".join(map(str, each["loc"])), each["msg"].removeprefix("Value error, ")))
