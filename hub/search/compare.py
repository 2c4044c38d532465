"""Whether one index entry fulfils one value of a query: what every store's query means, for one entry in memory.

The range of the search value must contain the range of the entry for `eq`; a missing prefix is `eq`; `ne` is its opposite.
Beside `eq`, `ne` and `ap`, a number is compared as if it were exact; a range by its ends. https://hl7.org/fhir/R4/search.html#prefix
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
        case Number(value, low, high), NumberValue():
            return number_matches(value, low, high, asked)
        case Quantity(value, low, high, system, code), QuantityValue():
            units = (asked.system is None or asked.system == system) and (asked.code is None or asked.code == code)
            return units and number_matches(value, low, high, asked.number)
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


def number_matches(value: float, low: float, high: float, asked: NumberValue) -> bool:
    """Of a range both ends are asked, one by one, and either may answer: see hub.search.entries."""
    exact = low < value < high
    within = asked.low <= value < asked.high and (exact or (asked.low <= low and high < asked.high))
    match asked.prefix:
        case "eq":
            return within
        case "ne":
            return not within
        case "gt":
            return value > asked.number
        case "lt":
            return value < asked.number
        case "ge":
            return value >= asked.number
        case "le":
            return value <= asked.number
        case "sa":
            return value > asked.number and (exact or low > asked.number)
        case "eb":
            return value < asked.number and (exact or high < asked.number)
        case "ap":
            return low < asked.high and asked.low < high
