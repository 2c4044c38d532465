"""Whether one index entry fulfils one value of a query: what every store's query means, for one entry in memory.

The range of the search value must contain the range of the entry for `eq`; a missing prefix is `eq`; `ne` is its opposite.
Beside `eq`, `ne` and `ap`, a number is compared as if it were exact. https://hl7.org/fhir/R4/search.html#prefix
"""

from __future__ import annotations

from hub.search.entries import Date, Number, Quantity, Reference, String, Token, Uri, Value
from hub.search.folding import fold
from hub.search.query import (
    CriterionValue,
    DateValue,
    NumberValue,
    QuantityValue,
    ReferenceValue,
    StringValue,
    TokenValue,
    UriValue,
)


def matches(entry: Value, asked: CriterionValue) -> bool:
    """Without a modifier."""
    match entry, asked:
        case Token(code, system), TokenValue():
            return (asked.system is None or asked.system == system) and (asked.code is None or asked.code == code)
        case Reference(kind, identity), ReferenceValue():
            return asked.id == identity and asked.type in ("", kind)
        case String(folded, _), StringValue():
            return folded.startswith(fold(asked.text))
        case Uri(value), UriValue():
            return value == asked.value
        case Date(low, high), DateValue():
            return date_matches(low, high, asked)
        case Number(low, high), NumberValue():
            return number_matches(low, high, asked)
        case Quantity(low, high, system, code), QuantityValue():
            units = (asked.system is None or asked.system == system) and (asked.code is None or asked.code == code)
            return units and number_matches(low, high, asked.number)
        case _:
            return False


def matches_with(entry: Value, asked: CriterionValue, modifier: str) -> bool:
    """With a modifier that changes how one entry is compared; the others change which entries are looked at."""
    match modifier, entry, asked:
        case "exact", String(_, exact), StringValue(text):
            return exact == text
        case "contains", String(folded, _), StringValue(text):
            return fold(text) in folded
        case "ends", String(folded, _), StringValue(text):
            return folded.endswith(fold(text))
        case "equal", String(folded, _), StringValue(text):
            return folded == fold(text)
        case "unequal", _, _:
            return not matches_with(entry, asked, "equal" if isinstance(entry, String) else "")
        case "below", Uri(value), UriValue(asked_value):
            return value == asked_value or value.startswith(asked_value.rstrip("/") + "/")
        case "above", Uri(value), UriValue(asked_value):
            return value == asked_value or asked_value.startswith(value.rstrip("/") + "/")
        case "below", Reference(_, identity), ReferenceValue(_, asked_id):
            return is_version_of(identity, asked_id)
        case "above", Reference(_, identity), ReferenceValue(_, asked_id):
            return is_version_of(asked_id, identity)
    return matches(entry, asked)


def is_version_of(canonical: str, whole: str) -> bool:
    """url|1.0.2 is a version of url|1.0.2, url|1.0, url|1 and url. https://hl7.org/fhir/R4/references.html#canonical"""
    return canonical == whole or canonical.startswith(f"{whole}{'.' if '|' in whole else '|'}")


def date_matches(low: int, high: int, asked: DateValue) -> bool:
    match asked.prefix:
        case "eq":
            return asked.low <= low and high <= asked.high
        case "ne":
            return not (asked.low <= low and high <= asked.high)
        case "gt":
            return high > asked.high
        case "lt":
            return low < asked.low
        case "ge":
            return high > asked.high or (asked.low <= low and high <= asked.high)
        case "le":
            return low < asked.low or (asked.low <= low and high <= asked.high)
        case "sa":
            return low >= asked.high
        case "eb":
            return high <= asked.low
        case "ap":
            return low < asked.high and asked.low < high


def number_matches(low: float, high: float, asked: NumberValue) -> bool:
    """An entry's number is the middle of its range."""
    number = middle(low, high)
    match asked.prefix:
        case "eq":
            return asked.low <= number < asked.high
        case "ne":
            return not asked.low <= number < asked.high
        case "gt" | "sa":
            return number > asked.number
        case "lt" | "eb":
            return number < asked.number
        case "ge":
            return number >= asked.number
        case "le":
            return number <= asked.number
        case "ap":
            return low < asked.high and asked.low < high


def middle(low: float, high: float) -> float:
    """The number that a range was made from, to the fifteen digits that a double holds."""
    return float(f"{low + (high - low) / 2:.15g}")
