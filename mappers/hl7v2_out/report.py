"""DiagnosticReport (or an Observation by itself) → ORU^R01: MSH, PID, PV1, ORC, OBR, NTE, SPM, OBX.

The other way of https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-segment-obr-to-diagnosticreport.html and its neighbours; HL7
v2.5.1 chapter 7.3.1 for the structure. Same report in, same message out. What a message cannot say is named as an issue.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mappers.base import CannotMap, Issue, Resource
from mappers.hl7v2_out.results import code_of, result_fields
from mappers.hl7v2_out.text import components, first, formatted, repetitions, segment, text, timestamp
from profiles.names import FACILITY_TAG, HEALTH_CARD, ID_CARD

# DiagnosticReport.status → HL7 table 0123 (OBR-25); Observation.status → HL7 table 0085 (OBX-11)
REPORT_STATUS = {
    "registered": "O",
    "partial": "R",
    "preliminary": "P",
    "final": "F",
    "amended": "C",
    "corrected": "C",
    "appended": "C",
    "cancelled": "X",
    "entered-in-error": "X",
}
RESULT_STATUS = {
    "registered": "O",
    "preliminary": "P",
    "final": "F",
    "amended": "C",
    "corrected": "C",
    "cancelled": "X",
    "entered-in-error": "W",
}
GENDER = {"male": "M", "female": "F", "other": "O", "unknown": "U"}  # HL7 table 0001
CLASS = {"AMB": "O", "IMP": "I", "ACUTE": "I", "NONAC": "I", "EMER": "E", "PRENC": "P"}  # v3-ActCode → HL7 table 0004
CHARSETS = {"UTF-8": ("utf-8", "UNICODE UTF-8"), "GB18030": ("gb18030", "GB 18030-2000")}  # HL7 table 0211
CODES_WITH_EXCEPTIONS = "2.5.1"  # from here on codes are CWE
SPECIMENS_APART = "2.5"  # from here on there is SPM
IMPRESSION = "19005-8^Radiology Imaging study [Impression] (narrative)^LN"
LABORATORY, REPORT = "LAB", "11502-2^Laboratory report^LN"


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a destination's configuration and the outbox say of a message."""

    control_id: str
    sent_at: datetime  # aware
    charset: str = "UTF-8"
    version: str = "2.5.1"
    sending_application: str = "YITONG"
    sending_facility: str = ""
    receiving_application: str = ""
    receiving_facility: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """A report with all that the message needs of what it refers to."""

    focus: Resource
    around: Mapping[str, Resource] = field(default_factory=dict)  # by "Type/id"
    person: tuple[Resource, ...] = ()  # the person's other Patients, the receiver's own first
    documents: Mapping[str, bytes] = field(default_factory=dict)  # by the URL of an Attachment
    withdrawn: bool = False  # it was deleted

    def at(self, reference: Any) -> Resource:
        """{} where it is not here."""
        stated = reference.get("reference", "") if isinstance(reference, dict) else ""
        return self.around.get(str(stated).partition("/_history")[0], {})

    def all(self, references: Any) -> list[Resource]:
        return [found for each in references or () if (found := self.at(each))]


@dataclass(frozen=True, slots=True)
class Outgoing:
    content: bytes
    issues: tuple[Issue, ...] = ()


def oru_from_report(told: Told, envelope: Envelope) -> Outgoing:
    """Raise CannotMap for what is no report and no result, and for one without a patient."""
    kind = told.focus["resourceType"]
    if kind not in ("DiagnosticReport", "Observation"):
        raise CannotMap(f"{kind} is not told by an ORU^R01")
    patient = told.at(told.focus.get("subject"))
    if patient.get("resourceType") != "Patient":
        raise CannotMap("a result without a patient that the receiver may see")
    issues: list[Issue] = []
    results = _with_members(told, told.all(told.focus.get("result"))) if kind == "DiagnosticReport" else [told.focus]
    if missing := len(told.focus.get("result", ())) - len(told.all(told.focus.get("result"))):
        issues.append(Issue("missing", "DiagnosticReport.result", f"{missing} results are not here"))
    lines = [
        _msh(told, envelope),
        _pid(told, patient),
        *_pv1(told),
        *_order(told, envelope, issues),
        *_results(told, results, envelope, issues),
        *(_specimens(told) if envelope.version >= SPECIMENS_APART else ()),
    ]
    codec = CHARSETS[envelope.charset][0]
    return Outgoing(("\r".join(lines) + "\r").encode(codec, "strict"), tuple(issues))


def _msh(told: Told, envelope: Envelope) -> str:
    structured = envelope.version >= "2.4"
    fields = {
        3: text(envelope.sending_application),
        4: text(envelope.sending_facility or facility_of(told.focus)),
        5: text(envelope.receiving_application),
        6: text(envelope.receiving_facility),
        7: timestamp(envelope.sent_at.isoformat(timespec="seconds")),
        9: "ORU^R01^ORU_R01" if structured else "ORU^R01",
        10: text(envelope.control_id),
        11: "P",
        12: envelope.version,
        17: "CHN",
        18: CHARSETS[envelope.charset][1],
    }
    return segment("MSH", {number - 1: value for number, value in fields.items()} | {1: "^~\\&"})  # MSH-1 is the separator itself


def facility_of(resource: Resource) -> str:
    tags = (resource.get("meta") or {}).get("tag") or []
    return next((str(tag.get("code", "")) for tag in tags if tag.get("system") == FACILITY_TAG), "")


# ---------------------------------------------------------------- who


def _pid(told: Told, patient: Resource) -> str:
    numbers = [cx for each in (*told.person, patient) for cx in map(_cx, each.get("identifier", ())) if cx]
    names: list[Resource] = patient.get("name") or next((each["name"] for each in told.person if each.get("name")), [])
    return segment(
        "PID",
        {
            1: "1",
            3: repetitions(dict.fromkeys(numbers)),
            5: repetitions(map(_xpn, names)),
            7: timestamp(patient.get("birthDate")),
            8: GENDER.get(str(patient.get("gender", "")), ""),
            11: repetitions(map(_xad, patient.get("address", ()))),
            13: repetitions(text(each["value"]) for each in patient.get("telecom", ()) if each.get("value")),
        },
    )


def _cx(identifier: Resource) -> str:
    """A number with whose it is: a facility's own, the ID card's, the health card's."""
    value, system = identifier.get("value"), str(identifier.get("system", ""))
    if not value:
        return ""
    if system == ID_CARD:
        return components(value, None, None, "CN", "NI")
    if system == HEALTH_CARD:
        return components(value, None, None, "CN", "HC")
    kind = str(first((identifier.get("type") or {}).get("coding")).get("code", "")) or "PI"
    own = system.removeprefix("urn:hub:").split(":") if system.startswith("urn:hub:") else []
    return components(value, None, None, own[0] if own else system, kind)


def _xpn(name: Resource) -> str:
    given = name.get("given") or [""]
    if name.get("family"):
        return components(name["family"], given[0], " ".join(given[1:]))
    return components(name.get("text") or " ".join(given))


def _xad(address: Resource) -> str:
    lines = address.get("line") or []
    street = " ".join(lines) or address.get("text", "")
    return components(street, None, address.get("city"), address.get("state"), address.get("postalCode"), address.get("country"))


def _xcn(told: Told, reference: Any) -> str:
    """A person by number and name, from the reference itself or the Practitioner that it names."""
    if not isinstance(reference, dict):
        return ""
    found = told.at(reference)
    if found.get("resourceType") == "PractitionerRole":
        found = told.at(found.get("practitioner")) or found
    if found.get("resourceType") not in (None, "Practitioner"):
        return ""
    number = first(found.get("identifier")).get("value") or (reference.get("identifier") or {}).get("value")
    name = first(found.get("name"))
    if name.get("family"):
        return components(number, name["family"], " ".join(name.get("given") or []))
    return components(number, name.get("text") or reference.get("display"))


def _pv1(told: Told) -> Iterator[str]:
    encounter = told.at(told.focus.get("encounter"))
    if encounter:
        kind = CLASS.get(str((encounter.get("class") or {}).get("code", "")), "U")
        yield segment("PV1", {1: "1", 2: kind, 19: _cx(first(encounter.get("identifier")))})


# ---------------------------------------------------------------- which report


def _order(told: Told, envelope: Envelope, issues: list[Issue]) -> Iterator[str]:
    report = told.focus
    request = first(told.all(report.get("basedOn")))
    placer = _numbered(request, "PLAC") if request else ""
    filler = _numbered(report, "FILL")
    status = status_of(told, REPORT_STATUS if report["resourceType"] == "DiagnosticReport" else RESULT_STATUS, issues)
    period = report.get("effectivePeriod") or {}
    code = code_of(report.get("code"))
    issued = timestamp(report.get("issued") or (report.get("meta") or {}).get("lastUpdated"))
    orderer = _xcn(told, request.get("requester"))
    readers = [_xcn(told, each) for each in report.get("resultsInterpreter", ())]
    yield segment("ORC", {1: "RE", 2: placer, 3: filler, 12: orderer})
    yield segment(
        "OBR",
        {
            1: "1",
            2: placer,
            3: filler or text(report["id"]),
            4: code or REPORT,
            7: timestamp(report.get("effectiveDateTime") or period.get("start")),
            8: timestamp(period.get("end")),
            15: "" if envelope.version >= SPECIMENS_APART else _specimen_source(told),
            16: orderer,
            22: issued,
            24: _service(report),
            25: status,
            32: repetitions(readers),
        },
    )


def status_of(told: Told, table: Mapping[str, str], issues: list[Issue]) -> str:
    if told.withdrawn:
        return "X"
    status = str(told.focus.get("status", ""))
    code = table.get(status, "")
    if not code:
        issues.append(Issue("not-mapped", f"{told.focus['resourceType']}.status", "no code of HL7 table 0123 or 0085 says it"))
    return code


def _numbered(resource: Resource, kind: str) -> str:
    """Its own number: the one of that kind (HL7 table 0203), else the first."""
    identifiers = resource.get("identifier", [])
    fits = [each for each in identifiers if first((each.get("type") or {}).get("coding")).get("code") == kind]
    return text(first(fits or identifiers).get("value", ""))


def _service(report: Resource) -> str:
    coding = [each for concept in report.get("category", ()) for each in concept.get("coding", ())]
    named = next((each["code"] for each in coding if str(each.get("system", "")).endswith("/v2-0074") and each.get("code")), "")
    return text(named or LABORATORY if report["resourceType"] == "DiagnosticReport" else "")


def _of_specimens(told: Told) -> list[Resource]:
    stated = told.focus.get("specimen")
    return told.all(stated if isinstance(stated, list) else [stated] if stated else [])


def _specimen_source(told: Told) -> str:
    """OBR-15 of versions before 2.5: a code within a component."""
    return code_of(first(_of_specimens(told)).get("type")).replace("^", "&")


def _specimens(told: Told) -> Iterator[str]:
    for number, specimen in enumerate(_of_specimens(told), 1):
        fields = {
            1: str(number),
            2: components(None, _numbered(specimen, "")) if specimen.get("identifier") else "",
            4: code_of(specimen.get("type")) or "UNK",
            17: timestamp((specimen.get("collection") or {}).get("collectedDateTime")),
            18: timestamp(specimen.get("receivedTime")),
        }
        yield segment("SPM", fields)


# ---------------------------------------------------------------- what was found


def _results(told: Told, results: list[Resource], envelope: Envelope, issues: list[Issue]) -> Iterator[str]:
    number = 0
    for result in results:
        for fields in result_fields(result, issues, coded="CWE" if envelope.version >= CODES_WITH_EXCEPTIONS else "CE"):
            number += 1
            status = "X" if told.withdrawn else RESULT_STATUS.get(str(result.get("status", "")), "")
            yield segment("OBX", {1: str(number), **fields, 11: status, 16: _observer(told, result)})
        if notes := [formatted(note["text"]) for note in result.get("note", ()) if note.get("text")]:
            yield from (segment("NTE", {1: str(place), 3: note}) for place, note in enumerate(notes, 1))
    if told.focus["resourceType"] == "DiagnosticReport":
        status = status_of(told, REPORT_STATUS, [])
        for fields in _of_report(told, issues):
            number += 1
            yield segment("OBX", {1: str(number), **fields, 11: status})


def _with_members(told: Told, results: list[Resource]) -> list[Resource]:
    """Each panel, then what it is made of, one level deep and each once."""
    found: dict[str, Resource] = {}
    for result in results:
        for each in (result, *told.all(result.get("hasMember"))):
            found.setdefault(each["id"], each)
    return list(found.values())


def _observer(told: Told, result: Resource) -> str:
    people = [_xcn(told, each) for each in result.get("performer", ()) if "Organization/" not in str(each.get("reference", ""))]
    return next(filter(None, people), "")


def _of_report(told: Told, issues: list[Issue]) -> Iterator[dict[int, str]]:
    """Its conclusion, and its documents as HL7 v2.5.1 2.A.24 (ED) has them."""
    if conclusion := told.focus.get("conclusion"):
        yield {2: "TX", 3: IMPRESSION, 5: formatted(conclusion)}
    for attachment in told.focus.get("presentedForm", ()):
        content = _bytes_of(attachment, told.documents)
        if content is None:
            issues.append(Issue("missing", "DiagnosticReport.presentedForm", "the document is not here"))
            continue
        kind, _, subtype = str(attachment.get("contentType", "application/octet-stream")).partition("/")
        title = attachment.get("title") or "Report"
        data = base64.b64encode(content).decode()
        yield {
            2: "ED",
            3: components("PDF" if subtype == "pdf" else "DOC", title),
            5: f"^{text(kind)}^{text(subtype)}^Base64^{data}",
        }


def _bytes_of(attachment: Resource, documents: Mapping[str, bytes]) -> bytes | None:
    if data := attachment.get("data"):
        return base64.b64decode(data)
    return documents.get(str(attachment.get("url", "")))
