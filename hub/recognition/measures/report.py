"""Counts → MeasureReport. https://hl7.org/fhir/R4/measurereport.html

The Measure goes along inside, so that the number keeps the definition it was counted by.
"""

from __future__ import annotations

from typing import Any

from hub.clock import instant
from hub.recognition.measures.counting import Counted, Counts
from hub.recognition.measures.definitions import POPULATION, Definition, measure
from hub.recognition.reasons import SYSTEM as REASON_SYSTEM
from mappers.identity_keys import organization_id

Resource = dict[str, Any]
STRATA = (("facility", 0), ("item", 1), ("month", 2))
LAPSED = "lapsed"


def measure_report(definition: Definition, counted: Counted, *, facility: str, now: int) -> Resource:
    """`facility`: whose; "" for the county. `now` in UTC ms."""
    total = counted.total()
    group: Resource = {"population": _populations(definition, total), "stratifier": _stratifiers(definition, counted)}
    score = definition.score(total)
    if score is not None:
        group["measureScore"] = {"value": round(score, 4)}
    report: Resource = {
        "resourceType": "MeasureReport",
        "contained": [{**measure(definition), "id": "measure"}],
        "status": "complete",
        "type": "summary",
        "measure": "#measure",
        "date": instant(now),
        "period": {"start": counted.first.isoformat(), "end": counted.last.isoformat()},
        "group": [group],
    }
    if facility:
        report["reporter"] = {"reference": f"Organization/{organization_id(facility)}"}
    return report


def _populations(definition: Definition, counts: Counts) -> list[Resource]:
    found = [_population("numerator", definition.numerator(counts))]
    if definition.denominator is not None:
        found.append(_population("denominator", definition.denominator(counts)))
        found.append(_population("denominator-exclusion", definition.excluded(counts)))
    return found


def _population(code: str, count: int) -> Resource:
    return {"code": {"coding": [{"system": POPULATION, "code": code}]}, "count": count}


def _stratifiers(definition: Definition, counted: Counted) -> list[Resource]:
    """By facility, item and month; refusals by reason too."""
    found = []
    for name, part in STRATA:
        strata = [_stratum(definition, value, counts) for value, counts in counted.by(part).items() if value]
        if strata:
            found.append({"code": [{"text": name}], "stratum": strata})
    if definition.id == "recognition-refusals" and (reasons := counted.reasons()):
        strata = [
            {"value": {"coding": [{"system": REASON_SYSTEM, "code": code}]}, "population": [_population("numerator", count)]}
            for code, count in reasons.items()
        ]
        found.append({"code": [{"text": "reason"}], "stratum": strata})
    return found


def _stratum(definition: Definition, value: str, counts: Counts) -> Resource:
    stratum: Resource = {"value": {"text": value}, "population": _populations(definition, counts)}
    score = definition.score(counts)
    return {**stratum, "measureScore": {"value": round(score, 4)}} if score is not None else stratum
