"""Expressions that come with a profile that somebody stored: the same language, within limits.

A regular expression may take for ever, so only those are run that cannot; what walks a whole resource may do so once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from profiles.fhirpath.compiler import Compiled, compile_afresh
from profiles.fhirpath.syntax import Binary, Call, CannotCompile, Index, Literal, Member, Negative, Node, Typed, parse

WALKS = frozenset({"descendants", "repeat"})
PATTERNS = frozenset({"matches", "replaceMatches"})
_BACKTRACKING = re.compile(r"[*+{|][^)]*\)+\s*[*+{]|\\\d|\(\?")
"""A repeated group with a repetition or a choice in it, a back reference, a look-around."""


@lru_cache(maxsize=2000)
def compile_outside(expression: str, focus: str) -> Compiled:
    """Raise CannotCompile."""
    calls = [node for node in _nodes(parse(expression)) if isinstance(node, Call)]
    if sum(call.name in WALKS for call in calls) > 1:
        raise CannotCompile("it walks the whole resource more than once")
    for call in calls:
        if call.name in PATTERNS and not _harmless(call):
            raise CannotCompile("its regular expression might not end")
    return compile_afresh(expression, focus)


def _harmless(call: Call) -> bool:
    stated = call.arguments[0] if call.arguments else None
    if not isinstance(stated, Literal) or not stated.values or not isinstance(stated.values[0], str):
        return False
    try:
        re.compile(stated.values[0])
    except re.error:
        return False
    return not _BACKTRACKING.search(stated.values[0])


def _nodes(node: Node | None) -> Iterator[Node]:
    if node is None:
        return
    yield node
    match node:
        case Member(of, _) | Typed(_, of, _) | Negative(of):
            yield from _nodes(of)
        case Call(of, _, arguments):
            yield from _nodes(of)
            for argument in arguments:
                yield from _nodes(argument)
        case Index(of, position):
            yield from _nodes(of)
            yield from _nodes(position)
        case Binary(_, left, right):
            yield from _nodes(left)
            yield from _nodes(right)
