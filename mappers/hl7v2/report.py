"""HL7 v2 OBR (with ORC, SPM) → DiagnosticReport, Specimen, and a shell of the ServiceRequest it answers.

https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-segment-obr-to-diagnosticreport.html
"""

from __future__ import annotations

import re
from typing import Any

from mappers.base import CannotMap, Resource
from mappers.datatypes import Mark, recognition_mark
from mappers.hl7v2.draft import Draft
from mappers.hl7v2.groups import Group, Result
from mappers.hl7v2.message import Segment
from mappers.hl7v2.observation import Report, item_code, note_text, observation_from_obx
from mappers.hl7v2.types import CJK, codeable_concept, number_identifier, people
from mappers.hl7v2.values import enclosed_document
from mappers.identity_keys import resource_id
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
    **dict.fromkeys(("EC", "EN", "PF", "NRS", "PHY", "OTH", "CTH", "VAS", "SP", "AU", "OSL"), "procedure"),
}
IN_TABLE_0074 = frozenset(SERVICES) - {"TOX", "BG", "GE", "UR", "MRI", "IMG", "EN"}

# What the statuses of its results say of a report whose OBR-25 is empty: first row that fits
STATUS_OF_RESULTS = (
    ({"final"}, "final"),
    ({"cancelled"}, "cancelled"),
    ({"final", "cancelled"}, "final"),
    ({"final", "corrected", "amended", "cancelled"}, "corrected"),
    ({"preliminary", "registered"}, "preliminary"),
    ({"final", "corrected", "amended", "cancelled", "preliminary", "registered"}, "partial"),
)
CONCLUSION_CODES = {"IMP", "19005-8"}  # OBX-3.1.2 suffix or LOINC "impression"
SPECIMEN_WORDS = re.compile("血|清|浆|尿|便|痰|液|拭子|组织|脓|髓|分泌|胆汁|标本|样本|洗|毛发|活检")
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
    for spm in group.specimens:
        if when := draft.datetime(spm, 17):
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


def _status_code(draft: Draft, obr: Segment | None) -> str:
    """OBR-25; some sources shift it to OBR-22."""
    if obr is None:
        return ""
    if not obr.has(25) and obr.value(22) in REPORT_STATUS:
        draft.note("moved", f"{obr.where}-22", "the status stands where OBR-22 is", "information")
        return obr.value(22)
    return obr.value(25)


def _issued(draft: Draft, obr: Segment | None) -> str | None:
    return draft.instant(obr, 22) if obr and len(obr.value(22)) > 1 else None


def state_specimens(draft: Draft, group: Group, key: tuple[str, ...]) -> list[dict[str, Any]]:
    """The specimens of a group, or the one of OBR-15; → references, the first is that of the results."""
    specimens = [_specimen(draft, spm, key if n == 0 else (*key, str(spm.number))) for n, spm in enumerate(group.specimens)]
    if not specimens and (source := _specimen_of_obr(draft, group.obr, key)):
        specimens.append(source)
    for specimen in specimens:
        draft.state(specimen)
    return [{"reference": f"Specimen/{specimen['id']}"} for specimen in specimens]


def _specimen_of_obr(draft: Draft, obr: Segment | None, key: tuple[str, ...]) -> Resource | None:
    """OBR-15, of versions before 2.5; the report is its business key."""
    if obr is None or not obr.value(15):
        return None
    name = obr.value(15, 2)
    if CJK.search(name) and not SPECIMEN_WORDS.search(name):
        draft.note("moved", f"{obr.where}-15", "not a specimen: it seems to be the orderer of OBR-16", "information")
        return None
    kind = name if CJK.search(name) else obr.value(15, 1, 2) or obr.value(15)
    specimen: Resource = {"resourceType": "Specimen", "id": resource_id("Specimen", *key), "subject": draft.patient}
    specimen["type"] = {"text": kind, "coding": [{"system": draft.local("specimen"), "code": " ".join(obr.value(15).split())}]}
    if when := draft.datetime(obr, 14):
        specimen["receivedTime"] = when
    return specimen


def _specimen(draft: Draft, spm: Segment, key: tuple[str, ...]) -> Resource:
    """A specimen number is the business key, else the report is."""
    number = spm.value(2, 2) or spm.value(2, 1)
    own_key = (draft.facility, number) if number else key
    specimen: Resource = {"resourceType": "Specimen", "id": resource_id("Specimen", *own_key)}
    if number:
        specimen["identifier"] = [number_identifier(draft, number, "specimen")]
    if kind := codeable_concept(draft, spm, 4, "specimen"):
        specimen["type"] = kind
    specimen["subject"] = draft.patient
    if received := draft.datetime(spm, 18):
        specimen["receivedTime"] = received
    if collected := draft.datetime(spm, 17):
        specimen["collection"] = {"collectedDateTime": collected}
    return specimen


def request_shell(draft: Draft, group: Group, code: dict[str, Any] | None) -> dict[str, Any] | None:
    """The order a report answers, as far as the report knows it; → reference. Orders and HIS rows outrank this."""
    segments = [segment for segment in (group.obr, group.orc) if segment]
    number = next((found for segment in segments if (found := segment.value(2))), "")
    if not number:
        return None
    request: Resource = {
        "resourceType": "ServiceRequest",
        "id": resource_id("ServiceRequest", draft.facility, number),
        "identifier": [number_identifier(draft, number, "order", "PLAC")],
        "status": "unknown",
        "intent": "order",
        "subject": draft.patient,
    }
    if code:
        request["code"] = code
    if draft.encounter:
        request["encounter"] = draft.encounter
    fields = [(segment, field) for segment, field in ((group.obr, 16), (group.orc, 12)) if segment]
    if orderers := [person for segment, field in fields for person in people(draft, segment, field)]:
        request["requester"] = orderers[0]
    draft.state(request, "fill")
    return {"reference": f"ServiceRequest/{request['id']}"}


def _presented_form(draft: Draft, result: Result) -> list[dict[str, Any]]:
    """Documents in an OBX: ED as bytes behind a Binary, RP as the pointer it is."""
    obx = result.obx
    forms: list[dict[str, Any]] = []
    for n in range(1, obx.count(5) + 1):
        title = obx.value(3, 2) or obx.value(3)
        if obx.value(2).upper() == "RP":
            pointer = obx.value(5, 1, 1, n)
            if pointer:
                forms.append({"url": pointer.replace(" ", "%20"), "title": title})
            continue
        if document := enclosed_document(draft, obx, n):
            url = draft.attach(document.content, document.content_type)
            forms.append({"contentType": document.content_type, "url": url, "size": len(document.content), "title": title})
    return forms


def _derived_status(draft: Draft, group: Group, results: list[Resource], forms: list[dict[str, Any]]) -> str:
    draft.note("missing", f"{group.where}-25", "no report status: taken from its results", "information")
    statuses = {result["status"] for result in results} - {"entered-in-error"}
    if not statuses and forms:
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


def state_report(draft: Draft, group: Group) -> None:
    """Report, results, specimen, documents and the shell of the order of one group."""
    obr = group.obr
    if obr is None:
        draft.note("moved", group.where, "results without OBR: a report is built from them")
    elif not group.results:
        draft.note("missing", group.where, "a report without results", "information")
    key = report_key(draft, group)
    effective, issued, status_code = _collected(draft, group), _issued(draft, obr), _status_code(draft, obr)
    service = obr.value(24).upper() if obr else ""
    specimens = state_specimens(draft, group, key)
    shared = Report(
        key=key,
        effective=effective,
        issued=issued,
        category=SERVICES.get(service, "laboratory"),
        specimen=specimens[0] if specimens else None,
        status_code=status_code,
    )
    code, mark = item_code(draft, obr, 4) if obr else _code_of_results(draft, group)
    report = _head(draft, group, key, code, mark)
    results, forms, conclusion = _contents(draft, group, shared)
    status = draft.translate(REPORT_STATUS, status_code, f"{group.where}-25", "HL7 table 0123") if status_code else None
    report["status"] = status or ("unknown" if status_code else _derived_status(draft, group, results, forms))
    report["category"] = [_category(draft, service)]
    report["code"] = code or {"text": "unnamed"}
    report["subject"] = draft.patient
    if draft.encounter:
        report["encounter"] = draft.encounter
    report |= _times(draft, obr, effective)
    if issued:
        report["issued"] = issued
    report["performer"] = [draft.organization]
    if obr and (readers := people(draft, obr, 32)):
        report["resultsInterpreter"] = readers
    if specimens:
        report["specimen"] = specimens
    if results:
        report["result"] = [{"reference": f"Observation/{result['id']}"} for result in results]
    if conclusion:
        report["conclusion"] = conclusion
    if forms:
        report["presentedForm"] = forms
    draft.state(report)


def _head(draft: Draft, group: Group, key: tuple[str, ...], code: dict[str, Any] | None, mark: Mark | None) -> Resource:
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
    if request := request_shell(draft, group, code):
        report["basedOn"] = [request]
    return report


def _contents(draft: Draft, group: Group, shared: Report) -> tuple[list[Resource], list[dict[str, Any]], str]:
    results: list[Resource] = []
    forms: list[dict[str, Any]] = []
    conclusions: list[str] = []
    for result in group.results:
        if result.obx.value(2).upper() in {"ED", "RP"}:
            forms += _presented_form(draft, result)
            continue
        observation = observation_from_obx(draft, result, shared)
        draft.state(observation)
        results.append(observation)
        impression = {result.obx.value(3, 1, 2).upper(), result.obx.value(3)} & CONCLUSION_CODES
        if impression and "valueString" in observation:
            conclusions.append(observation["valueString"])
    return results, forms, "\n".join(conclusions)


def _code_of_results(draft: Draft, group: Group) -> tuple[dict[str, Any] | None, Mark | None]:
    """A report without OBR is named after its only result, else by what it is."""
    if len(group.results) == 1:
        return item_code(draft, group.results[0].obx, 3)
    return {"coding": [{"system": LOINC, "code": "11502-2", "display": "Laboratory report"}], "text": "Laboratory report"}, None


def _category(draft: Draft, service: str) -> dict[str, Any]:
    coding = [{"system": DIAGNOSTIC_SERVICE, "code": service if service in IN_TABLE_0074 else "LAB"}]
    if service and service not in IN_TABLE_0074:
        coding.append({"system": draft.local("service"), "code": service})
    return {"coding": coding}
