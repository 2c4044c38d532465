"""The Patients of one person → the golden Patient that stands for them. Derived, never edited: its content follows its members.

https://hl7.org/fhir/R4/patient.html#links: the golden one sees also each of them; they are not rewritten.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from hub.identity.rules import facts_of
from profiles.names import GOLDEN, HUB_TAG

Resource = dict[str, Any]

BEST = (
    "gender",
    "_gender",
    "birthDate",
    "_birthDate",
    "maritalStatus",
    "communication",
    "photo",
)  # of the best source that states it
UNITED = ("identifier", "name", "telecom", "address", "contact")  # everything that any source states, once
DECEASED = ("deceasedDateTime", "deceasedBoolean")
TAG = {"system": HUB_TAG, "code": GOLDEN}


def golden_patient(id: str, members: Sequence[Resource]) -> Resource:
    """Best source first: one in use, with a valid ID card number, that states most; then by id, so that order never decides."""
    ranked = sorted(members, key=_rank)
    golden: Resource = {"resourceType": "Patient", "id": id, "meta": {"tag": [TAG]}, "active": True}
    for element in UNITED:
        if values := _united(member.get(element) or () for member in ranked):
            golden[element] = values
    for element in BEST:
        stated = [member[element] for member in ranked if element in member]
        if stated:
            golden[element] = stated[0]
    for element in DECEASED:
        stated = [member[element] for member in ranked if member.get(element)]
        if stated:
            golden[element] = stated[0]
            break
    golden["link"] = [
        {"other": {"reference": f"Patient/{member['id']}"}, "type": "seealso"}
        for member in sorted(members, key=lambda member: str(member["id"]))
    ]
    return golden


def retired(id: str, successor: str) -> Resource:
    """A golden Patient whose person turned out to be another's: it says where to look."""
    link = [{"other": {"reference": f"Patient/{successor}"}, "type": "replaced-by"}]
    return {"resourceType": "Patient", "id": id, "meta": {"tag": [TAG]}, "active": False, "link": link}


def _rank(member: Resource) -> tuple[bool, bool, int, str]:
    facts = facts_of(member)
    stated = sum(1 for element in (*BEST, *UNITED) if member.get(element))
    return (not facts.active, not facts.numbers, -stated, str(member["id"]))


def _united(lists: Iterable[Iterable[Resource]]) -> list[Resource]:
    seen: set[str] = set()
    united: list[Resource] = []
    for values in lists:
        for value in values:
            text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
            if text not in seen:
                seen.add(text)
                united.append(value)
    return united
