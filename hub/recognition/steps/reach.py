"""Step 4: a verified mark whose area contains the orderer, or one community; and who has to accept whom."""

from __future__ import annotations

from hub.recognition.model import Candidate, Duty, Order, Step
from hub.recognition.places import LEVEL, level_of, tier_of


def area(candidate: Candidate, order: Order, supported: tuple[str, ...], counting: tuple[str, ...]) -> Step:
    """The report's own mark alone proves nothing; `supported`: by evidence of the day performed; `counting`: of those, still."""
    if candidate.facility == order.orderer:
        return Step(4, "area", "pass", "own-result")
    if order.near(candidate.facility):
        return Step(4, "area", "pass", "same-community")
    if order.item.min_mark == "none":
        return Step(4, "area", "pass", "mark-not-required")
    return _by_mark(candidate, order, supported, counting)


def _by_mark(candidate: Candidate, order: Order, supported: tuple[str, ...], counting: tuple[str, ...]) -> Step:
    covering = [scope for scope in counting if scope in order.areas]
    wide = next((scope for scope in covering if level_of(scope) >= LEVEL[order.item.min_mark]), None)
    if wide:
        return Step(4, "area", "pass", "mark-covers", {"scope": wide})
    if covering:
        return Step(4, "area", "fail", "mark-too-narrow", {"scope": covering[0], "needed": order.item.min_mark})
    if counting:
        return Step(4, "area", "fail", "mark-elsewhere", {"scope": counting[0]})
    if supported:
        return Step(4, "area", "fail", "mark-lapsed", {"scope": supported[0]})
    if candidate.mark:
        return Step(4, "area", "fail", "mark-unverified", {"mark": candidate.mark})
    return Step(4, "area", "fail", "no-mark")


def tier(candidate: Candidate, order: Order, counting: tuple[str, ...]) -> tuple[Step, Duty]:
    """Lower accepts upper; upper may accept lower; inside one community all recognise all.

    The duty is to recognise what bears a mark that covers the orderer, or is of the same community; others one may.
    """
    source, orderer, county = candidate.facility, order.orderer, order.county
    if source == orderer:
        return Step(4, "tier", "not-applicable", "tier-own"), "must"
    if order.near(source):
        return Step(4, "tier", "pass", "tier-same-community"), "must"
    covered = not order.areas.isdisjoint(counting)
    if tier_of(source, county) >= tier_of(orderer, county):
        return Step(4, "tier", "pass", "tier-equal-or-upper"), "must" if covered else "may"
    policy = order.item.lower_tier_source
    if policy == "ignore":
        return Step(4, "tier", "fail", "tier-lower-ignored"), ""
    return Step(4, "tier", "pass", f"tier-lower-{policy}"), "must" if policy == "must" and covered else "may"
