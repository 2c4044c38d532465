"""One DICOM instance → its part of an ImagingStudy, its Patient, its file; an ECG gives its measurements too.

https://hl7.org/fhir/R4/imagingstudy.html, mapping to DICOM: https://hl7.org/fhir/R4/imagingstudy-mappings.html#dicom

Images, structured reports, encapsulated PDF, segmentations: each is an instance of its series. Only the header is read;
what it says is the whole truth about the study, for a report is another document.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from connectors.base import SourceRecord
from mappers.base import Attachment, CannotMap, Change, Issue, Mapped, MappingContext, Resource
from mappers.dicom.datatypes import GENDER, fhir_date, fhir_datetime, human_names, instant
from mappers.dicom.header import UID, Header, HeaderError, neutral_preamble, read_header, tag_name
from mappers.dicom.union import unite_studies
from mappers.identity_keys import local_system, organization_id, resource_id
from profiles.names import CHARSET_REPAIRED, DCM, DICOM_UID, IDENTIFIER_TYPE, STORED_OBJECT

CONTENT_TYPE = "application/dicom"

SPECIFIC_CHARACTER_SET = 0x00080005
SOP_CLASS_UID, SOP_INSTANCE_UID = 0x00080016, 0x00080018
STUDY_INSTANCE_UID, SERIES_INSTANCE_UID = 0x0020000D, 0x0020000E
STUDY_DATE, STUDY_TIME, SERIES_DATE, SERIES_TIME = 0x00080020, 0x00080030, 0x00080021, 0x00080031
ACCESSION_NUMBER, MODALITY, REFERRING_PHYSICIAN = 0x00080050, 0x00080060, 0x00080090
STUDY_DESCRIPTION, SERIES_DESCRIPTION = 0x00081030, 0x0008103E
PATIENT_NAME, PATIENT_ID, ISSUER_OF_PATIENT_ID = 0x00100010, 0x00100020, 0x00100021
BIRTH_DATE, PATIENT_SEX = 0x00100030, 0x00100040
BODY_PART, SERIES_NUMBER, INSTANCE_NUMBER = 0x00180015, 0x00200011, 0x00200013
LATERALITY, IMAGE_LATERALITY, ZONE = 0x00200060, 0x00200062, 0x00080201
DOCUMENT_TITLE = 0x00420010

# When this instance was stated, the surest first: date and time elements
STATED_AT = (
    (0x00080012, 0x00080013),
    (0x00080023, 0x00080033),
    (0x00080022, 0x00080032),
    (0x00080021, 0x00080031),
    (0x00080020, 0x00080030),
)

SNOMED = "http://snomed.info/sct"
SIDES = {"L": ("7771000", "Left"), "R": ("24028007", "Right"), "B": ("51440002", "Bilateral")}

# Header elements that something is made of; the ledger counts the others as kept
USED = frozenset(
    {
        SPECIFIC_CHARACTER_SET, SOP_CLASS_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID, SERIES_INSTANCE_UID, STUDY_DATE, STUDY_TIME,
        SERIES_DATE, SERIES_TIME, ACCESSION_NUMBER, MODALITY, REFERRING_PHYSICIAN, STUDY_DESCRIPTION, SERIES_DESCRIPTION,
        PATIENT_NAME, PATIENT_ID, ISSUER_OF_PATIENT_ID, BIRTH_DATE, PATIENT_SEX, BODY_PART, SERIES_NUMBER, INSTANCE_NUMBER,
        LATERALITY, IMAGE_LATERALITY, ZONE, DOCUMENT_TITLE,
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Instance:
    """What the parts of the map share: the header, whose it is, and the ids that follow."""

    header: Header
    facility: str
    zone: str
    sha256: str
    study_uid: str
    series_uid: str
    instance_uid: str
    patient_id: str  # of the FHIR resource
    content: bytes
    peer: str = ""

    @property
    def study_id(self) -> str:
        return resource_id("ImagingStudy", self.facility, self.study_uid)

    @property
    def subject(self) -> dict[str, Any]:
        return {"reference": f"Patient/{self.patient_id}"}

    @property
    def organization(self) -> dict[str, Any]:
        return {"reference": f"Organization/{organization_id(self.facility)}"}

    def based_on(self) -> list[dict[str, Any]]:
        """The order, by the number that PACS and RIS share; it may come later than the images."""
        accession = self.header.text(ACCESSION_NUMBER)
        if not accession:
            return []
        order = resource_id("ServiceRequest", self.facility, accession)
        return [
            {
                "reference": f"ServiceRequest/{order}",
                "identifier": {"system": local_system(self.facility, "order"), "value": accession},
            }
        ]


Extra = Callable[[Instance, list[Issue]], tuple[Change, ...]]


def map_instance(record: SourceRecord, context: MappingContext) -> Mapped:
    """A DICOM file → its study with this one instance (union), the patient it names (fill) and the file as a Binary."""
    issues: list[Issue] = []
    instance = _instance(record, context, issues)
    study = Change(imaging_study(instance, issues), "union")
    patient = Change(patient_from_header(instance, issues), "fill")
    extra = _extra(instance.header.uid(SOP_CLASS_UID))
    more = extra(instance, issues) if extra else ()
    return Mapped(
        changes=(patient, study, *more, Change(_binary(instance))),
        issues=tuple(issues),
        attachments=(Attachment(instance.sha256, CONTENT_TYPE, instance.content),),
        changed_at=next((at for day, clock in STATED_AT if (at := _instant(instance, day, clock))), None),
        ledger=_ledger(instance.header),
    )


def _instance(record: SourceRecord, context: MappingContext, issues: list[Issue]) -> Instance:
    try:
        header = read_header(record.content, charset=record.hints.get("charset", "") or context.charset)
    except HeaderError as error:
        raise CannotMap(f"no readable DICOM: {error}") from None
    issues.extend(header.issues)
    _charset_issues(header, issues)
    study, series, instance = (_required_uid(header, tag) for tag in (STUDY_INSTANCE_UID, SERIES_INSTANCE_UID, SOP_INSTANCE_UID))
    _required_uid(header, SOP_CLASS_UID)
    content = neutral_preamble(record.content)
    number, namespace = patient_number(header, record.facility, record.hints.get("peer", ""))
    if not number:
        issues.append(Issue("missing", tag_name(PATIENT_ID), "a patient of this study alone"))
    return Instance(
        header=header,
        facility=record.facility,
        zone=header.text(ZONE) or record.hints.get("zone", "") or context.zone,
        sha256=hashlib.sha256(content).hexdigest(),
        study_uid=study,
        series_uid=series,
        instance_uid=instance,
        patient_id=resource_id("Patient", namespace, number) if number else resource_id("Patient", record.facility, "study", study),
        content=content,
        peer=record.hints.get("peer", ""),
    )


def _required_uid(header: Header, tag: int) -> str:
    uid = header.uid(tag)
    if not uid:
        stated = header.text(tag)
        raise CannotMap(f"{tag_name(tag)} is {'not made of 1 to 64 digits and dots' if stated else 'missing'}")
    return uid


def _charset_issues(header: Header, issues: list[Issue]) -> None:
    decoder = header.decoder
    if decoder.repaired:
        issues.append(Issue("charset-repaired", tag_name(SPECIFIC_CHARACTER_SET), decoder.repaired))
    if decoder.lossy:
        issues.append(Issue("invalid-value", tag_name(SPECIFIC_CHARACTER_SET), "no character set reads all text"))


def patient_number(header: Header, facility: str, peer: str) -> tuple[str, str]:
    """PatientID, and the namespace it counts in: the facility, unless another issuer is named."""
    issuer = header.text(ISSUER_OF_PATIENT_ID)
    namespace = facility if issuer in ("", facility, peer) else f"{facility}:{issuer}"
    return header.text(PATIENT_ID), namespace


def patient_from_header(instance: Instance, issues: list[Issue]) -> Resource:
    """Patient module: https://dicom.nema.org/medical/dicom/current/output/chtml/part03/sect_C.7.html#sect_C.7.1.1"""
    header = instance.header
    number, namespace = patient_number(header, instance.facility, instance.peer)
    patient: Resource = {"resourceType": "Patient", "id": instance.patient_id}
    if header.decoder.repaired:
        patient["extension"] = [{"url": CHARSET_REPAIRED, "valueString": header.decoder.repaired}]
    if number:
        kind = {"coding": [{"system": IDENTIFIER_TYPE, "code": "MR"}]}
        system = local_system(quote(namespace, safe=":"), "patient")
        patient["identifier"] = [{"use": "usual", "type": kind, "system": system, "value": number}]
    if names := human_names(header.text(PATIENT_NAME)):
        patient["name"] = names
    sex = header.text(PATIENT_SEX)
    if sex in GENDER:
        patient["gender"] = GENDER[sex]
    elif sex:
        issues.append(Issue("invalid-value", tag_name(PATIENT_SEX), "not one of M, F, O"))
    birth = header.text(BIRTH_DATE)
    if day := fhir_date(birth):
        patient["birthDate"] = day
    elif birth:
        issues.append(Issue("invalid-value", tag_name(BIRTH_DATE), f"no date, {len(birth)} characters"))
    return patient


def imaging_study(instance: Instance, issues: list[Issue]) -> Resource:
    """The study as this instance alone states it; `unite_studies` joins them."""
    header = instance.header
    study: Resource = {
        "resourceType": "ImagingStudy",
        "id": instance.study_id,
        "identifier": _identifiers(instance),
        "status": "available",
        "subject": instance.subject,
        "series": [_series(instance, issues)],
    }
    if header.decoder.repaired:
        study["extension"] = [{"url": CHARSET_REPAIRED, "valueString": header.decoder.repaired}]
    if based_on := instance.based_on():
        study["basedOn"] = based_on
    if referrer := human_names(header.text(REFERRING_PHYSICIAN)):
        study["referrer"] = {"display": referrer[0]["text"]}
    _put(study, "started", _datetime(instance, STUDY_DATE, STUDY_TIME, issues))
    _put(study, "description", header.text(STUDY_DESCRIPTION))
    return unite_studies(None, study)


def _identifiers(instance: Instance) -> list[dict[str, Any]]:
    identifiers: list[dict[str, Any]] = [{"use": "official", "system": DICOM_UID, "value": f"urn:oid:{instance.study_uid}"}]
    if accession := instance.header.text(ACCESSION_NUMBER):
        identifiers.append(
            {
                "type": {"coding": [{"system": IDENTIFIER_TYPE, "code": "ACSN"}]},
                "system": local_system(instance.facility, "accession"),
                "value": accession,
                "assigner": instance.organization,
            }
        )
    return identifiers


def _series(instance: Instance, issues: list[Issue]) -> dict[str, Any]:
    header = instance.header
    modality = header.text(MODALITY)
    if not modality:
        issues.append(Issue("missing", tag_name(MODALITY), "OT (other) stands for it"))
    series: dict[str, Any] = {"uid": instance.series_uid, "modality": {"system": DCM, "code": modality or "OT"}}
    _put(series, "number", _number(header, SERIES_NUMBER, issues))
    _put(series, "description", header.text(SERIES_DESCRIPTION))
    _put(series, "started", _datetime(instance, SERIES_DATE, SERIES_TIME, issues))
    if body_part := header.text(BODY_PART):
        series["bodySite"] = {"display": body_part}
    side = header.text(LATERALITY) or header.text(IMAGE_LATERALITY)
    if side in SIDES:
        code, display = SIDES[side]
        series["laterality"] = {"system": SNOMED, "code": code, "display": display}
    elif side not in ("", "U"):  # U = unpaired
        issues.append(Issue("invalid-value", tag_name(LATERALITY), "not one of L, R, B, U"))
    series["performer"] = [{"actor": instance.organization}]
    series["instance"] = [_instance_part(instance, issues)]
    return series


def _instance_part(instance: Instance, issues: list[Issue]) -> dict[str, Any]:
    header = instance.header
    part: dict[str, Any] = {
        "extension": [{"url": STORED_OBJECT, "valueReference": {"reference": f"Binary/{instance.sha256}"}}],
        "uid": instance.instance_uid,
        "sopClass": {"system": "urn:ietf:rfc:3986", "code": f"urn:oid:{header.uid(SOP_CLASS_UID)}"},
    }
    _put(part, "number", _number(header, INSTANCE_NUMBER, issues))
    _put(part, "title", header.text(DOCUMENT_TITLE))
    return part


def _binary(instance: Instance) -> Resource:
    return {
        "resourceType": "Binary",
        "id": instance.sha256,
        "contentType": CONTENT_TYPE,
        "securityContext": instance.subject,
    }


def _number(header: Header, tag: int, issues: list[Issue]) -> int | None:
    """unsignedInt: a negative or unreadable number is named and left out."""
    number = header.integer(tag)
    if header.text(tag) and (number is None or not 0 <= number < 2**31):
        issues.append(Issue("invalid-value", tag_name(tag), "not a number from 0 up"))
        return None
    return number


def _datetime(instance: Instance, day: int, clock: int, issues: list[Issue]) -> str:
    stated = instance.header.text(day)
    value = fhir_datetime(stated, instance.header.text(clock), instance.zone)
    if stated and not value:
        issues.append(Issue("invalid-value", tag_name(day), f"no date, {len(stated)} characters"))
    return value


def _instant(instance: Instance, day: int, clock: int) -> Any:
    return instant(instance.header.text(day), instance.header.text(clock), instance.zone)


def _put(element: dict[str, Any], name: str, value: Any) -> None:
    if value not in ("", None):
        element[name] = value


def _ledger(header: Header) -> dict[str, int]:
    stated = [tag for tag, element in header.elements.items() if element.value]
    mapped = sum(tag in USED for tag in stated)
    return {"mapped": mapped, "kept": len(stated) - mapped}


def _extra(sop_class: str) -> Extra | None:
    """What an object of this class says beyond being an instance."""
    from mappers.ecg.dicom_waveform import ECG_CLASSES
    from mappers.ecg.resources import resources_from_instance

    return resources_from_instance if sop_class in ECG_CLASSES else None


__all__ = ["CONTENT_TYPE", "UID", "Instance", "imaging_study", "map_instance", "patient_from_header", "unite_studies"]
