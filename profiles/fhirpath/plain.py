"""Functions that need nothing but the collection, or one text. https://hl7.org/fhirpath/N1/#functions"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
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


PLAIN: dict[str, Callable[[Values], Values]] = {
    "count": lambda values: [len(values)],
    "children": lambda values: [found for value in values for found in children(value)],
    "descendants": lambda values: [found for value in values for found in descendants(value)],
    "toInteger": _to_integer,
    "toDecimal": _to_decimal,
    "toString": _to_string,
    "length": lambda values: [len(values[0])] if values and isinstance(values[0], str) else [],
}


# -- functions of text


def _substring(text: str, start: int, length: int | None = None) -> str | None:
    if not 0 <= start < len(text):
        return None
    return text[start:] if length is None else text[start : start + max(0, length)]


TEXT: dict[str, Callable[..., Any]] = {
    "substring": _substring,
    "indexOf": str.find,
    "upper": str.upper,
    "lower": str.lower,
    "trim": str.strip,
    "replace": str.replace,
    "replaceMatches": lambda text, pattern, instead: re.sub(pattern, instead.replace("\\", "\\\\"), text),
}
