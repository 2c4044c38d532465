"""Rows under a header → concepts, or pairs of a map; what is wrong with a line is told by its number, and the line is left out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, NamedTuple

from hub.errors import Invalid
from hub.terminology.importing.kinds import LEVELS, NAMES, Kind
from hub.terminology.importing.sheet import Found, Header, Sheet, sheets

MOST_TOLD = 2_000  # problems that are kept
LONGEST = 2_000  # characters of a cell
TOLD_EVERY = 2_000  # rows
# 1.23E+19: what a spreadsheet makes of a long number; the code is lost
_ROUNDED = re.compile(r"\d(\.\d+)?E\+\d+", re.I)
# 国临版2.0, 2024年版, 2024-08版, 2023年行政区划
EDITION = re.compile(r"(?<![\d.])(\d{1,2}\.\d{1,2}(?:\.\d{1,2})?)(?![\d.])|(20[0-4]\d(?:-(?:0[1-9]|1[0-2]))?)\s*(?:年?版|年(?!\d))")

Progress = Callable[[int], None]


class Problem(NamedTuple):
    sheet: str
    line: int
    text: str


@dataclass(slots=True)
class Concept:
    code: str
    display: str
    parent: str = ""
    line: int = 0  # 0: a level that a row names beside its own code
    values: tuple[tuple[str, str], ...] = ()  # property or kind of name → text


class Pair(NamedTuple):
    source: str
    source_name: str
    target: str  # "": the file says that there is none
    target_name: str


@dataclass(slots=True)
class Table:
    """What a file says. `rows`: lines that were not empty; `repeated`: lines that say what one before them said."""

    kind: Kind
    concepts: dict[str, Concept] = field(default_factory=dict)
    pairs: dict[tuple[str, str], Pair] = field(default_factory=dict)
    rows: int = 0
    repeated: int = 0
    problems: list[Problem] = field(default_factory=list)
    wrong: int = 0  # lines left out, those that are not kept in `problems` included
    columns: Mapping[str, str] = field(default_factory=dict)  # role → as the file names it
    found: Found = field(default_factory=Found)
    titles: str = ""
    said: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)  # role and text, once however many rows say it

    def tell(self, sheet: str, line: int, text: str) -> None:
        self.wrong += 1
        if len(self.problems) < MOST_TOLD:
            self.problems.append(Problem(sheet, line, text))

    @property
    def size(self) -> int:
        return len(self.pairs) if self.kind.maps else len(self.concepts)

    @property
    def edition(self) -> str:
        """What the kind or the file's name and titles say of it; "" if they do not."""
        if self.kind.edition:
            return self.kind.edition
        found = EDITION.search(self.titles)
        return (found[1] or found[2]) if found else ""


def read_table(content: bytes, name: str, kinds: Mapping[str, Kind], kind: str = "", told: Progress = lambda _: None) -> Table:
    """`kind`: a name in `kinds`; "" for what its columns and codes say. Raise Invalid for what is no such table."""
    if kind and kind not in kinds:
        raise Invalid(f"--kind {kind}: one of {', '.join(kinds)}")
    tried = [kinds[kind]] if kind else [each for each in kinds.values() if each.system]
    found = Found()
    table: Table | None = None
    for sheet in sheets(content, name, tried, found):
        if table is None:
            table = Table(sheet.header.kind, columns=_named(sheet.header), found=found, titles=PurePath(name).stem)
        table.titles += f" {sheet.name} {sheet.title}"
        _take(table, sheet, told)
    if table is None:
        raise Invalid(f"{name}: {_no_header(tried, kind)}")
    if not table.size:
        own = "a facility's own codes come in by --kind table --system urn:hub:FACILITY:item --edition …"
        raise Invalid(f"{name}: no line has a code of this kind ({table.kind.name}); {_first(table)}; {own}")
    if table.kind.parents == "prefix":
        _nest(table)
    return table


def _named(header: Header) -> dict[str, str]:
    return {role: header.names[place] for role, place in header.columns.items()}


def _no_header(tried: list[Kind], kind: str) -> str:
    if kind:
        roles = "; ".join(f"{role}: {', '.join(tried[0].columns[role][:4])} …" for role in tried[0].needed)
        return f"none of its first rows is a header with the columns of {kind} ({roles})"
    return "none of its first rows is a header of a table that is known; --kind table takes any with the columns 代码 and 名称"


def _first(table: Table) -> str:
    return f"line {table.problems[0].line}: {table.problems[0].text}" if table.problems else "it has no rows"


def _take(table: Table, sheet: Sheet, told: Progress) -> None:
    read = _pair if table.kind.maps else _concept
    header = sheet.header
    for row in sheet.rows:
        if not any(row.cells) or header.repeats(row.cells):
            continue
        table.rows += 1
        if table.rows % TOLD_EVERY == 0:
            told(table.rows)
        if row.problem:
            table.tell(sheet.name, row.number, row.problem)
            continue
        try:
            read(table, header, row.cells, row.number)
        except Invalid as error:
            table.tell(sheet.name, row.number, error.message)


# -- one line


def _code(kind: Kind, stated: str) -> str:
    if _ROUNDED.fullmatch(stated):
        raise Invalid(f"the code {stated} was rounded by a spreadsheet: format the column as text")
    code = kind.mended(stated)
    if not kind.fits(code):
        raise Invalid(f"{stated[:40]} is no code of this kind")
    return code


def _concept(table: Table, header: Header, cells: tuple[str, ...], line: int) -> None:
    kind = table.kind
    stated, display = header.cell(cells, "code"), " ".join(header.cell(cells, "display").split())
    parent = _levels(table, header, cells)
    if not stated and not display and parent:
        return  # a row that names a category only
    if not stated:
        raise Invalid("it has a name and no code" if display else "it has neither a code nor a name")
    code = _code(kind, stated)
    if not display:
        raise Invalid(f"{code} has no name")
    if len(display) > LONGEST:
        raise Invalid(f"the name of {code} is longer than {LONGEST} characters")
    before = table.concepts.get(code)
    if before is not None and before.line:
        if before.display != display:
            raise Invalid(f"{code} stands in line {before.line} already, with another name")
        table.repeated += 1
        return
    values = ((role, header.cell(cells, role)[:LONGEST]) for role in (*NAMES, *kind.properties))
    if not parent or code in _upwards(table.concepts, parent):  # the row names itself, or what lies below it, as its category
        parent = before.parent if before is not None else ""
    kept = tuple(table.said.setdefault(value, value) for value in values if value[1])
    table.concepts[code] = Concept(code, display, parent, line, kept)


def _levels(table: Table, header: Header, cells: tuple[str, ...]) -> str:
    """Categories that the row names beside its own code become concepts of their own; the lowest one.

    A chapter of one category has its code (00 of ICD-9-CM-3) and other words: the first name stands, and no line is lost for it.
    """
    parent = ""
    for level in LEVELS:
        code = table.kind.mended(header.cell(cells, level))
        name = " ".join(header.cell(cells, f"{level}-name").split())
        if not code or not name or len(code) > 100:
            continue
        if code not in table.concepts:
            table.concepts[code] = Concept(code, name[:LONGEST], parent)
        parent = code
    return parent


def _pair(table: Table, header: Header, cells: tuple[str, ...], _line: int) -> None:
    stated, there = header.cell(cells, "source"), header.cell(cells, "target")
    if not stated:
        raise Invalid("it has no code to map from")
    source, target = _code(table.kind, stated), _code(table.kind, there) if there and there not in ("-", "/", "无") else ""
    pair = Pair(source, header.cell(cells, "source-name")[:LONGEST], target, header.cell(cells, "target-name")[:LONGEST])
    if table.pairs.get((source, target), pair) != pair:
        raise Invalid(f"{source} and {target or 'nothing'} stand together in a line before, with other names")
    table.repeated += (source, target) in table.pairs
    table.pairs[source, target] = pair


# -- what lies below what


def _upwards(concepts: Mapping[str, Concept], code: str) -> Iterator[str]:
    """The code and what it lies below; only as far as files go."""
    for _ in range(len(LEVELS) + 1):
        yield code
        if code not in concepts or not (code := concepts[code].parent):
            return


def _nest(table: Table) -> None:
    """A00.000x001 lies below A00.000, that below A00.0 and A00, as far as the table has them; what a row says itself counts."""
    for concept in table.concepts.values():
        if not table.kind.fits(concept.code):
            continue  # A00-B99 is a range, no part of A00
        above = next((shorter for shorter in _shorter(concept.code) if shorter in table.concepts), "")
        stated = concept.parent if concept.code.startswith(concept.parent) else ""
        if len(above) > len(stated):
            concept.parent = above


def _shorter(code: str) -> Iterator[str]:
    for end in range(len(code) - 1, 1, -1):
        if (shorter := code[:end].rstrip(".x")) and len(shorter) >= 2:
            yield shorter


def properties_of(concept: Concept) -> Iterator[tuple[str, Any]]:
    return ((role, text) for role, text in concept.values if role not in NAMES)
