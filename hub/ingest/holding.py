"""Records of which nothing becomes until a person has looked: they wait among the dead letters, and asking for them by number lets
them pass.

A connector holds what it has refused and must not lose. A key that names one record of its source (MSH-10) and comes with another
body contradicts itself: which of the two is right, or whether both are, the hub does not guess.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from hub.ingest.journal import Entry, Journal
from hub.ingest.mapping import Attempt

HELD = "held"  # hints of a SourceRecord
UNIQUE = "control_id_days"


def held(journal: Journal, entries: Sequence[Entry]) -> Mapping[int, str]:
    """Number → why it is held."""
    reasons = {entry.seq: entry.record.hints[HELD] for entry in entries if entry.record.hints.get(HELD)}
    unique = [entry.seq for entry in entries if entry.record.hints.get(UNIQUE)]
    contradicted = journal.contradicted(unique) if unique else {}
    return reasons | {
        seq: f"conflict: record {first} has the same control id and another body" for seq, first in contradicted.items()
    }


def holding(attempts: Iterable[Attempt], reasons: Mapping[int, str]) -> Iterator[Attempt]:
    for attempt in attempts:
        reason = reasons.get(attempt.seq)
        yield replace(attempt, held=reason) if reason else attempt
