"""Two Patients that may be one person → one Task a pair, for a person to decide. https://hl7.org/fhir/R4/task.html

It lies in nobody's compartment, so that only those who see the whole county see it: a facility that treats one of the two must not
learn of the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hub.fhir_json import load
from hub.identity.clusters import Pair
from hub.identity.rules import REASONS
from hub.search.query import Criterion, SearchQuery, TokenValue
from hub.store.port import Key, Transaction
from mappers.identity_keys import resource_id
from profiles.names import HUB_TAG

PAIR = "urn:hub:identity-pair"  # Task.identifier: each of the two Patients' ids
REASON = "urn:hub:identity-reason"
CODE = "identity-doubt"
OPEN, LINKED, GONE, DIFFERENT = "requested", "completed", "cancelled", "rejected"  # Task.status
MOST = 100


def doubt_id(pair: Pair) -> str:
    return resource_id("Task", CODE, *sorted(pair))


def doubt_task(pair: Pair, reason: str, status: str) -> dict[str, Any]:
    one, other = sorted(pair)
    return {
        "resourceType": "Task",
        "id": doubt_id(pair),
        "identifier": [{"system": PAIR, "value": id} for id in (one, other)],
        "status": status,
        "intent": "proposal",
        "code": {"coding": [{"system": HUB_TAG, "code": CODE}]},
        "reasonCode": {"coding": [{"system": REASON, "code": reason}], "text": REASONS[reason]},
        "input": [{"type": {"text": "candidate"}, "valueReference": {"reference": f"Patient/{id}"}} for id in (one, other)],
    }


def raise_doubts(transaction: Transaction, doubts: Mapping[Pair, str]) -> None:
    """Open a Task a pair; what a person has refused stays refused."""
    for pair, reason in doubts.items():
        current = transaction.current(Key("Task", doubt_id(pair)))
        if current and not current.deleted and load(current.body).get("status") == DIFFERENT:
            continue
        transaction.save(doubt_task(pair, reason, OPEN), id=doubt_id(pair))


def close_doubts(transaction: Transaction, ids: Iterable[str], doubts: Mapping[Pair, str], person_of: Mapping[str, str]) -> None:
    """Open Tasks of these Patients that are no doubt any more: linked, or nothing speaks for it now."""
    for id in sorted(ids):
        for key in transaction.find(_open_tasks(id), limit=MOST):
            version = transaction.current(key)
            if version is None or version.deleted:
                continue
            task = load(version.body)
            pair = _pair(task)
            if pair not in doubts:
                one, other = pair
                linked = one in person_of and person_of.get(one) == person_of.get(other)
                task["status"] = LINKED if linked else GONE
                transaction.save(task, id=key.id)


def _open_tasks(id: str) -> SearchQuery:
    mine = Criterion("identifier", "token", (TokenValue(PAIR, id),))
    opened = Criterion("status", "token", (TokenValue(None, OPEN),))
    return SearchQuery("Task", (mine, opened))


def _pair(task: Mapping[str, Any]) -> Pair:
    one, other = sorted(str(identifier["value"]) for identifier in task["identifier"] if identifier.get("system") == PAIR)
    return one, other
