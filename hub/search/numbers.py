"""Numbers with R4's implicit precision: 5.4 is anything in [5.35, 5.45), 5.40 in [5.395, 5.405), 100 in [99.5, 100.5).

https://hl7.org/fhir/R4/search.html#number
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from decimal import Decimal

LITTLE = Decimal("1e-9")
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


Span = tuple[float, float, float]  # a value, and the ends between which it stands (hub.search.entries)


def written(number: Decimal | int | float) -> Span:
    """One number, within what its precision leaves open."""
    return bounded(number), *number_range(number)


def between(low: Decimal | float, high: Decimal | float) -> list[Span]:
    """All numbers from `low` to `high`: both ends, once each; none where neither is stated."""
    ends = bounded(low), bounded(high)
    return [] if ends == (-UNBOUNDED, UNBOUNDED) else [(end, *ends) for end in dict.fromkeys(ends)]


# Quantity.comparator: '<5' is everything below 5. https://hl7.org/fhir/R4/valueset-quantity-comparator.html
_COMPARED: dict[str, Callable[[Decimal], list[Span]]] = {
    "": lambda number: [written(number)],
    "<": lambda number: between(-UNBOUNDED, number - _little(number)),
    "<=": lambda number: between(-UNBOUNDED, number),
    ">": lambda number: between(number + _little(number), UNBOUNDED),
    ">=": lambda number: between(number, UNBOUNDED),
}


def compared(number: Decimal | int | float, comparator: str) -> list[Span]:
    """An unknown comparator says nothing of the number."""
    exact = number if isinstance(number, Decimal) else Decimal(repr(number))
    return _COMPARED.get(comparator, _COMPARED[""])(exact)


def _little(number: Decimal) -> Decimal:
    """Less than anybody measures, and still there after a conversion of units."""
    return abs(number) * LITTLE or LITTLE
