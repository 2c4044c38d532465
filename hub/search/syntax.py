"""The text of a search parameter's FHIRPath expression → a tree of what it says. https://hl7.org/fhirpath/N1/"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple


class CannotCompile(ValueError):
    """The expression uses more of FHIRPath than search parameters need, or names an element that is not there."""


# -- what an expression is


class Name(NamedTuple):
    """The first word: a resource type, an element of the context, or %resource."""

    name: str


class Dot(NamedTuple):
    of: Node
    name: str


class Call(NamedTuple):
    of: Node | None
    name: str
    argument: Node | None


class Index(NamedTuple):
    of: Node
    position: int


class As(NamedTuple):
    of: Node
    type: str


class Is(NamedTuple):
    of: Node
    type: str


class Binary(NamedTuple):
    operator: str  # | = != and
    left: Node
    right: Node


class Literal(NamedTuple):
    value: str | bool | int


Node = Name | Dot | Call | Index | As | Is | Binary | Literal

_TOKEN = re.compile(r"\s*(?:('(?:[^'\\]|\\.)*')|(%?[A-Za-z_]\w*)|(\d+)|(!=|[|.()\[\]=]))")
_PRECEDENCE = (("and",), ("=", "!="), ("|",))  # loosest first
_TYPE_FUNCTIONS: dict[str, Callable[[Node, str], Node]] = {"as": As, "ofType": As, "is": Is}


def parse(expression: str) -> Node:
    parser = _Parser(expression)
    node = parser.binary(0)
    if parser.ahead:
        raise CannotCompile(f"{expression!r}: nothing should follow before {parser.ahead!r}")
    return node


class _Parser:
    def __init__(self, expression: str) -> None:
        self._expression = expression
        self._tokens = list(_tokens(expression))
        self._at = 0

    @property
    def ahead(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def take(self, expected: str = "") -> str:
        token = self.ahead
        if not token or (expected and token != expected):
            raise CannotCompile(f"{self._expression!r}: {expected or 'more'} expected, {token!r} found")
        self._at += 1
        return token

    def binary(self, level: int) -> Node:
        if level == len(_PRECEDENCE):
            return self.typed()
        node = self.binary(level + 1)
        while self.ahead in _PRECEDENCE[level]:
            operator = self.take()
            node = Binary(operator, node, self.binary(level + 1))
        return node

    def typed(self) -> Node:
        node = self.invocation()
        while self.ahead in ("as", "is"):
            node = _TYPE_FUNCTIONS[self.take()](node, self.take())
        return node

    def invocation(self) -> Node:
        node = self.term()
        while self.ahead in (".", "["):
            if self.take() == "[":
                node = Index(node, int(self.take()))
                self.take("]")
            else:
                node = self.member(node, self.take())
        return node

    def member(self, of: Node | None, name: str) -> Node:
        if self.ahead != "(":
            return Dot(of, name) if of else Name(name)
        self.take("(")
        if name in _TYPE_FUNCTIONS and of:
            node: Node = _TYPE_FUNCTIONS[name](of, self.take())
        else:
            node = Call(of, name, None if self.ahead == ")" else self.binary(0))
        self.take(")")
        return node

    def term(self) -> Node:
        word = self.take()
        if word == "(":
            node = self.binary(0)
            self.take(")")
            return node
        if word.startswith("'"):
            return Literal(word[1:-1])
        if word in ("true", "false"):
            return Literal(word == "true")
        if not re.match(r"[%A-Za-z_]", word):
            raise CannotCompile(f"{self._expression!r}: {word!r} cannot start a term")
        return self.member(None, word)


def _tokens(expression: str) -> Iterator[str]:
    at, end = 0, len(expression.rstrip())
    while at < end:
        found = _TOKEN.match(expression, at)
        if not found:
            raise CannotCompile(f"{expression!r}: unknown at {at}")
        yield found.group().strip()
        at = found.end()
