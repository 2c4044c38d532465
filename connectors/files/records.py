"""One file's bytes → its records: what the content is decides, and a sheet, a batch or an archive gives many."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from connectors.files.archive import entries
from connectors.files.config import AUTO, FilesConfig, SheetConfig
from connectors.files.content import kind_of, text_of
from connectors.files.documents import facts_of
from connectors.files.folder import Refused
from connectors.files.sheets import GridRow, NoHeader, csv_rows, sheet_for, sheet_rows
from connectors.files.workbook import grids
from connectors.hl7v2_mllp.header import split_messages

Splitter = Callable[[bytes], list[bytes]]
"""One file's bytes → one record's bytes each: an .hl7 file may hold a day's messages."""

SPLITTERS: Mapping[str, Splitter] = {"hl7v2": split_messages}
WHOLE = frozenset({"cda", "ecg", "dicom"})  # one file, one record
DOCUMENTS = frozenset({"application/pdf", "image/jpeg", "image/png", "image/tiff"})
KNOWN = "a clinical document, HL7 v2, DICOM, an ECG, a PDF or scan, CSV, a workbook or a zip archive"


@dataclass(frozen=True, slots=True)
class Part:
    """A record to be: its kind, its bytes, and how its key goes on after the file's name."""

    kind: str
    content: bytes
    place: str  # "#3f…", "#3f…/2", "#3f…/Sheet1!17": the same bytes at the same place are the same record
    hints: Mapping[str, str] = field(default_factory=dict)


def parts_of(
    name: str,
    content: bytes,
    config: FilesConfig,
    *,
    declared: str = AUTO,
    charset: str = "",
    sidecar: bytes | None = None,
    splitters: Mapping[str, Splitter] = SPLITTERS,
    left: list[str] | None = None,
) -> Iterator[Part]:
    """Raise Refused. `declared`: the kind that the file's pattern states; content that is plainly another goes before.

    `left`: takes what of an archive could not be read, with the reason; without it (a file of an archive) no archive is opened.
    """
    found = kind_of(content)
    kind = found if declared == AUTO or found not in ("", "text") else declared
    sheets = (SheetConfig(table=declared.removeprefix("row/")),) if declared.startswith("row/") else config.sheets
    mark = f"#{hashlib.sha256(content).hexdigest()[:16]}"
    if kind in DOCUMENTS:
        facts = {f"document.{word}": text for word, text in facts_of(name, sidecar, config.documents).items()}
        yield Part("document", content, mark, {**facts, "content_type": kind})
    elif kind in WHOLE:
        yield Part(kind, content, mark)
    elif kind == "workbook":
        yield from _workbook(name, content, config, sheets, mark)
    elif kind in ("text", "old-office", "") or kind.startswith("row/"):
        yield from _table(name, content, config, sheets, kind, mark, charset)
    elif kind == "archive":
        if left is None:
            raise Refused("an archive within an archive is not opened")
        yield from _archive(name, content, config, charset=charset, splitters=splitters, left=left)
    else:
        yield from _split(kind, content, mark, splitters)


def _split(kind: str, content: bytes, mark: str, splitters: Mapping[str, Splitter]) -> Iterator[Part]:
    splitter = splitters.get(kind)
    try:
        pieces = splitter(content) if splitter else [content]
    except Exception as error:
        raise Refused(f"it cannot be split into records of kind {kind} ({type(error).__name__})") from error
    if not pieces:
        raise Refused(f"it holds no record of kind {kind}")
    for number, piece in enumerate(pieces, 1):
        own = f"#{hashlib.sha256(piece).hexdigest()[:16]}" if splitter else mark
        yield Part(kind, piece, own + (f"/{number}" if number > 1 else ""))


def _table(
    name: str, content: bytes, config: FilesConfig, sheets: Sequence[SheetConfig], kind: str, mark: str, charset: str
) -> Iterator[Part]:
    if kind == "old-office":
        raise Refused("it is of an old Office format (.xls, .doc): save it as .xlsx, or as PDF")
    if kind == "":
        raise Refused(f"what it is was not recognised: {KNOWN}")
    sheet = sheet_for(sheets, name)
    if sheet is None:
        raise Refused("no [[channel.sheets]] says which declared table maps a text file of this name")
    if len(content) > config.max_sheet_bytes:
        raise Refused(f"it has {len(content)} bytes; the limit of a sheet is {config.max_sheet_bytes} (max_sheet_bytes)")
    text, _ = text_of(content, charset)
    yield from _rows(_bounded(csv_rows(text, sheet.delimiter), config.max_rows), sheet, mark, "")


def _bounded(grid: Iterator[GridRow], most: int) -> Iterator[GridRow]:
    for number, row in enumerate(grid, 1):
        if number > most:
            raise Refused(f"it has more than {most} rows (max_rows)")
        yield row


def _workbook(name: str, content: bytes, config: FilesConfig, sheets: Sequence[SheetConfig], mark: str) -> Iterator[Part]:
    """Every sheet that a [[channel.sheets]] means; one that cannot be read does not hold back the others.

    Where any sheet will do (`sheet = "*"`), those without the header are meant for people, as long as one has it.
    """
    taken = False
    wrong: list[tuple[str, bool]] = []
    for title, grid in grids(content, allowance=config.max_sheet_bytes, max_rows=config.max_rows):
        sheet = sheet_for(sheets, name, title)
        if sheet is None:
            continue
        try:
            for part in _rows(grid, sheet, mark, f"{title}!"):
                taken = True
                yield part
        except NoHeader as reason:
            wrong.append((f"sheet {title}: {reason}", sheet.sheet != "*"))
        except Refused as reason:
            wrong.append((f"sheet {title}: {reason}", True))
    if told := [reason for reason, matters in wrong if matters or not taken]:
        raise Refused("\n".join(told))
    if not taken:
        raise Refused("no [[channel.sheets]] says which declared table maps a sheet of this workbook, or it has no rows")


def _rows(grid: Iterator[GridRow], sheet: SheetConfig, mark: str, place: str) -> Iterator[Part]:
    for row in sheet_rows(grid, sheet):
        content = msgspec.json.encode(dict(row.values))
        yield Part(f"row/{sheet.table}", content, f"{mark}/{place}{row.number}", {"problem": row.problem} if row.problem else {})


def _archive(
    name: str, content: bytes, config: FilesConfig, *, charset: str, splitters: Mapping[str, Splitter], left: list[str]
) -> Iterator[Part]:
    found = dict(entries(content, max_bytes=config.max_bytes, max_entries=config.max_entries))
    for entry, inner in found.items():
        if entry.endswith(".json") and entry.removesuffix(".json") in found:
            continue
        try:
            for part in parts_of(entry, inner, config, charset=charset, sidecar=found.get(f"{entry}.json"), splitters=splitters):
                yield Part(part.kind, part.content, f"/{entry}{part.place}", {**part.hints, "file": f"{name}/{entry}"})
        except Refused as reason:
            left.append(f"{entry}: {reason}")
        except Exception as error:  # its neighbours are read all the same
            left.append(f"{entry}: reading it failed ({type(error).__name__})")
