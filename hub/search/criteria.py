"""One parameter of a resource type, with its modifier and values → a criterion on that type.

https://hl7.org/fhir/R4/search.html#modifiers
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

from hub.errors import Invalid
from hub.search.expressions import compiled
from hub.search.near import near_value
from hub.search.parameters import SearchParameter, registry
from hub.search.quantities import quantities
from hub.search.query import Condition, Criterion, CriterionValue, ParameterType
from hub.search.reading import MAX_VALUES, Context, DoesNotFit, NotUnderstood, not_supported, shown, too_costly
from hub.search.values import (
    VALUES,
    Reader,
    concept_value,
    hierarchical_value,
    of_type_value,
    reference_value,
    split,
    string_value,
    token_value,
    value_set_value,
)

# Which modifiers a parameter type has, and how their values are read. A reference has each resource type as well.
MODIFIERS: dict[ParameterType, dict[str, Reader]] = {
    "string": {"exact": string_value, "contains": string_value},
    "token": {
        "not": token_value,
        "text": string_value,
        "in": value_set_value,
        "not-in": value_set_value,
        "above": concept_value,
        "below": concept_value,
        "of-type": of_type_value,
    },
    "reference": {"identifier": token_value, "above": hierarchical_value, "below": hierarchical_value},
    "date": {},
    "number": {},
    "quantity": {},
    "uri": {"above": VALUES["uri"], "below": VALUES["uri"]},
    "composite": {},
    "special": {},
}
WITHOUT_MISSING = frozenset({"composite", "special"})

# Modifiers that are index codes of their own: which entries they ask.
DERIVED: dict[str, ParameterType] = {"text": "string", "of-type": "token", "identifier": "token"}

OF_ID = frozenset({"", "not", "missing"})  # an id has no text, no hierarchy and no value set


def criterion(resource_type: str, name: str, text: str, context: Context) -> Condition:
    """`code`, `code:modifier` or `code:Type` of this type. Raise NotUnderstood for what the type does not have."""
    code, colon, modifier = name.partition(":")
    parameter = registry().get(resource_type, code)
    if parameter is None:
        raise NotUnderstood(f"{resource_type} has no search parameter {shown(code)}")
    if colon:
        check_modifier(parameter, modifier)
    if not text:
        raise Invalid(f"{shown(name)} has no value")
    if modifier == "missing":
        context.budget.spend(1)
        return Criterion(code, parameter.type, (), modifier, truth(name, text))
    read = reader(parameter, modifier)
    return asked(parameter, modifier, values(parameter.code, read, parameter, modifier, text, context))


def asked(parameter: SearchParameter, modifier: str, found: tuple[CriterionValue, ...]) -> Condition:
    """The criterion on those index entries that the modifier means."""
    if modifier in DERIVED:
        return Criterion(f"{parameter.code}:{modifier}", DERIVED[modifier], found)
    if parameter.type == "quantity":
        return quantities(parameter.code, found)
    return Criterion(parameter.code, parameter.type, found, modifier)


def check_modifier(parameter: SearchParameter, modifier: str) -> None:
    if modifier in MODIFIERS[parameter.type] or (modifier == "missing" and parameter.type not in WITHOUT_MISSING):
        if parameter.code == "_id" and modifier not in OF_ID:
            raise DoesNotFit(f"'_id' has no modifier {shown(modifier)}")
        if modifier == "of-type" and not has_identifier(parameter):
            raise DoesNotFit(f"{shown(parameter.code)} is no identifier, which 'of-type' needs")
        return
    what = f"the modifier {shown(modifier)} of the {parameter.type} parameter {shown(parameter.code)}"
    if parameter.type != "reference" or modifier not in registry().types:
        raise DoesNotFit(f"{what} is unknown")
    if parameter.target and modifier not in parameter.target:
        raise DoesNotFit(f"{shown(parameter.code)} never refers to a {modifier}")


@cache
def has_identifier(parameter: SearchParameter) -> bool:
    return any(path.type == "Identifier" for path in compiled(parameter.expression, parameter.resource_type))


def reader(parameter: SearchParameter, modifier: str) -> Reader:
    if parameter.type == "special":
        if parameter.code != "near":
            raise not_supported(f"the search parameter {shown(parameter.code)}")
        return near_value
    plain = reference_value if parameter.type == "reference" else VALUES[parameter.type]
    return MODIFIERS[parameter.type].get(modifier, plain)


def truth(name: str, text: str) -> bool:
    if text not in ("true", "false"):
        raise Invalid(f"{shown(name)} is true or false")
    return text == "true"


def values(
    name: str, read: Reader, parameter: SearchParameter, modifier: str, text: str, context: Context
) -> tuple[CriterionValue, ...]:
    """Alternatives, parted by commas."""
    texts = split(text, ",")
    if len(texts) > MAX_VALUES:
        raise too_costly(f"{shown(name)} has more than {MAX_VALUES} values")
    context.budget.spend(len(texts))
    return tuple(_each(name, texts, lambda each: read(each, parameter, modifier, context)))


def _each(name: str, texts: list[str], read: Callable[[str], CriterionValue]) -> Iterator[CriterionValue]:
    for text in texts:
        if not text:
            raise Invalid(f"{shown(name)} has an empty value")
        try:
            yield read(text)
        except (ValueError, ArithmeticError) as error:
            raise Invalid(f"{shown(name)}: {error}") from None
