"""The zone in which a source writes times that state none, as county.toml names it."""

from __future__ import annotations

import re
from datetime import timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

DEFAULT_ZONE = "+08:00"
OFFSET = re.compile(r"[+-]\d{1,2}(:?\d{2})?")


def zone_of(text: str) -> tzinfo:
    """ "+08:00" or "Asia/Shanghai"."""
    if not OFFSET.fullmatch(text):
        return ZoneInfo(text)
    sign = -1 if text.startswith("-") else 1
    digits = text[1:].replace(":", "").rjust(2, "0")
    hours, minutes = (digits[:-2], digits[-2:]) if len(digits) > 2 else (digits, "0")
    return timezone(sign * timedelta(hours=int(hours), minutes=int(minutes)))
