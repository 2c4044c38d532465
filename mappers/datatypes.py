"""Small values that every source writes its own way → FHIR data types: dates, units, quantities, ranges, marks, ID numbers.

https://hl7.org/fhir/R4/datatypes.html. What cannot be read with certainty gives None, never a guess; precision is never
invented and a decimal keeps its digits.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal, InvalidOperation
from functools import lru_cache, wraps
from typing import Any, Concatenate, ParamSpec, TypeVar
from zoneinfo import ZoneInfo

from mappers.base import Issue
from mappers.identity_keys import local_system
from mappers.units import ucum_of
from profiles.names import ID_CARD, RECOGNITION_MARK, UCUM

Rest = ParamSpec("Rest")
Result = TypeVar("Result")
LONGEST_REMEMBERED = 64


def remembered(function: Callable[Concatenate[str, Rest], Result]) -> Callable[Concatenate[str, Rest], Result]:
    """A cache for readers of short texts: sources repeat themselves, and what is long is no date, unit or number."""
    cached = lru_cache(maxsize=8192)(function)

    @wraps(function)
    def read(text: str, /, *args: Rest.args, **kwargs: Rest.kwargs) -> Result:
        if len(text) > LONGEST_REMEMBERED:
            return function(text, *args, **kwargs)
        return cached(text, *args, **kwargs)  # type: ignore[arg-type]

    return read


# ---------------------------------------------------------------- dates and times

# 20240501, 2024-05-01T08:00:00.123+08:00, 2024/5/1 8:00, 202405011530-0500, 20240501T083000, 20240501083000123, Aug 15, 1942
_COMPACT = re.compile(
    r"(?P<year>\d{4})(?:(?P<month>\d{2})(?:(?P<day>\d{2})(?:[T ]?(?P<hour>\d{2})(?:(?P<minute>\d{2})(?:(?P<second>\d{2})"
    r"(?:\.(?P<fraction>\d{1,9})|(?P<millis>\d{3}))?)?)?)?)?)? ?(?P<offset>Z|[+-](?:0\d|1[0-4]):?[0-5]\d)?",
    re.ASCII,
)
_SPACED = re.compile(
    r"(?P<year>\d{4})[-/.年](?P<month>\d{1,2})(?:[-/.月](?P<day>\d{1,2})日?"
    r"(?:[T ]+(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:\.(?P<fraction>\d{1,9}))?)?"
    r" ?(?P<offset>Z|[+-](?:0\d|1[0-4]):?[0-5]\d)?)?|月)?",
    re.ASCII,
)


_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_NAMED = re.compile(r"(?P<month>[A-Za-z]{3})[a-z]{0,6}\.? (?P<day>\d{1,2}),? (?P<year>\d{4})", re.ASCII)

EARLIEST_YEAR = 1800  # 0001-01-01 is what a database writes for "none", nobody's birthday


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time as precise as it was written: `parts` holds year … second, as far as stated."""

    parts: tuple[int, ...]
    fraction: str = ""
    offset: str = ""  # "+08:00", "Z" or empty


@remembered
def read_moment(text: str) -> Moment | None:
    """Read HL7 v2 (YYYY[MM[DD[HH[MM[SS[.S…]]]]]][±ZZZZ]), ISO 8601 and what databases write. None: not a date."""
    text = text.strip()
    match = _COMPACT.fullmatch(text) or _SPACED.fullmatch(_without_month_name(text))
    if match is None:
        return None
    stated = match.groupdict()
    names = ("year", "month", "day", "hour", "minute", "second")
    parts = tuple(int(stated[name]) for name in names if stated[name])
    if parts[0] < EARLIEST_YEAR:
        return None
    if len(parts) == 6 and parts[5] == 60:  # a leap second: FHIR allows it, datetime does not
        parts = (*parts[:5], 59)
    try:
        datetime(*(parts + (1, 1, 0, 0, 0)[len(parts) - 1 :])[:6])  # type: ignore[arg-type]  # noqa: DTZ001
    except ValueError:
        return None
    offset = stated["offset"] or ""
    if len(offset) == 5:
        offset = f"{offset[:3]}:{offset[3:]}"
    return Moment(parts, stated["fraction"] or stated.get("millis") or "", offset)


def _without_month_name(text: str) -> str:
    """ "Aug 15, 1942" → "1942-8-15": a month by name is nothing else."""
    named = _NAMED.fullmatch(text)
    if named is None or (name := named["month"].upper()) not in _MONTHS:
        return text
    return f"{named['year']}-{_MONTHS.index(name) + 1}-{named['day']}"


@lru_cache(maxsize=64)
def zone_of(zone: str) -> tzinfo:
    """ "+08:00" or "Asia/Shanghai" → tzinfo. Raise ValueError for anything else."""
    if match := re.fullmatch(r"([+-])(\d{2}):?(\d{2})", zone):
        span = timedelta(hours=int(match[2]), minutes=int(match[3]))
        return timezone(-span if match[1] == "-" else span)
    if zone in {"Z", "UTC"}:
        return UTC
    try:
        return ZoneInfo(zone)
    except (KeyError, OSError) as error:
        raise ValueError(f"no time zone {zone!r}") from error


def _datetime(moment: Moment, zone: str) -> datetime:
    fields = moment.parts + (1, 1, 0, 0, 0)[len(moment.parts) - 1 :]
    microsecond = int((moment.fraction + "000000")[:6])
    return datetime(*fields[:6], microsecond, tzinfo=zone_of(moment.offset or zone))  # type: ignore[misc,arg-type]


@remembered
def instant(text: str, zone: str) -> datetime | None:
    """An aware datetime, for telling which statement is the later one; what was not stated counts as its beginning."""
    moment = read_moment(text)
    return None if moment is None else _datetime(moment, zone)


def _offset(moment: Moment, zone: str) -> str:
    if moment.offset:
        return moment.offset
    text = _datetime(moment, zone).strftime("%z")
    return f"{text[:3]}:{text[3:5]}"


@remembered
def fhir_date(text: str) -> str | None:
    """→ date: "197003" stays a month. A time of day is left out. None: not a date."""
    moment = read_moment(text)
    return None if moment is None else _day(moment)


def _day(moment: Moment) -> str:
    return "-".join(f"{part:04d}" if place == 0 else f"{part:02d}" for place, part in enumerate(moment.parts[:3]))


@remembered
def fhir_datetime(text: str, zone: str) -> str | None:
    """→ dateTime, as precise as stated; a time without offset is in `zone`.

    FHIR wants seconds with every time and lets them be zero-filled; an hour without minutes stays a day.
    """
    moment = read_moment(text)
    if moment is None:
        return None
    if len(moment.parts) < 5:
        return _day(moment)
    hour, minute, *second = moment.parts[3:]
    fraction = f".{moment.fraction}" if moment.fraction else ""
    return f"{_day(moment)}T{hour:02d}:{minute:02d}:{second[0] if second else 0:02d}{fraction}{_offset(moment, zone)}"


def fhir_instant(text: str, zone: str) -> str | None:
    """→ instant; None where less than the minute is known, for an instant cannot say so."""
    stated = fhir_datetime(text, zone)
    return stated if stated and "T" in stated else None


# ---------------------------------------------------------------- units


@remembered
def fold_unit(text: str) -> tuple[str, str | None]:
    """A unit as written → (the source's text, UCUM code or None when we do not know the spelling)."""
    text = text.strip()
    return text, ucum_of(text)


# ---------------------------------------------------------------- quantities and ranges

# What stands before the number → Quantity.comparator
COMPARATOR = {
    "": "",
    "=": "",
    "<": "<",
    ">": ">",
    "<=": "<=",
    ">=": ">=",
    "≤": "<=",
    "≥": ">=",
    "≦": "<=",
    "≧": ">=",
    "＜": "<",
    "＞": ">",
    "小于": "<",
    "大于": ">",
}
_NUMBER = r"[+-]?(?:\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})(?:[eE][+-]?\d{1,2})?"
_QUANTITY = re.compile(rf"(?P<comparator><=|>=|[<>=≤≥≦≧＜＞]|小于|大于)?\s*(?P<number>{_NUMBER})", re.ASCII)
_BETWEEN = r"--?|~|～|－|—{1,2}|–|至|to"
_SPAN = re.compile(rf"(?P<low>{_NUMBER})\s*(?P<between>{_BETWEEN})\s*(?P<high>{_NUMBER})(?P<unit>\s*[^\d\s].*)?", re.ASCII)
_LIMIT = re.compile(rf"(?P<limit>{_QUANTITY.pattern})(?P<unit>\s*[^\d\s].*)?", re.ASCII)
# Digits as Chinese keyboards write them; never superscripts, which are powers
_WIDE_DIGITS = str.maketrans("０１２３４５６７８９．", "0123456789.")
_WIDE = _WIDE_DIGITS | str.maketrans("＋－−", "+--")


def decimal_of(text: str) -> Decimal | None:
    """A number with the digits it was written with: "72.50" stays 72.50. None: not a finite number."""
    if not re.fullmatch(_NUMBER, text.strip(), re.ASCII):
        return None
    try:
        return Decimal(text.strip().rstrip(".") or "x")
    except InvalidOperation:
        return None


@dataclass(frozen=True, slots=True)
class Number:
    """`<0.01`: comparator and value."""

    value: Decimal
    comparator: str = ""


@remembered
def read_number(text: str) -> Number | None:
    """ "6.50", "<0.01", "≥1000" → Number; "1+", "阴性(-)", "3-5" → None."""
    match = _QUANTITY.fullmatch(text.strip().translate(_WIDE))
    if match is None:
        return None
    value = decimal_of(match["number"])
    return None if value is None else Number(value, COMPARATOR[match["comparator"] or ""])


def quantity(value: Decimal, unit: str = "", comparator: str = "") -> dict[str, Any]:
    """FHIR Quantity: unit = the source's text; system and code only when the unit folds to UCUM."""
    result: dict[str, Any] = {"value": value}
    if comparator:
        result["comparator"] = comparator
    text, code = fold_unit(unit)
    if text:
        result["unit"] = text
    if code:
        result |= {"system": UCUM, "code": code}
    return result


def with_its_unit(text: str, unit: str = "") -> dict[str, Any] | None:
    """ "5.6 mmol/L" → Quantity, where the unit is that of `unit`, or beyond doubt a unit: 1a is a genotype."""
    match = _LIMIT.fullmatch(text.strip())
    if match is None or not match["unit"]:
        return None
    own = match["unit"].strip()
    code, expected = fold_unit(own)[1], fold_unit(unit)[1]
    same = own == unit or (code is not None and code == expected)
    certain = not unit and code is not None and ("/" in own or code == "%")
    return parse_quantity(match["limit"], own) if same or certain else None


def parse_quantity(text: str, unit: str = "") -> dict[str, Any] | None:
    """ "<0.01" and a unit → Quantity. None when the text is more than a number: it then stays text."""
    number = read_number(text)
    return None if number is None else quantity(number.value, unit, number.comparator)


@remembered
def _read_range(text: str) -> tuple[tuple[tuple[str, Decimal], ...], str]:
    """Which edges a range states, and the unit written behind it."""
    bare = text.translate(_WIDE_DIGITS)
    if bare[:1] in "([（【" and bare[-1:] in ")]）】":
        bare = bare[1:-1].strip()
    if span := _SPAN.fullmatch(bare):
        low, high = decimal_of(span["low"]), decimal_of(span["high"])
        unsure = low is not None and low < 0 and span["between"] == "--"  # -5--1 may end at 1 or at -1
        if low is not None and high is not None and low <= high and not unsure:
            return (("low", low), ("high", high)), (span["unit"] or "").strip()
    elif (limit := _LIMIT.fullmatch(bare)) and (number := read_number(limit["limit"])) and number.comparator:
        return (("high" if number.comparator.startswith("<") else "low", number.value),), (limit["unit"] or "").strip()
    return (), ""


def reference_range(text: str, unit: str = "") -> dict[str, Any] | None:
    """ "3.5-5.3", "<5", "≥60", "阴性" → Observation.referenceRange entry; the text is always kept. None: empty."""
    text = text.strip()
    if not text:
        return None
    edges, own_unit = _read_range(text)
    if own_unit and own_unit != unit and fold_unit(own_unit)[1] is None:
        edges = ()  # whom the limits are for, as 3.5-5.1(成人), or a unit nobody knows: the text says it
    return {**{edge: quantity(value, own_unit or unit) for edge, value in edges}, "text": text}


# ---------------------------------------------------------------- recognition marks


@dataclass(frozen=True, slots=True)
class Mark:
    """A mutual-recognition mark as printed before an item's name."""

    text: str  # 全国HR, 浙江HR, ★
    scope: str  # "national", the area's text, or "unstated" for a bare star


_MARK = re.compile(
    r"^\s*(?:[【\[(（〔](?P<framed>[^】\])）〕]{0,12}HR)[】\])）〕]|(?P<plain>[一-鿿]{1,8}HR)[\s:：]*|(?P<star>[★☆]))\s*(?P<name>.+)$",
    re.I,
)
_MARK_AFTER = re.compile(r"^(?P<name>.+?)\s*(?:[【\[(（〔](?P<framed>[^】\])）〕]{0,12}HR)[】\])）〕]|(?P<star>[★☆]))\s*$", re.I)
LONGEST_NAME = 256
_NATIONAL = {"全国", "国家", "国"}


@remembered
def split_mark(name: str) -> tuple[str, Mark | None]:
    """ "【全国HR】钾" → ("钾", mark); "★钾" → ("钾", mark); a name without one comes back as it is."""
    match = (_MARK.match(name) or _MARK_AFTER.match(name)) if len(name) <= LONGEST_NAME else None
    if match is None:
        return name.strip(), None
    groups = match.groupdict()
    text = groups.get("framed") or groups.get("plain") or groups["star"]
    area = text[:-2].strip() if text[-2:].upper() == "HR" else ""
    scope = "national" if area in _NATIONAL else area or "unstated"
    return match["name"].strip(), Mark(text.strip(), scope)


def recognition_mark(mark: Mark) -> dict[str, Any]:
    """→ the RECOGNITION_MARK extension of an Observation or a DiagnosticReport."""
    scope = {"coding": [{"system": "urn:hub:mark-scope", "code": mark.scope}], "text": mark.text}
    return {"url": RECOGNITION_MARK, "extension": [{"url": "scope", "valueCodeableConcept": scope}]}


# ---------------------------------------------------------------- GB 11643 identity numbers

ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
# GB/T 2260 provinces, and 81-83: residence permits of Hong Kong, Macao and Taiwan people
ID_AREAS = frozenset(
    f"{area:02d}"
    for area in (
        *range(11, 16),
        *range(21, 24),
        *range(31, 38),
        *range(41, 47),
        *range(50, 55),
        *range(61, 66),
        71,
        81,
        82,
        83,
        91,
        92,
    )
)


def id_check(first17: str) -> str:
    """The check character of GB 11643: 11010519491231002 → "X"."""
    return "10X98765432"[sum(int(digit) * weight for digit, weight in zip(first17, ID_WEIGHTS, strict=True)) % 11]


def looks_like_id_number(text: str) -> bool:
    return re.fullmatch(r"\d{17}[\dXx]|\d{15}", text.strip(), re.ASCII) is not None


def valid_id_number(text: str) -> str | None:
    """The 18 characters if area, date and check digit hold; an old 15-digit number comes back upgraded. None otherwise."""
    text = unicodedata.normalize("NFKC", text).strip().upper()
    if re.fullmatch(r"\d{15}", text, re.ASCII):
        first17 = f"{text[:6]}19{text[6:]}"
        text = first17 + id_check(first17)
    if not re.fullmatch(r"\d{17}[\dX]", text, re.ASCII) or text[:2] not in ID_AREAS or id_check(text[:17]) != text[17]:
        return None
    try:
        born = date(int(text[6:10]), int(text[10:12]), int(text[12:14]))
    except ValueError:
        return None
    return text if born.year >= 1850 else None


def id_birth_date(number: str) -> str:
    """Birth date inside a valid 18-character number."""
    return f"{number[6:10]}-{number[10:12]}-{number[12:14]}"


def identifiers_from_id_number(text: str, *, facility: str, where: str, issues: list[Issue]) -> list[dict[str, Any]]:
    """Identifier of a 居民身份证 number; one that fails its check is kept under a local system, so it never drives a match."""
    text = text.strip()
    if not text:
        return []
    kind = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "NI"}]}
    number = valid_id_number(text)
    if number is None:
        issues.append(Issue("check-failed", where, f"an ID number of {len(text)} characters fails GB 11643"))
        return [{"use": "secondary", "type": kind, "system": local_system(facility, "unchecked-id"), "value": text}]
    identifiers = [{"use": "official", "type": kind, "system": ID_CARD, "value": number}]
    if re.fullmatch(r"\d{15}", text, re.ASCII):
        old = {"use": "old", "type": kind, "system": local_system(facility, "id-15"), "value": text}
        identifiers.append(old)
    return identifiers
