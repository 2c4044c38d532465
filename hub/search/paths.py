"""The name of a criterion, which may lead through other resources: chains, `_has`, and both mixed.

`subject:Patient.name`, `_has:Observation:patient:code`, `patient._has:Group:member:_id`, and so on to a cap. A chain without a type
leads to every type that the reference may point to and that has the parameter asked. https://hl7.org/fhir/R4/search.html#chaining
"""

from __future__ import annotations

from collections.abc import Callable

from hub.errors import Invalid
from hub.search.criteria import criterion
from hub.search.parameters import SearchParameter, registry
from hub.search.query import AnyOf, Chain, Condition, Has
from hub.search.reading import MAX_HOPS, Context, DoesNotFit, NotUnderstood, shown, too_costly
from hub.search.specials import SPECIAL

Inner = Callable[[str, int], Condition]  # (resource type, hops so far) → what is asked there


def condition(resource_type: str, name: str, text: str, context: Context, hops: int = 0) -> Condition:
    if name.startswith("_has:"):
        source, code, rest = has_parts(name, resource_type)
        context.budget.spend(ways=1)
        return has(source, code, hops, lambda kind, so_far: condition(kind, rest, text, context, so_far))
    head, dot, rest = name.partition(".")
    if dot:
        return chain(resource_type, head, context, hops, lambda kind, so_far: condition(kind, rest, text, context, so_far))
    special = SPECIAL.get(name.partition(":")[0])
    return special(resource_type, name, text, context) if special else criterion(resource_type, name, text, context)


def has_parts(name: str, resource_type: str) -> tuple[str, str, str]:
    """(type that refers here, its reference parameter, what is asked of it)"""
    parts = name.split(":", 3)
    if len(parts) != 4 or not all(parts):
        raise Invalid("_has is _has:Type:reference:parameter")
    _, source, code, rest = parts
    if source not in registry().types:
        raise Invalid(f"_has: {shown(source)} is not an R4 resource type")
    parameter = reference_parameter(source, code)
    if parameter.target and resource_type not in parameter.target:
        raise DoesNotFit(f"_has: {source} {shown(code)} never refers to a {resource_type}")
    return source, code, rest


def has(source: str, code: str, hops: int, inner: Inner) -> Condition:
    return Has(source, code, inner(source, _hop(hops)))


def chain(resource_type: str, head: str, context: Context, hops: int, inner: Inner) -> Condition:
    """`head` is a reference parameter, or parameter:Type."""
    code, colon, stated = head.partition(":")
    parameter = reference_parameter(resource_type, code)
    if not colon:
        return _any_target(parameter, context, _hop(hops), inner)
    if stated not in registry().types:
        raise Invalid(f"{shown(code)}: {shown(stated)} is not an R4 resource type")
    if parameter.target and stated not in parameter.target:
        raise DoesNotFit(f"{shown(code)} never refers to a {stated}")
    context.budget.spend(ways=1)
    return Chain(code, stated, inner(stated, _hop(hops)))


def _any_target(parameter: SearchParameter, context: Context, hops: int, inner: Inner) -> Condition:
    """Of several types those that do not know what is asked are no way; if none does, the first says what is wrong."""
    found: list[Condition] = []
    refused: Invalid | None = None
    targets = parameter.target or tuple(sorted(registry().types))
    for target in targets:
        context.budget.spend(tried=1)
        try:
            found.append(Chain(parameter.code, target, inner(target, hops)))
        except (NotUnderstood, DoesNotFit) as error:
            refused = refused or error
    context.budget.spend(ways=len(found))
    if not found:
        whose = f"nothing that {shown(parameter.code)} refers to has what is asked of it"
        raise refused if refused and len(targets) == 1 else NotUnderstood(f"{whose}: {refused}")
    return found[0] if len(found) == 1 else AnyOf(tuple(found))


def reference_parameter(resource_type: str, code: str) -> SearchParameter:
    parameter = registry().get(resource_type, code)
    if parameter is None or parameter.type != "reference":
        raise NotUnderstood(f"{resource_type} has no reference parameter {shown(code)}")
    return parameter


def _hop(hops: int) -> int:
    if hops >= MAX_HOPS:
        raise too_costly(f"a chain of more than {MAX_HOPS} references")
    return hops + 1
