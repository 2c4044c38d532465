"""What the store must know of a resource to index it and to search by it; a test may pass in a smaller one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hub.search.entries import Entry
from hub.search.query import Condition, Criterion

Resource = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Indexer:
    extract: Callable[[Resource], list[Entry]]
    compartment_of: Callable[[Resource], str]
    fold: Callable[[str], str]  # a searched string, as the extractor folds the indexed ones
    needs_body: Callable[[Criterion], bool]  # the index alone cannot tell
    candidates: Callable[[str, Criterion], Condition | None]  # … but it knows what to ask first
    may_fulfil: Callable[[bytes, Criterion], bool]  # a look at the JSON, before it is read
    body_fulfils: Callable[[Resource, Criterion], bool]


def standard_indexer() -> Indexer:
    """Every R4 search parameter."""
    from hub.search.extract import extract
    from hub.search.folding import fold
    from hub.search.match import body_fulfils, candidates, may_fulfil, needs_body
    from hub.security.labels import compartment_of

    return Indexer(extract, compartment_of, fold, needs_body, candidates, may_fulfil, body_fulfils)
