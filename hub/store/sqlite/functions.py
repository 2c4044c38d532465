"""SQL functions that ask the resource itself, where no index can tell."""

from __future__ import annotations

from typing import Any

import apsw

from hub.fhir_json import load
from hub.search.entries import Reference, Token, Uri
from hub.store.sqlite.indexer import Indexer


def register(connection: apsw.Connection, indexer: Indexer) -> None:
    def composite_matches(*arguments: Any) -> bool:
        body, parameter, value = arguments
        return indexer.composite_matches(load(body), parameter, value)

    def sort_value(*arguments: Any) -> str | None:
        body, code, best = arguments
        values = [_sorted_by(value) for name, value in indexer.extract(load(body)) if name == code]
        return (max(values) if best == "max" else min(values)) if values else None

    connection.create_scalar_function("composite_matches", composite_matches, 3, deterministic=True)
    connection.create_scalar_function("sort_value", sort_value, 3, deterministic=True)


def _sorted_by(value: Any) -> str:
    match value:
        case Token(code, _):
            return code
        case Reference(_, identity):
            return identity
        case Uri(text):
            return text
        case _:
            raise TypeError(type(value).__name__)
