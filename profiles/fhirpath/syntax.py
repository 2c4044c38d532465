"""The text of a FHIRPath expression → a tree. https://hl7.org/fhirpath/N1/#formal-specifications"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

MAX_TEXT = 8 * 1024
MAX_DEPTH = 60


class CannotCompile(ValueError):
    """The expression is not FHIRPath, or uses more of it than is compiled here."""


class Literal(NamedTuple):
    values: tuple[Any, ...]  # () is {}


class Variable(NamedTuple):
    """$this, %resource, %rootResource, %context, %ucum"""

    name: str


class Member(NamedTuple):
    of: Node | None
    name: str


class Call(NamedTuple):
    of: Node | None
    name: str
    arguments: tuple[Node, ...]


class Index(NamedTuple):
    of: Node
    position: Node


class Typed(NamedTuple):
    """`is` and `as`, as operators and as functions; `ofType` is `as`."""

    operator: str
    of: Node | None
    type: str


class Binary(NamedTuple):
    operator: str
    left: Node
    right: Node


class Negative(NamedTuple):
    of: Node


Node = Literal | Variable | Member | Call | Index | Typed | Binary | Negative

_TOKEN = re.compile(
    r"\s+|//[^\n]*|/\*.*?\*/|(?P<string>'(?:[^'\\]|\\.)*')|(?P<name>`(?:[^`\\]|\\.)+`)|(?P<word>[A-Za-z_]\w*)"
    r"|(?P<variable>[%$](?:[A-Za-z_][\w\-]*|`[^`]+`|'[^']+'))|(?P<number>\d+(?:\.\d+)?)|(?P<time>@[\dT:.+\-Z]+)"
    r"|(?P<sign><=|>=|!=|!~|[|.()\[\]{}=~<>+\-*/&,])",
    re.S,
)
_LEVELS = (
    ("implies",),
    ("or", "xor"),
    ("and",),
    ("in", "contains"),
    ("=", "!=", "~", "!~"),
    ("<", "<=", ">", ">="),
    ("|",),
    ("is", "as"),
    ("+", "-", "&"),
    ("*", "/", "div", "mod"),
)  # loosest first
_TYPE_LEVEL = 7
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}
_TYPE_FUNCTIONS = {"as": "as", "ofType": "as", "is": "is"}


class Token(NamedTuple):
    kind: str  # string, name, word, variable, number, time, sign; "" at the end
    text: str


def parse(expression: str) -> Node:
    """Raise CannotCompile."""
    if len(expression) > MAX_TEXT:
        raise CannotCompile(f"an expression longer than {MAX_TEXT} characters")
    parser = _Parser(tuple(_tokens(expression)))
    node = parser.level(0)
    if parser.ahead.kind:
        raise CannotCompile(f"nothing should follow before {parser.ahead.text!r}")
    return node


def _tokens(expression: str) -> Iterator[Token]:
    at = 0
    while at < len(expression):
        found = _TOKEN.match(expression, at)
        if not found:
            raise CannotCompile(f"unknown at character {at + 1}")
        if found.lastgroup:
            yield Token(found.lastgroup, found[0])
        at = found.end()


class _Parser:
    def __init__(self, tokens: tuple[Token, ...]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    @property
    def ahead(self) -> Token:
        return self._tokens[self._at] if self._at < len(self._tokens) else Token("", "the end")

    def _is(self, *texts: str) -> bool:
        return self.ahead.kind in ("sign", "word") and self.ahead.text in texts

    def _take(self, expected: str = "") -> Token:
        token = self.ahead
        if not token.kind or (expected and not self._is(expected)):
            raise CannotCompile(f"{expected or 'more'} expected, {token.text!r} found")
        self._at += 1
        return token

    def level(self, level: int) -> Node:
        if level == len(_LEVELS):
            return self._unary()
        node = self.level(level + 1)
        while self._is(*_LEVELS[level]):
            operator = self._take().text
            if level == _TYPE_LEVEL:
                node = Typed(operator, node, self._type_name())
            else:
                node = Binary(operator, node, self.level(level + 1))
        return node

    def _unary(self) -> Node:
        if self._is("+", "-"):
            sign = self._take().text
            return Negative(self._unary()) if sign == "-" else self._unary()
        return self._invocation()

    def _invocation(self) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise CannotCompile(f"nested deeper than {MAX_DEPTH}")
        node = self._term()
        while self._is(".", "["):
            if self._take().text == "[":
                node = Index(node, self.level(0))
                self._take("]")
            else:
                node = self._member(node, self._take())
        self._depth -= 1
        return node

    def _member(self, of: Node | None, token: Token) -> Node:
        if token.kind == "variable" and of is not None:
            raise CannotCompile("a variable stands at the beginning")
        if token.kind not in ("word", "name"):
            raise CannotCompile(f"a name expected, {token.text!r} found")
        name = token.text.strip("`")
        if token.kind == "name" or not self._is("("):
            return Member(of, name)
        self._take("(")
        if name in _TYPE_FUNCTIONS:
            node: Node = Typed(_TYPE_FUNCTIONS[name], of, self._type_name())
        else:
            node = Call(of, name, self._arguments())
        self._take(")")
        return node

    def _arguments(self) -> tuple[Node, ...]:
        if self._is(")"):
            return ()
        found = [self.level(0)]
        while self._is(","):
            self._take()
            found.append(self.level(0))
        return tuple(found)

    def _type_name(self) -> str:
        """Patient, FHIR.Patient, System.String"""
        name = self._take().text.strip("`'")
        while self._is("."):
            self._take()
            name = self._take().text.strip("`")
        return name

    def _term(self) -> Node:
        token = self._take()
        match token.kind:
            case "string":
                return Literal((_unescaped(token.text[1:-1]),))
            case "number":
                return Literal((Decimal(token.text) if "." in token.text else int(token.text),))
            case "time":
                return Literal((token.text[1:].removeprefix("T"),))
            case "variable":
                return Variable(token.text[0] + token.text[1:].strip("`'"))
        if token.kind == "sign":
            return self._bracket(token.text)
        if token.kind == "word" and token.text in ("true", "false") and not self._is("("):
            return Literal((token.text == "true",))
        return self._member(None, token)

    def _bracket(self, sign: str) -> Node:
        if sign == "{":
            self._take("}")
            return Literal(())
        if sign != "(":
            raise CannotCompile(f"{sign!r} cannot start a term")
        node = self.level(0)
        self._take(")")
        return node


def _unescaped(text: str) -> str:
    return re.sub(r"\\(u[0-9a-fA-F]{4}|.)", lambda m: chr(int(m[1][1:], 16)) if len(m[1]) == 5 else _ESCAPES.get(m[1], m[1]), text)
