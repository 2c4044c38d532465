"""Step 5: the laboratory had passed its evaluation, and it was valid, on the day the item was performed."""

from __future__ import annotations

from hub.recognition.marks import evidence_at
from hub.recognition.model import Candidate, Order, Step
from hub.recognition.times import Moment
from profiles.catalogue import EvidenceRow


def quality(candidate: Candidate, order: Order, rows: tuple[EvidenceRow, ...], performed: Moment | None) -> Step:
    if order.item.requires_eqa == "no" and order.near(candidate.facility):
        return Step(5, "eqa", "not-applicable", "eqa-not-required")
    if performed is None:
        return Step(5, "eqa", "fail", "eqa-no-time")
    held = evidence_at(rows, performed.day)
    passed = next((row for row in held if row.passed), None)
    if passed:
        return Step(5, "eqa", "pass", "eqa-passed", _stated(passed))
    if held:
        return Step(5, "eqa", "fail", "eqa-failed", _stated(held[0]))
    if rows:
        return Step(5, "eqa", "fail", "eqa-out-of-date", _stated(max(rows, key=lambda row: row.valid_to)))
    return Step(5, "eqa", "fail", "eqa-none")


def _stated(row: EvidenceRow) -> dict[str, str]:
    span = {"from": row.valid_from.isoformat(), "to": row.valid_to.isoformat()}
    return {"scheme": row.scheme, "round": row.round, "scope": row.scope, **span}


def eqa_name(rows: tuple[EvidenceRow, ...], performed: Moment | None) -> str:
    """The scheme and round that decided; "" where none held."""
    held = evidence_at(rows, performed.day) if performed else ()
    row = next((row for row in held if row.passed), held[0] if held else None)
    return f"{row.scheme} {row.round}" if row else ""
