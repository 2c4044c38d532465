"""ValueSet.compose.include.filter → the numbers of the concepts that pass. https://hl7.org/fhir/R4/valueset-filter-operator.html"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import re2  # type: ignore[import-untyped]

from hub.errors import Invalid, Kind
from hub.terminology.concepts import CodeSystem

MAX_PATTERN = 500
MAX_LISTED = 10_000  # codes in the value of `in`
Numbers = Mapping[int, None] | frozenset[int] | set[int]
ITSELF = frozenset({"concept", "code"})  # what a hierarchical filter is about


def passing(system: CodeSystem, property: str, op: str, value: str) -> Numbers:
    """Raise Invalid for an operator or a property that the code system does not know."""
    if op in HIERARCHY:
        if property not in ITSELF:
            raise Invalid(f"the filter {op} works on the property concept")
        return HIERARCHY[op](system, value)
    if op not in BY_VALUE:
        raise Invalid(f"filter operator {op[:32]} is not one of R4", kind=Kind.NOT_SUPPORTED)
    if op in LISTING and property in ITSELF:
        return LISTING[op](system, value)
    fits, values = BY_VALUE[op](value), reading(system, property)
    return {number for number in range(len(system)) if fits(values(number))}


def reading(system: CodeSystem, property: str) -> Callable[[int], list[str]]:
    """How the values of a property are read: of every concept its code and display, its place, and what it states."""
    codes = system.codes
    known: dict[str, Callable[[int], list[str]]] = {
        "concept": lambda number: [codes[number]],
        "code": lambda number: [codes[number]],
        "display": lambda number: [system.displays[number]] if system.displays[number] else [],
        "definition": lambda number: [system.definitions[number]] if number in system.definitions else [],
        "parent": lambda number: [codes[parent] for parent in system.parents(number)],
        "child": lambda number: [codes[child] for child in system.children.get(number, ())],
        "inactive": lambda number: ["true" if number in system.inactive else "false"],
    }
    if property in known:
        return known[property]
    if property not in system.declared and property not in system.filters and not _stated(system, property):
        raise Invalid(f"the code system has no property {property[:64]} to filter by", kind=Kind.NOT_SUPPORTED)
    return lambda number: system.values(number, property)


def _stated(system: CodeSystem, property: str) -> bool:
    return any(each.get("code") == property for stated in system.properties.values() for each in stated)


def _below(system: CodeSystem, code: str) -> dict[int, None]:
    number = system.find(code)
    return {} if number is None else system.descendants(number)


def _strictly_below(system: CodeSystem, code: str) -> dict[int, None]:
    found = _below(system, code)
    found.pop(next(iter(found), -1), None)
    return found


def _not_below(system: CodeSystem, code: str) -> set[int]:
    return set(range(len(system))) - _below(system, code).keys()


def _above(system: CodeSystem, code: str) -> dict[int, None]:
    number = system.find(code)
    return {} if number is None else system.ancestors(number)


def _itself(system: CodeSystem, code: str) -> set[int]:
    number = system.find(code)
    return set() if number is None else {number}


def _among(system: CodeSystem, codes: str) -> set[int]:
    return {number for code in _listed(codes) if (number := system.find(code)) is not None}


def _not_among(system: CodeSystem, codes: str) -> set[int]:
    return set(range(len(system))) - _among(system, codes)


LISTING: dict[str, Callable[[CodeSystem, str], Numbers]] = {"=": _itself, "in": _among, "not-in": _not_among}
"""Of the codes themselves, as the code system takes case."""

HIERARCHY: dict[str, Callable[[CodeSystem, str], Numbers]] = {
    "is-a": _below,
    "descendent-of": _strictly_below,
    "is-not-a": _not_below,
    "generalizes": _above,
}


def _equal(value: str) -> Callable[[list[str]], bool]:
    return lambda stated: value in stated


def _listed(value: str) -> frozenset[str]:
    if value.count(",") >= MAX_LISTED:
        raise Invalid(f"a filter lists at most {MAX_LISTED} codes", kind=Kind.TOO_COSTLY)
    return frozenset(part.strip() for part in value.split(","))


def _in(value: str) -> Callable[[list[str]], bool]:
    listed = _listed(value)
    return lambda stated: any(each in listed for each in stated)


def _not_in(value: str) -> Callable[[list[str]], bool]:
    listed = _listed(value)
    return lambda stated: not any(each in listed for each in stated)


def _exists(value: str) -> Callable[[list[str]], bool]:
    if value not in ("true", "false"):
        raise Invalid("the filter exists takes true or false")
    return lambda stated: bool(stated) == (value == "true")


def _regex(value: str) -> Callable[[list[str]], bool]:
    """The whole value fits the pattern. RE2 takes time in proportion to the text, whatever the pattern."""
    if len(value) > MAX_PATTERN:
        raise Invalid(f"a pattern has at most {MAX_PATTERN} characters", kind=Kind.TOO_COSTLY)
    options = re2.Options()
    options.max_mem = 1 << 20
    options.log_errors = False
    try:
        pattern = re2.compile(value, options)
    except re2.error:
        raise Invalid("the pattern of a regex filter is not one that RE2 reads") from None
    return lambda stated: any(pattern.fullmatch(each) is not None for each in stated)


BY_VALUE: dict[str, Callable[[str], Callable[[list[str]], bool]]] = {
    "=": _equal,
    "in": _in,
    "not-in": _not_in,
    "exists": _exists,
    "regex": _regex,
}
