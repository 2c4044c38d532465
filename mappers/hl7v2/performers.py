"""HL7 v2 PRT behind an OBR, OBX or order, OBX-15, OBX-16, OBX-18 and OBX-23 → who did it, and with what.

https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-segment-prt-to-practitionerrole.html; a person or an organization is named by
display and the facility's own number, as everywhere in this mapper.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from mappers.hl7v2.draft import Draft
from mappers.hl7v2.message import Segment
from mappers.hl7v2.types import CODE_SYSTEMS, once, people, staff

# Where PRT and ROL hold the role (tables 0912, 0443), the person, the organization and the device
_ROLE, _PERSON, _ORGANIZATION, _DEVICE = 4, 5, 8, 10
REPORTERS = frozenset({"RO", "PI", "AI", "RES"})  # table 0912 / 0443: interpreters of a result
ORDERERS = frozenset({"OP", "OCP"})
FINDINGS = frozenset({*CODE_SYSTEMS, "RADLEX"})  # code systems of what was found, in OBX-15 of some
TAKEN_BACK = frozenset({"DE", "D"})  # HL7 tables 0287, 0206 (PRT-2); X is: no change


def _stated(people_: Iterable[Segment]) -> list[Segment]:
    return [segment for segment in people_ if segment.value(2).upper() not in TAKEN_BACK]


def persons_of(draft: Draft, segments: Sequence[Segment], roles: frozenset[str] | None = None) -> list[dict[str, Any]]:
    """Persons of the PRT and ROL whose role is one of `roles`; None: any but orderers and interpreters."""
    found = []
    for segment in _stated(segments):
        place, person = (_ROLE, _PERSON) if segment.name == "PRT" else (3, 4)
        role = segment.value(place).upper()
        if role in roles if roles is not None else role not in REPORTERS | ORDERERS:
            found += people(draft, segment, person)
    return found


def organizations_of(draft: Draft, segments: Sequence[Segment]) -> list[dict[str, Any]]:
    return [found for prt in _stated(segments) if prt.name == "PRT" and (found := organization(draft, prt, _ORGANIZATION))]


def organization(draft: Draft, segment: Segment, field: int) -> dict[str, Any] | None:
    """XON → a reference by name and number."""
    name, number = segment.value(field), segment.value(field, 10) or segment.value(field, 3)
    return _named("Organization", draft.local("organization"), name, number)


def producer(draft: Draft, obx: Segment) -> dict[str, Any] | None:
    """The laboratory: OBX-23, else OBX-15 (a CWE), unless that is a code of what was found."""
    if obx.has(23) and (found := organization(draft, obx, 23)):
        return found
    if not obx.has(15):
        return None
    if obx.value(15, 3).upper() in FINDINGS:
        draft.refuse(obx, 15)
        return None
    return _named("Organization", draft.local("organization"), obx.value(15, 2), obx.value(15))


def _named(kind: str, system: str, name: str, number: str) -> dict[str, Any] | None:
    if not name and not number:
        return None
    found: dict[str, Any] = {"type": kind}
    if number:
        found["identifier"] = {"system": system, "value": number}
    return found | {"display": name or number}


def device_of(draft: Draft, obx: Segment, participants: Sequence[Segment]) -> dict[str, Any] | None:
    """OBX-18 (EI), else the device of a PRT; one of several: R4 has room for one."""
    if not participants and not obx.has(18):
        return None
    for segment, field in ((obx, 18), *((prt, _DEVICE) for prt in _stated(participants) if prt.name == "PRT")):
        number, name = segment.value(field), segment.value(field, 2)
        if number:
            return {"identifier": {"system": draft.local("device"), "value": number}, "display": name or number}
        if name:
            return {"display": name}
    return None


def performers(draft: Draft, obx: Segment, participants: Sequence[Segment]) -> list[dict[str, Any]]:
    """Performers of a result: the facility, its laboratory, who observed."""
    observers = [found for n in range(1, obx.count(16) + 1) if (found := staff(draft, obx, 16, n))] if obx.has(16) else []
    laboratory = producer(draft, obx)
    named = [laboratory] if laboratory else organizations_of(draft, participants)
    others = [*named, *observers, *persons_of(draft, participants)]
    return once([draft.organization, *others]) if others else [draft.organization]
