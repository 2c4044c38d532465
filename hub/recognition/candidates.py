"""A stored result → what the rules of recognition look at: Observation and Specimen, or ImagingStudy and its report → Candidate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol

from hub.recognition.model import Candidate
from hub.records.reader import Found, code_text, reference_id
from mappers.datatypes import fold_unit
from profiles.names import RECOGNITION_MARK, STORED_OBJECT, UCUM

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
