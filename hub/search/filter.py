"""`_filter`: one expression for what separate parameters cannot say. https://hl7.org/fhir/R4/search_filter.html

    given eq "peter" and (birthdate ge 2014-10-10 or not (subject[active eq true].name co "pet"))

`and` and `or` are done from left to right, neither before the other. A filter in brackets is on what the reference leads to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import msgspec

from hub.errors import Invalid
from hub.search.comparisons import comparison
from hub.search.paths import chain
from hub.search.query import AllOf, AnyOf, Condition, Not
from hub.search.reading import MAX_DEPTH, MAX_HOPS, Context, too_costly


@dataclass(frozen=True, slots=True)
class Step:
    """`name` or `name[filter]`"""

    name: str
    filter: Node | None = None


@dataclass(frozen=True, slots=True)
class Test:
    path: tuple[Step, ...]
    operator: str
    value: str


@dataclass(frozen=True, slots=True)
class Negation:
    of: Node


@dataclass(frozen=True, slots=True)
class Joined:
    word: str  # and, or
    parts: tuple[Node, ...]


Node = Test | Negation | Joined


def filter_condition(resource_type: str, text: str, context: Context) -> Condition:
    """Raise Invalid for what follows no rule, NotUnderstood for an unknown parameter."""
    return _compiled(parse(text), resource_type, context, 0)


def _compiled(node: Node, kind: str, context: Context, hops: int) -> Condition:
    match node:
        case Negation(of):
            return Not(_compiled(of, kind, context, hops))
        case Joined(word, parts):
            conditions = tuple(_compiled(part, kind, context, hops) for part in parts)
            return AllOf(conditions) if word == "and" else AnyOf(conditions)
        case Test((step, *rest), operator, value):
            if not rest:
                return comparison(kind, step.name, operator, value, context)
            behind = Test(tuple(rest), operator, value)
            return chain(kind, step.name, context, hops, lambda target, so_far: _behind(step, behind, target, context, so_far))
        case _:
            raise Invalid("_filter: a search parameter expected")


def _behind(step: Step, rest: Test, target: str, context: Context, hops: int) -> Condition:
    """What is asked of the resource that a step leads to."""
    condition = _compiled(rest, target, context, hops)
    return condition if step.filter is None else AllOf((_compiled(step.filter, target, context, hops), condition))


# -- the text

_SPACE = re.compile(r"\s*")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_\-]*(?::[A-Za-z]+)?", re.ASCII)
_WORD = re.compile(r"[a-z]+", re.ASCII)
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
_TOKEN = re.compile(r'[^\s)\]"][^\s)\]]*')
_GROUP = re.compile(r"(not\b)?\s*\(")


def parse(text: str) -> Node:
    parser = _Parser(text)
    node = parser.filter()
    if parser.at < len(text):
        raise parser.refusal("nothing should follow")
    return node


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._depth = 0
        self.at = 0
        self._skip()

    def filter(self) -> Node:
        node = self._term()
        changes = 0
        while word := self._joint():
            term = self._term()
            if isinstance(node, Joined) and node.word == word and changes:
                node = Joined(word, (*node.parts, term))
            else:
                changes += 1
                node = Joined(word, (node, term))
            if changes > MAX_DEPTH:
                raise too_costly(f"_filter changes between 'and' and 'or' more than {MAX_DEPTH} times: part it by parentheses")
        return node

    def _joint(self) -> str:
        found = _WORD.match(self._text, self.at)
        if not found:
            return ""
        if found[0] not in ("and", "or"):
            raise self.refusal("'and' or 'or' expected")
        return self._take(found)

    def _term(self) -> Node:
        """A test, or a filter in parentheses with or without `not`."""
        found = _GROUP.match(self._text, self.at)
        if not found:
            return self._test()
        self._take(found)
        node = self._nested(")")
        return Negation(node) if found[1] else node

    def _nested(self, closing: str) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise too_costly(f"_filter nests more than {MAX_DEPTH} filters")
        node = self.filter()
        if self._text[self.at : self.at + 1] != closing:
            raise self.refusal(f"'{closing}' expected")
        self.at += 1
        self._skip()
        self._depth -= 1
        return node

    def _test(self) -> Test:
        path = self._path()
        operator = self._expect(_WORD, "a comparison expected")
        string = _STRING.match(self._text, self.at)
        if string is None:
            return Test(path, operator, self._expect(_TOKEN, "a value expected"))
        try:
            return Test(path, operator, msgspec.json.decode(self._take(string), type=str))
        except (msgspec.DecodeError, UnicodeError):
            raise self.refusal("no JSON string ends") from None

    def _path(self) -> tuple[Step, ...]:
        steps = [self._step()]
        while self._text[self.at : self.at + 1] == ".":
            self.at += 1
            steps.append(self._step())
            if len(steps) > MAX_HOPS + 1:
                raise too_costly(f"_filter: a chain of more than {MAX_HOPS} references")
        if steps[-1].filter is not None:
            raise self.refusal("a path expected after the filter in brackets")
        return tuple(steps)

    def _step(self) -> Step:
        name = self._expect(_NAME, "a search parameter expected")
        if self._text[self.at : self.at + 1] != "[":
            return Step(name)
        self.at += 1
        self._skip()
        return Step(name, self._nested("]"))

    def _expect(self, pattern: re.Pattern[str], what: str) -> str:
        found = pattern.match(self._text, self.at)
        if not found:
            raise self.refusal(what)
        return self._take(found)

    def _take(self, found: re.Match[str]) -> str:
        self.at = found.end()
        self._skip()
        return found[0]

    def _skip(self) -> None:
        found = _SPACE.match(self._text, self.at)
        self.at = found.end() if found else self.at

    def refusal(self, what: str) -> Invalid:
        return Invalid(f"_filter: {what} at character {self.at + 1}")
