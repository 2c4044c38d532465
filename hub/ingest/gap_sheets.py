"""Code gaps as a table for a spreadsheet, and back: whoever knows the laboratory decides there, hospital IT brings it in.

CSV in UTF-8 with a byte order mark, which Excel and WPS open as it is. A cell that a spreadsheet would take for a formula is
written with a ' before it.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator

from hub.errors import Invalid
from hub.ingest.gaps import Confirmation, Gap, checked

COLUMNS = (
    *("system", "code", "display", "records"),
    *("suggested_system", "suggested_code", "suggested_display", "score", "why"),
    *("target_system", "target_code", "target_display", "equivalence"),
)
NEEDED = frozenset({"system", "code", "target_system", "target_code"})
LOCAL = "local"  # written as target_code: there is no target, it stays a local code
MOST_ROWS = 100_000
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def to_csv(gaps: Iterable[Gap]) -> bytes:
    """A line a gap, the first proposal beside it; the last four columns are for the decision."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for gap in gaps:
        first = gap.suggestions[0] if gap.suggestions else None
        proposal = (first.system, first.code, first.display, f"{first.score:.2f}", first.why) if first else ("",) * 5
        row = (gap.code.system, gap.code.code, gap.code.display, str(gap.code.records), *proposal, "", "", "", "")
        writer.writerow([_safe(cell) for cell in row])
    return text.getvalue().encode("utf-8-sig")


def is_decisions(head: bytes) -> bool:
    """Whether a file that begins so has a column that only a sheet of decisions has."""
    first = head.split(b"\n", 1)[0].decode("utf-8-sig", "ignore")
    return not {"target_system", "target_code"}.isdisjoint(re.split(r"[,;\t\"\s]+", first))


def from_csv(content: bytes) -> list[Confirmation]:
    """Rows with a target_code. Raise Invalid naming the line and what is wrong with it; then nothing was taken."""
    reader = csv.DictReader(io.StringIO(_text(content), newline=""), delimiter=_delimiter(content))
    missing = NEEDED - set(reader.fieldnames or ())
    if missing:
        raise Invalid(f"line 1: the columns {', '.join(sorted(missing))} are missing; `yitong codes export` writes the right ones")
    return list(_decisions(reader))


def _decisions(reader: csv.DictReader[str]) -> Iterator[Confirmation]:
    for number, row in enumerate(reader, 2):
        if number > MOST_ROWS:
            raise Invalid(f"more than {MOST_ROWS} lines")
        cells = {name: _plain(value or "") for name, value in row.items() if isinstance(name, str) and not isinstance(value, list)}
        code = cells.get("target_code", "")
        if not code:
            continue
        local = code.lower() == LOCAL
        decision = Confirmation(
            cells.get("system", ""),
            cells.get("code", ""),
            "" if local else cells.get("target_system", ""),
            "" if local else code,
            "" if local else cells.get("target_display", ""),
            "unmatched" if local else cells.get("equivalence", "") or "equivalent",
            cells.get("display", ""),
        )
        try:
            yield checked(decision)
        except Invalid as error:
            raise Invalid(f"line {number}: {error.message}") from None


def _text(content: bytes) -> str:
    """UTF-8; or GB18030, as an older Excel saves it."""
    for codec in ("utf-8-sig", "gb18030"):
        try:
            return content.decode(codec)
        except UnicodeDecodeError:
            continue
    raise Invalid("the file is neither UTF-8 nor GB18030 text")


def _delimiter(content: bytes) -> str:
    first = content.split(b"\n", 1)[0]
    return max(",;\t", key=lambda character: first.count(character.encode()))


def _safe(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _plain(cell: str) -> str:
    cell = cell.strip()
    return cell[1:] if cell[:1] == "'" and cell[1:2] in _FORMULA else cell
