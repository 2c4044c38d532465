"""Two birth dates → how they differ, in the ways in which dates are mistaken.

Day and month change places, one digit is mistyped, a day of the Chinese calendar is taken for one of the Gregorian; where only the
year is known, 1 January is written.
"""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from typing import Literal

from hub.identity.lunar import gregorian

Level = Literal["exact", "new-year", "swapped", "digit", "lunar", "year", "different"]


@lru_cache(maxsize=16_384)
def birth_level(one: str, other: str) -> Level:
    """Of two full dates, YYYY-MM-DD. "new-year": both say the same 1 January, which may stand for a year."""
    if one == other:
        return "new-year" if one.endswith("-01-01") else "exact"
    if one[:4] == other[:4] and "-01-01" in (one[4:], other[4:]):
        return "year"
    if one[:4] == other[:4] and one[5:7] == other[8:] and one[8:] == other[5:7]:
        return "swapped"
    if sum(a != b for a, b in zip(one, other, strict=True)) == 1:
        return "digit"
    return "lunar" if _is_lunar(one, other) or _is_lunar(other, one) else "different"


def _is_lunar(stated: str, other: str) -> bool:
    try:
        return date.fromisoformat(other) in gregorian(*(int(part) for part in stated.split("-")))
    except ValueError:
        return False
