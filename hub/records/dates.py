"""When a record was, as its source states it, and the order of such times."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Any

from hub.recognition.times import moment_of
from hub.records.reader import Found

DATES: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "Observation": (("effectiveDateTime",), ("effectivePeriod",), ("effectiveInstant",), ("issued",)),
    "DiagnosticReport": (("effectiveDateTime",), ("effectivePeriod",), ("issued",)),
    "ImagingStudy": (("started",),),
    "DocumentReference": (("date",), ("context", "period")),
    "Composition": (("date",),),
    "ServiceRequest": (("authoredOn",), ("occurrenceDateTime",)),
    "MedicationRequest": (("authoredOn",),),
    "Condition": (("recordedDate",), ("onsetDateTime",)),
    "Encounter": (("period",),),
    "Immunization": (("occurrenceDateTime",),),
    "Procedure": (("performedDateTime",), ("performedPeriod",)),
}
"""Where each type says when; the first that is there."""


def date_of(found: Found) -> str:
    """FHIR dateTime as stated, of a period its start; "" for none."""
    for path in DATES.get(found.type, ()):
        value: Any = found.resource
        for part in path:
            value = value.get(part) if isinstance(value, dict) else None
        if isinstance(value, dict):
            value = value.get("start")
        if value:
            return str(value)
    return ""


@lru_cache(maxsize=20_000)  # of times alone: a page compares the same ones again and again
def instant(stated: str, zone: tzinfo = UTC) -> float:
    """For order only: a time without a usable day comes first."""
    moment = moment_of(stated, zone)
    if moment is None:
        return float("-inf")
    at = moment.at or datetime(moment.day.year, moment.day.month, moment.day.day, tzinfo=zone)
    return at.timestamp()
