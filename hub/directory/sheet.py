"""A directory as offices keep it, CSV or Excel → rows of organisations, departments and staff, told by their headers.

Each sheet is of one kind; which, and which column is what, its header says, in Chinese or English.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from connectors.files.content import kind_of, text_of
from connectors.files.folder import Refused
from connectors.files.sheets import GridRow, csv_rows
from connectors.files.workbook import grids
from hub.errors import Invalid

Kind = Literal["staff", "department", "organization"]

LARGEST, UNPACKED, MOST_ROWS = 16 << 20, 256 << 20, 100_000
HEADER_WITHIN = 10  # rows

# Column → how offices head it. The first kind of which all needed columns are there is the sheet's.
_FACILITY = ("机构代码", "机构编码", "所属机构代码", "facility", "facility code")
_PARENT = ("上级代码", "上级机构代码", "上级科室代码", "parent")
COLUMNS: Mapping[Kind, Mapping[str, tuple[str, ...]]] = {
    "staff": {
        "facility": _FACILITY,
        "number": ("工号", "职工号", "人员编号", "staff number", "staff no"),
        "name": ("姓名", "人员姓名", "name"),
        "sex": ("性别", "sex"),
        "department": ("科室代码", "所在科室代码", "department", "department code"),
        "post": ("岗位", "职务", "post"),
        "title": ("职称代码", "专业技术职务代码", "title code"),
        "phone": ("电话", "联系电话", "phone"),
        "active": ("在岗", "状态", "active"),
    },
    "department": {
        "facility": _FACILITY,
        "code": ("科室代码", "科室编码", "department code"),
        "name": ("科室名称", "department name", "name"),
        "parent": _PARENT,
        "place": ("位置", "地点", "楼层", "place"),
        "phone": ("电话", "联系电话", "phone"),
    },
    "organization": {
        "facility": _FACILITY,
        "name": ("机构名称", "名称", "name"),
        "name_en": ("英文名称", "english name"),
        "parent": _PARENT,
        "kind": ("机构类别", "类别代码", "kind"),
        "grade": ("等级", "医院等级", "grade"),
        "address": ("地址", "address"),
        "phone": ("电话", "联系电话", "phone"),
    },
}
NEEDED: Mapping[Kind, tuple[str, ...]] = {
    "staff": ("facility", "number", "name"),
    "department": ("facility", "code", "name"),
    "organization": ("facility", "name"),
}


@dataclass(frozen=True, slots=True)
class Row:
    sheet: str
    number: int  # in its file, from 1
    kind: Kind
    values: Mapping[str, str]  # by column; numbers of institutions and staff by their names
    problem: str = ""


def rows(content: bytes, file: str, numbers: Mapping[str, str]) -> Iterator[Row]:
    """`numbers`: heading → name of a number (identifiers.toml). Raise Invalid for a file that is no directory."""
    if len(content) > LARGEST:
        raise Invalid(f"{file}: more than {LARGEST >> 20} MB")
    known = 0
    try:
        for sheet, grid in _grids(content):
            found = _header(list(islice(grid, HEADER_WITHIN)), numbers)
            if found is None:
                continue
            known += 1
            kind, columns, rest = found
            for row in [*rest, *islice(grid, MOST_ROWS)]:
                values = {name: row.cells[at].strip() for name, at in columns.items() if at < len(row.cells)}
                if row.problem or any(values.values()):
                    yield Row(sheet, row.number, kind, {name: value for name, value in values.items() if value}, row.problem)
    except Refused as error:
        raise Invalid(f"{file}: {error}") from None
    if not known:
        needed = "; ".join(f"{kind}: {', '.join(COLUMNS[kind][name][0] for name in NEEDED[kind])}" for kind in NEEDED)
        raise Invalid(f"{file}: no sheet has a header of a directory ({needed})")


def _grids(content: bytes) -> Iterator[tuple[str, Iterator[GridRow]]]:
    kind = kind_of(content)
    if kind == "workbook":
        yield from grids(content, allowance=UNPACKED, max_rows=MOST_ROWS)
    elif kind == "text":
        yield "", csv_rows(text_of(content)[0])
    else:
        raise Refused("this is neither a CSV file nor an Excel workbook (.xlsx)")


def _header(first: list[GridRow], numbers: Mapping[str, str]) -> tuple[Kind, dict[str, int], list[GridRow]] | None:
    """The sheet's kind, its columns, and the rows behind the header."""
    for place, row in enumerate(first):
        heads = {_bare(cell): at for at, cell in reversed(list(enumerate(row.cells))) if cell}
        for kind, columns in COLUMNS.items():
            found = {
                name: heads[_bare(head)] for name, every in columns.items() for head in reversed(every) if _bare(head) in heads
            }
            if all(name in found for name in NEEDED[kind]):
                own = {name: heads[_bare(head)] for head, name in numbers.items() if _bare(head) in heads}
                return kind, found | own, first[place + 1 :]
    return None


def _bare(text: str) -> str:
    return "".join(text.split()).strip("*＊:：").casefold().replace("_", "")
