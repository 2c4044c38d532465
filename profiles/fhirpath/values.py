"""Values while an expression runs: plain JSON, and what is said of equality, order and time among them.

A collection is a list. An element of a primitive type that has no value but an extension (`_birthDate`) is a Bare.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

Json = Any
Values = list[Any]
FEW = 8  # values for which looking along the others is quicker than a set of them
MAX_STEPS = 5_000_000  # of all expressions on one resource: a second or two


class CannotEvaluate(ValueError):
    """FHIRPath demands an end here: several values where one must stand."""


class Bare(NamedTuple):
    """A primitive without a value: its id and extensions alone."""

    element: Json


class TooMuch(CannotEvaluate):
    """More steps than any resource that is meant well needs."""


class Env:
    """What an expression sees beside its focus, and how many steps it may still take."""

    __slots__ = ("context", "left", "resource", "root")

    def __init__(self, resource: Json, root: Json, context: Json = None) -> None:
        self.resource = resource  # %resource: the nearest one around the focus
        self.root = root  # %rootResource: the one that contains it
        self.context = context  # %context: where the evaluation starts
        self.left = MAX_STEPS

    def spend(self, values: Values) -> Values:
        """Every value that is looked at in a loop is a step. Raise TooMuch."""
        self.left -= len(values)
        if self.left < 0:
            raise TooMuch("it takes too many steps")
        return values


def truth_of(values: Values) -> bool | None:
    """A collection where a Boolean is asked for. https://hl7.org/fhirpath/N1/#singleton-evaluation-of-collections"""
    if not values:
        return None
    if len(values) > 1:
        raise CannotEvaluate("several values where one is asked for")
    return values[0] if isinstance(values[0], bool) else True


def same(left: Json, right: Json) -> bool:
    """Equal, and of one kind: true is not 1. Values are compared at any depth."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return not isinstance(left, Bare) and bool(left == right)


def equal(left: Values, right: Values) -> bool | None:
    """`=`: nothing where one side is empty."""
    if not left or not right:
        return None
    return len(left) == len(right) and all(same(a, b) for a, b in zip(left, right, strict=True))


def has(values: Values, value: Json) -> bool:
    return value in values if isinstance(value, (str, dict)) else any(same(each, value) for each in values)


def distinct(values: Values) -> Values:
    return list({frozen(value): value for value in reversed(values)}.values())[::-1]


def common(values: Values, other: Values, *, kept: bool = True) -> Values:
    """Those that the other has too; or, not kept, those that it has not."""
    if len(values) <= FEW:
        return [value for value in values if has(other, value) is kept]
    known = {frozen(value) for value in other}
    return [value for value in values if (frozen(value) in known) is kept]


def frozen(value: Json) -> Any:
    """A stand-in that may be a member of a set: equal where the values are the same."""
    if isinstance(value, bool):
        return ("boolean", value)
    if isinstance(value, dict):
        return frozenset((name, frozen(each)) for name, each in value.items())
    if isinstance(value, Bare):
        return ("bare", id(value.element))
    return tuple(frozen(each) for each in value) if isinstance(value, list) else value


# -- order

_MOMENT = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6})\d*)?(Z|[+-]\d\d:\d\d)?)?)?)?").fullmatch
_EAST, _WEST = timedelta(hours=14), timedelta(hours=12)


def compared(left: Values, right: Values) -> int | None:
    """-1, 0, 1; None where one side is empty or the order is not told: other units, other precision."""
    if not left or not right:
        return None
    if len(left) > 1 or len(right) > 1:
        raise CannotEvaluate("several values are compared")
    return _compared(left[0], right[0])


def _compared(left: Json, right: Json) -> int | None:
    if isinstance(left, dict) and isinstance(right, dict):
        left, right = _of_one_unit(left, right)
    if isinstance(left, str) and isinstance(right, str):
        first, second = _MOMENT(left), _MOMENT(right)
        return _moments(first, second) if first and second else (left > right) - (left < right)
    if _number(left) and _number(right):
        return int(left > right) - int(left < right)
    return None


def _number(value: Json) -> bool:
    return isinstance(value, (int, Decimal, float)) and not isinstance(value, bool)


def _of_one_unit(left: dict[str, Json], right: dict[str, Json]) -> tuple[Json, Json]:
    unit = [(q.get("system"), q["code"]) if "code" in q else q.get("unit") for q in (left, right)]
    return (left.get("value"), right.get("value")) if unit[0] == unit[1] else (None, None)


def _moments(left: re.Match[str], right: re.Match[str]) -> int | None:
    """Times are intervals of their precision: the order is told only where they do not overlap."""
    try:
        (a, b), (c, d) = _interval(left), _interval(right)
    except (ValueError, OverflowError):
        return None
    if left.lastindex == right.lastindex or (left[4] and right[4]):
        return (a > c) - (a < c)
    return -1 if b < c else 1 if a > d else None


def _interval(match: re.Match[str]) -> tuple[datetime, datetime]:
    """First and last instant, UTC: a day begins earliest in the far east and ends last in the far west."""
    year, month, day = (int(match[n]) if match[n] else 0 for n in (1, 2, 3))
    if match[4]:
        at = datetime(
            year, month, day, int(match[4]), int(match[5]), min(int(match[6]), 59), int((match[7] or "").ljust(6, "0")), UTC
        )
        at -= _offset(match[8] or "Z")
        return at, at
    start = datetime(year, month or 1, day or 1, tzinfo=UTC)
    after = start + timedelta(days=1) if day else datetime(year + (month or 12) // 12, (month or 12) % 12 + 1, 1, tzinfo=UTC)
    return start - _EAST, after + _WEST - timedelta(microseconds=1)


def _offset(zone: str) -> timedelta:
    if zone == "Z":
        return timedelta()
    offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[4:6]))
    return offset if zone[0] == "+" else -offset
