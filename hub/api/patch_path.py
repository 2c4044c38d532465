"""The FHIRPath of a patch → the places in a resource that it names.

FHIRPath Patch needs paths that a server can write to: members, indexes, `first()`, `last()`, `where(…)`, `extension(…)`,
`ofType(…)` and `(… as Type)`. Inside `where` stand comparisons, `and`, `or`, `exists()`, `empty()`, `not()`, `startsWith()`,
`endsWith()` and `contains()`. There is no regular expression and no repetition: the size of the resource bounds the cost of a path.
https://hl7.org/fhir/R4/fhirpatch.html https://hl7.org/fhirpath/N1/
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from hub.api.patch_json import same
from hub.errors import Invalid
from profiles.structures import members

Json = Any

MAX_LENGTH = 1000
MAX_NESTED = 8


@dataclass(slots=True)
class Place:
    """One element: its value, and where it stands; `holder` is None for the resource itself and for literals."""

    value: Json
    type: str = ""
    holder: dict[str, Json] | None = None
    name: str = ""  # as the JSON of the holder names it: valueQuantity
    at: int | None = None  # in the array of that name
    owner: str = ""  # the holder's type


Places = list[Place]
Step = Callable[[Places], Places]


class BadPath(Invalid):
    """The path uses more of FHIRPath than a patch needs, or names what no R4 type has."""


@dataclass(frozen=True, slots=True)
class Path:
    steps: tuple[Step, ...]
    last: str  # the member that the last step names; "" if it is another kind of step

    def places(self, resource: dict[str, Json]) -> Places:
        return _walked(self.steps, root(resource))

    def owners(self, resource: dict[str, Json]) -> Places:
        """Where the last member stands, whether or not it has values there. Raise BadPath if the last step is no member."""
        if not self.last:
            raise BadPath("the path ends with the name of a list")
        return _walked(self.steps[:-1], root(resource))


def root(resource: dict[str, Json]) -> Places:
    return [Place(resource, resource["resourceType"])]


def path_of(text: str) -> Path:
    """Raise BadPath."""
    if len(text) > MAX_LENGTH:
        raise BadPath(f"a path has at most {MAX_LENGTH} characters")
    return _Parser(text).path()


def _walked(steps: tuple[Step, ...], places: Places) -> Places:
    for step in steps:
        places = step(places)
    return places


# -- steps


def _member(name: str) -> Step:
    return lambda places: [below for place in places for below in _children(place, name)]


def _children(place: Place, name: str) -> Iterator[Place]:
    value = place.value
    if not isinstance(value, dict):
        return
    owner = type_of(place)
    for member in members(owner).values():
        if name not in (member.element, member.name):
            continue
        content, companion = value.get(member.name), value.get(f"_{member.name}")
        if isinstance(content, list) or isinstance(companion, list):
            items = content or [None] * len(companion or ())
            for at, item in enumerate(items):
                yield Place(item, member.type, value, member.name, at, owner)
        elif content is not None or companion is not None:
            yield Place(content, member.type, value, member.name, None, owner)


def type_of(place: Place) -> str:
    """A resource says its type itself: `contained` and Bundle.entry.resource hold any."""
    stated = place.value.get("resourceType") if isinstance(place.value, dict) else None
    return stated if isinstance(stated, str) else place.type


def _index(number: int) -> Step:
    return lambda places: places[number : number + 1]


def _of_type(name: str) -> Step:
    return lambda places: [place for place in places if type_of(place) == name]


def _where(test: Step) -> Step:
    return lambda places: [place for place in places if _holds(test([place]))]


def _holds(places: Places) -> bool:
    """FHIRPath's singleton evaluation: one boolean is itself, any other single value stands for true."""
    return len(places) == 1 and places[0].value is not False


def _extension(url: str) -> Step:
    return lambda places: [e for p in places for e in _children(p, "extension") if e.value.get("url") == url]


def _text(test: Callable[[str, str], bool], argument: str) -> Step:
    return lambda places: [Place(test(place.value, argument)) for place in places if isinstance(place.value, str)]


def _exists(test: Step) -> Step:
    return lambda places: [Place(any(_holds(test([place])) for place in places))]


def _not(places: Places) -> Places:
    return [Place(not _holds(places))] if places else []


def _compared(operator: str, left: Step, right: Step) -> Step:
    def compare(places: Places) -> Places:
        one, other = left(places), right(places)
        if not one or not other:
            return []
        equal = len(one) == len(other) and all(_equal(operator, a.value, b.value) for a, b in zip(one, other, strict=True))
        return [Place(equal is (operator != "!="))]

    return compare


def _equal(operator: str, one: Json, other: Json) -> bool:
    if operator == "~" and isinstance(one, str) and isinstance(other, str):
        return " ".join(one.lower().split()) == " ".join(other.lower().split())
    return same(one, other)


def _joined(every: bool, left: Step, right: Step) -> Step:
    if every:
        return lambda places: [Place(_holds(left(places)) and _holds(right(places)))]
    return lambda places: [Place(_holds(left(places)) or _holds(right(places)))]


_PLAIN: dict[str, Step] = {
    "first": lambda places: places[:1],
    "last": lambda places: places[-1:],
    "single": lambda places: places,
    "empty": lambda places: [Place(not places)],
    "exists": lambda places: [Place(bool(places))],
    "not": _not,
}
_WITH_TEXT: dict[str, Callable[[str], Step]] = {
    "extension": _extension,
    "startsWith": lambda text: _text(str.startswith, text),
    "endsWith": lambda text: _text(str.endswith, text),
    "contains": lambda text: _text(str.__contains__, text),
}
_WITH_TEST: dict[str, Callable[[Step], Step]] = {"where": _where, "exists": _exists}
_WITH_TYPE: dict[str, Callable[[str], Step]] = {"ofType": _of_type, "as": _of_type}


# -- reading a path

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^'\\]|\\.)*')|(?P<date>@[\dT:.+Z-]+)|(?P<number>\d+(?:\.\d+)?)"
    r"|(?P<word>[$%]?[A-Za-z_]\w*|`[A-Za-z_]\w*`)|(?P<sign>!=|[.()\[\]=~-]))",
    re.ASCII,
)
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}
_ABOVE = frozenset({"Resource", "DomainResource", "%resource", "%context", "$this"})


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._at = 0
        self._nested = 0

    def path(self) -> Path:
        steps, last = self._steps(top=True)
        if self._ahead:
            raise BadPath("the path does not end where it should")
        return Path(tuple(steps), last)

    @property
    def _ahead(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""

    def _take(self, expected: str = "") -> tuple[str, str]:
        if not self._ahead or (expected and self._ahead != expected):
            raise BadPath(f"the path needs {expected or 'more'} at its token {self._at + 1}")
        self._at += 1
        return self._tokens[self._at - 1]

    def _kind(self, kind: str) -> str:
        found, text = self._take()
        if found != kind:
            raise BadPath(f"the path needs a {kind} at its token {self._at}")
        return text.strip("`") if kind == "word" else text

    def _steps(self, *, top: bool = False) -> tuple[list[Step], str]:
        """A path: at the top it may begin with the resource's type, or with (Observation.value as Quantity)."""
        if top and self._ahead == "(":
            return self._followed(self._cast(), "")
        word = self._kind("word")
        if top and word[0].isupper():
            steps, last = [_of_root(word)], ""
        elif word in ("$this", "%resource", "%context") and (top or word == "$this"):
            steps, last = [], ""
        elif word[0] in "$%":
            raise BadPath("a path uses no variables but $this")
        else:
            steps, last = [_member(word)], word
        return self._followed(steps, last)

    def _cast(self) -> list[Step]:
        self._deeper()
        self._take("(")
        steps, _ = self._steps(top=True)
        if self._ahead == "as":
            self._take()
            steps.append(_of_type(self._kind("word")))
        self._take(")")
        self._nested -= 1
        return steps

    def _followed(self, steps: list[Step], last: str) -> tuple[list[Step], str]:
        while self._ahead in (".", "["):
            if self._take()[1] == "[":
                steps.append(_index(int(self._kind("number").partition(".")[0])))
                self._take("]")
                last = ""
            else:
                name = self._kind("word")
                last = "" if self._ahead == "(" else name
                steps.append(_member(name) if last else self._call(name))
        return steps, last

    def _call(self, name: str) -> Step:
        self._take("(")
        step: Step
        if self._ahead == ")" and name in _PLAIN:
            step = _PLAIN[name]
        elif name in _WITH_TYPE:
            step = _WITH_TYPE[name](self._kind("word"))
        elif name in _WITH_TEXT:
            step = _WITH_TEXT[name](_unquoted(self._kind("text")))
        elif name in _WITH_TEST:
            step = _WITH_TEST[name](self._either())
        else:
            raise BadPath("a path of a patch uses no such function")
        self._take(")")
        return step

    def _deeper(self) -> None:
        self._nested += 1
        if self._nested > MAX_NESTED:
            raise BadPath(f"a path nests at most {MAX_NESTED} levels")

    def _either(self) -> Step:
        self._deeper()
        step = self._both()
        while self._ahead == "or":
            self._take()
            step = _joined(False, step, self._both())
        self._nested -= 1
        return step

    def _both(self) -> Step:
        step = self._comparison()
        while self._ahead == "and":
            self._take()
            step = _joined(True, step, self._comparison())
        return step

    def _comparison(self) -> Step:
        step = self._operand()
        if self._ahead in ("=", "!=", "~"):
            step = _compared(self._take()[1], step, self._operand())
        return step

    def _operand(self) -> Step:
        if self._ahead == "(":
            self._take()
            inner = self._either()
            self._take(")")
            return inner
        literal = self._literal()
        if literal is not None:
            return lambda places: [Place(literal)]  # noqa: ARG005  a literal is the same everywhere
        steps = tuple(self._steps()[0])
        return lambda places: _walked(steps, places)

    def _literal(self) -> Json:
        kind, text = self._tokens[self._at] if self._ahead else ("", "")
        negative = text == "-"
        if kind in ("text", "date") or text in ("true", "false"):
            self._at += 1
            return _unquoted(text) if kind == "text" else text[1:].removesuffix("T") if kind == "date" else text == "true"
        if kind == "number" or negative:
            self._at += negative
            return Decimal(self._kind("number")) * (-1 if negative else 1)
        return None


def _of_root(word: str) -> Step:
    def check(places: Places) -> Places:
        if word not in _ABOVE and word != type_of(places[0]):
            raise BadPath("the path begins with another type than the resource's")
        return places

    return check


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while text[at:].strip():
        found = _TOKEN.match(text, at)
        if found is None:
            raise BadPath(f"the path has something unexpected at its character {at + 1}")
        yield found.lastgroup or "", found[found.lastgroup or 0]
        at = found.end()


def _unquoted(text: str) -> str:
    def escaped(found: re.Match[str]) -> str:
        if found[1][0] == "u" and len(found[1]) == 5:
            return str(json.loads(f'"{found[0]}"'))
        return _ESCAPED.get(found[1], found[1])

    return _ESCAPE.sub(escaped, text[1:-1])
