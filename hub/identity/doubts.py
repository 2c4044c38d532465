"""Two Patients that may be one person → one Task a pair, for a person to decide. https://hl7.org/fhir/R4/task.html

It lies in nobody's compartment, so that only those who see the whole county see it: a facility that treats one of the two must not
learn of the other. What people decided about the pair stays in it (hub.identity.decisions).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hub.fhir_json import load
from hub.identity.decisions import AT_ONCE, GONE, LATER, LINKED, OPEN, decision_of
from hub.identity.pairs import AT, CODE, OWNER, PAIR, Pair, is_task, pair_id, pair_of, task_code
from hub.identity.rules import REASONS
from hub.search.folding import fold_code
from hub.search.query import Criterion, SearchQuery, TokenValue
from hub.store.port import Key, Transaction

Resource = dict[str, Any]

REASON = "urn:hub:identity-reason"
SETTLED = frozenset({"together", "apart"})
MOST = 100


def doubt_task(transaction: Transaction, pair: Pair, reason: str) -> Resource:
    """A new Task. It names the facilities, so that one whose Patients both are finds it and may decide too."""
    one, other = sorted(pair)
    facilities = _facilities(transaction, pair)
    identifiers = [(PAIR, one), (PAIR, other), *((AT, facility) for facility in sorted(facilities - {""}))]
    if owner := owner_of(transaction, pair):
        identifiers.append((OWNER, owner))
    return {
        "resourceType": "Task",
        "id": pair_id(pair),
        "identifier": [{"system": system, "value": value} for system, value in identifiers],
        "status": OPEN,
        "intent": "proposal",
        **_because(reason),
        "input": [{"type": {"text": "candidate"}, "valueReference": {"reference": f"Patient/{id}"}} for id in (one, other)],
    }


def owner_of(transaction: Transaction, patients: Iterable[str]) -> str:
    """The facility of which all these Patients are; "" if they are of several."""
    facilities = _facilities(transaction, patients)
    return facilities.pop() if len(facilities) == 1 else ""


def _facilities(transaction: Transaction, patients: Iterable[str]) -> set[str]:
    return {version.facility for version in transaction.current_of([Key("Patient", id) for id in patients]).values()}


def pair_task(transaction: Transaction, pair: Pair) -> Resource | None:
    version = transaction.current(Key("Task", pair_id(pair)))
    return None if version is None or version.deleted else load(version.body)


def raise_doubts(transaction: Transaction, doubts: Mapping[Pair, str]) -> None:
    """Open a Task a pair. What a person decided stays so, and what one put off waits until there is another reason to ask."""
    for pair, reason in doubts.items():
        current = pair_task(transaction, pair)
        if current is None:
            transaction.save(doubt_task(transaction, pair, reason), id=pair_id(pair))
        elif decision_of(current) not in SETTLED and not (current["status"] == LATER and reason_of(current) == reason):
            named = doubt_task(transaction, pair, reason)["identifier"]
            transaction.save({**current, "identifier": named, "status": OPEN, **_because(reason)}, id=pair_id(pair))


def close_doubts(transaction: Transaction, ids: Iterable[str], doubts: Mapping[Pair, str], person_of: Mapping[str, str]) -> None:
    """Open Tasks of these Patients that are no doubt any more: linked, or nothing speaks for it now."""
    every = sorted(ids)
    for start in range(0, len(every), AT_ONCE):
        mine = every[start : start + AT_ONCE]
        for version in transaction.current_of(transaction.find(_open_tasks(mine), limit=MOST * len(mine))).values():
            task = {} if version.deleted else load(version.body)
            if not is_task(task, CODE) or version.id != pair_id(pair := pair_of(task)) or pair in doubts:
                continue
            one, other = pair
            linked = one in person_of and person_of.get(one) == person_of.get(other)
            task["status"] = LINKED if linked else GONE
            transaction.save(task, id=version.id)


def reason_of(task: Mapping[str, Any]) -> str:
    """One of REASONS; "" of a pair that only a person ever named."""
    codings = (task.get("reasonCode") or {}).get("coding") or ()
    return next((str(coding.get("code")) for coding in codings if coding.get("system") == REASON), "")


def _because(reason: str) -> Resource:
    """The code says it as well, for Tasks are searched by that; "" where only a person names the pair."""
    if not reason:
        return {"code": task_code(CODE)}
    coding = {"system": REASON, "code": reason}
    return {
        "code": {"coding": [*task_code(CODE)["coding"], coding]},
        "reasonCode": {"coding": [coding], "text": REASONS[reason]},
    }


def _open_tasks(ids: Sequence[str]) -> SearchQuery:
    mine = Criterion("identifier", "token", tuple(TokenValue(PAIR, fold_code(id)) for id in ids))
    opened = Criterion("status", "token", (TokenValue(None, OPEN), TokenValue(None, LATER)))
    return SearchQuery("Task", (mine, opened))
