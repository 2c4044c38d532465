"""What is left out of every answer of a query, whatever its criteria."""

from __future__ import annotations

from collections.abc import Sequence

from hub.search.folding import fold_code
from hub.search.query import Criterion, TokenValue
from hub.store.sqlite.criteria import Compiler


def hidden_condition(compiler: Compiler, tags: Sequence[tuple[str, str]]) -> str:
    """SQL over r: has none of these tags."""
    values = tuple(TokenValue(system, fold_code(code)) for system, code in tags)
    if not values or compiler.parameter("_tag") is None:
        return "1"
    return compiler.condition(Criterion("_tag", "token", values, modifier="not")).probe
