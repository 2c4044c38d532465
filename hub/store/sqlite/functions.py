"""SQL functions that ask the resource itself, where no index can tell."""

from __future__ import annotations

from typing import Any

import apsw

from hub.fhir_json import load
from hub.search.entries import Token, Uri
from hub.store.indexer import Indexer


def register(connection: apsw.Connection, indexer: Indexer) -> None:
    def body_fulfils(*arguments: Any) -> bool:
        body, criterion = arguments
        return indexer.may_fulfil(body, criterion) and indexer.body_fulfils(load(body), criterion)

    def has_token(*arguments: Any) -> bool:
        body, code, wanted = arguments
        tokens = (value for name, value in indexer.extract(load(body)) if name == code and isinstance(value, Token))
        return any(not wanted.isdisjoint(_ways_to_ask(token)) for token in tokens)

    def sort_value(*arguments: Any) -> str | None:
        body, code, best = arguments
        values = [_sorted_by(value) for name, value in indexer.extract(load(body)) if name == code]
        return (max(values) if best == "max" else min(values)) if values else None

    connection.create_scalar_function("body_fulfils", body_fulfils, 2, deterministic=True)
    connection.create_scalar_function("has_token", has_token, 3, deterministic=True)
    connection.create_scalar_function("sort_value", sort_value, 3, deterministic=True)


def _ways_to_ask(token: Token) -> tuple[tuple[str | None, str | None], ...]:
    return (token.code, token.system), (token.code, None), (None, token.system)


def _sorted_by(value: Any) -> str:
    match value:
        case Token(code, _):
            return code
        case Uri(text):
            return text
        case _:
            raise TypeError(type(value).__name__)
