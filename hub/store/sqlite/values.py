"""One value of a criterion → a range of one index table."""

# ruff: noqa: S608 - every text joined into SQL here is our own; values are bound
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from hub.search.query import (
    Criterion,
    CriterionValue,
    DateValue,
    NumberValue,
    Prefix,
    QuantityValue,
    ReferenceValue,
    StringValue,
    TokenValue,
    UriValue,
)
from hub.store.asked import LAST, refuse_unless, type_asked
from hub.store.sqlite.conditions import Shape
from hub.store.sqlite.frame import Frame

# type of parameter → table, column of the identity
TOGETHER = {"token": ("token", "code"), "reference": ("reference", "id"), "uri": ("uri", "value")}
SEPARATE = 16  # so many code systems are asked for one by one

Compiled = tuple[str, str, Shape]  # table, condition, shape

# -- intervals: column names are low and high, bounds are bound as :…
# A `+` keeps SQLite from choosing the index of that column when the other one bounds better.
DATE_CONDITIONS: dict[str, str] = {
    "eq": "{t}low >= {low} AND {t}low < {high} AND +{t}high <= {high}",
    "ne": "NOT (+{t}low >= {low} AND +{t}high <= {high})",
    "gt": "{t}high > {high}",
    "lt": "{t}low < {low}",
    "ge": "{t}high > {low} AND (+{t}high > {high} OR +{t}low >= {low})",
    "le": "{t}low < {high} AND (+{t}low < {low} OR +{t}high <= {high})",
    "sa": "{t}low >= {high}",
    "eb": "{t}high <= {low}",
    "ap": "{t}low < {high} AND +{t}high > {low}",
}
ENDS_BEHIND = frozenset({"gt", "ge", "ap"})
# A number stands between its ends, a range's entries at one of them each (hub.search.entries).
_EXACT = "{t}low < {t}value AND {t}value < {t}high"
_WITHIN = f"{{t}}value >= {{low}} AND {{t}}value < {{high}} AND ({_EXACT} OR {{t}}low >= {{low}} AND {{t}}high < {{high}})"
NUMBER_CONDITIONS: dict[str, str] = {
    "eq": _WITHIN,
    "ne": f"NOT ({_WITHIN})",
    "gt": "{t}value > {number}",
    "sa": f"{{t}}value > {{number}} AND ({_EXACT} OR {{t}}low > {{number}})",
    "lt": "{t}value < {number}",
    "eb": f"{{t}}value < {{number}} AND ({_EXACT} OR {{t}}high < {{number}})",
    "ge": "{t}value >= {number}",
    "le": "{t}value <= {number}",
    "ap": "{t}low < {high} AND {t}high > {low}",
}


def compiled(frame: Frame, criterion: Criterion, value: CriterionValue) -> Compiled:
    """Raise HubError for a modifier that this store does not know."""
    return _BY_VALUE[type(value)](frame, criterion, value)


def together(frame: Frame, criterion: Criterion) -> tuple[list[Compiled], Sequence[CriterionValue]]:
    """Tokens, references and URLs make few conditions, however many they are; and which values are left."""
    if len(criterion.values) < 2 or criterion.type not in TOGETHER or criterion.modifier in ("above", "below"):
        return [], criterion.values
    table, column = TOGETHER[criterion.type]
    named: list[tuple[str, str | None]] = []
    systems: list[int] = []
    left: list[CriterionValue] = []
    for value in criterion.values:
        match value:
            case TokenValue(system, None) if system is not None:
                systems.append(frame.word(system))
            case TokenValue(system, str(code)):
                named.append((code, system))
            case ReferenceValue(_, identity):
                named.append((identity, type_asked(criterion, value) or None))
            case UriValue(url):
                named.append((url, None))
            case _:
                left.append(value)
    refuse_unless(criterion, "", "not", criterion.modifier if criterion.modifier[:1].isupper() else "")
    known = {number for number in systems if number >= 0}
    scan: list[Compiled] = [(table, f"{{t}}system {frame.among(known)}", "scan")] if known else []
    return _named(frame, table, column, named) + scan, left


def _named(frame: Frame, table: str, column: str, named: Sequence[tuple[str, str | None]]) -> list[Compiled]:
    """Those of which only the identity is asked, and for each word that goes with one (code system, type) those that have it."""
    by_word: dict[str | None, set[str]] = {}
    for identity, word in named:
        by_word.setdefault(word, set()).add(identity)
    other = "system" if table == "token" else "type"
    of_any = by_word.pop(None, set())
    known = [(frame.word(word), identities) for word, identities in by_word.items() if word is not None]
    known = [(number, identities) for number, identities in known if number >= 0]
    found: list[Compiled] = [(table, f"{{t}}{column} {frame.among(of_any)}", "range")] if of_any else []
    if len(known) > SEPARATE:
        pairs = msgspec.json.encode([(identity, number) for number, identities in known for identity in identities]).decode()
        both = f"({{t}}{column}, {{t}}{other}) IN (SELECT value ->> 0, value ->> 1 FROM json_each({frame.bind(pairs)}))"
        identities = set().union(*(each for _, each in known))
        return [*found, (table, f"{{t}}{column} {frame.among(identities)} AND {both}", "range")]
    return found + [
        (table, f"{{t}}{column} {frame.among(identities)} AND {{t}}{other} = {frame.bind(number)}", "range")
        for number, identities in known
    ]


def _token(frame: Frame, criterion: Criterion, value: TokenValue) -> Compiled:
    refuse_unless(criterion, "", "not")
    parts = [] if value.code is None else [f"{{t}}code = {frame.bind(value.code)}"]
    parts += [] if value.system is None else [f"{{t}}system = {frame.bind(frame.word(value.system))}"]
    return "token", " AND ".join(parts) or "1", "scan" if value.code is None else "keyed"


def _reference(frame: Frame, criterion: Criterion, value: ReferenceValue) -> Compiled:
    kind = type_asked(criterion, value)
    parts = [f"{{t}}id = {frame.bind(value.id)}"]
    parts += [f"{{t}}type = {frame.bind(frame.word(kind))}"] if kind else []
    return "reference", " AND ".join(parts), "keyed"


def _string(frame: Frame, criterion: Criterion, value: StringValue) -> Compiled:
    refuse_unless(criterion, "", "exact", "contains")
    folded = frame.indexer.fold(value.text)
    if criterion.modifier == "exact":
        return "string", f"{{t}}folded = {frame.bind(folded)} AND {{t}}exact = {frame.bind(value.text)}", "range"
    if criterion.modifier == "contains":
        return "string", f"instr({{t}}folded, {frame.bind(folded)}) > 0", "scan"
    return "string", f"{{t}}folded >= {frame.bind(folded)} AND {{t}}folded < {frame.bind(folded + LAST)}", "range"


def _uri(frame: Frame, criterion: Criterion, value: UriValue) -> Compiled:
    refuse_unless(criterion, "", "below", "above")
    text = frame.bind(value.value)
    if criterion.modifier == "below":
        under = value.value.rstrip("/") + "/"
        below = f"{{t}}value >= {frame.bind(under)} AND {{t}}value < {frame.bind(under + LAST)}"
        return "uri", f"({{t}}value = {text} OR ({below}))", "range"
    if criterion.modifier == "above":
        return "uri", f"{{t}}value {frame.among(_parents(value.value))}", "range"
    return "uri", f"{{t}}value = {text}", "keyed"


def _parents(url: str) -> list[str]:
    """Every URL that a path of this one's segments lies below, with and without slashes at its end; and itself."""
    starts = [url[:end] for end, letter in enumerate(url) if letter == "/"]
    return sorted({url, *(start + slashes for start in starts for slashes in ("", "/", "//"))})


def _date(frame: Frame, criterion: Criterion, value: DateValue) -> Compiled:
    refuse_unless(criterion, "")
    return "date", interval(frame, DATE_CONDITIONS[value.prefix], value), _shape(value.prefix)


def interval(frame: Frame, text: str, value: DateValue) -> str:
    return text.format(t="{t}", low=frame.bind(value.low), high=frame.bind(value.high))


def _number(frame: Frame, criterion: Criterion, value: NumberValue) -> Compiled:
    refuse_unless(criterion, "")
    return "number", _numbers(frame, value), _shape(value.prefix)


def _numbers(frame: Frame, value: NumberValue) -> str:
    text = NUMBER_CONDITIONS[value.prefix]
    bounds = {name: frame.bind(getattr(value, name)) for name in ("low", "high", "number") if f"{{{name}}}" in text}
    return text.format(t="{t}", **bounds)


def _quantity(frame: Frame, criterion: Criterion, value: QuantityValue) -> Compiled:
    refuse_unless(criterion, "")
    parts = [_numbers(frame, value.number)]
    parts += [] if value.system is None else [f"{{t}}system = {frame.bind(frame.word(value.system))}"]
    parts += [] if value.code is None else [f"{{t}}code = {frame.bind(frame.word(value.code))}"]
    return "quantity", " AND ".join(parts), _shape(value.number.prefix)


_BY_VALUE: dict[type, Callable[[Frame, Criterion, Any], Compiled]] = {
    TokenValue: _token,
    ReferenceValue: _reference,
    StringValue: _string,
    UriValue: _uri,
    DateValue: _date,
    NumberValue: _number,
    QuantityValue: _quantity,
}


def _shape(prefix: Prefix) -> Shape:
    return "scan" if prefix == "ne" else "range"
