"""C-CDA and other CDA R2 entries → resources, by section and kind of statement.

https://hl7.org/cda/us/ccda/ ; mappings as in https://build.fhir.org/ig/HL7/ccda-on-fhir/. Read: problems, allergies, medications,
immunizations, results, vital signs, procedures, encounters, social history and other observations. What is planned, and what has
no code and no name, stays in the narrative and is counted as unmapped.
"""

from __future__ import annotations

from collections.abc import Iterator

from connectors.xml import Element
from mappers.base import Resource
from mappers.cda.ccda_drugs import state_immunization, state_medication
from mappers.cda.ccda_problems import is_of_another, state_allergy, state_family, state_problem
from mappers.cda.ccda_values import absent, codeable, entry_id, interpretations, negated, reference_ranges, times, value_x
from mappers.cda.document import Document, coding
from mappers.cda.entries import Section, Statement
from mappers.cda.reader import attribute, child, children, local
from profiles.names import DIAGNOSTIC_SERVICE, LOINC, OBSERVATION_CATEGORY

TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"
PROBLEMS = frozenset({"11450-4", "11348-0", "46241-6", "42347-5", "11535-2", "10219-4", "10218-6", "59769-0"})
ALLERGIES, IMMUNIZATIONS, ENCOUNTERS = "48765-2", "11369-6", "46240-8"
RESULTS, VITALS, SOCIAL = "30954-2", "8716-3", "29762-2"
FAMILY = frozenset({"10157-6", "10157-2"})
NOT_DONE_YET = frozenset({"18776-5", "59772-4", "61146-7"})  # plans and goals
CATEGORY = {RESULTS: "laboratory", VITALS: "vital-signs", SOCIAL: "social-history", "11502-2": "laboratory"}
OBSERVED = {"completed": "final", "active": "preliminary", "aborted": "cancelled", "cancelled": "cancelled"}
DONE = {"completed": "completed", "active": "in-progress", "aborted": "stopped", "cancelled": "not-done"}


def state_ccda(document: Document) -> None:
    for section in document.sections:
        if section.code in NOT_DONE_YET:
            continue
        if section.code in FAMILY:
            state_family(document, section)
            continue
        if section.code == RESULTS:
            _state_panels(document, section)
        for found in _done(section):
            if found.element not in document.used:
                _state(document, section, found)


def _done(section: Section) -> Iterator[Statement]:
    """What was done or ordered: each entry, and what an act around it holds. What stands below another statement is part of it."""

    def walk(found: Statement) -> Iterator[Statement]:
        yield found
        if found.what == "act" or (found.what == "observation" and not found.says_something):  # a panel has no value
            for inner in found.children:
                yield from walk(inner)

    mood = ("EVN", "INT", "")
    return (inner for found in section.statements for inner in walk(found) if attribute(inner.element, "moodCode") in mood)


def _state(document: Document, section: Section, found: Statement) -> None:
    element = found.element
    if found.what == "substanceAdministration":
        (state_immunization if section.code == IMMUNIZATIONS else state_medication)(document, found)
    elif attribute(element, "moodCode") == "INT":
        return
    elif found.what == "procedure" or (found.what in ("act", "observation") and section.code == "47519-4"):
        _state_procedure(document, found)
    elif found.what == "encounter" and section.code == ENCOUNTERS:
        _state_encounter(document, found)
    elif found.what == "observation" and section.code == ALLERGIES:
        state_allergy(document, found)
    elif found.what == "observation" and section.code in PROBLEMS:
        state_problem(document, found)
    elif found.what == "observation":
        _state_observation(document, section, found)


# ---------------------------------------------------------------- procedures and encounters


def _state_procedure(document: Document, found: Statement) -> None:
    element = found.element
    code = codeable(document, child(element, "code"))
    if code is None:
        return
    start, end = times(document, element)
    procedure: Resource = {
        "resourceType": "Procedure",
        "id": entry_id(document, "Procedure", element),
        "status": "not-done" if negated(element) else DONE.get(attribute(child(element, "statusCode"), "code"), "unknown"),
        "code": code,
        "subject": document.patient,
    }
    if start and end:
        procedure["performedPeriod"] = document.period(start, end)
    elif start or end:
        procedure["performedDateTime"] = start or end
    sites = [site for e in children(element, "targetSiteCode") if (site := codeable(document, e))]
    if sites:
        procedure["bodySite"] = sites
    document.use("Procedure", element)
    document.add(document.of_document(procedure), at=element)


def _state_encounter(document: Document, found: Statement) -> None:
    element = found.element
    start, end = times(document, element)
    kind = codeable(document, child(element, "code"))
    period = document.period(start, end)
    encounter: Resource = {
        "resourceType": "Encounter",
        "id": entry_id(document, "Encounter", element),
        "status": "finished" if attribute(child(element, "statusCode"), "code") in ("completed", "") else "unknown",
        "class": {"system": f"{TERMINOLOGY}v3-NullFlavor", "code": "UNK"},
        "subject": document.patient,
        **({"type": [kind]} if kind else {}),
        **({"period": period} if period else {}),
    }
    document.use("Encounter", element)
    document.add(encounter, at=element)


# ---------------------------------------------------------------- observations and panels


def _state_observation(document: Document, section: Section, found: Statement) -> Resource | None:
    element = found.element
    code = codeable(document, child(element, "code"))
    value = value_x(document, child(element, "value"))
    if not value and section.code in CATEGORY:
        value = absent(child(element, "value"))
    if code is None or not value or found.negated or is_of_another(element):
        return None
    start, end = times(document, element)
    observation: Resource = {
        "resourceType": "Observation",
        "id": entry_id(document, "Observation", element),
        "status": OBSERVED.get(attribute(child(element, "statusCode"), "code"), "unknown"),
        "category": [coding(OBSERVATION_CATEGORY, CATEGORY.get(section.code, "exam"))],
        "code": code,
        "subject": document.patient,
        **value,
        **(
            {"effectivePeriod": document.period(start, end)}
            if start and end
            else {"effectiveDateTime": start or end}
            if start or end
            else {}
        ),
    }
    if marks := interpretations(element):
        observation["interpretation"] = marks
    if ranges := reference_ranges(document, element):
        observation["referenceRange"] = ranges
    document.use("Observation", element)
    return document.add(document.of_document(observation), at=element)


def _state_panels(document: Document, section: Section) -> None:
    """An organizer of results is a DiagnosticReport of its observations."""
    panels: dict[Element, list[Resource]] = {}
    for found in section.statements:
        if found.what != "observation" or found.group is None or local(found.group) != "organizer":
            continue
        if observation := _state_observation(document, section, found):
            panels.setdefault(found.group, []).append(observation)
    for organizer, results in panels.items():
        start, end = times(document, organizer)
        first_time = results[0].get("effectiveDateTime")
        report: Resource = {
            "resourceType": "DiagnosticReport",
            "id": entry_id(document, "DiagnosticReport", organizer),
            "status": OBSERVED.get(attribute(child(organizer, "statusCode"), "code"), "unknown"),
            "category": [coding(DIAGNOSTIC_SERVICE, "LAB")],
            "code": codeable(document, child(organizer, "code"))
            or coding(LOINC, "30954-2", "Relevant diagnostic tests/laboratory data Narrative"),
            "subject": document.patient,
            "result": [{"reference": f"Observation/{result['id']}"} for result in results],
            **({"effectiveDateTime": when} if (when := start or end or first_time) else {}),
        }
        document.use("DiagnosticReport", organizer)
        document.add(document.of_document(report), at=organizer)
