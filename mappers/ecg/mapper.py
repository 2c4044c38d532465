"""An ECG file as a cart or a box drops it → the recording in FHIR, with the original beside it.

SCP-ECG, HL7 aECG, Philips Sierra, EDF, DICOM by content, whatever the file is called; a PDF print is a document without a waveform.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime
from typing import Any

from connectors.base import SourceRecord
from mappers.base import Attachment, CannotMap, Change, Issue, Line, Mapped, MappingContext, Resource
from mappers.dicom.mapper import map_instance
from mappers.dicom.patient import PatientNumber, Person, Places, patient_id, patient_resource
from mappers.ecg.formats import FORMATS, Format, format_of
from mappers.ecg.model import Ecg, EcgError
from mappers.ecg.resources import EKG_STUDY, Recording, changes_from_ecg
from mappers.identity_keys import local_system, organization_id, resource_id

PDF = "application/pdf"
MAX_PDF = 64 * 1024 * 1024
_PLACES = Places("subject id", "subject id", "birth date", "sex")


def map_ecg(record: SourceRecord, context: MappingContext) -> Mapped:
    """Raise CannotMap: a format that is not known, a waveform that cannot be read."""
    found = format_of(record.content)
    if found is None:
        if record.content[:1024].lstrip()[:5] == b"%PDF-":
            return _printed(record, explain=context.explain)
        raise CannotMap(f"no ECG format is recognised: none of {', '.join(each.name for each in FORMATS)}, PDF")
    if found.name == "DICOM":
        return map_instance(record, context)
    zone = record.hints.get("zone", "") or context.zone
    try:
        ecg = found.read(record.content, charset=record.hints.get("charset", "") or context.charset, zone=zone)
    except EcgError as error:
        raise CannotMap(f"{found.name}: {error}") from None
    return _mapped(record, found, ecg, explain=context.explain)


def _mapped(record: SourceRecord, found: Format, ecg: Ecg, *, explain: bool) -> Mapped:
    issues = list(ecg.issues)
    sha256 = hashlib.sha256(record.content).hexdigest()
    key = f"{ecg.record_id} {ecg.started}" if ecg.record_id and ecg.started else sha256
    person = Person(
        PatientNumber(ecg.subject.number),
        ecg.subject.name,
        ecg.subject.birth_date,
        ecg.subject.sex,
        charset_repaired=next((issue.detail for issue in issues if issue.code == "charset-repaired"), ""),
    )
    identity = patient_id(person, record.facility, fallback=("ecg", key))
    if not ecg.subject.number:
        issues.append(Issue("missing", _PLACES.number, "a patient of this recording alone"))
    patient = patient_resource(person, record.facility, "", identity, issues, _PLACES)
    subject = {"reference": f"Patient/{identity}"}
    document = _document(record, sha256, found.content_type, subject, key, ecg.started)
    origin = {"reference": f"DocumentReference/{document['id']}"}
    based_on = _based_on(record.facility, ecg.order_number)
    recording = Recording(record.facility, key, subject, based_on, derived_from=origin)
    lines = _lines(ecg)
    return Mapped(
        changes=(
            Change(patient, "fill"),
            Change(document),
            *changes_from_ecg(ecg, recording, issues),
            Change(_binary(sha256, found.content_type, subject)),
        ),
        issues=tuple(issues),
        attachments=(Attachment(sha256, found.content_type, record.content),),
        changed_at=datetime.fromisoformat(ecg.started) if "T" in ecg.started else None,
        ledger={state: sum(line.state == state for line in lines) for state in ("mapped", "kept")},
        lines=lines if explain else (),
    )


def _based_on(facility: str, number: str) -> list[dict[str, Any]]:
    if not number:
        return []
    order = resource_id("ServiceRequest", facility, number)
    return [{"reference": f"ServiceRequest/{order}", "identifier": {"system": local_system(facility, "order"), "value": number}}]


def _lines(ecg: Ecg) -> tuple[Line, ...]:
    """What the model holds, and where it went; everything else of the file is in the original that is kept."""
    stated = (
        ("subject id", ecg.subject.number, "Patient.identifier"),
        ("subject name", ecg.subject.name, "Patient.name"),
        ("sex", ecg.subject.sex, "Patient.gender"),
        ("birth date", ecg.subject.birth_date, "Patient.birthDate"),
        ("time of acquisition", ecg.started, "DiagnosticReport.effective[x]"),
        ("order number", ecg.order_number, "DiagnosticReport.basedOn"),
        ("device", ecg.device, "Observation.device"),
        ("filters", ecg.filters, "Observation.method"),
    )
    return (
        *(Line(where, "mapped", to) for where, value, to in stated if value),
        *(Line(f"lead {name}", "mapped", "Observation.component.valueSampledData") for name in ecg.leads),
        *(Line(measurement.kind, "mapped", "Observation.valueQuantity") for measurement in ecg.measurements),
        *(Line(f"statement {n}", "mapped", "DiagnosticReport.extension") for n, _ in enumerate(ecg.statements, 1)),
        Line("original file", "kept", "Binary"),
    )


def _document(record: SourceRecord, sha256: str, content_type: str, subject: Resource, key: str, started: str) -> Resource:
    organization = {"reference": f"Organization/{organization_id(record.facility)}"}
    attachment: dict[str, Any] = {
        "contentType": content_type,
        "url": f"Binary/{sha256}",
        "size": len(record.content),
        "hash": base64.b64encode(hashlib.sha1(record.content, usedforsecurity=False).digest()).decode(),
        "title": "心电图",
    }
    document: Resource = {
        "resourceType": "DocumentReference",
        "id": resource_id("DocumentReference", record.facility, "ecg", key),
        "masterIdentifier": {"system": "urn:hub:sha-256", "value": sha256},
        "status": "current",
        "type": EKG_STUDY,
        "subject": subject,
        "author": [organization],
        "custodian": organization,
        "description": "心电图原始文件",
        "content": [{"attachment": {**attachment, **({"creation": started} if started else {})}}],
    }
    if "T" in started:
        document["date"] = started
    return document


def _binary(sha256: str, content_type: str, subject: Resource) -> Resource:
    return {"resourceType": "Binary", "id": sha256, "contentType": content_type, "securityContext": subject}


def _printed(record: SourceRecord, *, explain: bool) -> Mapped:
    """A print: whose it is stands in no field, so it waits under a patient of its own until someone says."""
    if len(record.content) > MAX_PDF:
        raise CannotMap(f"a PDF of {len(record.content)} bytes; the limit is {MAX_PDF}")
    sha256 = hashlib.sha256(record.content).hexdigest()
    identity = resource_id("Patient", record.facility, "ecg", sha256)
    subject = {"reference": f"Patient/{identity}"}
    return Mapped(
        changes=(
            Change({"resourceType": "Patient", "id": identity}, "fill"),
            Change(_document(record, sha256, PDF, subject, sha256, "")),
            Change(_binary(sha256, PDF, subject)),
        ),
        issues=(
            Issue("missing", "subject id", "a print names its patient in no field"),
            Issue("unsupported", "PDF", "a print has no waveform and no measurements; kept as a document"),
        ),
        attachments=(Attachment(sha256, PDF, record.content),),
        ledger={"kept": 1},
        lines=(Line("original file", "kept", "Binary"),) if explain else (),
    )
