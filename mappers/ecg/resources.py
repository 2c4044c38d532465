"""Ecg → its measurements, its waveform and a preliminary DiagnosticReport that waits for a reader.

https://hl7.org/fhir/R4/diagnosticreport.html, https://hl7.org/fhir/R4/observation-example-sample-data.html

What the cart itself concludes is kept as an extension: it is a draft by a machine, and `conclusion` is a doctor's.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from mappers.base import Change, Issue, Resource
from mappers.ecg.model import KINDS, LEAD_CODES, MDC, Ecg, Measurement, Samples
from mappers.identity_keys import organization_id, resource_id
from profiles.names import DIAGNOSTIC_SERVICE, LOINC, MACHINE_STATEMENT, OBSERVATION_CATEGORY, UCUM

EKG_STUDY = {"coding": [{"system": LOINC, "code": "11524-6", "display": "EKG study"}], "text": "心电图"}
_PANEL = {"coding": [{"system": LOINC, "code": "34534-8"}], "text": "心电图测量值"}
_WAVEFORM = {"coding": [{"system": MDC, "code": "131328", "display": "MDC_ECG_ELEC_POTL"}], "text": "心电波形"}
_PROCEDURE = [{"coding": [{"system": OBSERVATION_CATEGORY, "code": "procedure"}]}]

MAX_WAVEFORM_SAMPLES = 600_000  # 12 leads of 50 s at 1000 Hz; a Holter's day stays in its file
_FINEST = 100  # steps of a µV that a sample is rounded to when its least step is sought


@dataclass(frozen=True, slots=True)
class Recording:
    """What the resources of one recording have in common."""

    facility: str
    key: str  # the recording's own name at its facility: SOPInstanceUID, the aECG's id
    subject: dict[str, Any]
    based_on: list[dict[str, Any]]
    imaging_study: dict[str, Any] | None = None
    derived_from: dict[str, Any] | None = None

    def id(self, resource_type: str, *part: str) -> str:
        return resource_id(resource_type, self.facility, self.key, *part)

    @property
    def performer(self) -> list[dict[str, Any]]:
        return [{"reference": f"Organization/{organization_id(self.facility)}"}]


def changes_from_ecg(ecg: Ecg, recording: Recording, issues: list[Issue]) -> tuple[Change, ...]:
    measured = [_measured(measurement, ecg, recording) for measurement in ecg.measurements]
    panel = [_panel(ecg, recording, measured)] if measured else []
    waveform = _waveform(ecg, recording, issues)
    observations = [*measured, *panel, *([waveform] if waveform else [])]
    return tuple(Change(resource) for resource in (*observations, _report(ecg, recording, observations)))


def _observation(ecg: Ecg, recording: Recording, part: str, code: dict[str, Any]) -> Resource:
    """What every Observation of one recording says; the value is added to it."""
    observation: Resource = {
        "resourceType": "Observation",
        "id": recording.id("Observation", part),
        "status": "preliminary",  # measured by the machine, confirmed by nobody yet
        "category": _PROCEDURE,
        "code": code,
        "subject": recording.subject,
    }
    if ecg.started:
        observation["effectiveDateTime"] = ecg.started
    observation["performer"] = recording.performer
    if ecg.device:
        observation["device"] = {"display": ecg.device}
    if recording.derived_from:
        observation["derivedFrom"] = [recording.derived_from]
    return observation


def _measured(measurement: Measurement, ecg: Ecg, recording: Recording) -> Resource:
    kind = KINDS[measurement.kind]
    loinc = [{"system": LOINC, "code": kind.loinc, "display": kind.display}] if kind.loinc else []
    code = {"coding": [*loinc, {"system": MDC, "code": str(kind.mdc)}], "text": kind.display}
    quantity = {"value": measurement.value, "unit": kind.unit, "system": UCUM, "code": kind.unit}
    return {**_observation(ecg, recording, measurement.kind, code), "valueQuantity": quantity}


def _panel(ecg: Ecg, recording: Recording, measured: list[Resource]) -> Resource:
    panel = _observation(ecg, recording, "measurements", _PANEL)
    panel["hasMember"] = [{"reference": f"Observation/{observation['id']}"} for observation in measured]
    return panel


def _waveform(ecg: Ecg, recording: Recording, issues: list[Issue]) -> Resource | None:
    count = sum(len(samples) for samples in ecg.leads.values())
    if not count:
        return None
    if count > MAX_WAVEFORM_SAMPLES:
        issues.append(Issue("not-mapped", "waveform", f"{count} samples stay in the original file alone", "information"))
        return None
    waveform = _observation(ecg, recording, "waveform", _WAVEFORM)
    if ecg.filters:
        waveform["method"] = {"text": ecg.filters}
    period = _decimal(1000 / ecg.sampling_rate)
    waveform["component"] = [_lead(name, samples, period) for name, samples in ecg.leads.items() if len(samples)]
    return waveform


def _lead(name: str, samples: Samples, period: Decimal) -> dict[str, Any]:
    coding = [{"system": MDC, "code": str(LEAD_CODES[name]), "display": f"MDC_ECG_LEAD_{name}"}] if name in LEAD_CODES else []
    code = {**({"coding": coding} if coding else {}), "text": name}
    return {"code": code, "valueSampledData": _sampled(samples, period)}


def _sampled(samples: Samples, period: Decimal) -> dict[str, Any]:
    """https://hl7.org/fhir/R4/datatypes.html#SampledData: whole numbers of a step that is their greatest common one.

    "E" stands where nothing was recorded.
    """
    recorded = ~np.isnan(samples)
    fine = np.rint(np.where(recorded, samples, 0).astype(np.float64) * _FINEST).astype(np.int64)
    step = int(np.gcd.reduce(fine)) or _FINEST
    digits = (fine // step).tolist()
    data = " ".join(str(digit) if known else "E" for digit, known in zip(digits, recorded.tolist(), strict=True))
    return {
        "origin": {"value": Decimal(0), "unit": "uV", "system": UCUM, "code": "uV"},
        "period": period,
        "factor": _decimal(step / _FINEST),
        "dimensions": 1,
        "data": data,
    }


def _decimal(value: float) -> Decimal:
    return Decimal(f"{value:.6f}".rstrip("0").rstrip("."))


def _report(ecg: Ecg, recording: Recording, observations: list[Resource]) -> Resource:
    report: Resource = {
        "resourceType": "DiagnosticReport",
        "id": resource_id("DiagnosticReport", recording.facility, "ecg", recording.key),
    }
    if ecg.statements:
        report["extension"] = [{"url": MACHINE_STATEMENT, "valueString": statement} for statement in ecg.statements]
    if recording.based_on:
        report["basedOn"] = recording.based_on
    report |= {
        "status": "preliminary" if observations or ecg.statements else "registered",
        "category": [
            {"coding": [{"system": DIAGNOSTIC_SERVICE, "code": "EC", "display": "Electrocardiac (e.g., EKG, EEC, Holter)"}]}
        ],
        "code": EKG_STUDY,
        "subject": recording.subject,
    }
    if ecg.started:
        report["effectiveDateTime"] = ecg.started
    report["performer"] = recording.performer
    if observations:
        report["result"] = [{"reference": f"Observation/{observation['id']}"} for observation in observations]
    if recording.imaging_study:
        report["imagingStudy"] = [recording.imaging_study]
    return report
