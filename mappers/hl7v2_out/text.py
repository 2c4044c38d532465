"""Values → HL7 v2 text: delimiters and control characters escaped, times as HL7 writes them, segments by field number.

HL7 v2.5.1 chapter 2.7 (escape sequences), 2.A.77 (TS).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

SPECIAL = re.compile(r"[|^~\\&\x00-\x1f\x7f]")
ESCAPES = {"|": "\\F\\", "^": "\\S\\", "~": "\\R\\", "\\": "\\E\\", "&": "\\T\\"}
# FHIR date, dateTime, instant; fractions are cut to the four digits that a TS holds
MOMENT = re.compile(
    r"(\d{4})(?:-(\d{2})(?:-(\d{2})(?:T(\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,4})\d*)?)?(Z|[+-]\d{2}:\d{2})?)?)?)?", re.ASCII
)


def text(value: object) -> str:
    """One component. A line break, and whatever else would end a segment or a frame, becomes its escape sequence."""
    return SPECIAL.sub(lambda found: ESCAPES.get(found[0]) or f"\\X{ord(found[0]):02X}\\", str(value))


def formatted(value: object) -> str:
    """The same of a text of several lines, as FT and TX have them."""
    lines = re.split(r"\r\n|\r|\n", str(value))
    return "\\.br\\".join(map(text, lines))


def components(*parts: object) -> str:
    """Escaped parts joined; empty ones at the end fall away."""
    return "^".join("" if part is None else text(part) for part in parts).rstrip("^")


def repetitions(values: Iterable[str]) -> str:
    return "~".join(value for value in values if value)


def timestamp(value: object) -> str:
    """2026-05-01T08:00:00+08:00 → 20260501080000+0800, as precise as it was; "" for what is no FHIR date or time."""
    match = MOMENT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return ""
    *parts, fraction, offset = match.groups()
    zone = "+0000" if offset == "Z" else (offset or "").replace(":", "")
    return "".join(part or "" for part in parts) + (f".{fraction}" if fraction else "") + zone


def segment(name: str, fields: Mapping[int, str]) -> str:
    """`fields` by number, already escaped; those not given are empty."""
    last = max((number for number, value in fields.items() if value), default=0)
    return "|".join([name, *(fields.get(number, "") for number in range(1, last + 1))])


def first(values: Any) -> dict[str, Any]:
    """The first of a list of complex values."""
    found = values[0] if isinstance(values, list) and values else {}
    return found if isinstance(found, dict) else {}
