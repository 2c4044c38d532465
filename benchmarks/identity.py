"""Who is one person, of a synthetic county: how right the rules are, and how fast (`make identity-campaign`).

Right: pairs of Patients that are one resident's and are linked (true), linked and are not (wrong), are and are not linked (missed).
Each set of rules is looked at by itself, with the hub's own blocks, comparisons and joining.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from benchmarks.population import Held
from hub.identity.blocks import MOST, blocks_of
from hub.identity.joining import join
from hub.identity.matching import STANDARD, Matching
from hub.identity.pairs import Pair, in_order
from hub.identity.rules import TIERS, Facts, Verdict, compare, facts_of
from hub.identity.sets import Sets

RULE_SETS = ("ID card numbers", "every number", "numbers and weights")


class Quality(NamedTuple):
    rules: str
    true: int
    wrong: int
    missed: int
    doubts: int  # pairs that a person is asked about
    right_doubts: int  # of these one resident's

    @property
    def precision(self) -> float:
        return self.true / (self.true + self.wrong) if self.true + self.wrong else 1.0

    @property
    def recall(self) -> float:
        return self.true / (self.true + self.missed) if self.true + self.missed else 1.0

    @property
    def recall_with_doubts(self) -> float:
        """If every doubt were decided rightly."""
        return (self.true + self.right_doubts) / (self.true + self.missed) if self.true + self.missed else 1.0


class Compared(NamedTuple):
    facts: dict[str, Facts]
    residents: dict[str, int]
    verdicts: dict[Pair, Verdict]  # of all pairs that share a block; "no" is left out unless it keeps them apart
    given_up: Counter[str]  # blocks that too many share, by kind
    matching: Matching


def compared(held: Sequence[Held], matching: Matching = STANDARD) -> Compared:
    facts = {str(each.patient["id"]): facts_of(each.patient, each.facility) for each in held}
    residents = {str(each.patient["id"]): each.resident for each in held}
    blocks: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for id, each in facts.items():
        for block in blocks_of(each):
            blocks[block].append(id)
    verdicts: dict[Pair, Verdict] = {}
    for members in blocks.values():
        if len(members) <= MOST:
            for one, other in combinations(members, 2):
                pair = in_order(one, other)
                if pair not in verdicts:
                    verdicts[pair] = compare(facts[one], facts[other], matching)
    said = {pair: verdict for pair, verdict in verdicts.items() if verdict.answer != "no" or verdict.apart}
    given_up = Counter(kind for (kind, _), members in blocks.items() if len(members) > MOST)
    return Compared(facts, residents, said, given_up, matching)


def quality(found: Compared, rules: str) -> Quality:
    """Of one of RULE_SETS: what it links, with everybody that hangs together looked at as the hub does."""
    reasons = frozenset().union(*TIERS[: RULE_SETS.index(rules) + 1])
    links = [pair for pair, verdict in found.verdicts.items() if verdict.answer == "link" and verdict.reason in reasons]
    person = persons_of(found, links, reasons)
    true = wrong = 0
    for members in _grouped(person).values():
        for one, other in combinations(members, 2):
            if found.residents[one] == found.residents[other]:
                true += 1
            else:
                wrong += 1
    total = sum(count * (count - 1) // 2 for count in Counter(found.residents.values()).values())
    doubts = [pair for pair in found.verdicts if _asked(found.verdicts[pair], reasons) and person[pair[0]] != person[pair[1]]]
    right = sum(found.residents[one] == found.residents[other] for one, other in doubts)
    return Quality(rules, true, wrong, total - true, len(doubts), right)


def _asked(verdict: Verdict, reasons: frozenset[str]) -> bool:
    return verdict.answer == "doubt" or (verdict.answer == "link" and verdict.reason in reasons)


def persons_of(found: Compared, links: Iterable[Pair], reasons: frozenset[str]) -> dict[str, str]:
    """Patient → its person's first Patient."""
    near = Sets(found.facts)
    for pair in links:
        near.join(*pair)
    person = {id: id for id in found.facts}
    for members in _grouped({id: near.of(id) for id in found.facts}).values():
        if len(members) > 1:
            sets = Sets(members)
            inside = {(a, b): compare(found.facts[a], found.facts[b], found.matching) for a, b in combinations(sorted(members), 2)}
            join(sets, {pair: v for pair, v in inside.items() if v.answer != "link" or v.reason in reasons})
            person.update((id, sets.of(id)) for id in members)
    return person


def _grouped(person: Mapping[str, str]) -> dict[str, list[str]]:
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for id, of in person.items():
        groups[of].append(id)
    return groups
