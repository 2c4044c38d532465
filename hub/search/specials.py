"""Parameters of every type that no element of the resource is: `_text`, `_content`, `_list`, and those that are not answered.

https://hl7.org/fhir/R4/search.html#special
"""

from __future__ import annotations

import re
from collections.abc import Callable

from hub.errors import Invalid
from hub.search.criteria import values
from hub.search.parameters import SearchParameter
from hub.search.query import Condition, Criterion, ReferenceValue
from hub.search.reading import Context, NotUnderstood, not_supported, shown
from hub.search.values import string_value

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)


def _words(resource_type: str, name: str, text: str, context: Context) -> Condition:
    """Every word must occur, in any order; a comma parts alternatives."""
    return _special(resource_type, name, text, string_value, context)


def _list(resource_type: str, name: str, text: str, context: Context) -> Condition:
    """The resources of this type on a List, by its id. Which they are is resolved before a store sees the query."""
    return _special(resource_type, name, text, _list_value, context)


def _list_value(text: str, *_: object) -> ReferenceValue:
    if text.startswith("$"):
        raise not_supported("a functional list of '_list'")
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
