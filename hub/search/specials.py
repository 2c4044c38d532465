"""Parameters of every type that no element of the resource is: `_text`, `_content`, `_list`, and those that are not answered.

https://hl7.org/fhir/R4/search.html#special
"""

from __future__ import annotations

import re
from collections.abc import Callable

from hub.errors import Invalid
from hub.search.criteria import values
from hub.search.lists import functional
from hub.search.parameters import SearchParameter
from hub.search.query import AnyOf, Condition, Criterion, ReferenceValue, StringValue
from hub.search.reading import Context, NotUnderstood, not_supported, shown
from hub.search.values import split, string_value
from hub.search.words import parsed

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)


def _words(resource_type: str, name: str, text: str, context: Context) -> Condition:
    """What must occur, in any order; a comma parts alternatives."""
    return _special(resource_type, name, text, _words_value, context)


def _words_value(text: str, *_: object) -> StringValue:
    value = string_value(text)
    parsed(value.text)
    return value


def _list(resource_type: str, name: str, text: str, context: Context) -> Condition:
    """The resources of this type on a List, by its id (resolved before a store sees the query), or on a functional one."""
    names = split(text, ",") if ":" not in name else []
    found = [functional(resource_type, each, context) for each in names if each.startswith("$")]
    kept = ",".join(each for each in names if not each.startswith("$"))
    if kept or not found:
        found.append(_special(resource_type, name, kept, _list_value, context))
    return found[0] if len(found) == 1 else AnyOf(tuple(found))


def _list_value(text: str, *_: object) -> ReferenceValue:
    identity = text.removeprefix("List/")
    if not _ID.fullmatch(identity):
        raise ValueError("a list is named by its id")
    return ReferenceValue("List", identity)


def _special(resource_type: str, name: str, text: str, read: Callable[..., object], context: Context) -> Condition:
    if ":" in name:
        raise Invalid(f"{shown(name.partition(':')[0])} has no modifiers")
    if not text:
        raise Invalid(f"{shown(name)} has no value")
    parameter = SearchParameter(resource_type, name, "special", "")
    return Criterion(name, "special", values(name, read, parameter, "", text, context))  # type: ignore[arg-type]


def _unanswered(_type: str, name: str, _text: str, _context: Context) -> Condition:
    raise not_supported(f"{shown(name.partition(':')[0])}")


def _within_a_chain(_type: str, _name: str, _text: str, _context: Context) -> Condition:
    raise not_supported("'_filter' within a chain or _has")


def _whole_system(_type: str, _name: str, _text: str, _context: Context) -> Condition:
    raise NotUnderstood("'_type' belongs to a search of the whole system")


SPECIAL: dict[str, Callable[[str, str, str, Context], Condition]] = {
    "_type": _whole_system,
    "_filter": _within_a_chain,
    "_text": _words,
    "_content": _words,
    "_list": _list,
    "_query": _unanswered,
    "_score": _unanswered,
    "_containedType": _unanswered,
}
