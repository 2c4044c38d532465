"""From an asked code and a person to an answer: find the item, gather the person's results through the door, judge them.

A code may be the orderer's own (`urn:hub:TWP:item|钾`, or bare `钾`), LOINC, or the catalogue's. ImagingStudies are candidates of
imaging items: the images are what is recognised, the report's conclusion is shown beside them.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo
from typing import Any, Literal, Protocol

from hub.errors import Invalid
from hub.recognition.doubts import doubted_patients
from hub.recognition.model import Answer, Candidate, Order
from hub.recognition.rules import evaluate, unmapped
from hub.recognition.times import zone_of
from hub.records.reader import Found, Reader, any_code, code_text, reference_id
from hub.settings import County
from mappers.datatypes import fold_unit
from mappers.identity_keys import local_system
from profiles.catalogue import Catalogue, ConceptMaps, Evidence, Item
from profiles.names import LOINC, RECOGNITION_MARK, STORED_OBJECT, UCUM

CATALOGUE_SYSTEM = "urn:hub:catalogue:item"

NEVER = frozenset({"entered-in-error", "cancelled", "unknown"})
"""Withdrawn: never a candidate. What is not final yet is one, and is told to be so."""
MOST_CANDIDATES = 100  # the newest; what is older lies outside every window

SPECIMEN_KIND: Mapping[str, str] = {
    "ser": "serum",
    "serum": "serum",
    "血清": "serum",
    "plas": "plasma",
    "plasma": "plasma",
    "血浆": "plasma",
    "bld": "blood",
    "wb": "blood",
    "whole blood": "blood",
    "全血": "blood",
    "抗凝全血": "blood",
    "edta全血": "blood",
    "末梢血": "blood",
    "ur": "urine",
    "urine": "urine",
    "尿": "urine",
    "尿液": "urine",
    "csf": "csf",
    "脑脊液": "csf",
    "stl": "stool",
    "粪便": "stool",
    "静脉血": "",  # says how it was drawn, not what was measured
    "血液": "",
    "血": "",
}
"""HL7 table 0487 codes and the words of laboratories; "" says no more than the item's code does."""


class Blobs(Protocol):
    def exists(self, sha256: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class Question:
    codes: tuple[str, ...]
    context: str
    orderer: str  # facility code


@dataclass(slots=True)
class RecognitionService:
    """Holds the county's facts; every question brings the caller's own Reader."""

    county: County
    catalogue: Catalogue
    evidence: Evidence
    concept_maps: ConceptMaps
    blobs: Blobs
    unmapped: Counter[str] = field(default_factory=Counter)  # by code system: how often an asked code had no item

    @property
    def zone(self) -> tzinfo:
        return zone_of(self.county.zone)

    async def answers(self, reader: Reader, question: Question, now: datetime) -> tuple[Answer, ...]:
        """One answer per asked code. Raise Invalid for an unknown context or orderer."""
        self.check(question)
        return tuple([await self._answer(reader, code, question, now) for code in question.codes])

    def check(self, question: Question) -> None:
        contexts = self.catalogue.catalogue.contexts
        if not question.codes:
            raise Invalid("code is missing: name at least one item to be ordered")
        if question.context not in contexts:
            raise Invalid(f"context must be one of {', '.join(contexts)}")
        if self.county.facilities and self.county.facility(question.orderer) is None:
            raise Invalid("orderer must be Organization/ and the code of a facility of this county")

    def item_of(self, asked: str, orderer: str) -> tuple[tuple[str, str], Item | None]:
        """Step 1: `[system|]code` → item, by ConceptMap, LOINC or the catalogue's own code."""
        system, bar, code = asked.rpartition("|")
        systems = (system,) if bar else (local_system(orderer, "item"), LOINC, CATALOGUE_SYSTEM)
        for one in systems:
            item = self._direct(one, code)
            if item is not None:
                return (one, code), item
        return (system, code), None

    def _direct(self, system: str, code: str) -> Item | None:
        if system == CATALOGUE_SYSTEM:
            return self.catalogue.item(code)
        direct = self.catalogue.matching(system, code)
        if direct is not None:
            return direct
        targets = (self.catalogue.matching(t["system"], t["code"]) for t in self.concept_maps.get((system, code), ()))
        return next((item for item in targets if item is not None), None)

    def codes_of(self, item: Item) -> tuple[tuple[str, str], ...]:
        """Every code that a stored result of this item may carry: the catalogue's and each facility's own."""
        own = [(match.system, match.code) for match in item.match]
        wanted = set(own)
        local = [key for key, targets in self.concept_maps.items() if any((t["system"], t["code"]) in wanted for t in targets)]
        return tuple(dict.fromkeys([*own, *local]))

    async def _answer(self, reader: Reader, asked: str, question: Question, now: datetime) -> Answer:
        stated, item = self.item_of(asked, question.orderer)
        if item is None:
            self.unmapped[stated[0] or local_system(question.orderer, "item")] += 1
            return unmapped(stated, context=question.context, orderer=question.orderer, catalogue=self.catalogue)
        order = Order(item, question.context, question.orderer, self.county, self.catalogue, self.evidence, now)
        return evaluate(order, await self._candidates(reader, item), stated)

    async def _candidates(self, reader: Reader, item: Item) -> list[Candidate]:
        """The person's results of this item; those of a Patient who may be the same person are candidates in doubt."""
        gather = self._lab if item.category == "lab" else self._imaging
        candidates = await gather(reader, item)
        for patient in await asyncio.to_thread(doubted_patients, reader):
            in_doubt = await gather(Reader(reader.door, reader.access, patient), item)
            candidates += [replace(candidate, link_certain=False) for candidate in in_doubt]
        return candidates

    async def _lab(self, reader: Reader, item: Item) -> list[Candidate]:
        observations = [
            o
            for o in await reader.search("Observation", [any_code(self.codes_of(item))], most=MOST_CANDIDATES)
            if o.resource.get("status") not in NEVER
        ]
        specimens = await reader.read(
            "Specimen", filter(None, (reference_id(o.resource.get("specimen"), "Specimen") for o in observations))
        )
        by_id = {specimen.id: specimen for specimen in specimens}
        return [lab_candidate(o, by_id.get(reference_id(o.resource.get("specimen"), "Specimen"))) for o in observations]

    async def _imaging(self, reader: Reader, item: Item) -> list[Candidate]:
        studies = [s for s in await reader.search("ImagingStudy") if _is_of_item(s, item)]
        if not studies:
            return []
        reports = await reader.search("DiagnosticReport")
        images = await asyncio.to_thread(lambda: [images_of(study.resource, self.blobs) for study in studies])
        return [imaging_candidate(s, report_of(s, reports), state) for s, state in zip(studies, images, strict=True)]


def _is_of_item(study: Found, item: Item) -> bool:
    """A study of another part of the body is another item, not a worse result of this one; one that states none is shown."""
    if study.resource.get("status") != "available" or not set(item.modality) & set(modalities(study.resource)):
        return False
    parts = {part.casefold() for part in body_parts(study.resource)}
    return not item.body_part or not parts or bool(parts & {part.casefold() for part in item.body_part})


def lab_candidate(observation: Found, specimen: Found | None) -> Candidate:
    """Observation (and its Specimen) → candidate."""
    resource = observation.resource
    quantity = resource.get("valueQuantity")
    return Candidate(
        reference=observation.reference,
        facility=observation.facility,
        status=str(resource.get("status", "")),
        times=_lab_times(resource, specimen),
        display=value_text(resource),
        has_value=any(key.startswith("value") for key in resource) and "dataAbsentReason" not in resource,
        numeric=isinstance(quantity, Mapping) and "value" in quantity,
        unit=unit_of(quantity) if isinstance(quantity, Mapping) else "",
        specimen=specimen_kind(specimen.resource.get("type")) if specimen else "",
        method=code_text(resource.get("method")),
        reference_range=any("low" in r or "high" in r or r.get("text") for r in resource.get("referenceRange", ())),
        mark=mark_scope(resource),
    )


def _lab_times(resource: Mapping[str, Any], specimen: Found | None) -> dict[str, str]:
    collection = specimen.resource.get("collection", {}) if specimen else {}
    effective = resource.get("effectiveDateTime") or resource.get("effectivePeriod", {}).get("start") or ""
    collected = effective or collection.get("collectedDateTime") or collection.get("collectedPeriod", {}).get("start") or ""
    times = {"collected": collected, "performed": effective, "issued": str(resource.get("issued", ""))}
    return {name: str(value) for name, value in times.items() if value}


def imaging_candidate(study: Found, report: Found | None, images: Literal["reachable", "unreachable", "none"]) -> Candidate:
    """ImagingStudy (and the report on it) → candidate."""
    resource = study.resource
    issued = report.resource.get("issued") if report else None
    times = {"performed": resource.get("started"), "collected": resource.get("started"), "issued": issued}
    series = resource.get("series", ())
    return Candidate(
        reference=study.reference,
        facility=study.facility,
        status=str(resource.get("status", "")),
        times={name: str(value) for name, value in times.items() if value},
        report=report.reference if report else "",
        display=study_title(resource),
        conclusion=str(report.resource.get("conclusion", "")) if report else "",
        modality=modalities(resource),
        body_part=body_parts(resource),
        laterality=next((str(s["laterality"].get("code", "")) for s in series if s.get("laterality")), ""),
        contrast=_contrast(resource),
        series=int(resource.get("numberOfSeries") or len(series)),
        images=images,
        mark=mark_scope(resource) or (mark_scope(report.resource) if report else ""),
    )


def modalities(study: Mapping[str, Any]) -> tuple[str, ...]:
    codes = [c.get("code", "") for c in study.get("modality", ())]
    codes += [s.get("modality", {}).get("code", "") for s in study.get("series", ())]
    return tuple(dict.fromkeys(code for code in codes if code))


def body_parts(study: Mapping[str, Any]) -> tuple[str, ...]:
    """Codes and words of every series' body site."""
    words: list[str] = []
    for series in study.get("series", ()):
        site = series.get("bodySite", {})
        words += [str(site.get(key, "")) for key in ("code", "display")]
    return tuple(dict.fromkeys(word for word in words if word))


def study_title(study: Mapping[str, Any]) -> str:
    parts = [study.get("description") or next((code_text(c) for c in study.get("procedureCode", ())), "")]
    parts.append("/".join(modalities(study)))
    return " · ".join(part for part in parts if part)


def _contrast(study: Mapping[str, Any]) -> str:
    text = study_title(study)
    return "with" if "增强" in text else "without" if "平扫" in text else ""


def stored_objects(study: Mapping[str, Any]) -> tuple[str, ...]:
    """SHA-256 of every stored DICOM object of a study, in order."""
    found: list[str] = []
    for series in study.get("series", ()):
        for instance in series.get("instance", ()):
            for extension in instance.get("extension", ()):
                if extension.get("url") == STORED_OBJECT:
                    found.append(reference_id(extension.get("valueReference"), "Binary"))
    return tuple(sha for sha in found if sha)


def images_of(study: Mapping[str, Any], blobs: Blobs) -> Literal["reachable", "unreachable", "none"]:
    """Reachable now, not only listed: every object's bytes are there."""
    objects = stored_objects(study)
    if not objects:
        return "none"
    return "reachable" if all(blobs.exists(sha) for sha in objects) else "unreachable"


def report_of(study: Found, reports: Sequence[Found]) -> Found | None:
    """The report that names the study, or shares an order or an accession number with it at the same facility."""
    keys = _order_keys(study.resource)
    for report in reports:
        if any(reference_id(r, "ImagingStudy") == study.id for r in report.resource.get("imagingStudy", ())):
            return report
        if report.facility == study.facility and keys & _order_keys(report.resource):
            return report
    return None


def _order_keys(resource: Mapping[str, Any]) -> set[str]:
    orders = {str(r["reference"]) for r in resource.get("basedOn", ()) if r.get("reference")}
    accession = {
        str(i["value"])
        for i in resource.get("identifier", ())
        if i.get("value") and any(c.get("code") == "ACSN" for c in i.get("type", {}).get("coding", ()))
    }
    return orders | accession


def unit_of(quantity: Mapping[str, Any]) -> str:
    """The UCUM code: as stated, or what the laboratory's spelling means; "" for one that nobody knows."""
    if quantity.get("system") == UCUM and quantity.get("code"):
        return str(quantity["code"])
    return fold_unit(str(quantity.get("unit") or ""))[1] or ""


def specimen_kind(concept: object) -> str:
    """serum, plasma, blood …; an unknown word stays as it is, so that it can be shown; "" where it says nothing."""
    if not isinstance(concept, Mapping):
        return ""
    words: Iterable[str] = [str(c.get(key, "")) for c in concept.get("coding", ()) for key in ("code", "display")]
    words = [word.strip().casefold() for word in [*words, str(concept.get("text", ""))] if word.strip()]
    known = [SPECIMEN_KIND[word] for word in words if word in SPECIMEN_KIND]
    return next((kind for kind in known if kind), "") if known else (words[-1] if words else "")


def mark_scope(resource: Mapping[str, Any]) -> str:
    """What the report itself claims: the text of its mark, else its scope."""
    for extension in resource.get("extension", ()):
        if extension.get("url") == RECOGNITION_MARK:
            for part in extension.get("extension", ()):
                concept = part.get("valueCodeableConcept")
                if concept:
                    return str(concept.get("text") or code_text(concept))
            return str(extension.get("valueString", "HR"))
    return ""


def value_text(observation: Mapping[str, Any]) -> str:
    """A result as its source states it: comparator, digits and unit untouched."""
    quantity = observation.get("valueQuantity")
    if isinstance(quantity, Mapping):
        number = f"{quantity.get('comparator', '')}{quantity.get('value', '')}"
        return " ".join(part for part in (number, str(quantity.get("unit") or quantity.get("code") or "")) if part)
    if "valueCodeableConcept" in observation:
        return code_text(observation["valueCodeableConcept"])
    for key in ("valueString", "valueInteger", "valueBoolean", "valueDateTime", "valueTime"):
        if key in observation:
            return str(observation[key])
    return ""
