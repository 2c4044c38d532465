"""What the store must know of a resource to index it and to search by it; a test may pass in a smaller one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hub.search.entries import Entry
from hub.search.parameters import SearchParameter
from hub.search.query import CompositeValue

Resource = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Indexer:
    extract: Callable[[Resource], list[Entry]]
    patient_of: Callable[[Resource], str]
    parameter: Callable[[str, str], SearchParameter | None]  # by resource type and code
    composite_matches: Callable[[Resource, SearchParameter, CompositeValue], bool]
    fold: Callable[[str], str]  # a searched string, as the extractor folds the indexed ones


def standard_indexer() -> Indexer:
    """Every R4 search parameter."""
    from hub.search.extract import composite_matches, extract, patient_of
    from hub.search.folding import fold
    from hub.search.parameters import registry

    return Indexer(extract, patient_of, registry().get, composite_matches, fold)
