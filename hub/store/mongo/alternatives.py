"""Queries joined into one: all, any or none of them; and the alternatives of a criterion, those of a kind together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hub.search.query import Criterion, DateValue
from hub.store.mongo.documents import Document
from hub.store.mongo.values import INTERVALS, value_query

NOTHING: Document = {"_id": {"$in": []}}
EVERYTHING: Document = {}


def all_query(queries: Sequence[Document]) -> Document:
    if NOTHING in queries:
        return NOTHING
    told = [query for query in queries if query]
    return {"$and": told} if len(told) > 1 else told[0] if told else {}


def any_query(queries: Sequence[Document]) -> Document:
    told = [query for query in queries if query != NOTHING]
    if {} in told:
        return {}
    return {"$or": told} if len(told) > 1 else told[0] if told else NOTHING


def not_query(query: Document) -> Document:
    if not query:
        return NOTHING
    return {} if query == NOTHING else {"$nor": [query]}


def alternatives(criterion: Criterion) -> Document:
    """Those of a kind are looked up together: a thousand cost little more than two, and the index still gives them in order."""
    found = [value_query(criterion, value) for value in criterion.values]
    alike = [each for each in found if set(each) <= {"t", "u"}]
    named = [each for each in alike if isinstance(each["t"], str)]
    of_systems = [each for each in alike if "u" in each and not isinstance(each["t"], str)]
    others = [each for each in found if not set(each) <= {"t", "u"} or ("u" not in each and not isinstance(each["t"], str))]
    return any_query([*_named(named), *_of_systems(of_systems), *others])


def _named(found: Sequence[Document]) -> Iterator[Document]:
    """Tokens and references by their code or id."""
    if len(found) < 2:
        yield from found
        return
    free = [each["t"] for each in found if "u" not in each]
    bound = [each["u"] for each in found if "u" in each]
    together: Document = {"t": {"$in": [each["t"] for each in found]}}
    if not bound:
        yield together
    elif free:
        yield {**together, "$or": [{"t": {"$in": free}}, {"u": {"$in": bound}}]}
    else:
        yield {**together, "u": {"$in": bound}}


def _of_systems(found: Sequence[Document]) -> Iterator[Document]:
    """Tokens by nothing but their system: all of the parameter's are looked at."""
    if found:
        yield {**found[0], "u": {"$in": [each["u"] for each in found]}}


def updated(value: DateValue) -> Document:
    """An instant is an interval of one millisecond."""
    return _of_instant(INTERVALS[value.prefix](value))


def _of_instant(bounds: Document) -> Document:
    """h is l + 1, both whole numbers: h > x is l >= x, h <= x is l < x."""
    like = {"$gt": "$gte", "$lte": "$lt"}
    parts: list[Document] = []
    for name, bound in bounds.items():
        if name == "$or":
            parts.append({"$or": [_of_instant(each) for each in bound]})
        elif name == "l":
            parts.append({"lu": bound})
        else:
            parts.append({"lu": {like[operator]: limit for operator, limit in bound.items()}})
    return all_query(parts)
