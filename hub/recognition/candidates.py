"""A stored result → what the rules of recognition look at: Observation and Specimen, or ImagingStudy and its report → Candidate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any, Literal, Protocol

from hub.recognition.model import Candidate
from hub.recognition.steps.person import FINAL_STATUS
from hub.recognition.wording import contrast_of, says_nothing, sides_of, specimen_kind
from hub.records.reader import Found, code_text, reference_id
from mappers.datatypes import fold_unit
from profiles.names import RECOGNITION_MARK, STORED_OBJECT, UCUM


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
        has_value="dataAbsentReason" not in resource and not says_nothing(value_text(resource)),
        numeric=isinstance(quantity, Mapping) and "value" in quantity,
        unit=unit_of(quantity) if isinstance(quantity, Mapping) else "",
        specimen=specimen_kind(specimen.resource.get("type")) if specimen else "",
        method=code_text(resource.get("method")),
        reference_range=any("low" in r or "high" in r or r.get("text") for r in resource.get("referenceRange", ())),
        mark=mark_scope(resource),
    )


def _lab_times(resource: Mapping[str, Any], specimen: Found | None) -> dict[str, str]:
    collection = specimen.resource.get("collection", {}) if specimen else {}
    effective = _effective(resource)
    collected = collection.get("collectedDateTime") or collection.get("collectedPeriod", {}).get("start") or effective
    times = {"collected": collected, "performed": effective, "issued": str(resource.get("issued", ""))}
    return {name: str(value) for name, value in times.items() if value}


def _effective(resource: Mapping[str, Any]) -> str:
    stated = (resource.get(key) for key in ("effectiveDateTime", "effectiveInstant"))
    return str(next((time for time in stated if time), None) or resource.get("effectivePeriod", {}).get("start") or "")


def imaging_candidate(
    study: Found, report: Found | None, images: Literal["reachable", "unreachable", "none"], *, by_code: bool = False
) -> Candidate:
    """ImagingStudy (and the report on it) → candidate. `by_code`: its procedure code is the item's."""
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
        conclusion=_conclusion(report) if report else "",
        by_code=by_code,
        modality=modalities(resource),
        body_part=body_parts(resource),
        laterality=sides_of(resource),
        contrast=contrast_of(" ".join((str(resource.get("description", "")), *map(code_text, resource.get("procedureCode", ()))))),
        series=int(resource.get("numberOfSeries") or len(series)),
        images=images,
        mark=mark_scope(resource) or (mark_scope(report.resource) if report else ""),
    )


def report_candidate(report: Found) -> Candidate:
    """DiagnosticReport of an imaging item without a study here → candidate: words without pictures."""
    resource = report.resource
    times = {"performed": _effective(resource), "collected": _effective(resource), "issued": str(resource.get("issued", ""))}
    return Candidate(
        reference=report.reference,
        facility=report.facility,
        status=str(resource.get("status", "")),
        times={name: time for name, time in times.items() if time},
        report=report.reference,
        display=code_text(resource.get("code")),
        conclusion=_conclusion(report),
        has_value=bool(_conclusion(report)),
        by_code=True,
        mark=mark_scope(resource),
    )


def _conclusion(report: Found) -> str:
    """Of a report that is not final yet nothing is told."""
    return str(report.resource.get("conclusion", "")) if report.resource.get("status") in FINAL_STATUS else ""


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
    keys = order_keys(study.resource)
    return next((report for report in reports if _names(report, study) or _same_order(report, study, keys)), None)


def describes(report: Found, study: Found) -> bool:
    return _names(report, study) or _same_order(report, study, order_keys(study.resource))


def _names(report: Found, study: Found) -> bool:
    return any(reference_id(each, "ImagingStudy") == study.id for each in report.resource.get("imagingStudy", ()))


def _same_order(report: Found, study: Found, keys: Set[str]) -> bool:
    return report.facility == study.facility and bool(keys & order_keys(report.resource))


def order_keys(resource: Mapping[str, Any]) -> set[str]:
    """By what a study and a report answer one order: the orders that they name, and accession numbers."""
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
