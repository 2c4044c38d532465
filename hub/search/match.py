"""Whether one index entry fulfils one value of a query: what every store's query means, for one resource in memory.

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
