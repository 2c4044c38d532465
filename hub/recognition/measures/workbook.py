"""Counts → an Excel workbook: the same numbers as the page, with their definitions on a sheet of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell

from hub.recognition.measures.counting import Counted, Counts
from hub.recognition.measures.definitions import DEFINITIONS
from hub.recognition.reasons import reasons

Row = list[Any]  # what a cell may hold
HEADINGS = {
    "zh": ("提示", "采用", "不予互认", "未应答", "已失效(不计)", "互认率", "节约(元)", "开立", "重复", "重复率"),
    "en": (
        "Prompts",
        "Recognised",
        "Refused",
        "Unanswered",
        "Lapsed (left out)",
        "Rate",
        "Saved (yuan)",
        "Placed",
        "Repeated",
        "Repeat rate",
    ),
}
SHEETS = {"zh": ("机构", "项目", "月份"), "en": ("Facility", "Item", "Month")}


def workbook(counted: Counted, language: str, name: Callable[[int, str], str]) -> bytes:
    """`name`: what a facility (0), an item (1) or a month (2) is called."""
    language = "en" if language.startswith("en") else "zh"
    book = Workbook(write_only=True)
    for part, title in enumerate(SHEETS[language]):
        sheet = book.create_sheet(title)
        sheet.append([title, *HEADINGS[language]])
        for value, counts in counted.by(part).items():
            sheet.append([_text(sheet, name(part, value)), *_figures(counts)])
        sheet.append(["Σ", *_figures(counted.total())])
    sheet = book.create_sheet("R01–R12")
    for code, says in reasons(language).items():
        sheet.append([code, says, counted.reasons().get(code, 0)])
    sheet = book.create_sheet("定义" if language == "zh" else "Definitions")
    for row in _definitions(counted, language):
        sheet.append(row)
    content = BytesIO()
    book.save(content)
    return content.getvalue()


def _figures(counts: Counts) -> Row:
    rate = counts.recognised / counts.prompts if counts.prompts else None
    repeats = counts.repeated / counts.placed if counts.placed else None
    answers: Row = [counts.prompts, counts.recognised, counts.refused, counts.unanswered, counts.lapsed]
    return [*answers, rate, counts.saved / 100, counts.placed, counts.repeated, repeats]


def _definitions(counted: Counted, language: str) -> Iterator[Row]:
    place = 1 if language == "en" else 0
    yield [counted.first.isoformat(), counted.last.isoformat()]
    for each in DEFINITIONS:
        words = (each.title, each.numerator_words, each.denominator_words, each.exclusion_words)
        yield [each.id, each.version, *(pair[place] for pair in words)]


def _text(sheet: object, value: str) -> WriteOnlyCell:
    """A name that begins like a formula is a name."""
    cell = WriteOnlyCell(sheet, value)
    cell.data_type = "s"
    return cell
