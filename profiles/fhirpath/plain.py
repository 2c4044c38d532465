"""Functions that need nothing but the collection, or one text. https://hl7.org/fhirpath/N1/#functions"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, Decimal, InvalidOperation
from typing import Any

from profiles.fhirpath.steps import children, descendants
from profiles.fhirpath.values import CannotEvaluate, Values, distinct


def single(values: Values) -> Values:
    if len(values) > 1:
        raise CannotEvaluate("several values where one is asked for")
    return values


CUTS: dict[str, Callable[[Values], Values]] = {
    "first": lambda values: values[:1],
    "last": lambda values: values[-1:],
    "tail": lambda values: values[1:],
    "single": single,
    "distinct": distinct,
}


def _to_integer(values: Values) -> Values:
    value = values[0] if len(values) == 1 else None
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d{1,18}", value):
        return [int(value)]
    return [int(value)] if isinstance(value, int) else []


def _to_decimal(values: Values) -> Values:
    try:
        return [Decimal(str(values[0]))] if len(values) == 1 and not isinstance(values[0], dict) else []
    except InvalidOperation:
        return []


def _to_string(values: Values) -> Values:
    value = values[0] if len(values) == 1 else None
    if isinstance(value, bool):
        return ["true" if value else "false"]
    return [str(value)] if isinstance(value, (str, int, Decimal, float)) else []


def _rounded(way: str) -> Callable[[Values], Values]:
    def rounded(values: Values) -> Values:
        value = single(values)[0] if values else None
        if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
            return []
        return [int(Decimal(value).to_integral_value(way))]

    return rounded


def _absolute(values: Values) -> Values:
    value = single(values)[0] if values else None
    return [abs(value)] if isinstance(value, (int, Decimal)) and not isinstance(value, bool) else []


def _converts(to: Callable[[Values], Values]) -> Callable[[Values], Values]:
    return lambda values: [bool(to(single(values)))] if values else []


PLAIN: dict[str, Callable[[Values], Values]] = {
    "count": lambda values: [len(values)],
    "children": lambda values: [found for value in values for found in children(value)],
    "descendants": lambda values: [found for value in values for found in descendants(value)],
    "toInteger": _to_integer,
    "toDecimal": _to_decimal,
    "toString": _to_string,
    "toChars": lambda values: list(values[0]) if values and isinstance(values[0], str) else [],
    "convertsToInteger": _converts(_to_integer),
    "convertsToDecimal": _converts(_to_decimal),
    "convertsToString": _converts(_to_string),
    "abs": _absolute,
    "ceiling": _rounded(ROUND_CEILING),
    "floor": _rounded(ROUND_FLOOR),
    "truncate": _rounded(ROUND_DOWN),
    "length": lambda values: [len(values[0])] if values and isinstance(values[0], str) else [],
}


# -- functions of text


def _substring(text: str, start: int, length: int | None = None) -> str | None:
    if not 0 <= start < len(text):
        return None
    return text[start:] if length is None else text[start : start + max(0, length)]


def _split(text: str, separator: str) -> list[str]:
    return text.split(separator) if separator else list(text)


TEXT: dict[str, Callable[..., Any]] = {
    "split": _split,
    "substring": _substring,
    "indexOf": str.find,
    "upper": str.upper,
    "lower": str.lower,
    "trim": str.strip,
    "replace": str.replace,
    "replaceMatches": lambda text, pattern, instead: re.sub(pattern, instead.replace("\\", "\\\\"), text),
}
