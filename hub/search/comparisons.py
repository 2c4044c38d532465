"""One comparison of a `_filter` → a criterion, by the type of its parameter.

https://hl7.org/fhir/R4/search_filter.html#ops
"""

from __future__ import annotations

from collections.abc import Callable

from hub.errors import Invalid
from hub.search.criteria import WITHOUT_MISSING, truth
from hub.search.dates import interval
from hub.search.parameters import SearchParameter, registry
from hub.search.quantities import quantities
from hub.search.query import Condition, Criterion, CriterionValue, DateValue, ParameterType
from hub.search.reading import Context, DoesNotFit, NotUnderstood, shown
from hub.search.values import (
    concept_value,
    date_value,
    number_value,
    quantity_value,
    reference_value,
    string_value,
    token_value,
    uri_value,
    value_set_value,
)

Comparison = Callable[[SearchParameter, str, str, Context], Condition]

ORDERED = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")  # the prefixes of a search


def comparison(resource_type: str, name: str, operator: str, text: str, context: Context) -> Condition:
    parameter = registry().get(resource_type, name)
    if parameter is None:
        raise NotUnderstood(f"_filter: {resource_type} has no search parameter {shown(name)}")
    compare = COMPARISONS.get((parameter.type, operator))
    if operator == "pr" and parameter.type not in WITHOUT_MISSING:
        compare = _present
    if compare is None:
        raise DoesNotFit(f"_filter: a {parameter.type} parameter as {shown(name)} has no comparison {shown(operator)}")
    context.budget.spend(1)
    try:
        return compare(parameter, operator, text, context)
    except (ValueError, ArithmeticError) as error:
        raise Invalid(f"_filter: {shown(name)}: {error}") from None


def _present(parameter: SearchParameter, _operator: str, text: str, _context: Context) -> Condition:
    return Criterion(parameter.code, parameter.type, (), "missing", not truth("_filter: the value of 'pr'", text))


def _prefixed(read: Callable[[str, SearchParameter, str, Context], CriterionValue]) -> Comparison:
    """As the same prefix in a search."""

    def compare(parameter: SearchParameter, operator: str, text: str, context: Context) -> Condition:
        value = read(f"{operator}{text}", parameter, "", context)
        if parameter.type == "quantity":
            return quantities(parameter.code, (value,))
        return Criterion(parameter.code, parameter.type, (value,))

    return compare


def _with(read: Callable[[str, SearchParameter, str, Context], CriterionValue], modifier: str = "") -> Comparison:
    return lambda parameter, _, text, context: Criterion(
        parameter.code, parameter.type, (read(text, parameter, "", context),), modifier
    )


def _overlaps(parameter: SearchParameter, _operator: str, text: str, context: Context) -> Condition:
    return Criterion(parameter.code, "date", (DateValue("ap", *interval(text, context.zone)),))


COMPARISONS: dict[tuple[ParameterType, str], Comparison] = {
    **{("date", operator): _prefixed(date_value) for operator in ORDERED},
    **{("number", operator): _prefixed(number_value) for operator in ORDERED},
    **{("quantity", operator): _prefixed(quantity_value) for operator in ORDERED},
    ("date", "po"): _overlaps,
    ("string", "eq"): _with(string_value, "equal"),
    ("string", "ne"): _with(string_value, "unequal"),
    ("string", "co"): _with(string_value, "contains"),
    ("string", "sw"): _with(string_value),
    ("string", "ew"): _with(string_value, "ends"),
    ("token", "eq"): _with(token_value),
    ("token", "ne"): _with(token_value, "unequal"),
    ("token", "ss"): _with(concept_value, "below"),
    ("token", "sb"): _with(concept_value, "above"),
    ("token", "in"): _with(value_set_value, "in"),
    ("token", "ni"): _with(value_set_value, "not-in"),
    ("reference", "eq"): _with(reference_value),
    ("reference", "ne"): _with(reference_value, "unequal"),
    ("reference", "re"): _with(reference_value),
    ("uri", "eq"): _with(uri_value),
    ("uri", "ne"): _with(uri_value, "unequal"),
    ("uri", "ss"): _with(uri_value, "below"),
    ("uri", "sb"): _with(uri_value, "above"),
}
