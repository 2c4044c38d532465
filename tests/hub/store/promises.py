"""Transactions of which each part tells whether it is there, and what must hold of them after any crash."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from hub.search.query import SearchQuery
from hub.store.port import EVERYTHING, Addition, Key, Outcome, Transaction
from hub.store.sqlite import SqliteStore
from tests.contracts.resources import every_id, observation, patient, token

LAST = Key("Basic", "last")
SHELF = "done"
CODE = "718-7"
FAILING = 5  # every so many one fails at its end


class Unwanted(Exception):
    """What a failing transaction raises after all its writes."""


def fails(number: int) -> bool:
    return number % FAILING == FAILING - 1


def _added(number: int) -> Key:
    return Key(("Basic", "Flag")[number % 2], f"a{number}")


def transaction(number: int) -> Callable[[Transaction], int]:
    """Two creates, one of them deleted again by a later one; an update that all share; an addition, an outcome, a small value.

    The addition of every other one is of the type that is written next, so it does not wait for the commit.
    """

    def work(t: Transaction) -> int:
        t.add([Addition({"resourceType": _added(number).type, "code": {"text": "added"}}, _added(number).id)])
        t.save(patient(number, name=[{"text": "王小明" * (number % 9)}]), id=f"p{number}", facility="CTY")
        t.save(observation(CODE, subject=f"p{number}"), id=f"o{number}", facility="CTY")
        earlier = number - FAILING
        if number % 3 == 0 and t.current(Key("Patient", f"p{earlier}")) is not None:
            t.delete(Key("Patient", f"p{earlier}"))
        t.save({"resourceType": "Basic", "code": {"text": str(number)}}, id=LAST.id)
        t.record_outcome(Outcome(number + 1, "done", resources=(f"Patient/p{number}",)))
        t.put_item(SHELF, f"{number:06d}", str(number).encode())
        if fails(number):
            raise Unwanted
        return number

    return work


def broken(store: SqliteStore, acknowledged: Collection[int], order: Sequence[int] | None = None) -> list[str]:
    """Which promises do not hold. `order`: that in which the transactions were committed, where one is known."""
    items = {int(key) for key, _ in store.items(SHELF, limit=100_000)}
    found: dict[str, Any] = {
        "additions": {int(version.id[1:]) for version in store.read_many(map(_added, range(max(items, default=0) + 1000)))},
        "observations": {int(id[1:]) for id in every_id(store, SearchQuery("Observation", (token("code", CODE),), count=1000))},
        "outcomes": {outcome.seq - 1 for outcome in store.outcomes(limit=100_000)},
        "patients": {number for number in items if store.history(Key("Patient", f"p{number}"), count=1)},
    }
    complaints = [f"{what} and small values differ" for what, numbers in found.items() if numbers != items]
    complaints += [f"acknowledged and lost: {sorted(lost)}"] if (lost := set(acknowledged) - items) else []
    complaints += ["a failed transaction left something"] if any(fails(number) for number in items) else []
    versions = store.changes(EVERYTHING, type=LAST.type, id=LAST.id, count=100_000).versions
    if [version.version for version in versions] != list(range(len(items), 0, -1)):
        complaints.append("the shared resource has not one version for each transaction")
    if order is not None and items != set(order[: len(items)]):
        complaints.append("a later transaction survived an earlier one")
    return complaints + [f"integrity: {text}" for text in store.check()]
