"""Who an image or a recording says it is of → Patient, and the key by which the facility knows them.

Patient module: https://dicom.nema.org/medical/dicom/current/output/chtml/part03/sect_C.7.html#sect_C.7.1.1

A PatientID that is a 居民身份证 number (registration desks scan the card into the modality) is one by its check digit; a facility's
own number that looks like it but fails the check stays a local number, so it never drives a match.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from mappers.base import Issue, Resource
from mappers.datatypes import identifiers_from_id_number, valid_id_number
from mappers.dicom.datatypes import GENDER, fhir_date, human_names
from mappers.identity_keys import local_system, resource_id
from profiles.names import CHARSET_REPAIRED, HEALTH_CARD, ID_CARD, IDENTIFIER_TYPE

# (0010,0022) or (0010,0024) of another patient number → where it belongs
_SYSTEMS = {"2.16.156.10011.1.3": ID_CARD, "2.16.156.10011.1.19": HEALTH_CARD}
_CARD_LENGTH = 18


@dataclass(frozen=True, slots=True)
class PatientNumber:
    """A patient's number and who gave it; `authority` is a UID where the source states one."""

    value: str
    issuer: str = ""
    authority: str = ""

    @property
    def card(self) -> str:
        """The ID card's number if this is one."""
        if self.authority and _SYSTEMS.get(self.authority) != ID_CARD:
            return ""
        return (valid_id_number(self.value) or "") if len(self.value) == _CARD_LENGTH else ""


@dataclass(frozen=True, slots=True)
class Person:
    """What a file states of its patient, still in DICOM's spelling (PN, DA, CS)."""

    number: PatientNumber
    name: str = ""
    birth_date: str = ""
    sex: str = ""
    others: tuple[PatientNumber, ...] = ()
    charset_repaired: str = ""


@dataclass(frozen=True, slots=True)
class Places:
    """Where in the file an issue was found: a tag, a section, an element."""

    number: str = "(0010,0020)"
    others: str = "(0010,1002)"
    birth_date: str = "(0010,0030)"
    sex: str = "(0010,0040)"


def patient_key(person: Person, facility: str, peer: str = "") -> tuple[str, str] | None:
    """The namespace that the patient's number counts in, and the number; None: the file names nobody."""
    number = person.number
    if not number.value:
        card = next((other.card for other in person.others if other.card), "")
        return (facility, f"id:{card}") if card else None
    if number.card:
        return facility, f"id:{number.card}"
    return (facility if number.issuer in ("", facility, peer) else f"{facility}:{number.issuer}"), number.value


def patient_id(person: Person, facility: str, peer: str = "", *, fallback: tuple[str, ...]) -> str:
    """The Patient's id; `fallback` names the one study or recording that an unnamed patient is known by."""
    key = patient_key(person, facility, peer)
    return resource_id("Patient", *key) if key else resource_id("Patient", facility, *fallback)


def patient_resource(
    person: Person, facility: str, peer: str, identity: str, issues: list[Issue], places: Places | None = None
) -> Resource:
    where = places or Places()
    patient: Resource = {"resourceType": "Patient", "id": identity}
    if person.charset_repaired:
        patient["extension"] = [{"url": CHARSET_REPAIRED, "valueString": person.charset_repaired}]
    if identifiers := _identifiers(person, facility, peer, where, issues):
        patient["identifier"] = identifiers
    if names := human_names(person.name):
        patient["name"] = names
    if person.sex in GENDER:
        patient["gender"] = GENDER[person.sex]
    elif person.sex:
        issues.append(Issue("invalid-value", where.sex, "not one of M, F, O"))
    if day := fhir_date(person.birth_date):
        patient["birthDate"] = day
    elif person.birth_date:
        issues.append(Issue("invalid-value", where.birth_date, f"no date, {len(person.birth_date)} characters"))
    return patient


def _identifiers(person: Person, facility: str, peer: str, where: Places, issues: list[Issue]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    key = patient_key(person, facility, peer)
    if person.number.value and not person.number.card and key:
        found.append(_medical_record(key[0], person.number.value, "usual"))
    for other, place in ((person.number, where.number), *((other, where.others) for other in person.others)):
        if other.card or (other.value and _SYSTEMS.get(other.authority) == ID_CARD):
            found += identifiers_from_id_number(other.value, facility=facility, where=place, issues=issues)
        elif other is not person.number and other.value:
            found.append(_other(other, facility))
    unique = {(entry["system"], entry["value"]): entry for entry in reversed(found)}
    return list(reversed(unique.values()))


def _medical_record(namespace: str, value: str, use: str) -> dict[str, Any]:
    kind = {"coding": [{"system": IDENTIFIER_TYPE, "code": "MR"}]}
    return {"use": use, "type": kind, "system": local_system(quote(namespace, safe=":"), "patient"), "value": value}


def _other(number: PatientNumber, facility: str) -> dict[str, Any]:
    """Another number of the same person, under the system that its issuer names; it never identifies alone."""
    if system := _SYSTEMS.get(number.authority) or (f"urn:oid:{number.authority}" if number.authority else ""):
        return {"use": "secondary", "system": system, "value": number.value}
    namespace = f"{facility}:{number.issuer}" if number.issuer and number.issuer != facility else facility
    return {"use": "secondary", "system": local_system(quote(namespace, safe=":"), "patient-other"), "value": number.value}
