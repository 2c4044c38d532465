"""What the rules of mutual recognition are asked and what they answer.

互认 (国卫医发〔2022〕6号): an outside result that is comparable, recent and of proven quality need not be repeated. The answer
explains itself: every candidate carries every step. It proposes; the doctor decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, tzinfo
from functools import cached_property
from typing import Literal

from hub.recognition.marks import EqaState
from hub.recognition.places import areas_of, same_community
from hub.recognition.times import Moment, zone_of
from hub.settings import County
from profiles.catalogue import Catalogue, Evidence, Item

Outcome = Literal["pass", "fail", "not-applicable"]
Verdict = Literal["recognisable", "reference-only", "none"]
Duty = Literal["must", "may", ""]


@dataclass(frozen=True, slots=True)
class Candidate:
    """An outside result, reduced to what the rules look at. Times are FHIR dateTimes as the source stated them."""

    reference: str  # Observation/…, ImagingStudy/…
    facility: str  # code
    status: str
    link_certain: bool = True  # the result's patient is certainly this person
    times: Mapping[str, str] = field(default_factory=dict)  # collected, performed, issued
    report: str = ""  # Type/id of the report that holds it, where one is known
    report_sought: bool = False  # then "" means that there is none
    display: str = ""  # the value or the study's title, for a person
    conclusion: str = ""  # of the report; shown apart, never part of what is recognised
    has_value: bool = True
    numeric: bool = False
    unit: str = ""  # UCUM code; "" where none is stated
    specimen: str = ""  # serum | plasma | blood | urine …, or the source's own word
    method: str = ""
    reference_range: bool = False
    modality: tuple[str, ...] = ()
    body_part: tuple[str, ...] = ()
    laterality: tuple[str, ...] = ()  # L, R, B
    contrast: tuple[str, ...] = ()  # with, without
    by_code: bool = False  # an imaging item's own code names it, so that it need not state what that says
    series: int = 0
    images: Literal["reachable", "unreachable", "none"] = "none"
    mark: str = ""  # the scope that the report itself claims: 全国, 鄂, national …


@dataclass(frozen=True)
class Order:
    """What is the same for all candidates of one asked item: who orders it where, when, and under which facts."""

    item: Item
    context: str
    orderer: str  # facility code
    county: County
    catalogue: Catalogue
    evidence: Evidence
    now: datetime  # aware; nothing else tells the time

    @cached_property
    def zone(self) -> tzinfo:
        return zone_of(self.county.zone)

    @cached_property
    def today(self) -> date:
        return self.now.astimezone(self.zone).date()

    @cached_property
    def areas(self) -> frozenset[str]:
        """Those that the orderer lies in."""
        return areas_of(self.orderer, self.county)

    @cached_property
    def _near(self) -> dict[str, bool]:
        return {}

    def near(self, facility: str) -> bool:
        """Whether it is of the orderer's community."""
        if facility not in self._near:
            self._near[facility] = same_community(facility, self.orderer, self.county)
        return self._near[facility]

    def age_of(self, moment: Moment) -> int:
        """Calendar days in the county's zone; negative for a day to come."""
        return (self.today - moment.day).days


@dataclass(frozen=True, slots=True)
class Step:
    """One rule applied to one candidate. `detail` is a message key with `params`; see messages.py."""

    number: int
    rule: str
    outcome: Outcome
    detail: str
    params: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Judged:
    candidate: Candidate
    verdict: Verdict
    steps: tuple[Step, ...]
    duty: Duty  # of the orderer, by tier
    performed: str  # the time that the item's clock starts from, as stated
    age_days: int | None  # calendar days in the county's zone
    mark_claimed: str
    mark_verified: tuple[str, ...]  # scopes that evidence supports for the day performed, and still
    eqa: str = ""  # the scheme and round that decided
    eqa_now: EqaState = "none"  # how the laboratory stands today

    @property
    def failures(self) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if step.outcome == "fail")


@dataclass(frozen=True, slots=True)
class Answer:
    """For one asked code. `prompt` is how loud a screen may be: an emergency gets one line and no stop."""

    asked_system: str
    asked_code: str
    item: Item | None
    catalogue_id: str
    catalogue_version: str
    context: str
    orderer: str
    verdict: Verdict
    reason: str  # message key: a key of messages.REASONS
    candidates: tuple[Judged, ...] = ()
    prompt: Literal["full", "line", "none"] = "none"

    @property
    def best(self) -> Judged | None:
        return next((judged for judged in self.candidates if judged.verdict == self.verdict), None)
