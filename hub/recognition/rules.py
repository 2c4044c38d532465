"""The nine steps of mutual recognition, as pure functions: same facts in, same answer out.

1 mapping · 2 person and status · 3 context · 4 mark covers the orderer, or one community; tier · 5 quality evaluation valid when
performed · 6 window · 7 specimen, method, unit, body part comparable · 8 data readable, images reachable · 9 newest first.
Every candidate gets every step, also after one failed, so that a doctor sees each reason and not only the first.

Days are calendar days in the county's zone: performed on the 1st with a window of 7 days holds to the end of the 8th, whatever the
hour. A window of 0 days means never in that context. A time known only to the month is no time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from typing import Literal
from zoneinfo import ZoneInfo

from hub.recognition.model import Answer, Candidate, Duty, Judged, Outcome, Step, Verdict
from hub.settings import County, Facility
from profiles.catalogue import Catalogue, Evidence, EvidenceRow, Item

FINAL_STATUS = frozenset({"final", "amended", "corrected", "available"})
"""Observation and DiagnosticReport; `available` is ImagingStudy's word for the same."""

LEVEL = {"none": 0, "community": 1, "county": 2, "prefecture": 3, "province": 4, "agreement": 5, "national": 6}
"""How wide a mark reaches: national ⊃ agreement ⊃ province ⊃ prefecture ⊃ county ⊃ community."""

CLOCK_TOLERANCE = timedelta(minutes=5)  # between a device's clock and ours

UPPER_GRADES = ("三级", "二级甲等", "三甲", "三乙", "三丙", "三特", "二甲")


@dataclass(frozen=True, slots=True)
class Question:
    """What is the same for all candidates of one asked code."""

    item: Item
    context: str
    orderer: str
    county: County
    catalogue: Catalogue
    evidence: Evidence
    now: datetime
    zone: tzinfo


@dataclass(frozen=True, slots=True)
class Moment:
    """When the item's clock starts. `at` is None where only the day is known."""

    stated: str
    day: date
    at: datetime | None


def zone_of(name: str) -> tzinfo:
    """`+08:00` or `Asia/Shanghai`."""
    offset = re.fullmatch(r"([+-])(\d\d):?(\d\d)", name)
    if offset is None:
        return ZoneInfo(name)
    minutes = int(offset[2]) * 60 + int(offset[3])
    return timezone(timedelta(minutes=-minutes if offset[1] == "-" else minutes))


def moment_of(stated: str, zone: tzinfo) -> Moment | None:
    """A FHIR date or dateTime as a day of the county; None for a year or a month, which are no day."""
    if re.fullmatch(r"\d{4}-\d\d-\d\d", stated):
        return Moment(stated, date.fromisoformat(stated), None)
    if "T" not in stated:
        return None
    try:
        at = datetime.fromisoformat(stated)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=zone)
    return Moment(stated, at.astimezone(zone).date(), at)


def community_of(facility: Facility | None, county: County) -> str:
    """A clinic without a community of its own belongs to its parent's, else to the county's."""
    for _ in range(8):
        if facility is None:
            return ""
        if facility.community or not facility.parent:
            break
        facility = county.facility(facility.parent)
    return (facility.community or county.community) if facility else ""


def areas_of(code: str, county: County) -> frozenset[str]:
    """Every area that a facility lies in: stated, its parent's, its community, and the country."""
    areas = {"national"}
    facility = county.facility(code)
    if community := community_of(facility, county):
        areas.add(f"community:{community}")
    for _ in range(8):
        if facility is None:
            break
        areas.update(facility.areas)
        facility = county.facility(facility.parent) if facility.parent else None
    return frozenset(areas)


def same_community(one: str, other: str, county: County) -> bool:
    if one == other:
        return True
    mine = community_of(county.facility(one), county)
    return bool(mine) and mine == community_of(county.facility(other), county)


def tier_of(code: str, county: County) -> int:
    """2 from 二级甲等 up, else 1: the two bands within which facilities recognise one another (苏卫医政〔2022〕18号)."""
    facility = county.facility(code)
    return 2 if facility is not None and facility.grade.startswith(UPPER_GRADES) else 1


def evidence_at(rows: Iterable[EvidenceRow], day: date) -> tuple[EvidenceRow, ...]:
    """What held on that day: of each scope and scheme the newest round, so a later failure withdraws an earlier pass."""
    newest: dict[tuple[str, str], EvidenceRow] = {}
    for row in rows:
        if row.valid_from <= day <= row.valid_to:
            held = newest.get((row.scope, row.scheme))
            if held is None or row.valid_from > held.valid_from or (row.valid_from == held.valid_from and not row.passed):
                newest[row.scope, row.scheme] = row
    return tuple(newest.values())


def verified_scopes(rows: Iterable[EvidenceRow], day: date | None) -> tuple[str, ...]:
    if day is None:
        return ()
    scopes = {row.scope for row in evidence_at(rows, day) if row.passed}
    return tuple(sorted(scopes, key=lambda scope: -LEVEL[scope.split(":")[0]]))


def evaluate(
    item: Item,
    candidates: Iterable[Candidate],
    *,
    context: str,
    orderer: str,
    county: County,
    catalogue: Catalogue,
    evidence: Evidence,
    now: datetime,
    asked: tuple[str, str] = ("", ""),
) -> Answer:
    """Judge every candidate for `orderer`, newest first. `now` is aware; nothing else tells the time."""
    question = Question(item, context, orderer, county, catalogue, evidence, now, zone_of(county.zone))
    judged = sorted((_judge(candidate, question) for candidate in candidates), key=lambda one: _newest_first(one, question.zone))
    ranked = _with_rank(judged)
    verdict = _overall(ranked)
    return Answer(
        asked_system=asked[0],
        asked_code=asked[1] or item.code,
        item=item,
        catalogue_id=catalogue.catalogue.id,
        catalogue_version=catalogue.catalogue.version,
        context=context,
        orderer=orderer,
        verdict=verdict,
        reason=_reason(verdict, item, context),
        candidates=ranked,
        prompt=_prompt(verdict, context),
    )


def unmapped(asked: tuple[str, str], *, context: str, orderer: str, catalogue: Catalogue) -> Answer:
    """Step 1 failed for the asked code: no prompt."""
    head = catalogue.catalogue
    return Answer(asked[0], asked[1], None, head.id, head.version, context, orderer, "none", "unmapped")


def _judge(candidate: Candidate, question: Question) -> Judged:
    item = question.item
    stated = candidate.times.get(item.clock_from, "")
    moment = moment_of(stated, question.zone) if stated else None
    rows = question.evidence.of(candidate.facility, item.code)
    scopes = verified_scopes(rows, moment.day if moment else None)
    tier, duty = _tier(candidate, question)
    steps = (
        Step(1, "mapping", "pass", "mapped", {"item": item.code}),
        _identity(candidate),
        _status(candidate),
        _context(question),
        _area(candidate, question, scopes),
        tier,
        _quality(candidate, question, rows, moment),
        _window(stated, moment, question),
        *(rule(candidate, item) for rule in COMPARABLE),
        _data(candidate, item),
    )
    verdict = _verdict(steps)
    return Judged(
        candidate=candidate,
        verdict=verdict,
        steps=steps,
        duty=duty if verdict == "recognisable" else "",
        performed=stated,
        age_days=(question.now.astimezone(question.zone).date() - moment.day).days if moment else None,
        mark_claimed=candidate.mark,
        mark_verified=scopes,
        eqa=_eqa_name(rows, moment),
    )


def _verdict(steps: Iterable[Step]) -> Verdict:
    failed = {step.number for step in steps if step.outcome == "fail"}
    if 2 in failed:
        return "none"
    return "reference-only" if failed else "recognisable"


def _identity(candidate: Candidate) -> Step:
    if candidate.link_certain:
        return Step(2, "identity", "pass", "person-certain")
    return Step(2, "identity", "fail", "person-in-doubt")


def _status(candidate: Candidate) -> Step:
    outcome: Outcome = "pass" if candidate.status in FINAL_STATUS else "fail"
    return Step(2, "status", outcome, f"status-{outcome}", {"status": candidate.status or "-"})


def _context(question: Question) -> Step:
    excluded = question.context in question.item.excluded_contexts
    return Step(
        3,
        "context",
        "fail" if excluded else "pass",
        "context-excluded" if excluded else "context-allowed",
        {"context": question.context},
    )


def _area(candidate: Candidate, question: Question, scopes: tuple[str, ...]) -> Step:
    """Step 4: a verified mark whose area contains the orderer, or one community. The report's own mark alone proves nothing."""
    if candidate.facility == question.orderer:
        return Step(4, "area", "pass", "own-result")
    if same_community(candidate.facility, question.orderer, question.county):
        return Step(4, "area", "pass", "same-community")
    if question.item.min_mark == "none":
        return Step(4, "area", "pass", "mark-not-required")
    inside = areas_of(question.orderer, question.county)
    covering = [scope for scope in scopes if scope in inside]
    needed = LEVEL[question.item.min_mark]
    wide = next((scope for scope in covering if LEVEL[scope.split(":")[0]] >= needed), None)
    if wide:
        return Step(4, "area", "pass", "mark-covers", {"scope": wide})
    if covering:
        return Step(4, "area", "fail", "mark-too-narrow", {"scope": covering[0], "needed": question.item.min_mark})
    if scopes:
        return Step(4, "area", "fail", "mark-elsewhere", {"scope": scopes[0]})
    if candidate.mark:
        return Step(4, "area", "fail", "mark-unverified", {"mark": candidate.mark})
    return Step(4, "area", "fail", "no-mark")


def _tier(candidate: Candidate, question: Question) -> tuple[Step, Duty]:
    """Step 4: lower accepts upper; upper may accept lower; inside one community all recognise all."""
    source, orderer, county = candidate.facility, question.orderer, question.county
    if source == orderer:
        return Step(4, "tier", "not-applicable", "tier-own"), "must"
    if same_community(source, orderer, county):
        return Step(4, "tier", "pass", "tier-same-community"), "must"
    if tier_of(source, county) >= tier_of(orderer, county):
        return Step(4, "tier", "pass", "tier-equal-or-upper"), "must"
    policy = question.item.lower_tier_source
    if policy == "ignore":
        return Step(4, "tier", "fail", "tier-lower-ignored"), ""
    return Step(4, "tier", "pass", f"tier-lower-{policy}"), "must" if policy == "must" else "may"


def _quality(candidate: Candidate, question: Question, rows: tuple[EvidenceRow, ...], moment: Moment | None) -> Step:
    """Step 5: the laboratory had passed the evaluation, and it was valid, on the day the item was performed."""
    if question.item.requires_eqa == "no" and same_community(candidate.facility, question.orderer, question.county):
        return Step(5, "eqa", "not-applicable", "eqa-not-required")
    if moment is None:
        return Step(5, "eqa", "fail", "eqa-no-time")
    held = evidence_at(rows, moment.day)
    passed = next((row for row in held if row.passed), None)
    if passed:
        return Step(5, "eqa", "pass", "eqa-passed", _row_params(passed))
    if held:
        return Step(5, "eqa", "fail", "eqa-failed", _row_params(held[0]))
    if rows:
        last = max(rows, key=lambda row: row.valid_to)
        return Step(5, "eqa", "fail", "eqa-out-of-date", _row_params(last))
    return Step(5, "eqa", "fail", "eqa-none")


def _row_params(row: EvidenceRow) -> dict[str, str]:
    return {
        "scheme": row.scheme,
        "round": row.round,
        "from": row.valid_from.isoformat(),
        "to": row.valid_to.isoformat(),
        "scope": row.scope,
    }


def _eqa_name(rows: tuple[EvidenceRow, ...], moment: Moment | None) -> str:
    held = evidence_at(rows, moment.day) if moment else ()
    row = next((row for row in held if row.passed), held[0] if held else None)
    return f"{row.scheme} {row.round}" if row else ""


def _window(stated: str, moment: Moment | None, question: Question) -> Step:
    """Step 6, on calendar days of the county."""
    item = question.item
    if moment is None:
        detail = "time-imprecise" if stated else "time-missing"
        return Step(6, "window", "fail", detail, {"clock": item.clock_from, "stated": stated})
    today = question.now.astimezone(question.zone).date()
    latest = moment.at or datetime.combine(moment.day, time.min, question.zone)
    if latest > question.now + CLOCK_TOLERANCE:
        return Step(6, "window", "fail", "time-in-future", {"clock": item.clock_from})
    days = item.validity_days.get(question.context)
    age = max(0, (today - moment.day).days)
    params = {"age": str(age), "days": str(days or 0), "context": question.context, "clock": item.clock_from}
    if days is None:
        return Step(6, "window", "fail", "window-not-set", params)
    if days == 0:
        return Step(6, "window", "fail", "window-never", params)
    return Step(6, "window", "pass", "window-inside", params) if age <= days else Step(6, "window", "fail", "window-over", params)


def _specimen(candidate: Candidate, item: Item) -> Step:
    if not item.specimen:
        return Step(7, "specimen", "not-applicable", "not-asked")
    params = {"stated": candidate.specimen, "accepted": ", ".join(item.specimen)}
    if not candidate.specimen:  # the mapped code itself names the specimen: LOINC's system axis
        return Step(7, "specimen", "not-applicable", "specimen-by-code", params)
    same = candidate.specimen in item.specimen
    return Step(7, "specimen", "pass" if same else "fail", "specimen-same" if same else "specimen-differs", params)


def _method(candidate: Candidate, item: Item) -> Step:
    if not item.same_method:
        return Step(7, "method", "not-applicable", "not-asked")
    params = {"stated": candidate.method, "accepted": ", ".join(item.methods)}
    if not candidate.method:
        return Step(7, "method", "fail", "method-unstated", params)
    same = candidate.method in item.methods
    return Step(7, "method", "pass" if same else "fail", "method-same" if same else "method-differs", params)


def _unit(candidate: Candidate, item: Item) -> Step:
    if not item.unit:
        return Step(7, "unit", "not-applicable", "not-asked")
    params = {"stated": candidate.unit, "accepted": item.unit}
    if not candidate.numeric:
        return Step(7, "unit", "fail", "unit-no-quantity", params)
    if not candidate.unit:
        return Step(7, "unit", "fail", "unit-unstated", params)
    same = candidate.unit == item.unit
    return Step(7, "unit", "pass" if same else "fail", "unit-same" if same else "unit-differs", params)


def _reference_range(candidate: Candidate, item: Item) -> Step:
    if not item.requires_reference_range:
        return Step(7, "reference-range", "not-applicable", "not-asked")
    stated = candidate.reference_range
    return Step(7, "reference-range", "pass" if stated else "fail", "range-stated" if stated else "range-missing")


def _modality(candidate: Candidate, item: Item) -> Step:
    if not item.modality:
        return Step(7, "modality", "not-applicable", "not-asked")
    params = {"stated": ", ".join(candidate.modality), "accepted": ", ".join(item.modality)}
    same = bool(set(candidate.modality) & set(item.modality))
    return Step(7, "modality", "pass" if same else "fail", "modality-same" if same else "modality-differs", params)


def _body_part(candidate: Candidate, item: Item) -> Step:
    if not item.body_part:
        return Step(7, "body-part", "not-applicable", "not-asked")
    params = {"stated": ", ".join(candidate.body_part), "accepted": item.body_part[0]}
    if not candidate.body_part:
        return Step(7, "body-part", "fail", "body-part-unstated", params)
    accepted = {part.casefold() for part in item.body_part}
    same = any(part.casefold() in accepted for part in candidate.body_part)
    return Step(7, "body-part", "pass" if same else "fail", "body-part-same" if same else "body-part-differs", params)


def _laterality(candidate: Candidate, item: Item) -> Step:
    if not item.laterality:
        return Step(7, "laterality", "not-applicable", "not-asked")
    params = {"stated": candidate.laterality, "accepted": item.laterality}
    same = candidate.laterality == item.laterality
    return Step(7, "laterality", "pass" if same else "fail", "laterality-same" if same else "laterality-differs", params)


def _contrast(candidate: Candidate, item: Item) -> Step:
    if not item.contrast:
        return Step(7, "contrast", "not-applicable", "not-asked")
    params = {"stated": candidate.contrast, "accepted": item.contrast}
    same = candidate.contrast == item.contrast
    return Step(7, "contrast", "pass" if same else "fail", "contrast-same" if same else "contrast-differs", params)


def _series(candidate: Candidate, item: Item) -> Step:
    if item.min_series == 0:
        return Step(7, "series", "not-applicable", "not-asked")
    enough = candidate.series >= item.min_series
    params = {"stated": str(candidate.series), "accepted": str(item.min_series)}
    return Step(7, "series", "pass" if enough else "fail", "series-enough" if enough else "series-few", params)


COMPARABLE: tuple[Callable[[Candidate, Item], Step], ...] = (
    _specimen,
    _method,
    _unit,
    _reference_range,
    _modality,
    _body_part,
    _laterality,
    _contrast,
    _series,
)


def _data(candidate: Candidate, item: Item) -> Step:
    """Step 8: the images can be opened now, not only listed; a laboratory result has a value."""
    if item.requires_images:
        return Step(8, "data", "pass" if candidate.images == "reachable" else "fail", f"images-{candidate.images}")
    return Step(8, "data", "pass" if candidate.has_value else "fail", "value-present" if candidate.has_value else "value-absent")


def _newest_first(judged: Judged, zone: tzinfo) -> tuple[float, str]:
    """Those without a usable time come last; equal times are settled by the reference, so the order never wavers."""
    moment = moment_of(judged.performed, zone)
    if moment is None:
        return (float("inf"), judged.candidate.reference)
    at = moment.at or datetime.combine(moment.day, time.min, zone)
    return (-at.timestamp(), judged.candidate.reference)


def _with_rank(judged: list[Judged]) -> tuple[Judged, ...]:
    """Step 9: among those that passed everything, the newest is the one to use."""
    ranked: list[Judged] = []
    used = False
    for one in judged:
        if one.verdict != "recognisable":
            step = Step(9, "newest", "not-applicable", "newest-not-in-question")
        elif used:
            step = Step(9, "newest", "not-applicable", "newest-is-another")
        else:
            step, used = Step(9, "newest", "pass", "newest"), True
        ranked.append(replace(one, steps=(*one.steps, step)))
    return tuple(ranked)


def _overall(judged: tuple[Judged, ...]) -> Verdict:
    found = {one.verdict for one in judged}
    return "recognisable" if "recognisable" in found else "reference-only" if "reference-only" in found else "none"


def _reason(verdict: Verdict, item: Item, context: str) -> str:
    if context in item.excluded_contexts:
        return "context-excluded"
    return {"recognisable": "recognisable", "reference-only": "only-reference", "none": "no-candidate"}[verdict]


def _prompt(verdict: Verdict, context: str) -> Literal["full", "line", "none"]:
    if verdict == "none":
        return "none"
    return "line" if context == "emergency" or verdict == "reference-only" else "full"
