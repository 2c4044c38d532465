"""The formats of primitive types. https://hl7.org/fhir/R4/datatypes.html#primitive"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

MAX_STRING = 1024 * 1024


class Primitive(NamedTuple):
    name: str
    valid: Callable[[Any], bool]


def _matching(pattern: str) -> Callable[[Any], bool]:
    match = re.compile(pattern, re.ASCII).fullmatch  # a full-width ９ is a digit to Unicode, and none in a date
    return lambda value: isinstance(value, str) and match(value) is not None


def _whole(low: int, high: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and low <= value <= high


_TIME = r"([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?"
_ZONE = r"(Z|[+-]((0\d|1[0-3]):[0-5]\d|14:00))"
_DAY = r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
_date_shape = re.compile(r"\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?", re.ASCII).fullmatch
_datetime_shape = re.compile(rf"\d{{4}}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01])(T{_TIME}{_ZONE})?)?)?", re.ASCII).fullmatch
_instant_shape = re.compile(rf"{_DAY}T{_TIME}{_ZONE}", re.ASCII).fullmatch
_CONTROL = r"\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff"  # XML has no place for them
_control = re.compile(f"[{_CONTROL}]").search
_WORD = rf"[^\s\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000{_CONTROL}]+"
"""Without white space of any script."""


def _real_day(text: str) -> bool:
    """The shape allows 2023-02-30, the calendar does not."""
    if text[:4] == "0000":
        return False
    return len(text) < 10 or int(text[8:10]) <= 28 or int(text[8:10]) <= monthrange(int(text[:4]), int(text[5:7]))[1]


def _dated(shape: Callable[[str], object]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and shape(value) is not None and _real_day(value)


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and len(value) <= MAX_STRING and not _control(value) and not value.isspace()


def _base64(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    compact = value if not _blank(value) else re.sub(r"\s", "", value)
    return len(compact) % 4 == 0 and _base64_shape(compact) is not None


_base64_shape = re.compile(r"[A-Za-z0-9+/]{2,}={0,2}").fullmatch
_blank = re.compile(r"\s").search
_uri = _matching(_WORD)

PRIMITIVES: dict[str, Primitive] = {
    name: Primitive(name, valid)
    for name, valid in {
        "boolean": lambda value: isinstance(value, bool),
        "integer": _whole(-(2**31), 2**31 - 1),
        "unsignedInt": _whole(0, 2**31 - 1),
        "positiveInt": _whole(1, 2**31 - 1),
        "decimal": lambda value: isinstance(value, (Decimal, int, float)) and not isinstance(value, bool),
        "string": _text,
        "markdown": _text,
        "uri": _uri,
        "url": _uri,
        "canonical": _uri,
        "oid": _matching(r"urn:oid:[0-2](\.(0|[1-9]\d*))+"),
        "uuid": _matching(r"urn:uuid:[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"),
        "id": _matching(r"[A-Za-z0-9\-.]{1,64}"),
        "code": _matching(rf"{_WORD}( {_WORD})*"),
        "date": _dated(_date_shape),
        "dateTime": _dated(_datetime_shape),
        "instant": _dated(_instant_shape),
        "time": _matching(_TIME),
        "base64Binary": _base64,
        "xhtml": lambda value: isinstance(value, str) and value.lstrip().startswith("<div"),
    }.items()
}

_JSON_NAMES = {str: "string", bool: "boolean", int: "number", Decimal: "number", float: "number", dict: "object", list: "array"}


def json_name(value: Any) -> str:
    if value is None:
        return "null"
    return _JSON_NAMES.get(type(value)) or ("number" if isinstance(value, Decimal) else "value")
