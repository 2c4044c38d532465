"""When something was: a FHIR dateTime as a source stated it → a day of the county, and an instant where one is known."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Moment:
    """`at` is None where only the day is known."""

    stated: str
    day: date
    at: datetime | None

    def begins(self, zone: tzinfo) -> datetime:
        """The first instant that it can be."""
        return self.at or datetime.combine(self.day, time.min, zone)


@lru_cache(maxsize=16)
def zone_of(name: str) -> tzinfo:
    """`+08:00` or `Asia/Shanghai`."""
    offset = re.fullmatch(r"([+-])(\d\d):?(\d\d)", name)
    if offset is None:
        return ZoneInfo(name)
    minutes = int(offset[2]) * 60 + int(offset[3])
    return timezone(timedelta(minutes=-minutes if offset[1] == "-" else minutes))


@lru_cache(maxsize=8192)
def moment_of(stated: str, zone: tzinfo) -> Moment | None:
    """A FHIR date or dateTime as a day in `zone`; None for a year or a month, which are no day. Without offset it is in `zone`."""
    if re.fullmatch(r"\d{4}-\d\d-\d\d", stated):
        try:
            return Moment(stated, date.fromisoformat(stated), None)
        except ValueError:
            return None
    if "T" not in stated:
        return None
    try:
        at = datetime.fromisoformat(stated)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=zone)
    return Moment(stated, at.astimezone(zone).date(), at)


def local_time(stated: str, zone: str) -> str:
    """`2026-03-02T16:00:00Z` of a source that writes Z after its own wall clock → the same clock with its true offset."""
    return stated[:-1] + zone if "T" in stated and stated.endswith("Z") else stated
