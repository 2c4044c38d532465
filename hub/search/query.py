"""A parsed search: what was asked, typed by its SearchParameter, before any store sees it.

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

Prefix = Literal["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"]
EVERY = "*"  # of an Include: any type, any reference parameter
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


@dataclass(frozen=True, slots=True)
class NearValue:
    """Within `metres` of a point, along the surface of the earth."""

    latitude: float  # degrees, WGS 84
    longitude: float
    metres: float


CriterionValue = (
    DateValue | NumberValue | QuantityValue | TokenValue | ReferenceValue | StringValue | UriValue | CompositeValue | NearValue
)


@dataclass(frozen=True, slots=True)
class Criterion:
    """One parameter: its values are alternatives (OR).

    `code` names index entries and nothing more to a store. Some modifiers are therefore codes of their own, indexed beside the
    parameter: "code:text" (strings), "identifier:of-type" and "subject:identifier" (tokens), "value-quantity:canonical"
    (quantities in UCUM base units). Modifiers that need a terminology (:in, :not-in, :above, :below of tokens) and `_list` are
    resolved into tokens before a store sees the query (hub.search.resolve).

    The special parameters `_text` and `_content` (StringValue) and every composite are decided on the resource itself
    (hub.search.match); `near` (NearValue) by the numbers indexed as "near:latitude" and "near:longitude".
    """

    code: str  # "_id", "_lastUpdated", "subject", "code:text", …
    type: ParameterType
    values: tuple[CriterionValue, ...]
    modifier: str = ""  # a store sees "", exact, contains, not, missing; of a uri also above and below
    missing: bool | None = None  # for :missing


@dataclass(frozen=True, slots=True)
class Chain:
    """`subject:Patient.name=…`: the reference parameter `code` points to a visible resource of `type` that fulfils `condition`.

    A chain that may lead to several types is an AnyOf of one Chain for each.
    """

    code: str
    type: str
    condition: Condition


@dataclass(frozen=True, slots=True)
class Has:
    """`_has:Observation:patient:code=…`: a visible resource of `type` refers here by `code` and fulfils `condition`."""

    type: str
    code: str
    condition: Condition


@dataclass(frozen=True, slots=True)
class AllOf:
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    conditions: tuple[Condition, ...]  # none: fulfilled by nothing


@dataclass(frozen=True, slots=True)
class Not:
    condition: Condition


Condition = Criterion | Chain | Has | AllOf | AnyOf | Not
"""Conditions nest: `_filter`, chains of any depth, `_has` within chains. Every hop is narrowed by the reader's Scope."""


@dataclass(frozen=True, slots=True)
class Sort:
    code: str
    type: ParameterType
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Include:
    """`_include=Observation:subject:Patient` or, reversed, `_revinclude=…`; `source_type` and `code` may be "*"."""

    source_type: str
    code: str
    target_type: str = ""  # "" any
    reverse: bool = False
    iterate: bool = False  # also from what was included


@dataclass(frozen=True, slots=True)
class SearchQuery:
    type: str
    criteria: tuple[Condition, ...] = ()  # all of them
    sort: tuple[Sort, ...] = ()  # empty: newest created first
    count: int = 20
    includes: tuple[Include, ...] = ()
    total: Literal["none", "accurate"] = "none"
    after: str | None = None  # position of a former page
    hidden_tags: tuple[tuple[str, str], ...] = field(default=())  # resources with one of these meta.tag are left out


def leaves(condition: Condition) -> Iterator[Criterion]:
    """The criteria on the searched resource itself: not those behind a Chain or a Has."""
    match condition:
        case Criterion():
            yield condition
        case AllOf(conditions) | AnyOf(conditions):
            for each in conditions:
                yield from leaves(each)
        case Not(inner):
            yield from leaves(inner)


def types_read(query: SearchQuery) -> set[str]:
    """Every type of resource that the query looks at; "" stands for any."""
    included = {(include.source_type if include.reverse else include.target_type).replace("*", "") for include in query.includes}
    return {query.type, *included}.union(*(_types_behind(condition) for condition in query.criteria))


def _types_behind(condition: Condition) -> set[str]:
    match condition:
        case Chain(_, target, inner) | Has(target, _, inner):
            return {target} | _types_behind(inner)
        case AllOf(conditions) | AnyOf(conditions):
            return set().union(*(_types_behind(each) for each in conditions))
        case Not(inner):
            return _types_behind(inner)
        case Criterion():
            return set()


def rewritten(condition: Condition, change: Callable[[Criterion], Condition]) -> Condition:
    """The condition with every criterion in it replaced, those behind a Chain or a Has too."""
    match condition:
        case Criterion():
            return change(condition)
        case AllOf(conditions):
            return AllOf(tuple(rewritten(each, change) for each in conditions))
        case AnyOf(conditions):
            return AnyOf(tuple(rewritten(each, change) for each in conditions))
        case Not(inner):
            return Not(rewritten(inner, change))
        case Chain(code, target, inner):
            return Chain(code, target, rewritten(inner, change))
        case Has(source, code, inner):
            return Has(source, code, rewritten(inner, change))
