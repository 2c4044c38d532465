"""Where a page ended: the sort values of its last row, as text that a page link can carry."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

from hub.errors import Invalid

TOO_LARGE = 1 << 63


def encode(values: Sequence[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode()


def decode(after: str, length: int, each: type | None = None) -> list[Any]:
    """Raise Invalid for what is no position of so many values, all of the type `each`; the last is always a whole number."""
    try:
        position = json.loads(base64.urlsafe_b64decode(after.encode()))
    except ValueError:
        raise Invalid("the page position is not one of ours") from None
    fits = isinstance(position, list) and len(position) == length and isinstance(position[-1], int)
    if not fits or (each is not None and not all(isinstance(value, each) for value in position)):
        raise Invalid("the page position does not belong to this search")
    if any(isinstance(value, int) and abs(value) >= TOO_LARGE for value in position):
        raise Invalid("the page position is not one of ours")
    return list(position)
