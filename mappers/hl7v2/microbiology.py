"""Results that belong to another result: a culture's isolates and what they resist.

HL7 v2.5.1 4.5.3.26 (OBR-26 parent result, OBR-29 parent) and 7.4.2.4 (OBX-4 sub-identifiers). The report of the isolate names the
result it grew from; within one report a sub-identifier 1.2 belongs to the result 1. → Observation.derivedFrom of the child,
Observation.hasMember of the parent.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from mappers.base import Resource
from mappers.hl7v2.draft import Draft
from mappers.hl7v2.groups import Group
from mappers.hl7v2.message import Segment
from profiles.names import OBSERVATION_INTERPRETATION

SUSCEPTIBILITIES = frozenset({"S", "I", "R", "SDD", "NS"})  # v3-ObservationInterpretation


@dataclass(frozen=True, slots=True)
class Placed:
    """One result, and where it stood: its OBX and the report it belongs to."""

    obx: Segment
    observation: Resource


@dataclass(frozen=True, slots=True)
class Reported:
    """One group with what became of its results."""

    group: Group
    results: list[Placed]


def link_results(draft: Draft, reports: list[Reported]) -> None:
    for report in reports:
        named = _named(report)
        if named:
            _link_sub_identifiers(report, named)
            _link_susceptibilities(named)
        obr = report.group.obr
        if obr is not None and (obr.has(29) or len(obr.value(26)) > 1):  # a single letter is a status that was shifted
            _link_to_parent(draft, report, obr, reports)


def _reference(observation: Resource) -> dict[str, Any]:
    return {"reference": f"Observation/{observation['id']}"}


def _join(parent: Resource, child: Resource) -> None:
    if _reference(child) not in parent.setdefault("hasMember", []):
        parent["hasMember"].append(_reference(child))
    child.setdefault("derivedFrom", []).append(_reference(parent))


def _named(report: Reported) -> dict[str, list[Placed]]:
    """Results by sub-identifier; most reports have none."""
    named: dict[str, list[Placed]] = defaultdict(list)
    for placed in report.results:
        if sub_identifier := placed.obx.value(4):
            named[sub_identifier].append(placed)
    return named


def _link_sub_identifiers(report: Reported, named: dict[str, list[Placed]]) -> None:
    """1.2 and 1.a hang below 1, where exactly one result is called 1."""
    for placed in report.results:
        above, dot, _ = placed.obx.value(4).rpartition(".")
        if dot and above and len(named.get(above, ())) == 1:
            _join(named[above][0].observation, placed.observation)


def _link_susceptibilities(named: dict[str, list[Placed]]) -> None:
    """Most laboratories write isolate and drugs below one sub-identifier: what is S, I or R belongs to its only coded result."""
    for same in named.values():
        drugs = [placed for placed in same if _is_susceptibility(placed.observation)]
        isolates = [placed for placed in same if placed not in drugs and _is_organism(placed.observation)]
        if len(isolates) == 1:
            for drug in drugs:
                if "derivedFrom" not in drug.observation:
                    _join(isolates[0].observation, drug.observation)


def _is_organism(observation: Resource) -> bool:
    """What was found, by a code; positive and negative say whether something was."""
    coding = observation.get("valueCodeableConcept", {}).get("coding", ())
    return any(entry.get("system") != OBSERVATION_INTERPRETATION for entry in coding)


def _is_susceptibility(observation: Resource) -> bool:
    codes = {coding.get("code") for entry in observation.get("interpretation", ()) for coding in entry.get("coding", ())}
    return bool(codes & SUSCEPTIBILITIES)


def _link_to_parent(draft: Draft, report: Reported, obr: Segment, reports: list[Reported]) -> None:
    """OBR-29 names the parent's order, OBR-26 which of its results (code ^ sub-identifier ^ value)."""
    placer, filler = (obr.value(29, place) or obr.value(29, 1, place) for place in (1, 2))
    code, sub_identifier = obr.value(26), obr.value(26, 2)
    found = [
        placed
        for other in reports
        if other is not report and _is_parent(other.group, placer, filler, named=obr.has(29))
        for placed in other.results
        if placed.obx.value(3) == code and placed.obx.value(4) == sub_identifier
    ]
    if code and len(found) == 1:
        for child in report.results:
            _join(found[0].observation, child.observation)
    elif code:
        draft.note("missing", f"{obr.where}-26", "the parent result is not in this message", "information")


def _is_parent(group: Group, placer: str, filler: str, *, named: bool) -> bool:
    if not named:
        return True
    obr = group.obr
    return obr is not None and any(number and number == obr.value(field) for number, field in ((placer, 2), (filler, 3)))
