"""The front page of a health record (健康档案首页, 2024): marks (健康标识), basic information, services, and who answered.

Everything here is read off what sources stated: a mark from a code or a birth date, never from words, and no mark means nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hub.records.dates import date_of, instant
from hub.records.person import Person
from hub.records.reader import Found, code_text
from hub.records.timeline import Record, encounter_kind
from profiles.names import ETHNIC_GROUP, LOINC

CHRONIC: Mapping[str, tuple[str, ...]] = {
    "hypertension": ("I10", "I11", "I12", "I13", "I15"),
    "diabetes": ("E10", "E11", "E12", "E13", "E14"),
    "coronary": ("I20", "I21", "I22", "I23", "I24", "I25"),
    "stroke": ("I60", "I61", "I62", "I63", "I64", "I69"),
    "copd": ("J44",),
    "tumour": tuple(f"C{n:02d}" for n in range(98)),
    "tuberculosis": ("A15", "A16", "A17", "A18", "A19"),
}
"""ICD-10 categories that the front page marks."""
ELDERLY, YOUNG = 65, 6  # years: the ages at which public health keeps an eye on everybody
BLOOD_GROUP = frozenset({"882-1", "883-9", "10331-7"})  # ABO and Rh, ABO, Rh


@dataclass(frozen=True, slots=True)
class Mark:
    key: str  # of its word: front.mark.…
    facility: str = ""


@dataclass(frozen=True, slots=True)
class Service:
    """How often, and when and where last."""

    key: str  # outpatient, emergency, inpatient, home, report, image, immunization, procedure
    count: int
    last: str
    facility: str


@dataclass(frozen=True, slots=True)
class Answered:
    """What one facility has told: its newest record's own date, and when the hub last heard of this person from it."""

    facility: str
    records: int
    newest: str
    heard: str


@dataclass(frozen=True, slots=True)
class Front:
    marks: tuple[Mark, ...]
    basics: tuple[tuple[str, str], ...]  # key of its word, what is stated
    services: tuple[Service, ...]
    answered: tuple[Answered, ...]


def front_of(person: Person, patients: Sequence[Found], record: Record) -> Front:
    marks, basics = _marks(person, record), _basics(patients, record)
    return Front(tuple(marks), tuple(basics), tuple(_services(record)), tuple(_answered(record, patients)))


def _marks(person: Person, record: Record) -> Iterable[Mark]:
    if person.age and person.age[1] == "year" and person.age[0] >= ELDERLY:
        yield Mark("elderly")
    if person.age and (person.age[1] != "year" or person.age[0] <= YOUNG):
        yield Mark("child")
    contract = next((e for e in record.of("EpisodeOfCare") if e.resource.get("status") == "active"), None)
    if contract:
        yield Mark("contract", contract.facility)
    stated = {category for found in record.of("Condition") if _counts(found) for category in _categories(found)}
    yield from (Mark(key) for key, categories in CHRONIC.items() if stated & set(categories))


def _counts(condition: Found) -> bool:
    codes = {str(c.get("code")) for c in condition.resource.get("verificationStatus", {}).get("coding", ())}
    return not codes & {"entered-in-error", "refuted", "provisional", "differential"}


def _categories(condition: Found) -> Iterable[str]:
    for coding in condition.resource.get("code", {}).get("coding", ()):
        system = str(coding.get("system", ""))
        if "icd-10" in system or "2.16.156.10011.2.3.3.11" in system:
            yield str(coding.get("code", ""))[:3]


def _basics(patients: Sequence[Found], record: Record) -> Iterable[tuple[str, str]]:
    """The first that anybody states; telephone numbers keep three digits at each end."""
    resources = [found.resource for found in patients if found.type == "Patient"]
    yield from _first("ethnic", (_extension(r, ETHNIC_GROUP) for r in resources))
    yield from _first("marital", (code_text(r.get("maritalStatus")) for r in resources))
    yield from _first("blood", (_blood_groups(record),))
    phones = (t.get("value", "") for r in resources for t in r.get("telecom", ()) if t.get("system", "phone") == "phone")
    yield from _first("phone", (masked_phone(str(phone)) for phone in phones))
    yield from _first("address", (_address(r) for r in resources))
    yield from _first("contact", (_contact(c) for r in resources for c in r.get("contact", ())))


def _first(key: str, stated: Iterable[str]) -> Iterable[tuple[str, str]]:
    found = next((text for text in stated if text), "")
    if found:
        yield key, found


def masked_phone(number: str) -> str:
    return f"{number[:3]}{'*' * (len(number) - 6)}{number[-3:]}" if len(number) > 8 else number


def _extension(resource: Mapping[str, Any], url: str) -> str:
    found = (e.get("valueCodeableConcept") for e in resource.get("extension", ()) if e.get("url") == url)
    return next((code_text(concept) for concept in found), "")


def _blood_groups(record: Record) -> str:
    said = [
        code_text(o.resource.get("valueCodeableConcept")) or str(o.resource.get("valueString", ""))
        for o in record.of("Observation")
        if any(c.get("system") == LOINC and c.get("code") in BLOOD_GROUP for c in o.resource.get("code", {}).get("coding", ()))
    ]
    return "、".join(dict.fromkeys(filter(None, said)))


def _address(patient: Mapping[str, Any]) -> str:
    address: Mapping[str, Any] = next(iter(patient.get("address", ())), {})
    return str(address.get("text") or "".join(map(str, address.get("line", ()))))


def _contact(contact: Mapping[str, Any]) -> str:
    relation = "、".join(filter(None, (code_text(each) for each in contact.get("relationship", ()))))
    name = str(contact.get("name", {}).get("text", ""))
    return f"{name}（{relation}）" if name and relation else name


def _services(record: Record) -> Iterable[Service]:
    """Most frequent kinds of contact first by their order here, not by their number."""
    groups: dict[str, list[Found]] = {}
    for encounter in record.valid("Encounter"):
        groups.setdefault(encounter_kind(encounter), []).append(encounter)
    for key, type in (("report", "DiagnosticReport"), ("immunization", "Immunization"), ("procedure", "Procedure")):
        if valid := record.valid(type):
            groups[key] = valid
    for key, found in groups.items():
        last = max(found, key=lambda each: instant(date_of(each)))
        yield Service(key, len(found), date_of(last)[:10], last.facility)


def _answered(record: Record, patients: Sequence[Found]) -> Iterable[Answered]:
    groups: dict[str, list[Found]] = {found.facility: [] for found in patients if found.facility}
    for read in record.by_type.values():
        for found in read:
            groups.setdefault(found.facility, []).append(found)
    mine = {found.facility: found for found in patients}
    for facility, records in groups.items():
        if facility:
            newest = max((date_of(each) for each in records), key=instant, default="")
            heard = max((_heard(each) for each in [*records, *([mine[facility]] if facility in mine else [])]), default="")
            yield Answered(facility, len(records), newest[:10], heard)


def _heard(found: Found) -> str:
    return str(found.resource.get("meta", {}).get("lastUpdated", ""))
