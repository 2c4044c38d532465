"""Numbers with R4's implicit precision: 5.4 is anything in [5.35, 5.45), 5.40 in [5.395, 5.405), 100 in [99.5, 100.5).

https://hl7.org/fhir/R4/search.html#number
"""

from __future__ import annotations

import math
import sys
from decimal import Decimal

UNBOUNDED = sys.float_info.max  # an end that is not stated; finite, so that every store and JSON can hold it


def number_range(number: Decimal | int | float) -> tuple[float, float]:
    """The specification's own example, 1e2 is [95, 105), is followed: a positive exponent counts one digit more."""
    if type(number) is int:
        return bounded(number - 0.5), bounded(number + 0.5)
    exact = number if isinstance(number, Decimal) else Decimal(repr(number))
    if not exact.is_finite():
        raise ValueError("not a number")
    exponent = int(exact.as_tuple().exponent)
    half = Decimal((0, (5,), exponent - 2 if exponent > 0 else exponent - 1))
    return bounded(exact - half), bounded(exact + half)


def bounded(number: Decimal | float) -> float:
    return max(-UNBOUNDED, min(UNBOUNDED, float(number)))


def compared_range(number: Decimal | int | float, comparator: str) -> tuple[float, float]:
    """Quantity.comparator: '<5' is everything below 5. https://hl7.org/fhir/R4/valueset-quantity-comparator.html"""
    low, high = number_range(number)
    match comparator:
        case "<":
            return -UNBOUNDED, bounded(number)
        case "<=":
            return -UNBOUNDED, high
        case ">":
            return math.nextafter(bounded(number), math.inf), UNBOUNDED
        case ">=":
            return low, UNBOUNDED
        case _:
            return low, high
