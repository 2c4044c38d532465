"""Which stored Patients may be the same person: found through hub.identity.blocks, so the cost does not grow with the county.

Those that a rule links, a facility merged or a golden Patient joins today hang together and are settled together. Of those that are
only doubtful the pair is noted; who else they hang together with makes no difference to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from hub.fhir_json import load
from hub.identity import households
from hub.identity.blocks import Block, blocks_of, enter, members, merged_into
from hub.identity.households import Households, Place
from hub.identity.matching import matching_in
from hub.identity.pairs import Pair, in_order
from hub.identity.rules import TIERS, Facts, Verdict, compare, facts_of
from hub.security.policy import is_golden
from hub.store.port import Key, Transaction

Resource = dict[str, Any]

MOST_IN_ALL = 60  # Patients that hang together; more are no person
SUREST = TIERS[0]  # followed alone where too many hang together


class Looked(NamedTuple):
    patient: Resource
    facts: Facts
    facility: str


class Neighbourhood:
    """The Patients that hang together with one."""

    def __init__(self, transaction: Transaction, patient: Resource, *others: Resource) -> None:
        """`others` are looked at whatever binds them: a person is about to say so."""
        self._transaction = transaction
        self.matching = matching_in(transaction)
        self._households = Households(transaction)
        self._members: dict[str, list[str]] = {}
        self._bounds: dict[str, list[str]] = {}
        self._seen: dict[str, Looked | None] = {}
        self._compared: dict[Pair, Verdict] = {}
        first = [str(each["id"]) for each in (patient, *others)]
        self._gather(first)
        if len(self.patients) > MOST_IN_ALL:
            self._gather(first, SUREST)
        self.complete = len(self.patients) <= MOST_IN_ALL

    def _gather(self, ids: Iterable[str], followed: frozenset[str] | None = None) -> None:
        self.patients: dict[str, Resource] = {}
        self.facts: dict[str, Facts] = {}
        self.merged: dict[str, str] = {}
        self.doubts: dict[Pair, str] = {}  # with Patients that do not hang together with these
        near: dict[Pair, str] = {}
        waiting = [id for id in dict.fromkeys(ids) if self._add(id)]
        while waiting and len(self.patients) <= MOST_IN_ALL:
            id = waiting.pop()
            for other in self._near(id):
                if other in self.patients or (found := self._looked_at(other)) is None:
                    continue
                answer, reason = self._belongs(id, other, found.facts, followed)
                if answer == "link":
                    self._add(other)
                    waiting.append(other)
                elif answer == "doubt":
                    near[in_order(id, other)] = reason
        near |= {claim: "merged-elsewhere" for id in self.patients for claim in self._claims(id) if claim not in near}
        self.doubts = {pair: reason for pair, reason in near.items() if not set(pair) <= self.patients.keys()}

    def enter(self, id: str) -> list[str]:
        """Make the Patient findable: see hub.identity.blocks.enter."""
        return enter(self._transaction, id, self._blocks(id), self._belongs_to)

    def _blocks(self, id: str) -> list[Block]:
        """In which others find it."""
        found = self._looked_at(id)
        merges = [merged_into(target) for target, kind in _links(found.patient) if kind == "replaced-by"] if found else []
        return [*merges, *(blocks_of(found.facts) if found else ())]

    def _belongs_to(self, id: str, block: Block) -> bool:
        return block in self._blocks(id)

    def _add(self, id: str) -> bool:
        found = self._looked_at(id)
        if found is None:
            return False
        self.patients[id], self.facts[id] = found.patient, found.facts
        if not found.facts.active and (survivors := self._survivors(id)):
            self.merged[id] = survivors[-1]
        return True

    def _survivors(self, id: str) -> list[str]:
        return [target for target, kind in self._stated(id) if kind == "replaced-by"]

    def _belongs(self, id: str, other: str, facts: Facts, followed: frozenset[str] | None) -> tuple[str, str]:
        """ "link": it hangs together with `id`."""
        if other in self._bound(id) or any(target == id for target, _ in self._stated(other)):
            return "link", ""
        if id in self.merged:
            return "no", ""
        if not facts.active and self._survivors(other):
            return "no", ""  # it goes where its survivor goes
        verdict = self._verdict(id, other, facts)
        if verdict.answer == "link" and followed is not None and verdict.reason not in followed:
            return "no", ""
        return verdict.answer, verdict.reason

    def _verdict(self, id: str, other: str, facts: Facts) -> Verdict:
        pair = in_order(id, other)
        if pair not in self._compared:
            self._compared[pair] = compare(self.facts[id], facts, self.matching)
        return self._compared[pair]

    def _near(self, id: str) -> Iterator[str]:
        yield from self._bound(id)
        yield from self._in_block(merged_into(id))
        if id not in self.merged:
            for block in blocks_of(self.facts[id]):
                yield from self._in_block(block)

    def _in_block(self, block: Block) -> list[str]:
        if block.key not in self._members:
            self._members[block.key] = members(self._transaction, block) or []
        return self._members[block.key]

    def _bound(self, id: str) -> list[str]:
        """By a link that its facility stated between its own Patients, or by a golden Patient."""
        if id not in self._bounds:
            person = self._transaction.person_of(id)
            mates = [mate for mate in self._transaction.patients_of(person) if mate != person]
            self._bounds[id] = list(dict.fromkeys([*(target for target, _ in self._stated(id)), *mates]))
        return self._bounds[id]

    def _stated(self, id: str) -> list[tuple[str, str]]:
        """Links between Patients of one facility; what it says of another facility's Patient would hand it that one's records."""
        found = self._seen[id]
        links = _links(found.patient) if found is not None else []
        looked = ((target, kind, self._looked_at(target)) for target, kind in links if target != id)
        return [(target, kind) for target, kind, other in looked if found and other and other.facility == found.facility]

    def _claims(self, id: str) -> Iterator[Pair]:
        """Merges with another facility's Patient: its say alone does not make them one."""
        own = {target for target, _ in self._stated(id)}
        for target, kind in _links(self.patients[id]):
            if kind in ("replaced-by", "replaces") and target != id and target not in own and self._looked_at(target):
                yield in_order(id, target)

    def _looked_at(self, id: str) -> Looked | None:
        if id not in self._seen:
            self._seen[id] = self._load(id)
        return self._seen[id]

    def _load(self, id: str) -> Looked | None:
        version = self._transaction.current(Key("Patient", id))
        if version is None or version.deleted:
            return None
        patient = load(version.body)
        if is_golden(patient):
            return None
        return Looked(patient, self._households.telling(facts_of(patient, version.facility)), version.facility)


def enter_households(transaction: Transaction, patient: Resource) -> list[str]:
    """Before its neighbours are looked at: see hub.identity.households.enter."""

    def states(id: str, place: Place) -> bool:
        version = transaction.current(Key("Patient", id))
        return version is not None and not version.deleted and place in households.places_of(facts_of(load(version.body)))

    return households.enter(transaction, facts_of(patient), states)


def _links(patient: Resource) -> list[tuple[str, str]]:
    """Links that a facility stated: (Patient id, type)."""
    links = ((str((link.get("other") or {}).get("reference", "")), str(link.get("type", ""))) for link in patient.get("link") or ())
    return [(target.removeprefix("Patient/"), kind) for target, kind in links if target.startswith("Patient/")]
