"""How well a source's records arrive, from their outcomes: what a hospital mends first, by source, day and place.

Of each record the mapper has said how many fields it mapped, kept and could not map (the ledger), and what was wrong (issues).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo

from hub.store.port import Outcome

FEW = 20  # records of which a share says little
TOP = 12

# What is told of a source → the issues that count against it
SCORES = {
    "codes": frozenset({"unmapped-code"}),
    "values": frozenset({"invalid-value", "charset-repaired"}),
    "complete": frozenset({"missing"}),
    "identifiers": frozenset({"check-failed"}),
    "consistent": frozenset({"conflict", "moved"}),
}


@dataclass(frozen=True, slots=True)
class Share:
    """`good` of `all`."""

    good: int
    all: int

    @property
    def percent(self) -> float:
        return 100 * self.good / self.all if self.all else 0.0

    @property
    def few(self) -> bool:
        return self.all < FEW


@dataclass(frozen=True, slots=True)
class Place:
    """Something that goes wrong again and again."""

    code: str
    where: str  # "OBX-3": which of several repetitions does not matter
    records: int
    example: int  # journal number of the newest one


@dataclass(frozen=True, slots=True)
class Quality:
    source: str
    records: int
    mapped: Share  # of the fields that say something, but for those kept by decision
    usable: Share  # records that became resources
    scores: dict[str, Share]  # of SCORES: records without such an issue
    days: tuple[tuple[date, Share], ...]  # records without any warning, the oldest day first
    places: tuple[Place, ...]


def quality_of(source: str, outcomes: Sequence[Outcome], zone: tzinfo) -> Quality:
    """`outcomes`: of one source, the newest first."""
    done = [one for one in outcomes if one.state == "done"]
    ledger: Counter[str] = Counter()
    for one in done:
        ledger.update(one.ledger)
    return Quality(
        source=source,
        records=len(outcomes),
        mapped=Share(ledger["mapped"], ledger["mapped"] + ledger["unmapped"]),
        usable=Share(len(done), len(outcomes)),
        scores={name: Share(sum(not _has(one, codes) for one in done), len(done)) for name, codes in SCORES.items()},
        days=_days(outcomes, zone),
        places=_places(done),
    )


def _has(outcome: Outcome, codes: frozenset[str]) -> bool:
    return any(issue["code"] in codes for issue in outcome.issues)


def _clean(outcome: Outcome) -> bool:
    return outcome.state == "done" and all(issue.get("severity") == "information" for issue in outcome.issues)


def _days(outcomes: Iterable[Outcome], zone: tzinfo) -> tuple[tuple[date, Share], ...]:
    good: Counter[date] = Counter()
    every: Counter[date] = Counter()
    for one in outcomes:
        day = datetime.fromtimestamp(one.finished / 1000, UTC).astimezone(zone).date()
        every[day] += 1
        good[day] += _clean(one)
    return tuple((day, Share(good[day], every[day])) for day in sorted(every))


def _places(outcomes: Iterable[Outcome]) -> tuple[Place, ...]:
    found: dict[tuple[str, str], list[int]] = {}
    for one in outcomes:
        for key in {(issue["code"], place_name(issue.get("where", ""))) for issue in one.issues}:
            found.setdefault(key, []).append(one.seq)
    most = sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))[:TOP]
    return tuple(Place(code, where, len(numbers), max(numbers)) for (code, where), numbers in most)


def place_name(where: str) -> str:
    """'OBX[3]-5' → 'OBX-5': one field, whichever of its repetitions."""
    return re.sub(r"\[\d+\]", "", where)
