"""Two tables of evidence, or the same one on two days → whose marks stand otherwise than before."""

from __future__ import annotations

from datetime import date

from hub.recognition.marks import evidence_at
from profiles.catalogue import Evidence, EvidenceRow

Pair = tuple[str, str]  # facility, item


def changed_pairs(before: Evidence, then: date, after: Evidence, now: date) -> frozenset[Pair]:
    """Of which laboratory and item a row came, went or changed, or what held `then` does not hold `now`, or the other way."""
    old, new = _by_pair(before), _by_pair(after)
    return frozenset(
        pair
        for pair in old.keys() | new.keys()
        if old.get(pair) != new.get(pair) or set(evidence_at(old[pair], then)) != set(evidence_at(new[pair], now))
    )


def _by_pair(evidence: Evidence) -> dict[Pair, frozenset[EvidenceRow]]:
    found: dict[Pair, set[EvidenceRow]] = {}
    for row in evidence.rows:
        found.setdefault((row.organization, row.item), set()).add(row)
    return {pair: frozenset(rows) for pair, rows in found.items()}
