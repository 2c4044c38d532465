"""The nine steps of mutual recognition put together: candidates and facts → an answer. Each step is a module of `steps`.

Every candidate gets every step, also after one failed, so that a doctor sees each reason and not only the first.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from hub.recognition.marks import counting_scopes, eqa_state, supported_scopes
from hub.recognition.model import Answer, Candidate, Judged, Order, Step, Verdict
from hub.recognition.steps import comparable
from hub.recognition.steps.context import context
from hub.recognition.steps.newest import newest_first
from hub.recognition.steps.person import identity, status
from hub.recognition.steps.quality import eqa_name, quality
from hub.recognition.steps.reach import area, tier
from hub.recognition.steps.readable import data
from hub.recognition.steps.window import window
from hub.recognition.times import Moment, local_time, moment_of
from profiles.catalogue import Catalogue

PERFORMED = ("performed", "collected", "issued")
"""Which time tells the day of the evaluation: that of the performance, else the nearest one that is stated."""


def evaluate(order: Order, candidates: Iterable[Candidate], asked: tuple[str, str] = ("", "")) -> Answer:
    """Judge every candidate for the order, newest first. `asked`: (system, code) as the orderer named the item."""
    judged = newest_first((_judged(candidate, order) for candidate in candidates), order.zone)
    verdict = _overall(judged)
    head = order.catalogue.catalogue
    return Answer(
        asked_system=asked[0],
        asked_code=asked[1] or order.item.code,
        item=order.item,
        catalogue_id=head.id,
        catalogue_version=head.version,
        context=order.context,
        orderer=order.orderer,
        verdict=verdict,
        reason=_reason(verdict, order, judged),
        candidates=judged,
        prompt=_prompt(verdict, order.context),
    )


def unmapped(asked: tuple[str, str], *, context: str, orderer: str, catalogue: Catalogue) -> Answer:
    """Step 1 failed for the asked code: no prompt."""
    head = catalogue.catalogue
    return Answer(asked[0], asked[1], None, head.id, head.version, context, orderer, "none", "unmapped")


def _judged(candidate: Candidate, order: Order) -> Judged:
    item = order.item
    stated = _stated(candidate, order, item.clock_from)
    moment = moment_of(stated, order.zone) if stated else None
    performed = _performed(candidate, order)
    day = performed.day if performed else None
    rows = order.evidence.of(candidate.facility, item.code)
    supported, counting = supported_scopes(rows, day), counting_scopes(rows, day, order.today)
    by_tier, duty = tier(candidate, order, counting)
    steps = (
        Step(1, "mapping", "pass", "mapped", {"item": item.code}),
        identity(candidate),
        status(candidate),
        context(order),
        area(candidate, order, supported, counting),
        by_tier,
        quality(candidate, order, rows, performed),
        window(stated, moment, order),
        *(rule(candidate, item) for rule in comparable.RULES),
        data(candidate, item),
    )
    verdict = _verdict(steps)
    return Judged(
        candidate=candidate,
        verdict=verdict,
        steps=steps,
        duty=duty if verdict == "recognisable" else "",
        performed=stated,
        age_days=order.age_of(moment) if moment else None,
        mark_claimed=candidate.mark,
        mark_verified=counting,
        eqa=eqa_name(rows, performed),
        eqa_now=eqa_state(rows, order.today),
    )


def _stated(candidate: Candidate, order: Order, clock: str) -> str:
    facility, stated = order.county.facility(candidate.facility), candidate.times.get(clock, "")
    return local_time(stated, order.county.zone) if facility is not None and facility.false_utc else stated


def _performed(candidate: Candidate, order: Order) -> Moment | None:
    stated = next((time for clock in PERFORMED if (time := _stated(candidate, order, clock))), "")
    return moment_of(stated, order.zone) if stated else None


def _verdict(steps: Iterable[Step]) -> Verdict:
    failed = {step.number for step in steps if step.outcome == "fail"}
    if 2 in failed:
        return "none"
    return "reference-only" if failed else "recognisable"


def _overall(judged: tuple[Judged, ...]) -> Verdict:
    found = {one.verdict for one in judged}
    return "recognisable" if "recognisable" in found else "reference-only" if "reference-only" in found else "none"


def _reason(verdict: Verdict, order: Order, judged: tuple[Judged, ...]) -> str:
    if verdict == "none":
        return "none-usable" if judged else "no-candidate"
    if order.context in order.item.excluded_contexts:
        return "context-excluded"
    return "recognisable" if verdict == "recognisable" else "only-reference"


def _prompt(verdict: Verdict, context: str) -> Literal["full", "line", "none"]:
    if verdict == "none":
        return "none"
    return "line" if context == "emergency" or verdict == "reference-only" else "full"
