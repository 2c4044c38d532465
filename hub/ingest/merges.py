"""A merge that would go round: A into B, and B, by another message, into A.

A mapper sees one message; that two of them contradict each other only the store can tell. Only a person can decide,
so the record that would close the circle is set aside with this reason, whichever of the two comes second.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hub.fhir_json import load
from hub.store.port import Key, Resource, Transaction
from mappers.base import Change

LONGEST = 64  # merges one behind the other; more is no hospital's history
REASON = "the merge would close a circle: its survivor was merged, by an earlier record, into the patient that it names as merged"


def closes_a_circle(transaction: Transaction, changes: Iterable[Change]) -> bool:
    """Whether following `replaced-by` from what the record names as survivor leads back to the one it merges."""
    for change in changes:
        if change.resource["resourceType"] == "Patient" and change.mode == "patch":
            merged = str(change.resource["id"])
            if any(merged in _survivors(transaction, target) for target in _replaced_by(change.resource)):
                return True
    return False


def _survivors(transaction: Transaction, start: str) -> Iterator[str]:
    """The one at `start` and all that it was merged into, nearest first."""
    waiting, seen = [start], set[str]()
    while waiting and len(seen) < LONGEST:
        id = waiting.pop(0)
        if id in seen:
            continue
        seen.add(id)
        yield id
        version = transaction.current(Key("Patient", id))
        if version is not None and not version.deleted:
            waiting += _replaced_by(load(version.body))


def _replaced_by(patient: Resource) -> list[str]:
    links = [link for link in patient.get("link") or () if link.get("type") == "replaced-by"]
    return [str(link["other"]["reference"]).removeprefix("Patient/") for link in links]
