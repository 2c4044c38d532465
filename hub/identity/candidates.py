"""Which stored Patients may be the same person: found through the search index, so the cost does not grow with the county.

Two questions a Patient: the same number (one index probe); the same birth date and first character of the name (some 60 people of a
county of 500,000 share a birthday, of whom the index returns those of one surname).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hub.fhir_json import load
from hub.identity.rules import Facts, compare, facts_of
from hub.search.dates import interval
from hub.search.folding import fold_code
from hub.search.query import Criterion, DateValue, SearchQuery, StringValue, TokenValue
from hub.store.port import Key, Transaction
from profiles.names import GOLDEN, HUB_TAG, ID_CARD

Resource = dict[str, Any]

NOT_GOLDEN = ((HUB_TAG, GOLDEN),)
MOST = 100  # candidates of one question; more is a filler that thousands share, and matches nobody
MOST_IN_ALL = 60  # Patients that hang together; more are no person


class Neighbourhood:
    """The Patients that hang together with one, by rule, by link or because a golden Patient joins them today."""

    def __init__(self, transaction: Transaction, patient: Resource) -> None:
        self._transaction = transaction
        self._asked: dict[tuple[str, ...], list[str]] = {}
        self._seen: dict[str, tuple[Resource, Facts] | None] = {}
        self.patients: dict[str, Resource] = {}
        self.facts: dict[str, Facts] = {}
        self.merged: dict[str, str] = {}
        self.complete = self._gather(patient)

    def _gather(self, patient: Resource) -> bool:
        waiting = [self._add(patient)]
        while waiting:
            if len(self.patients) > MOST_IN_ALL:
                return False
            id = waiting.pop()
            for other in self._near(id):
                if other not in self.patients and (found := self._looked_at(other)) is not None:
                    resource, facts = found
                    if self._belongs(id, other, facts):
                        waiting.append(self._add(resource))
        return True

    def _add(self, patient: Resource) -> str:
        id = str(patient["id"])
        self.patients[id] = patient
        self.facts[id] = facts_of(patient)
        survivors = [target for target, kind in _links(patient) if kind == "replaced-by"]
        if survivors and not self.facts[id].active:
            self.merged[id] = survivors[-1]
        return id

    def _belongs(self, id: str, other: str, facts: Facts) -> bool:
        if other in self._bound(id):
            return True
        return id not in self.merged and compare(self.facts[id], facts).answer != "no"

    def _near(self, id: str) -> Iterator[str]:
        yield from self._bound(id)
        if id in self.merged:
            return
        facts = self.facts[id]
        for number in sorted(facts.numbers):
            yield from self._by_number(number)
        if facts.name and facts.birth_date:
            yield from self._by_name(facts.name[0], facts.birth_date)

    def _bound(self, id: str) -> list[str]:
        person = self._transaction.person_of(id)
        mates = [mate for mate in self._transaction.patients_of(person) if mate != person]
        return list(dict.fromkeys([*(target for target, _ in _links(self.patients[id])), *mates]))

    def _looked_at(self, id: str) -> tuple[Resource, Facts] | None:
        if id not in self._seen:
            resource = self._load(id)
            self._seen[id] = (resource, facts_of(resource)) if resource is not None else None
        return self._seen[id]

    def _load(self, id: str) -> Resource | None:
        version = self._transaction.current(Key("Patient", id))
        if version is None or version.deleted:
            return None
        patient = load(version.body)
        return None if _golden(patient) else patient

    def _by_number(self, number: str) -> list[str]:
        forms = [number] + ([number[:6] + number[8:17]] if number[6:8] == "19" else [])
        values = tuple(TokenValue(ID_CARD, fold_code(form)) for form in forms)
        return self._find(("number", number), Criterion("identifier", "token", values))

    def _by_name(self, first: str, born: str) -> list[str]:
        low, high = interval(born)
        return self._find(
            ("name", first, born),
            Criterion("birthdate", "date", (DateValue("eq", low, high),)),
            Criterion("name", "string", (StringValue(first),)),
        )

    def _find(self, question: tuple[str, ...], *criteria: Criterion) -> list[str]:
        if question not in self._asked:
            query = SearchQuery("Patient", criteria, hidden_tags=NOT_GOLDEN)
            found = [key.id for key in self._transaction.find(query, limit=MOST)]
            self._asked[question] = found if len(found) < MOST else []
        return self._asked[question]


def _links(patient: Resource) -> list[tuple[str, str]]:
    """Links that a facility stated: (Patient id, type)."""
    links = ((str((link.get("other") or {}).get("reference", "")), str(link.get("type", ""))) for link in patient.get("link") or ())
    return [(target.removeprefix("Patient/"), kind) for target, kind in links if target.startswith("Patient/")]


def _golden(patient: Resource) -> bool:
    return any(tag.get("system") == HUB_TAG and tag.get("code") == GOLDEN for tag in (patient.get("meta") or {}).get("tag", ()))
