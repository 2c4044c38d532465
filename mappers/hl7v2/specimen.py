"""HL7 v2 SPM with SAC, or OBR-15 of versions before 2.5 → Specimen.

https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-segment-spm-to-specimen.html
"""

from __future__ import annotations

import re
from typing import Any

from mappers.base import Resource
from mappers.datatypes import parse_quantity
from mappers.hl7v2.draft import Draft
from mappers.hl7v2.groups import Group, Sample
from mappers.hl7v2.message import Segment
from mappers.hl7v2.observation import note_text
from mappers.hl7v2.types import CJK, codeable_concept, concepts, number_identifier, people
from mappers.identity_keys import resource_id

SPECIMEN_WORDS = re.compile("血|清|浆|尿|便|痰|液|拭子|组织|脓|髓|分泌|胆汁|标本|样本|洗|毛发|活检")


def state_specimens(draft: Draft, group: Group, key: tuple[str, ...], collected: str | None = None) -> list[dict[str, Any]]:
    """The specimens of a group, or that of OBR-15, `collected` then; → references, the first is that of the results."""
    specimens = [
        _specimen(draft, sample, key if n == 0 else (*key, str(sample.segment.number))) for n, sample in enumerate(group.specimens)
    ]
    if not specimens and (source := _specimen_of_obr(draft, group.obr, key, collected)):
        specimens.append(source)
    if group.obr and (collectors := people(draft, group.obr, 10)):
        for specimen in specimens:
            specimen["collection"] = {"collector": collectors[0], **specimen.get("collection", {})}
    for specimen in specimens:
        draft.state(specimen)
    return [{"reference": f"Specimen/{id}"} for id in dict.fromkeys(specimen["id"] for specimen in specimens)]


def _number(spm: Segment, field: int) -> str:
    """EIP: the filler's number (component 2), else the placer's. Some write number^namespace: a word is then no number."""
    placer, filler = spm.value(field, 1), spm.value(field, 2)
    return filler if not placer or any(character.isdigit() for character in filler) else placer


def collected_at(draft: Draft, group: Group) -> str | None:
    """SPM-17 of the first specimen that states it."""
    spms = [sample.segment for sample in group.specimens if sample.segment.name == "SPM"]
    return next((when for spm in spms if (when := draft.datetime(spm, 17))), None)


def _specimen_of_obr(draft: Draft, obr: Segment | None, key: tuple[str, ...], collected: str | None) -> Resource | None:
    """OBR-15; the report is its business key."""
    if obr is None:
        return None
    code, name = obr.value(15), obr.value(15, 2)
    if not code and not CJK.search(name):
        return None
    if CJK.search(name) and not SPECIMEN_WORDS.search(name):
        draft.note("moved", f"{obr.where}-15", "not a specimen: it seems to be the orderer of OBR-16", "information")
        return None
    kind = name if CJK.search(name) else obr.value(15, 1, 2) or code
    specimen: Resource = {"resourceType": "Specimen", "id": resource_id("Specimen", *key), "subject": draft.patient}
    specimen["type"] = {"text": kind}
    if code:
        specimen["type"]["coding"] = [{"system": draft.local("specimen"), "code": " ".join(code.split())}]
    if when := draft.datetime(obr, 14):
        specimen["receivedTime"] = when
    if collected:
        specimen["collection"] = {"collectedDateTime": collected}
    return specimen


def _specimen(draft: Draft, sample: Sample, key: tuple[str, ...]) -> Resource:
    """A specimen number is the business key, else the report is."""
    segment = sample.segment
    specimen = _from_spm(draft, segment, key) if segment.name == "SPM" else _from_sac(draft, segment, key)
    containers = [found for sac in sample.containers if (found := _container_of_sac(draft, sac))]
    if containers:
        specimen["container"] = containers
    described = [segment.value(14, 1, 1, n) for n in range(1, segment.count(14) + 1)] if segment.name == "SPM" else []
    said = [text for text in (*described, note_text(sample.notes)) if text]
    if said:
        specimen["note"] = [{"text": text} for text in said]
    return specimen


def _from_spm(draft: Draft, spm: Segment, key: tuple[str, ...]) -> Resource:
    number = _number(spm, 2)
    own_key = (draft.facility, number) if number else key
    specimen: Resource = {"resourceType": "Specimen", "id": resource_id("Specimen", *own_key)}
    if number:
        specimen["identifier"] = [number_identifier(draft, number, "specimen")]
    if status := _status(spm):
        specimen["status"] = status
    if kind := codeable_concept(draft, spm, 4, "specimen"):
        specimen["type"] = kind
    specimen["subject"] = draft.patient
    if received := draft.datetime(spm, 18):
        specimen["receivedTime"] = received
    if parent := _number(spm, 3):
        specimen["parent"] = [{"reference": f"Specimen/{resource_id('Specimen', draft.facility, parent)}"}]
    stated = {"collection": _collection(draft, spm), "container": _container_of_spm(draft, spm)}
    stated["condition"] = [*concepts(draft, spm, 21, "reject-reason"), *concepts(draft, spm, 24, "specimen-condition")]
    return specimen | {element: value for element, value in stated.items() if value}


def _status(spm: Segment) -> str:
    """SPM-35, SPM-21, SPM-20: taken back, rejected, at hand or not."""
    if spm.value(35).upper() == "D":
        return "entered-in-error"
    if spm.value(21):
        return "unsatisfactory"
    return {"Y": "available", "N": "unavailable"}.get(spm.value(20).upper(), "")


def _collection(draft: Draft, spm: Segment) -> dict[str, Any]:
    start, end = draft.datetime(spm, 17), draft.datetime(spm, 17, 2)
    found: dict[str, Any] = {}
    if start and end and start != end:
        found["collectedPeriod"] = {"start": start, "end": end}
    elif start:
        found["collectedDateTime"] = start
    if amount := parse_quantity(spm.value(12), spm.value(12, 2)):
        found["quantity"] = amount
    if method := codeable_concept(draft, spm, 7, "collection-method"):
        found["method"] = method
    if site := codeable_concept(draft, spm, 8, "body-site"):
        found["bodySite"] = site
    return found


def _container_of_spm(draft: Draft, spm: Segment) -> list[dict[str, Any]]:
    found: dict[str, Any] = {}
    if kind := codeable_concept(draft, spm, 27, "container"):
        found["type"] = kind
    if additive := codeable_concept(draft, spm, 6, "additive"):
        found["additiveCodeableConcept"] = additive
    return [found] if found else []


def _container_of_sac(draft: Draft, sac: Segment) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if number := sac.value(3):
        found["identifier"] = [number_identifier(draft, number, "container")]
    if kind := codeable_concept(draft, sac, 9, "container"):
        found["type"] = kind
    if additive := codeable_concept(draft, sac, 27, "additive"):
        found["additiveCodeableConcept"] = additive
    return found


def _from_sac(draft: Draft, sac: Segment, key: tuple[str, ...]) -> Resource:
    """A container without an SPM stands for its specimen: the accession number is the business key, else the container's."""
    accession, container = sac.value(2), sac.value(3)
    number = accession or container
    own_key = (draft.facility, number) if number else key
    specimen: Resource = {"resourceType": "Specimen", "id": resource_id("Specimen", *own_key), "subject": draft.patient}
    if accession:
        specimen["accessionIdentifier"] = number_identifier(draft, accession, "specimen", "ACSN")
    if kind := codeable_concept(draft, sac, 6, "specimen"):
        specimen["type"] = kind
    if found := _container_of_sac(draft, sac):
        specimen["container"] = [found]
    return specimen
