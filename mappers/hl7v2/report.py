"""HL7 v2 OBR (with ORC, SPM) → DiagnosticReport, Specimen, and a shell of the ServiceRequest it answers.

https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-segment-obr-to-diagnosticreport.html
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from mappers.base import CannotMap, Resource
from mappers.datatypes import Mark, recognition_mark
from mappers.hl7v2.attachments import attachments_of, is_document
from mappers.hl7v2.draft import Draft
from mappers.hl7v2.groups import Group
from mappers.hl7v2.message import Segment
from mappers.hl7v2.microbiology import Placed, Reported, link_results
from mappers.hl7v2.observation import Report, item_code, note_text, observation_from_obx
from mappers.hl7v2.performers import REPORTERS, organizations_of, persons_of, producer
from mappers.hl7v2.request_shell import request_shell, shared_numbers
from mappers.hl7v2.specimen import collected_at, state_specimens
from mappers.hl7v2.types import number_identifier, once, people
from mappers.identity_keys import reference, resource_id
from profiles.names import CHARSET_REPAIRED, DIAGNOSTIC_SERVICE, LOINC

# HL7 table 0123 (OBR-25) → DiagnosticReport.status
REPORT_STATUS = {
    "O": "registered",
    "I": "registered",
    "S": "registered",
    "P": "preliminary",
    "C": "corrected",
    "M": "corrected",
    "R": "partial",
    "A": "partial",
    "F": "final",
    "X": "cancelled",
    "Y": "unknown",
    "Z": "unknown",
}

# HL7 table 0074 (OBR-24) → observation-category; a code outside is the laboratory's
SERVICES = {
    **dict.fromkeys(
        ("LAB", "CH", "HM", "MB", "MCB", "MYC", "IMM", "SR", "TX", "UR", "VR", "BLB", "CP", "BG", "GE", "TOX"), "laboratory"
    ),
    **dict.fromkeys(("RAD", "CT", "NMR", "MRI", "RUS", "OUS", "VUS", "NMS", "RX", "CUS", "XRC", "EN", "IMG"), "imaging"),
    **dict.fromkeys(
        ("US", "DR", "DX", "CR", "MG", "MR", "XA", "PT", "RF", "NM", "ES"), "imaging"
    ),  # DICOM modalities, as many write
    **dict.fromkeys(("EC", "EN", "PF", "NRS", "PHY", "OTH", "CTH", "VAS", "SP", "AU", "OSL"), "procedure"),
}
NOT_IN_0074 = frozenset(
    ["TOX", "BG", "GE", "UR", "MRI", "IMG", "EN", "US", "DR", "DX", "CR", "MG", "MR", "XA", "PT", "RF", "NM", "ES"]
)
IN_TABLE_0074 = frozenset(SERVICES) - NOT_IN_0074
SECTION = {"laboratory": "LAB", "imaging": "RAD", "procedure": "OTH"}  # of a service that table 0074 lacks

# What the statuses of its results say of a report whose OBR-25 is empty: first row that fits
STATUS_OF_RESULTS = (
    ({"final"}, "final"),
    ({"cancelled"}, "cancelled"),
    ({"final", "cancelled"}, "final"),
    ({"final", "corrected", "amended", "cancelled"}, "corrected"),
    ({"preliminary", "registered"}, "preliminary"),
    ({"final", "corrected", "amended", "cancelled", "preliminary", "registered"}, "partial"),
)
TAKEN_BACK = frozenset({"D", "W", "X"})  # OBX-11 of a document that is no more part of its report
CONCLUSION_CODES = {"IMP", "19005-8"}  # OBX-3.1.2 suffix or LOINC "impression"
CONCLUSION_NAMES = re.compile(
    "(?:影像|检查|超声|病理|心电|报告)?(?:学)?(?:诊断|结论|提示|印象)(?:意见|印象|结论|提示|结果)?|IMPRESSION|CONCLUSION",
    re.IGNORECASE,
)
STUDY_CODES = {"113014", "110180"}  # DCM: DICOM Study; Study Instance UID
UID = re.compile(r"[0-2](?:\.\d{1,39}){2,20}")
NOTE = "http://hl7.org/fhir/5.0/StructureDefinition/extension-DiagnosticReport.note"  # R4 has no note on a report


def report_number(group: Group) -> str:
    """OBR-3, else OBR-2, else the ORC's: the number that a correction repeats."""
    found = [segment.value(field) for segment in (group.obr, group.orc) if segment for field in (3, 2)]
    return next(filter(None, found), "")


def report_key(draft: Draft, group: Group) -> tuple[str, ...]:
    """Facility, number and OBR-4; without a number the patient and the time of collection. Raise CannotMap otherwise."""
    obr = group.obr
    code = (obr.value(4) or obr.value(4, 2)) if obr else ""
    if number := report_number(group):
        return (draft.facility, number, code or "-")
    when = next((obr[field] for field in (7, 22, 6) if obr.value(field)), "") if obr else ""
    when = when or next((found for result in group.results if (found := result.obx.value(14))), "") or draft.message.header.value(7)
    if not when:
        raise CannotMap(f"{group.where}: neither a number nor a time tells this report from another")
    draft.note("missing", f"{group.where}-3", "no report number; patient, item and time identify the report")
    return (draft.facility, "/".join(draft.patient_key), code or "-", when)


def _collected(draft: Draft, group: Group) -> str | None:
    """Collection: SPM-17, OBR-7; some sources shift it to OBR-6."""
    if when := collected_at(draft, group):
        return when
    obr = group.obr
    if obr is None:
        return None
    if when := draft.datetime(obr, 7):
        return when
    if obr.value(6) and not obr.value(8):
        draft.note("moved", f"{obr.where}-6", "the time stands where OBR-6 is; OBR-7 is empty", "information")
        return draft.datetime(obr, 6)
    return None


def shifted_by_one(obr: Segment | None) -> bool:
    """Some sources write one field too many before OBR-22: the section stands in OBR-25 and the status in OBR-26."""
    return obr is not None and obr.value(25).upper() in SERVICES and obr.value(26) in REPORT_STATUS


def _status_code(draft: Draft, obr: Segment | None) -> str:
    """OBR-25; some sources shift it to OBR-22 or OBR-26."""
    if obr is None:
        return ""
    if shifted_by_one(obr):
        draft.note("moved", f"{obr.where}-26", "section and status stand where OBR-25 and OBR-26 are", "information")
        return obr.value(26)
    if not obr.has(25) and obr.value(22) in REPORT_STATUS:
        draft.note("moved", f"{obr.where}-22", "the status stands where OBR-22 is", "information")
        return obr.value(22)
    return obr.value(25)


def _issued(draft: Draft, obr: Segment | None) -> str | None:
    if obr and not obr.has(22) and shifted_by_one(obr):
        return draft.instant(obr, 23)
    return draft.instant(obr, 22) if obr and len(obr.value(22)) > 1 else None


def _derived_status(draft: Draft, group: Group, contents: Contents) -> str:
    draft.note("missing", f"{group.where}-25", "no report status: taken from its results", "information")
    statuses = {placed.observation["status"] for placed in contents.results} - {"entered-in-error"}
    if not statuses and contents.forms:
        statuses = {_document_status(group)}
    return next((status for fits, status in STATUS_OF_RESULTS if statuses and statuses <= fits), "unknown")


def _document_status(group: Group) -> str:
    codes = {result.obx.value(11) for result in group.results}
    return "final" if codes == {"F"} else "unknown"


def _times(draft: Draft, obr: Segment | None, effective: str | None) -> dict[str, Any]:
    end = draft.datetime(obr, 8) if obr else None
    if effective and end and "T" in effective and "T" in end and effective[:19] < end[:19] and effective[19:] == end[19:]:
        return {"effectivePeriod": {"start": effective, "end": end}}
    return {"effectiveDateTime": effective} if effective else {}


def state_reports(draft: Draft, groups: list[Group]) -> None:
    """All reports of one patient in a message, and which result belongs to which."""
    shared = shared_numbers(groups)
    link_results(draft, [Reported(group, state_report(draft, group, shared)) for group in groups])


def state_report(draft: Draft, group: Group, shared_orders: Counter[str]) -> list[Placed]:
    """Report, results, specimen, documents and the shell of the order of one group; → its results."""
    obr = group.obr
    if obr is None:
        draft.note("moved", group.where, "results without OBR: a report is built from them")
    elif not group.results:
        draft.note("missing", group.where, "a report without results", "information")
    key = report_key(draft, group)
    effective, issued, status_code = _collected(draft, group), _issued(draft, obr), _status_code(draft, obr)
    specimens = state_specimens(draft, group, key, effective)
    service = _service(group, obr)
    shared = Report(
        key=key,
        effective=effective,
        issued=issued,
        category=SERVICES.get(service, "laboratory") if service else "",
        specimen=specimens[0] if specimens else None,
        status_code=status_code,
    )
    code, mark = item_code(draft, obr, 4) if obr else _code_of_results(draft, group)
    report = _head(draft, group, key, mark)
    if request := request_shell(draft, group, code, shared_orders):
        report["basedOn"] = [request]
    contents = _contents(draft, group, shared)
    status = draft.translate(REPORT_STATUS, status_code, f"{group.where}-25", "HL7 table 0123") if status_code else None
    report["status"] = status or ("unknown" if status_code else _derived_status(draft, group, contents))
    if obr and obr.value(55).upper() == "D":  # 2.9: action code
        report["status"] = "entered-in-error"
    if service:
        report["category"] = [_category(draft, service)]
    report["code"] = code or {"text": "unnamed"}
    report["subject"] = draft.patient
    if draft.encounter:
        report["encounter"] = draft.encounter
    report |= _times(draft, obr, effective)
    if issued:
        report["issued"] = issued
    report["performer"] = [draft.organization, *_performers(draft, group)]
    stated = {
        "resultsInterpreter": _interpreters(draft, group),
        "specimen": specimens,
        "result": _listed(contents),
        "imagingStudy": contents.studies,
        "conclusion": "\n".join(contents.conclusions),
        "presentedForm": contents.forms,
    }
    draft.state(report | {element: value for element, value in stated.items() if value})
    return contents.results


def _listed(contents: Contents) -> list[dict[str, Any]]:
    """A result that was entered in error has left its report."""
    valid = (placed.observation for placed in contents.results if placed.observation["status"] != "entered-in-error")
    return [{"reference": f"Observation/{observation['id']}"} for observation in valid]


def _performers(draft: Draft, group: Group) -> list[dict[str, Any]]:
    """Laboratories of its results, technicians (OBR-34), and whom PRT names."""
    found = [laboratory for result in group.results if (laboratory := producer(draft, result.obx))]
    found += people(draft, group.obr, 34) if group.obr else []
    found += [*organizations_of(draft, group.people), *persons_of(draft, group.people)]
    return once(found)


def _interpreters(draft: Draft, group: Group) -> list[dict[str, Any]]:
    found = [person for field in (32, 33) for person in people(draft, group.obr, field)] if group.obr else []
    found += persons_of(draft, group.people, REPORTERS)
    return once(found)


def _service(group: Group, obr: Segment | None) -> str:
    """OBR-24. Where it is empty the results themselves must say it: a specimen or a measured value is the laboratory's."""
    if obr and (stated := obr.value(25 if shifted_by_one(obr) else 24).upper()):
        return stated
    if any(is_study(result.obx) for result in group.results):
        return "RAD"
    measured = any(result.obx.has(7) or result.obx.value(2).upper() in {"NM", "SN"} for result in group.results)
    return "LAB" if measured or group.specimens or (obr and obr.has(15)) else ""


def _head(draft: Draft, group: Group, key: tuple[str, ...], mark: Mark | None) -> Resource:
    report: Resource = {"resourceType": "DiagnosticReport", "id": resource_id("DiagnosticReport", *key)}
    extensions: list[dict[str, Any]] = [recognition_mark(mark)] if mark else []
    if draft.message.repaired_charset:
        extensions.append({"url": CHARSET_REPAIRED, "valueString": draft.message.charset})
    if text := note_text(group.notes):
        extensions.append({"url": NOTE, "valueAnnotation": {"text": text}})
    if extensions:
        report["extension"] = extensions
    if number := report_number(group):
        report["identifier"] = [number_identifier(draft, number, "report", "FILL")]
    return report


@dataclass(slots=True)
class Contents:
    """What the OBX of one report yield."""

    results: list[Placed] = field(default_factory=list)
    forms: list[dict[str, Any]] = field(default_factory=list)
    conclusions: list[str] = field(default_factory=list)
    studies: list[dict[str, Any]] = field(default_factory=list)


def _contents(draft: Draft, group: Group, shared: Report) -> Contents:
    found = Contents()
    for result in group.results:
        obx = result.obx
        if is_document(obx):
            found.forms += attachments_of(draft, obx) if obx.value(11).upper() not in TAKEN_BACK else []
            continue
        if obx.value(2) != "NM" and is_study(obx):
            found.studies.append(reference("ImagingStudy", draft.facility, obx.value(5)))
        observation = observation_from_obx(draft, result, shared)
        draft.state(observation)
        found.results.append(Placed(obx, observation))
        if "valueString" in observation and _is_conclusion(obx):
            found.conclusions.append(observation["valueString"])
    return found


def _is_conclusion(obx: Segment) -> bool:
    codes = {obx.value(3, 1, 2).upper(), obx.value(3).upper()} & CONCLUSION_CODES
    return bool(codes) or CONCLUSION_NAMES.fullmatch(obx.value(3, 2) or obx.value(3)) is not None


def is_study(obx: Segment) -> bool:
    """An OBX that names the images: DICOM Study or Study Instance UID of DCM, with a UID as its value."""
    return obx.value(3) in STUDY_CODES and UID.fullmatch(obx.value(5)) is not None


def _code_of_results(draft: Draft, group: Group) -> tuple[dict[str, Any] | None, Mark | None]:
    """A report without OBR is named after its only result, else by what it is."""
    if len(group.results) == 1:
        return item_code(draft, group.results[0].obx, 3)
    return {"coding": [{"system": LOINC, "code": "11502-2", "display": "Laboratory report"}], "text": "Laboratory report"}, None


def _category(draft: Draft, service: str) -> dict[str, Any]:
    known = service if service in IN_TABLE_0074 else SECTION[SERVICES.get(service, "laboratory")]
    coding = [{"system": DIAGNOSTIC_SERVICE, "code": known}]
    if service not in IN_TABLE_0074:
        coding.append({"system": draft.local("service"), "code": " ".join(service.split())})
    return {"coding": coding}
