"""One model of an electrocardiogram, whatever format it came in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from mappers.base import Issue

Samples = NDArray[np.float32]

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")

# EN 1064 table 6, which SCPECG 5.6.3-9-n and MDC 2:n share
LEAD_NUMBERS = {
    1: "I", 2: "II", 3: "V1", 4: "V2", 5: "V3", 6: "V4", 7: "V5", 8: "V6", 9: "V7", 10: "V2R", 11: "V3R", 12: "V4R", 13: "V5R",
    14: "V6R", 15: "V7R", 16: "X", 17: "Y", 18: "Z", 61: "III", 62: "aVR", 63: "aVL", 64: "aVF", 65: "-aVR", 66: "V8", 67: "V9",
    68: "V8R", 69: "V9R",
}  # fmt: skip

MDC = "urn:iso:std:iso:11073:10101"


class EcgError(Exception):
    """The bytes are no ECG that can be read. Says why, never whose."""


LEAD_CODES = {
    "I": 131329, "II": 131330, "V1": 131331, "V2": 131332, "V3": 131333, "V4": 131334, "V5": 131335, "V6": 131336, "III": 131389,
    "aVR": 131390, "aVL": 131391, "aVF": 131392,
}  # fmt: skip
"""ISO/IEEE 11073-10102, MDC_ECG_LEAD_*."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A measurement that carts state: its code in LOINC and in ISO/IEEE 11073-10102, and its UCUM unit."""

    loinc: str
    mdc: int
    display: str
    unit: str


KINDS: dict[str, Kind] = {
    "heart_rate": Kind("8867-4", 147842, "Heart rate", "/min"),
    "rr_interval": Kind("", 147072, "RR interval", "ms"),
    "p_duration": Kind("", 147256, "P duration", "ms"),
    "pr_interval": Kind("8625-6", 146944, "P-R Interval", "ms"),
    "qrs_duration": Kind("8633-0", 147228, "QRS duration", "ms"),
    "qt_interval": Kind("8634-8", 147232, "Q-T interval", "ms"),
    "qtc_interval": Kind("8636-3", 146948, "Q-T interval corrected", "ms"),
    "p_axis": Kind("8626-4", 147200, "P wave axis", "deg"),
    "qrs_axis": Kind("8632-2", 147204, "QRS axis", "deg"),
    "t_axis": Kind("8638-9", 147208, "T wave axis", "deg"),
}


@dataclass(frozen=True, slots=True)
class Measurement:
    kind: str  # a key of KINDS
    value: Decimal  # in the unit of its kind


def as_measured(found: Mapping[str, Decimal]) -> tuple[Measurement, ...]:
    """In the order of KINDS; a cart that could not measure an interval or a rate writes 0, which is no measurement."""
    return tuple(Measurement(kind, found[kind]) for kind in KINDS if kind in found and (found[kind] or KINDS[kind].unit == "deg"))


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom the file itself names."""

    number: str = ""
    name: str = ""
    sex: str = ""
    birth_date: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Ecg:
    leads: Mapping[str, Samples]  # µV by lead, in the order of LEADS; NaN where nothing was recorded
    sampling_rate: float  # samples a second
    started: str = ""  # FHIR dateTime
    measurements: tuple[Measurement, ...] = ()
    statements: tuple[str, ...] = ()  # the machine's own interpretation
    subject: Subject = field(default_factory=Subject)
    filters: str = ""  # what the signal went through, as the file says: "0.05-150 Hz, notch 50 Hz"
    device: str = ""
    record_id: str = ""  # the recording's own name in the file, if it has one
    order_number: str = ""  # what was asked for, where the file says
    issues: tuple[Issue, ...] = ()

    @property
    def duration(self) -> float:
        """Seconds of the longest lead."""
        return max((len(samples) for samples in self.leads.values()), default=0) / self.sampling_rate

    def measured(self, kind: str) -> Decimal | None:
        return next((m.value for m in self.measurements if m.kind == kind), None)


def in_order(leads: Mapping[str, Samples]) -> dict[str, Samples]:
    known = [name for name in LEADS if name in leads]
    return {name: leads[name] for name in (*known, *(name for name in leads if name not in known))}


def with_derived(leads: Mapping[str, Samples]) -> dict[str, Samples]:
    """The limb leads that follow from I and II, where a cart stores only the eight independent ones (Einthoven, Goldberger)."""
    if "I" not in leads or "II" not in leads or len(leads["I"]) != len(leads["II"]):
        return dict(leads)
    one, two = leads["I"], leads["II"]
    derived = {"III": two - one, "aVR": -(one + two) / 2, "aVL": one - two / 2, "aVF": two - one / 2}
    return {**derived, **leads}
