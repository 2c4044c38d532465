"""The time of day, asked for in one place: everything else is given a clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import lru_cache


def utc_ms() -> int:
    """Milliseconds since 1970-01-01T00:00:00Z."""
    return time.time_ns() // 1_000_000


@lru_cache(maxsize=1024)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def instant(milliseconds: int) -> str:
    """A FHIR instant in UTC with milliseconds. https://hl7.org/fhir/R4/datatypes.html#instant"""
    return f"{_second(milliseconds // 1000)}.{milliseconds % 1000:03d}Z"
