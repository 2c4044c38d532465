"""FHIR JSON in and out: values come back as they came.

Decimals stay Decimal (72.50 is not 72.5), member order is kept, and what JSON allows but FHIR must not see is refused at
the door: duplicate members, NaN, huge numbers, deep nesting. https://hl7.org/fhir/R4/json.html
"""

from __future__ import annotations

import json
import re
from decimal import Decimal, InvalidOperation
from itertools import chain
from typing import Any

import msgspec

from hub.errors import HubError, Kind

MAX_BYTES = 64 * 1024 * 1024
MAX_DEPTH = 64
MAX_NUMBER = 400
_NESTING = frozenset({dict, list})
_LONG_NUMBER = re.compile(rb"[0-9.]{%d}" % (MAX_NUMBER + 1))


class Spelled(Decimal):
    """A number whose spelling Decimal would change: 1e3 would go out as 1E+3, -0 as 0."""

    __slots__ = ("_text",)
    _text: str

    def __new__(cls, text: str) -> Spelled:
        number = super().__new__(cls, text)
        number._text = text
        return number

    def __str__(self) -> str:
        return self._text

    def __reduce__(self) -> tuple[type[Spelled], tuple[str]]:
        return Spelled, (self._text,)

    def __deepcopy__(self, memo: object) -> Spelled:
        return self


def _spelled(value: Any) -> msgspec.Raw:
    if isinstance(value, Spelled):
        return msgspec.Raw(str(value).encode())
    raise TypeError(f"{type(value).__name__} is no JSON value")


_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number", enc_hook=_spelled)
_sorted = msgspec.json.Encoder(decimal_format="number", order="sorted")


class BadJson(HubError):
    """The text is not JSON that FHIR allows; the message says where, never what."""

    kind = Kind.STRUCTURE


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise BadJson(f"member {twice[:64]!r} occurs twice in one object")
    return members


def _decimal(text: str) -> Decimal:
    if len(text) > MAX_NUMBER:
        raise BadJson(f"a number of {len(text)} characters is too long")
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise BadJson("a number has too large an exponent") from None
    return number if str(number) == text else Spelled(text)


def _integer(text: str) -> int | Decimal:
    if len(text) > MAX_NUMBER:
        raise BadJson(f"a number of {len(text)} characters is too long")
    return int(text) if text != "-0" else Spelled(text)


def number_of(text: str) -> int | Decimal:
    """A JSON number's text → the number that `parse` makes of it."""
    return _integer(text) if text.removeprefix("-").isdigit() else _decimal(text)


def _constant(text: str) -> Any:
    raise BadJson(f"{text} is not a JSON value")


def _check_depth(value: Any) -> None:
    level, depth = ([value] if type(value) in _NESTING else []), 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise BadJson(f"nested deeper than {MAX_DEPTH} levels")
        inner = chain.from_iterable([item.values() if type(item) is dict else item for item in level])
        level = [value for value in inner if type(value) in _NESTING]


def parse(text: bytes) -> dict[str, Any]:
    """A JSON object from outside. Raise BadJson."""
    value = parse_any(text)
    if not isinstance(value, dict):
        raise BadJson("a FHIR resource is a JSON object")
    return value


def parse_any(text: bytes) -> Any:
    """A JSON value from outside, with Decimal for every number that has a fraction or an exponent.

    Raise BadJson: not UTF-8, duplicate members, NaN, too deep, too long.
    """
    if len(text) > MAX_BYTES:
        raise BadJson(f"more than {MAX_BYTES} bytes", kind=Kind.TOO_LONG)
    value = _plain(text)
    if value is None:
        value = _looked_at(text)
    _check_depth(value)
    return value


def _plain(text: bytes) -> Any:
    """Most texts are what we would write ourselves, blanks aside: then no member stood twice and no number changed. Else None.

    An eighth of the time that looking at every member and number takes.
    """
    try:
        value = _decoder.decode(text)
        if _encoder.encode(value) == msgspec.json.format(text, indent=-1) and not _LONG_NUMBER.search(text):
            return value
    except (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError):
        pass  # the other way says what is wrong
    return None


def _looked_at(text: bytes) -> Any:
    try:
        value = json.loads(
            text.decode("utf-8-sig"),
            object_pairs_hook=_members,
            parse_float=_decimal,
            parse_int=_integer,
            parse_constant=_constant,
        )
        json.dumps(value, ensure_ascii=False, default=str).encode()
    except UnicodeDecodeError as error:
        raise BadJson(f"not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise BadJson(f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise BadJson(f"nested deeper than {MAX_DEPTH} levels") from None
    except UnicodeEncodeError:
        raise BadJson("a string holds half of a surrogate pair") from None
    return value


def load(text: bytes | str) -> dict[str, Any]:
    """What we wrote ourselves, read fast."""
    value: dict[str, Any] = _decoder.decode(text)
    return value


def dump(value: Any) -> bytes:
    return _encoder.encode(value)


def same_content(one: bytes, other: bytes) -> bool:
    """Of two texts that we wrote: the order of members says nothing, the spelling of a number does."""
    return one == other or (len(one) == len(other) and _sorted.encode(load(one)) == _sorted.encode(load(other)))
