"""A file's bytes → its sheets' rows under the header that some kind of table has: CSV in any usual character set, or .xlsx.

Titles above the header, headers of several merged rows, columns in any order and headers that come again on each page are usual.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice

from connectors.files.content import kind_of, text_of
from connectors.files.folder import Refused
from connectors.files.sheets import GridRow, csv_rows, joined_names
from connectors.files.workbook import grids
from hub.errors import Invalid
from hub.terminology.importing.kinds import Kind, bare

LARGEST = 128 * 1024 * 1024
UNPACKED = 1024 * 1024 * 1024
MOST_ROWS = 400_000
HEADER_WITHIN = 30
HEADER_ROWS = (1, 2, 3)
TRIED = 200  # rows by whose codes a kind is told


@dataclass(frozen=True, slots=True)
class Header:
    kind: Kind
    columns: Mapping[str, int]  # role → place
    begin: int  # rows before the first that it heads
    height: int
    names: tuple[str, ...]

    def cell(self, row: Sequence[str], role: str) -> str:
        place = self.columns.get(role, -1)
        return row[place].strip() if 0 <= place < len(row) else ""

    def repeats(self, row: Sequence[str]) -> bool:
        """Whether the row is the header again, or a part of it."""
        return all(bare(self.cell(row, role)) in self.kind.spellings[role] for role in self.kind.needed)


@dataclass(slots=True)
class Sheet:
    """`rows` can be gone through once."""

    name: str  # "" of a CSV file
    title: str  # what stands above the header
    header: Header
    rows: Iterator[GridRow]


@dataclass(slots=True)
class Found:
    """What a file's sheets turned out to be."""

    charset: str = ""
    passed: list[str] = field(default_factory=list)  # sheets without such a header


def sheets(content: bytes, name: str, kinds: Iterable[Kind], found: Found) -> Iterator[Sheet]:
    """Those with a header that fits; once the first one has told the kind, the others are of it. Raise Invalid."""
    wanted = list(kinds)
    try:
        for sheet, rows in _grids(content, found):
            first = list(islice(rows, HEADER_WITHIN + TRIED))
            headers = [header for kind in wanted if (header := header_in(first, kind)) is not None]
            if not headers:
                if any(any(row.cells) for row in first):
                    found.passed.append(sheet)
                continue
            header = _chosen(headers, first, f"{name} {sheet}")
            wanted = [header.kind]
            title = " ".join(cell for row in first[: header.begin - header.height] for cell in row.cells)
            yield Sheet(sheet, title, header, chain(first[header.begin :], rows))
    except Refused as error:
        raise Invalid(f"{name}: {error}") from None


def _grids(content: bytes, found: Found) -> Iterator[tuple[str, Iterator[GridRow]]]:
    kind = kind_of(content)
    if kind == "workbook":
        yield from grids(content, allowance=UNPACKED, max_rows=MOST_ROWS)
    elif kind == "text":
        text, found.charset = text_of(content)
        yield "", csv_rows(text)
    elif kind == "old-office":
        raise Refused("this is an old Excel file (.xls): save it as .xlsx or as CSV")
    else:
        raise Refused("this is neither a CSV file nor an Excel workbook (.xlsx)")


def header_in(first: Sequence[GridRow], kind: Kind) -> Header | None:
    """The rows that name most of the kind's columns; of equals the fewer rows, and the upper."""
    best: Header | None = None
    for height in HEADER_ROWS:
        for begin in range(min(len(first), HEADER_WITHIN) - height + 1):
            names = joined_names([row.cells for row in first[begin : begin + height]] or [()])
            columns = _columns(names, kind)
            if all(role in columns for role in kind.needed) and (best is None or len(columns) > len(best.columns)):
                best = Header(kind, columns, begin + height, height, names)
    return best


def _columns(names: Sequence[str], kind: Kind) -> dict[str, int]:
    """Each column once, the needed roles first: a name of several rows is known whole or by its lowest part."""
    whole = [bare(name.replace("/", "")) for name in names]
    lowest = [bare(name.rpartition("/")[2]) for name in names]
    found: dict[str, int] = {}
    for role in sorted(kind.spellings, key=lambda role: role not in kind.needed):
        places = (
            place
            for spelling in kind.spellings[role]
            for stated in (whole, lowest)
            for place, known in enumerate(stated)
            if known == spelling and place not in found.values()
        )
        if (place := next(places, None)) is not None:
            found[role] = place
    return found


def _chosen(headers: Sequence[Header], first: Sequence[GridRow], about: str) -> Header:
    """Raise Invalid if it cannot be told which kind it is: nobody guesses which edition a table is of."""
    if len(headers) == 1:
        return headers[0]
    scores = {header.kind.name: _score(header, first, about) for header in headers}
    best = max(scores.values())
    likely = [header for header in headers if scores[header.kind.name] == best]
    if len(likely) > 1:
        names = ", ".join(header.kind.name for header in likely)
        said = f"this may be {names}" if best[0] else f"its columns may be those of {names}, its codes are of none of them"
        raise Invalid(f"{said}: say --kind; `table` takes any codes")
    return likely[0]


def _score(header: Header, first: Sequence[GridRow], about: str) -> tuple[bool, bool, int]:
    """Whether most of its codes look like such codes, whether both ends of a map stand in it, and how many hints are said."""
    role = header.kind.needed[0]
    rows = (row.cells for row in first[header.begin :] if not header.repeats(row.cells))
    codes = [header.kind.mended(code) for row in rows if (code := header.cell(row, role))]
    above = (about, *header.names, *(cell for row in first[: header.begin] for cell in row.cells))
    said = bare(" ".join(above))
    fits = 2 * sum(map(header.kind.fits, codes)) > len(codes)
    return fits, header.kind.maps, sum(bare(hint) in said for hint in header.kind.hints)
