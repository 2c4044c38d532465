"""Step 2: certainly this person's, and a result that its laboratory stands by."""

from __future__ import annotations

from hub.recognition.model import Candidate, Outcome, Step

FINAL_STATUS = frozenset({"final", "amended", "corrected", "available"})
"""Observation and DiagnosticReport; `available` is ImagingStudy's word for the same."""


def identity(candidate: Candidate) -> Step:
    if candidate.link_certain:
        return Step(2, "identity", "pass", "person-certain")
    return Step(2, "identity", "fail", "person-in-doubt")


def status(candidate: Candidate) -> Step:
    outcome: Outcome = "pass" if candidate.status in FINAL_STATUS else "fail"
    return Step(2, "status", outcome, f"status-{outcome}", {"status": candidate.status or "-"})
