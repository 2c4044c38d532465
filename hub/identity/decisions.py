"""What people decided about pairs of Patients. It stands over the rules until it is taken back.

It lies in the pair's own Task (hub.identity.doubts): `businessStatus` says what holds now, `output` every decision with the
operation that made it, the newest last, so that taking one back brings back the one before.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import combinations
from typing import Any, Literal, NamedTuple

from hub.fhir_json import load
from hub.identity.pairs import CODE, PAIR, Pair, in_order, is_task, pair_id, pair_of
from hub.identity.sets import united
from hub.search.folding import fold_code
from hub.search.query import Criterion, SearchQuery, TokenValue
from hub.store.port import Key, Transaction

Resource = dict[str, Any]
Decision = Literal["together", "apart", "later", "undecided"]

DECISION = "urn:hub:identity-decision"
OPEN, LATER, LINKED, GONE, DIFFERENT = "requested", "on-hold", "completed", "cancelled", "rejected"  # Task.status
STATUS: dict[Decision, str] = {"together": LINKED, "apart": DIFFERENT, "later": LATER, "undecided": OPEN}
MOST = 4000  # decisions about the Patients that hang together with one
AT_ONCE = 50  # Patients asked for in one question
FEW = 8  # Patients whose pairs are asked for one by one


class Decided(NamedTuple):
    """Pairs of Patients' ids, each in order."""

    together: frozenset[Pair] = frozenset()
    apart: frozenset[Pair] = frozenset()


UNDECIDED = Decided()


def decided(transaction: Transaction, ids: Collection[str]) -> Decided:
    """What people decided about pairs of which both are among `ids`."""
    found: dict[Decision, set[Pair]] = {"together": set(), "apart": set()}
    for version in transaction.current_of(_tasks(transaction, sorted(ids))).values():
        task = {} if version.deleted else load(version.body)
        if not is_task(task, CODE) or version.id != pair_id(pair := pair_of(task)):
            continue  # not ours: anybody may write a Task that names two Patients
        if set(pair) <= set(ids) and (holding := decision_of(task)) in found:
            found[holding].add(pair)
    return Decided(frozenset(found["together"]), frozenset(found["apart"]))


def _tasks(transaction: Transaction, ids: Sequence[str]) -> list[Key]:
    """Where decisions about these may lie. Of a few Patients each pair's own Task is looked at, which costs less than a search."""
    if len(ids) <= FEW:
        return [Key("Task", pair_id(in_order(*pair))) for pair in combinations(ids, 2)]
    keys: dict[Key, None] = {}
    holds = Criterion("business-status", "token", (TokenValue(DECISION, "together"), TokenValue(DECISION, "apart")))
    for start in range(0, len(ids), AT_ONCE):
        mine = Criterion("identifier", "token", tuple(TokenValue(PAIR, fold_code(id)) for id in ids[start : start + AT_ONCE]))
        keys.update((key, None) for key in transaction.find(SearchQuery("Task", (mine, holds)), limit=MOST))
    return list(keys)


def decision_of(task: Resource) -> Decision:
    """ "apart" too of a Task that an administrator rejected by hand, before there were decisions."""
    codings = (task.get("businessStatus") or {}).get("coding") or ()
    codes = {coding.get("code") for coding in codings if coding.get("system") == DECISION}
    by_hand: Decision = "apart" if task.get("status") == DIFFERENT else "undecided"
    return next((decision for decision in STATUS if decision in codes), by_hand)


def with_decision(task: Resource, decision: Decision, operation: str) -> Resource:
    """The pair's Task once `operation` (the id of its Task) decided so."""
    entry = {
        "type": {"coding": [{"system": DECISION, "code": decision}]},
        "valueReference": {"reference": f"Task/{operation}"},
    }
    return _holding(task, [*task.get("output", ()), entry])


def without_decision(task: Resource, operation: str) -> Resource | None:
    """The pair's Task once `operation` is taken back; None if something else was decided after it."""
    entries = list(task.get("output", ()))
    if not entries or entries[-1].get("valueReference", {}).get("reference") != f"Task/{operation}":
        return None
    return _holding(task, entries[:-1])


def _holding(task: Resource, entries: list[Resource]) -> Resource:
    kept = {name: value for name, value in task.items() if name not in ("output", "businessStatus")}
    if not entries:
        return {**kept, "status": OPEN}
    newest = entries[-1]["type"]
    decision: Decision = newest["coding"][0]["code"]
    return {**kept, "status": STATUS[decision], "businessStatus": newest, "output": entries}


def deciding_operation(task: Resource) -> str:
    """The id of the Task of the operation whose decision holds; "" if nobody decided."""
    entries = task.get("output") or ()
    return str(entries[-1]["valueReference"]["reference"]).removeprefix("Task/") if entries else ""


def contradiction(decisions: Decided) -> Pair | None:
    """A pair that people set apart although their own links join it; None if the decisions agree."""
    ids = {id for pair in (*decisions.together, *decisions.apart) for id in pair}
    place = {id: group for group in united(([id] for id in ids), decisions.together) for id in group}
    return next((pair for pair in sorted(decisions.apart) if place[pair[0]] is place[pair[1]]), None)
