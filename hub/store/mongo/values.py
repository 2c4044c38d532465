"""One value of a criterion → what a document with a matching entry fulfils.

Meanings are those of hub.search.compare. Texts go in as values, never as parts of a query's structure; a pattern is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from hub.errors import HubError, Kind
from hub.search.folding import fold
from hub.search.query import (
    Criterion,
    CriterionValue,
    DateValue,
    NumberValue,
    Prefix,
    QuantityValue,
    ReferenceValue,
    StringValue,
    TokenValue,
    UriValue,
)
from hub.store.asked import LAST, refuse_unless, type_asked
from hub.store.mongo.documents import DAY, LONG, Document, paired, plain

MOST_PATTERN = 16_000  # characters of a pattern; the server takes twice as many

# A prefix → what the interval {l, h} of an entry fulfils.
INTERVALS: Mapping[Prefix, Callable[[DateValue], Document]] = {
    "eq": lambda v: {"l": {"$gte": v.low, "$lt": v.high}, "h": {"$lte": v.high}},
    "ne": lambda v: {"$or": [{"l": {"$lt": v.low}}, {"h": {"$gt": v.high}}]},
    "gt": lambda v: {"h": {"$gt": v.high}},
    "lt": lambda v: {"l": {"$lt": v.low}},
    "ge": lambda v: {"$or": [{"h": {"$gt": v.high}}, {"l": {"$gte": v.low}, "h": {"$lte": v.high}}]},
    "le": lambda v: {"l": {"$lt": v.high}, "$or": [{"l": {"$lt": v.low}}, {"h": {"$lte": v.high}}]},
    "sa": lambda v: {"l": {"$gte": v.high}},
    "eb": lambda v: {"l": {"$lt": v.low}, "h": {"$lte": v.low}},
    "ap": lambda v: {"l": {"$lt": v.high}, "h": {"$gt": v.low}},
}
# What ends behind a point, and is a day long at most, begins less than a day before it.
BEGINS_AFTER: Mapping[Prefix, Callable[[DateValue], int]] = {
    "gt": lambda v: v.high - DAY,
    "ge": lambda v: v.low - DAY,
    "ap": lambda v: v.low - DAY,
}
# … and what the start of the only interval fulfils then, as bounds for the index that is sorted by it.
STARTS: Mapping[Prefix, Callable[[DateValue], Document]] = {
    "eq": lambda v: {"$gte": v.low, "$lt": v.high},
    "gt": lambda v: {"$gt": v.high - DAY},
    "lt": lambda v: {"$lt": v.low},
    "ge": lambda v: {"$gt": v.low - DAY},
    "le": lambda v: {"$lt": v.high},
    "sa": lambda v: {"$gte": v.high},
    "eb": lambda v: {"$lt": v.low},
    "ap": lambda v: {"$gt": v.low - DAY, "$lt": v.high},
}
EXACT: Document = {"r": None}  # a number, and no end of a range
NUMBERS: Mapping[Prefix, Callable[[NumberValue], Document]] = {
    "eq": lambda v: {"v": {"$gte": v.low, "$lt": v.high}, "$or": [EXACT, {"l": {"$gte": v.low}, "h": {"$lt": v.high}}]},
    "ne": lambda v: {
        "$or": [
            {"v": {"$lt": v.low}},
            {"v": {"$gte": v.high}},
            {"r": True, "$or": [{"l": {"$lt": v.low}}, {"h": {"$gte": v.high}}]},
        ]
    },
    "gt": lambda v: {"v": {"$gt": v.number}},
    "sa": lambda v: {"v": {"$gt": v.number}, "$or": [EXACT, {"l": {"$gt": v.number}}]},
    "lt": lambda v: {"v": {"$lt": v.number}},
    "eb": lambda v: {"v": {"$lt": v.number}, "$or": [EXACT, {"h": {"$lt": v.number}}]},
    "ge": lambda v: {"v": {"$gte": v.number}},
    "le": lambda v: {"v": {"$lte": v.number}},
    "ap": lambda v: {"l": {"$lt": v.high}, "h": {"$gt": v.low}},
}


def value_query(criterion: Criterion, value: CriterionValue) -> Document:
    """Raise HubError for a modifier that means nothing for this type of value."""
    compile_value = _BY_VALUE.get(type(value))
    if compile_value is None:
        raise HubError(f"{criterion.code} cannot be asked so", kind=Kind.NOT_SUPPORTED)
    return compile_value(criterion, value)


def any_of(parameter: str) -> Document:
    """Some token, reference or URI of the parameter."""
    return {"t": _begins(plain(parameter, ""))}


def _begins(start: str) -> Document:
    return {"$elemMatch": {"$gte": start, "$lt": start + LAST}}


def _token(criterion: Criterion, value: TokenValue) -> Document:
    refuse_unless(criterion, "", "not")
    code, system = value.code, value.system
    if code is None:
        return any_of(criterion.code) if system is None else {**any_of(criterion.code), "u": plain(criterion.code, system)}
    found: Document = {"t": plain(criterion.code, code)}
    return found if system is None else {**found, "u": paired(criterion.code, system, code)}


def _reference(criterion: Criterion, value: ReferenceValue) -> Document:
    kind = type_asked(criterion, value)
    found: Document = {"t": plain(criterion.code, value.id)}
    return {**found, "u": paired(criterion.code, kind, value.id)} if kind else found


def _uri(criterion: Criterion, value: UriValue) -> Document:
    refuse_unless(criterion, "", "below", "above")
    text = value.value
    if criterion.modifier == "below":
        under = plain(criterion.code, text.rstrip("/") + "/")
        return {"$or": [{"t": plain(criterion.code, text)}, {"t": _begins(under)}]}
    if criterion.modifier == "above":
        parents = [re.escape(text[:end]) for end, character in enumerate(text) if end and character == "/" != text[end - 1]]
        pattern = f"^{re.escape(plain(criterion.code, ''))}(?:{'|'.join(parents)})/*$"
        above = [{"t": _pattern(pattern)}] if parents else []
        return {"$or": [{"t": plain(criterion.code, text)}, *above]}
    return {"t": plain(criterion.code, text)}


def _string(criterion: Criterion, value: StringValue) -> Document:
    refuse_unless(criterion, "", "exact", "contains")
    folded = fold(value.text)
    if criterion.modifier == "exact":
        return {"s": plain(criterion.code, folded), "e": plain(criterion.code, value.text)}
    if criterion.modifier == "contains":
        return {"s": _pattern(f"^{re.escape(plain(criterion.code, ''))}.*{re.escape(folded)}")}
    return {"s": _begins(plain(criterion.code, folded))}


def _pattern(text: str) -> Document:
    if "\x00" in text:
        return {"$in": []}  # no pattern can hold it, and no resource does
    if len(text) > MOST_PATTERN:
        raise HubError("the text searched for is too long", kind=Kind.TOO_COSTLY)
    return {"$regex": text, "$options": "s"}


def _date(criterion: Criterion, value: DateValue) -> Document:
    refuse_unless(criterion, "")
    bounds = INTERVALS[value.prefix](value)
    begins_after = BEGINS_AFTER.get(value.prefix)
    if begins_after is None:
        return {"d": {"$elemMatch": {"p": {"$in": [criterion.code, criterion.code + LONG]}, **bounds}}}
    after = {"l": {"$gt": begins_after(value)}}
    short = {"$and": [{"p": criterion.code}, after, bounds]}
    return {"$or": [{"d": {"$elemMatch": short}}, {"d": {"$elemMatch": {"p": criterion.code + LONG, **bounds}}}]}


def _number(criterion: Criterion, value: NumberValue) -> Document:
    refuse_unless(criterion, "")
    return {"n": {"$elemMatch": {"p": criterion.code, **NUMBERS[value.prefix](value)}}}


def _quantity(criterion: Criterion, value: QuantityValue) -> Document:
    refuse_unless(criterion, "")
    units = {name: text for name, text in (("s", value.system), ("c", value.code)) if text is not None}
    return {"n": {"$elemMatch": {"p": criterion.code, **units, **NUMBERS[value.number.prefix](value.number)}}}


_BY_VALUE: Mapping[type, Callable[[Criterion, Any], Document]] = {
    TokenValue: _token,
    ReferenceValue: _reference,
    UriValue: _uri,
    StringValue: _string,
    DateValue: _date,
    NumberValue: _number,
    QuantityValue: _quantity,
}
