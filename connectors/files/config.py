"""What a hospital's engineer writes of a drop folder in county.toml."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import re2  # type: ignore[import-untyped]
from pydantic import BaseModel, ConfigDict, Field, field_validator

QUIET = re2.Options()
QUIET.log_errors = False
AUTO = "auto"
KINDS = {"*.xml": "cda", "*.hl7": "hl7v2", "*.dcm": "dicom", "*": AUTO}


class Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _said(error: re2.error) -> str:
    reason = error.args[0] if error.args else ""
    return reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)


class SheetConfig(Table):
    """Which declared table maps the rows of a CSV file or of a workbook's sheet."""

    table: str = Field(pattern=r"^[a-z0-9_]+$")
    pattern: str = "*"  # of the file's name
    sheet: str = "*"  # of the sheet's name
    columns: tuple[str, ...] = ()  # names that its header has: they find the header row, and a sheet without them is refused
    header: int = Field(default=0, ge=0)  # its row, from 1; 0: found by `columns`, else the first row with two names or more
    header_rows: int = Field(default=1, ge=1, le=5)  # of a header with groups: 血压 over 收缩压 gives 血压/收缩压
    delimiter: str = Field(default="", max_length=1)  # empty: by evidence
    dates: tuple[str, ...] = ()  # columns whose bare numbers are Excel's days, where the cells are not formatted as dates
    ragged: bool = False  # a row with fewer cells than the header is whole: its exporter leaves empty ends out


class DocumentConfig(Table):
    """Whose document a PDF or a scan is: its name says so, or a file beside it."""

    pattern: str = ""  # a regular expression with (?P<patient>…), and perhaps visit, report, order, date, title, type
    sidecar: bool = False  # wait for NAME.json beside it, with the same words as keys
    title: str = ""  # 心电图报告: where neither says

    @field_validator("pattern")
    @classmethod
    def names_a_patient(cls, pattern: str) -> str:
        try:
            groups = re2.compile(pattern, QUIET).groupindex
        except re2.error as error:
            raise ValueError(f"not a regular expression: {_said(error)}") from None
        if pattern and "patient" not in groups:
            raise ValueError("nothing in it names the patient: write (?P<patient>…)")
        return pattern


class FilesConfig(Table):
    folder: Path
    # shell pattern of the name → what a file is taken for where its content does not say; "auto": it is refused then.
    # The first that fits; a name that fits none is left alone
    patterns: Mapping[str, str] = Field(default_factory=lambda: dict(KINDS), min_length=1)
    sheets: tuple[SheetConfig, ...] = ()
    documents: DocumentConfig = DocumentConfig()
    subfolders: bool = True
    ready: str = Field(default="", pattern=r"^(\.[A-Za-z0-9]{1,16})?$")  # .ok: a file is complete once NAME.ok stands beside it
    settle_seconds: float = Field(default=2, ge=0)  # a file that did not change for so long is complete
    max_bytes: int = Field(default=512 * 1024 * 1024, ge=1)
    max_sheet_bytes: int = Field(default=64 * 1024 * 1024, ge=1)  # of a CSV file, or of a workbook's parts unpacked
    max_rows: int = Field(default=200_000, ge=1)  # of one sheet
    max_entries: int = Field(default=2_000, ge=1)  # of one archive
    page_bytes: int = Field(default=16 * 1024 * 1024, ge=1)  # a page ends once it holds so much …
    page_records: int = Field(default=1_000, ge=1)  # … or so many
    every: float = Field(default=5, gt=0)  # seconds between two looks
