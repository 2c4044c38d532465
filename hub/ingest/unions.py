"""Parts of one whole that come together are united once: 300 slices of a CT make a few versions of their ImagingStudy, not 300.

Uniting is commutative and idempotent, so the first record of a run may bring in what the next ones state; each of those then finds
its part already there, in a transaction of its own as ever, without reading the whole for every slice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache

from hub.ingest.mapping import Attempt
from hub.store.port import Key, Resource
from mappers.base import Change

Unite = Callable[[Resource | None, Resource], Resource]


@cache
def unions() -> Mapping[str, Unite]:
    """The types that many records state together, each with the function that unites two of its states."""
    from mappers.dicom.union import unite_studies

    return {"ImagingStudy": unite_studies}


def key_of(change: Change) -> Key:
    return Key(change.resource["resourceType"], change.resource["id"])


def states_parts(attempt: Attempt) -> bool:
    return attempt.mapped is not None and any(change.mode == "union" for change in attempt.mapped.changes)


def together(attempts: Sequence[Attempt]) -> list[Attempt]:
    """The same attempts; the first that states a part of a whole states all the parts that these attempts do."""
    wholes: dict[Key, Resource] = {}
    first: dict[Key, int] = {}
    for attempt in attempts:
        for change in attempt.mapped.changes if attempt.mapped else ():
            if change.mode == "union":
                key = key_of(change)
                first.setdefault(key, attempt.seq)
                wholes[key] = unions()[key.type](wholes.get(key), change.resource)
    return [_with_wholes(attempt, wholes, first) for attempt in attempts]


def _with_wholes(attempt: Attempt, wholes: dict[Key, Resource], first: Mapping[Key, int]) -> Attempt:
    """Takes the wholes that it uses, so that only the first attempt gets them."""
    if attempt.mapped is None:
        return attempt
    changes = tuple(
        replace(change, resource=wholes.pop(key_of(change), change.resource)) if change.mode == "union" else change
        for change in attempt.mapped.changes
    )
    others = {key: seq for key, seq in first.items() if seq != attempt.seq}
    return replace(attempt, mapped=replace(attempt.mapped, changes=changes), stated_by=others)
