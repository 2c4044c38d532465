"""One DICOM instance → its part of an ImagingStudy.

https://hl7.org/fhir/R4/imagingstudy.html, mapping to DICOM: https://hl7.org/fhir/R4/imagingstudy-mappings.html#dicom

Images, structured reports, encapsulated PDF, segmentations, presentation states, key objects: each is an instance of its series.
Only the header is read; what it says is the whole truth about the study, for a report is another document.
"""

from __future__ import annotations

from typing import Any

from mappers.base import Issue, Resource
from mappers.dicom.codes import codeable
from mappers.dicom.datatypes import human_names
from mappers.dicom.header import Header, tag_name
from mappers.dicom.instance import ACCESSION_NUMBER, PROCEDURE_CODES, SOP_CLASS_UID, Instance
from mappers.dicom.union import unite_studies
from mappers.identity_keys import local_system
from profiles.names import CHARSET_REPAIRED, DCM, DICOM_UID, IDENTIFIER_TYPE, STORED_OBJECT

STUDY_DATE, STUDY_TIME, SERIES_DATE, SERIES_TIME = 0x00080020, 0x00080030, 0x00080021, 0x00080031
MODALITY, REFERRING_PHYSICIAN, PERFORMING_PHYSICIAN, OPERATORS = 0x00080060, 0x00080090, 0x00081050, 0x00081070
STUDY_DESCRIPTION, SERIES_DESCRIPTION = 0x00081030, 0x0008103E
REQUESTED_PROCEDURE, REASON = 0x00321060, 0x00401002
BODY_PART, SERIES_NUMBER, INSTANCE_NUMBER = 0x00180015, 0x00200011, 0x00200013
LATERALITY, IMAGE_LATERALITY = 0x00200060, 0x00200062
DOCUMENT_TITLE = 0x00420010

SNOMED = "http://snomed.info/sct"
SIDES = {"L": ("7771000", "Left"), "R": ("24028007", "Right"), "B": ("51440002", "Bilateral")}
PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
PERFORMERS = ((PERFORMING_PHYSICIAN, "PPRF", "primary performer"), (OPERATORS, "SPRF", "secondary performer"))


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
    if procedures := _procedures(instance):
        study["procedureCode"] = procedures
    if reason := header.text(REASON):
        study["reasonCode"] = [{"text": reason}]
    _put(study, "started", instance.stated_datetime(STUDY_DATE, STUDY_TIME, issues))
    _put(study, "description", header.text(STUDY_DESCRIPTION))
    return unite_studies(None, study)


def _procedures(instance: Instance) -> list[dict[str, Any]]:
    """Procedure codes, and the request's own words for it."""
    coded = [code for item in instance.items(PROCEDURE_CODES) if (code := codeable(instance, item))]
    words = instance.header.text(REQUESTED_PROCEDURE)
    return [*coded, *([{"text": words}] if words and words not in (code.get("text") for code in coded) else [])]


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
    _put(series, "started", instance.stated_datetime(SERIES_DATE, SERIES_TIME, issues))
    if body_part := header.text(BODY_PART):
        series["bodySite"] = {"display": body_part}
    side = header.text(LATERALITY) or header.text(IMAGE_LATERALITY)
    if side in SIDES:
        code, display = SIDES[side]
        series["laterality"] = {"system": SNOMED, "code": code, "display": display}
    elif side not in ("", "U"):  # U = unpaired
        issues.append(Issue("invalid-value", tag_name(LATERALITY), "not one of L, R, B, U"))
    series["performer"] = [{"actor": instance.organization}, *_performers(header)]
    series["instance"] = [_instance_part(instance, issues)]
    return series


def _performers(header: Header) -> list[dict[str, Any]]:
    """Who read or operated, by name: the header has no number that would make a Practitioner of them."""
    return [
        {"function": {"coding": [{"system": PARTICIPATION, "code": code, "display": display}]}, "actor": {"display": name["text"]}}
        for tag, code, display in PERFORMERS
        for stated in header.texts(tag)
        for name in human_names(stated)[:1]
    ]


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


def _number(header: Header, tag: int, issues: list[Issue]) -> int | None:
    """unsignedInt: a negative or unreadable number is named and left out."""
    number = header.integer(tag)
    if header.text(tag) and (number is None or not 0 <= number < 2**31):
        issues.append(Issue("invalid-value", tag_name(tag), "not a number from 0 up"))
        return None
    return number


def _put(element: dict[str, Any], name: str, value: Any) -> None:
    if value not in ("", None):
        element[name] = value
