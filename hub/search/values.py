r"""The text of one value → a typed value of the query. A ValueError says what is wrong with it, without repeating it.

https://hl7.org/fhir/R4/search.html sections 3.1.1.4.7 to 3.1.1.4.14; escaping with \ in 3.1.1.5
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from hub.search.dates import interval
from hub.search.folding import fold, fold_code
from hub.search.numbers import UNBOUNDED, bounded, number_range
from hub.search.parameters import Component, SearchParameter, registry
from hub.search.query import (
    CompositeValue,
    CriterionValue,
    DateValue,
    NumberValue,
    ParameterType,
    Prefix,
    QuantityValue,
    ReferenceValue,
    StringValue,
    TokenValue,
    UriValue,
)
from hub.search.reading import Context


def split(text: str, separator: str) -> list[str]:
    r"""At each separator that no \ stands before; escapes stay. https://hl7.org/fhir/R4/search.html#escaping"""
    if "\\" not in text:
        return text.split(separator)
    parts = [""]
    for piece in re.findall(r"\\.|[^\\]|\\$", text, re.DOTALL):
        if piece == separator:
            parts.append("")
        else:
            parts[-1] += piece
    return parts


def unescape(text: str) -> str:
    return re.sub(r"\\([,$|\\])", r"\1", text) if "\\" in text else text


_PREFIX = re.compile(r"(eq|ne|gt|lt|ge|le|sa|eb|ap)?(.*)", re.DOTALL)
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d{1,3})?", re.ASCII)
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:", re.ASCII)


def _prefixed(text: str) -> tuple[Prefix, str]:
    found = _PREFIX.fullmatch(text)
    assert found is not None  # noqa: S101 - every text matches
    prefix: Any = found[1] or "eq"
    return prefix, found[2]


def date_value(text: str, _parameter: SearchParameter, _modifier: str, context: Context) -> DateValue:
    """`ap` is widened by a tenth of the distance between now and the middle of the date."""
    prefix, written = _prefixed(text)
    low, high = interval(written.replace(" ", "+"), context.zone)  # a + that was not percent-encoded
    if prefix == "ap":
        margin = abs(context.now - (low + high) // 2) // 10
        low, high = low - margin, high + margin
    return DateValue(prefix, low, high)


def decimal(text: str) -> Decimal:
    if len(text) > 64 or not _NUMBER.fullmatch(text):
        raise ValueError("not a number")
    return Decimal(text)


def number_value(text: str, *_: object) -> NumberValue:
    """`ap` is widened to a tenth of the number either way, and never narrower than the implicit precision."""
    prefix, written = _prefixed(text)
    number = decimal(written)
    low, high = number_range(number)
    if UNBOUNDED in (-low, high):
        raise ValueError("the number is too large")
    if prefix == "ap":
        margin = abs(number) / 10
        low, high = min(low, bounded(number - margin)), max(high, bounded(number + margin))
    return NumberValue(prefix, float(number), low, high)


def quantity_value(text: str, *_: object) -> QuantityValue:
    parts = [unescape(part) for part in split(text, "|")]
    if len(parts) not in (1, 3):
        raise ValueError("a quantity is number or number|system|code")
    system, code = parts[1:] if len(parts) == 3 else ("", "")
    return QuantityValue(number_value(parts[0]), system or None, code or None)


def token_value(text: str, parameter: SearchParameter, *_: object) -> TokenValue:
    parts = [unescape(part) for part in split(text, "|")]
    if parameter.code == "_id":
        if len(parts) != 1:
            raise ValueError("an id has no system")
        return TokenValue(None, parts[0])  # ids are the one token that keeps its case
    if len(parts) > 2:
        raise ValueError("a token is code, system|code, system| or |code")
    if len(parts) == 1:
        return TokenValue(None, fold_code(parts[0]))
    if not any(parts):
        raise ValueError("a token has a system or a code")
    return TokenValue(parts[0], fold_code(parts[1]) or None)


def concept_value(text: str, *_: object) -> TokenValue:
    """:above and :below start at one code of one system, as it is written: a hierarchy may tell its cases apart."""
    parts = [unescape(part) for part in split(text, "|")]
    if len(parts) != 2 or not all(parts):
        raise ValueError("a hierarchy is asked by system|code")
    return TokenValue(parts[0], parts[1])


def of_type_value(text: str, *_: object) -> TokenValue:
    """system|code|value of Identifier.type and Identifier.value, kept as the token system, "code|value"."""
    parts = [unescape(part) for part in split(text, "|")]
    if len(parts) != 3 or not all(parts):
        raise ValueError("an identifier of a type is system|code|value, none of them empty")
    return TokenValue(parts[0], fold_code(f"{parts[1]}|{parts[2]}"))


def string_value(text: str, *_: object) -> StringValue:
    """Blanks alone would be the beginning of every text."""
    value = unescape(text)
    if not fold(value):
        raise ValueError("nothing to search for")
    return StringValue(value)


def uri_value(text: str, *_: object) -> UriValue:
    return UriValue(unescape(text))


def reference_value(text: str, parameter: SearchParameter, modifier: str, context: Context) -> ReferenceValue:
    """Type/id, id or a URL. An id alone gets its type from the modifier, or from the parameter if that has only one target."""
    stated = modifier if modifier in registry().types else ""
    target = unescape(text)
    if context.base and target.startswith(f"{context.base}/"):
        target = target[len(context.base) + 1 :]
    kind, slash, identity = target.partition("/_history/")[0].partition("/")
    if slash and kind in registry().types and _ID.fullmatch(identity):
        if stated and stated != kind:
            raise ValueError(f"not a reference to a {stated}")
        return ReferenceValue(kind, identity)
    if _URL.match(target):
        return ReferenceValue("", target)
    if not _ID.fullmatch(target):
        raise ValueError("a reference is id, Type/id or a URL")
    return ReferenceValue(stated or (parameter.target[0] if len(parameter.target) == 1 else ""), target)


def hierarchical_value(text: str, parameter: SearchParameter, _modifier: str, context: Context) -> ReferenceValue:
    """:above and :below start at one resource, or at a canonical URL."""
    value = reference_value(text, parameter, "", context)
    if not value.type and not _URL.match(value.id):
        raise ValueError("a hierarchy is asked by Type/id or by a canonical URL")
    return value


def value_set_value(text: str, _parameter: SearchParameter, _modifier: str, context: Context) -> UriValue:
    """:in and :not-in name a value set by its canonical URL, or as ValueSet/id here."""
    target = unescape(text)
    if context.base and target.startswith(f"{context.base}/"):
        target = target[len(context.base) + 1 :]
    if not _URL.match(target) and not (target.startswith("ValueSet/") and _ID.fullmatch(target[9:])):
        raise ValueError("a value set is named by its URL, or as ValueSet/id")
    return UriValue(target)


def composite_value(text: str, parameter: SearchParameter, _modifier: str, context: Context) -> CompositeValue:
    parts = split(text, "$")
    if len(parts) != len(parameter.components) or not all(parts):
        raise ValueError(f"needs {len(parameter.components)} parts joined by $")
    return CompositeValue(
        tuple(
            _part(part, component, parameter.resource_type, context)
            for part, component in zip(parts, parameter.components, strict=True)
        )
    )


def _part(part: str, component: Component, resource_type: str, context: Context) -> Any:
    like = registry().get(resource_type, component.code)
    stated = SearchParameter(resource_type, component.code, component.type, component.expression, like.target if like else ())
    return VALUES[component.type](part, stated, "", context)


Reader = Callable[[str, SearchParameter, str, Context], CriterionValue]

VALUES: dict[ParameterType, Reader] = {
    "number": number_value,
    "date": date_value,
    "string": string_value,
    "token": token_value,
    "reference": reference_value,
    "composite": composite_value,
    "quantity": quantity_value,
    "uri": uri_value,
}
