"""A grid of cells, from a CSV file or a workbook → one row of a declared table each, with the number it has in its file.

A row that does not fit its header is told apart and its neighbours go on: it becomes a record that says what is wrong with it.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatch
from itertools import chain, islice

from connectors.files.config import SheetConfig
from connectors.files.folder import Refused

DELIMITERS = (",", "\t", ";", "|")
LINES_OF_A_ROW = 100  # a quote that nothing closes does not swallow the rest of the file
HEADER_WITHIN = 30  # rows


class NoHeader(Refused):
    """None of its rows is the header that is looked for."""


@dataclass(frozen=True, slots=True)
class GridRow:
    number: int  # the line of the file, or the row of the sheet, from 1
    cells: tuple[str, ...]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class SheetRow:
    number: int
    values: Mapping[str, str] = field(default_factory=dict)  # by the header's names
    problem: str = ""  # why it cannot be mapped


def sheet_for(sheets: Sequence[SheetConfig], file: str, sheet: str = "") -> SheetConfig | None:
    """The first that fits the file's name and the sheet's."""
    name = file.rpartition("/")[2].lower()
    return next((s for s in sheets if fnmatch(name, s.pattern.lower()) and fnmatch(sheet.lower(), s.sheet.lower())), None)


def csv_rows(text: str, delimiter: str = "") -> Iterator[GridRow]:
    """Rows of cells; `delimiter`: "" takes the one that cuts the first lines most evenly."""
    lines = list(io.StringIO(text, newline=""))
    delimiter = delimiter or _delimiter(lines)
    at = 0
    while at < len(lines):
        reader = csv.reader(lines[at : at + LINES_OF_A_ROW], delimiter=delimiter)
        try:
            cells = tuple(cell.strip() for cell in next(reader))
            problem = ""
        except csv.Error as error:
            cells, problem = (), str(error)
        taken = max(1, reader.line_num)
        if taken == LINES_OF_A_ROW and taken < len(lines) - at:
            problem, taken = f"a quotation mark is not closed within {LINES_OF_A_ROW} lines", 1
        if "�" in "".join(cells):
            problem = problem or "it holds bytes that are no letters of the file's character set"
        if problem or any(cells):
            yield GridRow(at + 1, cells, problem)
        at += taken


def _delimiter(lines: Sequence[str]) -> str:
    def evenness(delimiter: str) -> int:
        try:
            widths = Counter(len(row) for row in csv.reader(lines[:HEADER_WITHIN], delimiter=delimiter) if len(row) > 1)
        except csv.Error:
            return 0
        return max((width * count for width, count in widths.items()), default=0)

    return max(DELIMITERS, key=evenness)


def sheet_rows(grid: Iterator[GridRow], config: SheetConfig) -> Iterator[SheetRow]:
    """Raise Refused when there is no such header, as soon as the first row is asked for."""
    first = list(islice(grid, config.header + HEADER_WITHIN))
    names, begin = _header(first, config)
    for row in chain(first[begin:], grid):
        problem = row.problem or _misfit(row.cells, names, ragged=config.ragged)
        if problem:
            yield SheetRow(row.number, problem=f"row {row.number}: {problem}")
            continue
        values = {name: cell for name, cell in zip(names, row.cells, strict=False) if name}
        yield SheetRow(row.number, {name: _day(cell) if name in config.dates else cell for name, cell in values.items()})


def _misfit(cells: Sequence[str], names: Sequence[str], *, ragged: bool) -> str:
    filled = max((place for place, cell in enumerate(cells, 1) if cell), default=0)
    if filled > len(names) or (len(cells) < len(names) and not ragged):
        return f"{len(cells)} cells under a header of {len(names)}"
    return ""


def _header(first: Sequence[GridRow], config: SheetConfig) -> tuple[tuple[str, ...], int]:
    """The header's names, and how many rows lie before what it heads."""
    missing: set[str] = set(config.columns)
    for place in range(len(first) - config.header_rows + 1):
        if first[place].number < config.header:
            continue
        names = joined_names([row.cells for row in first[place : place + config.header_rows]])
        lacking = set(config.columns) - set(names)
        if config.header and lacking:
            raise NoHeader(f"its header has no column {', '.join(sorted(lacking))}")
        if config.header or (not lacking if config.columns else len({name for name in names if name}) > 1):
            return _distinct(names), place + config.header_rows
        missing = min(missing, lacking, key=len)
    if missing:
        wanted, lacking_at_best = ", ".join(config.columns), ", ".join(sorted(missing))
        raise NoHeader(f"none of its first rows is a header with {wanted}; the nearest lacks {lacking_at_best}")
    raise NoHeader("it has no header row")


def joined_names(rows: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """血压 over 收缩压 → 血压/收缩压; a cell merged downwards has its name once."""
    width = max(map(len, rows))
    columns = [[row[place] if place < len(row) else "" for row in rows] for place in range(width)]
    joined = ["/".join(dict.fromkeys(" ".join(name.split()) for name in column if name)) for column in columns]
    while joined and not joined[-1]:
        joined.pop()
    return tuple(joined)


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    if twice := [name for name, count in Counter(filter(None, names)).items() if count > 1]:
        raise Refused(f"its header names {', '.join(twice)} twice")
    return names


EXCEL_EPOCH = datetime(1899, 12, 30, tzinfo=UTC)


def _day(cell: str) -> str:
    """45418 → 2024-05-06: a day counted as Excel counts them. What is no such number stays as it is."""
    try:
        number = float(cell)
    except ValueError:
        return cell
    return day_of(number) if 1 <= number < 2_958_466 else cell


def day_of(serial: float, *, since_1904: bool = False) -> str:
    """A serial day → ISO date, or date and time where it has a fraction; below one day: a time."""
    # Excel counts a 29 February 1900 that never was
    days = serial + 1462 if since_1904 else serial + 1 if 1 <= serial < 60 else serial
    at = EXCEL_EPOCH + timedelta(seconds=round(days * 86_400))
    if days < 1:
        return at.strftime("%H:%M:%S")
    return at.strftime("%Y-%m-%d") if at.time() == at.min.time() else at.strftime("%Y-%m-%dT%H:%M:%S")
