"""What a laboratory's quality evaluations (室间质评, EQA) support on a day: the marks that count, whatever a report claims."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Literal

from hub.recognition.places import level_of
from profiles.catalogue import EvidenceRow

EqaState = Literal["valid", "failed", "lapsed", "none"]


def evidence_at(rows: Iterable[EvidenceRow], day: date) -> tuple[EvidenceRow, ...]:
    """What held on that day: of each scope and scheme the newest round, so a later failure withdraws an earlier pass."""
    newest: dict[tuple[str, str], EvidenceRow] = {}
    for row in rows:
        if row.valid_from <= day <= row.valid_to:
            held = newest.get((row.scope, row.scheme))
            if held is None or row.valid_from > held.valid_from or (row.valid_from == held.valid_from and not row.passed):
                newest[row.scope, row.scheme] = row
    return tuple(newest.values())


def supported_scopes(rows: Iterable[EvidenceRow], day: date | None) -> tuple[str, ...]:
    """The areas that evidence supports on `day`, widest first."""
    if day is None:
        return ()
    scopes = {row.scope for row in evidence_at(rows, day) if row.passed}
    return tuple(sorted(scopes, key=lambda scope: (-level_of(scope), scope)))


def counting_scopes(rows: tuple[EvidenceRow, ...], performed: date | None, today: date) -> tuple[str, ...]:
    """Marks that count: supported when the item was performed, and still. A lapse ends them at once."""
    still = set(supported_scopes(rows, today))
    return tuple(scope for scope in supported_scopes(rows, performed) if scope in still)


def eqa_state(rows: tuple[EvidenceRow, ...], today: date) -> EqaState:
    """How the laboratory stands on `today`."""
    held = evidence_at(rows, today)
    if any(row.passed for row in held):
        return "valid"
    return "failed" if held else "lapsed" if rows else "none"
