"""One DICOM file → its study with this one instance (union), the patient it names (fill), the file as a Binary, and what its class
says beside that: an ECG its waveform and measurements, a structured report its words and numbers, a PDF the document.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from connectors.base import SourceRecord
from mappers.base import Attachment, Change, Issue, Mapped, MappingContext, Resource
from mappers.dicom.imaging_study import imaging_study
from mappers.dicom.instance import SOP_CLASS_UID, Instance, open_instance
from mappers.dicom.ledger import lines_of
from mappers.dicom.patient import patient_resource

CONTENT_TYPE = "application/dicom"


@dataclass(frozen=True, slots=True)
class Extra:
    """What an object of some class says beyond being an instance."""

    changes: tuple[Change, ...] = ()
    attachments: tuple[Attachment, ...] = ()


def map_instance(record: SourceRecord, context: MappingContext) -> Mapped:
    """Raise CannotMap: no DICOM, or no UID of study, series, instance or class."""
    issues: list[Issue] = []
    instance = open_instance(record, context, issues)
    study = Change(imaging_study(instance, issues), "union")
    patient = patient_resource(instance.person, instance.facility, instance.peer, instance.patient_id, issues)
    extra = _extra(instance, issues)
    lines = lines_of(instance.header)
    counted = Counter(line.state for line in lines)
    return Mapped(
        changes=(Change(patient, "fill"), study, *extra.changes, Change(_binary(instance))),
        issues=tuple(issues),
        attachments=(Attachment(instance.sha256, CONTENT_TYPE, instance.content), *extra.attachments),
        changed_at=instance.stated_at(),
        ledger={state: counted[state] for state in ("mapped", "kept", "unmapped")},
        lines=lines if context.explain else (),
    )


def _extra(instance: Instance, issues: list[Issue]) -> Extra:
    """Imported when first needed: most objects are images, and a hub without reports or ECGs loads none of it."""
    sop_class = instance.header.uid(SOP_CLASS_UID)
    if sop_class.startswith("1.2.840.10008.5.1.4.1.1.9.1."):
        from mappers.ecg.dicom_instance import changes_from_instance
        from mappers.ecg.dicom_waveform import ECG_CLASSES

        return Extra(changes_from_instance(instance, issues)) if sop_class in ECG_CLASSES else Extra()
    if sop_class.startswith("1.2.840.10008.5.1.4.1.1.88."):
        from mappers.dicom.structured_report import REPORT_CLASSES, changes_from_report

        return Extra(changes_from_report(instance, issues)) if sop_class in REPORT_CLASSES else Extra()
    if sop_class.startswith("1.2.840.10008.5.1.4.1.1.104."):
        from mappers.dicom.encapsulated import document_from_instance

        return Extra(*document_from_instance(instance, issues))
    return Extra()


def _binary(instance: Instance) -> Resource:
    return {
        "resourceType": "Binary",
        "id": instance.sha256,
        "contentType": CONTENT_TYPE,
        "securityContext": instance.subject,
    }
