"""Typed index entries: what the extractor finds in a resource and the stores keep to answer searches.

One entry is one value of one search parameter. Instants are UTC milliseconds, as half-open intervals [low, high).
A number stands between the ends that its implicit precision leaves open: 5.4 is 5.4 within [5.35, 5.45). Whatever covers more than
one number (a Range, samples, "less than 5") makes two entries, its lowest and its highest value, each with both of them as ends.
https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from typing import NamedTuple


class Token(NamedTuple):
    code: str  # folded (case) for matching; "" where only a system or a text is there
    system: str  # "" where none is stated


class Reference(NamedTuple):
    type: str  # "" for a canonical or another server's URL
    id: str  # logical id, or the whole URL


class String(NamedTuple):
    folded: str  # case, accents and width folded (see folding.py)
    exact: str  # as it stands; "" for a derived value (pinyin), which :exact never finds


class Date(NamedTuple):
    low: int
    high: int


class Number(NamedTuple):
    value: float
    low: float
    high: float


class Quantity(NamedTuple):
    value: float
    low: float
    high: float
    system: str
    code: str  # code, else unit


class Uri(NamedTuple):
    value: str


Value = Token | Reference | String | Date | Number | Quantity | Uri


class Entry(NamedTuple):
    parameter: str  # search parameter code, e.g. "code"; the resource type is the resource's own
    value: Value
