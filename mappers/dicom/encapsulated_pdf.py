"""A report's PDF → an Encapsulated PDF object, for a PACS that keeps reports beside images.

DICOM PS3.3 A.45.1 (Encapsulated PDF IOD). The same report and document again is the same SOPInstanceUID.
"""

from __future__ import annotations

import hashlib
from typing import Any

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, EncapsulatedPDFStorage, ExplicitVRLittleEndian

from mappers.base import Resource
from mappers.hl7v2_out.text import first, timestamp
from profiles.names import DICOM_UID

SEX = {"male": "M", "female": "F", "other": "O"}
CHARSETS = {"UTF-8": "ISO_IR 192", "GB18030": "GB18030"}


def uid_of(*parts: str) -> UID:
    """A UID from what names the thing. PS3.5 B.2: 2.25 and a number of 128 bits."""
    digest = hashlib.sha256("\x1f".join(parts).encode()).digest()[:16]
    return UID(f"2.25.{int.from_bytes(digest, 'big')}")


def encapsulated_pdf(
    report: Resource,
    patient: Resource,
    study: Resource,
    content: bytes,
    *,
    place: int = 0,
    charset: str = "UTF-8",
    patient_id: str = "",
) -> Dataset:
    """`study` is the ImagingStudy that the report is of, {} for none: the object is then a study of its own.

    `place`: which of the report's documents. `patient_id`: the number under which the receiver knows the patient.
    """
    own = f"{report['resourceType']}/{report['id']}"
    digest = hashlib.sha256(content).hexdigest()
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = EncapsulatedPDFStorage
    meta.MediaStorageSOPInstanceUID = uid_of("instance", own, str(place), digest)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SpecificCharacterSet = CHARSETS[charset]
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID = study_uid(study) or uid_of("study", own)
    dataset.SeriesInstanceUID = uid_of("series", own)
    dataset.Modality = "DOC"
    dataset.ConversionType = "WSD"
    dataset.SeriesNumber, dataset.InstanceNumber = 1, place + 1
    dataset.BurnedInAnnotation = "YES"
    _state_patient(dataset, patient, patient_id)
    _state_report(dataset, report, study)
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.EncapsulatedDocumentLength = len(content)
    dataset.EncapsulatedDocument = content + b"\0" * (len(content) % 2)
    return dataset


def study_uid(study: Resource) -> str:
    found = (each.get("value", "") for each in study.get("identifier", ()) if each.get("system") == DICOM_UID)
    return str(next(found, "")).removeprefix("urn:oid:")


def _state_patient(dataset: Dataset, patient: Resource, patient_id: str) -> None:
    name = first(patient.get("name"))
    given = " ".join(name.get("given") or [])
    dataset.PatientName = f"{name['family']}^{given}".rstrip("^") if name.get("family") else name.get("text", given)
    dataset.PatientID = patient_id or first(patient.get("identifier")).get("value", "")
    born = timestamp(patient.get("birthDate"))
    dataset.PatientBirthDate = born if len(born) == 8 else ""
    dataset.PatientSex = SEX.get(str(patient.get("gender", "")), "")


def _state_report(dataset: Dataset, report: Resource, study: Resource) -> None:
    issued = timestamp(report.get("issued") or report.get("effectiveDateTime"))
    started = timestamp(study.get("started") or report.get("effectiveDateTime"))
    dataset.StudyDate, dataset.StudyTime = started[:8] if len(started) >= 8 else "", _time(started)
    dataset.ContentDate, dataset.ContentTime = issued[:8] if len(issued) >= 8 else "", _time(issued)
    dataset.AcquisitionDateTime = ""
    code: dict[str, Any] = report.get("code") or {}
    dataset.DocumentTitle = str(code.get("text") or first(code.get("coding")).get("display", ""))[:1024]
    dataset.ConceptNameCodeSequence = Sequence([])
    dataset.AccessionNumber = _accession(study) or str(first(report.get("identifier")).get("value", ""))[:16]
    dataset.StudyID, dataset.ReferringPhysicianName, dataset.Manufacturer = "", "", "Yitong Hub"


def _accession(study: Resource) -> str:
    for identifier in study.get("identifier", ()):
        if first((identifier.get("type") or {}).get("coding")).get("code") == "ACSN":
            return str(identifier.get("value", ""))[:16]
    return ""


def _time(stamp: str) -> str:
    return stamp[8:14] if len(stamp) >= 14 and stamp[8:14].isdigit() else ""
