"""Where in a TOML file a declared table, its block or its element stands: the parser keeps no lines, people need them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise


def line_of(text: str, table: str, place: Sequence[int | str]) -> int:
    """The line of `table` and, as far as `place` (make, 0, elements, 3) can be followed, of what it names. 0: not found."""
    lines = text.splitlines()
    line = _header(lines, rf"\[{re.escape(table)}\]|\[\[{re.escape(table)}\.make\]\]", 0, 0)
    numbers = dict(pairwise(place))
    make, element = numbers.get("make"), numbers.get("elements")
    if isinstance(make, int) and (found := _header(lines, rf"\[\[{re.escape(table)}\.make\]\]", make, 0)):
        line = found
        if isinstance(element, int):
            line = _header(lines, r"(elements\s*=\s*\[\s*)?\{\s*.*\bto\s*=.*", element, found) or found
    return line


def _header(lines: Sequence[str], pattern: str, skip: int, after: int) -> int:
    matched = [
        number for number, line in enumerate(lines, 1) if number > after and re.fullmatch(pattern, line.split("#")[0].strip())
    ]
    return matched[skip] if skip < len(matched) else 0
