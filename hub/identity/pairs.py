"""Two Patients as one thing that can be named: the Task about whether they are one person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mappers.identity_keys import resource_id
from profiles.names import HUB_TAG

Pair = tuple[str, str]  # ids of two Patients, in order

PAIR = "urn:hub:identity-pair"  # Task.identifier: each of the two Patients' ids
OWNER = "urn:hub:identity-facility"  # Task.identifier: the facility of which all the Patients named are
AT = "urn:hub:identity-at"  # Task.identifier: the facility of each of the two Patients
CODE = "identity-doubt"
OPERATION = "identity-operation"


def in_order(one: str, other: str) -> Pair:
    return (one, other) if one <= other else (other, one)


def pair_id(pair: Pair) -> str:
    return resource_id("Task", CODE, *sorted(pair))


def pair_of(task: Mapping[str, Any]) -> Pair:
    """("", "") of a Task that names no pair."""
    stated = [str(each.get("value")) for each in task.get("identifier") or () if each.get("system") == PAIR]
    return in_order(*stated) if len(stated) == 2 else ("", "")


def is_task(resource: Mapping[str, Any], *codes: str) -> bool:
    """One that the hub keeps about identity: of a pair (CODE), of what was done (OPERATION)."""
    codings = (resource.get("code") or {}).get("coding") if resource.get("resourceType") == "Task" else ()
    return any(c.get("system") == HUB_TAG and c.get("code") in codes for c in codings or () if isinstance(c, Mapping))


def task_code(code: str) -> dict[str, Any]:
    return {"coding": [{"system": HUB_TAG, "code": code}]}
