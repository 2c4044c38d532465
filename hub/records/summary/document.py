"""What was gathered → an IPS document: a Bundle whose Composition comes first, complete in itself.

https://hl7.org/fhir/uv/ips/StructureDefinition-Bundle-uv-ips.html, https://hl7.org/fhir/R4/documents.html
The records are copies under names of the document's own (urn:uuid): all of them are about its one Patient, whichever facility's
Patient each was recorded for. `id` and the tag of a copy say where it came from; a reference to what is not in the document is
a logical one, by that record's address on this server.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from hub.clock import instant
from hub.records.reader import Found
from hub.records.summary.gather import Filled, Gathered, all_records
from hub.records.summary.narrative import Facility, document_text, section_text
from hub.records.summary.words import Language, word
from profiles.names import LOINC

IPS = "http://hl7.org/fhir/uv/ips/StructureDefinition"
BUNDLE, COMPOSITION = f"{IPS}/Bundle-uv-ips", f"{IPS}/Composition-uv-ips"
EMPTY_REASON = "http://terminology.hl7.org/CodeSystem/list-empty-reason"
ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
MORE_AND_MORE = ("N", "R", "V")

STATED: Mapping[str, tuple[tuple[str, str], ...]] = {
    "Patient": (("birthDate", "birthDate"),),
    "Procedure": (("performed", "performedDateTime"),),
    "Observation": (("effective", "effectiveDateTime"),),
    "DiagnosticReport": (("effective", "effectiveDateTime"),),
    "MedicationStatement": (("effective", "effectiveDateTime"),),
    "DeviceUseStatement": (("timing", "timingDateTime"),),
}
"""Type → elements that IPS asks for: (how its names begin, the primitive that says "unknown" where none is there)."""


@dataclass(frozen=True, slots=True)
class Making:
    """What a document needs beside the records."""

    base: str  # this server's FHIR address
    now: int  # UTC ms
    language: Language
    county: Mapping[Language, str]  # its name
    facility: Facility
    version: str  # of this software
    id: UUID  # of the document


def document(gathered: Gathered, making: Making) -> dict[str, Any]:
    """The Bundle. https://hl7.org/fhir/R4/bundle.html#document"""
    records = all_records(gathered.sections)
    names = _names(gathered, records, making)
    parts = [gathered.subject, *records, *gathered.beside]
    entries = [_entry(_composition(gathered, records, names, making), making, "Composition/")]
    entries += [{"fullUrl": names[part.reference], "resource": _copy(part, names, making)} for part in parts]
    entries += [_entry(resource, making, "own/") for resource in _authors(making)]
    return {
        "resourceType": "Bundle",
        "id": str(making.id),
        "meta": {"profile": [BUNDLE], "security": [{"system": CONFIDENTIALITY, "code": _confidentiality(parts)}]},
        "language": making.language,
        "identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{making.id}"},
        "type": "document",
        "timestamp": instant(making.now),
        "entry": entries,
    }


def _entry(resource: dict[str, Any], making: Making, kind: str) -> dict[str, Any]:
    return {"fullUrl": _urn(making, f"{kind}{resource['id']}"), "resource": resource}


def _urn(making: Making, name: str) -> str:
    return f"urn:uuid:{uuid5(NAMESPACE_URL, f'{making.id}/{name}')}"


def _names(gathered: Gathered, records: Iterable[Found], making: Making) -> dict[str, str]:
    """`Type/id` → its name in the document; every Patient of the person is the one of the document."""
    subject = _urn(making, gathered.subject.reference)
    own = {part.reference: _urn(making, part.reference) for part in (*records, *gathered.beside)}
    return {**own, **{f"Patient/{id}": subject for id in gathered.ids}, gathered.subject.reference: subject}


def _composition(gathered: Gathered, records: list[Found], names: Mapping[str, str], making: Making) -> dict[str, Any]:
    device, county = _authors(making)
    shown = [filled for filled in gathered.sections if filled.records or filled.section.standing != "optional"]
    codes = dict.fromkeys(record.facility for record in records if record.facility)
    sources = [making.facility(code) for code in codes] or [word("unknown", making.language)]
    return {
        "resourceType": "Composition",
        "id": str(making.id),
        "meta": {"profile": [COMPOSITION]},
        "language": making.language,
        "text": document_text(gathered.subject.resource, instant(making.now), sources, making.language),
        "identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{making.id}"},
        "status": "final",
        "type": _loinc("60591-5", "Patient summary Document"),
        "subject": {"reference": names[gathered.subject.reference]},
        "date": instant(making.now),
        "author": [{"reference": _urn(making, f"own/{device['id']}"), "display": device["deviceName"][0]["name"]}],
        "title": word("title", making.language),
        "confidentiality": _confidentiality([gathered.subject, *records]),
        "custodian": {"reference": _urn(making, f"own/{county['id']}"), "display": county["name"]},
        "event": [{"code": [_care_provision()], "period": {"end": instant(making.now)}}],
        "section": [_section(filled, names, making) for filled in shown],
    }


def _loinc(code: str, display: str) -> dict[str, Any]:
    return {"coding": [{"system": LOINC, "code": code, "display": display}]}


def _care_provision() -> dict[str, Any]:
    return {
        "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActClass", "code": "PCPR", "display": "care provision"}]
    }


def _section(filled: Filled, names: Mapping[str, str], making: Making) -> dict[str, Any]:
    section = filled.section
    made: dict[str, Any] = {
        "title": word(section.key, making.language),
        "code": _loinc(section.code, section.display),
        "text": section_text(filled, making.facility, making.language),
    }
    if filled.records:
        made["entry"] = [{"reference": names[record.reference]} for record in filled.records]
    else:  # what a role may not see is no fact about this person
        reason = ("withheld", "Information Withheld") if filled.withheld else ("unavailable", "Unavailable")
        coding = {"system": EMPTY_REASON, "code": reason[0], "display": reason[1]}
        made["emptyReason"] = {"coding": [coding], "text": word("withheld" if filled.withheld else "none", making.language)}
    return made


def _authors(making: Making) -> tuple[dict[str, Any], dict[str, Any]]:
    """The software that put it together, and the community that keeps it."""
    name = {"name": "Yitong Hub", "type": "manufacturer-name"}
    device = {"resourceType": "Device", "id": "yitong-hub", "deviceName": [name], "version": [{"value": making.version}]}
    county: dict[str, Any] = {"resourceType": "Organization", "id": "county", "name": making.county["zh-CN"]}
    if making.county["en"]:
        county["alias"] = [making.county["en"]]
    return device, county


# -- copies


def _copy(part: Found, names: Mapping[str, str], making: Making) -> dict[str, Any]:
    copy: dict[str, Any] = _renamed(part.resource, names, making.base)
    if part.type == "Patient":
        copy.pop("link", None)  # they are all this one here
        if not copy.get("name"):
            copy["name"] = [{"_text": {"extension": [_unknown()]}}]
    for begins, primitive in STATED.get(part.type, ()):
        if not any(name.lstrip("_").startswith(begins) for name in copy):
            copy[f"_{primitive}"] = {"extension": [_unknown()]}
    if part.type == "Observation" and not copy.get("performer"):
        copy["performer"] = [{"extension": [_unknown()]}]
    return copy


def _unknown() -> dict[str, Any]:
    return {"url": ABSENT, "valueCode": "unknown"}


_OF_A_REFERENCE = frozenset({"reference", "type", "identifier", "display", "id", "extension", "_reference", "_display"})


def _renamed(value: Any, names: Mapping[str, str], base: str) -> Any:
    """References, and addresses of attachments, as the document names them."""
    if isinstance(value, list):
        return [_renamed(each, names, base) for each in value]
    if not isinstance(value, dict):
        return value
    made = {name: _renamed(content, names, base) for name, content in value.items()}
    reference, address = value.get("reference"), value.get("url")
    if isinstance(reference, str) and value.keys() <= _OF_A_REFERENCE:
        return _reference(made, reference, names, base)
    if isinstance(address, str) and _relative(address):
        made["url"] = names.get(address) or f"{base}/{address}"
    return made


def _reference(made: dict[str, Any], reference: str, names: Mapping[str, str], base: str) -> dict[str, Any]:
    """https://hl7.org/fhir/R4/references.html#logical for what is not in the document: every literal one leads to an entry."""
    if known := names.get(reference):
        return {**made, "reference": known}
    if not _relative(reference):
        return made
    kind, _, _ = reference.partition("/")
    address = {"system": "urn:ietf:rfc:3986", "value": f"{base}/{reference}"}
    return {"type": kind, "identifier": address, **{name: content for name, content in made.items() if name != "reference"}}


def _relative(reference: str) -> bool:
    return reference.partition("/")[0].isalpha() and reference[:1].isupper() and "/" in reference


def _confidentiality(parts: Iterable[Found]) -> str:
    """As high as the highest of what it holds."""
    stated = {str(s.get("code")) for part in parts for s in part.resource.get("meta", {}).get("security", ())}
    return max((code for code in MORE_AND_MORE if code in stated), key=MORE_AND_MORE.index, default="N")
