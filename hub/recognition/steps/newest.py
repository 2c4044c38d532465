"""Step 9: newest first; of those that passed everything, the newest is the one to use."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import tzinfo

from hub.recognition.model import Judged, Step
from hub.recognition.times import moment_of


def newest_first(judged: Iterable[Judged], zone: tzinfo) -> tuple[Judged, ...]:
    ranked: list[Judged] = []
    used = False
    for one in sorted(judged, key=lambda one: _place(one, zone)):
        if one.verdict != "recognisable":
            step = Step(9, "newest", "not-applicable", "newest-not-in-question")
        elif used:
            step = Step(9, "newest", "not-applicable", "newest-is-another")
        else:
            step, used = Step(9, "newest", "pass", "newest"), True
        ranked.append(replace(one, steps=(*one.steps, step)))
    return tuple(ranked)


def _place(judged: Judged, zone: tzinfo) -> tuple[float, str]:
    """Those without a usable time come last; equal times are settled by the reference, so the order never wavers."""
    moment = moment_of(judged.performed, zone)
    at = float("inf") if moment is None else -moment.begins(zone).timestamp()
    return (at, judged.candidate.reference)
