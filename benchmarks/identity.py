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
from hub.identity.blocks import FULL, MOST, blocks_of
from hub.identity.households import Households, Place, places_of, reading_of, too_many
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
    given_up: Counter[str]  # blocks, telephones and addresses that too many share, by kind
    matching: Matching
    looked_at: int  # pairs compared


def compared(held: Sequence[Held], matching: Matching = STANDARD) -> Compared:
    stated = {str(each.patient["id"]): facts_of(each.patient, each.facility) for each in held}
    crowded = _Crowded(stated.values())
    households = Households(crowded)
    facts = {id: households.telling(each) for id, each in stated.items()}
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
    given_up = Counter(kind for (kind, _), members in blocks.items() if len(members) > MOST) + crowded.kinds
    return Compared(facts, residents, said, given_up, matching, len(verdicts))


class _Crowded:
    """What the store knows of telephones and addresses once all Patients are in it."""

    def __init__(self, every: Iterable[Facts]) -> None:
        readings: defaultdict[Place, list[str]] = defaultdict(list)
        for facts in every:
            for place in places_of(facts):
                readings[place].append(reading_of(facts))
        full = [place for place, named in readings.items() if too_many(named, len(named))]
        self._full = {place.key for place in full}
        self.kinds = Counter(place.kind for place in full)

    def item(self, shelf: str, key: str) -> bytes | None:  # noqa: ARG002 - it stands for a store
        return FULL if key in self._full else None


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


def missed(found: Compared) -> dict[str, int]:
    """Why pairs of one resident are not linked: the reason of the doubt, "nothing" where nobody is asked."""
    reasons = frozenset().union(*TIERS)
    links = [pair for pair, verdict in found.verdicts.items() if verdict.answer == "link"]
    person = persons_of(found, links, reasons)
    why: Counter[str] = Counter()
    for members in _grouped({id: str(resident) for id, resident in found.residents.items()}).values():
        for pair in combinations(sorted(members), 2):
            if person[pair[0]] != person[pair[1]]:
                verdict = found.verdicts.get(pair)
                why[verdict.reason if verdict and verdict.answer != "no" else "nothing"] += 1
    return dict(why.most_common())


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
