"""Sections of a summary: their codes, which records stand in them, and what of a record is said in words.

https://hl7.org/fhir/uv/ips/StructureDefinition-Composition-uv-ips.html; codes are LOINC's, with its own English display.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from hub.recognition.candidates import value_text
from hub.records.dates import date_of
from hub.records.events import ARROW, dosage_text
from hub.records.labs import result_of, series_key
from hub.records.person import denied
from hub.records.reader import Found, code_text
from hub.records.summary.words import Language, word

Standing = Literal["required", "recommended", "optional"]
"""A required or recommended section says that nothing is known; an optional one is left out then."""
Pairs = tuple[tuple[str, str], ...]
MOST = 100  # records of a section; the newest
YEARS = 2  # how far back results and reports go
OVER = frozenset({"inactive", "resolved", "remission"})
WRONG = frozenset(
    {"entered-in-error", "refuted", "not-done", "cancelled", "registered", "unknown", "stopped", "revoked", "rejected"}
)


@dataclass(frozen=True, slots=True)
class Source:
    """Records of one type that a section may hold. `search`: criteria beside the person; `recent`: those of the last YEARS,
    and those that do not say when."""

    type: str
    search: Pairs = ()
    recent: bool = False
    sort: str = ""
    belongs: Callable[[Found], bool] = lambda _: True
    same: Callable[[Found], object] = lambda found: found.reference  # of those that are one fact, the newest stands for all


@dataclass(frozen=True, slots=True)
class Section:
    key: str  # of its title in words.py
    code: str
    display: str
    standing: Standing
    sources: tuple[Source, ...]
    columns: tuple[str, ...]  # headings, by key in words.py
    settled: Callable[[list[Found]], list[Found]] = list  # where one record takes what it says from another


def codes_in(concept: object) -> set[str]:
    return {str(c.get("code", "")) for c in concept.get("coding", ())} if isinstance(concept, Mapping) else set()


def _same_code(found: Found) -> object:
    codings = found.resource.get("code", {}).get("coding", ())
    first: Mapping[str, Any] = next((c for c in codings if c.get("code")), {})
    return (first.get("system"), first["code"]) if first else code_text(found.resource.get("code")) or found.reference


def _same_medicine(found: Found) -> object:
    return (medicine_of(found.resource), dosage_text(found.resource)) if medicine_of(found.resource) else found.reference


def _still(found: Found) -> bool:
    return not codes_in(found.resource.get("clinicalStatus")) & OVER


def _named_first(allergies: list[Found]) -> list[Found]:
    """A named substance outranks any "none known": one facility's not knowing disproves nothing."""
    return [each for each in allergies if not denied(each.resource)] or allergies


def _active(found: Found) -> bool:
    return found.resource.get("status") == "active"


def _over(found: Found) -> bool:
    return not _still(found)


def _tells_by_itself(report: Found) -> bool:
    """A laboratory's report says nothing beside its results, unless it concludes something."""
    resource = report.resource
    return bool(resource.get("conclusion")) or not resource.get("result")


def right(found: Found) -> bool:
    """Neither withdrawn nor known to be wrong."""
    resource = found.resource
    return str(resource.get("status", "")) not in WRONG and not codes_in(resource.get("verificationStatus")) & WRONG


_OBSERVED = ("what", "value", "range", "when", "where")
_SAID = ("what", "detail", "when", "where")


def _observations(category: str) -> Source:
    search = (("category", category),)
    return Source("Observation", search, recent=True, sort="-date", same=series_key)


SECTIONS: tuple[Section, ...] = (
    Section("allergies", "48765-2", "Allergies and adverse reactions Document", "required",
            (Source("AllergyIntolerance", belongs=_still),), _SAID, _named_first),
    Section("problems", "11450-4", "Problem list - Reported", "required",
            (Source("Condition", sort="-recorded-date", belongs=_still, same=_same_code),), _SAID),
    Section("medications", "10160-0", "History of Medication use Narrative", "required",
            (Source("MedicationStatement", (("status", "active,intended,on-hold"),), sort="-effective", same=_same_medicine),
             Source("MedicationRequest", (("status", "active,on-hold"),), sort="-authoredon", same=_same_medicine)), _SAID),
    Section("immunizations", "11369-6", "History of Immunization Narrative", "recommended",
            (Source("Immunization", (("status", "completed"),), sort="-date"),), _SAID),
    Section("results", "30954-2", "Relevant diagnostic tests/laboratory data Narrative", "recommended",
            (_observations("laboratory"),
             Source("DiagnosticReport", (("status", "final,amended,corrected,appended"),), recent=True, sort="-date",
                    belongs=_tells_by_itself)), _OBSERVED),
    Section("procedures", "47519-4", "History of Procedures Document", "recommended",
            (Source("Procedure", (("status", "completed,in-progress"),), sort="-date"),), _SAID),
    Section("devices", "46264-8", "History of medical device use", "recommended",
            (Source("DeviceUseStatement"),), _SAID),
    Section("vitals", "8716-3", "Vital signs note", "optional", (_observations("vital-signs"),), _OBSERVED),
    Section("past", "11348-0", "History of Past illness note", "optional",
            (Source("Condition", sort="-recorded-date", belongs=_over, same=_same_code),), _SAID),
    Section("social", "29762-2", "Social history note", "optional", (_observations("social-history"),), _OBSERVED),
    Section("plan", "18776-5", "Plan of care note", "optional", (Source("CarePlan", (("status", "active"),)),), _SAID),
    Section("alerts", "104605-1", "Alert", "optional", (Source("Flag", belongs=_active),), _SAID),
)  # fmt: skip
TYPES = tuple(dict.fromkeys(source.type for section in SECTIONS for source in section.sources))


def medicine_of(resource: Mapping[str, Any]) -> str:
    return code_text(resource.get("medicationCodeableConcept")) or str(resource.get("medicationReference", {}).get("display", ""))


def what(found: Found, language: Language) -> str:
    """What it is about, as its source says it; a mapped test in English by its LOINC name."""
    resource = found.resource
    if found.type == "Observation" and language == "en":
        return result_of(found).loinc_name or code_text(resource.get("code"))
    named = medicine_of(resource) or code_text(resource.get("vaccineCode")) or code_text(resource.get("code"))
    return named or str(resource.get("title") or resource.get("device", {}).get("display", ""))


def detail(found: Found, language: Language) -> str:
    """One line more: reaction and risk, dosage, dose number, conclusion, severity."""
    resource = found.resource
    said = [
        *_reactions(resource),
        word(resource["criticality"], language) if resource.get("criticality") in ("high", "low") else "",
        dosage_text({"dosageInstruction": resource.get("dosageInstruction") or resource.get("dosage") or ()}),
        *(word("dose", language, n=n) for n in _doses(resource)),
        code_text(resource.get("severity")),
        str(resource.get("conclusion") or resource.get("description") or ""),
    ]
    return "；".join(dict.fromkeys(filter(None, said)))


def _reactions(resource: Mapping[str, Any]) -> Iterable[str]:
    reactions = resource.get("reaction", ())
    return (code_text(m) for r in reactions if isinstance(r, Mapping) for m in r.get("manifestation", ()))


def _doses(resource: Mapping[str, Any]) -> Iterable[str]:
    protocols = resource.get("protocolApplied", ())
    return (str(p.get("doseNumberPositiveInt") or p.get("doseNumberString")) for p in protocols if set(p) & _DOSE)


_DOSE = frozenset({"doseNumberPositiveInt", "doseNumberString"})


def value(found: Found) -> str:
    """A result as its source states it, each part of several; a report's conclusion."""
    resource = found.resource
    if found.type == "DiagnosticReport":
        return str(resource.get("conclusion", ""))
    parts = [f"{code_text(c.get('code'))} {value_text(c)}".strip() for c in resource.get("component", ()) if value_text(c)]
    stated = value_text(resource) or "；".join(parts) or code_text(resource.get("dataAbsentReason"))
    return f"{stated} {ARROW.get(result_of(found).flag, '')}".strip()


def reference_range(found: Found) -> str:
    return result_of(found).range_text if found.type == "Observation" else ""


_WHEN = ("occurrenceDateTime", "performedDateTime", "performedPeriod", "effectiveDateTime", "effectivePeriod", "onsetDateTime",
         "recordedDate", "recordedOn", "created", "period", "dateAsserted", "timingDateTime", "occurrenceString")  # fmt: skip


def when(found: Found) -> str:
    """As stated; when it took place before when it was written down."""
    stated = date_of(found)
    for name in () if stated else _WHEN:
        given = found.resource.get(name)
        stated = str(given.get("start", "") if isinstance(given, Mapping) else given or "")
        if stated:
            return stated
    return stated
