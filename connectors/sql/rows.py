"""A database row → the JSON of a SourceRecord: nothing is rounded, nothing is guessed.

Decimals keep their digits, times are ISO text without an invented zone, bytes are base64, NULL is null.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import msgspec

_encoder = msgspec.json.Encoder(decimal_format="number")
LARGEST_INTEGER = 2**63

FLAG_SET = frozenset({"1", "y", "yes", "t", "true", "是", "x"})


def _duration(value: timedelta) -> str:
    """MariaDB gives a TIME column as a timedelta."""
    seconds = int(value.total_seconds())
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    return f"{sign}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def json_value(value: Any) -> Any:
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return value if abs(value) < LARGEST_INTEGER else str(value)
    if isinstance(value, Decimal):
        return value if value.is_finite() else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return _duration(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(bytes(value)).decode()
    if isinstance(value, (list, tuple)):
        return [json_value(v) for v in value]
    if isinstance(value, Mapping):
        return {str(k): json_value(v) for k, v in value.items()}
    return str(value)


def row_json(row: Mapping[str, Any]) -> bytes:
    return _encoder.encode({name: json_value(value) for name, value in row.items()})


def key_text(parts: tuple[Any, ...]) -> str:
    """The key's values joined: the source's own name for the row."""
    # without the blanks with which a CHAR column fills its width
    return "|".join(str(json_value(part)).rstrip(" ").replace("\\", "\\\\").replace("|", "\\|") for part in parts)


def is_set(flag: Any) -> bool:
    if isinstance(flag, (bytes, bytearray)):  # MariaDB's BIT(1)
        return any(flag)
    return str(flag).strip().lower() in FLAG_SET
