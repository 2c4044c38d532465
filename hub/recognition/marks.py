"""What a laboratory's quality evaluations (室间质评, EQA) support on a day: the marks that count, whatever a report claims."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import date
from typing import Literal

from hub.recognition.places import level_of
from profiles.catalogue import EvidenceRow

NATION = "national"
EqaState = Literal["valid", "failed", "lapsed", "none"]


def evidence_at(rows: Iterable[EvidenceRow], day: date) -> tuple[EvidenceRow, ...]:
    """What held on that day: of each scope and scheme the newest round. A failure withdraws every pass before it, for good."""
    begun: dict[tuple[str, str], list[EvidenceRow]] = {}
    for row in rows:
        if row.valid_from <= day:
            begun.setdefault((row.scope, row.scheme), []).append(row)
    newest = (max(standing, key=lambda row: row.valid_from) for each in begun.values() if (standing := _standing(each, day)))
    return tuple(newest)


def _standing(begun: Iterable[EvidenceRow], day: date) -> list[EvidenceRow]:
    """Of one scope and scheme: what is in date and was not withdrawn since."""
    begun = list(begun)
    failed = max((row.valid_from for row in begun if not row.passed), default=date.min)
    return [row for row in begun if day <= row.valid_to and (row.valid_from > failed or not row.passed)]


def supported_scopes(rows: Iterable[EvidenceRow], day: date | None) -> tuple[str, ...]:
    """The areas that evidence supports on `day`, widest first."""
    if day is None:
        return ()
    return _widest_first({row.scope for row in evidence_at(rows, day) if row.passed})


def counting_scopes(rows: tuple[EvidenceRow, ...], performed: date | None, today: date) -> tuple[str, ...]:
    """Marks that count: supported when the item was performed, and still. A lapse ends them at once.

    A nationwide evaluation holds in every area: a province's mark does not end when the nation's follows it.
    """
    then, still = supported_scopes(rows, performed), supported_scopes(rows, today)
    return _widest_first({scope for scope in (*then, *still) if _within(scope, then) and _within(scope, still)})


def _within(scope: str, scopes: Collection[str]) -> bool:
    return scope in scopes or NATION in scopes


def _widest_first(scopes: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(scopes, key=lambda scope: (-level_of(scope), scope)))


def eqa_state(rows: tuple[EvidenceRow, ...], today: date) -> EqaState:
    """How the laboratory stands on `today`."""
    held = evidence_at(rows, today)
    if any(row.passed for row in held):
        return "valid"
    return "failed" if held else "lapsed" if rows else "none"
