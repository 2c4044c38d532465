"""Images and ECGs as a page shows them: the report's words, one key image or the tracing, and whether it can be opened now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from hub.recognition.candidates import Blobs, images_of, mark_scope, modalities, order_keys, stored_objects, study_title
from hub.records.reader import Found, reference_id
from profiles.names import MACHINE_STATEMENT

NOT_PICTURES = frozenset({"SR", "PR", "KO", "SEG", "RTSTRUCT", "DOC"})


@dataclass(frozen=True, slots=True)
class Study:
    id: str
    facility: str
    at: str
    title: str
    ecg: bool
    series: int
    instances: int
    sha: str  # of the object to show
    state: Literal["reachable", "unreachable", "none"]
    conclusion: str
    machine: str  # the cart's own statement, never a diagnosis
    mark: str
    report: str  # the id of the report on it; "" for none yet


def studies(images: Iterable[Found], reports: Sequence[Found], blobs: Blobs, *, most: int | None = None) -> tuple[Study, ...]:
    """The newest `most`, all without it, newest first. Looks at the disk for each object of each."""
    valid = (study for study in images if study.resource.get("status") not in ("entered-in-error", "cancelled"))
    available = sorted(valid, key=lambda study: str(study.resource.get("started", "")), reverse=True)[:most]
    said = reports_on(available, reports)
    return tuple(_study(found, said.get(found.id), blobs) for found in available)


def reports_on(images: Sequence[Found], reports: Sequence[Found]) -> dict[str, Found]:
    """Study's id → the first report that names it or answers its order at the same facility; one look at each report."""
    places: dict[tuple[str, str], int] = {}
    for place, report in enumerate(reports if images else ()):
        named = [("", reference_id(each, "ImagingStudy")) for each in report.resource.get("imagingStudy", ())]
        for key in (*named, *((report.facility, order) for order in order_keys(report.resource))):
            places.setdefault(key, place)
    found: dict[str, Found] = {}
    for study in images:
        keys = (("", study.id), *((study.facility, order) for order in order_keys(study.resource)))
        first = min((places[key] for key in keys if key in places), default=None)
        if first is not None:
            found[study.id] = reports[first]
    return found


def _study(found: Found, report: Found | None, blobs: Blobs) -> Study:
    resource = found.resource
    said: Mapping[str, Any] = report.resource if report else {}
    statements = [
        str(e["valueString"]) for e in said.get("extension", ()) if e.get("url") == MACHINE_STATEMENT and e.get("valueString")
    ]
    return Study(
        id=found.id,
        facility=found.facility,
        at=str(resource.get("started", "")),
        title=study_title(resource),
        ecg="ECG" in modalities(resource),
        series=int(resource.get("numberOfSeries") or len(resource.get("series", ()))),
        instances=int(resource.get("numberOfInstances") or 0),
        sha=key_object(resource),
        state=images_of(resource, blobs),
        conclusion=str(said.get("conclusion", "")),
        machine="；".join(statements),
        mark=mark_scope(resource) or mark_scope(said),
        report=report.id if report else "",
    )


def key_object(study: Mapping[str, Any]) -> str:
    """The middle object of the first series that holds pictures: for a CT that is where the anatomy is."""
    for series in study.get("series", ()):
        if series.get("modality", {}).get("code") in NOT_PICTURES:
            continue
        objects = stored_objects({"series": [series]})
        if objects:
            return objects[len(objects) // 2]
    return ""
