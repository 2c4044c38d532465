"""JSON Patch over a resource: a list of operations, each on the result of the one before.

https://www.rfc-editor.org/rfc/rfc6902 https://www.rfc-editor.org/rfc/rfc6901 https://hl7.org/fhir/R4/http.html#patch
Nothing that is given is changed: each operation makes new containers along its path and shares the rest, so that a patch may be
applied again, and numbers keep their spelling.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from hub.errors import HubError, Invalid, Kind

Json = Any
Tokens = tuple[str, ...]

MAX_OPERATIONS = 1000
MAX_COPIED = 100_000  # values that the `copy` operations of one patch may add
MAX_TOKENS = 64
_index = re.compile(r"0|[1-9]\d{0,8}", re.ASCII).fullmatch
_BAD_ESCAPE = re.compile(r"~(?![01])")
_MISSING = object()
END = "-"


class CannotPatch(HubError):
    """The patch is well-formed, but does not fit the resource."""

    kind = Kind.PROCESSING


class Operation(NamedTuple):
    number: int
    op: str
    path: Tokens
    source: Tokens
    value: Json

    def failed(self, why: str) -> CannotPatch:
        return CannotPatch(f"operation {self.number} ({self.op}): {why}", expression=(f"[{self.number}]",))


def operations_of(document: list[Json]) -> tuple[Operation, ...]:
    """Raise Invalid for what is no JSON Patch."""
    if len(document) > MAX_OPERATIONS:
        raise HubError(f"more than {MAX_OPERATIONS} operations", kind=Kind.TOO_LONG)
    return tuple(_operation(number, item) for number, item in enumerate(document))


def _operation(number: int, item: Json) -> Operation:
    op = item.get("op") if isinstance(item, dict) else None
    if not isinstance(op, str) or op not in _APPLY:
        raise Invalid(f"operation {number}: op is one of {', '.join(_APPLY)}", expression=(f"[{number}].op",))
    if op in ("add", "replace", "test") and "value" not in item:
        raise Invalid(f"operation {number}: {op} needs a value", expression=(f"[{number}].value",))
    source = _pointer(number, item, "from") if op in ("move", "copy") else ()
    return Operation(number, op, _pointer(number, item, "path"), source, item.get("value"))


def _pointer(number: int, item: dict[str, Json], name: str) -> Tokens:
    text = item.get(name)
    if not isinstance(text, str) or (text and text[0] != "/") or _BAD_ESCAPE.search(text):
        raise Invalid(f"operation {number}: {name} is a JSON Pointer", expression=(f"[{number}].{name}",))
    tokens = text.split("/")[1:]
    if len(tokens) > MAX_TOKENS:
        raise Invalid(f"operation {number}: {name} is deeper than any resource", expression=(f"[{number}].{name}",))
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in tokens)


def apply(document: Json, operations: Sequence[Operation]) -> Json:
    """The patched document. Containers that a removal left empty are gone, for FHIR knows none. Raise CannotPatch."""
    copied, emptied = 0, []
    for operation in operations:
        if operation.op == "copy":
            copied += _size(_found(document, operation.source, operation), MAX_COPIED - copied)
            if copied >= MAX_COPIED:
                raise operation.failed("too much is copied")
        document = _APPLY[operation.op](document, operation)
        if operation.op in ("remove", "move"):
            emptied.append((operation.source or operation.path)[:-1])
    for tokens in emptied:
        document = _without_empty(document, tokens)
    return document


# -- operations


def _add(document: Json, operation: Operation) -> Json:
    return _added(document, operation, operation.value)


def _added(document: Json, operation: Operation, value: Json) -> Json:
    def put(container: Json, token: str) -> Json:
        if isinstance(container, dict):
            return {**container, token: value}
        at = len(container) if token == END else _place(container, token, operation, 1)
        return [*container[:at], value, *container[at:]]

    return _edited(document, operation.path, put, operation) if operation.path else value


def _remove(document: Json, operation: Operation) -> Json:
    return _removed(document, operation.path, operation)


def _removed(document: Json, path: Tokens, operation: Operation) -> Json:
    def drop(container: Json, token: str) -> Json:
        if isinstance(container, dict):
            if token not in container:
                raise operation.failed("there is nothing at this path")
            return {name: value for name, value in container.items() if name != token}
        at = _place(container, token, operation)
        return [*container[:at], *container[at + 1 :]]

    if not path:
        raise operation.failed("a resource is deleted by DELETE")
    return _edited(document, path, drop, operation)


def _replace(document: Json, operation: Operation) -> Json:
    def put(container: Json, token: str) -> Json:
        if isinstance(container, dict):
            if token not in container:
                raise operation.failed("there is nothing at this path")
            return {**container, token: operation.value}  # in its old place
        at = _place(container, token, operation)
        return [*container[:at], operation.value, *container[at + 1 :]]

    return _edited(document, operation.path, put, operation) if operation.path else operation.value


def _move(document: Json, operation: Operation) -> Json:
    if operation.path[: len(operation.source)] == operation.source and operation.path != operation.source:
        raise operation.failed("nothing moves into itself")
    value = _found(document, operation.source, operation)
    return _added(_removed(document, operation.source, operation), operation, value)


def _copy(document: Json, operation: Operation) -> Json:
    return _added(document, operation, _found(document, operation.source, operation))


def _test(document: Json, operation: Operation) -> Json:
    if not same(_found(document, operation.path, operation), operation.value):
        raise operation.failed("the value there is another")
    return document


_APPLY: dict[str, Callable[[Json, Operation], Json]] = {
    "add": _add,
    "remove": _remove,
    "replace": _replace,
    "move": _move,
    "copy": _copy,
    "test": _test,
}


# -- along a path


def _edited(container: Json, path: Tokens, edit: Callable[[Json, str], Json], operation: Operation) -> Json:
    """`edit` makes a new last container; those above it are made anew around it."""
    if not isinstance(container, dict | list):
        raise operation.failed("there is nothing at this path")
    token, *rest = path
    if not rest:
        return edit(container, token)
    below = _edited(_member(container, token, operation), tuple(rest), edit, operation)
    if isinstance(container, dict):
        return {**container, token: below}
    at = int(token)
    return [*container[:at], below, *container[at + 1 :]]


def _found(document: Json, path: Tokens, operation: Operation) -> Json:
    for token in path:
        document = _member(document, token, operation)
    return document


def _member(container: Json, token: str, operation: Operation) -> Json:
    if isinstance(container, list):
        return container[_place(container, token, operation)]
    value = container.get(token, _MISSING) if isinstance(container, dict) else _MISSING
    if value is _MISSING:
        raise operation.failed("there is nothing at this path")
    return value


def _place(container: list[Json], token: str, operation: Operation, beyond: int = 0) -> int:
    if not _index(token) or int(token) >= len(container) + beyond:
        raise operation.failed("the array has no such place")
    return int(token)


def _without_empty(document: Json, path: Tokens) -> Json:
    """The document without the container at `path`, and those around it, if nothing is in them any more."""
    if not path:
        return document
    token = path[0]
    if isinstance(document, list):
        inside = document[int(token)] if _index(token) and int(token) < len(document) else None
    else:
        inside = document.get(token) if isinstance(document, dict) else None
    if not isinstance(inside, dict | list):
        return document
    left = _without_empty(inside, path[1:])
    if left is inside and left:
        return document
    if isinstance(document, list):
        at = int(token)
        return [*document[:at], *([left] if left else []), *document[at + 1 :]]
    return {name: left if name == token else value for name, value in document.items() if name != token or left}


def _size(value: Json, most: int) -> int:
    """How many values there are in it; counting ends at `most`."""
    count, stack = 0, [value]
    while stack and count < most:
        count += 1
        item = stack.pop()
        if isinstance(item, dict):
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
    return count


def same(left: Json, right: Json) -> bool:
    """Equal as JSON: 72.50 is 72.5, true is not 1. https://www.rfc-editor.org/rfc/rfc6902#section-4.6"""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(value, right[name]) for name, value in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, int | Decimal) and isinstance(right, int | Decimal):
        return left == right
    return type(left) is type(right) and bool(left == right)
