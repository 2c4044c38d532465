"""What holds now, over all facilities: health problems and running prescriptions, each once, with who states it."""

from __future__ import annotations

from dataclasses import dataclass

from hub.records.dates import date_of
from hub.records.events import Event, medicine_of
from hub.records.reader import Found, code_text
from hub.records.timeline import Record


@dataclass(frozen=True, slots=True)
class Problem:
    title: str
    facilities: tuple[str, ...]
    latest: str


def problems(record: Record) -> tuple[Problem, ...]:
    """Conditions by name, each once, with who stated it; inactive and withdrawn ones left out."""
    found: dict[str, list[Found]] = {}
    for condition in record.of("Condition"):
        status = {str(c.get("code")) for c in condition.resource.get("clinicalStatus", {}).get("coding", ())}
        verification = {str(c.get("code")) for c in condition.resource.get("verificationStatus", {}).get("coding", ())}
        if status & {"inactive", "resolved", "remission"} or verification & {"entered-in-error", "refuted"}:
            continue
        title = code_text(condition.resource.get("code"))
        if title:
            found.setdefault(title, []).append(condition)
    made = [Problem(t, tuple(dict.fromkeys(c.facility for c in cs)), max(date_of(c) for c in cs)) for t, cs in found.items()]
    return tuple(sorted(made, key=lambda p: p.latest, reverse=True))


@dataclass(frozen=True, slots=True)
class Medicine:
    """One medicine in one dosage, by whomever it is prescribed."""

    title: str
    detail: str
    at: str  # of the newest prescription
    facilities: tuple[str, ...]


def medicines(record: Record) -> tuple[Medicine, ...]:
    """Running prescriptions of all facilities, newest first."""
    running = [m for m in record.of("MedicationRequest") if m.resource.get("status") in ("active", "on-hold")]
    groups: dict[tuple[str, str], list[Event]] = {}
    for event in sorted((medicine_of(m) for m in running), key=lambda e: e.at, reverse=True):
        groups.setdefault((event.title, event.detail), []).append(event)
    return tuple(Medicine(*key, es[0].at, tuple(dict.fromkeys(e.facility for e in es))) for key, es in groups.items())
