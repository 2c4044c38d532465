"""A parsed search: what was asked, typed by its SearchParameter, before any store sees it.

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Prefix = Literal["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"]
ParameterType = Literal["number", "date", "string", "token", "reference", "composite", "quantity", "uri", "special"]


@dataclass(frozen=True, slots=True)
class DateValue:
    prefix: Prefix
    low: int  # UTC ms, [low, high)
    high: int


@dataclass(frozen=True, slots=True)
class NumberValue:
    prefix: Prefix
    number: float  # as written
    low: float  # implicit precision, [low, high)
    high: float


@dataclass(frozen=True, slots=True)
class QuantityValue:
    number: NumberValue
    system: str | None  # None: not asked
    code: str | None


@dataclass(frozen=True, slots=True)
class TokenValue:
    system: str | None  # None: any system; "": stated to have none ("|code")
    code: str | None  # None: any code of the system ("system|"); folded


@dataclass(frozen=True, slots=True)
class ReferenceValue:
    type: str  # "" any
    id: str  # logical id or URL


@dataclass(frozen=True, slots=True)
class StringValue:
    text: str  # as written; folded by the compiler unless :exact


@dataclass(frozen=True, slots=True)
class UriValue:
    value: str


@dataclass(frozen=True, slots=True)
class CompositeValue:
    parts: tuple[DateValue | NumberValue | QuantityValue | TokenValue | ReferenceValue | StringValue | UriValue, ...]


CriterionValue = DateValue | NumberValue | QuantityValue | TokenValue | ReferenceValue | StringValue | UriValue | CompositeValue


@dataclass(frozen=True, slots=True)
class Criterion:
    """One parameter of the query: its values are alternatives (OR); criteria add up (AND)."""

    code: str  # "_id", "_lastUpdated", "subject", …
    type: ParameterType
    values: tuple[CriterionValue, ...]
    modifier: str = ""  # "exact", "contains", "not", "missing", a resource type, …
    missing: bool | None = None  # for :missing


@dataclass(frozen=True, slots=True)
class Sort:
    code: str
    type: ParameterType
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Include:
    """`_include=Observation:subject:Patient` or, reversed, `_revinclude=…`."""

    source_type: str
    code: str
    target_type: str = ""  # "" any
    reverse: bool = False


@dataclass(frozen=True, slots=True)
class SearchQuery:
    type: str
    criteria: tuple[Criterion, ...] = ()
    sort: tuple[Sort, ...] = ()  # empty: newest created first
    count: int = 20
    includes: tuple[Include, ...] = ()
    total: Literal["none", "accurate"] = "none"
    after: str | None = None  # position of a former page
    hidden_tags: tuple[tuple[str, str], ...] = field(default=())  # resources with one of these meta.tag are left out
