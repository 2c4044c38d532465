"""Ecg → Observations of its measurements and the shell of a DiagnosticReport that waits for a reader.

https://hl7.org/fhir/R4/diagnosticreport.html. What the cart itself concludes is kept as an extension: it is a draft by a
machine, and `conclusion` is a doctor's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mappers.base import Change, Issue, Resource
from mappers.dicom.imaging_study import Instance
from mappers.ecg.dicom_waveform import ecg_from_dicom
from mappers.ecg.model import KINDS, MDC, Ecg, EcgError, Measurement
from mappers.identity_keys import organization_id, resource_id
from profiles.names import DIAGNOSTIC_SERVICE, LOINC, MACHINE_STATEMENT, OBSERVATION_CATEGORY, UCUM


@dataclass(frozen=True, slots=True)
class Recording:
    """What the resources of one recording have in common."""

    facility: str
    key: str  # the recording's own name at its facility: SOPInstanceUID, the aECG's id
    subject: dict[str, Any]
    based_on: list[dict[str, Any]]
    imaging_study: dict[str, Any] | None = None
    derived_from: dict[str, Any] | None = None


def resources_from_instance(instance: Instance, issues: list[Issue]) -> tuple[Change, ...]:
    """The ECG in a DICOM instance. One that cannot be read still gets its report shell: somebody has to look at it."""
    try:
        ecg = ecg_from_dicom(instance.content, charset=instance.header.default_charset, zone=instance.zone)
    except EcgError as error:
        issues.append(Issue("unsupported", "(5400,0100)", str(error)))
        ecg = Ecg(leads={}, sampling_rate=1.0)
    issues.extend(ecg.issues)
    study = {"reference": f"ImagingStudy/{instance.study_id}"}
    recording = Recording(instance.facility, instance.instance_uid, instance.subject, instance.based_on(), study, study)
    return changes_from_ecg(ecg, recording)


def changes_from_ecg(ecg: Ecg, recording: Recording) -> tuple[Change, ...]:
    observations = [_observation(measurement, ecg, recording) for measurement in ecg.measurements]
    return tuple(Change(resource) for resource in (*observations, _report(ecg, recording, observations)))


def _observation(measurement: Measurement, ecg: Ecg, recording: Recording) -> Resource:
    kind = KINDS[measurement.kind]
    loinc = [{"system": LOINC, "code": kind.loinc, "display": kind.display}] if kind.loinc else []
    observation: Resource = {
        "resourceType": "Observation",
        "id": resource_id("Observation", recording.facility, recording.key, measurement.kind),
        "status": "preliminary",  # measured by the machine, confirmed by nobody yet
        "category": [{"coding": [{"system": OBSERVATION_CATEGORY, "code": "procedure"}]}],
        "code": {"coding": [*loinc, {"system": MDC, "code": str(kind.mdc)}], "text": kind.display},
        "subject": recording.subject,
    }
    if ecg.started:
        observation["effectiveDateTime"] = ecg.started
    observation["performer"] = [{"reference": f"Organization/{organization_id(recording.facility)}"}]
    observation["valueQuantity"] = {"value": measurement.value, "unit": kind.unit, "system": UCUM, "code": kind.unit}
    if ecg.device:
        observation["device"] = {"display": ecg.device}
    if recording.derived_from:
        observation["derivedFrom"] = [recording.derived_from]
    return observation


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
        "status": "registered",
        "category": [
            {"coding": [{"system": DIAGNOSTIC_SERVICE, "code": "EC", "display": "Electrocardiac (e.g., EKG, EEC, Holter)"}]}
        ],
        "code": {"coding": [{"system": LOINC, "code": "11524-6", "display": "EKG study"}], "text": "心电图"},
        "subject": recording.subject,
    }
    if ecg.started:
        report["effectiveDateTime"] = ecg.started
    report["performer"] = [{"reference": f"Organization/{organization_id(recording.facility)}"}]
    if observations:
        report["result"] = [{"reference": f"Observation/{observation['id']}"} for observation in observations]
    if recording.imaging_study:
        report["imagingStudy"] = [recording.imaging_study]
    return report
