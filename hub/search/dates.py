"""FHIR date, dateTime and instant → the half-open interval [low, high) of UTC milliseconds that the text covers.

'1970-03' covers a month; no day is invented. A value without an offset lies in the county's zone.
https://hl7.org/fhir/R4/datatypes.html#dateTime https://hl7.org/fhir/R4/search.html#date
"""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache

DEFAULT_ZONE = "+08:00"

# An open end of a Period: beyond every date, and still a date for every store (JavaScript's ±8.64e15).
EARLIEST = -8_640_000_000_000_000
LATEST = 8_640_000_000_000_000

DAY = 86_400_000
MINUTE = 60_000
_EPOCH = date(1970, 1, 1).toordinal()

_TEXT = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,12}))?)?(Z|[+-]\d\d:\d\d)?)?)?)?",
    re.ASCII,
)
_ZONE = re.compile(r"[+-]\d\d:\d\d", re.ASCII)


def interval(text: str, zone: str = DEFAULT_ZONE) -> tuple[int, int]:
    """Raise ValueError for what is no FHIR date; the message does not repeat it. Seconds may be left out, 60 is a leap second."""
    found = _TEXT.fullmatch(text)
    if not found:
        raise ValueError("not a FHIR date, dateTime or instant")
    year, month, day, hour, minute, second, fraction, stated = found.groups()
    offset = _offset(stated or zone)
    low_day, high_day = _days(int(year), month and int(month), day and int(day))
    if hour is None:
        return low_day * DAY - offset, high_day * DAY - offset
    if int(hour) > 23 or int(minute) > 59:
        raise ValueError("no such time of day")
    low = low_day * DAY + int(hour) * 60 * MINUTE + int(minute) * MINUTE - offset
    if second is None:
        return low, low + MINUTE
    if int(second) > 60 or (second == "60" and fraction and int(fraction)):
        raise ValueError("no such second")
    low += int(second) * 1000
    return (low, low + 1000) if fraction is None else _within_second(low, fraction)


def _within_second(low: int, fraction: str) -> tuple[int, int]:
    """.5 covers a tenth of the second; what is finer than a millisecond is rounded down to one."""
    start = low + int(fraction[:3].ljust(3, "0"))
    return start, start + 10 ** max(3 - len(fraction), 0)


@lru_cache(maxsize=4096)
def _days(year: int, month: int | str | None, day: int | str | None) -> tuple[int, int]:
    """First day and the day after the last, counted from 1970."""
    if month is None:
        return _ordinal(year, 1, 1), _ordinal(year, 12, 31) + 1
    if day is None:
        first = _ordinal(year, int(month), 1)
        return first, (_ordinal(year, int(month) + 1, 1) if int(month) < 12 else _ordinal(year, 12, 31) + 1)
    return _ordinal(year, int(month), int(day)), _ordinal(year, int(month), int(day)) + 1


def _ordinal(year: int, month: int, day: int) -> int:
    try:
        return date(year, month, day).toordinal() - _EPOCH
    except ValueError:
        raise ValueError("no such day") from None


@lru_cache(maxsize=128)
def _offset(zone: str) -> int:
    if zone == "Z":
        return 0
    hours, minutes = (int(part) for part in zone[1:].split(":")) if _ZONE.fullmatch(zone) else (99, 0)
    if hours > 14 or minutes > 59:
        raise ValueError("no such zone offset")
    return (-1 if zone[0] == "-" else 1) * (hours * 60 + minutes) * MINUTE
