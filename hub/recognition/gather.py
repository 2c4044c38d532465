"""A person's results of some items, read through the door as one interaction: one look, one AuditEvent.

ImagingStudies are candidates of imaging items: the images are what is recognised, the report's conclusion is shown beside them. A
report of the item without a study here is one too: it has no images, and says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any

from hub.errors import NotAllowed
from hub.recognition.candidates import (
    Blobs,
    body_parts,
    describes,
    images_of,
    imaging_candidate,
    lab_candidate,
    modalities,
    report_candidate,
    report_of,
)
from hub.recognition.doubts import doubted_patients
from hub.recognition.model import Candidate
from hub.records.reader import MOST, Found, Reader, any_code, every, found, reference_id
from hub.search.query import Criterion, ReferenceValue
from hub.security.reads import Reads
from hub.store.port import Key
from profiles.catalogue import Item

Codes = tuple[tuple[str, str], ...]  # (system, code)
Items = Sequence[tuple[Item, Codes]]  # each with every code that a stored result of it may carry

NEVER = frozenset({"entered-in-error", "cancelled", "unknown"})
"""Withdrawn: never a candidate. What is not final yet is one, and is told to be so."""
SHOWN = 3  # of one item: the report of one of these is looked for with them
MOST_CANDIDATES = 100  # of one item, the newest; what is older lies outside every window


@dataclass(frozen=True, slots=True)
class Gathered:
    """Of one Patient and those linked: the results of the items in question, newest first, and what tells more of them."""

    observations: Sequence[Found] = ()
    specimens: Mapping[str, Found] = field(default_factory=dict)
    studies: Sequence[Found] = ()
    reports: Sequence[Found] = ()

    def candidates(self, item: Item, codes: Codes, blobs: Blobs) -> list[Candidate]:
        """Of one of the items."""
        wanted = {(system, code.casefold()) for system, code in codes}
        if item.category != "lab":
            return self._imaging(item, wanted, blobs)
        mine = [each for each in self.observations if _codings(each.resource.get("code")) & wanted][:MOST_CANDIDATES]
        return [lab_candidate(each, self.specimens.get(_specimen(each))) for each in mine]

    def _imaging(self, item: Item, wanted: Set[tuple[str, str]], blobs: Blobs) -> list[Candidate]:
        found = []
        for study in self.studies:
            by_code = any(_codings(each) & wanted for each in study.resource.get("procedureCode", ()))
            if by_code or looks_like(study, item):
                images = images_of(study.resource, blobs)
                found.append(imaging_candidate(study, report_of(study, self.reports), images, by_code=by_code))
        reports = (report for report in self.reports if _codings(report.resource.get("code")) & wanted)
        alone = (report for report in reports if not any(describes(report, study) for study in self.studies))
        return [*found, *map(report_candidate, alone)][:MOST_CANDIDATES]


async def gather(reader: Reader, items: Items, blobs: Blobs) -> dict[str, list[Candidate]]:
    """Code of each item → candidates; those of a Patient who may be the same person are in doubt."""

    def work(reads: Reads) -> dict[str, list[Candidate]]:
        return _with_reports(reads, reader, gathered(reads, reader, items, blobs))

    return await reader.reading(work, "Observation,ImagingStudy,DiagnosticReport")


def _with_reports(reads: Reads, reader: Reader, found: Mapping[str, list[Candidate]]) -> dict[str, list[Candidate]]:
    """One of the newest is what will be shown, as a rule: their reports are looked for in the same interaction."""
    newest = {code: each[:SHOWN] for code, each in found.items()}
    pages = report_pages(reads, reader, [each.reference for every in newest.values() for each in every if not each.report])

    def known(each: Candidate) -> Candidate:
        return replace(each, report=each.report or pages.get(each.reference, ""), report_sought=True)

    return {code: [*map(known, newest[code]), *each[SHOWN:]] for code, each in found.items()}


def report_pages(reads: Reads, reader: Reader, references: Iterable[str]) -> dict[str, str]:
    """Observation/id → Type/id of the newest laboratory report that holds it and stands."""
    lab = [ReferenceValue("Observation", each.partition("/")[2]) for each in references if each.startswith("Observation/")]
    if not lab:
        return {}
    query = reader.query("DiagnosticReport", [Criterion("result", "reference", tuple(lab))], MOST_CANDIDATES)
    try:
        reports = _standing(every(reads, query, MOST_CANDIDATES))
    except NotAllowed:  # a role that sees no reports sees results without one
        return {}
    return {f"Observation/{id}": report.reference for report in reversed(reports) for id in _results(report)}


def _results(report: Found) -> list[str]:
    return [reference_id(result, "Observation") for result in report.resource.get("result", ())]


def gathered(reads: Reads, reader: Reader, items: Items, blobs: Blobs) -> dict[str, list[Candidate]]:
    """The same as a part of an interaction of the caller's own."""
    own = _read(reads, reader, items)
    doubted = [_read(reads, Reader(reader.door, reader.access, id), items) for id in doubted_patients(reader)]
    found: dict[str, list[Candidate]] = {}
    for item, codes in items:
        in_doubt = (candidate for each in doubted for candidate in each.candidates(item, codes, blobs))
        uncertain = [replace(candidate, link_certain=False) for candidate in in_doubt]
        found[item.code] = [*own.candidates(item, codes, blobs), *uncertain]
    return found


def _read(reads: Reads, reader: Reader, items: Items) -> Gathered:
    observations = _observations(reads, reader, [codes for item, codes in items if item.category == "lab"])
    keys = [Key("Specimen", id) for id in dict.fromkeys(_specimen(each) for each in observations) if id]
    specimens = {version.id: found(version) for version in reads.read_many(keys)} if keys else {}
    imaging = [item for item, _ in items if item.category != "lab"]
    studies = _standing(every(reads, reader.query("ImagingStudy"), MOST)) if imaging else ()
    reports = _standing(every(reads, reader.query("DiagnosticReport"), MOST)) if imaging else ()
    return Gathered(observations, specimens, studies, reports)


def _observations(reads: Reads, reader: Reader, items: Sequence[Codes]) -> tuple[Found, ...]:
    """Of all items in one search; where that finds too many, item by item: a glucose curve hides no HbA1c."""
    if not items:
        return ()
    most = MOST_CANDIDATES * len(items)
    codes = [code for each in items for code in each]
    results = every(reads, reader.query("Observation", [any_code(codes)], most), most)
    if len(results) >= most and len(items) > 1:
        results = tuple(each for one in items for each in _observations(reads, reader, [one]))
    return _standing(results)


def _standing(results: Iterable[Found]) -> tuple[Found, ...]:
    return tuple(each for each in results if each.resource.get("status") not in NEVER)


def _specimen(observation: Found) -> str:
    return reference_id(observation.resource.get("specimen"), "Specimen")


def _codings(concept: Any) -> set[tuple[str, str]]:
    codings = (concept or {}).get("coding") or ()
    return {(str(each.get("system", "")), str(each.get("code", "")).casefold()) for each in codings}


def looks_like(study: Found, item: Item) -> bool:
    """A study of another part of the body is another item, not a worse result of this one; one that states none is shown."""
    if not set(item.modality) & set(modalities(study.resource)):
        return False
    parts = {part.casefold() for part in body_parts(study.resource)}
    return not item.body_part or not parts or bool(parts & {part.casefold() for part in item.body_part})
