"""SearchParameter resources → search parameters of this hub. https://hl7.org/fhir/R4/searchparameter.html

An active one is checked before it is stored: what it asks must be answerable. Those that the specification publishes are there
already and change nothing. What is registered lies on a shelf in the store, so that every process on it knows the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import msgspec

from hub.errors import HubError, Kind
from hub.search.convert import converter
from hub.search.derived import derived
from hub.search.expressions import Path, compiled
from hub.search.parameters import Component, Registry, SearchParameter, published
from hub.search.query import ParameterType
from hub.search.syntax import CannotCompile
from hub.store.port import ResourceStore, Transaction

SHELF = "search-parameter"
GENERATION = "generation"  # its key on the shelf beside it: a number that every change makes higher
GENERATIONS = "search-parameters"
LONGEST = 1000  # characters of an expression
NOT_DOMAIN = frozenset({"Binary", "Bundle", "Parameters"})


class NotAnswerable(HubError):
    """The definition asks for what this server cannot search."""

    kind = Kind.PROCESSING


class Custom(msgspec.Struct, frozen=True):
    """One registered definition. `ready`: every resource of its types has been indexed by it."""

    id: str
    url: str
    code: str
    type: ParameterType
    base: tuple[str, ...]
    expression: str
    target: tuple[str, ...] = ()
    components: tuple[tuple[str, ParameterType, str], ...] = ()
    description: str = ""
    ready: bool = False
    revision: int = 0  # the generation in which it was registered

    def parameters(self) -> Iterator[SearchParameter]:
        components = tuple(Component(*part) for part in self.components)
        for base in self.base:
            yield SearchParameter(base, self.code, self.type, self.expression, self.target, components, self.url, self.description)

    def same_as(self, other: Custom) -> bool:
        return msgspec.structs.replace(self, ready=False, revision=0) == msgspec.structs.replace(other, ready=False, revision=0)


def customs_in(source: Transaction | ResourceStore) -> list[Custom]:
    return [msgspec.json.decode(found, type=Custom) for _, found in source.items(SHELF)]


def generation_in(source: Transaction | ResourceStore) -> bytes:
    return source.item(GENERATIONS, GENERATION) or b"0"


def next_generation(transaction: Transaction) -> int:
    number = int(generation_in(transaction)) + 1
    transaction.put_item(GENERATIONS, GENERATION, b"%d" % number)
    return number


def put(transaction: Transaction, custom: Custom) -> None:
    transaction.put_item(SHELF, custom.id, msgspec.json.encode(custom))


def registry_in(source: Transaction | ResourceStore, *, built: bool = True) -> Registry:
    """What can be asked of a store. Without `built` also what has no index yet: enough to decide on one resource."""
    customs = customs_in(source)
    known = [each for custom in customs if custom.ready or not built for each in custom.parameters()]
    unready = [each for custom in customs if built and not custom.ready for each in custom.parameters()]
    return published().extended(known, [(each.resource_type, each.code) for each in unready])


def custom_of(resource: dict[str, Any], id: str, others: Iterable[Custom]) -> Custom | None:
    """What an active SearchParameter registers; None for one that registers nothing. Raise NotAnswerable."""
    if resource.get("status") != "active" or str(resource.get("url", "")) in _by_url():
        return None
    others = [other for other in others if other.id != id]
    found = Custom(
        id=id,
        url=str(resource.get("url", "")),
        code=str(resource.get("code", "")),
        type=resource.get("type", ""),
        base=_types(resource.get("base") or ()),
        expression=str(resource.get("expression") or ""),
        target=_targets(resource.get("target") or ()),
        components=tuple(_component(part, others) for part in resource.get("component") or ()),
        description=" ".join(str(resource.get("description") or "").split())[:160],
    )
    _check(found, others)
    return found


def _refused(what: str, element: str) -> NotAnswerable:
    return NotAnswerable(f"an active SearchParameter {what}", expression=(f"SearchParameter.{element}",))


@cache
def _by_url() -> dict[str, SearchParameter]:
    return {parameter.url: parameter for kind in sorted(published().types) for parameter in published().of(kind).values()}


def _types(stated: Iterable[str]) -> tuple[str, ...]:
    """A base that is abstract stands for all that are built on it."""
    known = published().types
    found: dict[str, None] = {}
    for base in stated:
        if base in ("Resource", "DomainResource"):
            found.update(dict.fromkeys(sorted(known - (NOT_DOMAIN if base == "DomainResource" else frozenset()))))
        elif base in known:
            found[base] = None
        else:
            raise _refused("has a base that is no resource type", "base")
    return tuple(found)


def _targets(stated: Iterable[str]) -> tuple[str, ...]:
    if any(target not in published().types for target in stated if target != "Resource"):
        raise _refused("has a target that is no resource type", "target")
    return () if "Resource" in stated else tuple(stated)


def _component(part: dict[str, Any], others: list[Custom]) -> tuple[str, ParameterType, str]:
    url = str(part.get("definition", "")).partition("|")[0]
    like = _by_url().get(url) or next((other for other in others if other.url == url), None)
    if like is not None:
        return like.code, like.type, str(part.get("expression", ""))
    raise _refused("has a component whose definition is not known here", "component")


def _check(custom: Custom, others: list[Custom]) -> None:
    if not custom.code or custom.code[0] == "_" or any(each in custom.code for each in ":.,$|"):
        raise _refused("needs a code of its own, without : . , $ | and not beginning with _", "code")
    if custom.type == "special" or (custom.type == "composite") != bool(custom.components):
        raise _refused("is of a type that can be searched, and a composite if and only if it has components", "type")
    if not 0 < len(custom.expression) <= LONGEST:
        raise _refused(f"needs a FHIRPath expression of at most {LONGEST} characters; xpath is not read", "expression")
    for base in custom.base:
        taken = published().get(base, custom.code) is not None
        if taken or any(other.code == custom.code and base in other.base for other in others):
            raise _refused(f"has a code that another search parameter of {base} has", "code")
    for parameter in custom.parameters():
        _check_expression(parameter)


def _check_expression(parameter: SearchParameter) -> None:
    try:
        paths = compiled(parameter.expression, parameter.resource_type)
        for path in paths:
            for part in parameter.components:
                _check_found(part.type, part.expression, compiled(part.expression, path.type, parameter.resource_type))
    except (CannotCompile, RecursionError) as error:
        said = str(error) if isinstance(error, CannotCompile) else "the expression is nested too deep"
        raise _refused(f"uses what this server does not support: {said[:300]}", "expression") from None
    if parameter.type != "composite":
        _check_found(parameter.type, parameter.expression, paths, parameter.target)


def _check_found(kind: ParameterType, expression: str, paths: tuple[Path, ...], target: tuple[str, ...] = ()) -> None:
    """At least one element that the expression finds must have values that the parameter's type can search."""
    stated = SearchParameter("", "", kind, expression, target)
    if not any(converter(stated, path.type) or derived(kind, path.type) for path in paths):
        found = ", ".join(sorted({path.type for path in paths}))[:100]
        raise _refused(f"of the type {kind} cannot search values of the type {found}", "type")
