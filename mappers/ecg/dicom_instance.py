"""The ECG in a DICOM instance → what it says beside being an instance of its study."""

from __future__ import annotations

from mappers.base import Change, Issue
from mappers.dicom.instance import Instance
from mappers.ecg.dicom_waveform import ecg_from_dicom
from mappers.ecg.model import Ecg, EcgError
from mappers.ecg.resources import Recording, changes_from_ecg


def changes_from_instance(instance: Instance, issues: list[Issue]) -> tuple[Change, ...]:
    """One that cannot be read still gets its report: somebody has to look at it."""
    try:
        ecg = ecg_from_dicom(instance.content, charset=instance.header.default_charset, zone=instance.zone)
    except EcgError as error:
        issues.append(Issue("unsupported", "(5400,0100)", str(error)))
        ecg = Ecg(leads={}, sampling_rate=1.0)
    issues.extend(ecg.issues)
    study = {"reference": f"ImagingStudy/{instance.study_id}"}
    recording = Recording(instance.facility, instance.instance_uid, instance.subject, instance.based_on(), study, study)
    return changes_from_ecg(ecg, recording, issues)
