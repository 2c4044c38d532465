"""A catalogue or evidence → an Excel workbook that can be changed and brought in again; its last sheet explains the columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from io import BytesIO
from typing import Any

from openpyxl import Workbook
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.datavalidation import DataValidation
from openpyxl.worksheet.worksheet import Worksheet

from hub.recognition.publishing.columns import DAYS, HEADS, SHEETS, Column, choices_of, columns_of, place_of
from hub.recognition.publishing.library import Facts, Publication, head_of
from profiles.catalogue import Catalogue
from profiles.names import LOINC

BOLD = Font(bold=True)
FILL = PatternFill("solid", fgColor="E8EEF4")
SPARE_ROWS = 500  # below the last, for which a cell's choices hold too
HELP = (("列", "必填", "说明"), ("Column", "Needed", "What it takes"))


def workbook_of(facts: Facts, language: str) -> bytes:
    """`language`: en, or Chinese."""
    kind, head, place = Publication(facts).kind, head_of(facts), place_of(language)
    columns = columns_of(kind, getattr(head, "contexts", ()))
    book = Workbook()
    book.remove(book.active)
    head_sheet, row_sheet = (book.create_sheet(words[place]) for words in SHEETS[kind])
    for column in HEADS[kind]:
        _append(head_sheet, [column.label(language), _told(column, getattr(head, column.field), language), column.help[place]])
    for letter, width in (("A", 18), ("B", 60), ("C", 60)):
        head_sheet.column_dimensions[letter].width = width
    _append(row_sheet, [_label(column, language) for column in columns])
    rows = facts.items if isinstance(facts, Catalogue) else facts.rows
    for row in rows:
        _append(row_sheet, [_told(column, _value(row, column), language) for column in columns])
    _dress(row_sheet, columns, len(rows), language)
    help_sheet = book.create_sheet(HELP[place][2])
    for line in (HELP[place], *_help(columns, language)):
        _append(help_sheet, line)
    help_sheet.column_dimensions["A"].width, help_sheet.column_dimensions["C"].width = 24, 80
    content = BytesIO()
    book.save(content)
    return content.getvalue()


def _label(column: Column, language: str) -> str:
    return column.label(language) + ("*" if column.needed else "")


def _value(row: Any, column: Column) -> Any:
    if column.field.startswith(DAYS):
        return row.validity_days.get(column.field.removeprefix(DAYS), "")
    return getattr(row, column.field)


def _told(column: Column, value: Any, language: str) -> Any:
    """As a cell says it."""
    match column.holds:
        case "flag":
            return choices_of(column)["yes" if value else "no"][place_of(language)]
        case "choice":
            return column.choices[value][place_of(language)] if value else ""
        case "yuan":
            return float(Decimal(value) / 100)
        case "list" | "settings":
            return "; ".join(value)
        case "match":
            return "; ".join(f"{'LOINC' if each.system == LOINC else each.system}|{each.code}" for each in value)
        case "areas":
            return "; ".join(f"{mark}={area}" for mark, area in value.items())
        case "day":
            return value.isoformat()
        case _:
            return value


def _append(sheet: Worksheet, values: Iterable[Any]) -> None:
    """A text that begins like a formula is a text."""
    sheet.append([""])
    row = sheet.max_row
    for place, value in enumerate(values, 1):
        cell = sheet.cell(row, place, value)
        if isinstance(value, str):
            cell.data_type = "s"
            cell.number_format = "@"


def _dress(sheet: Worksheet, columns: Iterable[Column], rows: int, language: str) -> None:
    sheet.freeze_panes = "C2"
    for place, column in enumerate(columns, 1):
        letter = get_column_letter(place)
        top = sheet.cell(1, place)
        top.font, top.fill, top.alignment = BOLD, FILL, Alignment(wrap_text=True, vertical="top")
        sheet.column_dimensions[letter].width = 28 if column.holds in ("match", "list", "settings") else 14
        if choices := choices_of(column):
            words = ",".join(each[place_of(language)] for each in choices.values())
            rule = DataValidation(type="list", formula1=f'"{words}"', allow_blank=not column.needed)
            rule.add(f"{letter}2:{letter}{rows + SPARE_ROWS}")
            sheet.add_data_validation(rule)


def _help(columns: Iterable[Column], language: str) -> Iterable[tuple[str, str, str]]:
    place = place_of(language)
    for column in columns:
        choices: Mapping[str, Any] = choices_of(column)
        says = " / ".join(words[place] for words in choices.values()) or column.help[place] or _HOLDS[column.holds][place]
        yield column.label(language), "*" if column.needed else "", says


_HOLDS: Mapping[str, tuple[str, str]] = {
    "text": ("文字", "text"),
    "list": ("文字", "text"),
    "settings": ("就诊场景的名称", "names of settings"),
    "whole": ("非负整数；时限 0 表示该场景下不互认，空白表示未规定", "a whole number; a window of 0 is never, a blank is not set"),
    "yuan": ("金额，至多两位小数", "an amount with at most two decimals"),
    "day": ("日期：2026-03-01", "a day: 2026-03-01"),
}
