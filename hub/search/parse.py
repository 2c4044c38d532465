"""The parameters of a search, as they stand in the URL or form → SearchQuery, typed by the SearchParameters of the type.

What is not understood is an error that names the parameter, never ignored in silence; with `lenient` it is left out and said.
A message names parameters and never repeats a value: a value may be a patient's name. https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from hub.errors import HubError, Invalid, Kind
from hub.search.dates import DEFAULT_ZONE, interval
from hub.search.folding import fold, fold_code
from hub.search.numbers import UNBOUNDED, bounded, number_range
from hub.search.parameters import Component, SearchParameter, registry
from hub.search.query import (
    CompositeValue,
    Criterion,
    CriterionValue,
    DateValue,
    Include,
    NumberValue,
    ParameterType,
    Prefix,
    QuantityValue,
    ReferenceValue,
    SearchQuery,
    Sort,
    StringValue,
    TokenValue,
    UriValue,
)

MAX_PARAMETERS = 100
MAX_VALUES = 1000  # of one parameter
MAX_LENGTH = 65_536  # characters of all names and values
MAX_COUNT = 1000
DEFAULT_COUNT = 20

# For the one who writes the response; accepted here and kept in the self link.
PRESENTATION = frozenset({"_format", "_pretty", "_summary", "_elements"})

NOT_YET = frozenset({"_has", "_text", "_content", "_filter", "_list", "_query", "_contained", "_containedType", "_type", "_score"})

MODIFIERS: dict[ParameterType, frozenset[str]] = {
    "string": frozenset({"exact", "contains", "missing"}),
    "token": frozenset({"not", "missing"}),
    "reference": frozenset({"missing"}),  # and each resource type
    "date": frozenset({"missing"}),
    "number": frozenset({"missing"}),
    "quantity": frozenset({"missing"}),
    "uri": frozenset({"missing"}),
    "composite": frozenset(),
    "special": frozenset(),
}
# Modifiers of the standard that a later release will answer.
MODIFIERS_NOT_YET = frozenset({"text", "in", "not-in", "above", "below", "of-type", "identifier", "iterate", "recurse"})


class NotUnderstood(Invalid):
    """An unknown or unsupported parameter: the one error that lenient handling turns into leaving the parameter out."""


def _not_yet(what: str) -> NotUnderstood:
    return NotUnderstood(f"{what} is not supported by this server", kind=Kind.NOT_SUPPORTED)


@dataclass(frozen=True, slots=True)
class ParsedSearch:
    query: SearchQuery
    ignored: tuple[str, ...] = ()  # names left out by lenient handling
    self_parameters: tuple[tuple[str, str], ...] = ()  # what was used, as it was written, for the self link


@dataclass(frozen=True, slots=True)
class _Context:
    resource_type: str
    now: int
    zone: str
    base: str


@dataclass(slots=True)
class _Draft:
    """The query while it is read."""

    criteria: list[Criterion] = field(default_factory=list)
    includes: list[Include] = field(default_factory=list)
    sort: tuple[Sort, ...] = ()
    count: int = DEFAULT_COUNT
    total: Literal["none", "accurate"] = "none"
    seen: set[str] = field(default_factory=set)


def parse_search(
    resource_type: str,
    parameters: Sequence[tuple[str, str]],
    *,
    lenient: bool = False,
    now: int,
    zone: str = DEFAULT_ZONE,
    base: str = "",
) -> ParsedSearch:
    """Parse decoded name and value pairs. `now` (UTC ms) is for `ap`; `base` is this server's own address, in references.

    Raise Invalid for what is unknown, unsupported, malformed or beyond the limits.
    """
    if resource_type not in registry().types:
        raise Invalid(f"{shown(resource_type)} is not an R4 resource type")
    _check_limits(parameters)
    context = _Context(resource_type, now, zone, base.rstrip("/"))
    draft, ignored, used = _Draft(), [], []
    for name, value in parameters:
        try:
            _read(name, value, draft, context)
            used.append((name, value))
        except NotUnderstood:
            if not lenient:
                raise
            ignored.append(name)
    query = SearchQuery(
        resource_type, tuple(draft.criteria), draft.sort, draft.count, tuple(dict.fromkeys(draft.includes)), draft.total
    )
    return ParsedSearch(query, tuple(ignored), tuple(used))


def shown(name: str) -> str:
    """A parameter's name in a message: short, and without control characters."""
    return repr(name[:64])


def _check_limits(parameters: Sequence[tuple[str, str]]) -> None:
    if len(parameters) > MAX_PARAMETERS:
        raise HubError(f"more than {MAX_PARAMETERS} search parameters", kind=Kind.TOO_COSTLY)
    if sum(len(name) + len(value) for name, value in parameters) > MAX_LENGTH:
        raise HubError(f"search parameters of more than {MAX_LENGTH} characters", kind=Kind.TOO_COSTLY)


def _read(name: str, value: str, draft: _Draft, context: _Context) -> None:
    if name in PRESENTATION:
        return
    result = RESULT.get(name)
    if result is None:
        draft.criteria.append(_criterion(name, value, context))
        return
    if name in draft.seen and name not in REPEATABLE:
        raise Invalid(f"{name} may be given once")
    result(value, draft, context)
    draft.seen.add(name)


# -- criteria


def _criterion(name: str, text: str, context: _Context) -> Criterion:
    code, colon, modifier = name.partition(":")
    if code in NOT_YET:
        raise _not_yet(code)
    if "." in name:
        raise _not_yet(f"the chained search parameter {shown(name)}")
    parameter = registry().get(context.resource_type, code)
    if parameter is None:
        raise NotUnderstood(f"{context.resource_type} has no search parameter {shown(code)}")
    if parameter.type == "special":
        raise _not_yet(f"the search parameter {shown(code)}")
    if colon:
        _check_modifier(parameter, modifier)
    if not text:
        raise Invalid(f"{shown(name)} has no value")
    if modifier == "missing":
        return Criterion(code, parameter.type, (), modifier, _truth(name, text))
    values = split(text, ",")
    if len(values) > MAX_VALUES:
        raise HubError(f"{shown(name)} has more than {MAX_VALUES} values", kind=Kind.TOO_COSTLY)
    return Criterion(code, parameter.type, tuple(_values(parameter, modifier, values, context)), modifier)


def _check_modifier(parameter: SearchParameter, modifier: str) -> None:
    if modifier in MODIFIERS[parameter.type]:
        return
    what = f"the modifier {shown(modifier)} of the {parameter.type} parameter {shown(parameter.code)}"
    if modifier in MODIFIERS_NOT_YET:
        raise _not_yet(what)
    if parameter.type != "reference" or modifier not in registry().types:
        raise Invalid(f"{what} is unknown")
    if parameter.target and modifier not in parameter.target:
        raise Invalid(f"{shown(parameter.code)} never refers to a {modifier}")


def _truth(name: str, text: str) -> bool:
    if text not in ("true", "false"):
        raise Invalid(f"{shown(name)} is true or false")
    return text == "true"


def _values(parameter: SearchParameter, modifier: str, texts: list[str], context: _Context) -> Iterator[CriterionValue]:
    for text in texts:
        if not text:
            raise Invalid(f"{shown(parameter.code)} has an empty value")
        try:
            yield VALUES[parameter.type](text, parameter, modifier, context)
        except (ValueError, ArithmeticError) as error:
            raise Invalid(f"{shown(parameter.code)}: {error}") from None


# -- one value. A ValueError says what is wrong with it, without repeating it.


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


def date_value(text: str, _parameter: SearchParameter, _modifier: str, context: _Context) -> DateValue:
    """`ap` is widened by a tenth of the distance between now and the middle of the date."""
    prefix, written = _prefixed(text)
    low, high = interval(written.replace(" ", "+"), context.zone)  # a + that was not percent-encoded
    if prefix == "ap":
        margin = abs(context.now - (low + high) // 2) // 10
        low, high = low - margin, high + margin
    return DateValue(prefix, low, high)


def number_value(text: str, *_: object) -> NumberValue:
    """`ap` is widened to a tenth of the number either way, and never narrower than the implicit precision."""
    prefix, written = _prefixed(text)
    if len(written) > 64 or not _NUMBER.fullmatch(written):
        raise ValueError("not a number")
    number = Decimal(written)
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


def string_value(text: str, *_: object) -> StringValue:
    """Blanks alone would be the beginning of every text."""
    value = unescape(text)
    if not fold(value):
        raise ValueError("nothing to search for")
    return StringValue(value)


def uri_value(text: str, *_: object) -> UriValue:
    return UriValue(unescape(text))


def reference_value(text: str, parameter: SearchParameter, modifier: str, context: _Context) -> ReferenceValue:
    """Type/id, id or a URL. An id alone gets its type from the modifier, or from the parameter if that has only one target."""
    target = unescape(text)
    if context.base and target.startswith(f"{context.base}/"):
        target = target[len(context.base) + 1 :]
    kind, slash, identity = target.partition("/_history/")[0].partition("/")
    if slash and kind in registry().types and _ID.fullmatch(identity):
        if modifier and modifier != kind:
            raise ValueError(f"not a reference to a {modifier}")
        return ReferenceValue(kind, identity)
    if _URL.match(target):
        return ReferenceValue("", target)
    if not _ID.fullmatch(target):
        raise ValueError("a reference is id, Type/id or a URL")
    return ReferenceValue(modifier or (parameter.target[0] if len(parameter.target) == 1 else ""), target)


def composite_value(text: str, parameter: SearchParameter, _modifier: str, context: _Context) -> CompositeValue:
    parts = split(text, "$")
    if len(parts) != len(parameter.components) or not all(parts):
        raise ValueError(f"needs {len(parameter.components)} parts joined by $")
    return CompositeValue(
        tuple(
            _part(part, component, parameter.resource_type, context)
            for part, component in zip(parts, parameter.components, strict=True)
        )
    )


def _part(part: str, component: Component, resource_type: str, context: _Context) -> Any:
    like = registry().get(resource_type, component.code)
    stated = SearchParameter(resource_type, component.code, component.type, component.expression, like.target if like else ())
    return VALUES[component.type](part, stated, "", context)


VALUES: dict[ParameterType, Callable[[str, SearchParameter, str, _Context], CriterionValue]] = {
    "number": number_value,
    "date": date_value,
    "string": string_value,
    "token": token_value,
    "reference": reference_value,
    "composite": composite_value,
    "quantity": quantity_value,
    "uri": uri_value,
}


# -- parameters of the result


def _count(value: str, draft: _Draft, _: _Context) -> None:
    if not re.fullmatch(r"\d{1,9}", value, re.ASCII):
        raise Invalid("_count is a whole number, 0 or more")
    draft.count = min(int(value), MAX_COUNT)
    if draft.count == 0:
        draft.total = "accurate"  # R4: the same as _summary=count


def _total(value: str, draft: _Draft, _: _Context) -> None:
    """An estimate is allowed to be exact."""
    if value not in ("none", "estimate", "accurate"):
        raise Invalid("_total is none, estimate or accurate")
    if value != "none":
        draft.total = "accurate"


def _sort(value: str, draft: _Draft, context: _Context) -> None:
    draft.sort = tuple(_sort_key(key, context) for key in value.split(","))


def _sort_key(key: str, context: _Context) -> Sort:
    code = key.removeprefix("-")
    parameter = registry().get(context.resource_type, code)
    if parameter is None:
        raise NotUnderstood(f"_sort: {context.resource_type} has no search parameter {shown(code)}")
    if parameter.type in ("composite", "special"):
        raise _not_yet(f"_sort by the {parameter.type} parameter {shown(code)}")
    return Sort(code, parameter.type, key.startswith("-"))


def _include(value: str, draft: _Draft, context: _Context) -> None:
    source, code, target = _include_parts("_include", value)
    if source != context.resource_type:
        raise Invalid(f"_include: the matches are {context.resource_type}, not {shown(source)}")
    parameter = _reference_parameter("_include", source, code)
    if target and parameter.target and target not in parameter.target:
        raise Invalid(f"_include: {shown(code)} never refers to a {target}")
    draft.includes.append(Include(source, code, target))


def _revinclude(value: str, draft: _Draft, context: _Context) -> None:
    source, code, target = _include_parts("_revinclude", value)
    parameter = _reference_parameter("_revinclude", source, code)
    never = parameter.target and context.resource_type not in parameter.target
    if never or target not in ("", context.resource_type):
        raise Invalid(f"_revinclude: {source} {shown(code)} is not asked to refer to a {context.resource_type}")
    draft.includes.append(Include(source, code, target, reverse=True))


def _include_parts(name: str, value: str) -> tuple[str, str, str]:
    parts = value.split(":")
    if "*" in parts:
        raise _not_yet(f"the wildcard of {name}")
    if len(parts) not in (2, 3):
        raise Invalid(f"{name} is Type:parameter or Type:parameter:TargetType")
    source, code, target = (*parts, "")[:3]
    for resource_type in (source, target):
        if resource_type and resource_type not in registry().types:
            raise Invalid(f"{name}: {shown(resource_type)} is not an R4 resource type")
    return source, code, target


def _reference_parameter(name: str, source: str, code: str) -> SearchParameter:
    parameter = registry().get(source, code)
    if parameter is None or parameter.type != "reference":
        raise NotUnderstood(f"{name}: {shown(source)} has no reference parameter {shown(code)}")
    return parameter


def _iterated(_value: str, _draft: _Draft, _context: _Context) -> None:
    raise _not_yet("iterating _include and _revinclude")


RESULT: dict[str, Callable[[str, _Draft, _Context], None]] = {
    "_count": _count,
    "_total": _total,
    "_sort": _sort,
    "_include": _include,
    "_revinclude": _revinclude,
    **{f"{name}:{modifier}": _iterated for name in ("_include", "_revinclude") for modifier in ("iterate", "recurse")},
}
REPEATABLE = frozenset({"_include", "_revinclude"})
