"""A value of a FHIR data type → index values, by the type of the search parameter that wants it.

https://hl7.org/fhir/R4/search.html sections 3.1.1.4.7 to 3.1.1.4.13, each of which says how data types are searched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal, InvalidOperation
from functools import cache, lru_cache
from typing import Any

from hub.search import dates
from hub.search.entries import Date, Number, Quantity, Reference, String, Token, Uri, Value
from hub.search.expressions import choice_name
from hub.search.folding import fold, fold_code, has_han, pinyin_forms
from hub.search.numbers import UNBOUNDED, Span, between, compared, written
from hub.search.parameters import PINYIN_TYPES, SearchParameter, published

Json = Any
Converter = Callable[[Json, str], Iterable[Value]]  # (value, implicit code system)

CURRENCY = "urn:iso:std:iso:4217"


def text(value: Json) -> str:
    """A string, or '' where there is none. Raise TypeError for anything else: a broken element is not searchable."""
    if value is None:
        return ""
    if type(value) is not str:
        raise TypeError("not a string")
    return value


# -- token


@lru_cache(maxsize=16_384)
def _coded(code: str, system: str) -> Token:
    """A few codes come again and again."""
    return Token(fold_code(code), system)


def coding(value: Json, _: str) -> list[Value]:
    code, system = text(value.get("code")), text(value.get("system"))
    return [_coded(code, system)] if code or system else []


def codeable_concept(value: Json, _: str) -> list[Value]:
    """Its codings; a text alone is no token."""
    found: list[Value] = []
    for each in value.get("coding") or ():
        found += coding(each, "")
    return found


def identifier(value: Json, _: str) -> list[Value]:
    number, system = text(value.get("value")), text(value.get("system"))
    return [Token(fold_code(number), system)] if number or system else []


def contact_point(value: Json, _: str) -> list[Value]:
    number = text(value.get("value"))
    return [Token(fold_code(number), "")] if number else []


def code(value: Json, system: str) -> list[Value]:
    """A `code` has the system of the value set it is bound to."""
    return [Token(fold_code(value), system)] if value else []


def boolean(value: Json, _: str) -> list[Value]:
    return [Token("true" if value else "false", "")] if isinstance(value, bool) else []


# -- string


def string(value: Json, _: str) -> list[Value]:
    return [String(fold(value), value)] if value else []


_NAME = ("text", "family", "given", "prefix", "suffix")
_ADDRESS = ("text", "line", "city", "district", "state", "postalCode", "country")


def _parts(value: Json, members: tuple[str, ...]) -> list[str]:
    found: list[str] = []
    for member in members:
        part = value.get(member)
        if part:
            found.extend(each for each in part if each) if isinstance(part, list) else found.append(part)
    return found


def address(value: Json, _: str) -> list[Value]:
    return [String(fold(part), part) for part in _parts(value, _ADDRESS)]


def human_name(value: Json, _: str) -> list[Value]:
    """Each part; a Chinese name also as it is written, in one piece, however the source split it."""
    found: list[Value] = [String(fold(part), part) for part in _parts(value, _NAME)]
    whole = whole_name(value)
    return [*found, String(fold(whole), "")] if has_han(whole) and whole != value.get("text") else found


def whole_name(value: Json) -> str:
    return "".join((value.get("text") or "".join(_parts(value, ("family", "given")))).split())


def human_name_and_pinyin(value: Json, _: str) -> list[Value]:
    return [*human_name(value, ""), *pinyin(value, "")]


def pinyin(value: Json, _: str) -> list[Value]:
    return [String(form, "") for form in pinyin_forms(whole_name(value))]


# -- date

_interval = lru_cache(maxsize=8192)(dates.interval)


def date(value: Json, _: str) -> list[Value]:
    return [Date(*_interval(value))] if value else []


def period(value: Json, _: str) -> list[Value]:
    start, end = value.get("start"), value.get("end")
    low = _interval(start)[0] if start else dates.EARLIEST
    high = _interval(end)[1] if end else dates.LATEST
    return [Date(low, high)] if (start or end) and low < high else []


def timing(value: Json, _: str) -> list[Value]:
    """Only the outer limits count, not the schedule between."""
    inside = [each for event in value.get("event") or () if event for each in date(event, "")]
    inside += period((value.get("repeat") or {}).get("boundsPeriod") or {}, "")
    ends = [(each.low, each.high) for each in inside if isinstance(each, Date)]
    return [Date(min(low for low, _ in ends), max(high for _, high in ends))] if ends else []


# -- number, quantity


def number(value: Json, _: str) -> list[Value]:
    return [] if isinstance(value, bool) else [Number(*written(value))]


def number_between(value: Json, _: str) -> list[Value]:
    return [Number(*span) for span in _range(value)]


def quantity(value: Json, _: str) -> list[Value]:
    amount = value.get("value")
    if amount is None or isinstance(amount, bool):
        return []
    return _with_units(compared(amount, value.get("comparator") or ""), value)


def _with_units(spans: Iterable[Span], unit: Json) -> list[Value]:
    """`5.4||mg` means the code or the unit as printed, so both are kept where they differ."""
    system, coded, printed = text(unit.get("system")), text(unit.get("code")), text(unit.get("unit"))
    units = [(system, coded or printed)]
    if coded and printed and printed != coded:
        units.append(("", printed))
    return [Quantity(*span, *each) for span in spans for each in units]


def money(value: Json, _: str) -> list[Value]:
    amount = value.get("value")
    return [] if amount is None else [Quantity(*written(amount), CURRENCY, text(value.get("currency")))]


def quantity_between(value: Json, _: str) -> list[Value]:
    return _with_units(_range(value), value.get("low") or value.get("high"))


def _range(value: Json) -> list[Span]:
    """An end that is not stated is open."""
    low, high = (value.get("low") or {}).get("value"), (value.get("high") or {}).get("value")
    return between(-UNBOUNDED if low is None else low, UNBOUNDED if high is None else high)


def sampled_data(value: Json, _: str) -> list[Value]:
    """Lowest to highest sample; L and U are the limits of the device, E is an error."""
    origin = value.get("origin") or {}
    factor = value.get("factor", 1)
    samples = [each for word in (value.get("data") or "").split() for each in _sample(word, value)]
    if not samples:
        return []
    ends = sorted(
        Decimal(str(each)) * Decimal(str(factor)) + Decimal(str(origin.get("value", 0))) for each in (min(samples), max(samples))
    )
    return _with_units(between(*ends), origin)


def _sample(word: str, value: Json) -> list[Decimal]:
    limit = {"L": value.get("lowerLimit"), "U": value.get("upperLimit"), "E": None}.get(word, word)
    try:
        return [] if limit is None else [Decimal(str(limit))]
    except InvalidOperation:
        return []


# -- reference, uri

_URL = re.compile(r"[a-z][a-z0-9+.\-]*:", re.IGNORECASE | re.ASCII)


def reference(value: Json, _: str) -> list[Reference]:
    """Patient/1 by type and id, whatever version it names; another server's URL whole; `#contained` not at all."""
    stated = text(value.get("reference"))
    if not stated or stated[0] == "#":
        return []
    target = stated.partition("/_history/")[0]
    kind, slash, identity = target.partition("/")
    if slash and identity and "/" not in identity and kind in published().types:
        return [Reference(kind, identity)]
    return [Reference("", target)] if _URL.match(target) else []


def canonical_reference(value: Json, _: str) -> list[Value]:
    return [Reference("", each) for each in _canonical(value)]


def canonical_uri(value: Json, _: str) -> list[Value]:
    return [Uri(each) for each in _canonical(value)]


def _canonical(value: str) -> list[str]:
    """url|version is found by the url alone, too."""
    if not value or value[0] == "#":
        return []
    url, bar, _ = value.partition("|")
    return [url, value] if bar else [url]


def uri(value: Json, _: str) -> list[Value]:
    return [Uri(text(value))] if value else []


def uri_reference(value: Json, _: str) -> list[Value]:
    return [Reference("", text(value))] if value else []


def attachment_reference(value: Json, _: str) -> list[Value]:
    return uri_reference(value.get("url"), "")


@cache
def resource_reference(targets: tuple[str, ...]) -> Converter:
    """Bundle.composition, Bundle.message: the resource itself stands there."""

    def convert(value: Json, _: str) -> list[Value]:
        kind, identity = text(value.get("resourceType")), text(value.get("id"))
        return [Reference(kind, identity)] if identity and kind in targets else []

    return convert


# -- which for which

# Reached by an expression, yet without a value of the parameter's type: an age is no date, a range no token.
NOTHING = frozenset(
    {("date", "Age"), ("date", "Range"), ("date", "string"), ("token", "Quantity"), ("token", "Range"), ("token", "Reference")}
)

CONVERTERS: dict[tuple[str, str], Converter] = {
    ("token", "Coding"): coding,
    ("token", "CodeableConcept"): codeable_concept,
    ("token", "Identifier"): identifier,
    ("token", "ContactPoint"): contact_point,
    ("token", "boolean"): boolean,
    **{("token", name): code for name in ("code", "id", "string", "uri")},
    **{("string", name): string for name in ("string", "markdown", "code", "uri")},
    ("string", "HumanName"): human_name,
    ("string", "Address"): address,
    **{("date", name): date for name in ("date", "dateTime", "instant")},
    ("date", "Period"): period,
    ("date", "Timing"): timing,
    **{("number", name): number for name in ("decimal", "integer", "positiveInt", "unsignedInt")},
    ("number", "Range"): number_between,
    **{("quantity", name): quantity for name in ("Quantity", "Age", "Duration", "Count", "Distance", "SimpleQuantity")},
    ("quantity", "Money"): money,
    ("quantity", "Range"): quantity_between,
    ("quantity", "SampledData"): sampled_data,
    ("reference", "Reference"): reference,
    ("reference", "canonical"): canonical_reference,
    ("reference", "uri"): uri_reference,
    ("reference", "Attachment"): attachment_reference,
    ("uri", "canonical"): canonical_uri,
    **{("uri", name): uri for name in ("uri", "url", "oid", "uuid")},
}


# Beside the standard's `phonetic`, and the hub's own parameter for pinyin, the name box of every client finds by it.
PINYIN_CONVERTERS: dict[str, Converter] = {"name": human_name_and_pinyin, "phonetic": human_name_and_pinyin, "pinyin": pinyin}


def converter(parameter: SearchParameter, data_type: str) -> Converter | None:
    """None where there is nothing to index."""
    if (parameter.type, data_type) in NOTHING:
        return None
    if data_type == "Extension":
        return extension(parameter.type)
    if data_type == "Resource":
        return resource_reference(parameter.target)
    if data_type == "HumanName" and parameter.resource_type in PINYIN_TYPES and parameter.code in PINYIN_CONVERTERS:
        return PINYIN_CONVERTERS[parameter.code]
    return CONVERTERS.get((parameter.type, data_type))


@cache
def extension(parameter_type: str) -> Converter:
    """The value[x] of an extension, whatever type the instance gives it."""
    return of_extension({data_type: convert for (kind, data_type), convert in CONVERTERS.items() if kind == parameter_type})


def of_extension(converters: Mapping[str, Converter]) -> Converter:
    """By data type of the value."""
    by_member = {choice_name("value", data_type): convert for data_type, convert in converters.items()}

    def convert(value: Json, system: str) -> list[Value]:
        return [each for member, found in value.items() if member in by_member for each in by_member[member](found, system)]

    return convert
