"""A parsed query → one that a store can answer: value sets, hierarchies and lists become the tokens and references they stand for.

`code:in`, `:not-in`, `:above` and `:below` ask the terminology; `_list` reads the List; `location:below=Location/1` walks
Location.partOf; a chain along a canonical reference looks for what is meant. Everything is read as the caller may see it. https://hl7.org/fhir/R4/search.html#modifiers
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from hub.errors import HubError, Invalid
from hub.search.canonicals import by_canonical, by_id, name_of, pointing
from hub.search.convert import reference
from hub.search.folding import fold_code
from hub.search.parameters import registry
from hub.search.query import (
    AllOf,
    AnyOf,
    Chain,
    Condition,
    Criterion,
    CriterionValue,
    Has,
    Not,
    ReferenceValue,
    SearchQuery,
    TokenValue,
    UriValue,
)
from hub.search.reading import not_supported, too_costly

MAX_RESOLVED = 10_000  # tokens and references of one query
MAX_LEVELS = 50  # of a hierarchy
MAX_DEFINITIONS = 200  # to which a canonical reference may lead, of one hop

OF_TERMINOLOGY = frozenset({"in", "not-in", "above", "below"})


class Concepts(Protocol):
    """What a terminology knows."""

    def expand(self, url: str) -> Iterable[tuple[str, str]]:
        """(system, code) of all that a value set contains. Raise NotFound for one that is not known."""

    def descendants(self, system: str, code: str) -> Iterable[str]:
        """The code itself and all below it. Raise NotFound for a system that is not known."""

    def ancestors(self, system: str, code: str) -> Iterable[str]:
        """The code itself and all above it. Raise NotFound for a system that is not known."""


class Resources(Protocol):
    """What the caller may see."""

    def resource(self, type: str, id: str) -> dict[str, Any]:
        """Raise NotFound for unknown and foreign alike."""

    def matching(self, type: str, conditions: Sequence[Condition], limit: int) -> list[dict[str, Any]]:
        """Those of `type` that fulfil all; one more than `limit` at most."""

    def referring(self, type: str, code: str, ids: Sequence[str], limit: int) -> list[str]:
        """Ids of those of `type` that refer by `code` to one of their own type, of `ids`; more than `limit` are not needed."""


@dataclass(slots=True)
class Resolver:
    concepts: Concepts | None
    resources: Resources
    left: int = MAX_RESOLVED
    searches: int = 2 * MAX_DEFINITIONS

    def resolved(self, query: SearchQuery) -> SearchQuery:
        """Raise NotFound for a list, value set or code system that is not there for the caller, TooCostly for too many tokens."""
        if not any(needed(query.type, condition) for condition in query.criteria):
            return query
        return replace(query, criteria=tuple(self._condition(query.type, each) for each in query.criteria))

    def _condition(self, kind: str, condition: Condition) -> Condition:
        match condition:
            case Criterion():
                return self._criterion(kind, condition) if asks(condition) else condition
            case AllOf(conditions):
                return AllOf(tuple(self._condition(kind, each) for each in conditions))
            case AnyOf(conditions):
                return AnyOf(tuple(self._condition(kind, each) for each in conditions))
            case Not(inner):
                return Not(self._condition(kind, inner))
            case Chain(code, target, inner):
                return self._chain(kind, Chain(code, target, self._condition(target, inner)))
            case Has(source, code, inner):
                return self._has(kind, Has(source, code, self._condition(source, inner)))

    def _criterion(self, kind: str, criterion: Criterion) -> Condition:
        if criterion.code == "_list":
            return _ids(self._spent(each for value in criterion.values for each in self._listed(kind, value)))
        if criterion.type == "reference":
            return self._hierarchy(criterion)
        found = self._spent(each for value in criterion.values for each in self._tokens(criterion.modifier, value))
        plain = Criterion(criterion.code, "token", found) if found else AnyOf(())
        return Not(plain) if criterion.modifier == "not-in" else plain

    def _spent(self, values: Iterable[CriterionValue]) -> tuple[CriterionValue, ...]:
        """Each once, and not more than one query may hold."""
        found: dict[CriterionValue, None] = {}
        for value in values:
            if value not in found:
                self.left -= 1
                if self.left < 0:
                    raise too_costly(f"the search stands for more than {MAX_RESOLVED} codes or resources")
                found[value] = None
        return tuple(found)

    # -- canonical references
    def _chain(self, kind: str, chain: Chain) -> Condition:
        """By URL: the reference means one of those that fulfil what is asked."""
        if not by_canonical(kind, chain.code):
            return chain
        names = self._spent(name for each in self._matching(chain.type, (chain.condition,)) if (name := name_of(each)))
        found = Criterion(chain.code, "reference", names, "above") if names else AnyOf(())
        return AnyOf((chain, found)) if by_id(kind, chain.code) else found

    def _has(self, kind: str, has: Has) -> Condition:
        """By URL: of the definitions those that something means which fulfils what is asked."""
        if not by_canonical(has.type, has.code):
            return has
        named = self._matching(kind, (Criterion("url", "uri", (), "missing", missing=False),))
        found = _ids(tuple(TokenValue(None, each["id"]) for each in named if self._means(has, each)))
        return AnyOf((has, found)) if by_id(has.type, has.code) else found

    def _means(self, has: Has, definition: dict[str, Any]) -> bool:
        name = name_of(definition)
        return name is not None and bool(self._matching(has.type, (pointing(has.code, (name,)), has.condition), limit=1))

    def _matching(self, kind: str, conditions: Sequence[Condition], limit: int = MAX_DEFINITIONS) -> list[dict[str, Any]]:
        self.searches -= 1
        found = self.resources.matching(kind, conditions, limit) if self.searches >= 0 else []
        if self.searches < 0 or len(found) > limit > 1:
            raise too_costly(f"a chain along a canonical reference leads to more than {MAX_DEFINITIONS} resources")
        return found

    # -- codes
    def _tokens(self, modifier: str, value: CriterionValue) -> Iterator[TokenValue]:
        if self.concepts is None:
            raise not_supported(f"the modifier {modifier!r}")
        if isinstance(value, UriValue):
            for system, code in self.concepts.expand(self._value_set(value.value)):
                yield TokenValue(system, fold_code(code))
        elif isinstance(value, TokenValue):
            walk = self.concepts.descendants if modifier == "below" else self.concepts.ancestors
            for code in walk(value.system or "", value.code or ""):
                yield TokenValue(value.system, fold_code(code))

    def _value_set(self, name: str) -> str:
        """ValueSet/id is read for its URL."""
        if not name.startswith("ValueSet/"):
            return name
        url = self.resources.resource("ValueSet", name.removeprefix("ValueSet/")).get("url")
        if not isinstance(url, str):
            raise Invalid("the value set has no URL by which it is known")
        return url

    # -- lists
    def _listed(self, kind: str, value: CriterionValue) -> Iterator[TokenValue]:
        """What stands on the List and was not taken off. https://hl7.org/fhir/R4/search.html#list"""
        if not isinstance(value, ReferenceValue):
            return
        for entry in _dicts(self.resources.resource("List", value.id).get("entry")):
            item = entry.get("item")
            if entry.get("deleted") is not True and isinstance(item, dict) and isinstance(item.get("reference"), str):
                yield from (TokenValue(None, each.id) for each in reference(item, "") if each.type == kind)

    # -- hierarchies of resources
    def _hierarchy(self, criterion: Criterion) -> Condition:
        starts = [each for each in criterion.values if isinstance(each, ReferenceValue) and each.type]
        canonicals = tuple(each for each in criterion.values if not (isinstance(each, ReferenceValue) and each.type))
        walk = self._below if criterion.modifier == "below" else self._above
        found = self._spent(reached for start in starts for reached in walk(start.type, start.id))
        conditions: list[Condition] = [Criterion(criterion.code, "reference", found)] if found else []
        if canonicals:
            conditions.append(replace(criterion, values=canonicals))
        return conditions[0] if len(conditions) == 1 else AnyOf(tuple(conditions))

    def _below(self, kind: str, start: str) -> Iterator[ReferenceValue]:
        code = hierarchy(kind)
        seen, level = {start}, [start]
        yield ReferenceValue(kind, start)
        for _ in range(MAX_LEVELS):
            level = [each for each in self.resources.referring(kind, code, level, self.left + 1) if each not in seen]
            if not level:
                return
            seen.update(level)
            yield from (ReferenceValue(kind, each) for each in level)
        raise too_costly(f"a hierarchy of more than {MAX_LEVELS} levels")

    def _above(self, kind: str, start: str) -> Iterator[ReferenceValue]:
        element = PARENTS[hierarchy(kind)]
        seen: set[str] = set()
        level = [start]
        while level:
            seen.update(level)
            if len(seen) > MAX_LEVELS * 10:
                raise too_costly(f"a hierarchy of more than {MAX_LEVELS} levels")
            yield from (ReferenceValue(kind, each) for each in level)
            level = list(
                dict.fromkeys(above for each in level for above in self._parents(kind, each, element) if above not in seen)
            )

    def _parents(self, kind: str, id: str, element: str) -> Iterator[str]:
        """What cannot be seen ends the way up."""
        try:
            resource = self.resources.resource(kind, id)
        except HubError:
            return
        stated = resource.get(element)
        for each in _dicts(stated if isinstance(stated, list) else [stated]):
            if isinstance(each.get("reference"), str):
                yield from (found.id for found in reference(each, "") if found.type == kind)


PARENTS = {"partof": "partOf", "part-of": "partOf"}  # search parameter of a hierarchy → its element


def hierarchy(kind: str) -> str:
    """The parameter by which a resource names the one of its own type that it is part of."""
    for code in PARENTS:
        parameter = registry().get(kind, code)
        if parameter is not None and (not parameter.target or kind in parameter.target):
            return code
    raise Invalid(f"a {kind} is part of no hierarchy, which 'above' and 'below' need")


def asks(criterion: Criterion) -> bool:
    """A store could not answer it."""
    if criterion.code == "_list":
        return True
    if criterion.type == "reference" and criterion.modifier in ("above", "below"):
        return any(isinstance(each, ReferenceValue) and each.type for each in criterion.values)
    return criterion.type == "token" and criterion.modifier in OF_TERMINOLOGY


def needed(kind: str, condition: Condition) -> bool:
    """Something in a condition on this type could not be answered by a store."""
    match condition:
        case Criterion():
            return asks(condition)
        case AllOf(conditions) | AnyOf(conditions):
            return any(needed(kind, each) for each in conditions)
        case Not(inner):
            return needed(kind, inner)
        case Chain(code, target, inner):
            return by_canonical(kind, code) or needed(target, inner)
        case Has(source, code, inner):
            return by_canonical(source, code) or needed(source, inner)


def _ids(found: tuple[CriterionValue, ...]) -> Condition:
    return Criterion("_id", "token", found) if found else AnyOf(())


def _dicts(values: Any) -> Iterator[dict[str, Any]]:
    return (each for each in values if isinstance(each, dict)) if isinstance(values, list) else iter(())
