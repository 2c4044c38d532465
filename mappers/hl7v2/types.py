"""HL7 v2 data types → FHIR: CX, XPN, XCN, XAD, XTN, CWE.

HL7 v2.5.1 chapter 2A; https://build.fhir.org/ig/HL7/v2-to-fhir/datatype_maps.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mappers.hl7v2.draft import Draft
from mappers.hl7v2.identifier_kinds import SPELLINGS_0203, TABLE_0203
from mappers.hl7v2.message import Segment
from mappers.identity_keys import local_system
from profiles.names import LOINC, UCUM

_OID = re.compile(r"[0-2](?:\.(?:0|[1-9]\d{0,38})){2,30}", re.ASCII)
CJK = re.compile("[㐀-鿿豈-﫿\U00020000-\U0003ffff]")

# HL7 table 0396 → FHIR's URI, where one exists
CODE_SYSTEMS = {
    "LN": LOINC,
    "LOINC": LOINC,
    "UCUM": UCUM,
    "SCT": "http://snomed.info/sct",
    "SNM": "http://snomed.info/sct",
    "SNOMED": "http://snomed.info/sct",
    "I10": "http://hl7.org/fhir/sid/icd-10",
    "ICD10": "http://hl7.org/fhir/sid/icd-10",
    "ICD-10": "http://hl7.org/fhir/sid/icd-10",
    "I10C": "http://hl7.org/fhir/sid/icd-10-cm",
    "I9": "http://hl7.org/fhir/sid/icd-9-cm",
    "I9C": "http://hl7.org/fhir/sid/icd-9-cm",
    "I9CDX": "http://hl7.org/fhir/sid/icd-9-cm",
    "I9CP": "http://hl7.org/fhir/sid/icd-9-cm",
    "ICD9": "http://hl7.org/fhir/sid/icd-9-cm",
    "ICD-9": "http://hl7.org/fhir/sid/icd-9-cm",
    "CVX": "http://hl7.org/fhir/sid/cvx",
    "NDC": "http://hl7.org/fhir/sid/ndc",
    "C4": "http://www.ama-assn.org/go/cpt",
    "CPT": "http://www.ama-assn.org/go/cpt",
    "RXNORM": "http://www.nlm.nih.gov/research/umls/rxnorm",
    "CDCREC": "urn:oid:2.16.840.1.113883.6.238",
    "MDC": "urn:iso:std:iso:11073:10101",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
}


@dataclass(frozen=True, slots=True)
class LocalId:
    """One CX: a number, who assigned it, and what kind of number it is."""

    value: str
    authority: str
    kind: str
    oid: str = ""  # urn:oid of the authority, where it is named by one


def read_cx(segment: Segment, field: int, repetition: int = 1) -> LocalId:
    name, universal, kind = (segment.value(field, 4, part, repetition) for part in (1, 2, 3))
    oid = f"urn:oid:{universal}" if kind == "ISO" and _OID.fullmatch(universal) else ""
    return LocalId(segment.value(field, 1, 1, repetition), name or universal, segment.value(field, 5, 1, repetition).upper(), oid)


def coding_system(draft: Draft, name: str, kind: str) -> str:
    """A code system as a source names it → URI: FHIR's, the channel's table, else the facility's own codes of that kind."""
    return CODE_SYSTEMS.get(name.upper()) or draft.context.code_systems.get(name) or _named_table(name) or draft.local(kind)


def _named_table(name: str) -> str | None:
    """HL70078 → the v2 table's URI."""
    match = re.fullmatch(r"HL7(\d{4})", name)
    return f"http://terminology.hl7.org/CodeSystem/v2-{match[1]}" if match else None


def codings(draft: Draft, segment: Segment, field: int, kind: str, repetition: int = 1) -> list[dict[str, Any]]:
    """Both codings of a CWE (components 1-3 and 4-6)."""
    return _codings(draft, segment.parts(field, 6, repetition), kind)


def _codings(draft: Draft, parts: list[str], kind: str) -> list[dict[str, Any]]:
    found = []
    for first in (0, 3):
        code, display, name = parts[first : first + 3]
        if not code or (first == 3 and not name and not display):
            continue
        coding = {"system": coding_system(draft, name, kind), "code": code if code.isalnum() else " ".join(code.split())}
        if display:
            coding["display"] = display
        if coding not in found:
            found.append(coding)
    return found


def codeable_concept(draft: Draft, segment: Segment, field: int, kind: str, repetition: int = 1) -> dict[str, Any] | None:
    """CWE or CE → CodeableConcept with the translations that the facility's ConceptMaps know."""
    coding = codings(draft, segment, field, kind, repetition)
    text = (
        segment.value(field, 9, 1, repetition) or segment.value(field, 2, 1, repetition) or segment.value(field, 5, 1, repetition)
    )
    return concept(draft, coding, text)


def concepts(draft: Draft, segment: Segment, field: int, kind: str) -> list[dict[str, Any]]:
    """Every repetition of a coded field."""
    places = range(1, segment.count(field) + 1) if segment.has(field) else ()
    return [found for n in places if (found := codeable_concept(draft, segment, field, kind, n))]


def concept_by_method(draft: Draft, segment: Segment, field: int, method: int, kind: str) -> dict[str, Any] | None:
    """DG1-3 and PR1-3: before 2.4 the code system stood in a field of its own (DG1-2, PR1-2), not in the code's third component."""
    name = segment.value(method) if not segment.value(field, 3) and segment.value(field) else ""
    found = codeable_concept(draft, segment, field, kind)
    system = coding_system(draft, name, kind) if name else draft.local(kind)
    if found and "coding" in found and system != draft.local(kind):
        found["coding"][0]["system"] = system
    return found


def concept(draft: Draft, coding: list[dict[str, Any]], text: str) -> dict[str, Any] | None:
    result: dict[str, Any] = {}
    if coding:
        result["coding"] = [*coding, *translated(draft, coding)]
    if text or coding:
        result["text"] = text or coding[0].get("display") or coding[0]["code"]
    return result or None


def translated(draft: Draft, coding: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the ConceptMaps of the channel add to a source's own codings."""
    if not draft.context.concept_maps:
        return []
    known = {(entry["system"], entry["code"]) for entry in coding}
    added: list[dict[str, Any]] = []
    for entry in coding:
        for target in draft.context.translate(entry["system"], entry["code"]):
            key = (target["system"], target["code"])
            if key not in known:
                known.add(key)
                added.append({name: target[name] for name in ("system", "version", "code", "display") if target.get(name)})
    return added


# ---------------------------------------------------------------- people

# HL7 table 0200 → HumanName.use
NAME_USE = {
    "L": "official",
    "D": "usual",
    "M": "maiden",
    "N": "nickname",
    "S": "anonymous",
    "T": "temp",
    "B": "old",
    "C": "official",
}
_SEX_IN_NAME = {"男", "女", "未知", "M", "F"}


def human_name(draft: Draft, segment: Segment, field: int, repetition: int = 1) -> dict[str, Any] | None:
    """XPN → HumanName. One component is a whole name: only its text is certain; family and given come from 张^三."""
    family, given, middle = (segment.value(field, place, 1, repetition) for place in (1, 2, 3))
    suffix, prefix, kind = (segment.value(field, place, 1, repetition) for place in (4, 5, 7))
    if middle in {"男", "女", "未知"} or (CJK.search(family + given) and middle in _SEX_IN_NAME):
        draft.note("moved", f"{segment.where}-{field}.3", "a sex code stands in the name")
        middle = ""
    if given in _SEX_IN_NAME and len(family) > 1 and CJK.search(family) and not middle:  # 张三^男
        draft.note("moved", f"{segment.where}-{field}.2", "a sex code stands in the name")
        given = ""
    if "^" in family and not given:  # an escaped or foreign separator: 张\S\三
        family, given = family.split("^", 1)
    chinese = CJK.search(family + given) is not None
    parts = [family, given] if chinese else [prefix, given, middle, family, suffix]
    text = ("" if chinese else " ").join(part for part in parts if part)
    if not text:
        return None
    name: dict[str, Any] = {"use": NAME_USE.get(kind, "official"), "text": text}
    if family and given:
        name["family"] = family
        name["given"] = [part for part in (given, middle) if part]
        name |= {key: [part] for key, part in (("prefix", prefix), ("suffix", suffix)) if part}
    return name


def staff(draft: Draft, segment: Segment, field: int, repetition: int = 1) -> dict[str, Any] | None:
    """XCN → a reference by name and the facility's own staff number; also when both stand in one component (id^name escaped)."""
    if not segment.has(field):
        return None
    number, family, given = (segment.value(field, place, 1, repetition) for place in (1, 2, 3))
    if not family and "^" in number:
        number, family, given = [*number.split("^"), "", ""][:3]
    elif not family and (name := segment.value(field, 1, 2, repetition)):  # NDL: the whole person is the first component
        family, given = name, segment.value(field, 1, 3, repetition)
    number, family, given = number.strip(), family.split("&")[0].strip(), given.strip()
    if CJK.search(number) and not family:  # the name stands where the number should
        number, family = "", number
    name = f"{family}{given}" if CJK.search(family + given) else " ".join(part for part in (given, family) if part)
    result: dict[str, Any] = {}
    if number:
        result["identifier"] = {"system": draft.local("staff"), "value": number}
    if name or number:
        result["display"] = name or number
    return result or None


def people(draft: Draft, segment: Segment, field: int) -> list[dict[str, Any]]:
    return [found for n in range(1, segment.count(field) + 1) if (found := staff(draft, segment, field, n))]


# HL7 table 0190 → Address.use
ADDRESS_USE = {"H": "home", "B": "work", "O": "work", "C": "temp", "BA": "old", "L": "home", "P": "home"}


def address(segment: Segment, field: int, repetition: int = 1) -> dict[str, Any] | None:
    """XAD → Address; the whole is kept as text, for Chinese sources write it into one component."""
    street, other, city, state, postal, country, kind, _, county = segment.parts(field, 9, repetition)
    chinese = CJK.search(street + other + city + state) is not None
    parts = [state, city, county, street, other] if chinese else [street, other, city, state, postal, country]
    text = ("" if chinese else ", ").join(part for part in parts if part)
    if not text:
        return None
    result: dict[str, Any] = {"use": ADDRESS_USE[kind]} if kind in ADDRESS_USE else {}
    result["text"] = text
    if city or state or postal or country:
        lines = [part for part in (street, other) if part]
        stated = {"line": lines, "city": city, "district": county, "state": state, "postalCode": postal, "country": country}
        result |= {key: value for key, value in stated.items() if value}
    return result


# HL7 table 0201 / 0202 → ContactPoint
TELECOM_USE = {"PRN": "home", "ORN": "home", "VHN": "home", "WPN": "work", "PRS": "mobile"}
TELECOM_SYSTEM = {"PH": "phone", "CP": "phone", "FX": "fax", "BP": "pager", "INTERNET": "email", "X.400": "email"}


def telecoms(segment: Segment, *fields: tuple[int, str]) -> list[dict[str, Any]]:
    """XTN → ContactPoints of fields, each with the use it has where XTN-2 names none."""
    places = ((field, use, n) for field, use in fields for n in range(1, segment.count(field) + 1))
    return [point for field, use, n in places for point in _contact_points(segment, field, n, use)]


def _contact_points(segment: Segment, field: int, repetition: int, use: str) -> list[dict[str, Any]]:
    """A number and an address in one repetition are two: XTN-12, else XTN-1, else XTN-5 to XTN-8; and XTN-4."""
    old, stated_use, equipment, mail, country, area, local, extension = segment.parts(field, 8, repetition)
    system = TELECOM_SYSTEM.get(equipment.upper(), "phone")
    where = TELECOM_USE.get(stated_use.upper()) or use
    whole = segment.value(field, 12, 1, repetition)
    pieces = [f"+{country.lstrip('+')}" if country else "", area, local, f"x{extension}" if extension else ""]
    number = whole or old or " ".join(piece for piece in pieces if piece)
    if system == "email" and not mail:
        mail, number = number, ""
    found = [
        ({"system": "phone" if system == "email" else system, "value": number}, "mobile" if equipment.upper() == "CP" else where)
    ]
    found.append(({"system": "email", "value": mail}, where))
    return [point | ({"use": used} if used else {}) for point, used in found if point["value"]]


def namespace(draft: Draft, authority: str) -> str:
    """Whose numbers these are: the facility's own unless an authority is named that is neither it nor the sender."""
    header = draft.message.header
    own = {"", draft.facility, header.value(3), header.value(4), header.value(3, 2), header.value(4, 2)}
    return draft.facility if authority in own else f"{draft.facility}:{authority}"


def assigned_identifier(draft: Draft, number: LocalId, kind: str, code: str) -> dict[str, Any]:
    """An Identifier that says who assigned it, where the source names them by an OID."""
    identifier = number_identifier(draft, number.value, kind, code, namespace(draft, number.authority))
    if not number.oid:
        return identifier
    name = {"display": number.authority} if number.authority not in number.oid else {}
    return {**identifier, "assigner": {"identifier": {"system": "urn:ietf:rfc3986", "value": number.oid}, **name}}


def number_identifier(draft: Draft, number: str, kind: str, code: str = "", space: str = "") -> dict[str, Any]:
    """An Identifier of the facility's own numbers of a kind; `code` from HL7 table 0203."""
    result: dict[str, Any] = {"system": local_system(space or draft.facility, kind), "value": number}
    if code:
        known = SPELLINGS_0203.get(code, code)
        coding = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": known}]}
        result["type"] = coding if known in TABLE_0203 else {"text": code}
    return result


def once(found: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is stated twice, once; in order."""
    kept: list[dict[str, Any]] = []
    for entry in found:
        if entry not in kept:
            kept.append(entry)
    return kept


def positive(text: str) -> int | None:
    """→ positiveInt. None: none, or more than FHIR's integers hold."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 and int(text) > 0 else None


def terminology(system: str, code: str) -> dict[str, Any]:
    """A CodeableConcept of one of FHIR's own code systems."""
    return {"coding": [{"system": f"http://terminology.hl7.org/CodeSystem/{system}", "code": code}]}
